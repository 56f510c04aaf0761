"""Pods: which run, and as which service account."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from kubernetes import client

from dcmesh.kube.api import answer_or_none, run_in
from dcmesh.model.link import ServiceAccount
from dcmesh.model.printable import printable

PROXY = "istio-proxy"
"""The sidecar's container."""

SECONDS = 5
"""How long an API server may take for one answer."""

RUNNING = "running"

MARK = "dcmesh: "
"""How a line in a log begins that a script of dcmesh has written."""

LINES = 200
"""How many lines of a log are looked at."""


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A pod.

    Attributes:
        namespace: its namespace.
        name: its name.
        states: for each container, also the sidecar, `running` or why it is not. The pod's own come first.
        preparing: the init container that these wait for; empty if there is none, or it has succeeded.
        leaving: whether it is being deleted.
    """

    namespace: str
    name: str
    states: Mapping[str, str]
    preparing: str = ""
    leaving: bool

    @property
    def has_proxy(self) -> bool:
        """Whether its sidecar runs."""
        return self.states.get(PROXY) == RUNNING

    @property
    def own_containers(self) -> list[str]:
        """The running containers whose traffic goes through the sidecar."""
        return [name for name, state in self.states.items() if state == RUNNING and name != PROXY]


def parse_pod(found: Mapping[str, Any]) -> Pod:
    """Return a pod from what the API shows of it."""
    status, metadata = found.get("status", {}), found["metadata"]
    statuses = {of["name"]: of for key in ("containerStatuses", "initContainerStatuses") for of in status.get(key, ())}
    # A sidecar is a container or, if it is a native one, an init container that keeps running.
    names = [container["name"] for container in found["spec"]["containers"]]
    names += [PROXY] if PROXY in statuses and PROXY not in names else []
    return Pod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        states={name: _state(statuses.get(name, {}), status.get("phase", "")) for name in names},
        preparing=next(
            (of["name"] for of in status.get("initContainerStatuses", ()) if of["name"] != PROXY and not _ended(of)), ""
        ),
        leaving="deletionTimestamp" in metadata,
    )


def has_ended(found: Mapping[str, Any]) -> bool:
    """Tell whether a pod has finished, successfully or not. A pod that is being deleted runs until it is gone."""
    return found.get("status", {}).get("phase") in ("Succeeded", "Failed")


def _ended(status: Mapping[str, Any]) -> bool:
    return bool(status.get("state", {}).get("terminated", {}).get("exitCode") == 0)


def _state(status: Mapping[str, Any], phase: str) -> str:
    for kind, details in status.get("state", {}).items():
        return RUNNING if kind == RUNNING else details.get("reason", kind)
    return phase


def read(api: client.ApiClient, path: str) -> Any:  # noqa: ANN401
    """Return what the API has at a path; None if nothing.

    Raises:
        kube.api.ERRORS: the cluster cannot be asked.
    """
    answer = answer_or_none(
        api.call_api,
        path,
        "GET",
        auth_settings=["BearerToken"],
        _preload_content=False,
        _request_timeout=SECONDS,
        _return_http_data_only=True,
    )
    return None if answer is None else json.loads(answer.data)


def read_pod(api: client.ApiClient, namespace: str, name: str) -> Pod | None:
    """Return a pod; None if it is not there.

    Raises:
        kube.api.ERRORS: the cluster cannot be asked.
    """
    found = read(api, f"/api/v1/namespaces/{namespace}/pods/{name}")
    return parse_pod(found) if found else None


def is_ready(api: client.ApiClient, namespace: str, name: str) -> bool:
    """Tell whether a pod exists and is ready.

    Raises:
        kube.api.ERRORS: the cluster cannot be asked.
    """
    found = read(api, f"/api/v1/namespaces/{namespace}/pods/{name}") or {}
    conditions = found.get("status", {}).get("conditions", ())
    return any((one["type"], one["status"]) == ("Ready", "True") for one in conditions)


def read_pods(api: client.ApiClient, namespace: str, labels: Mapping[str, str]) -> list[Pod]:
    """Return the pods of a namespace that have these labels.

    Raises:
        kube.api.ERRORS: the cluster cannot be asked.
    """
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    found = read(api, f"/api/v1/namespaces/{namespace}/pods?labelSelector={quote(selector)}")
    return [parse_pod(pod) for pod in found["items"]]


def last_words(api: client.ApiClient, pod: Pod, container: str) -> str:
    """Return the last message of dcmesh's own script in a container; empty if there is none."""
    read = client.CoreV1Api(api).read_namespaced_pod_log
    try:
        log = read(pod.name, pod.namespace, container=container, tail_lines=LINES, _request_timeout=SECONDS)
    except client.ApiException:  # a container that has not started yet has no log
        return ""
    said = (line.removeprefix(MARK) for line in log.splitlines() if line.startswith(MARK))
    return printable(next(reversed([*said]), ""))


def meshed_pod(api: client.ApiClient, account: ServiceAccount) -> Pod | None:
    """Return a running pod of a service account that has a sidecar; None if there is none.

    Raises:
        kube.api.ERRORS: the cluster cannot be asked.
    """
    answer = client.CoreV1Api(api).list_namespaced_pod(
        account.namespace,
        field_selector=f"spec.serviceAccountName={account.name},status.phase=Running",
        _preload_content=False,
        _request_timeout=SECONDS,
    )
    pods = (parse_pod(found) for found in json.loads(answer.data)["items"])
    return next((pod for pod in pods if pod.has_proxy and not pod.leaving), None)


def ask_proxy(api: client.ApiClient, pod: Pod, path: str) -> Any:  # noqa: ANN401
    """Return what a pod's Envoy answers at a path of its administration.

    Raises:
        kube.api.ERRORS: it cannot be asked.
    """
    command = ("pilot-agent", "request", "GET", path)
    return json.loads(run_in(api, namespace=pod.namespace, pod=pod.name, container=PROXY, command=command))
