"""The walk of a link whose TLS ends at the gateway. The database has no sidecar."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from components.mesh.gateway_termination import consumers_in_handshake, ending_server, named_entry, with_identity
from components.mesh.gateway_termination_import import named_destination_rule
from components.mesh.service_import import host_service_entry
from dcmesh.doctor import policy as policy_hop
from dcmesh.doctor import server_pod
from dcmesh.doctor.evidence import Evidence
from dcmesh.doctor.walked_link import WalkedLink
from dcmesh.model.facts import State
from dcmesh.model.object_names import gateway_name
from tests.unit.dcmesh.doctor.test_walk import BY_SIDECAR, another_pod
from tests.unit.doctors import (
    CORE,
    EXPORT,
    NETWORKING,
    POD,
    SECURITY,
    VIP,
    Pair,
    dump,
    istio,
    objects_of_exporter,
    playing,
    secrets,
)
from tests.unit.doctors import gateway_listener as passing_listener
from tests.unit.doctors import statuses_of as leading_to
from tests.unit.statuses import DB0, DB_EXPORT

SERVED = "db-0.db.wookie.dc1.dcmesh"
GATEWAY = "spiffe://cluster.local/ns/istio-system/sa/istio-eastwestgateway"
CONSUMER = "spiffe://cluster.local/ns/wookie-dr/sa/db"
ENDED: dict[str, Any] = {"hosts": (DB0,), "server_names": (SERVED,), "identities": (GATEWAY,)}
PODS, GATEWAYS, ENTRIES = f"{CORE}/wookie/pods", f"{NETWORKING}/gateways", f"{NETWORKING}/serviceentries"
FILTERS, POLICIES = f"{NETWORKING}alpha3/envoyfilters", f"{SECURITY}/authorizationpolicies"
CLUSTER = f"outbound|3306||{SERVED}"

Change = Callable[[Pair], Any]


@pytest.fixture
def pair() -> Iterator[Pair]:
    with playing() as pair:
        ended = EXPORT.model_copy(update=ENDED)
        dc1, dc2 = pair.sites
        deployed = DB_EXPORT.model_copy(update=ENDED)
        pair.sites = (
            replace(dc1, exports=(deployed,)),
            replace(dc2, accounts=dict.fromkeys(dc2.accounts, (deployed,))),
        )
        entry = host_service_entry(ended, DB0, vip=VIP, gateway=["192.0.2.1"], gateway_port=15443)
        rule = named_destination_rule(ended, DB0, gateways=1)
        pair.importer.objects |= {
            ENTRIES: {"items": [istio(SERVED, "wookie-dr", entry)]},
            f"{NETWORKING}/destinationrules": {"items": [istio(SERVED, "wookie-dr", rule)]},
        }
        pair.exporter.objects |= {
            ENTRIES: {"items": [istio(SERVED, "wookie", named_entry(ended, DB0, ["istio-system"]))]},
            GATEWAYS: {
                "items": [istio(gateway_name(SERVED), "istio-system", ending_server(ended, DB0, "istio-system"))]
            },
            FILTERS: {"items": [istio(SERVED, "istio-system", consumers_in_handshake(ended, DB0, "istio-system"))]},
            f"{SECURITY}/peerauthentications": {"items": []},
            POLICIES: {"items": [istio("dcmesh-with-identity", "istio-system", with_identity("dc1", "istio-system"))]},
        }
        without_sidecar(pair)
        played = pair.played
        (found,) = played.part("wookie-dr", "dynamic_active_clusters")
        context = found["cluster"]["transport_socket"]["typed_config"]
        context["sni"] = SERVED
        validation = context["common_tls_context"]["combined_validation_context"]["default_validation_context"]
        validation["match_subject_alt_names"] = [{"exact": GATEWAY}]
        origin = f"/apis/networking.istio.io/v1/namespaces/wookie-dr/destination-rule/{SERVED}"
        found["cluster"]["metadata"]["filter_metadata"]["istio"]["config"] = origin
        listener = passing_listener()
        (chain,) = listener["active_state"]["listener"]["filter_chains"]
        chain["filter_chain_match"]["server_names"] = [SERVED]
        played.dumps["istio-system"] = dump(
            dynamic_listeners=[listener], dynamic_active_secrets=json.loads(secrets(GATEWAY))
        )
        played.clusters["istio-system"] = leading_to(CLUSTER, POD)
        yield pair


def without_sidecar(pair: Pair) -> None:
    """Remove the sidecar of the host's pod."""
    pod = pair.edit("dc1", PODS)
    for part, key in (
        ("spec", "initContainers"),
        ("status", "containerStatuses"),
        ("status", "initContainerStatuses"),
    ):
        pod[part][key] = [one for one in pod[part].get(key, ()) if one["name"] != "istio-proxy"]


