"""GatewayTermination: the Istio objects, as plain data. test_gateway_stacks.py tests their wiring."""

import pytest

from components.mesh import gateway_termination
from components.mesh.gateway import GATEWAY_LABELS
from dcmesh.model.gateway import GATEWAY_NAMESPACE
from dcmesh.model.link import Consumer, ExportedPort, ExportedService, server_name
from dcmesh.model.object_names import gateway_name

POD_0 = "db-pxc-0.db.shop.svc.cluster.local"
SERVED = "db-pxc-0.db.shop.dc1.dcmesh"
IDS = ["spiffe://cluster.local/ns/dr/sa/backup", "spiffe://cluster.local/ns/dr/sa/replica"]


@pytest.fixture
def export(database: ExportedService) -> ExportedService:
    names = tuple(server_name(host, "dc1") for host in database.hosts)
    consumers = tuple(Consumer(site="dc2", namespace="dr", service_account=name) for name in ("replica", "backup"))
    return database.model_copy(update={"server_names": names, "consumers": consumers})


@pytest.fixture
def whole(export: ExportedService) -> ExportedService:
    hosts = ("db-primary.shop.svc.cluster.local",)
    return export.model_copy(update={"hosts": hosts, "server_names": ("db-primary.shop.dc1.dcmesh",)})


def test_a_pod_has_a_name_that_the_gateway_alone_knows(export: ExportedService) -> None:
    assert gateway_termination.named_entry(export, POD_0, ["one", "former"]) == {
        "hosts": [SERVED],
        "exportTo": ["one", "former"],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": 3306, "name": "tcp", "protocol": "TCP"}],
        "workloadSelector": {"labels": {"statefulset.kubernetes.io/pod-name": "db-pxc-0"}},
    }


def test_a_pod_is_found_by_the_label_that_tells_it_apart_and_has_all_its_ports(export: ExportedService) -> None:
    several = export.model_copy(update={"ports": (*export.ports, ExportedPort(port=33060))})
    spec = gateway_termination.named_entry(several, POD_0, ["one"], "cnpg.io/instanceName")
    assert spec["workloadSelector"] == {"labels": {"cnpg.io/instanceName": "db-pxc-0"}}
    assert [(port["number"], port["name"]) for port in spec["ports"]] == [(3306, "tcp"), (33060, "tcp-33060")]


def test_a_further_port_has_a_server_a_route_and_a_lock_of_its_own(export: ExportedService) -> None:
    first, second = export.model_copy(update={"ports": (*export.ports, ExportedPort(port=33060))}).by_port
    assert first == export
    name = f"p33060.{SERVED}"
    (server,) = gateway_termination.ending_server(second, POD_0, GATEWAY_NAMESPACE)["servers"]
    assert server["hosts"] == [f"./{name}"]
    (rule,) = gateway_termination.route(second, POD_0)["tcp"]
    assert rule["route"] == [{"destination": {"host": SERVED, "port": {"number": 33060}}}]
    lock = gateway_termination.consumers_in_handshake(second, POD_0, GATEWAY_NAMESPACE)
    assert {patch["match"]["listener"]["filterChain"]["sni"] for patch in lock["configPatches"]} == {name}


def test_a_server_takes_the_consumers_alone_and_no_route_of_another_namespace(export: ExportedService) -> None:
    spec = gateway_termination.ending_server(export, POD_0, GATEWAY_NAMESPACE)
    assert spec["selector"] == GATEWAY_LABELS
    (server,) = spec["servers"]
    assert server["hosts"] == [f"./{SERVED}"]
    assert server["tls"] == {"mode": "ISTIO_MUTUAL", "subjectAltNames": IDS}
    assert (server["port"]["number"], server["port"]["protocol"]) == (15443, "TLS")


def test_servers_have_port_names_of_their_own(export: ExportedService) -> None:
    specs = [gateway_termination.ending_server(export, host, GATEWAY_NAMESPACE) for host in export.hosts]
    assert len({spec["servers"][0]["port"]["name"] for spec in specs}) == 2


def test_a_pod_is_led_to_by_its_name_and_a_service_by_its_own(export: ExportedService, whole: ExportedService) -> None:
    for of, host, served, leads in (
        (export, POD_0, SERVED, SERVED),
        (whole, whole.hosts[0], whole.server_names[0], whole.hosts[0]),
    ):
        spec = gateway_termination.route(of, host)
        assert (spec["hosts"], spec["gateways"], spec["exportTo"]) == ([served], [gateway_name(served)], ["."])
        ((rule),) = spec["tcp"]
        assert rule["route"] == [{"destination": {"host": leads, "port": {"number": 3306}}}]


def test_strangers_are_turned_away_in_the_handshake_by_typed_names(export: ExportedService) -> None:
    spec = gateway_termination.consumers_in_handshake(export, POD_0, GATEWAY_NAMESPACE)
    assert spec["workloadSelector"] == {"labels": GATEWAY_LABELS}
    proxy, chain = spec["configPatches"]
    for patch, what in ((proxy, "NETWORK_FILTER"), (chain, "FILTER_CHAIN")):
        assert patch["applyTo"] == what
        assert patch["match"]["context"] == "GATEWAY"
        assert patch["match"]["listener"]["portNumber"] == 15443
        assert patch["match"]["listener"]["filterChain"]["sni"] == SERVED, "no other host's connections are touched"
        assert patch["patch"]["operation"] == "MERGE"
    assert proxy["match"]["listener"]["filterChain"]["filter"] == {"name": "envoy.filters.network.tcp_proxy"}
    assert proxy["patch"]["value"]["typed_config"]["upstream_connect_mode"] == "ON_DOWNSTREAM_TLS_HANDSHAKE"
    tls = chain["patch"]["value"]["transport_socket"]["typed_config"]["common_tls_context"]
    assert tls["combined_validation_context"]["default_validation_context"] == {
        "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": identity}} for identity in IDS]
    }


def test_the_gateways_policy_names_no_export_and_so_never_changes() -> None:
    """It names only the server names of the gateway's own Gateways."""
    assert gateway_termination.with_identity("dc1", GATEWAY_NAMESPACE) == {
        "selector": {"matchLabels": GATEWAY_LABELS},
        "action": "ALLOW",
        "rules": [
            {
                "from": [{"source": {"principals": ["*"]}}],
                "when": [{"key": "connection.sni", "values": ["*.dc1.dcmesh"]}],
            }
        ],
    }
