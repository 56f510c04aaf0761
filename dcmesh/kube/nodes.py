"""Nodes: which of them have a kernel that can do what a site's gateway would like."""

import re

import pulumi
from kubernetes import client

from dcmesh.kube.api import ERRORS, SECONDS, connect, why

RTO_MAX_SINCE = (6, 15)
"""The first Linux with the socket option TCP_RTO_MAX_MS, according to its release notes."""


def with_rto_max(site: str, kubeconfig: str) -> list[str]:
    """Return the names of a cluster's nodes whose kernel has the socket option TCP_RTO_MAX_MS.

    Empty if nodes may not be listed: then the option is not used.

    Args:
        site: name of the site.
        kubeconfig: contents of a kubeconfig of the cluster.

    Raises:
        pulumi.RunError: the cluster cannot be asked.
    """
    try:
        with connect(kubeconfig) as api:
            nodes = client.CoreV1Api(api).list_node(_request_timeout=SECONDS).items
    except ERRORS as error:
        if isinstance(error, client.ApiException) and error.status in (401, 403):
            return []
        raise pulumi.RunError(
            f"{site}: its cluster cannot be asked for its nodes: {why(error)}. If {site} is gone, set failover.without "
            f"to {site} (docs/switchover.md)"
        ) from None
    return sorted(node.metadata.name for node in nodes if is_since(node.status.node_info.kernel_version, RTO_MAX_SINCE))


def is_since(kernel: str, version: tuple[int, int]) -> bool:
    """Tell whether a kernel, such as `6.18.44-generic`, is that version or newer. If it cannot be parsed it is not."""
    found = re.match(r"(\d+)\.(\d+)", kernel)
    return found is not None and (int(found[1]), int(found[2])) >= version
