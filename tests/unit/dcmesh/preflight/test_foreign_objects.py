"""Others' objects, before they affect a new export or import."""

from typing import Any

import pytest

from dcmesh.config.errors import Remark
from dcmesh.kube.api import ApiClient
from dcmesh.kube.read_rights import Allowed
from dcmesh.model.egress import name_for
from dcmesh.model.object_names import gateway_name
from dcmesh.model.plan import ImportPlan
from dcmesh.model.settings import ExistingIstio, Istio
from dcmesh.preflight.foreign_objects import met
from dcmesh.preflight.missing_rights import unseen
from dcmesh.sites_in_state import SiteInState
from tests.unit.configurations import planned
from tests.unit.servers import KubernetesAPI

Objects = dict[str, Any]
NETWORKING = "/apis/networking.istio.io/v1"
DEPLOYMENTS = "/apis/apps/v1/namespaces/istio-system/deployments"
DB0 = "db-0.db.wookie.svc.cluster.local"
SERVED = "db-pxc-0.db-pxc.wookie.dc1.dcmesh"
SINCE_LONG = "2020-01-01T00:00:00Z"
UNBOUND, OWN = Istio(existing=ExistingIstio(revision="stable")), Istio()


def istiod(*env: Objects) -> Objects:
    containers = {"template": {"spec": {"containers": [{"name": "discovery", "env": list(env)}]}}}
    return {"items": [{"metadata": {"name": "istiod"}, "spec": containers}]}


@pytest.fixture
def server(server: KubernetesAPI) -> KubernetesAPI:
    server.objects[DEPLOYMENTS] = istiod()
    return server


EXPORTER, IMPORTER = ("existing-database", "dc1"), ("mariadb-egress", "dc2")


def lines(
    api: ApiClient, of: tuple[str, str], istio: Istio = UNBOUND, known: SiteInState | None = None
) -> list[tuple[bool, str]]:
    """Return the findings, without the remark on the istiod: whether each stops an `up`, and its line."""
    allowed = Allowed(api)
    found = [
        *met(allowed, istio, "sites[0]", planned(*of), "dcmesh-gateway", known),
        *unseen(allowed, "sites[0]", of[1]),
    ]
    told = [(not isinstance(one, Remark), one.line()) for one in found]
    return [one for one in told if "PILOT_SCOPE_GATEWAY_TO_NAMESPACE" not in one[1]]


def put(server: KubernetesAPI, kind: str, *specs: Objects, namespace: str = "tenant") -> None:
    since = "2026-11-23T07:59:59Z"
    server.objects[f"{NETWORKING}/{kind}"] = {
        "items": [
            {"metadata": {"name": f"theirs-{n}", "namespace": namespace, "creationTimestamp": since}, "spec": spec}
            for n, spec in enumerate(specs)
        ]
    }


def gateway(port: int, mode: str | None, host: str, selector: Objects | None = None) -> Objects:
    tls = {"tls": {"mode": mode}} if mode else {}
    return {"selector": selector or {}, "servers": [{"port": {"number": port}, "hosts": [host], **tls}]}


OURS = {"istio": "dcmesh-gateway"}


def test_where_nobody_has_written_anything_nothing_is_met(api: ApiClient) -> None:
    assert lines(api, EXPORTER) == lines(api, IMPORTER) == []


@pytest.mark.parametrize(
    ("there", "stops", "says"),
    [
        (gateway(15443, "SIMPLE", "x", OURS) | {"servers": []}, None, ""),
        (gateway(443, "SIMPLE", "*"), None, ""),
        (gateway(15443, None, "*"), True, f"is older than dcmesh's own, so istiod leaves out {SERVED}"),
        (gateway(15443, "SIMPLE", SERVED, OURS), True, f"istiod leaves out {SERVED}"),
        (gateway(15443, "AUTO_PASSTHROUGH", "*.local"), True, "past the export's consumers"),
        (gateway(15443, "SIMPLE", "shop.example"), False, "opens the gateway for what its VirtualServices lead to"),
        (gateway(15443, None, "*", {"istio": "ingressgateway"}), None, ""),
    ],
)
def test_a_gateway_of_somebody_elses_at_the_port(
    server: KubernetesAPI, api: ApiClient, there: Objects, stops: bool | None, says: str
) -> None:
    put(server, "gateways", there)
    found = lines(api, EXPORTER)
    if stops is None:
        assert found == []
        return
    assert {stopping for stopping, _ in found} == {stops}
    assert found[0][1].startswith(
        'sites[0].exports[0].name: "db" would meet the Gateway tenant/theirs-0 in dc1: at dcmesh'
    )
    assert says in found[0][1]
    assert "kubectl delete gateway.networking.istio.io -n tenant theirs-0" in found[0][1]