def test_a_pair_in_which_all_is_well(pair: Pair) -> None:
    """The database has no sidecar. It needs no policy, no ServiceEntry of its own and no label."""
    diagnosis = pair.diagnosis()
    assert [(step.hop, step.outcome, step.why) for step in diagnosis.steps] == [
        (h.name, "passed", "") for h in BY_SIDECAR
    ]
    assert pair.report().state == State.OK


LABEL = "cnpg.io/instanceName"


def by_label(pair: Pair) -> None:
    """Export the host's pod by a label."""
    dc1, dc2 = pair.sites
    (export,) = dc1.exports
    labelled = export.model_copy(update={"pod_label": LABEL})
    accounts = dict.fromkeys(dc2.accounts, (labelled,))
    pair.sites = (replace(dc1, exports=(labelled,)), replace(dc2, accounts=accounts))
    entry = named_entry(labelled, DB0, ["istio-system"], LABEL)
    pair.exporter.objects[ENTRIES] = {"items": [istio(SERVED, "wookie", entry)]}


def test_a_pod_by_a_label_is_looked_for_by_that(pair: Pair) -> None:
    by_label(pair)
    (walked,) = [found.evidence for step in pair.diagnosis().steps for found in step.findings]
    assert "no pod in wookie has the label cnpg.io/instanceName: db-0" in walked
    pair.edit("dc1", PODS)["metadata"]["labels"] = {LABEL: "db-0"}
    assert pair.report().state == State.OK
    another_pod(pair, LABEL)
    ((_, found),) = pair.diagnosis().findings
    said = "in wookie aside db-0 have the label cnpg.io/instanceName: db-0"
    assert (found.id, found.evidence) == ("pod-not-alone", said)


@pytest.mark.parametrize(
    ("selector", "port", "target", "found"),
    [
        ({"app": "pg"}, 3306, 3306, []),
        ({"app": "pg"}, 80, 3306, []),
        ({"app": "pg"}, 3306, 3307, ["service-missing"]),
        ({"app": "x"}, 3306, 3306, ["service-missing"]),
    ],
)
def test_to_a_sidecar_any_service_tells_the_protocol_of_a_pod_by_a_label(
    pair: Pair, selector: dict[str, str], port: int, target: int, found: list[str]
) -> None:
    """The Service in the hosts' names need not exist."""
    by_label(pair)
    pair.exporter.objects[PODS] = objects_of_exporter()[PODS]
    pair.edit("dc1", PODS)["metadata"]["labels"] = {LABEL: "db-0", "app": "pg"}
    spec = {"selector": selector, "ports": [{"port": port, "targetPort": target, "appProtocol": "mysql"}]}
    service = {"metadata": {"namespace": "wookie", "name": "pg-rw"}, "spec": spec}
    del pair.exporter.objects[f"{CORE}/wookie/services/db"]
    pair.exporter.objects[f"{CORE}/wookie/services"] = {"items": [service]}
    assert pair.found() == found


