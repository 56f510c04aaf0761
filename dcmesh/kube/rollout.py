"""A StatefulSet's rollout: waited for, and what its pods say of themselves if it does not end."""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pulumi

from dcmesh.kube.api import ERRORS, ApiClient, connect, why
from dcmesh.kube.pods import RUNNING, last_words, read, read_pod

PATIENCE = 600
"""For how many seconds a rollout is waited for; Pulumi waits as long for one that it notices."""

INTERVAL = 0.5
"""How many seconds pass before the cluster is asked again."""


def missing(stateful_set: Mapping[str, Any]) -> str:
    """Return what a StatefulSet's rollout still waits for; empty if it has ended.

    Args:
        stateful_set: the object as the API shows it.
    """
    status, wanted = stateful_set.get("status", {}), stateful_set["spec"]["replicas"]
    if status.get("observedGeneration", 0) < stateful_set["metadata"]["generation"]:
        return "its controller has not seen the change yet"
    for count, what in (("updatedReplicas", "new"), ("readyReplicas", "ready")):
        if status.get(count, 0) != wanted:
            return f"{status.get(count, 0)} of {wanted} pods are {what}"
    return ""


def words(api: ApiClient, namespace: str, pods: Iterable[str]) -> Iterator[str]:
    """Yield a line for each pod that has said why its first container does not run.

    Args:
        api: the cluster.
        namespace: the pods' namespace.
        pods: their names.

    Raises:
        kube.api.ERRORS: the cluster cannot be asked.
    """
    for name in pods:
        pod = read_pod(api, namespace, name)
        container = next(iter(pod.states)) if pod else ""
        if pod and pod.states[container] != RUNNING and (said := last_words(api, pod, pod.preparing or container)):
            yield f"{namespace}/{name}: {said}"


def wait_for(site: str, kubeconfig: str, namespace: str, name: str, seconds: float = PATIENCE) -> None:
    """Wait until all pods of a StatefulSet are what its template says, and ready.

    Args:
        site: the site, for messages.
        kubeconfig: contents of its kubeconfig.
        namespace: the StatefulSet's namespace.
        name: its name.
        seconds: for how long.

    Raises:
        pulumi.RunError: it takes too long, or there is no such StatefulSet; with what its pods have said.
    """
    what, deadline = f"{site}: the StatefulSet {namespace}/{name}", time.monotonic() + seconds
    with connect(kubeconfig) as api:
        while True:
            try:
                found = read(api, f"/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}")
                if found is None:
                    raise pulumi.RunError(f"{what} is not there")
                reason = missing(found)
                if not reason:
                    return
                late = time.monotonic() > deadline
                pods = (f"{name}-{ordinal}" for ordinal in range(found["spec"]["replicas"]))
                said = [*words(api, namespace, pods)] if late else []
            except ERRORS as error:  # which may pass
                reason, said, late = f"its cluster cannot be asked ({why(error)})", [], time.monotonic() > deadline
            if late:
                raise pulumi.RunError("\n  ".join([f"{what} is not rolled out after {seconds:.0f} s: {reason}", *said]))
            time.sleep(INTERVAL)