def test_what_an_istiod_binds_to_its_namespace_is_not_met(server: KubernetesAPI, api: ApiClient) -> None:
    put(server, "gateways", gateway(15443, None, "*"))
    assert lines(api, EXPORTER, OWN) == []
    assert lines(api, EXPORTER, Istio(scopeGateways=False)) != []
    server.objects[DEPLOYMENTS] = istiod({"name": "PILOT_SCOPE_GATEWAY_TO_NAMESPACE", "value": "true"})
    assert lines(api, EXPORTER) == []


def test_where_the_istiod_cannot_be_seen_what_it_may_bind_is_not_refused(server: KubernetesAPI, api: ApiClient) -> None:
    put(server, "gateways", gateway(15443, None, "*"))
    server.objects[DEPLOYMENTS] = 403
    ((stops, line),) = lines(api, EXPORTER)
    assert not stops
    assert line.startswith(
        'sites[0].name: "dc1" was looked at in part, for its kubeconfig\'s user may not read all of it (403'
    )
    put(server, "gateways", gateway(15443, None, "*", OURS), namespace="dcmesh-gateway")
    assert lines(api, EXPORTER)[0][0]


def test_a_list_that_may_not_be_read_is_told(server: KubernetesAPI, api: ApiClient) -> None:
    """Hidden objects may do harm, but that is no reason to refuse what may be right."""
    server.objects |= dict.fromkeys([f"{NETWORKING}/gateways", f"{NETWORKING}/virtualservices"], 403)
    for of in (EXPORTER, IMPORTER):
        ((stops, line),) = lines(api, of)
        assert not stops
        assert "Anything there that harms a link is not seen" in line


def state(*names: str, **objects: tuple[str, str]) -> SiteInState:
    urns = {f"urn:pulumi:s::p::t::{name}": ("ns", name) for name in names}
    return SiteInState(identity="", kubeconfig="", objects=urns | objects)


def test_an_export_that_stands_is_warned_of_what_shuts_it_and_of_nothing_else(
    server: KubernetesAPI, api: ApiClient
) -> None:
    """Otherwise anybody in the cluster could block every `up`."""
    stands = state(f"dc1.{SERVED}-gateway.dcmesh-gateway", "dc1.db-primary.wookie.dc1.dcmesh-gateway.dcmesh-gateway")
    put(server, "gateways", gateway(15443, None, "*"), gateway(15443, "SIMPLE", "shop.example"))
    found = lines(api, EXPORTER, known=stands)
    assert [(stops, "theirs-0" in line) for stops, line in found] == [(False, True)] * 2


def test_a_gateway_of_the_stacks_own_that_stands_keeps_its_age(server: KubernetesAPI, api: ApiClient) -> None:
    """The port belongs to the older Gateway, so a new export joins it. A tenant's younger Gateway is left out."""
    own = gateway_name(SERVED)
    stands = state(f"dc1.{SERVED}-gateway.dcmesh-gateway", urn=("dcmesh-gateway", own))
    put(server, "gateways", gateway(15443, None, "*"))
    found = lines(api, EXPORTER, known=stands)
    assert [(stops, "so istiod leaves out" in line) for stops, line in found] == [(False, True), (True, True)]
    ours = {"metadata": {"name": own, "namespace": "dcmesh-gateway", "creationTimestamp": SINCE_LONG}}
    server.objects[f"{NETWORKING}/gateways"]["items"].append(ours | {"spec": gateway(15443, "ISTIO_MUTUAL", SERVED)})
    found = lines(api, EXPORTER, known=stands)
    assert [(stops, "so istiod leaves out" in line) for stops, line in found] == [(False, False)]
    assert "exports[1]" in found[0][1], "`status` warns of the existing one"


