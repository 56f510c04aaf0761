"""Containers' ports with the name of an export's port: those of existing pods, and of their StatefulSet's next ones."""

from typing import Any

import pytest

from dcmesh.config.errors import Remark
from dcmesh.kube.api import ApiClient
from dcmesh.kube.read_rights import Allowed
from dcmesh.model.link import POD_NAME
from dcmesh.model.plan import plan_of
from dcmesh.model.settings import Settings
from dcmesh.preflight.port_names import taken
from dcmesh.sites_in_state import SiteInState
from tests.unit.configurations import stack
from tests.unit.servers import KubernetesAPI

GATEWAY, POD, BY_LABEL, INGRESS = "existing-database", "dc1", "operators-database", "ingress-port"
AT = "sites[0].exports[0]"


def lines(api: ApiClient, example: str, *there: str, **changes: Any) -> list[tuple[bool, str]]:
    """Return the findings for the first export of an example: whether each stops an `up`, and its line."""
    raw = stack(example)
    (export, *_) = raw["sites"][0]["exports"]
    raw["sites"][0]["exports"] = [{key: value for key, value in {**export, **changes}.items() if value is not None}]
    settings = Settings.model_validate(raw)
    known = SiteInState(identity="", kubeconfig="", objects={f"urn::{name}": ("", name) for name in there})
    found = taken(Allowed(api), settings.sites[0], "sites[0]", plan_of(settings, {}).site("dc1"), known)
    return [(not isinstance(one, Remark), one.line()) for one in found]


def containers(**port: Any) -> dict[str, Any]:
    return {"containers": [{"name": "web"}, {"name": "db", "ports": [{"containerPort": 9104, **port}]}]}


def pods(name: str, spec: dict[str, Any], label: str = POD_NAME, **status: Any) -> dict[str, Any]:
    return {"items": [{"metadata": {"name": name, "labels": {label: name}}, "spec": spec, "status": status}]}


def first(example: str) -> tuple[str, str, int]:
    """Return the namespace and StatefulSet of an example's first export, and its first port."""
    (export, *_) = Settings.model_validate(stack(example)).sites[0].exports
    return export.namespace, export.stateful_set_name, export.port_numbers[0]


@pytest.mark.parametrize(
    ("example", "there"),
    [(GATEWAY, "dc1.db-pxc-0.db-pxc.wookie.dc1.dcmesh-x"), (POD, "dc1.export.db-x")],
)
def test_a_port_that_is_called_so_is_refused_before_anything_is_created(
    server: KubernetesAPI, api: ApiClient, example: str, there: str
) -> None:
    """An existing export is reported, and stops no `up`."""
    namespace, name, port = first(example)
    server.objects[f"/api/v1/namespaces/{namespace}/pods"] = pods(f"{name}-0", containers(name="tcp"))
    ((stops, line),) = lines(api, example)
    assert stops
    assert line == (
        f"{AT}.port: {port} would be led to port 9104 of pod {namespace}/{name}-0 in dc1: a container calls that "
        f"`tcp`, as Istio's objects call port {port}, and Istio goes by the name. Give the container's port another "
        "name, in the template of the pods, and have them start anew"
    )
    ((stops, _),) = lines(api, example, there)
    assert not stops


def test_pods_that_are_not_there_yet_are_known_by_their_template(server: KubernetesAPI, api: ApiClient) -> None:
    namespace, name, _ = first(GATEWAY)
    place = f"/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}"
    native = {"initContainers": [{"name": "log", "restartPolicy": "Always", **containers(name="tcp")["containers"][1]}]}
    for spec in (containers(name="tcp"), {"containers": [], **native}):
        server.objects[place] = {"spec": {"template": {"metadata": {}, "spec": spec}}}
        ((stops, line),) = lines(api, GATEWAY)
        assert stops
        assert f"of the pods of StatefulSet {namespace}/{name} in dc1" in line


@pytest.mark.parametrize(
    "spec",
    [
        containers(name="metrics"),
        containers(name="tcp", protocol="UDP"),
        containers(name="tcp", containerPort=3306),
        {"containers": [], "initContainers": [{"name": "once", "ports": [{"name": "tcp", "containerPort": 9104}]}]},
    ],
)
def test_what_istio_does_not_go_by(server: KubernetesAPI, api: ApiClient, spec: dict[str, Any]) -> None:
    namespace, name, port = first(GATEWAY)
    assert port == 3306
    server.objects[f"/api/v1/namespaces/{namespace}/pods"] = pods(f"{name}-0", spec)
    assert lines(api, GATEWAY) == []


def test_other_pods_and_such_as_have_ended_are_not_looked_at(server: KubernetesAPI, api: ApiClient) -> None:
    namespace, name, _ = first(GATEWAY)
    place = f"/api/v1/namespaces/{namespace}/pods"
    for found in (pods("other-0", containers(name="tcp")), pods(f"{name}-0", containers(name="tcp"), phase="Failed")):
        server.objects[place] = found
        assert lines(api, GATEWAY) == []


def test_each_port_of_pods_by_a_label_has_a_name_of_its_own(server: KubernetesAPI, api: ApiClient) -> None:
    place = "/api/v1/namespaces/ledger/pods"
    server.objects[place] = pods("pg-1", containers(name="tcp-9187"), "cnpg.io/instanceName")
    ((stops, line),) = lines(api, BY_LABEL)
    assert stops
    assert line.startswith(f"{AT}.ports[1].port: 9187 would be led to port 9104 of pod ledger/pg-1 in dc1")
    server.objects[place] = pods("pg-1", containers(name="tcp-5432"), "cnpg.io/instanceName")
    assert lines(api, BY_LABEL) == []


def test_a_service_as_a_whole_and_ingress_ports_are_led_by_no_names(server: KubernetesAPI, api: ApiClient) -> None:
    for example, changes in ((GATEWAY, {"replicas": None, "whole": True}), (INGRESS, {})):
        namespace, name, _ = first(example)
        server.objects[f"/api/v1/namespaces/{namespace}/pods"] = pods(f"{name}-0", containers(name="tcp"))
        assert lines(api, example, **changes) == []


def test_workloads_of_dcmeshs_own_are_not_looked_at(server: KubernetesAPI, api: ApiClient) -> None:
    settings = Settings.model_validate(stack("mariadb"))
    (export, *_) = settings.sites[0].exports
    server.objects[f"/api/v1/namespaces/{export.namespace}/pods"] = pods("db-0", containers(name="tcp"))
    assert lines(api, "mariadb") == []
