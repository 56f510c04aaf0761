"""PxcOperator: Percona's operator for XtraDB clusters in one cluster, by Percona's Helm chart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from ..mesh.istio import Charts, Values, merge
from ..pulumi_secrets import sealed
from .pxc_operator_webhook import WEBHOOK, webhook_hooks

OPERATOR = "pxc-operator"
"""Name of the chart, of its release and thereby of the operator's Deployment and service account."""

WEBHOOK_SERVICE, WEBHOOK_PORT = "percona-xtradb-cluster-operator", 9443
"""The name that the operator's source has (pkg/webhook/hook.go), and the port that the operator listens on."""


def operator_values() -> dict[str, Any]:
    """Return the values of the chart `pxc-operator`."""
    return {
        # One operator for all namespaces. It also has its webhook in this mode only.
        "watchAllNamespaces": True,
        "disableTelemetry": True,
        "podAnnotations": {
            # The API server calls the webhook and has no certificate of the mesh.
            "traffic.sidecar.istio.io/excludeInboundPorts": str(WEBHOOK_PORT),
            # The sidecar is there before the operator, which asks the API at once; Kubernetes can do that from 1.29 on.
            "sidecar.istio.io/nativeSidecar": "true",
        },
    }


def validating_webhooks(namespace: str) -> list[dict[str, Any]]:
    """Return the operator's own webhooks, without the authority of its certificate, which it adds itself.

    Args:
        namespace: where the operator runs.
    """
    service = {"namespace": namespace, "name": WEBHOOK_SERVICE, "path": "/validate-percona-xtradbcluster"}
    rule = {
        "apiGroups": ["pxc.percona.com"],
        "apiVersions": ["*"],
        "resources": ["perconaxtradbclusters/*"],
        "operations": ["CREATE", "UPDATE"],
    }
    return [
        {
            "name": "validationwebhook.pxc.percona.com",
            "admissionReviewVersions": ["v1"],
            "clientConfig": {"service": service},
            "rules": [rule],
            "failurePolicy": "Fail",
            "sideEffects": "None",
        }
    ]


@dataclass(frozen=True, kw_only=True)
class PxcOperatorArgs:
    """Arguments of PxcOperator.

    Attributes:
        charts: where the chart comes from.
        namespace: namespace to create.
        labels: the namespace's labels, sidecar injection among them.
        after: what must be there first: the site's istiod, which injects the sidecar.
        kubeconfig: contents of the cluster's kubeconfig.
        values: values laid over those of the chart `pxc-operator`.
        hooks: what surrounds Helm's work on a release. Default: nothing.
    """

    charts: Charts
    namespace: str
    labels: Mapping[str, str]
    after: Sequence[pulumi.Resource]
    kubeconfig: pulumi.Output[str]
    values: Values = field(default_factory=dict)
    hooks: pulumi.ResourceHookBinding | None = None


class PxcOperator(pulumi.ComponentResource):
    """Percona's operator, in the mesh: without a sidecar it would get no answer from its databases, which have one.

    Creates:
        - `Namespace` with sidecar injection.
        - Helm release `pxc-operator`: the operator and its CRDs, which Helm keeps when the release is removed.
        - `ValidatingWebhookConfiguration`, just as the operator makes it, before the operator. Ours, because the
          operator would leave its own behind, which refuses every change of a cluster while no operator answers.
    """

    ready: Sequence[pulumi.Resource]
    """What a `PerconaXtraDBCluster` must depend on."""

    def __init__(self, name: str, args: PxcOperatorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:PxcOperator", name, {}, opts)
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata=k8s.meta.v1.ObjectMetaArgs(name=args.namespace, labels=dict(args.labels)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        # An operator makes itself the owner of what it finds. So ours is made, or another's refused, before it.
        webhook = k8s.admissionregistration.v1.ValidatingWebhookConfiguration(
            f"{name}-webhook",
            metadata=k8s.meta.v1.ObjectMetaArgs(name=WEBHOOK),
            webhooks=validating_webhooks(args.namespace),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[namespace]),
        )
        release = k8s.helm.v3.Release(
            f"{name}-release",
            name=OPERATOR,
            namespace=namespace.metadata.name,
            values=sealed(merge(operator_values(), args.values)),
            **args.charts.release(OPERATOR),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[*args.after, webhook],
                hooks=webhook_hooks(f"{name}-webhook-served", args.kubeconfig, args.hooks),
            ),
        )
        self.ready = [release]
        self.register_outputs({})
