"""ServiceExport: the Istio objects of the exporting site, as plain data. test_program.py tests their wiring."""

import pytest

from components.mesh import service_export
from components.mesh.gateway import GATEWAY_LABELS
from dcmesh.model.gateway import GATEWAY_NAMESPACE
from dcmesh.model.link import Consumer, ExportedService

POD_0 = "db-pxc-0.db.shop.svc.cluster.local"
CONSUMERS = tuple(
    Consumer(site=site, namespace="dr", service_account=name) for site, name in (("dc2", "replica"), ("dc2", "backup"))
)


def test_service_entry_is_one_pod_seen_by_the_gateway_alone(database: ExportedService) -> None:
    assert service_export.pod_service_entry(database, POD_0, ["one", "former"]) == {
        "hosts": [POD_0],
        "exportTo": ["one", "former"],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": 3306, "name": "tcp", "protocol": "TCP"}],
        "workloadSelector": {"labels": {"statefulset.kubernetes.io/pod-name": "db-pxc-0"}},
    }


def test_gateway_passes_on_exactly_the_hosts_each_by_a_server_of_its_own(database: ExportedService) -> None:
    """If an older Gateway has one host of a server, Istio leaves out all of that server's hosts."""
    spec = service_export.gateway_servers(database, GATEWAY_NAMESPACE)
    assert [server["hosts"] for server in spec["servers"]] == [[host] for host in database.hosts]
    assert all(server["tls"] == {"mode": "AUTO_PASSTHROUGH"} for server in spec["servers"])
    ports = [server["port"] for server in spec["servers"]]
    assert {(port["number"], port["protocol"]) for port in ports} == {(15443, "TLS")}
    assert len({port["name"] for port in ports}) == len(database.hosts)
    assert spec["selector"] == GATEWAY_LABELS


def test_connections_to_a_host_are_limited_at_the_gateway_and_nowhere_else() -> None:
    assert service_export.connection_limit(POD_0, 50) == {
        "host": POD_0,
        "exportTo": ["."],
        "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 50}}},
    }


def test_plaintext_to_the_pods_is_refused() -> None:
    assert service_export.strict_mtls({"app": "db"}) == {
        "selector": {"matchLabels": {"app": "db"}},
        "mtls": {"mode": "STRICT"},
    }


def test_sidecars_of_the_pods_connect_to_the_server_after_the_handshake(database: ExportedService) -> None:
    spec = service_export.connect_after_handshake(database, {"app": "db"})
    assert spec["workloadSelector"] == {"labels": {"app": "db"}}
    proxy, chain, _ = spec["configPatches"]
    for patch, what in ((proxy, "NETWORK_FILTER"), (chain, "FILTER_CHAIN")):
        assert patch["applyTo"] == what
        assert patch["match"]["context"] == "SIDECAR_INBOUND"
        assert patch["match"]["listener"]["filterChain"]["destinationPort"] == 3306
        assert patch["patch"]["operation"] == "MERGE"
    assert proxy["patch"]["value"]["typed_config"]["upstream_connect_mode"] == "ON_DOWNSTREAM_TLS_HANDSHAKE"
    assert chain["patch"]["value"] == {"transport_socket_connect_timeout": "15s"}


def test_sidecars_of_the_pods_connect_to_the_server_for_nobody_but_the_consumers(database: ExportedService) -> None:
    spec = service_export.connect_after_handshake(database.model_copy(update={"consumers": CONSUMERS}), {"app": "db"})
    patch = spec["configPatches"][-1]
    assert patch["patch"]["operation"] == "INSERT_BEFORE"
    assert patch["match"]["listener"]["filterChain"]["filter"] == {"name": "envoy.filters.network.tcp_proxy"}
    (rule,) = patch["patch"]["value"]["typed_config"]["on_downstream_tls_handshake"]
    assert rule["object_key"] == "envoy.network.transport_socket.original_dst_address"
    assert rule["skip_if_empty"]
    assert rule["format_string"]["text_format_source"]["inline_string"] == (
        "%CEL(connection.requested_server_name.endsWith('.db.shop.svc.cluster.local') "
        "&& !connection.requested_server_name.endsWith('_.db.shop.svc.cluster.local') "
        "&& !(has(connection.uri_san_peer_certificate) && connection.uri_san_peer_certificate in "
        "['spiffe://cluster.local/ns/dr/sa/backup', 'spiffe://cluster.local/ns/dr/sa/replica']) ? '127.0.0.1:0' : '')%"
    )


