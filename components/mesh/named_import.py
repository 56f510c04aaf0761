"""NamedImport: makes hosts reachable by name in one namespace whose TLS the other site's gateway ends."""

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.mesh.service_import import ServiceImportArgs, export_destination_rule, host_service_entry
from dcmesh.model.link import ExportedService


def tls_to(export: ExportedService, host: str) -> dict[str, Any]:
    """Return how a proxy speaks TLS with a host of another site.

    The identity stands here, beside the server name, and not in the ServiceEntry alone: where TLS is to end elsewhere,
    both change at one moment.
    """
    return {"mode": "ISTIO_MUTUAL", "sni": export.sni(host), "subjectAltNames": [export.identity]}


def named_destination_rule(export: ExportedService, host: str, *, gateways: int) -> dict[str, Any]:
    """Return the spec of the DestinationRule with which a consumer asks the gateway for one host by its name there."""
    spec = export_destination_rule(export, gateways=gateways)
    return {**spec, "host": host, "trafficPolicy": {**spec["trafficPolicy"], "tls": tls_to(export, host)}}


@dataclass(frozen=True, kw_only=True)
class NamedImportArgs(ServiceImportArgs):
    """Arguments of NamedImport, beside those of ServiceImport.

    Attributes:
        site: the importing site.
    """

    site: str


class NamedImport(pulumi.ComponentResource):
    """One import of a site, of an export with termination at the gateway.

    Creates, in the importing namespace, named by the host's name at the gateway, for each host:
        - `ServiceEntry`: its virtual address, the gateway behind it, the identity that the gateway must prove.
        - `DestinationRule`: mutual TLS without exception, the host's name at the gateway, keepalive and time-out.

    A host's objects have the same names in the stack whatever its export is called.
    """

    def __init__(self, name: str, args: NamedImportArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:NamedImport", name, {}, opts)
        export, gateway = args.export, pulumi.Output.from_input(args.link).apply(lambda link: link.gateway)

        def create(kind: str, host: str, spec: pulumi.Output[dict[str, Any]]) -> pulumi.Resource:
            served = export.served[host]
            return k8s.apiextensions.CustomResource(
                f"{args.site}-imports.{args.namespace}.{served}-{kind}".lower(),
                api_version="networking.istio.io/v1",
                kind=kind,
                metadata=k8s.meta.v1.ObjectMetaArgs(name=served, namespace=args.namespace),
                spec=spec,
                opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.after)),
            )

        def entry(host: str) -> pulumi.Output[dict[str, Any]]:
            return gateway.apply(
                lambda gateway: host_service_entry(
                    export, host, vip=args.vips[host], gateway=gateway.addresses, gateway_port=gateway.port
                )
            )

        def rule(host: str) -> pulumi.Output[dict[str, Any]]:
            return gateway.apply(lambda gateway: named_destination_rule(export, host, gateways=len(gateway.addresses)))

        for host in export.hosts:
            create("DestinationRule", host, rule(host))
            create("ServiceEntry", host, entry(host))
        self.register_outputs({})
