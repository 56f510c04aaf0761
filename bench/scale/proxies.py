"""The sizes of proxies, istiod and the state."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.e2e.toolbox import Kubectl, eventually

SERIES = re.compile(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$")


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """The configuration that a proxy has received.

    Attributes:
        size: bytes of the configuration, as `config_dump` with endpoints prints it.
        clusters: the number of clusters from istiod.
        listeners: the number of listeners.
        endpoints: the number of endpoints in these clusters.
    """

    size: int
    clusters: int
    listeners: int
    endpoints: int


def configuration_of(dump: str) -> Configuration:
    """Return the configuration in a `config_dump`."""
    counts = {"dynamic_active_clusters": 0, "dynamic_listeners": 0}
    endpoints = 0
    for part in json.loads(dump)["configs"]:
        for key in counts:
            counts[key] += len(part.get(key, ()))
        for given in part.get("dynamic_endpoint_configs", ()):
            groups = given["endpoint_config"].get("endpoints", ())
            endpoints += sum(len(group.get("lb_endpoints", ())) for group in groups)
    return Configuration(
        size=len(dump.encode()),
        clusters=counts["dynamic_active_clusters"],
        listeners=counts["dynamic_listeners"],
        endpoints=endpoints,
    )


def working_set_of(usage: str, stat: str) -> float:
    """Return a container's working set from two files of its cgroup, computed as kubelet does it."""
    inactive = next(line.split()[1] for line in stat.splitlines() if line.startswith("total_inactive_file "))
    return float(usage) - float(inactive)


def totals(metrics: str, *names: str) -> dict[str, float]:
    """Return some metrics by name.

    A name without labels gives the sum over all labels. A name with labels gives that series alone.
    """
    found = dict.fromkeys(names, 0.0)
    for line in metrics.splitlines():
        if match := SERIES.match(line):
            for name in (match[1], f"{match[1]}{{{match[2]}}}"):
                if name in found:
                    found[name] += float(match[3])
    return found


CONNECTED, PUSHED, BEGUN = "pilot_xds", "pilot_proxy_convergence_time_count", "pilot_debounce_time_count"
PROCESSOR = "process_cpu_seconds_total"

OF_A_PROXY = {
    "push to proxy": "pilot_proxy_convergence_time_sum",  # This counts from when istiod begins to push.
    "push": "pilot_xds_push_time_sum",
}
OF_A_PUSH = {
    "change to push": "pilot_debounce_time_sum",
    "index": "pilot_pushcontext_init_seconds_sum",
    "push of clusters": 'pilot_xds_push_time_sum{type="cds"}',
    "push of listeners": 'pilot_xds_push_time_sum{type="lds"}',
}
"""istiod's metrics, by their names here: those for a proxy on average, and those for all proxies."""

PUSHES = (CONNECTED, PUSHED, BEGUN, PROCESSOR, *OF_A_PROXY.values(), *OF_A_PUSH.values())


def push_times(before: Mapping[str, float], after: Mapping[str, float]) -> Mapping[str, float]:
    """Return what a push to all proxies cost, from two readings of istiod's metrics.

    Returns:
        Seconds, by the names of `OF_A_PROXY` and `OF_A_PUSH`. Empty until every connected proxy has received the push.
    """
    gone = {name: after[name] - before[name] for name in PUSHES}
    if not gone[BEGUN] or not gone[PUSHED] or gone[PUSHED] < after[CONNECTED]:
        return {}
    return {what: gone[name] / gone[PUSHED] for what, name in OF_A_PROXY.items()} | {
        what: gone[name] / gone[BEGUN] for what, name in OF_A_PUSH.items()
    }


class Site:
    """One site, as kubectl shows it."""

    def __init__(self, name: str, kubectl: Kubectl) -> None:
        self.name = name
        self.kubectl = kubectl

    def pod(self, namespace: str, label: str) -> str:
        """Return the one pod with a label that is not being deleted."""

        def running() -> list[str]:
            listed = self.kubectl("get", "pods", "--namespace", namespace, "--selector", label, "--output", "json")
            pods: list[dict[str, Any]] = json.loads(listed)["items"]
            return [
                pod["metadata"]["name"]
                for pod in pods
                if not pod["metadata"].get("deletionTimestamp")
                and any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))
            ]

        return eventually(f"a pod {label} is ready", running, within=90)[0]

    def admin(self, namespace: str, pod: str, path: str) -> str:
        """Ask a proxy's admin interface."""
        where = ("--namespace", namespace, pod, "--container", "istio-proxy")
        return self.kubectl("exec", *where, "--", "pilot-agent", "request", "GET", path)

    def configuration(self, namespace: str, pod: str) -> Configuration:
        """Return a proxy's configuration, once it has not changed for a while."""
        seen: list[Configuration] = []

        def settled() -> bool:
            seen.append(configuration_of(self.admin(namespace, pod, "config_dump?include_eds")))
            return seen[-3:] == seen[-1:] * 3

        eventually(f"the configuration of {pod} settles", settled, within=60)
        return seen[-1]

    def allocated(self, namespace: str, pod: str) -> float:
        """Return how many bytes a proxy's Envoy has in use."""
        return float(json.loads(self.admin(namespace, pod, "memory"))["allocated"])

    def working_set(self, namespace: str, pod: str, container: str) -> float:
        """Return the bytes of a container's working set now. kubelet's own figure is some seconds old."""

        def read(file: str) -> str:
            where = ("--namespace", namespace, pod, "--container", container)
            return self.kubectl("exec", *where, "--", "cat", f"/sys/fs/cgroup/memory/{file}")

        return working_set_of(read("memory.usage_in_bytes"), read("memory.stat"))

    def istiod(self) -> str:
        """Return the name of istiod's pod."""
        return self.pod("istio-system", "app=istiod")

    def pushes(self) -> dict[str, float]:
        """Return istiod's metrics about its pushes."""
        path = f"/api/v1/namespaces/istio-system/pods/{self.istiod()}:15014/proxy/metrics"
        return totals(self.kubectl("get", "--raw", path), *PUSHES)

    def pushed(self, before: Mapping[str, float]) -> Mapping[str, float]:
        """Return what a push to all proxies has cost, or nothing while it goes on."""
        return push_times(before, self.pushes())

    def processor_for_a_push(self, changes: Sequence[dict[str, Any]]) -> float:
        """Return istiod's CPU seconds for each push, measured over several changes one after another."""
        before = self.pushes()
        for change in changes:
            self.kubectl.apply(change)
        seen: list[tuple[float, float]] = []

        def settled() -> bool:
            after = self.pushes()
            seen.append((after[BEGUN] - before[BEGUN], after[PROCESSOR] - before[PROCESSOR]))
            return bool(seen[-1][0]) and [pushes for pushes, _ in seen[-3:]] == [seen[-1][0]] * 3

        eventually("istiod has pushed all changes", settled, within=60)
        pushes, seconds = seen[-1]
        return seconds / pushes
