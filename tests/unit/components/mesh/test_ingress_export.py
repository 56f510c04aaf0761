"""IngressExport: the Istio objects, as plain data. How they are wired: test_ingress_stacks.py."""

import pytest

from components.mesh import ingress_export
from components.mesh.gateway import GATEWAY_LABELS
from components.mesh.local_clients import plaintext_rule
from dcmesh.model.gateway import GATEWAY_NAMESPACE
from dcmesh.model.link import Consumer, ExportedPort, ExportedService, server_name

POD_0 = "db-pxc-0.db.shop.svc.cluster.local"
SERVED = "db-pxc-0.db.shop.dc1.dcmesh"
INGRESS = {3306: 13306, 33060: 43060}
SELECTOR = {"app": "db"}
IDS = ["spiffe://cluster.local/ns/dr/sa/backup", "spiffe://dc2.dcmesh/ns/dr/sa/replica"]


@pytest.fixture
def export(database: ExportedService) -> ExportedService:
    own = Consumer(site="dc2", namespace="dr", service_account="replica", trust_domains=("dc2.dcmesh",))
    return database.model_copy(
        update={
            "ingress": True,
            "ports": (*database.ports, ExportedPort(port=33060)),
            "server_names": tuple(server_name(host, "dc1") for host in database.hosts),
            "consumers": (own, Consumer(site="dc2", namespace="dr", service_account="backup")),
        }
    )


def test_one_sidecar_has_all_ingress_ports_and_nothing_else(export: ExportedService) -> None:
    """The server sees its clients at 127.0.0.6: at 127.0.0.1 they might be trusted."""
    assert ingress_export.ingress_listeners(export, INGRESS, SELECTOR, imports=False) == {
        "workloadSelector": {"labels": SELECTOR},
        "ingress": [
            {"port": {"number": 13306, "protocol": "TCP", "name": "tcp"}, "defaultEndpoint": "0.0.0.0:3306"},
            {"port": {"number": 43060, "protocol": "TCP", "name": "tcp-33060"}, "defaultEndpoint": "0.0.0.0:33060"},
        ],
        "egress": [{"hosts": ["~/*"]}],
    }


def test_pods_that_import_as_well_know_their_namespaces_hosts(export: ExportedService) -> None:
    spec = ingress_export.ingress_listeners(export, INGRESS, SELECTOR, imports=True)
    assert spec["egress"] == [{"hosts": ["./*", "istio-system/*"]}]


def test_mutual_tls_is_asked_for_at_the_ingress_ports_alone(export: ExportedService) -> None:
    assert ingress_export.strict_at(INGRESS, SELECTOR) == {
        "selector": {"matchLabels": SELECTOR},
        "portLevelMtls": {"13306": {"mode": "STRICT"}, "43060": {"mode": "STRICT"}},
    }


def test_strangers_are_turned_away_in_the_handshake_by_typed_names(export: ExportedService) -> None:
    spec = ingress_export.consumers_in_handshake(export, INGRESS, SELECTOR)
    assert spec["workloadSelector"] == {"labels": SELECTOR}
    ports = [patch["match"]["listener"]["filterChain"]["destinationPort"] for patch in spec["configPatches"]]
    assert ports == [13306] * 3 + [43060] * 3
    patience, chain, proxy = spec["configPatches"][:3]
    # Istio merges nothing else of a patch that has a transport socket.
    assert patience["patch"]["value"] == {"transport_socket_connect_timeout": "15s"}
    assert list(chain["patch"]["value"]) == ["transport_socket"]
    tls = chain["patch"]["value"]["transport_socket"]["typed_config"]["common_tls_context"]
    assert tls["combined_validation_context"]["default_validation_context"] == {
        "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": identity}} for identity in IDS]
    }
    assert proxy["match"]["listener"]["filterChain"]["filter"] == {"name": "envoy.filters.network.tcp_proxy"}
    config = proxy["patch"]["value"]["typed_config"]
    assert (config["upstream_connect_mode"], config["idle_timeout"]) == ("ON_DOWNSTREAM_TLS_HANDSHAKE", "0s")


def test_no_chain_that_takes_plaintext_is_left_out_of_the_lock(export: ExportedService) -> None:
    """Should the port ever take plaintext, Envoy refuses the listener rather than open it."""
    spec = ingress_export.consumers_in_handshake(export, INGRESS, SELECTOR)
    chains = [patch["match"]["listener"]["filterChain"] for patch in spec["configPatches"]]
    assert not any("transportProtocol" in chain for chain in chains)


def test_http_has_no_filter_of_bytes(export: ExportedService) -> None:
    spec = ingress_export.consumers_in_handshake(export.model_copy(update={"protocol": "HTTP"}), INGRESS, SELECTOR)
    assert {patch["applyTo"] for patch in spec["configPatches"]} == {"FILTER_CHAIN"}


def test_the_second_lock_is_for_the_ingress_ports_alone(export: ExportedService) -> None:
    """Of a site with `cluster.local`, which Istio reads as the mesh's own."""
    ports = [{"operation": {"ports": ["13306", "43060"]}}]
    principals = ["cluster.local/ns/dr/sa/backup", "dc2.dcmesh/ns/dr/sa/replica"]
    denied = {"from": [{"source": {"notPrincipals": principals}}], "to": ports}
    selector = {"matchLabels": SELECTOR}
    assert ingress_export.others_denied(export, INGRESS, SELECTOR) == {
        "selector": selector,
        "action": "DENY",
        "rules": [denied],
    }
    allowed = {"selector": selector, "action": "ALLOW", "rules": [{"to": ports}]}
    assert ingress_export.allowed_at(INGRESS, SELECTOR) == allowed


def test_the_gateway_is_led_to_the_ingress_ports(export: ExportedService) -> None:
    spec = ingress_export.ingress_entry(export, POD_0, INGRESS, ["one"])
    assert (spec["hosts"], spec["exportTo"]) == ([SERVED], ["one"])
    assert [(of["number"], of["targetPort"], of["name"]) for of in spec["ports"]] == [
        (3306, 13306, "tcp-dcmesh-ingress"),
        (33060, 43060, "tcp-33060-dcmesh-ingress"),
    ]
    assert all(len(of["name"]) > 15 for of in spec["ports"]), "a container's port may have the name"
    assert spec["workloadSelector"] == {"labels": {"statefulset.kubernetes.io/pod-name": "db-pxc-0"}}


def test_the_gateway_passes_on_tls_by_the_names_in_the_link(export: ExportedService) -> None:
    spec = ingress_export.passing_servers(export, GATEWAY_NAMESPACE)
    assert spec["selector"] == GATEWAY_LABELS
    assert [server["hosts"] for server in spec["servers"]] == [[name] for name in export.server_names]
    assert all(server["tls"] == {"mode": "AUTO_PASSTHROUGH"} for server in spec["servers"])
    assert len({server["port"]["name"] for server in spec["servers"]}) == 2


def test_the_sites_own_clients_speak_plaintext() -> None:
    assert plaintext_rule("db", "shop") == {
        "host": "db.shop.svc.cluster.local",
        "exportTo": ["*"],
        "trafficPolicy": {"tls": {"mode": "DISABLE"}},
    }
