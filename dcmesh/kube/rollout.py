"""A StatefulSet's rollout: waiting for it, and what its pods say if it does not end."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pulumi

from dcmesh.kube.api import ERRORS, ApiClient, reach, status_of, why
from dcmesh.kube.pods import PROXY, RUNNING, last_words, read, read_pod

PATIENCE = 600
"""For how many seconds a rollout may stand still. Pulumi would wait that long for the whole rollout."""

INTERVAL = 1
"""How many seconds pass before the cluster is asked again."""

REFUSED = (401, 403)
"""The statuses with which an API server refuses for good."""


def missing(stateful_set: Mapping[str, Any], first: Mapping[str, Any] | None) -> str:
    """Return what a StatefulSet's rollout still waits for; empty if it has ended.

    Pod 0 is the last to be replaced. The others need not be ready: a failover may come next, and it must not wait for a
    pod that it does not need.

    Args:
        stateful_set: the object as the API shows it.
        first: its pod 0, if that is there.
    """
    status, wanted = stateful_set.get("status", {}), stateful_set["spec"]["replicas"]
    if status.get("observedGeneration", 0) < stateful_set["metadata"]["generation"]:
        return "its controller has not seen the change yet"
    new = status.get("updatedReplicas", 0)
    if new != wanted:
        return f"{new} of {wanted} pods are new"
    conditions = (first or {}).get("status", {}).get("conditions", ())
    ready = any(of["type"] == "Ready" and of["status"] == "True" for of in conditions)
    return "" if ready else "pod 0 is not ready"


def words(api: ApiClient, namespace: str, name: str, replicas: int) -> Iterator[str]:
    """Yield a line for each pod of a StatefulSet that does not run: its own last message, or its state.

    Args:
        api: the cluster.
        namespace: the StatefulSet's namespace.
        name: its name.
        replicas: how many pods it has.

    Raises:
        kube.api.ERRORS: the cluster cannot be asked.
    """
    for ordinal in range(replicas):
        pod = read_pod(api, namespace, f"{name}-{ordinal}")
        stopped = [of for of, state in pod.states.items() if state != RUNNING and of != PROXY] if pod else []
        if pod and stopped:
            container = pod.preparing or stopped[0]
            yield f"{namespace}/{pod.name}: {last_words(api, pod, container) or pod.states[stopped[0]]}"


def wait_for(
    site: str,
    kubeconfig: str,
    namespace: str,
    name: str,
    seconds: float = PATIENCE,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Wait until all pods of a StatefulSet are what its template says, and pod 0 is ready.

    Args:
        site: the site, for messages.
        kubeconfig: contents of its kubeconfig.
        namespace: the StatefulSet's namespace.
        name: its name.
        seconds: for how long it may stand still.
        say: is given each thing that it waits for, in one line. Default: nothing is said.

    Raises:
        pulumi.RunError: it stands still, or there is no such StatefulSet; with what its pods have said.
    """
    what = f"{site}: the StatefulSet {namespace}/{name}"
    reason, since, client = "", time.monotonic(), None
    while True:
        before, said = reason, list[str]()
        try:
            client = client or reach(kubeconfig)
            with client() as api:
                found = read(api, f"/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}")
                if found is None:
                    raise pulumi.RunError(f"{what} is not there")
                reason = missing(found, read(api, f"/api/v1/namespaces/{namespace}/pods/{name}-0"))
                if not reason:
                    return
                if reason == before and time.monotonic() - since >= seconds:
                    said += words(api, namespace, name, found["spec"]["replicas"])
        except ERRORS as error:
            reason = f"its cluster cannot be asked ({why(error)})"  # which may pass
            if status_of(error) in REFUSED:
                raise pulumi.RunError(f"{what} cannot be asked for: {why(error)}") from None
        if reason != before:
            since = time.monotonic()
            say(f"{what}: {reason}")
        elif time.monotonic() - since >= seconds:
            still = f"{what} is not rolled out, and nothing has changed for {seconds:.0f} s: {reason}"
            raise pulumi.RunError("\n  ".join([still, *said]))
        time.sleep(INTERVAL)