@pytest.mark.parametrize("changes", [{"phase": "Succeeded"}, {"conditions": [{"type": "Ready", "status": "False"}]}])
def test_a_pod_that_the_gateway_does_not_lead_to_may_have_the_label(pair: Pair, changes: dict[str, Any]) -> None:
    another_pod(pair, **changes)
    assert pair.found() == []


def gone(path: str) -> Change:
    def change(pair: Pair) -> None:
        pair.exporter.objects[path] = {"items": []}

    return change


def server(**changes: Any) -> Change:
    def change(pair: Pair) -> None:
        pair.spec("dc1", GATEWAYS)["servers"][0].update(changes)

    return change


def policy(name: str, **spec: Any) -> Change:
    return lambda pair: pair.add("dc1", POLICIES, istio(name, "istio-system", spec))


def refuses_the_gateway(pair: Pair) -> None:
    """The gateway is refused by a pod that has a sidecar."""
    pair.exporter.objects[PODS] = objects_of_exporter()[PODS]
    local = {"rules": [{"from": [{"source": {"namespaces": ["wookie"]}}]}]}
    pair.add("dc1", POLICIES, istio("local", "wookie", local))


def closed(pair: Pair) -> None:
    shut = istio("closed", "wookie", {"podSelector": {}, "ingress": []})
    pair.exporter.objects["/apis/networking.k8s.io/v1/namespaces/wookie/networkpolicies"] = {"items": [shut]}


def past_its_sidecar(pair: Pair) -> None:
    """The port bypasses the sidecar, as in many meshes with databases.

    The gateway still believes that the pod takes TLS.
    """
    pair.exporter.objects[PODS] = objects_of_exporter()[PODS]
    pod = pair.edit("dc1", PODS)
    pod["metadata"].setdefault("annotations", {})["traffic.sidecar.istio.io/excludeInboundPorts"] = "3306"
    pod["spec"]["initContainers"] = [one for one in pod["spec"]["initContainers"] if one["name"] == "istio-proxy"]


def leads_elsewhere(pair: Pair) -> None:
    pair.played.clusters["istio-system"] = leading_to(CLUSTER, "10.42.0.9:3306")


def another_account(pair: Pair) -> None:
    other = secrets(GATEWAY.replace("istio-system", "elsewhere"))
    pair.played.part("istio-system", "dynamic_active_secrets")[:] = json.loads(other)


def asks_otherwise(pair: Pair) -> None:
    (found,) = pair.played.part("wookie-dr", "dynamic_active_clusters")
    found["cluster"]["transport_socket"]["typed_config"]["sni"] = f"outbound_.3306_._.{DB0}"


def calls_another_port(pair: Pair) -> None:
    pair.edit("dc1", PODS)["spec"]["containers"][0]["ports"] = [{"name": "tcp", "containerPort": 9104}]


def claimed(pair: Pair) -> None:
    spec = {"hosts": [SERVED], "exportTo": ["istio-system"]}
    entry = istio("claim", "tenant", spec)
    entry["metadata"]["creationTimestamp"] = "2026-11-22T08:00:00Z"
    pair.add("dc1", ENTRIES, entry)


DENY = {"action": "DENY", "rules": [{"from": [{"source": {"principals": [CONSUMER.removeprefix("spiffe://")]}}]}]}

