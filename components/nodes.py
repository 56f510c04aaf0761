"""Nodes: whose kernel can do what a site's gateway would like."""

import re

from kubernetes import client

from components.kubernetes_api import SECONDS, connect

RTO_MAX_SINCE = (6, 15)
"""Linux that has the socket option TCP_RTO_MAX_MS, from its release notes on networking."""


def with_rto_max(kubeconfig: str) -> list[str]:
    """Return the names of a cluster's nodes whose kernel has the socket option TCP_RTO_MAX_MS.

    None if nodes may not be listed: what depends on it does without.

    Args:
        kubeconfig: contents of a kubeconfig of the cluster.

    Raises:
        HTTPError, client.ApiException: the cluster cannot be asked.
    """
    with connect(kubeconfig) as api:
        try:
            nodes = client.CoreV1Api(api).list_node(_request_timeout=SECONDS).items
        except client.ApiException as error:
            if error.status in (401, 403):
                return []
            raise
    return sorted(node.metadata.name for node in nodes if is_since(node.status.node_info.kernel_version, RTO_MAX_SINCE))


def is_since(kernel: str, version: tuple[int, int]) -> bool:
    """Tell whether a kernel, such as `6.18.44-generic`, is of that version or newer; one that cannot be read is not."""
    found = re.match(r"(\d+)\.(\d+)", kernel)
    return found is not None and (int(found[1]), int(found[2])) >= version
