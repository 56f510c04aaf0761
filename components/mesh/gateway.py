"""EastWestGateway: the one external address of an exporting site."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from dcmesh.model.gateway import GATEWAY_NAME, GATEWAY_PORT
from dcmesh.model.istio import ISTIO_NAMESPACE

from ..mesh.gateway_exposure import ExposureArgs, service_annotations, service_spec
from ..mesh.istio import Charts, Values, merge, spread
from ..pulumi_secrets import sealed

GATEWAY_LABELS = {"app": GATEWAY_NAME, "istio": "dcmesh-gateway"}
"""Labels by which its Service and dcmesh's Gateways select it. The second is dcmesh's alone: Istio's samples select
`istio: eastwestgateway`."""

CLIENT_HELLO = 5
"""Seconds within which a caller of the gateway must begin TLS. Envoy's own limit is 15."""

RTO_MAX = 1000
"""Milliseconds between two tries to send, at most. Linux tries 15 times (`tcp_retries2`), which is 14 seconds then."""


PATIENCE = 300
"""Seconds for which the gateway waits for the other end to take what it was sent, where it cannot tell whether that end
is alive. So a replica may pause that long while it writes what it has copied."""


def labels_in(namespace: str) -> dict[str, str]:
    """Return the labels of the gateway in a namespace. In Istio's own it keeps the chart's, as in dcmesh 0.1.0."""
    return {"app": GATEWAY_NAME, "istio": "eastwestgateway"} if namespace == ISTIO_NAMESPACE else dict(GATEWAY_LABELS)


def give_up(labels: Mapping[str, str], nodes: Sequence[str]) -> dict[str, Any]:
    """Return the spec of the EnvoyFilter with which the gateway ends connections of which nothing more will come.

    One whose other end has gone silent: Linux by itself goes on for 15 minutes. Until then a database whose replica
    was cut off waits in a write, and the replica, connected anew, waits for that to end: MariaDB serves a replica once
    at a time, and gives up a blocked write after `net_write_timeout`. That is 60 seconds by default and an hour in
    dcmesh's own, whose copies are read slowly. With tries that are at most a second apart it is given up after 14
    seconds; whoever answers, if only that he cannot take more now, is kept. An older kernel cannot tell the two apart:
    there either is given up after `PATIENCE`. An idle connection is asked after 30 seconds, three times.

    And one that does not begin TLS.

    Args:
        labels: the gateway's.
        nodes: the nodes whose kernel has the option. On another Envoy would refuse the whole listener.
    """

    def option(level: int, name: int, value: int) -> dict[str, Any]:
        return {"level": level, "name": name, "int_value": value, "state": "STATE_PREBIND"}

    def patch(value: dict[str, Any], **where: Any) -> dict[str, Any]:  # noqa: ANN401 — parts of a match
        match = {"context": "GATEWAY", "listener": {"portNumber": GATEWAY_PORT}, **where}
        return {"applyTo": "LISTENER", "match": match, "patch": {"operation": "MERGE", "value": value}}

    # The numbers are Linux's; an accepted connection has the options of the socket that it came by.
    idle = [
        option(1, 9, 1),  # SO_KEEPALIVE
        option(6, 4, 30),  # TCP_KEEPIDLE
        option(6, 5, 5),  # TCP_KEEPINTVL
        option(6, 6, 3),  # TCP_KEEPCNT
        option(6, 18, PATIENCE * 1000),  # TCP_USER_TIMEOUT
    ]
    # TCP_RTO_MAX_MS, in place of TCP_USER_TIMEOUT: the last of two that are the same holds.
    silent = {"socket_options": [option(6, 18, 0), option(6, 44, RTO_MAX)]}
    return {
        "workloadSelector": {"labels": dict(labels)},
        "configPatches": [
            patch({"socket_options": idle, "listener_filters_timeout": f"{CLIENT_HELLO}s"}),
            # NODE_NAME is among what Istio's proxies say of themselves.
            *(patch(silent, proxy={"metadata": {"NODE_NAME": node}}) for node in sorted(nodes)),
        ],
    }