def test_what_the_stack_has_made_is_nobody_elses(server: KubernetesAPI, api: ApiClient) -> None:
    put(server, "gateways", gateway(15443, None, "*"))
    assert lines(api, EXPORTER, known=state(urn=("tenant", "theirs-0"))) == []


def test_names_of_dcmeshs_that_somebody_holds_are_told(server: KubernetesAPI, api: ApiClient) -> None:
    put(server, "serviceentries", {"hosts": ["*.wookie.dc1.dcmesh"], "exportTo": ["dcmesh-gateway"]})
    ((stops, line), *_) = lines(api, EXPORTER)
    assert not stops
    assert "the ServiceEntry tenant/theirs-0 in dc1: has *.wookie.dc1.dcmesh, as dcmesh's own hosts" in line


def test_an_unbound_istiod_is_told_of_once_a_new_export_comes(api: ApiClient) -> None:
    def told(of: tuple[str, str], known: SiteInState | None) -> list[str]:
        return [one.line() for one in met(Allowed(api), UNBOUND, "sites[0]", planned(*of), "dcmesh-gateway", known)]

    for of in (EXPORTER, IMPORTER):
        (line,) = told(of, None)
        assert line.startswith('istio.existing.revision: "stable" does not bind Gateways to their namespace in')
    stands = state(f"dc2-egress.dcmesh-egress.{DB0}-service")
    assert told(IMPORTER, stands) == [], "by its host, whatever the export is called"


# --- at an egress gateway --------------------------------------------------------------------------------------------


def imported() -> ImportPlan:
    (found, *_) = planned(*IMPORTER).imports
    return found


def test_a_gateway_at_an_egress_gateways_port_is_met(server: KubernetesAPI, api: ApiClient) -> None:
    of = imported()
    assert of.egress
    host, port = next(iter(of.egress.ports.items()))
    put(server, "gateways", gateway(port, None, "*"))
    ((stops, line),) = lines(api, IMPORTER)
    assert stops
    assert f"(without a selector, so at every gateway; port {port}, no TLS, hosts *): is older than dcmesh's" in line
    place = (of.namespace, name_for("db-0.db.wookie.svc.cluster.local"))
    ours = {"namespace": place[0], "name": place[1], "creationTimestamp": SINCE_LONG}
    server.objects[f"{NETWORKING}/gateways"]["items"].append({"metadata": ours, "spec": gateway(port, None, "*")})
    ((stops, line),) = lines(api, IMPORTER, known=state(urn=place))
    assert not stops, "it exists, and is older"
    assert "to itself once dcmesh's own Gateway is written anew" in line
    put(server, "gateways", gateway(port, None, "*", {"istio": "dcmesh-egress"}))
    assert [stops for stops, _ in lines(api, IMPORTER)] == [True]
    assert lines(api, IMPORTER, OWN) == []
    put(server, "gateways", gateway(port + 1, None, "*"))
    assert lines(api, IMPORTER) == []
    put(server, "virtualservices", {"gateways": ["theirs-0"], "tcp": [{"route": [{"destination": {"host": host}}]}]})
    assert lines(api, IMPORTER) == []
    there = {"destination": {"host": "db-0.db.wookie.dc1.dcmesh"}}
    put(server, "virtualservices", {"gateways": ["theirs-0"], "tcp": [{"route": [there]}]})
    ((stops, line),) = lines(api, IMPORTER)
    assert not stops
    assert "the other site takes them for the egress gateway" in line


@pytest.mark.parametrize(
    ("host", "namespace", "met"),
    [(DB0, "tenant", True), ("*.wookie.svc.cluster.local", "tenant", True), ("db", "wookie", False)],
)
def test_a_route_that_leads_consumers_with_sidecars_elsewhere_is_refused(
    server: KubernetesAPI, api: ApiClient, host: str, namespace: str, met: bool
) -> None:
    way = {"hosts": [host], "tcp": [{"route": [{"destination": {"host": "other.example"}}]}]}
    put(server, "virtualservices", way, namespace=namespace)
    found = lines(api, ("mariadb", "dc2"))
    assert [stops for stops, _ in found] == ([True] if met else [])
    assert all("VirtualService tenant/theirs-0 in dc2: decides where" in line for _, line in found)
    assert lines(api, IMPORTER) == [], "settings for sidecars do not apply to gateways"
