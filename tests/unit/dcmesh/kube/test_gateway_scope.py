"""Gateways that lose their gateway pods once an istiod binds them to their own namespaces."""

from collections.abc import Iterator
from typing import Any

import pytest

from dcmesh.kube.api import connect
from dcmesh.kube.gateway_scope import shut_by_scope
from dcmesh.kube.read_rights import Allowed
from dcmesh.model.istio import SCOPE
from tests.unit.servers import KubernetesAPI, kubeconfig, kubernetes_api

ISTIOD = "/apis/apps/v1/namespaces/istio-system/deployments/istiod"
GATEWAYS = "/apis/networking.istio.io/v1/gateways"
PODS = "/api/v1/pods"


def istiod(**env: str) -> dict[str, Any]:
    container = {"name": "discovery", "env": [{"name": name, "value": value} for name, value in env.items()]}
    labels = {"app": "istiod"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return {"spec": {"selector": {"matchLabels": labels}, "template": template}}


def gateway(namespace: str, name: str, **selector: str) -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "name": name}, "spec": {"selector": selector}}


@pytest.fixture
def api() -> Iterator[KubernetesAPI]:
    with kubernetes_api() as server:
        ingress = {"items": [{"metadata": {"namespace": "ingress", "name": "pod"}}]}
        server.objects = {
            ISTIOD: istiod(),
            GATEWAYS: {
                "items": [
                    gateway("shop", "web", istio="ingress"),
                    gateway("ingress", "admin", istio="ingress"),
                    gateway("shop", "unused", istio="nobody"),
                    gateway("shop", "all"),
                ]
            },
            PODS: {"items": []},
            f"{PODS}?labelSelector=istio=ingress": ingress,
        }
        yield server


def shut(api: KubernetesAPI) -> list[str]:
    with connect(kubeconfig({"here": f"http://127.0.0.1:{api.server_port}"})) as client:
        return shut_by_scope(Allowed(client))


def test_those_that_open_gateways_of_other_namespaces_are_named(api: KubernetesAPI) -> None:
    assert shut(api) == ["shop/all", "shop/web"]


def test_one_without_a_spec_opens_nothing(api: KubernetesAPI) -> None:
    """The API accepts a Gateway without a spec."""
    api.objects[GATEWAYS]["items"].append({"metadata": {"namespace": "shop", "name": "empty"}})
    assert shut(api) == ["shop/all", "shop/web"]


def test_none_is_where_istiod_binds_them_already(api: KubernetesAPI) -> None:
    api.objects[ISTIOD] = istiod(**{SCOPE: "true"})
    assert shut(api) == []


@pytest.mark.parametrize(("path", "status"), [(ISTIOD, 404), (ISTIOD, 403), (GATEWAYS, 403), (GATEWAYS, 404)])
def test_none_is_where_there_is_no_istio_or_one_may_not_look(api: KubernetesAPI, path: str, status: int) -> None:
    api.objects[path] = status
    assert shut(api) == []
