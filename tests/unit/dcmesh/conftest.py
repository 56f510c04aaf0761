"""A server that plays a cluster's API."""

from collections.abc import Iterator

import pytest

from dcmesh.kube.api import ApiClient, connect
from tests.unit.servers import KubernetesAPI, kubeconfig, kubernetes_api


@pytest.fixture
def server() -> Iterator[KubernetesAPI]:
    with kubernetes_api() as server:
        yield server


@pytest.fixture
def api(server: KubernetesAPI) -> Iterator[ApiClient]:
    with connect(kubeconfig({"there": f"http://127.0.0.1:{server.server_port}"})) as api:
        yield api
