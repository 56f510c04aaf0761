"""Which of others' objects affect a link, and which do not."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from dcmesh.foreign.consumer import at_consumer
from dcmesh.foreign.gateway import at_gateway
from dcmesh.foreign.objects import LISTS, Foreign, IstioObjects, gather, scoped
from dcmesh.model.facts import State
from dcmesh.model.gateway import GATEWAY_NAME
from dcmesh.model.istio import SCOPE
from dcmesh.model.istio_objects import effective_rules
from dcmesh.model.link import ServiceAccount
from dcmesh.model.object_names import gateway_name
from dcmesh.sites_in_outputs import ExpectedGateway
from tests.unit.statuses import DB0, DB1, DB_EXPORT, GATEWAY_LABELS

CRITICAL, WARNING = State.CRITICAL, State.WARNING
OLD, OWN, NEW = "2026-11-23T07:59:59Z", "2026-11-23T08:00:00Z", "2026-11-23T08:00:01Z"
PLACE = ExpectedGateway(
    namespace="istio-system", name=GATEWAY_NAME, addresses=("192.0.2.1",), port=15443, advertised=False
)
ELSEWHERE = replace(PLACE, namespace="dcmesh-gateway")
Found = dict[str, Any]


def of(name: str, namespace: str, spec: Found, since: str = NEW) -> Found:
    return {"metadata": {"name": name, "namespace": namespace, "creationTimestamp": since}, "spec": spec}


def server(*hosts: str, mode: str | None = "AUTO_PASSTHROUGH", port: int = 15443) -> Found:
    return {"port": {"number": port}, "hosts": list(hosts), **({"tls": {"mode": mode}} if mode else {})}


def gateway(*servers: Found, since: str = NEW, namespace: str = "default", selector: Any = None, **more: Any) -> Found:
    chosen = {"istio": "eastwestgateway"} if selector is None else selector
    return of("foreign", namespace, {"selector": chosen, "servers": list(servers), **more}, since)


def istiod(scoped: str | None) -> Found:
    env = [{"name": SCOPE, "value": scoped}] if scoped else []
    return {"metadata": {"name": "istiod"}, "spec": {"template": {"spec": {"containers": [{"env": env}]}}}}


def cluster(place: ExpectedGateway, *foreign: Found, said: Sequence[str | None] = (None,), **more: Any) -> IstioObjects:
    own = of("db", place.namespace, {"selector": GATEWAY_LABELS, "servers": [server(DB0, DB1)]}, OWN)
    entries = [
        of(f"db.{host[:4]}", "wookie", {"hosts": [host], "exportTo": [place.namespace]}, OWN) for host in (DB0, DB1)
    ]
    return IstioObjects(
        gateways=[own, *foreign],
        entries=[*entries, *more.pop("entries", ())],
        scoped=scoped([istiod(one) for one in said]),
        gateway_labels=GATEWAY_LABELS,
        **more,
    )


def found(place: ExpectedGateway, *foreign: Found, **more: Any) -> list[Foreign]:
    return list(at_gateway("dc1", place, (DB_EXPORT,), cluster(place, *foreign, **more)))


PASSED_ON = server("*.local")


@pytest.mark.parametrize(
    ("foreign", "severity", "does"),
    [
        (gateway(PASSED_ON), CRITICAL, "lets in db-0"),
        (gateway(server("*/*.local")), CRITICAL, "Envoy refuses the whole listener"),
        (gateway(PASSED_ON, selector={}), CRITICAL, "without a selector, so at every gateway"),
        (gateway(server("*.example")), WARNING, "past the exports' consumers"),
        (gateway(server("*.example"), PASSED_ON), CRITICAL, "hosts *.local"),
        (gateway(server("leak.example", mode="PASSTHROUGH")), WARNING, "default/leak to kubernetes.default.svc"),
        (gateway(server(DB0, mode="ISTIO_MUTUAL")), WARNING, "VirtualServices lead to"),
        # of two with one host, or of two one without TLS, the elder stays, and the other server is left out whole
        (gateway(server(DB0)), WARNING, "past the exports' consumers"),
        (gateway(server(DB0), since=OLD), CRITICAL, f"leaves out {DB1}"),
        (gateway(server(DB0, mode="SIMPLE"), since=OLD), CRITICAL, f"leaves out {DB0} {DB1}"),
        (gateway(server("*", mode=None)), WARNING, "has the port to itself once"),
        (gateway(server("*", mode=None), since=OLD), CRITICAL, f"leaves out {DB0} {DB1}"),
    ],
)
def test_a_gateway_that_reaches_dcmeshs_own(foreign: Found, severity: State, does: str) -> None:
    route = {"tls": [{"route": [{"destination": {"host": "kubernetes.default.svc"}}]}]}
    leak = of("leak", "default", {"hosts": ["leak.example"], "gateways": ["foreign"], **route})
    (one,) = found(PLACE, foreign, services=[leak])
    assert (one.kind, one.name, one.severity) == ("Gateway", "default/foreign", severity)
    assert does in one.does
    assert "kubectl delete gateway.networking.istio.io -n default foreign" in one.cure


@pytest.mark.parametrize(
    ("place", "foreign", "said"),
    [
        (PLACE, gateway(PASSED_ON, selector={"istio": "ingressgateway"}), [None]),
        (PLACE, gateway(server("*.local", port=443)), [None]),
        (PLACE, gateway(PASSED_ON), ["true"]),
        (ELSEWHERE, gateway(PASSED_ON, selector={}), ["true"]),
        (ELSEWHERE, gateway(PASSED_ON, namespace="istio-system", selector={}), ["true", "true"]),
    ],
)
def test_a_gateway_that_does_not_reach_it(place: ExpectedGateway, foreign: Found, said: list[str | None]) -> None:
    assert found(place, foreign, said=said) == []


@pytest.mark.parametrize(
    ("place", "foreign", "said"),
    [
        (PLACE, gateway(PASSED_ON, namespace="istio-system"), ["true"]),
        (PLACE, gateway(PASSED_ON), ["false"]),
        (PLACE, gateway(PASSED_ON), ["true", None]),
        (ELSEWHERE, gateway(PASSED_ON, selector={}), [None]),
        (ELSEWHERE, gateway(PASSED_ON, namespace="dcmesh-gateway"), ["true"]),
    ],
)
def test_a_binding_to_namespaces_counts_where_it_holds(
    place: ExpectedGateway, foreign: Found, said: list[str | None]
) -> None:
    assert [one.severity for one in found(place, foreign, said=said)] == [CRITICAL]


def entry(namespace: str, since: str, *shown_to: str, host: str = DB0) -> Found:
    return of("foreign", namespace, {"hosts": [host], **({"exportTo": list(shown_to)} if shown_to else {})}, since)


@pytest.mark.parametrize(
    ("foreign", "severity"),
    [
        (entry("default", OLD), WARNING),
        (entry("default", OLD, "istio-system"), CRITICAL),
        (entry("default", NEW, "istio-system"), WARNING),
        (entry("istio-system", OLD, "."), CRITICAL),
        (entry("wookie", NEW), CRITICAL),  # the endpoints of both are joined
        (entry("default", OLD, "other"), None),
        (entry("default", OLD, host="*.db.wookie.svc.cluster.local"), None),
    ],
)
def test_a_service_entry_that_has_an_exported_host(foreign: Found, severity: State | None) -> None:
    assert [one.severity for one in found(PLACE, entries=[foreign])] == ([severity] if severity else [])


def rule(namespace: str, host: str, policy: Found, *shown_to: str, name: str = "foreign") -> Found:
    shown = {"exportTo": list(shown_to)} if shown_to else {}
    return of(name, namespace, {"host": host, "trafficPolicy": policy, **shown})


OFF, LIMITS = {"tls": {"mode": "DISABLE"}}, {"connectionPool": {}}
OWN_RULE = rule("istio-system", DB0, LIMITS, ".", name="db.db-0")


@pytest.mark.parametrize(
    ("rules", "severities"),
    [
        ([rule("wookie", DB0, OFF)], [CRITICAL]),
        ([rule("wookie", DB0, {"tls": {}})], [CRITICAL]),  # DISABLE is what nothing means
        ([rule("wookie", DB0, {"portLevelSettings": [{"port": {"number": 3306}, **OFF}]})], [CRITICAL]),
        ([rule("wookie", DB0, {"portLevelSettings": [{"port": {"number": 80}, **OFF}]})], []),
        ([rule("wookie", DB0, LIMITS)], [WARNING]),
        ([rule("istio-system", DB0, LIMITS)], [WARNING]),
        ([rule("wookie", DB0, {"tls": {"mode": "ISTIO_MUTUAL"}})], []),
        ([rule("wookie", DB0, {})], []),
        ([rule("wookie", DB0, OFF, ".")], []),
        ([rule("default", DB0, OFF)], []),
        ([OWN_RULE, rule("wookie", DB0, OFF)], []),
    ],
)
def test_a_destination_rule_that_the_gateway_goes_by(rules: list[Found], severities: list[State]) -> None:
    assert [one.severity for one in found(PLACE, rules=rules)] == severities


def test_which_destination_rules_a_proxy_goes_by() -> None:
    local, wide, exact = (rule("a", host, {}, name=host) for host in ("*.local", "*.wookie.local", "db.wookie.local"))
    mesh = rule("istio-system", "*", {}, name="mesh")

    def names(*rules: Found, proxy: str = "a") -> list[str]:
        effective = effective_rules(rules, "db.wookie.local", proxy=proxy, service="a")
        return [found["metadata"]["name"] for found in effective]

    assert names(local, wide, mesh) == ["*.wookie.local"]
    assert names(local, wide, exact, mesh) == ["db.wookie.local"]
    assert names(local, mesh, proxy="istio-system") == ["*.local"]
    assert names(mesh) == ["mesh"]


# --- at a consumer -----------------------------------------------------------------------------------------------

ROUTE = {"tcp": [{"route": [{"destination": {"host": "other.example"}}]}]}


def service(*hosts: str, namespace: str = "wookie-dr", **more: Any) -> Found:
    return of("foreign", namespace, {"hosts": list(hosts), **ROUTE, **more})


@pytest.mark.parametrize(
    ("objects", "does"),
    [
        ({"entries": [entry("default", OLD)]}, ["claims the imported host"]),
        ({"entries": [entry("default", OLD, "other")]}, []),
        ({"services": [service("*.local", namespace="default")]}, ["is led that asks for db-0"]),
        ({"services": [service(DB0, gateways=["ingress"])]}, []),
        ({"services": [service(DB0, tcp=[], http=[{}])]}, []),
        ({"services": [service("db-9.db.wookie.svc.cluster.local")]}, []),
        ({"rules": [rule("wookie-dr", DB0, {})]}, ["in place of dcmesh's own"]),
        ({"rules": [rule("wookie-dr", "*.local", {})]}, []),
        ({"rules": [rule("default", DB0, {})]}, []),
    ],
)
def test_what_touches_an_imported_host(objects: Mapping[str, Any], does: list[str]) -> None:
    ours = entry("wookie-dr", OWN, ".")
    ours["metadata"]["name"] = "dc1.db.db-0"
    own = rule("wookie-dr", "*.db.wookie.svc.cluster.local", {}, name="dc1.db")
    there = IstioObjects(
        gateway_labels={},
        **{**objects, "entries": [ours, *objects.get("entries", ())], "rules": [own, *objects.get("rules", ())]},
    )
    export = DB_EXPORT.model_copy(update={"hosts": (DB0,)})
    touching = list(at_consumer("dc2", ServiceAccount("wookie-dr", "db"), export, there))
    assert [(one.severity, text in one.does) for one, text in zip(touching, does, strict=True)] == [
        (WARNING, True)
    ] * len(does)
    for one in touching:
        assert json.loads(json.dumps(one.as_json()))["state"] == "warning"
    hides = of("default", "wookie-dr", {"egress": [{"hosts": ["./*"]}]})
    hidden = list(at_consumer("dc2", ServiceAccount("wookie-dr", "db"), export, replace(there, sidecars=[hides])))
    assert [one.name for one in hidden] == [one.name for one in touching if one.name.startswith("wookie-dr/")]


def test_an_object_without_a_spec_touches_nothing() -> None:
    """The API accepts a Gateway, Sidecar, VirtualService or DestinationRule without a spec from any tenant."""
    empty = {"metadata": {"name": "empty", "namespace": "wookie-dr"}}
    kinds = ("gateways", "services", "rules", "sidecars")
    there = gather({LISTS[kind]: {"items": [empty]} for kind in kinds}.get, PLACE.place)
    assert list(at_gateway("dc1", PLACE, (DB_EXPORT,), there)) == []
    assert list(at_consumer("dc2", ServiceAccount("wookie-dr", "db"), DB_EXPORT, there)) == []


# --- termination at the gateway --------------------------------------------------------------------------------------

SERVED = "db-0.db.wookie.dc1.dcmesh"
ENDED = DB_EXPORT.model_copy(update={"hosts": (DB0,), "server_names": (SERVED,)})


def ended(
    *gateways: Found, entries: Sequence[Found] = (), rules: Sequence[Found] = (), services: Sequence[Found] = ()
) -> list[Foreign]:
    """Return the foreign objects at a gateway that ends a host's TLS."""
    servers = [server(f"./{SERVED}", mode=MUTUAL)]
    own = of(gateway_name(SERVED), "istio-system", {"selector": GATEWAY_LABELS, "servers": servers}, OWN)
    entry = of(SERVED, "wookie", {"hosts": [SERVED], "exportTo": ["istio-system"]}, OWN)
    limit = of(SERVED, "istio-system", {"host": SERVED, "exportTo": ["."]}, OWN)
    there = IstioObjects(
        gateways=[own, *gateways],
        entries=[entry, *entries],
        rules=[limit, *rules],
        services=services,
        gateway_labels=GATEWAY_LABELS,
    )
    return list(at_gateway("dc1", PLACE, (ENDED,), there))


