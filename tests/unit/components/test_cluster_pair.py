"""ClusterPair: where each site's cluster comes from. test_program.py tests how sites and links are wired."""

from collections.abc import Callable
from typing import Any

import pytest

from components.cluster import Commands, Existing, K3d
from components.cluster_pair import cluster_source
from dcmesh.model.settings import Settings


@pytest.fixture
def sources(dev: dict[str, Any]) -> Callable[..., list[K3d | Commands | Existing]]:
    def of(*clusters: Any) -> list[K3d | Commands | Existing]:
        for site, cluster in zip(dev["sites"], clusters, strict=True):
            site["cluster"] = cluster
        settings = Settings.model_validate(dev)
        return [cluster_source("blue", settings, site) for site in settings.sites]

    return of


def test_k3d_clusters_share_a_host_and_so_no_port_and_no_name(sources: Callable[..., list[Any]]) -> None:
    assert sources("k3d", "k3d") == [
        K3d(name="dcmesh-blue-dc1", gateway_port=15443),
        K3d(name="dcmesh-blue-dc2", gateway_port=15444),
    ]


def test_commands(sources: Callable[..., list[Any]]) -> None:
    one, two = ({"create": f"{name} up", "kubeconfig": name, "delete": f"{name} down"} for name in ("one", "two"))
    assert sources(one, {**two, "throwAway": True}) == [Commands(**one), Commands(**two)]


def test_existing_clusters(sources: Callable[..., list[Any]]) -> None:
    assert sources({"kubeconfig": "~/one"}, {"kubeconfig": "~/two", "context": "b"}) == [
        Existing(kubeconfig="~/one"),
        Existing(kubeconfig="~/two", context="b"),
    ]
