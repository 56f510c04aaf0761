"""Hello and HelloClient: manifests whose parts must agree, and their wiring."""

from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest

from components.workloads import hello
from components.workloads.hello import Hello, HelloArgs, HelloClient, HelloClientArgs
from dcmesh.model import settings as model
from tests.unit.engine import Engine


@pytest.fixture
def stateful_set() -> dict[str, Any]:
    return hello.hello_stateful_set(name="web", image="agnhost", replicas=5, port=8081, metadata={})


@pytest.fixture
def service() -> dict[str, Any]:
    return hello.headless_service(name="web", port=8081)


def container(workload: dict[str, Any]) -> dict[str, Any]:
    (only,) = workload["template"]["spec"]["containers"]
    return only


def test_pods_get_their_names_from_the_headless_service(stateful_set: dict[str, Any], service: dict[str, Any]) -> None:
    assert stateful_set["serviceName"] == "web"
    assert service["clusterIP"] == "None"
    assert service["selector"] == stateful_set["template"]["metadata"]["labels"]


def test_service_is_not_reachable_from_outside(service: dict[str, Any]) -> None:
    assert service.get("type", "ClusterIP") == "ClusterIP"


def test_port_is_one_and_the_same(stateful_set: dict[str, Any], service: dict[str, Any]) -> None:
    server = container(stateful_set)
    (listened,) = server["ports"]
    (served,) = service["ports"]
    assert server["args"] == ["serve-hostname", "--port=8081"]
    assert listened["containerPort"] == served["port"] == served["targetPort"] == 8081
    assert server["readinessProbe"]["httpGet"]["port"] == listened["name"]


def test_hello_has_as_many_pods_as_asked(stateful_set: dict[str, Any]) -> None:
    assert stateful_set["replicas"] == 5


@pytest.mark.parametrize(
    "workload",
    [
        hello.hello_stateful_set(name="web", image="agnhost", replicas=1, port=80, metadata={}),
        hello.client_deployment(name="web", image="agnhost", metadata={}),
    ],
)
def test_workload_owns_its_pods_and_they_run_as_their_own_account(workload: dict[str, Any]) -> None:
    assert workload["selector"]["matchLabels"] == workload["template"]["metadata"]["labels"]
    assert workload["template"]["spec"]["serviceAccountName"] == "web"


def test_client_only_waits() -> None:
    assert container(hello.client_deployment(name="web", image="agnhost", metadata={}))["args"] == ["pause"]


def create_hello(name: str, namespace: str, **options: Any) -> None:
    web = model.Hello(kind="hello", namespace=namespace, name="web", replicas=2, port=8081)
    Hello(
        name,
        HelloArgs(workload=web, image="agnhost", labels={"istio.io/rev": namespace}, after=options.pop("after")),
        **options,
    )


def create_client(name: str, namespace: str, **options: Any) -> None:
    web = model.HelloClient(kind="hello-client", namespace=namespace, name="web")
    args = HelloClientArgs(
        workload=web, image="agnhost", labels={"istio.io/rev": namespace}, after=options.pop("after")
    )
    HelloClient(name, args, **options)


@pytest.fixture(params=[create_hello, create_client])
def created(request: pytest.FixtureRequest, engine: Engine) -> Engine:
    """Two of a workload, in two namespaces of one cluster."""
    create: Callable[..., None] = request.param

    def program() -> None:
        istiod = k8s.helm.v3.Release("istiod", chart="istiod")
        opts = pulumi.ResourceOptions(provider=k8s.Provider("dc1"))
        for namespace in ("one", "two"):
            create(f"dc1-{namespace}", namespace, after=[istiod], opts=opts)

    return engine.run(program)


def test_namespaces_have_the_labels_that_inject_sidecars(created: Engine) -> None:
    labels = {n.object[1]: n.inputs["metadata"]["labels"] for n in created.kind("Namespace")}
    assert labels == {"one": {"istio.io/rev": "one"}, "two": {"istio.io/rev": "two"}}


def test_each_stands_in_its_own_namespace_under_its_own_name(created: Engine) -> None:
    inside = [r for r in created.in_kubernetes() if r.kind not in ("Namespace", "Release")]
    assert {r.object for r in inside} == {("one", "web"), ("two", "web")}
    assert {r.provider for r in created.in_kubernetes() if r.name != "istiod"} == {"dc1"}


def test_pods_start_after_istiod_and_their_account(created: Engine) -> None:
    for namespace in ("one", "two"):
        (pods,) = [r for r in created.kind("StatefulSet", "Deployment") if r.object[0] == namespace]
        (account,) = [r for r in created.kind("ServiceAccount") if r.object[0] == namespace]
        assert {"istiod", account.name} <= created.before(pods.name)
