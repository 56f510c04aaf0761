"""The walk of a link whose TLS ends at an ingress port."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from components.mesh.dns_capture import capture
from components.mesh.gateway_termination_import import named_destination_rule
from components.mesh.ingress_termination import (
    allowed_at,
    ingress_entry,
    ingress_listeners,
    others_denied,
    passing_servers,
    strict_at,
)
from components.mesh.service_import import host_service_entry
from dcmesh.model.facts import State
from dcmesh.model.ingress_port import guard
from tests.unit.dcmesh.doctor.test_walk import BY_SIDECAR
from tests.unit.doctors import (
    CORE,
    EXPORT,
    NETWORKING,
    SECURITY,
    VIP,
    Pair,
    gateway_listener,
    istio,
    playing,
    statuses_of,
)
from tests.unit.statuses import DB0, DB_EXPORT

SERVED = "db-0.db.wookie.dc1.dcmesh"
SNI = f"outbound_.3306_._.{SERVED}"
ENDED: dict[str, Any] = {"hosts": (DB0,), "server_names": (SERVED,), "ingress": True}
INGRESS, SELECTOR = {3306: 13306}, {"dcmesh/ingress": "db"}
PODS, GATEWAYS, ENTRIES = f"{CORE}/wookie/pods", f"{NETWORKING}/gateways", f"{NETWORKING}/serviceentries"
FILTERS, POLICIES = f"{NETWORKING}alpha3/envoyfilters", f"{SECURITY}/authorizationpolicies"
SIDECARS, PEERS = f"{NETWORKING}/sidecars", f"{SECURITY}/peerauthentications"


@pytest.fixture
def pair() -> Iterator[Pair]:
    with playing() as pair:
        ended = EXPORT.model_copy(update=ENDED)
        dc1, dc2 = pair.sites
        deployed = DB_EXPORT.model_copy(update={**ENDED, "ingress_ports": INGRESS})
        pair.sites = (
            replace(dc1, exports=(deployed,)),
            replace(dc2, accounts=dict.fromkeys(dc2.accounts, (deployed,))),
        )
        entry = host_service_entry(ended, DB0, vip=VIP, gateway=["192.0.2.1"], gateway_port=15443)
        rule = named_destination_rule(ended, DB0, gateways=1)
        pair.importer.objects |= {
            ENTRIES: {"items": [istio(SERVED, "wookie-dr", entry)]},
            f"{NETWORKING}/destinationrules": {"items": [istio(SERVED, "wookie-dr", rule)]},
            SIDECARS: {"items": []},
        }
        own = "db-ingress"
        policies = {own: others_denied(ended, INGRESS, SELECTOR), f"{own}-allowed": allowed_at(INGRESS, SELECTOR)}
        of: dict[str, tuple[str, dict[str, Any]]] = {
            FILTERS: (own, guard(ended, INGRESS, SELECTOR)),
            PEERS: (own, strict_at(INGRESS, SELECTOR)),
            SIDECARS: (own, ingress_listeners(ended, INGRESS, SELECTOR, imports=False)),
            ENTRIES: (SERVED, ingress_entry(ended, DB0, INGRESS, ["istio-system"])),
        }
        pair.exporter.objects |= {path: {"items": [istio(name, "wookie", spec)]} for path, (name, spec) in of.items()}
        pair.exporter.objects |= {
            POLICIES: {"items": [istio(name, "wookie", spec) for name, spec in policies.items()]},
            GATEWAYS: {"items": [istio(own, "istio-system", passing_servers(ended, "istio-system"))]},
        }
        metadata = pair.edit("dc1", PODS)["metadata"]
        metadata["annotations"] = {"traffic.sidecar.istio.io/includeInboundPorts": "13306"}
        metadata["labels"] |= SELECTOR
        played = pair.played
        (found,) = played.part("wookie-dr", "dynamic_active_clusters")
        found["cluster"]["transport_socket"]["typed_config"]["sni"] = SNI
        origin = f"/apis/networking.istio.io/v1/namespaces/wookie-dr/destination-rule/{SERVED}"
        found["cluster"]["metadata"]["filter_metadata"]["istio"]["config"] = origin
        listener = gateway_listener()
        (chain,) = listener["active_state"]["listener"]["filter_chains"]
        chain["filter_chain_match"]["server_names"] = [SNI]
        played.dumps["istio-system"] = {"configs": [{"dynamic_listeners": [listener]}]}
        played.clusters["istio-system"] = statuses_of(SNI, "10.42.0.6:13306")
        yield pair


def test_a_pair_in_which_all_is_well(pair: Pair) -> None:
    """The namespace has no STRICT policy and no Sidecar for consumers, and no sidecar captures the database's port."""
    diagnosis = pair.diagnosis()
    assert [(step.hop, step.outcome, step.why, step.findings) for step in diagnosis.steps] == [
        (h.name, "passed", "", ()) for h in BY_SIDECAR
    ]
    assert pair.report().state == State.OK


