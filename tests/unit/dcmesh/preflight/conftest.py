"""A cluster that has everything that a site needs, and the site."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.servers import KubernetesAPI, kubernetes_api

from .test_readiness import GOOD, Raw


@pytest.fixture
def cluster() -> Iterator[KubernetesAPI]:
    with kubernetes_api() as server:
        server.objects = dict(GOOD)
        yield server


@pytest.fixture
def raw(cluster: KubernetesAPI, tmp_path: Path) -> Raw:
    """A stack of one site, on a cluster that already has Istio and the certificates."""
    (tmp_path / "dc2").write_text(cluster.kubeconfig())
    return {
        "trust": {"source": "existing"},
        "istio": {"existing": {"revision": "stable"}},
        "sites": [
            {
                "name": "dc2",
                "cluster": {"kubeconfig": f"{tmp_path}/dc2", "context": "there"},
                "exports": [
                    {
                        "name": "orders",
                        "namespace": "shop",
                        "replicas": 2,
                        "port": 3306,
                        "serviceAccount": "mysql",
                        "selector": {"app": "db"},
                        "consumers": [{"site": "dc1", "namespace": "audit", "serviceAccount": "reader"}],
                    }
                ],
                "imports": [{"from": "dc1", "export": "stock", "namespace": "dr", "serviceAccount": "replica"}],
            }
        ],
    }
