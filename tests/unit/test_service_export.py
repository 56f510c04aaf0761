"""ServiceExport: the Istio objects of the exporting site, as plain data. How they are wired: test_program.py."""

import pytest

from components import service_export
from components.gateway import GATEWAY_LABELS
from components.link import ExportedService, ServiceAccount

POD_0 = "db-pxc-0.db.shop.svc.cluster.local"
CONSUMERS = [ServiceAccount(namespace="dr", name="replica"), ServiceAccount(namespace="dr", name="backup")]


def test_service_entry_is_one_pod_seen_by_the_gateway_alone(database: ExportedService) -> None:
    assert service_export.pod_service_entry(database, POD_0) == {
        "hosts": [POD_0],
        "exportTo": ["istio-system"],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": 3306, "name": "tcp", "protocol": "TCP"}],
        "workloadSelector": {"labels": {"statefulset.kubernetes.io/pod-name": "db-pxc-0"}},
    }


def test_gateway_passes_on_exactly_the_hosts(database: ExportedService) -> None:
    spec = service_export.gateway_servers(database)
    (server,) = spec["servers"]
    assert tuple(server["hosts"]) == database.hosts
    assert server["tls"] == {"mode": "AUTO_PASSTHROUGH"}
    assert server["port"] == {"number": 15443, "name": "tls", "protocol": "TLS"}
    assert spec["selector"] == GATEWAY_LABELS


def test_plaintext_to_the_pods_is_refused() -> None:
    assert service_export.strict_mtls({"app": "db"}) == {
        "selector": {"matchLabels": {"app": "db"}},
        "mtls": {"mode": "STRICT"},
    }


def test_all_but_the_consumers_are_denied_by_server_name(database: ExportedService) -> None:
    assert service_export.consumers_only(database, {"app": "db"}, CONSUMERS) == {
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
                        "values": [
                            "outbound_.3306_._.db-pxc-0.db.shop.svc.cluster.local",
                            "outbound_.3306_._.db-pxc-1.db.shop.svc.cluster.local",
                        ],
                    }
                ],
            }
        ],
    }


@pytest.mark.parametrize("order", [CONSUMERS, CONSUMERS[::-1]])
def test_order_of_the_consumers_changes_nothing(database: ExportedService, order: list[ServiceAccount]) -> None:
    assert service_export.consumers_only(database, {"app": "db"}, order) == service_export.consumers_only(
        database, {"app": "db"}, CONSUMERS
    )
