"""What may be read of a cluster."""

from dcmesh.kube.api import ApiClient
from dcmesh.preflight.allowed import Allowed
from tests.unit.servers import KubernetesAPI

PODS = "/api/v1/namespaces/shop/pods"


def test_the_checks_of_a_site_read_each_thing_once(server: KubernetesAPI, api: ApiClient) -> None:
    allowed, pods = Allowed(api), [{"metadata": {"name": "db-0"}}]
    server.objects[PODS] = {"items": pods}
    assert allowed.list(PODS) == pods
    server.objects[PODS] = {"items": []}
    assert allowed.list(PODS) == pods
    assert Allowed(api).list(PODS) == []


def test_what_may_not_be_read_is_told_once(server: KubernetesAPI, api: ApiClient) -> None:
    server.objects[PODS] = 403
    allowed = Allowed(api)
    assert allowed.list(PODS) == allowed.list(PODS) == []
    (told,) = allowed.unseen("sites[0]", "dc1")
    assert told.line().startswith('sites[0].name: "dc1" was looked at without what its kubeconfig\'s user may not read')