def test_all_but_the_consumers_are_denied_by_server_name(database: ExportedService) -> None:
    assert service_export.consumers_only(database.model_copy(update={"consumers": CONSUMERS}), {"app": "db"}) == {
        "selector": {"matchLabels": {"app": "db"}},
        "action": "DENY",
        "rules": [
            {
                "from": [
                    {"source": {"notPrincipals": ["cluster.local/ns/dr/sa/backup", "cluster.local/ns/dr/sa/replica"]}}
                ],
                "when": [
                    {
                        "key": "connection.sni",
                        "values": ["*.db.shop.svc.cluster.local"],
                        "notValues": ["*_.db.shop.svc.cluster.local"],
                    }
                ],
            }
        ],
    }


def test_pods_take_consumers_of_their_own_trust_domain_by_themselves(database: ExportedService) -> None:
    assert service_export.of_other_domains(database, {"app": "db"}) is None


def test_pods_take_consumers_of_other_trust_domains_and_nobody_else_of_these(database: ExportedService) -> None:
    """Callers from their own mesh use the same port. Nothing changes for them."""
    other = CONSUMERS[0].model_copy(update={"trust_domains": ("dc2.dcmesh", "cluster.local")})
    export = database.model_copy(update={"consumers": (other,)})
    spec = service_export.of_other_domains(export, {"app": "db"})
    assert spec is not None
    (patch,) = spec["configPatches"]
    assert patch["match"]["listener"]["filterChain"] == {"destinationPort": 3306, "transportProtocol": "tls"}
    tls = patch["patch"]["value"]["transport_socket"]["typed_config"]
    names = tls["common_tls_context"]["combined_validation_context"]["default_validation_context"]
    assert names["match_typed_subject_alt_names"] == [
        {"san_type": "URI", "matcher": {"prefix": "spiffe://cluster.local/"}},
        {"san_type": "URI", "matcher": {"exact": "spiffe://dc2.dcmesh/ns/dr/sa/replica"}},
    ]


def test_consumers_of_the_old_trust_domain_are_let_in_before_it_goes(database: ExportedService) -> None:
    """istiod drops an alias at once. The rule that lets them in afterwards must exist before, with the same text."""
    ids = ["spiffe://dc1.dcmesh/ns/shop/sa/mysql", "spiffe://cluster.local/ns/shop/sa/mysql"]
    specs = [
        service_export.of_other_domains(database.model_copy(update={"identities": tuple(of)}), {"app": "db"})
        for of in (ids[::-1], ids, ids[:1])
    ]
    assert [spec is not None for spec in specs] == [False, True, True]
    for spec in specs[1:]:
        assert "'exact': 'spiffe://cluster.local/ns/dr/sa/replica'" in str(spec)


@pytest.mark.parametrize(
    "same",
    [CONSUMERS[::-1], (*CONSUMERS, CONSUMERS[0].model_copy(update={"site": "dc3"}))],
    ids=["another order", "from another site too"],
)
def test_policy_changes_with_the_accounts_alone(database: ExportedService, same: tuple[Consumer, ...]) -> None:
    """In one trust domain identities have no site: an account of the same name is the same identity everywhere."""
    policies = [
        service_export.consumers_only(database.model_copy(update={"consumers": consumers}), {"app": "db"})
        for consumers in (CONSUMERS, same)
    ]
    assert policies[0] == policies[1]
