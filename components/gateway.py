"""EastWestGateway: the one external address of an exporting site."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.istio import Charts, Values, merge
from components.link import GATEWAY_PORT

GATEWAY_NAME = "istio-eastwestgateway"
GATEWAY_LABELS = {"app": GATEWAY_NAME, "istio": "eastwestgateway"}
"""Labels that the chart derives from the release's name; the Service and Istio's Gateways select by them."""

STATUS_PORT = 15021


def gateway_values(*, replicas: int) -> dict[str, Any]:
    """Return the values of the chart `gateway`.

    `networkGateway` stays unset: it opens istiod's ports 15012 and 15017 to the other site and would lead local
    traffic through the gateway. The chart's own Service stays out, see EastWestGateway.
    """
    return {
        "service": {"type": "None"},
        "replicaCount": replicas,
        "autoscaling": {"enabled": False},
        "podDisruptionBudget": {"minAvailable": 1} if replicas > 1 else {},
    }


def load_balancer_addresses(status: Any) -> list[str]:  # noqa: ANN401 — the SDK's ServiceStatus or its dict
    """Return the addresses of a LoadBalancer Service: each an IP or, as on AWS, a DNS name.

    Raises:
        ValueError: it has none.
    """
    ingress = getattr(getattr(status, "load_balancer", None), "ingress", None) or []
    addresses = [entry.ip or entry.hostname for entry in ingress]
    if not addresses:
        raise ValueError(
            f"the Service {GATEWAY_NAME} has no external address: does this cluster give addresses to Services "
            "of type LoadBalancer? If not, set gateway.advertise to what the other sites reach it by"
        )
    return addresses


@dataclass(frozen=True, kw_only=True)
class EastWestGatewayArgs:
    """Arguments of EastWestGateway.

    Attributes:
        charts: where the chart comes from.
        namespace: where the gateway runs: Istio's namespace.
        control_plane: the istiod that injects and configures it.
        replicas: number of gateway pods. Default 2, with a PodDisruptionBudget.
        advertise: addresses under which other sites reach the gateway, if not those of its Service.
        values: values laid over those of the chart `gateway`.
    """

    charts: Charts
    namespace: pulumi.Input[str]
    control_plane: pulumi.Resource
    replicas: int = 2
    advertise: Sequence[str] = ()
    values: Values = field(default_factory=dict)


class EastWestGateway(pulumi.ComponentResource):
    """The site's gateway: passes TLS on, by server name, without ending it.

    Creates:
        - Helm release `istio-eastwestgateway`: the Deployment and its ServiceAccount.
        - `Service` of type LoadBalancer with the ports 15443 and 15021 (health) alone. Not the chart's: this
          way Pulumi itself waits for the address, and neither `up` nor `refresh` needs a second look at it.

    What it exposes is decided by each ServiceExport; without any it resets every connection.
    """

    addresses: pulumi.Output[Sequence[str]]

    def __init__(
        self, name: str, args: EastWestGatewayArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("dcmesh:components:EastWestGateway", name, {}, opts)
        k8s.helm.v3.Release(
            f"{name}-release",
            name=GATEWAY_NAME,
            namespace=args.namespace,
            values=merge(gateway_values(replicas=args.replicas), args.values),
            **args.charts.release("gateway"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[args.control_plane]),
        )
        service = k8s.core.v1.Service(
            f"{name}-service",
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=GATEWAY_NAME, namespace=args.namespace, labels=GATEWAY_LABELS
            ),
            spec=k8s.core.v1.ServiceSpecArgs(
                type="LoadBalancer",
                selector=GATEWAY_LABELS,
                ports=[
                    k8s.core.v1.ServicePortArgs(
                        name="status-port", port=STATUS_PORT, target_port=STATUS_PORT
                    ),
                    k8s.core.v1.ServicePortArgs(name="tls", port=GATEWAY_PORT, target_port=GATEWAY_PORT),
                ],
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.addresses = (
            pulumi.Output.from_input(list(args.advertise))
            if args.advertise
            else service.status.apply(load_balancer_addresses)
        )
        self.register_outputs({"addresses": self.addresses})
