"""A Service that leads to the primary of two databases that can change roles: where applications write."""

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from dcmesh.model import settings as model
from dcmesh.model.link import CLUSTER_DOMAIN, MYSQL_PORT, ExportedService, pod_hosts
from dcmesh.model.mariadb import writer_name

from ..workloads.namespace_and_account import pod_labels


@dataclass(frozen=True, kw_only=True)
class WriterServiceArgs:
    """Arguments of WriterService.

    Attributes:
        namespace: the database's namespace.
        name: the database's name.
        source: what the database follows while it is the replica; None while it is the primary.
        egress: how its clients reach the other site: by their sidecars, or by the cluster's DNS and an egress gateway.
    """

    namespace: str
    name: str
    source: ExportedService | None
    egress: model.Egress


def name_of_primary(args: WriterServiceArgs) -> dict[str, Any]:
    """Return the spec of the Service where it is another name of the primary's host, in the cluster's DNS."""
    (own,) = pod_hosts(stateful_set=args.name, service=args.name, namespace=args.namespace, replicas=1)
    return {"type": "ExternalName", "externalName": args.source.hosts[0] if args.source else own}


def service(name: str) -> dict[str, Any]:
    """Return the spec of the Service: pod 0, for whoever has no sidecar, and while the database is the primary."""
    return {
        "selector": {**pod_labels(name), "statefulset.kubernetes.io/pod-name": f"{name}-0"},
        "ports": [{"name": "tcp-mysql", "port": MYSQL_PORT, "targetPort": MYSQL_PORT, "appProtocol": "tcp"}],
    }


def virtual_service(args: WriterServiceArgs) -> dict[str, Any]:
    """Return the spec of the VirtualService by which sidecars lead the Service's clients to the primary.

    It is there while the database is the primary, too: if the site were gone later, the object could not be deleted.
    """
    own = f"{writer_name(args.name)}.{args.namespace}.svc.{CLUSTER_DOMAIN}"
    host, port = (args.source.hosts[0], args.source.port) if args.source else (own, MYSQL_PORT)
    return {
        "hosts": [own],
        # What is imported is known in its own namespace alone.
        "exportTo": ["."],
        "tcp": [{"route": [{"destination": {"host": host, "port": {"number": port}}}]}],
    }


class WriterService(pulumi.ComponentResource):
    """What leads applications in a database's namespace to the primary, in this site or over the link.

    The server that was the primary ends its clients' connections, and so does the sidecar, within a minute, when it is
    led elsewhere.

    Creates:
        - `Service` of the database's name and `-writer`.
        - `VirtualService`, where sidecars lead the clients.
    """

    def __init__(self, name: str, args: WriterServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:workloads:WriterService", name, {}, opts)
        metadata = k8s.meta.v1.ObjectMetaArgs(name=writer_name(args.name), namespace=args.namespace)
        child = pulumi.ResourceOptions(parent=self)
        by_sidecar = args.egress == "sidecar"
        spec = service(args.name) if by_sidecar else name_of_primary(args)
        k8s.core.v1.Service(f"{name}-service", metadata=metadata, spec=spec, opts=child)
        if by_sidecar:
            k8s.apiextensions.CustomResource(
                f"{name}-virtualservice",
                api_version="networking.istio.io/v1",
                kind="VirtualService",
                metadata=metadata,
                spec=virtual_service(args),
                opts=child,
            )
        self.register_outputs({})
