"""Whether a cluster would let a pod in."""

from collections.abc import Mapping
from typing import Any

from kubernetes import client

from dcmesh.kube.allowed import words_of
from dcmesh.kube.api import SECONDS, ApiClient, ApiException

NAME = "dcmesh-would-be"
"""Name of the pod that is asked about. It is never made."""


def refusal(api: ApiClient, namespace: str, pod: Mapping[str, Any]) -> str | None:
    """Return why a pod would not be let into a namespace, in the cluster's words; None if nothing speaks against it.

    Args:
        api: the cluster.
        namespace: the namespace. Nothing speaks against one that is not there.
        pod: labels, annotations and spec.

    Raises:
        ApiException: the kubeconfig's user may not ask.
        HTTPError: the cluster is not reached.
    """
    metadata = {key: pod[key] for key in ("labels", "annotations") if key in pod}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": NAME, **metadata}, "spec": pod["spec"]}
    core = client.CoreV1Api(api)
    try:
        core.create_namespaced_pod(namespace, body, dry_run="All", _request_timeout=SECONDS)
    except ApiException as error:
        reason = words_of(error)
        # Who may not ask at all is not told the pod's name.
        if error.status == 401 or (error.status == 403 and NAME not in reason and "denied the request" not in reason):
            raise
        refused = error.status == 403 and "looking up service account" not in reason
        return reason if refused or "denied the request" in reason else None
    return None
