"""EgressGateway: the way from pods without a sidecar to other sites."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from dcmesh.model.egress import EGRESS_NAME, LABELS, TRIES

from ..mesh.gateway import gateway_values, give_up
from ..mesh.istio import Charts, Values, merge
from ..mesh.service_export import TYPE
from ..pulumi_secrets import sealed

REPLICAS = 2

PROBE_LABELS = {"app": "dcmesh-probe"}
"""Labels of the pods of its namespace that it lets in beside its own."""

OPEN_PORTS = (15020, 15021, 15090)
"""Ports that are for everybody: statistics, for Prometheus, and health."""


def egress_values(*, account: str, revision: str | None, pull_secrets: Sequence[str]) -> dict[str, Any]:
    """Return the values of the chart `gateway`."""
    values = gateway_values(labels=LABELS, replicas=REPLICAS, revision=revision, pull_secrets=pull_secrets)
    return values | {
        "serviceAccount": {"name": account},
        # Envoy cuts a TCP connection after an hour of silence; a quiet replication channel is that.
        "env": {"ISTIO_META_IDLE_TIMEOUT": "0s"},
    }


def closed() -> dict[str, Any]:
    """Return the spec of the NetworkPolicy that closes an egress gateway to all but its own namespace's probes.

    Each import then lets its clients in.
    """
    own = [{"podSelector": {"matchLabels": dict(of)}} for of in (LABELS, PROBE_LABELS)]
    return {
        "podSelector": {"matchLabels": LABELS},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"protocol": "TCP", "port": port} for port in OPEN_PORTS]}, {"from": own}],
    }


def whoever_comes() -> dict[str, Any]:
    """Return the spec of the AuthorizationPolicy that lets in whom the NetworkPolicies have let in.

    A pod without a sidecar has no identity. The rule is for meshes that allow nothing unless a policy says so. It
    names no port: with every change of a policy Envoy closes all connections.
    """
    return {"selector": {"matchLabels": LABELS}, "action": "ALLOW", "rules": [{}]}


def connections() -> dict[str, Any]:
    """Return the spec of the EnvoyFilter that sets what Istio has no setting for.

    A connection whose client has gone silent is ended, as the other gateway does. One that is not connected to the
    other site is tried again while its client waits: for a moment that site's load balancer may lead to a gateway's
    pod that has just gone.

    It is for all listeners: those of hosts come and go, and it must not change with them.
    """
    (patch,) = give_up(LABELS, [])["configPatches"]
    options = {"socket_options": patch["patch"]["value"]["socket_options"]}
    proxy = {"@type": f"{TYPE}filters.network.tcp_proxy.v3.TcpProxy", "max_connect_attempts": TRIES}
    tcp_proxy = {"listener": {"filterChain": {"filter": {"name": "envoy.filters.network.tcp_proxy"}}}}

    def merged(what: str, value: dict[str, Any], **where: Any) -> dict[str, Any]:  # noqa: ANN401 — parts of a match
        match = {"context": "GATEWAY", **where}
        return {"applyTo": what, "match": match, "patch": {"operation": "MERGE", "value": value}}

    return {
        "workloadSelector": {"labels": LABELS},
        "configPatches": [
            merged("LISTENER", options),
            merged("NETWORK_FILTER", {"typed_config": proxy}, **tcp_proxy),
        ],
    }


@dataclass(frozen=True, kw_only=True)
class EgressGatewayArgs:
    """Arguments of EgressGateway.

    Attributes:
        charts: where the chart comes from.
        namespace: where it runs. It is created.
        account: its service account. It is created.
        after: what must be there first: the istiod that injects and configures it.
        revision: revision of the istiod that it belongs to. Default: none.
        pull_secrets: Secrets with credentials for the image registry.
        values: values laid over those of the chart `gateway`.
        hooks: what surrounds Helm's work on a release. Default: nothing.
    """

    charts: Charts
    namespace: str
    account: str
    after: Sequence[pulumi.Resource]
    revision: str | None = None
    pull_secrets: Sequence[str] = ()
    values: Values = field(default_factory=dict)
    hooks: pulumi.ResourceHookBinding | None = None


class EgressGateway(pulumi.ComponentResource):
    """A gateway that takes plain TCP from pods of its own site, and leads it to other sites by mutual TLS.

    Creates:
        - `Namespace`.
        - `NetworkPolicy` that closes it.
        - `AuthorizationPolicy` for meshes that allow nothing by default.
        - `EnvoyFilter` that ends connections whose client has gone silent, and tries again to reach the other site.
        - Helm release `dcmesh-egress`: a Deployment of two pods, spread over nodes and zones, its
          PodDisruptionBudget, and the ServiceAccount, which is the consumer of the links.

    What it leads to is decided by each EgressImport; without any it listens on no port.
    """

    ready: Sequence[pulumi.Resource]
    """What an import by this egress gateway must depend on: the NetworkPolicy closes it, and its pods run."""

    def __init__(self, name: str, args: EgressGatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:EgressGateway", name, {}, opts)
        made = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata=k8s.meta.v1.ObjectMetaArgs(name=args.namespace),
            opts=pulumi.ResourceOptions(parent=self),
        )
        namespace = made.metadata.apply(lambda metadata: metadata.name or args.namespace)
        istio: dict[str, tuple[str, dict[str, Any]]] = {
            "AuthorizationPolicy": ("security.istio.io/v1", whoever_comes()),
            "EnvoyFilter": ("networking.istio.io/v1alpha3", connections()),
        }
        policy = k8s.networking.v1.NetworkPolicy(
            f"{name}-networkpolicy",
            metadata=k8s.meta.v1.ObjectMetaArgs(name=EGRESS_NAME, namespace=namespace),
            spec=closed(),
            opts=pulumi.ResourceOptions(parent=self),
        )
        fence = [
            policy,
            *(
                k8s.apiextensions.CustomResource(
                    f"{name}-{kind}".lower(),
                    api_version=version,
                    kind=kind,
                    metadata=k8s.meta.v1.ObjectMetaArgs(name=EGRESS_NAME, namespace=namespace),
                    spec=spec,
                    opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.after)),
                )
                for kind, (version, spec) in istio.items()
            ),
        ]
        values = egress_values(account=args.account, revision=args.revision, pull_secrets=args.pull_secrets)
        release = k8s.helm.v3.Release(
            f"{name}-release",
            name=EGRESS_NAME,
            namespace=namespace,
            values=sealed(merge(values, args.values)),
            **args.charts.release("gateway"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*args.after, *fence], hooks=args.hooks),
        )
        self.ready = [*fence, release]
        self.register_outputs({})