FINDINGS: list[tuple[str, str, Change]] = [
    ("gateway-object-missing", f"none has the host {SERVED}", gone(GATEWAYS)),
    (
        "gateway-object-wrong",
        "TLS mode AUTO_PASSTHROUGH instead of ISTIO_MUTUAL",
        server(tls={"mode": "AUTO_PASSTHROUGH"}),
    ),
    ("pod-entry-missing", f"no ServiceEntry wookie/{SERVED} that istio-system sees", gone(ENTRIES)),
    ("endpoint-missing", f"{CLUSTER} of the Envoy of istio-system/gateway-1 leads to 10.42.0.9:3306", leads_elsewhere),
    ("port-name-taken", "pod wookie/db-0: a container calls port 9104 tcp, which is how port 3306", calls_another_port),
    ("peer-unguarded", f"no EnvoyFilter istio-system/{SERVED}", gone(FILTERS)),
    ("account-wrong", "spiffe://cluster.local/ns/elsewhere/sa/istio-eastwestgateway instead of", another_account),
    ("tls-sni-wrong", f"SNI outbound_.3306_._.{DB0} instead of {SERVED}", asks_otherwise),
    ("foreign-entry", f"ServiceEntry tenant/claim claims the exported host {SERVED}", claimed),
    (
        "consumer-refused",
        f"Gateway istio-system/{gateway_name(SERVED)}: its subjectAltNames have not got {CONSUMER}",
        server(tls={"mode": "ISTIO_MUTUAL", "subjectAltNames": ["spiffe://cluster.local/ns/other/sa/db"]}),
    ),
    (
        "others-admitted",
        "its subjectAltNames have spiffe://cluster.local/ns/other/sa/db",
        server(tls={"mode": "ISTIO_MUTUAL", "subjectAltNames": [CONSUMER, "spiffe://cluster.local/ns/other/sa/db"]}),
    ),
    ("network-closed", "NetworkPolicy wookie/closed lets no gateway of istio-system in at port 3306", closed),
    ("inbound-not-captured", "excludeInboundPorts leads it past, and the gateway speaks TLS", past_its_sidecar),
    (
        "denied",
        "AuthorizationPolicy istio-system/no-db refuses cluster.local/ns/wookie-dr/sa/db",
        policy("no-db", **DENY),
    ),
    (
        "not-allowed",
        "AuthorizationPolicy wookie/local refuses cluster.local/ns/istio-system/sa/istio-eastwestgateway at pod w",
        refuses_the_gateway,
    ),
]


@pytest.mark.parametrize(("finding", "evidence", "change"), FINDINGS, ids=[finding for finding, _, _ in FINDINGS])
def test_what_is_wrong_is_named(pair: Pair, finding: str, evidence: str, change: Change) -> None:
    change(pair)
    ((_, found),) = pair.diagnosis().findings
    assert found.id == finding
    assert evidence in found.evidence
    assert found.fix.endswith(".")


def test_a_mesh_that_allows_nothing_lets_the_consumer_in_by_the_gateways_own_policy(pair: Pair) -> None:
    policy("allow-nothing")(pair)
    assert pair.found() == []
    pair.exporter.objects[POLICIES]["items"].pop(0)
    assert pair.found() == ["not-allowed"]


@pytest.mark.parametrize(("places", "found"), [((POD,), []), ((), ["endpoint-missing"])])
def test_a_service_as_a_whole_leads_to_whatever_pods_it_has(
    pair: Pair, places: tuple[str, ...], found: list[str]
) -> None:
    host = "db-primary.wookie.svc.cluster.local"
    pair.played.clusters["istio-system"] = leading_to(f"outbound|3306||{host}", *places)
    dc1, _ = pair.sites
    whole = DB_EXPORT.model_copy(update={**ENDED, "hosts": (host,), "server_names": ("db-primary.wookie.dc1.dcmesh",)})
    (account,) = pair.sites[1].accounts
    link = WalkedLink(
        export=whole, host=host, consumer_site="dc2", account=account, consumer_side=None, source_side=Evidence(dc1)
    )
    assert [finding.id for finding in server_pod.HOP.look(link)] == found
    service = {"spec": {"selector": {"app": "db"}, "ports": [{"port": 3306, "targetPort": 3309}]}}
    pair.exporter.objects[f"{CORE}/wookie/services/db-primary"] = service
    behind = list(policy_hop.behind_gateway(link))
    assert [(pod["metadata"]["name"], port) for pod, port in behind] == [("db-0", 3309)]
