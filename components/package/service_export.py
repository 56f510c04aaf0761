"""ServiceExport, as the component package has it."""

from typing import NotRequired, TypedDict

import pulumi
from pydantic import TypeAdapter

from dcmesh.model.gateway import GATEWAY_NAMESPACE
from dcmesh.model.value_types import Connections

from ..mesh import service_export as mesh
from .export_args import ExportArgs, checked, exported

_CONNECTIONS = TypeAdapter(Connections)


class ServiceExportArgs(TypedDict):
    """Arguments of ServiceExport."""

    export: ExportArgs
    """What is exported."""
    selector: dict[str, str]
    """Labels that all pods of the StatefulSet have, and no others in the namespace."""
    gateway_namespace: NotRequired[str]
    """Namespace of the site's EastWestGateway. Default: `dcmesh-gateway`."""
    connections: NotRequired[int]
    """How many connections of other sites a pod has at most, by each pod of the gateway. Default: 50."""


class ServiceExport(pulumi.ComponentResource):
    """Makes the pods of one StatefulSet reachable from other sites, one by one, for the named consumers alone.

    TLS ends at the pods' own sidecars, and plaintext to these pods ends: it is for pods whose sidecar is there for it.
    StatefulSet, headless Service and namespace must be there. Let it depend on the site's EastWestGateway.
    """

    hosts: pulumi.Output[list[str]]
    """The pods' names, which are the same in the importing site."""

    def __init__(self, name: str, args: ServiceExportArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:index:ServiceExport", name, {}, opts)
        export = exported(args["export"])
        if args["selector"] == {}:
            raise pulumi.RunError("selector: must have a label at least; without one it selects the whole namespace")
        with checked("connections"):
            connections = _CONNECTIONS.validate_python(args.get("connections", mesh.ServiceExportArgs.connections))
        mesh.ServiceExport(
            f"{name}-export",
            mesh.ServiceExportArgs(
                export=export,
                selector=args["selector"],
                after=(),
                gateways={args.get("gateway_namespace") or GATEWAY_NAMESPACE: ()},
                connections=connections,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.hosts = pulumi.Output.from_input(list(export.hosts))
        self.register_outputs({"hosts": self.hosts})
