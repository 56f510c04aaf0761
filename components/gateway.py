"""EastWestGateway: the one external address of an exporting site."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.gateway_exposure import ExposureArgs, service_annotations, service_spec
from components.istio import Charts, Values, merge, spread
from components.link import GATEWAY_PORT
from components.sealed import sealed

GATEWAY_NAME = "istio-eastwestgateway"

GATEWAY_NAMESPACE = "dcmesh-gateway"
"""Namespace of the gateway, and of the Gateways that open it, where no `up` has put it elsewhere."""

GATEWAY_LABELS = {"app": GATEWAY_NAME, "istio": "dcmesh-gateway"}
"""Labels by which its Service and dcmesh's Gateways select it. The second is dcmesh's alone: Istio's samples select
`istio: eastwestgateway`."""

SILENCE = 15
"""Seconds after which the gateway gives up a connection whose other end acknowledges nothing that it was sent."""


def give_up_silent_peers() -> dict[str, Any]:
    """Return the spec of the EnvoyFilter with which the gateway ends connections whose other end has gone silent.

    Linux by itself goes on for 15 minutes (`tcp_retries2`). Until then a database whose replica was cut off waits in
    a write, and the replica, connected anew, waits for that to end: MariaDB serves a replica once at a time, and
    gives up a blocked write after `net_write_timeout`, 60 seconds. An idle connection is asked after 30 seconds.
    """

    def option(level: int, name: int, value: int) -> dict[str, Any]:
        return {"level": level, "name": name, "int_value": value, "state": "STATE_PREBIND"}

    # The numbers are Linux's; an accepted connection has the options of the socket that it came by.
    options = [
        option(6, 18, SILENCE * 1000),  # TCP_USER_TIMEOUT, in milliseconds
        option(1, 9, 1),  # SO_KEEPALIVE
        option(6, 4, 30),  # TCP_KEEPIDLE
        option(6, 5, 10),  # TCP_KEEPINTVL
    ]
    return {
        "workloadSelector": {"labels": GATEWAY_LABELS},
        "configPatches": [
            {
                "applyTo": "LISTENER",
                "match": {"context": "GATEWAY", "listener": {"portNumber": GATEWAY_PORT}},
                "patch": {"operation": "MERGE", "value": {"socket_options": options}},
            }
        ],
    }


def gateway_values(*, replicas: int, revision: str | None, pull_secrets: Sequence[str]) -> dict[str, Any]:
    """Return the values of the chart `gateway`.

    `networkGateway` stays unset: it opens istiod's ports 15012 and 15017 to the other site and would lead local
    traffic through the gateway. The chart's own Service stays out, see EastWestGateway.
    """
    return {
        "service": {"type": "None"},
        "replicaCount": replicas,
        "autoscaling": {"enabled": False},
        "topologySpreadConstraints": spread(GATEWAY_LABELS),
        **({"podDisruptionBudget": {"minAvailable": 1}} if replicas > 1 else {}),
        **({"revision": revision} if revision else {}),
        **({"imagePullSecrets": [{"name": secret} for secret in pull_secrets]} if pull_secrets else {}),
    }


def load_balancer_addresses(status: Any) -> list[str]:  # noqa: ANN401 — the SDK's ServiceStatus or its dict
    """Return the addresses of a LoadBalancer Service: each an IP or, as on AWS, a DNS name.

    Raises:
        pulumi.RunError: it has none.
    """
    ingress = getattr(getattr(status, "load_balancer", None), "ingress", None) or []
    addresses = [address for entry in ingress if (address := entry.ip or entry.hostname)]
    if not addresses:
        raise pulumi.RunError(
            f"the Service {GATEWAY_NAME} has no external address: does this cluster give addresses to Services of "
            "type LoadBalancer? If not, set gateway.advertise to what the other sites reach it by"
        )
    return addresses


def await_address(args: ExposureArgs, advertise: Sequence[str]) -> dict[str, str]:
    """Return the annotations that make Pulumi wait until the Service has an address, or the one that it asks for.

    By itself Pulumi waits ten seconds longer, in which endpoints may settle: here the pods come later. And it takes any
    address, the old one too while the load balancer is still changing it. For an address that nobody is told of it
    waits not at all: there may be no load balancer that gives one.
    """
    if args.exposure == "nodeport":
        return {}
    if advertise:
        return {"pulumi.com/skipAwait": "true"}
    address = ".status.loadBalancer.ingress[0]"
    wanted = f"{{{address}.ip}}={args.load_balancer_ip}" if args.load_balancer_ip else f"{{{address}}}"
    return {"pulumi.com/waitFor": f"jsonpath={wanted}"}


@dataclass(frozen=True, kw_only=True)
class EastWestGatewayArgs:
    """Arguments of EastWestGateway.

    Attributes:
        charts: where the chart comes from.
        namespace: where the gateway runs: Istio's namespace.
        after: what must be there first: the istiod that injects and configures it.
        replicas: number of gateway pods. Default 2, spread over nodes and zones, with a PodDisruptionBudget.
        exposure: how its Service gets an address.
        advertise: addresses under which other sites reach the gateway, if not those of its Service.
        revision: revision of the istiod that it belongs to. Default: none.
        pull_secrets: Secrets with credentials for the image registry.
        values: values laid over those of the chart `gateway`.
        hooks: what surrounds Helm's work on a release. Default: nothing.
    """

    charts: Charts
    namespace: pulumi.Input[str]
    after: Sequence[pulumi.Resource]
    replicas: int = 2
    exposure: ExposureArgs = field(default_factory=ExposureArgs)
    advertise: Sequence[str] = ()
    revision: str | None = None
    pull_secrets: Sequence[str] = ()
    values: Values = field(default_factory=dict)
    hooks: pulumi.ResourceHookBinding | None = None


class EastWestGateway(pulumi.ComponentResource):
    """The site's gateway: passes TLS on, by server name, without ending it.

    Creates:
        - Helm release `istio-eastwestgateway`: the Deployment and its ServiceAccount.
        - `Service` with the ports 15443 and 15021 (health) alone. Not the chart's: this way Pulumi itself waits
          for the address, and neither `up` nor `refresh` needs a second look at it.
        - `EnvoyFilter` that ends connections whose other end has gone silent.

    What it exposes is decided by each ServiceExport; without any it resets every connection.
    """

    addresses: pulumi.Output[Sequence[str]]

    def __init__(self, name: str, args: EastWestGatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:EastWestGateway", name, {}, opts)
        values = gateway_values(replicas=args.replicas, revision=args.revision, pull_secrets=args.pull_secrets)
        k8s.helm.v3.Release(
            f"{name}-release",
            name=GATEWAY_NAME,
            namespace=args.namespace,
            values=sealed(merge(values, args.values)),
            **args.charts.release("gateway"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.after), hooks=args.hooks),
        )
        k8s.apiextensions.CustomResource(
            f"{name}-give-up-silent-peers",
            api_version="networking.istio.io/v1alpha3",
            kind="EnvoyFilter",
            metadata=k8s.meta.v1.ObjectMetaArgs(name=f"{GATEWAY_NAME}-give-up-silent-peers", namespace=args.namespace),
            spec=give_up_silent_peers(),
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.after)),
        )
        service = k8s.core.v1.Service(
            f"{name}-service",
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=GATEWAY_NAME,
                namespace=args.namespace,
                labels=GATEWAY_LABELS,
                annotations=sealed(await_address(args.exposure, args.advertise) | service_annotations(args.exposure)),
            ),
            spec=service_spec(args.exposure, GATEWAY_LABELS),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.addresses = (
            pulumi.Output.from_input(list(args.advertise))
            if args.advertise
            else service.status.apply(load_balancer_addresses)
        )
        self.register_outputs({"addresses": self.addresses})
