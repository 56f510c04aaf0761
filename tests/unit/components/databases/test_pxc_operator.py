"""PxcOperator: the chart's values, and that a cluster waits until the operator answers."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest

from components.databases.pxc_operator import PxcOperator, PxcOperatorArgs, operator_values
from components.mesh.istio import Charts
from lab import pxc_chart
from tests.unit.engine import Engine


@pytest.fixture
def created(engine: Engine) -> Engine:
    def program() -> None:
        istiod = k8s.helm.v3.Release("istiod", chart="istiod")
        args = PxcOperatorArgs(
            charts=Charts(version="1.20.0", repository="https://charts.example"),
            namespace="operators",
            labels={"istio.io/rev": "stable"},
            after=[istiod],
            kubeconfig=pulumi.Output.from_input(""),
            values={"podAnnotations": {"a": "b"}, "resources": {"limits": {}}},
        )
        operator = PxcOperator("dc1-pxc-operator", args, pulumi.ResourceOptions(provider=k8s.Provider("dc1")))
        k8s.core.v1.ConfigMap("cluster", opts=pulumi.ResourceOptions(depends_on=list(operator.ready)))

    return engine.run(program)


def release(engine: Engine) -> Mapping[str, Any]:
    return engine["dc1-pxc-operator-release"].inputs


def test_the_operator_stands_in_the_mesh(created: Engine) -> None:
    namespace = created.one("Namespace")
    assert namespace.object == ("", "operators")
    assert namespace.inputs["metadata"]["labels"] == {"istio.io/rev": "stable"}
    assert "istiod" in created.before("dc1-pxc-operator-release")


def test_it_is_perconas_chart(created: Engine) -> None:
    made = release(created)
    assert (made["chart"], made["version"], made["namespace"]) == ("pxc-operator", "1.20.0", "operators")
    assert made["repositoryOpts"] == {"repo": "https://charts.example"}


def test_it_watches_all_namespaces_and_tells_nobody() -> None:
    assert operator_values()["watchAllNamespaces"] is True
    assert operator_values()["disableTelemetry"] is True


def test_the_api_server_reaches_the_webhook_past_the_sidecar(created: Engine) -> None:
    annotations = release(created)["values"]["podAnnotations"]
    assert annotations["traffic.sidecar.istio.io/excludeInboundPorts"] == "9443"


def test_the_users_values_are_laid_over(created: Engine) -> None:
    values = release(created)["values"]
    assert values["podAnnotations"]["a"] == "b"
    assert values["resources"] == {"limits": {}}


def test_the_labs_chart_knows_all_values_that_are_set() -> None:
    assert operator_values().keys() == pxc_chart._VALUES.keys()


def test_the_webhook_is_there_before_the_operator_which_would_make_its_own(created: Engine) -> None:
    webhook = created.one("ValidatingWebhookConfiguration")
    assert webhook.object == ("", "percona-xtradbcluster-webhook")
    assert webhook.name in created.before("dc1-pxc-operator-release")
    assert "dc1-pxc-operator-release" in created.before("cluster")
    assert "pulumi.com/waitFor" not in webhook.inputs["metadata"].get("annotations", {})
    (hook,) = webhook.inputs["webhooks"]
    assert hook["clientConfig"]["service"]["namespace"] == "operators"
    assert "caBundle" not in hook["clientConfig"]
