"""IstioControlPlane: Istio's CRDs and istiod in one cluster, by Istio's Helm charts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pulumi
import pulumi_kubernetes as k8s

ISTIO_NAMESPACE = "istio-system"
INJECTION_LABELS = {"istio-injection": "enabled"}
"""Labels of a namespace whose pods get a sidecar."""

Values = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Charts:
    """Where Istio's Helm charts come from.

    Attributes:
        version: version of the charts and of Istio, such as 1.29.1.
        repository: a chart repository's URL, or a directory that holds the charts `base`, `istiod`, `gateway`.
    """

    version: str
    repository: str

    def release(self, chart: str) -> dict[str, Any]:
        """Return the arguments of a Helm release that choose this chart."""
        if "://" in self.repository:
            repository = k8s.helm.v3.RepositoryOptsArgs(repo=self.repository)
            return {"chart": chart, "version": self.version, "repository_opts": repository}
        return {"chart": f"{self.repository.rstrip('/')}/{chart}", "version": self.version}


def merge(values: Values, over: Values) -> dict[str, Any]:
    """Lay one tree of Helm values over another, as `helm install -f` does: maps merge, the rest is replaced."""
    merged = dict(values)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = (
            merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
        )
    return merged


def istiod_values(*, cluster: str, replicas: int, egress: str) -> dict[str, Any]:
    """Return the values of the chart `istiod`.

    Args:
        cluster: name under which this mesh knows its own cluster.
        replicas: number of istiod pods.
        egress: outbound traffic policy of all sidecars.
    """
    return {
        "autoscaleEnabled": False,
        "replicaCount": replicas,
        # Lets a second root be trusted beside the first. Needed for rotation, and too late when it begins:
        # istiod reads it at its start only.
        "env": {"ISTIO_MULTIROOT_MESH": "true"},
        "global": {"multiCluster": {"clusterName": cluster}},
        "meshConfig": {
            "outboundTrafficPolicy": {"mode": egress},
            "defaultConfig": {
                "proxyMetadata": {
                    # Sidecars answer the DNS queries for imported hosts; no cluster's DNS knows them.
                    "ISTIO_META_DNS_CAPTURE": "true",
                    # Proxies take the roots that istiod pushes; without it a new root waits for their restart.
                    "PROXY_CONFIG_XDS_AGENT": "true",
                    # Envoy cuts a TCP connection after an hour of silence; a quiet replication channel is that.
                    "ISTIO_META_IDLE_TIMEOUT": "0s",
                }
            },
        },
    }


@dataclass(frozen=True, kw_only=True)
class IstioControlPlaneArgs:
    """Arguments of IstioControlPlane.

    Attributes:
        cluster: name of the site.
        charts: where the charts come from.
        namespace: the namespace `istio-system`.
        cacerts: the site's intermediate in it: an istiod that starts without one signs with a root of its own.
        replicas: number of istiod pods. Default 2, with a PodDisruptionBudget: while none runs, no pod with a
            sidecar can start.
        egress: what sidecars do with traffic to unknown places. Default ALLOW_ANY, Istio's own.
        base_values: values laid over those of the chart `base`.
        istiod_values: values laid over those of the chart `istiod`.
    """

    cluster: str
    charts: Charts
    namespace: pulumi.Input[str]
    cacerts: pulumi.Resource
    replicas: int = 2
    egress: Literal["ALLOW_ANY", "REGISTRY_ONLY"] = "ALLOW_ANY"
    base_values: Values = field(default_factory=dict)
    istiod_values: Values = field(default_factory=dict)


class IstioControlPlane(pulumi.ComponentResource):
    """Istio's control plane in one cluster.

    Creates:
        - Helm release `istio-base`: the CRDs, which Helm keeps when the release is removed.
        - Helm release `istiod`.

    Whatever is an Istio object or gets a sidecar must depend on `ready`.
    """

    ready: k8s.helm.v3.Release
    """The release of istiod: up, its webhooks answering."""

    def __init__(
        self, name: str, args: IstioControlPlaneArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("dcmesh:components:IstioControlPlane", name, {}, opts)
        base = k8s.helm.v3.Release(
            f"{name}-base",
            name="istio-base",
            namespace=args.namespace,
            values=dict(args.base_values),
            **args.charts.release("base"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        values = istiod_values(cluster=args.cluster, replicas=args.replicas, egress=args.egress)
        self.ready = k8s.helm.v3.Release(
            f"{name}-istiod",
            name="istiod",
            namespace=args.namespace,
            values=merge(values, args.istiod_values),
            **args.charts.release("istiod"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[base, args.cacerts]),
        )
        self.register_outputs({})
