"""What may be read of a cluster."""

import pytest

from dcmesh.kube.api import ApiClient, ApiException
from dcmesh.kube.read_rights import Allowed
from tests.unit.servers import KubernetesAPI

PODS = "/api/v1/namespaces/shop/pods"


def test_each_thing_is_read_once(server: KubernetesAPI, api: ApiClient) -> None:
    allowed, pods = Allowed(api), [{"metadata": {"name": "db-0"}}]
    server.objects[PODS] = {"items": pods}
    assert allowed.list(PODS) == pods
    server.objects[PODS] = {"items": []}
    assert allowed.list(PODS) == pods
    assert Allowed(api).list(PODS) == []


def test_what_may_not_be_read_is_nothing_and_remembered(server: KubernetesAPI, api: ApiClient) -> None:
    server.objects[PODS] = 403
    allowed = Allowed(api)
    assert allowed.list(PODS) == allowed.list(PODS) == []
    assert server.asked == [PODS]
    assert allowed.refused == {PODS: "403 Forbidden"}


def test_a_cluster_that_fails_is_not_one_with_nothing_in_it(server: KubernetesAPI, api: ApiClient) -> None:
    server.objects[PODS] = 500
    with pytest.raises(ApiException):
        Allowed(api).list(PODS)