MUTUAL = "ISTIO_MUTUAL"


def test_at_a_gateway_that_ends_tls_dcmeshs_own_are_not_foreign() -> None:
    assert ended() == []


def test_a_gateway_that_passes_on_a_host_lets_strangers_in_whose_tls_ends_there() -> None:
    """They get in by Istio's own name for the host, which no list of consumers guards."""
    (foreign,) = ended(gateway(server("*")))
    assert (foreign.severity, foreign.hosts) == (CRITICAL, (DB0,))
    assert foreign.does.endswith(f"opens the gateway for {SERVED} past the export's consumers")
    (beside,) = ended(gateway(server("*.example")))
    assert beside.severity == WARNING


def test_an_elder_gateway_with_the_hosts_name_shuts_it() -> None:
    (foreign,) = ended(gateway(server(SERVED, mode=MUTUAL), since=OLD))
    assert (foreign.severity, foreign.hosts) == (CRITICAL, (DB0,))
    assert f"istiod leaves out {SERVED}" in foreign.does


def test_a_gateway_that_leads_others_to_the_host_is_more_than_a_neighbour() -> None:
    """For another server name no list of consumers applies."""
    there = gateway(server("x.example", mode=MUTUAL))
    way = of("way", "default", {"gateways": ["foreign"], "tcp": [{"route": [{"destination": {"host": SERVED}}]}]})
    (foreign,) = ended(there, services=[way])
    assert (foreign.kind, foreign.severity, foreign.hosts) == ("Gateway", CRITICAL, (DB0,))
    assert f"default/way to {SERVED}" in foreign.does


