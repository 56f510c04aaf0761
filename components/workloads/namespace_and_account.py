"""What every workload has: a namespace with sidecar injection, and a service account as its identity."""

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s


def pod_labels(name: str) -> dict[str, str]:
    """Return the labels of a workload's pods."""
    return {"app": name}


def create_identity(
    prefix: str,
    *,
    namespace: str,
    labels: Mapping[str, str],
    name: str,
    parent: pulumi.Resource,
    protect: bool = False,
) -> tuple[k8s.core.v1.ServiceAccount, k8s.meta.v1.ObjectMetaArgs]:
    """Create a namespace with these labels, which may be kept from deletion, and a service account in it.

    Returns:
        The account, and metadata for objects of the same name in the namespace.
    """
    child = pulumi.ResourceOptions(parent=parent)
    created = k8s.core.v1.Namespace(
        f"{prefix}-namespace",
        metadata=k8s.meta.v1.ObjectMetaArgs(name=namespace, labels=dict(labels)),
        opts=pulumi.ResourceOptions(parent=parent, protect=protect),
    )
    metadata = k8s.meta.v1.ObjectMetaArgs(name=name, namespace=created.metadata.name)
    return k8s.core.v1.ServiceAccount(f"{prefix}-serviceaccount", metadata=metadata, opts=child), metadata


NO_SIDECAR = {"sidecar.istio.io/inject": "false"}
"""Labels of pods that get no sidecar, whatever their namespace says."""
