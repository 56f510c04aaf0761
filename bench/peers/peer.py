"""What all peers have in common: a database in dc1 that runs already, and a client in dc2."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.data_path import direct
from tests.e2e.toolbox import Kubectl

SOURCE, REPLICA = "peer", "peer-dr"
"""The namespaces of the database, and of the client, which becomes its replica."""

Object = dict[str, Any]


class Peer(ABC):
    """A tool that joins the sites, set up by its own instructions."""

    name: str
    host: str
    """The name by which the client finds the database's pod."""
    sidecar = False
    """Whether both databases' pods have sidecars."""

    def __init__(self, sites: Mapping[str, Kubectl], directory: Path) -> None:
        """Begin.

        Args:
            sites: the clusters.
            directory: the directory for the peer's files.
        """
        self.sites = sites
        self.directory = directory
        self.steps = 0
        self.objects = 0

    @abstractmethod
    def set_up(self) -> None:
        """Join the sites, and wait until everything is ready."""

    @abstractmethod
    def gateway(self) -> tuple[str, str]:
        """Return the namespace and the label of the proxy in dc1 before the database."""

    @abstractmethod
    def rotate(self) -> None:
        """Replace the root of all certificates, and wait until the new one is in use."""

    @contextmanager
    def step(self) -> Iterator[None]:
        """Do one step of the instructions."""
        self.steps += 1
        yield

    def apply(self, site: str, *objects: Object) -> None:
        """Create objects, and count them."""
        self.sites[site].apply(*objects)
        self.objects += len(objects)

    def wait_for(self, site: str, namespace: str, *workloads: str) -> None:
        """Wait until workloads are rolled out."""
        for workload in workloads:
            self.sites[site]("rollout", "status", workload, "--namespace", namespace, "--timeout=180s")

    def balancers(self) -> int:
        """Return how many Services of type LoadBalancer both sites have."""
        return sum(
            service["spec"]["type"] == "LoadBalancer"
            for kubectl in self.sites.values()
            for service in json.loads(kubectl("get", "services", "--all-namespaces", "--output", "json"))["items"]
        )


def named(api: str, kind: str, name: str, namespace: str, **content: Any) -> Object:  # noqa: ANN401 — an object's rest
    """Return an object of a namespace."""
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **content}


def namespace_of(name: str, **labels: str) -> Object:
    """Return a namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


POD = {"statefulset.kubernetes.io/pod-name": f"{direct.NAME}-0"}
"""The label of the database's pod."""