def test_an_elder_entry_with_the_hosts_name_takes_it() -> None:
    (foreign,) = ended(entries=[of("claim", "tenant", {"hosts": [SERVED], "exportTo": ["istio-system"]}, OLD)])
    assert (foreign.kind, foreign.severity, foreign.hosts) == ("ServiceEntry", CRITICAL, (DB0,))


def test_the_real_name_is_nobodys_at_a_gateway_that_ends_tls() -> None:
    rule = of("rule", "wookie", {"host": DB0, "trafficPolicy": {"tls": {"mode": "DISABLE"}}})
    assert ended(entries=[of("real", "tenant", {"hosts": [DB0]}, OLD)], rules=[rule]) == []


@pytest.mark.parametrize(
    ("destination", "namespace", "severity"),
    [
        ("db", "wookie", CRITICAL),  # the Service of the host's pod, by its short name
        ("db.wookie.svc.cluster.local", "default", CRITICAL),
        ("db", "default", WARNING),
    ],
)
def test_a_route_to_the_hosts_service_is_read_as_istio_reads_it(
    destination: str, namespace: str, severity: State
) -> None:
    there = gateway(server("x.example", mode=MUTUAL), namespace=namespace)
    tcp = [{"route": [{"destination": {"host": destination}}]}]
    (foreign,) = ended(there, services=[of("way", namespace, {"gateways": ["foreign"], "tcp": tcp})])
    assert foreign.severity == severity


def test_a_name_of_dcmeshs_that_no_export_has_is_told() -> None:
    """It may be an export's one day, and then Istio uses the older object."""
    shown = {"exportTo": ["istio-system"]}
    (foreign,) = ended(entries=[of("squatter", "tenant", {"hosts": ["db-9.db.wookie.dc1.dcmesh"], **shown}, NEW)])
    assert (foreign.name, foreign.severity, foreign.hosts) == ("tenant/squatter", WARNING, (DB0,))
    assert ended(entries=[of("other", "tenant", {"hosts": ["db-9.db.wookie.dc2.dcmesh"], **shown}, NEW)]) == []
    assert (
        ended(entries=[of("other", "tenant", {"hosts": ["db-9.db.wookie.dc1.dcmesh"], "exportTo": ["."]}, NEW)]) == []
    )


@pytest.mark.parametrize(("host", "namespace", "found"), [("db-primary", "wookie", True), ("db-primary", "x", False)])
def test_a_destination_rule_by_a_short_name(host: str, namespace: str, found: bool) -> None:
    there = rule(namespace, host, {}, name="short")
    whole = "db-primary.wookie.svc.cluster.local"
    assert effective_rules([there], whole, proxy=namespace, service="wookie") == ([there] if found else [])