def gateway_values(
    *, labels: Mapping[str, str], replicas: int, revision: str | None, pull_secrets: Sequence[str]
) -> dict[str, Any]:
    """Return the values of the chart `gateway`.

    `networkGateway` stays unset: it opens istiod's ports 15012 and 15017 to the other site and would lead local
    traffic through the gateway. The chart's own Service stays out, see EastWestGateway.
    """
    return {
        "labels": dict(labels),
        "service": {"type": "None"},
        "replicaCount": replicas,
        "autoscaling": {"enabled": False},
        "topologySpreadConstraints": spread(labels),
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
    address, the old one too while the load balancer is still changing it. If no other site is told the Service's
    address, Pulumi does not wait at all: there may be no load balancer that gives one.
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
        namespace: where the gateway runs. It is created, unless it is Istio's own.
        nodes: the nodes whose kernel can be told to give up a silent peer early, see `give_up`.
        after: what must be there first: the istiod that injects and configures it.
        replicas: number of gateway pods. Default 2, spread over nodes and zones, with a PodDisruptionBudget.
        exposure: how its Service gets an address.
        advertise: addresses under which other sites reach the gateway, if not those of its Service.
        revision: revision of the istiod that it belongs to. Default: none.
        pull_secrets: Secrets with credentials for the image registry.
        values: values laid over those of the chart `gateway`.
        hooks: what surrounds Helm's work on a release. Default: nothing.
        former: whether it is the one that the site had before, and stays as it is. Default: no.
    """

    charts: Charts
    namespace: str
    nodes: pulumi.Input[Sequence[str]]
    after: Sequence[pulumi.Resource]
    replicas: int = 2
    exposure: ExposureArgs = field(default_factory=ExposureArgs)
    advertise: Sequence[str] = ()
    revision: str | None = None
    pull_secrets: Sequence[str] = ()
    values: Values = field(default_factory=dict)
    hooks: pulumi.ResourceHookBinding | None = None
    former: bool = False


class EastWestGateway(pulumi.ComponentResource):
    """The site's gateway: passes TLS on, by server name, without ending it.

    Creates:
        - `Namespace`, unless it is Istio's own.
        - Helm release `istio-eastwestgateway`: the Deployment and its ServiceAccount.
        - `Service` with the ports 15443 and 15021 (health) alone. Not the chart's: this way Pulumi itself waits
          for the address, and neither `up` nor `refresh` needs a second look at it.
        - `EnvoyFilter` that ends connections whose other end has gone silent, or does not begin TLS.

    What it exposes is decided by each ServiceExport; without any it resets every connection.
    """

    addresses: pulumi.Output[Sequence[str]]
    ready: Sequence[pulumi.Resource]
    """What a Gateway in its namespace must depend on."""

    def __init__(self, name: str, args: EastWestGatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:EastWestGateway", name, {}, opts)
        labels, child = labels_in(args.namespace), pulumi.ResourceOptions(parent=self)
        namespace: pulumi.Input[str] = args.namespace
        home: list[pulumi.Resource] = list(args.after)
        if args.namespace != ISTIO_NAMESPACE:
            made = k8s.core.v1.Namespace(
                f"{name}-namespace", metadata=k8s.meta.v1.ObjectMetaArgs(name=args.namespace), opts=child
            )
            namespace = made.metadata.apply(lambda metadata: metadata.name or args.namespace)
            home = [made]
        values = gateway_values(
            labels=labels, replicas=args.replicas, revision=args.revision, pull_secrets=args.pull_secrets
        )
        spec = pulumi.Output.from_input(args.nodes).apply(partial(give_up, labels))
        filtered = k8s.apiextensions.CustomResource(
            # The name is that of dcmesh 0.1.0.
            f"{name}-give-up-silent-peers",
            api_version="networking.istio.io/v1alpha3",
            kind="EnvoyFilter",
            metadata=k8s.meta.v1.ObjectMetaArgs(name=f"{GATEWAY_NAME}-give-up-silent-peers", namespace=namespace),
            spec=spec,
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.after)),
        )
        k8s.helm.v3.Release(
            f"{name}-release",
            name=GATEWAY_NAME,
            namespace=namespace,
            values=sealed(merge(values, args.values)),
            **args.charts.release("gateway"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.after), hooks=args.hooks),
        )
        service = k8s.core.v1.Service(
            f"{name}-service",
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=GATEWAY_NAME,
                namespace=namespace,
                labels=labels,
                annotations=sealed(await_address(args.exposure, args.advertise) | service_annotations(args.exposure)),
            ),
            spec=service_spec(args.exposure, labels),
            # Its port or address may be asked for by the one that takes its place.
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=home, ignore_changes=["metadata", "spec"] if args.former else None
            ),
        )
        self.ready = [filtered]
        self.addresses = (
            pulumi.Output.from_input(list(args.advertise))
            if args.advertise
            else service.status.apply(load_balancer_addresses)
        )
        self.register_outputs({"addresses": self.addresses})
