"""ServiceImport, as the component package has it."""

from typing import NotRequired, TypedDict

import pulumi

from dcmesh.model.addresses import allot_vips
from dcmesh.model.gateway import GATEWAY_PORT
from dcmesh.model.link import Link, LinkGateway

from ..mesh import service_import as mesh
from .export_args import ExportArgs, checked, exported


class ServiceImportArgs(TypedDict):
    """Arguments of ServiceImport."""

    source: str
    """Name of the exporting site."""
    export: ExportArgs
    """What is imported, as the exporting site's ServiceExport has it."""
    namespace: str
    """Namespace of the consumers. No other sees the hosts."""
    gateway_addresses: pulumi.Input[list[str]]
    """Addresses of the exporting site's gateway: the output `addresses` of its EastWestGateway."""
    gateway_port: NotRequired[int]
    """Port at these addresses. Default: 15443."""


class ServiceImport(pulumi.ComponentResource):
    """Makes the pods that another site exports reachable by name in one namespace of this site.

    The consumers' pods need a sidecar that answers DNS (`ISTIO_META_DNS_CAPTURE`). The namespace must be there, and the
    site's istiod.
    """

    virtual_addresses: pulumi.Output[dict[str, str]]
    """By host the address that the consumers' sidecars give it."""

    def __init__(self, name: str, args: ServiceImportArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:index:ServiceImport", name, {}, opts)
        export, source, port = exported(args["export"]), args["source"], int(args.get("gateway_port") or GATEWAY_PORT)

        def link(addresses: list[str]) -> Link:
            with checked("gatewayAddresses"):
                return Link.of(source, LinkGateway(addresses=tuple(addresses), port=port), [export])

        vips = allot_vips(export.hosts)
        mesh.ServiceImport(
            f"{name}-import",
            mesh.ServiceImportArgs(
                source=source,
                link=pulumi.Output.from_input(args["gateway_addresses"]).apply(link),
                export=export,
                namespace=args["namespace"],
                vips=vips,
                after=(),
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.virtual_addresses = pulumi.Output.from_input(vips)
        self.register_outputs({"virtualAddresses": self.virtual_addresses})
