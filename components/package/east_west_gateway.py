"""EastWestGateway, as the component package has it."""

from enum import Enum
from typing import Any, NotRequired, TypedDict

import pulumi
from pydantic.alias_generators import to_camel

from dcmesh.model import gateway
from dcmesh.model.settings import Gateway
from dcmesh.model.support import ISTIO_CHARTS

from ..mesh import gateway as mesh
from ..mesh.gateway_exposure import ExposureArgs
from ..mesh.istio import Charts
from .export_args import checked


class Exposure(Enum):
    """How the gateway's Service gets its address."""

    LOAD_BALANCER = "load-balancer"
    AWS_NLB = "aws-nlb"
    AWS_NLB_INTERNAL = "aws-nlb-internal"
    GCP = "gcp"
    GCP_INTERNAL = "gcp-internal"
    AZURE = "azure"
    AZURE_INTERNAL = "azure-internal"
    METALLB = "metallb"
    NODEPORT = "nodeport"


class EastWestGatewayArgs(TypedDict):
    """Arguments of EastWestGateway."""

    istio_version: str
    """Version of Istio's chart `gateway`: that of the site's istiod."""
    chart_repository: NotRequired[str]
    """Where the chart comes from: a repository's URL, an OCI registry or a directory. Default: Istio's own."""
    namespace: NotRequired[str]
    """Where the gateway runs. It is created. Default: `dcmesh-gateway`."""
    replicas: NotRequired[int]
    """Number of its pods. Default: 2."""
    exposure: NotRequired[Exposure]
    """How its Service gets an address. Default: `load-balancer`."""
    annotations: NotRequired[dict[str, str]]
    """Annotations of its Service, laid over the platform's."""
    load_balancer_ip: NotRequired[str]
    """Address to ask for."""
    source_ranges: NotRequired[list[str]]
    """Networks that may connect, as CIDR. Default: all."""
    node_port: NotRequired[int]
    """Port of every node that leads to it, with `nodeport`."""
    advertise: NotRequired[list[str]]
    """Addresses under which other sites reach it, if not those of its Service."""
    revision: NotRequired[str]
    """Revision of the site's istiod. Default: none."""
    pull_secrets: NotRequired[list[str]]
    """Secrets with credentials for the image registry."""
    values: NotRequired[dict[str, Any]]
    """Values laid over those of the chart."""


class EastWestGateway(pulumi.ComponentResource):
    """The one external address of an exporting site: it passes TLS on, by server name, without ending it.

    What it exposes is decided by each ServiceExport; without any it resets every connection. The site's istiod must be
    there, and have the site's intermediate (SharedCA).
    """

    addresses: pulumi.Output[list[str]]
    """The addresses that other sites connect to, each an IP or a DNS name."""

    def __init__(self, name: str, args: EastWestGatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:index:EastWestGateway", name, {}, opts)
        with checked():
            whole = Gateway.model_validate(
                {to_camel(key): value for key, value in args.items() if key in ("replicas", "node_port")}
            )
        exposure = ExposureArgs(
            exposure=args.get("exposure", Exposure.LOAD_BALANCER).value,
            annotations=args.get("annotations") or {},
            load_balancer_ip=args.get("load_balancer_ip"),
            source_ranges=tuple(args.get("source_ranges") or ()),
            node_port=whole.node_port,
        )
        made = mesh.EastWestGateway(
            f"{name}-gateway",
            mesh.EastWestGatewayArgs(
                charts=Charts(version=args["istio_version"], repository=args.get("chart_repository") or ISTIO_CHARTS),
                namespace=args.get("namespace") or gateway.GATEWAY_NAMESPACE,
                nodes=(),  # no node is asked for its kernel: a silent peer is given up after five minutes on all
                after=(),
                replicas=whole.replicas,
                exposure=exposure,
                advertise=args.get("advertise") or (),
                revision=args.get("revision"),
                pull_secrets=args.get("pull_secrets") or (),
                values=args.get("values") or {},
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.addresses = made.addresses.apply(list)
        self.register_outputs({"addresses": self.addresses})
