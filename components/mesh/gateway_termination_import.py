"""NamedImport: makes hosts whose TLS ends at the other site's gateway reachable by name in one namespace."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from dcmesh.model.link import ExportedService

from ..mesh.entry_ports import by_port, led_to_gateway
from ..mesh.service_import import ServiceImportArgs, export_destination_rule, host_service_entry


def named_destination_rule(export: ExportedService, host: str, *, gateways: int) -> dict[str, Any]:
    """Return the spec of the DestinationRule with which a consumer asks the gateway for one host by its name there."""
    spec = export_destination_rule(export, gateways=gateways)
    return {**spec, "host": host, "trafficPolicy": by_port(export, host, spec["trafficPolicy"])}


def named_entry(
    export: ExportedService, host: str, *, vip: str, gateway: Sequence[str], gateway_port: int
) -> dict[str, Any]:
    """Return the spec of the ServiceEntry of one host."""
    entry = host_service_entry(export, host, vip=vip, gateway=gateway, gateway_port=gateway_port)
    return led_to_gateway(export, entry, gateway_port)


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
        - `ServiceEntry`: its virtual address, its ports, the gateway behind it, and the identity that this gateway must
          prove.
        - `DestinationRule`: mutual TLS without exception, for each port its name at the gateway, keepalive and
          time-out.

    A host's objects have the same names in the stack whatever its export is called.
    """

    def __init__(self, name: str, args: NamedImportArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:NamedImport", name, {}, opts)
        export, gateway = args.export, pulumi.Output.from_input(args.link).apply(lambda link: link.gateway)

        def create(kind: str, host: str, spec: pulumi.Output[dict[str, Any]]) -> pulumi.Resource:
            served = export.base_name(host)
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
                lambda gateway: named_entry(
                    export, host, vip=args.vips[host], gateway=gateway.addresses, gateway_port=gateway.port
                )
            )

        def rule(host: str) -> pulumi.Output[dict[str, Any]]:
            return gateway.apply(lambda gateway: named_destination_rule(export, host, gateways=len(gateway.addresses)))

        for host in export.hosts:
            create("DestinationRule", host, rule(host))
            create("ServiceEntry", host, entry(host))
        self.register_outputs({})
