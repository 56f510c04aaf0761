"""ClusterPair: where each site's cluster comes from. How sites and links are wired: test_program.py."""

from collections.abc import Callable
from typing import Any

import pytest

from components.cluster import Existing, K3d, Lab
from components.cluster_pair import cluster_source
from dcmesh.model.settings import Settings


@pytest.fixture
def sources(dev: dict[str, Any]) -> Callable[..., list[K3d | Lab | Existing]]:
    def of(*clusters: Any) -> list[K3d | Lab | Existing]:
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


def test_lab_sites_share_the_stacks_lab_and_consumers_reach_their_exporter(sources: Callable[..., list[Any]]) -> None:
    assert sources("lab", "lab") == [
        Lab(lab="blue", site="dc1", reachable_from=("dc2",)),
        Lab(lab="blue", site="dc2", reachable_from=()),
    ]


def test_existing_clusters(sources: Callable[..., list[Any]]) -> None:
    assert sources({"kubeconfig": "~/one"}, {"kubeconfig": "~/two", "context": "b"}) == [
        Existing(kubeconfig="~/one"),
        Existing(kubeconfig="~/two", context="b"),
    ]
