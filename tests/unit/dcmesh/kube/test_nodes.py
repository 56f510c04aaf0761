"""Nodes: which kernels have the socket option that a gateway would like to use."""

from typing import Any

import pulumi
import pytest

from dcmesh.kube.nodes import RTO_MAX_SINCE, is_since, with_rto_max
from tests.unit.servers import KubernetesAPI, kubeconfig, kubernetes_api


def node(name: str, kernel: str) -> dict[str, Any]:
    required = ("architecture", "bootID", "containerRuntimeVersion", "kubeProxyVersion", "kubeletVersion", "machineID")
    info = dict.fromkeys((*required, "operatingSystem", "osImage", "systemUUID"), "")
    return {"metadata": {"name": name}, "status": {"nodeInfo": {**info, "kernelVersion": kernel}}}


def of(api: KubernetesAPI) -> str:
    return kubeconfig({"here": f"http://127.0.0.1:{api.server_port}"})


@pytest.mark.parametrize(
    ("kernel", "since"),
    [
        ("6.15.0", True),
        ("6.18.44-fc-v595", True),
        ("7.0.1", True),
        ("6.14.11-generic", False),
        ("5.15.0-1073-aws", False),
        ("6.8", False),
        ("", False),
        ("unknown", False),
    ],
)
def test_kernels_are_told_apart(kernel: str, since: bool) -> None:
    assert is_since(kernel, RTO_MAX_SINCE) == since


def test_nodes_with_a_kernel_that_is_new_enough_are_named() -> None:
    with kubernetes_api() as api:
        api.objects = {"/api/v1/nodes": {"items": [node("b", "6.18.1"), node("a", "6.15.0"), node("c", "6.8.0")]}}
        assert with_rto_max("dc1", of(api)) == ["a", "b"]


def test_who_may_not_list_nodes_does_without() -> None:
    with kubernetes_api() as api:
        api.objects = {"/api/v1/nodes": 403}
        assert with_rto_max("dc1", of(api)) == []


def test_what_is_not_known_is_not_taken_for_none() -> None:
    """Otherwise, if the API server fails, one `up` would remove a listener's option, and the next add it again."""
    with kubernetes_api() as api:
        api.objects = {"/api/v1/nodes": 500}
        with pytest.raises(pulumi.RunError, match="dc1: its cluster cannot be asked for its nodes: 500"):
            with_rto_max("dc1", of(api))
