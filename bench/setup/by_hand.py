"""The files that the sequential way applies: the same objects and charts' values that dcmesh would make."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from components.mesh.gateway import GATEWAY_LABELS, gateway_values, give_up
from components.mesh.gateway_exposure import ExposureArgs, service_annotations, service_spec
from components.mesh.istio import istiod_values, merge
from components.mesh.namespace_scope import own_namespace_only
from components.mesh.service_export import (
    API_VERSIONS,
    connection_limit,
    consumers_only,
    gateway_servers,
    pod_service_entry,
    strict_mtls,
)
from components.mesh.service_import import export_destination_rule, host_service_entry
from components.workloads.hello import client_deployment, headless_service, hello_stateful_set
from components.workloads.namespace_and_account import pod_labels
from dcmesh.model.addresses import allot_vips
from dcmesh.model.gateway import GATEWAY_NAME, GATEWAY_NAMESPACE, GATEWAY_PORT
from dcmesh.model.images import AGNHOST
from dcmesh.model.istio import injection_labels
from dcmesh.model.link import Consumer, ExportedPort, ExportedService, ServiceAccount, pod_hosts, pod_of

Object = dict[str, Any]

PORT = 8080
ADDRESS = "GATEWAY_ADDRESS"
"""A placeholder for the gateway's address, until the script knows it."""


def write(directory: Path, values: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the files of sequential.sh.

    Args:
        directory: the directory for the files.
        values: the stack file's values for each chart, which override the chart's own, as with dcmesh.
    """
    export = _export()
    files = {f"{site}-istiod": [_istiod(site, values["istiod"])] for site in ("dc1", "dc2")}
    own = gateway_values(labels=GATEWAY_LABELS, replicas=1, revision=None, pull_secrets=())
    files["dc1-gateway"] = [merge(own, values["gateway"])]
    files["dc1-gateway-service"] = [_gateway_service()]
    files["dc1-hello"] = hello("hello", "demo")
    files["dc1-exports"] = list(_exports(export))
    files["dc2-client"] = _client()
    files["dc2-imports"] = list(_imports(export))
    for name, documents in files.items():
        (directory / f"{name}.yaml").write_text(yaml.safe_dump_all(documents))


def hello(name: str, namespace: str) -> list[Object]:
    """Return a namespace of this name, with the demo's source in it."""
    stateful_set = hello_stateful_set(name=name, image=AGNHOST, replicas=3, port=PORT, metadata={})
    return [
        *_home(namespace, name),
        _object("v1", "Service", name, namespace, headless_service(name=name, port=PORT)),
        _object("apps/v1", "StatefulSet", name, namespace, stateful_set),
    ]


def _export() -> ExportedService:
    return ExportedService(
        name="hello",
        namespace="demo",
        hosts=pod_hosts(stateful_set="hello", service="hello", namespace="demo", replicas=3),
        ports=(ExportedPort(port=PORT, probe="pod-name"),),
        protocol="HTTP",
        identities=(ServiceAccount(namespace="demo", name="hello").spiffe_id,),
        consumers=(Consumer(site="dc2", namespace="demo-dr", service_account="client"),),
    )


def _client() -> list[Object]:
    spec = client_deployment(name="client", image=AGNHOST, metadata={})
    deployment = _object("apps/v1", "Deployment", "client", "demo-dr", spec)
    return [*_home("demo-dr", "client"), deployment]


def _home(namespace: str, account: str) -> list[Object]:
    labels = injection_labels(None)
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": namespace}},
    ]


def _istiod(site: str, over: Mapping[str, Any]) -> Object:
    values = istiod_values(cluster=site, replicas=1, egress="ALLOW_ANY", hub=None, tag=None, pull_secrets=())
    return merge(values, over)


def _gateway_service() -> Object:
    exposure = ExposureArgs()
    service = _object("v1", "Service", GATEWAY_NAME, GATEWAY_NAMESPACE, service_spec(exposure, GATEWAY_LABELS))
    service["metadata"] |= {"labels": GATEWAY_LABELS, "annotations": service_annotations(exposure)}
    return service


def _exports(export: ExportedService) -> Iterable[Object]:
    selector, namespace = pod_labels("hello"), export.namespace
    given_up = give_up(GATEWAY_LABELS, nodes=())
    yield _istio("EnvoyFilter", f"{GATEWAY_NAME}-give-up-silent-peers", GATEWAY_NAMESPACE, given_up)
    yield _istio("PeerAuthentication", "hello-strict", namespace, strict_mtls(selector))
    yield _istio("AuthorizationPolicy", "hello-consumers", namespace, consumers_only(export, selector))
    for host in export.hosts:
        yield _istio(
            "ServiceEntry", f"hello.{pod_of(host)}", namespace, pod_service_entry(export, host, [GATEWAY_NAMESPACE])
        )
        yield _istio("DestinationRule", f"hello.{pod_of(host)}", GATEWAY_NAMESPACE, connection_limit(host, 50))
    yield _istio("Gateway", "hello", GATEWAY_NAMESPACE, gateway_servers(export, GATEWAY_NAMESPACE))


def _imports(export: ExportedService) -> Iterable[Object]:
    vips = allot_vips(export.hosts)
    yield _istio("Sidecar", "default", "demo-dr", own_namespace_only())
    yield _istio("DestinationRule", "dc1.hello", "demo-dr", export_destination_rule(export, gateways=1))
    for host in export.hosts:
        entry = host_service_entry(export, host, vip=vips[host], gateway=(ADDRESS,), gateway_port=GATEWAY_PORT)
        yield _istio("ServiceEntry", f"dc1.hello.{pod_of(host)}", "demo-dr", entry | {"resolution": "STATIC"})


def _istio(kind: str, name: str, namespace: str, spec: Object) -> Object:
    version = API_VERSIONS.get(kind, "networking.istio.io/v1")
    return _object(version, kind, name, namespace, spec)


def _object(version: str, kind: str, name: str, namespace: str, spec: Object) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}
