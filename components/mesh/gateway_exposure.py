"""How a gateway gets its external address: the Service's annotations and traffic policy on each platform."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dcmesh.model.gateway import GATEWAY_PORT, Exposure

STATUS_PORT = 15021


@dataclass(frozen=True, kw_only=True)
class Platform:
    """What a Service of type LoadBalancer needs on one platform.

    Attributes:
        annotations: its annotations.
        traffic_policy: `externalTrafficPolicy`. With Local a load balancer forwards to nodes that have a gateway;
            with Cluster to any node, at the price of a hop.
        source: where the annotations are documented.
    """

    annotations: Mapping[str, str] = field(default_factory=dict)
    traffic_policy: Literal["Local", "Cluster"] = "Cluster"
    source: str


def _aws(scheme: str) -> Platform:
    prefix = "service.beta.kubernetes.io/aws-load-balancer"
    return Platform(
        annotations={
            f"{prefix}-type": "external",  # reconciled by the AWS Load Balancer Controller, not the in-tree one
            f"{prefix}-nlb-target-type": "instance",  # works with any CNI
            f"{prefix}-scheme": scheme,
            f"{prefix}-attributes": "load_balancing.cross_zone.enabled=true",
        },
        traffic_policy="Local",
        source="https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/service/annotations/",
    )


def _gcp(annotations: Mapping[str, str]) -> Platform:
    return Platform(
        annotations=annotations,
        traffic_policy="Local",
        source="https://cloud.google.com/kubernetes-engine/docs/concepts/service-load-balancer-parameters",
    )


def _azure(annotations: Mapping[str, str]) -> Platform:
    prefix = "service.beta.kubernetes.io/azure-load-balancer"
    return Platform(
        # In minutes. The default of 4 cuts a quiet replication channel.
        annotations={f"{prefix}-tcp-idle-timeout": "30", **annotations},
        traffic_policy="Local",
        source="https://kubernetes-sigs.github.io/cloud-provider-azure/topics/loadbalancer/",
    )


PLATFORMS: Mapping[Exposure, Platform] = {
    "load-balancer": Platform(
        source="https://kubernetes.io/docs/concepts/services-networking/service/#loadbalancer",
    ),
    "aws-nlb": _aws("internet-facing"),
    "aws-nlb-internal": _aws("internal"),
    "gcp": _gcp({"cloud.google.com/l4-rbs": "enabled"}),
    "gcp-internal": _gcp(
        {
            "networking.gke.io/load-balancer-type": "Internal",
            # The other datacenter is another region.
            "networking.gke.io/internal-load-balancer-allow-global-access": "true",
        }
    ),
    "azure": _azure({}),
    "azure-internal": _azure({"service.beta.kubernetes.io/azure-load-balancer-internal": "true"}),
    "metallb": Platform(
        traffic_policy="Local",
        source="https://metallb.io/usage/#traffic-policies",
    ),
    "nodeport": Platform(
        source="https://kubernetes.io/docs/concepts/services-networking/service/#type-nodeport",
    ),
}


@dataclass(frozen=True, kw_only=True)
class ExposureArgs:
    """How the gateway's Service is exposed.

    Attributes:
        exposure: the platform.
        annotations: laid over the platform's.
        load_balancer_ip: address to ask for.
        load_balancer_class: class of the load balancer.
        source_ranges: networks that may connect, as CIDR. Default: all.
        node_port: port of every node that leads to the gateway, with `nodeport`.
    """

    exposure: Exposure = "load-balancer"
    annotations: Mapping[str, str] = field(default_factory=dict)
    load_balancer_ip: str | None = None
    load_balancer_class: str | None = None
    source_ranges: tuple[str, ...] = ()
    node_port: int | None = None


def service_annotations(args: ExposureArgs) -> dict[str, str]:
    """Return the annotations of the gateway's Service."""
    return {**PLATFORMS[args.exposure].annotations, **args.annotations}


def service_spec(args: ExposureArgs, selector: Mapping[str, str]) -> dict[str, Any]:
    """Return the spec of the gateway's Service: the ports 15443 and, for load balancers, 15021 (health) alone."""
    tls: dict[str, Any] = {"name": "tls", "port": GATEWAY_PORT, "targetPort": GATEWAY_PORT}
    spec: dict[str, Any] = {
        "selector": dict(selector),
        "externalTrafficPolicy": PLATFORMS[args.exposure].traffic_policy,
    }
    if args.exposure == "nodeport":
        node_port = {"nodePort": args.node_port} if args.node_port else {}
        return spec | {"type": "NodePort", "ports": [tls | node_port]}
    spec |= {
        "type": "LoadBalancer",
        "ports": [{"name": "status-port", "port": STATUS_PORT, "targetPort": STATUS_PORT}, tls],
    }
    wishes = {
        "loadBalancerIP": args.load_balancer_ip,
        "loadBalancerClass": args.load_balancer_class,
        "loadBalancerSourceRanges": list(args.source_ranges),
    }
    return spec | {key: value for key, value in wishes.items() if value}
