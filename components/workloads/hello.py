"""Hello: the demo, a StatefulSet whose pods answer with their names, and its client in another site."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from dcmesh.model import settings as model
from dcmesh.model.capture import DNS_CAPTURE, for_dcmesh_alone

from ..mesh.local_clients import plaintext_rule
from ..mesh.service_export import API_VERSIONS
from ..workloads.namespace_and_account import create_identity, pod_labels


def pod_template(name: str, image: str, container: dict[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the template of pods with one container of agnhost, Kubernetes' own test image, which has curl."""
    agnhost = {
        "name": "agnhost",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
    }
    return {
        "metadata": {**metadata, "labels": {**pod_labels(name), **metadata.get("labels", {})}},
        "spec": {
            "serviceAccountName": name,
            "terminationGracePeriodSeconds": 1,
            "containers": [agnhost | container],
        },
    }


def hello_stateful_set(
    *, name: str, image: str, replicas: int, port: int, metadata: Mapping[str, Any]
) -> dict[str, Any]:
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
        "template": pod_template(name, image, server, metadata),
    }


def headless_service(*, name: str, port: int) -> dict[str, Any]:
    """Return the spec of the headless Service, which gives the pods their names within the cluster."""
    return {
        "clusterIP": "None",
        "selector": pod_labels(name),
        "ports": [{"name": "http", "port": port, "targetPort": port}],
    }


def client_deployment(*, name: str, image: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the spec of the client's Deployment: a pod that waits for someone to run curl in it."""
    return {
        "replicas": 1,
        "selector": {"matchLabels": pod_labels(name)},
        "template": pod_template(name, image, {"args": ["pause"]}, metadata),
    }


def exporting(export: model.IngressExport, out: str) -> dict[str, Any]:
    """Return the labels and annotations of pods whose sidecar is there for an export.

    Args:
        export: the export.
        out: the range of the virtual addresses, where the pods import anything; else empty.
    """
    annotations = for_dcmesh_alone(ingress=export.ingress_ports.values(), out=out)
    return {"labels": dict(export.part_takers), "annotations": annotations}


def importing(out: str) -> dict[str, Any]:
    """Return the labels and annotations of pods whose sidecar is there for imports alone.

    DNS capture stands here too, for a pod that is there before its ProxyConfig.

    Args:
        out: the range of the virtual addresses.
    """
    captures = json.dumps({"proxyMetadata": DNS_CAPTURE})
    return {"annotations": {**for_dcmesh_alone(ingress=(), out=out), "proxy.istio.io/config": captures}}


@dataclass(frozen=True, kw_only=True)
class HelloArgs:
    """Arguments of Hello.

    Attributes:
        workload: its part of the configuration.
        image: agnhost.
        labels: the namespace's labels, sidecar injection among them.
        after: what must be there before a pod: the site's istiod, which injects the sidecars.
        ingress: the export at ingress ports of its sidecars, which then take in nothing else. Default: none.
        out: what its sidecars then take out, as CIDR. Default: nothing.
    """

    workload: model.Hello
    image: str
    labels: Mapping[str, str]
    after: Sequence[pulumi.Resource]
    ingress: model.IngressExport | None = None
    out: str = ""


class Hello(pulumi.ComponentResource):
    """The demo's source.

    Creates:
        - `Namespace` with sidecar injection, `ServiceAccount`.
        - headless `Service`; nothing of type LoadBalancer or NodePort.
        - `DestinationRule` by which the site's own clients speak plaintext with it, before the pods, if it has ingress
          ports.
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
        before: list[pulumi.Resource] = [self.identity, *args.after]
        if args.ingress:
            before.append(self._plaintext(name, args, metadata))
        k8s.apps.v1.StatefulSet(
            f"{name}-statefulset",
            metadata=metadata,
            spec=hello_stateful_set(
                name=args.workload.name,
                image=args.image,
                replicas=args.workload.replicas,
                port=args.workload.port,
                metadata=exporting(args.ingress, args.out) if args.ingress else {},
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=before),
        )
        self.register_outputs({})

    def _plaintext(self, name: str, args: HelloArgs, metadata: k8s.meta.v1.ObjectMetaArgs) -> pulumi.Resource:
        workload = args.workload
        return k8s.apiextensions.CustomResource(
            f"{name}-destinationrule",
            api_version=API_VERSIONS["DestinationRule"],
            kind="DestinationRule",
            metadata=metadata,
            spec=plaintext_rule(workload.name, workload.namespace),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.identity, *args.after]),
        )


@dataclass(frozen=True, kw_only=True)
class HelloClientArgs:
    """Arguments of HelloClient.

    Attributes:
        workload: its part of the configuration.
        image: agnhost.
        labels: the namespace's labels, sidecar injection among them.
        after: what must be there before a pod: the site's istiod, which injects the sidecar.
        out: what its sidecar takes out, as CIDR, if it is there for imports alone. Default: it takes in and out all.
    """

    workload: model.HelloClient
    image: str
    labels: Mapping[str, str]
    after: Sequence[pulumi.Resource]
    out: str = ""


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
            spec=client_deployment(
                name=args.workload.name,
                image=args.image,
                metadata=importing(args.out) if args.out else {},
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.identity, *args.after]),
        )
        self.register_outputs({})
