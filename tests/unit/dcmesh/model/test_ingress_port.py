"""Ingress ports: numbers that follow from the port, and what guards them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dcmesh.model.ingress_port import ISTIO_PORTS, guard, ingress_port
from dcmesh.model.link import ExportedService

INGRESS = {3306: 13306, 33060: 43060}
SELECTOR = {"dcmesh/ingress": "db"}
IDS = ["spiffe://cluster.local/ns/dr/sa/backup", "spiffe://dc2.dcmesh/ns/dr/sa/replica"]


def test_it_is_easily_told_from_the_port() -> None:
    assert [ingress_port(port) for port in (3306, 5432, 8080, 5050, 60000)] == [13306, 15432, 18080, 25050, 50000]


@given(st.integers(1, 65535))
def test_it_is_a_port_that_is_neither_istios_nor_the_servers(port: int) -> None:
    found = ingress_port(port)
    assert 1024 <= found <= 65535
    assert found not in ISTIO_PORTS
    assert found != port


def patched(spec: dict[str, Any], what: str) -> list[tuple[int, dict[str, Any]]]:
    """Return a filter's patches of a kind, each with its port."""

    def port(match: dict[str, Any]) -> int:
        if what == "CLUSTER":
            return int(match["cluster"]["portNumber"])
        return int(match["listener"]["filterChain"]["destinationPort"])

    patches = [of for of in spec["configPatches"] if of["applyTo"] == what]
    assert all(of["match"]["context"] == "SIDECAR_INBOUND" for of in patches)
    return [(port(of["match"]), of["patch"]["value"]) for of in patches]


def test_what_keeps_strangers_out_is_what_leads_to_the_server(at_ingress: ExportedService) -> None:
    """Both are one object. Deleting it closes the port."""
    spec = guard(at_ingress, INGRESS, SELECTOR)
    assert spec["workloadSelector"] == {"labels": SELECTOR}
    assert patched(spec, "CLUSTER") == [
        (13306, {"original_dst_lb_config": {"upstream_port_override": 3306}}),
        (43060, {"original_dst_lb_config": {"upstream_port_override": 33060}}),
    ]
    assert {port for port, _ in patched(spec, "FILTER_CHAIN")} == {13306, 43060}


def test_strangers_are_turned_away_in_the_handshake_by_typed_names(at_ingress: ExportedService) -> None:
    spec = guard(at_ingress, INGRESS, SELECTOR)
    (port, patience), (_, chain), *others = patched(spec, "FILTER_CHAIN")
    assert (port, [port for port, _ in others]) == (13306, [43060, 43060])
    # Istio merges nothing else of a patch that has a transport socket.
    assert patience == {"transport_socket_connect_timeout": "15s"}
    assert list(chain) == ["transport_socket"]
    tls = chain["transport_socket"]["typed_config"]["common_tls_context"]
    assert tls["combined_validation_context"]["default_validation_context"] == {
        "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": identity}} for identity in IDS]
    }
    ((_, proxy), _) = patched(spec, "NETWORK_FILTER")
    config = proxy["typed_config"]
    assert (config["upstream_connect_mode"], config["idle_timeout"]) == ("ON_DOWNSTREAM_TLS_HANDSHAKE", "0s")


def test_no_chain_that_takes_plaintext_is_left_out_of_the_lock(at_ingress: ExportedService) -> None:
    """If the port ever accepted plaintext, Envoy would refuse the listener instead of opening it."""
    spec = guard(at_ingress, INGRESS, SELECTOR)
    chains = [of["match"]["listener"]["filterChain"] for of in spec["configPatches"] if "listener" in of["match"]]
    assert len(chains) == 6
    assert not any("transportProtocol" in chain for chain in chains)


def test_http_has_no_filter_of_bytes(at_ingress: ExportedService) -> None:
    spec = guard(at_ingress.model_copy(update={"protocol": "HTTP"}), INGRESS, SELECTOR)
    assert {patch["applyTo"] for patch in spec["configPatches"]} == {"CLUSTER", "FILTER_CHAIN"}


def test_the_order_of_ports_makes_no_other_filter(at_ingress: ExportedService) -> None:
    """The stack's outputs have the ports in another order, and the doctor compares filters."""
    assert guard(at_ingress, dict(reversed(INGRESS.items())), SELECTOR) == guard(at_ingress, INGRESS, SELECTOR)
