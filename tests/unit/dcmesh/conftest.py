"""A server that plays a cluster's API, and what a terminal is shown."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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


@pytest.fixture
def waited_for(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a terminal is shown to be under way, once that is over."""
    over = list[str]()

    @contextmanager
    def under_way(what: str) -> Iterator[Callable[[str], None]]:
        yield lambda _: None
        over.append(what)

    monkeypatch.setattr("dcmesh.screen.under_way", under_way)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    return over
