"""A site's Kubernetes API. The lab asks it whether the site is ready, and what is in the site."""

import datetime
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import urllib3
from kubernetes import client, config

from lab import paths
from lab.errors import LabError
from lab.paths import SitePaths

MANIFESTS = paths.REPOSITORY / "lab" / "manifests"
_SECONDS = 5
"""How long the API may take for an answer."""

UNREACHABLE = (client.ApiException, urllib3.exceptions.HTTPError)
"""What a call raises while the API is not there, or not ready."""


@dataclass(frozen=True)
class Cluster:
    """The API of one site, with the lab's own rights."""

    site: SitePaths

    def answers(self) -> bool:
        """Tell whether the API says that it is ready."""
        try:
            self._api.call_api("/readyz", "GET", response_type="str", _request_timeout=_SECONDS)
        except UNREACHABLE:
            return False
        return True

    def lacks(self, since: float) -> str:
        """Return what the site still lacks to be usable, empty if it is ready.

        Args:
            since: when the site was started, in seconds since the epoch. What the API remembers from before that
                does not count.
        """
        start = datetime.datetime.fromtimestamp(int(since), datetime.UTC)
        try:
            core = client.CoreV1Api(self._api)
            nodes = core.list_node(_request_timeout=_SECONDS)
            if not any(_is_ready(node, start) for node in nodes.items):
                return "its node is not ready"
            pods = core.list_namespaced_pod("kube-system", label_selector="k8s-app=kube-dns", _request_timeout=_SECONDS)
        except UNREACHABLE:
            return "its API does not answer"
        return "" if any(_serves(pod, start) for pod in pods.items) else "its DNS is not ready"

    def load_balancers(self) -> list[str]:
        """Return the load balancer addresses in use, each with its Service.

        Raises:
            LabError: the API does not answer.
        """
        try:
            services = client.CoreV1Api(self._api).list_service_for_all_namespaces(_request_timeout=_SECONDS)
        except UNREACHABLE as error:
            raise LabError(f"the API of site {self.site.name} does not answer", self.site.logs) from error
        return [
            f"{entry.ip} {service.metadata.namespace}/{service.metadata.name}"
            for service in services.items
            for entry in service.status.load_balancer.ingress or []
        ]

    def apply(self, kubectl: Path, manifests: Path) -> None:
        """Apply a directory of manifests.

        Raises:
            LabError: kubectl failed.
        """
        # This client alone needs no RBAC grant. The administrators' rights are granted by these manifests.
        first = f"--kubeconfig={self.site.kubeconfig('super-admin')}"
        command = (kubectl, first, "apply", "--server-side", "--force-conflicts", "-f", manifests)
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise LabError(f"kubectl apply failed for {manifests}: {result.stderr.strip()}", self.site.logs)

    @cached_property
    def _api(self) -> client.ApiClient:
        """A client that keeps its connection. Code that waits for a site asks it again and again."""
        settings = client.Configuration()
        settings.retries = False
        config.load_kube_config(str(self.site.kubeconfig("admin")), client_configuration=settings)
        return client.ApiClient(settings)


def _is_ready(node: client.V1Node, start: datetime.datetime) -> bool:
    """Tell whether a node's kubelet reported it ready since `start`."""
    conditions = node.status.conditions or []
    return any(c.type == "Ready" and c.status == "True" and c.last_heartbeat_time >= start for c in conditions)


def _serves(pod: client.V1Pod, start: datetime.datetime) -> bool:
    """Tell whether a pod is ready and was started since `start`."""
    ready = any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or [])
    running = [status.state.running for status in pod.status.container_statuses or []]
    return ready and all(state and state.started_at >= start for state in running)
