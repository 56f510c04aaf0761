"""Hello: the demo, a StatefulSet whose pods answer with their names, and its client in another site."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from dcmesh.model import settings as model

from ..workloads.identity import create_identity, pod_labels

AGNHOST_IMAGE = "registry.k8s.io/e2e-test-images/agnhost:2.53"


def pod_template(name: str, container: dict[str, Any]) -> dict[str, Any]:
    """Return the template of pods with one container of agnhost, Kubernetes' own test image, which has curl."""
    agnhost = {
        "name": "agnhost",
        "image": AGNHOST_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
    }
    return {
        "metadata": {"labels": pod_labels(name)},
        "spec": {
            "serviceAccountName": name,
            "terminationGracePeriodSeconds": 1,
            "containers": [agnhost | container],
        },
    }


def hello_stateful_set(*, name: str, replicas: int, port: int) -> dict[str, Any]:
    """Return the spec of the StatefulSet: each pod answers any HTTP request with its own name."""
    server = {
        "args": ["serve-hostname", f"--port={port}"],
        "ports": [{"name": "http", "containerPort": port}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
    }
    return {
        "serviceName": name,
        "replicas": replicas,
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": pod_labels(name)},
        "template": pod_template(name, server),
    }


def headless_service(*, name: str, port: int) -> dict[str, Any]:
    """Return the spec of the headless Service, which gives the pods their names within the cluster."""
    return {
        "clusterIP": "None",
        "selector": pod_labels(name),
        "ports": [{"name": "http", "port": port, "targetPort": port}],
    }


def client_deployment(*, name: str) -> dict[str, Any]:
    """Return the spec of the client's Deployment: a pod that waits for someone to run curl in it."""
    return {
        "replicas": 1,
        "selector": {"matchLabels": pod_labels(name)},
        "template": pod_template(name, {"args": ["pause"]}),
    }


@dataclass(frozen=True, kw_only=True)
class HelloArgs:
    """Arguments of Hello.

    Attributes:
        workload: its part of the configuration.
        labels: the namespace's labels, sidecar injection among them.
        after: what must be there before a pod: the site's istiod, which injects the sidecars.
    """

    workload: model.Hello
    labels: Mapping[str, str]
    after: Sequence[pulumi.Resource]


class Hello(pulumi.ComponentResource):
    """The demo's source.

    Creates:
        - `Namespace` with sidecar injection, `ServiceAccount`.
        - headless `Service`; nothing of type LoadBalancer or NodePort.
        - `StatefulSet` of agnhost.
    """

    identity: pulumi.Resource
    """The service account."""

    def __init__(self, name: str, args: HelloArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:workloads:Hello", name, {}, opts)
        self.identity, metadata = create_identity(
            name, namespace=args.workload.namespace, labels=args.labels, name=args.workload.name, parent=self
        )
        k8s.core.v1.Service(
            f"{name}-service",
            metadata=metadata,
            spec=headless_service(name=args.workload.name, port=args.workload.port),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.identity]),
        )
        k8s.apps.v1.StatefulSet(
            f"{name}-statefulset",
            metadata=metadata,
            spec=hello_stateful_set(name=args.workload.name, replicas=args.workload.replicas, port=args.workload.port),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.identity, *args.after]),
        )
        self.register_outputs({})


@dataclass(frozen=True, kw_only=True)
class HelloClientArgs:
    """Arguments of HelloClient.

    Attributes:
        workload: its part of the configuration.
        labels: the namespace's labels, sidecar injection among them.
        after: what must be there before a pod: the site's istiod, which injects the sidecar.
    """

    workload: model.HelloClient
    labels: Mapping[str, str]
    after: Sequence[pulumi.Resource]


class HelloClient(pulumi.ComponentResource):
    """The demo's consumer.

    Creates:
        - `Namespace` with sidecar injection, `ServiceAccount`.
        - `Deployment` of one agnhost pod, to run curl in.
    """

    identity: pulumi.Resource
    """The service account."""

    def __init__(self, name: str, args: HelloClientArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:workloads:HelloClient", name, {}, opts)
        self.identity, metadata = create_identity(
            name, namespace=args.workload.namespace, labels=args.labels, name=args.workload.name, parent=self
        )
        k8s.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=metadata,
            spec=client_deployment(name=args.workload.name),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.identity, *args.after]),
        )
        self.register_outputs({})
