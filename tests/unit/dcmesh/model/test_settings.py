"""Settings: what a link says of an export."""

from collections.abc import Callable
from typing import Any

import pytest

from dcmesh.model.link import ExportedService
from tests.unit.conftest import settings_of

ORDERS = {
    "name": "orders",
    "namespace": "shop",
    "replicas": 2,
    "port": 3306,
    "serviceAccount": "mysql",
    "selector": {"app": "db"},
    "consumers": [{"site": "dc2", "namespace": "dr", "serviceAccount": "replica"}],
}


@pytest.fixture
def exported(dev: dict[str, Any]) -> Callable[..., ExportedService]:
    def of(**changes: Any) -> ExportedService:
        dev["sites"][0]["exports"].append(ORDERS | changes)
        return settings_of(dev).sites[0].exports[-1].for_link(("cluster.local",))

    return of


def test_all_of_an_export(exported: Callable[..., ExportedService], database: ExportedService) -> None:
    assert exported(statefulSet="db-pxc", service="db") == database


@pytest.mark.parametrize(
    ("changes", "host"),
    [
        ({}, "orders-0.orders.shop.svc.cluster.local"),
        ({"statefulSet": "db-pxc"}, "db-pxc-0.db-pxc.shop.svc.cluster.local"),
        ({"service": "db"}, "orders-0.db.shop.svc.cluster.local"),
    ],
)
def test_service_is_named_as_the_stateful_set_and_that_as_the_export_unless_told(
    exported: Callable[..., ExportedService], changes: dict[str, str], host: str
) -> None:
    assert exported(**changes).hosts[0] == host


@pytest.mark.parametrize(
    ("changes", "probe"),
    [
        ({}, "greeting"),
        ({"protocol": "TCP"}, "greeting"),
        ({"protocol": "HTTP"}, "http"),
        ({"protocol": "HTTP", "probe": "pod-name"}, "pod-name"),
        ({"protocol": "TCP", "probe": "http"}, "http"),
    ],
)
def test_probe_follows_the_protocol_unless_told(
    exported: Callable[..., ExportedService], changes: dict[str, str], probe: str
) -> None:
    assert exported(**changes).probe == probe