def gone(path: str) -> Callable[[Pair], Any]:
    return lambda pair: pair.exporter.objects.update({path: {"items": []}})


def not_ready(pair: Pair) -> None:
    """Let the pod have restarted since: its Envoy refuses its listeners."""
    gone(PEERS)(pair)
    pair.edit("dc1", PODS)["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    pair.played.silent()


def led_to_the_port_itself(pair: Pair) -> None:
    pair.played.clusters["istio-system"] = statuses_of(SNI, "10.42.0.6:3306")


def past(pair: Pair) -> None:
    pair.edit("dc1", PODS)["metadata"]["annotations"]["traffic.sidecar.istio.io/includeInboundPorts"] = "3306"


def unlabelled(pair: Pair) -> None:
    del pair.edit("dc1", PODS)["metadata"]["labels"]["dcmesh/ingress"]


def one_more_name(pair: Pair) -> None:
    """Let somebody else in."""
    (of,) = pair.exporter.objects[FILTERS]["items"]
    (chain,) = (
        one["patch"]["value"] for one in of["spec"]["configPatches"] if "transport_socket" in one["patch"]["value"]
    )
    context = chain["transport_socket"]["typed_config"]["common_tls_context"]["combined_validation_context"]
    context["default_validation_context"]["match_typed_subject_alt_names"].append(
        {"san_type": "URI", "matcher": {"prefix": "spiffe://"}}
    )


def for_other_pods(pair: Pair) -> None:
    (of,) = pair.exporter.objects[FILTERS]["items"]
    of["spec"]["workloadSelector"] = {"labels": {"app": "other"}}


def captured_whole(pair: Pair) -> None:
    pair.edit("dc1", PODS)["metadata"]["annotations"]["traffic.sidecar.istio.io/includeInboundPorts"] = "*"


def another_consumer(pair: Pair) -> None:
    (policy, _) = pair.exporter.objects[POLICIES]["items"]
    policy["spec"]["rules"][0]["from"][0]["source"]["notPrincipals"] = ["cluster.local/ns/wookie-dr/sa/other"]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (gone(PEERS), ["ingress-not-strict"]),
        (gone(FILTERS), ["ingress-closed"]),
        (one_more_name, ["ingress-unguarded"]),
        (for_other_pods, ["ingress-unguarded"]),
        (captured_whole, ["ingress-takes-more"]),
        (gone(SIDECARS), ["ingress-missing"]),
        (unlabelled, ["ingress-not-labelled"]),
        (not_ready, ["ingress-not-strict"]),
        (led_to_the_port_itself, ["endpoint-missing"]),
        (past, ["ingress-takes-more", "inbound-not-captured"]),
        (another_consumer, ["consumer-refused"]),
        (gone(POLICIES), ["policy-missing"]),
        (gone(GATEWAYS), ["gateway-object-missing"]),
    ],
)
def test_what_is_wrong_is_found(pair: Pair, change: Callable[[Pair], Any], found: list[str]) -> None:
    change(pair)
    assert pair.found() == found


def test_the_name_of_a_containers_port_leads_nobody_elsewhere(pair: Pair) -> None:
    """The name of an ingress port is longer than that of a container's port can be."""
    pair.edit("dc1", PODS)["spec"]["containers"][0]["ports"] = [{"name": "tcp", "containerPort": 9104}]
    assert pair.found() == []


def test_a_filter_that_was_changed_is_critical(pair: Pair) -> None:
    one_more_name(pair)
    ((_, found),) = pair.diagnosis().findings
    assert found.state == State.CRITICAL
    assert "for the consumers spiffe://cluster.local/ns/wookie-dr/sa/db at the ingress ports" in found.evidence
    assert "`kubectl delete envoyfilter -n wookie db-ingress` first" in found.fix


def test_a_policy_of_somebody_elses_that_allows_others_alone_is_no_harm(pair: Pair) -> None:
    pair.add("dc1", POLICIES, istio("allow-nothing", "istio-system", {}))
    assert pair.found() == []
    assert json.dumps(pair.exporter.objects[POLICIES]).count('"ALLOW"') == 1


def test_a_consumers_pod_that_is_older_than_its_dns_capture_is_to_start_anew(pair: Pair) -> None:
    pair.played.part("wookie-dr", "bootstrap")["node"]["metadata"].clear()
    path = "/apis/networking.istio.io/v1beta1/proxyconfigs"
    pair.importer.objects[path] = {"items": [istio("dcmesh-db", "wookie-dr", capture({"app": "db"}))]}
    ((_, found),) = pair.diagnosis().findings
    assert found.id == "dns-capture-off"
    assert "ProxyConfig wookie-dr/dcmesh-db turns it on for pods with app=db" in found.evidence
    assert found.fix.startswith("Give the consumer's pod these labels")
