"""IstioControlPlane: Istio's CRDs and istiod in one cluster, by Istio's Helm charts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pulumi
import pulumi_kubernetes as k8s

from dcmesh.model.istio import ISTIO_NAMESPACE, SCOPE, TRUST_DOMAIN
from dcmesh.model.ownership_marks import OURS

from ..pulumi_secrets import sealed
from ..trust.shared_ca import Intermediate

Values = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Charts:
    """Where Helm charts of one version come from.

    Attributes:
        version: version of the charts and of what they install, such as 1.31.0.
        repository: a chart repository's URL, an OCI registry (`oci://…`), or a directory.
    """

    version: str
    repository: str

    def release(self, chart: str) -> dict[str, Any]:
        """Return the arguments of a Helm release that choose this chart."""
        if self.repository.startswith(("https://", "http://")):
            repository = k8s.helm.v3.RepositoryOptsArgs(repo=self.repository)
            return {"chart": chart, "version": self.version, "repository_opts": repository}
        return {"chart": f"{self.repository.rstrip('/')}/{chart}", "version": self.version}


def merge(values: Values, over: Values) -> dict[str, Any]:
    """Lay one tree of Helm values over another, as `helm install -f` does: maps merge, the rest is replaced."""
    merged = dict(values)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def spread(labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the constraints that keep pods of the same labels on different nodes and in different zones."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": dict(labels)},
        }
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    ]


def istiod_values(
    *,
    cluster: str,
    replicas: int,
    egress: str,
    hub: str | None,
    tag: str | None,
    pull_secrets: Sequence[str],
    statistics: Sequence[str] = (),
    scope_gateways: bool = True,
    trust_domains: Sequence[str] = (TRUST_DOMAIN,),
) -> dict[str, Any]:
    """Return the values of the chart `istiod`.

    Args:
        cluster: name under which this mesh knows its own cluster.
        replicas: number of istiod pods.
        egress: outbound traffic policy of all sidecars.
        hub: image registry and path. Default: the chart's.
        tag: image tag. Default: the chart's.
        pull_secrets: Secrets with credentials for the registry.
        statistics: patterns of the statistics that proxies show beside Istio's choice.
        scope_gateways: whether a Gateway opens gateways of its own namespace alone.
        trust_domains: the mesh's trust domain, and one that counts as its own. Default: Istio's.
    """
    default = tuple(trust_domains) == (TRUST_DOMAIN,)
    images = {key: value for key, value in (("hub", hub), ("tag", tag)) if value}
    return {
        **images,
        "autoscaleEnabled": False,
        "replicaCount": replicas,
        "topologySpreadConstraints": spread({"app": "istiod"}),
        "env": {
            # Lets a second root be trusted beside the first. Needed for rotation, and too late when it begins:
            # istiod reads it at its start only.
            "ISTIO_MULTIROOT_MESH": "true",
            # Else any namespace's Gateway opens dcmesh's gateway too, or shuts it: one host twice is enough.
            **({SCOPE: "true"} if scope_gateways else {}),
        },
        "global": {
            **images,
            "multiCluster": {"clusterName": cluster},
            **({"imagePullSecrets": list(pull_secrets)} if pull_secrets else {}),
        },
        # istiod reads at its start what it issues for.
        **({} if default else {"podAnnotations": {"dcmesh/trust-domains": ",".join(trust_domains)}}),
        "meshConfig": {
            **({} if default else {"trustDomain": trust_domains[0]}),
            **({"trustDomainAliases": list(trust_domains[1:])} if trust_domains[1:] else {}),
            "outboundTrafficPolicy": {"mode": egress},
            "defaultConfig": {
                "proxyMetadata": {
                    # Sidecars answer the DNS queries for imported hosts; no cluster's DNS knows them.
                    "ISTIO_META_DNS_CAPTURE": "true",
                    # Proxies take the roots that istiod pushes; without it a new root waits for their restart.
                    "PROXY_CONFIG_XDS_AGENT": "true",
                    # Envoy cuts a TCP connection after an hour of silence; a quiet replication channel is that.
                    "ISTIO_META_IDLE_TIMEOUT": "0s",
                },
                **({"proxyStatsMatcher": {"inclusionRegexps": list(statistics)}} if statistics else {}),
            },
        },
    }


@dataclass(frozen=True, kw_only=True)
class IstioControlPlaneArgs:
    """Arguments of IstioControlPlane.

    Attributes:
        cluster: name of the site.
        charts: where the charts come from.
        intermediate: the site's signing certificate; None if the Secret `cacerts` is there already.
        existing: whether Istio itself is there already. Then nothing of it is installed.
        replicas: number of istiod pods. Default 2, with the chart's PodDisruptionBudget: while none runs, no
            pod with a sidecar can start.
        egress: what sidecars do with traffic to unknown places. Default ALLOW_ANY, Istio's own.
        hub: image registry and path. Default: the charts'.
        tag: image tag. Default: the charts'.
        pull_secrets: Secrets in `istio-system` with credentials for the registry.
        statistics: patterns of the statistics that proxies show beside Istio's choice. Default: none.
        scope_gateways: whether a Gateway applies only to gateways of its own namespace. Default: yes.
        trust_domains: the mesh's trust domain, and one that counts as its own while that changes. Default:
            `cluster.local`, Istio's own.
        base_values: values laid over those of the chart `base`.
        istiod_values: values laid over those of the chart `istiod`.
        hooks: what surrounds Helm's work on a release. Default: nothing.
        cacerts_opts: options of the Secret `cacerts`: what comes before it, and whether it may be changed.
    """

    cluster: str
    charts: Charts
    intermediate: Intermediate | None
    existing: bool = False
    replicas: int = 2
    egress: Literal["ALLOW_ANY", "REGISTRY_ONLY"] = "ALLOW_ANY"
    hub: str | None = None
    tag: str | None = None
    pull_secrets: Sequence[str] = ()
    statistics: Sequence[str] = ()
    scope_gateways: bool = True
    trust_domains: Sequence[str] = (TRUST_DOMAIN,)
    base_values: Values = field(default_factory=dict)
    istiod_values: Values = field(default_factory=dict)
    hooks: pulumi.ResourceHookBinding | None = None
    cacerts_opts: pulumi.ResourceOptions | None = None


class IstioControlPlane(pulumi.ComponentResource):
    """Istio's control plane in one cluster, with the site's signing certificate.

    Creates:
        - `Namespace` `istio-system`, unless Istio or its certificates are there already.
        - `Secret` `cacerts` with the four files that istiod reads, unless it is there already. It comes first:
          an istiod that starts without it signs with a root of its own.
        - Helm release `istio-base`: the CRDs, which Helm keeps when the release is removed.
        - Helm release `istiod`.
    """

    namespace: pulumi.Input[str]
    cacerts: pulumi.Resource | None
    """The signing certificate's Secret; None if it was there already."""
    ready: Sequence[pulumi.Resource]
    """What an Istio object, or a pod with a sidecar, must depend on: istiod is up, its webhooks answer."""

    def __init__(self, name: str, args: IstioControlPlaneArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:IstioControlPlane", name, {}, opts)
        self.namespace = ISTIO_NAMESPACE
        if args.intermediate and not args.existing:
            created = k8s.core.v1.Namespace(
                f"{name}-namespace",
                metadata=k8s.meta.v1.ObjectMetaArgs(name=ISTIO_NAMESPACE),
                opts=pulumi.ResourceOptions(parent=self),
            )
            self.namespace = created.metadata.apply(lambda metadata: metadata.name or ISTIO_NAMESPACE)
        self.cacerts = self._cacerts(name, args.intermediate, args.cacerts_opts) if args.intermediate else None
        self.ready = [self.cacerts] if self.cacerts else []
        if not args.existing:
            self.ready = [self._istiod(name, args, after=self.ready)]
        self.register_outputs({})

    def _cacerts(self, name: str, intermediate: Intermediate, opts: pulumi.ResourceOptions | None) -> pulumi.Resource:
        return k8s.core.v1.Secret(
            f"{name}-cacerts",
            metadata=k8s.meta.v1.ObjectMetaArgs(name="cacerts", namespace=self.namespace, labels=OURS),
            string_data={
                "ca-cert.pem": intermediate.cert,
                "ca-key.pem": intermediate.key,
                "root-cert.pem": intermediate.root,
                # With the intermediate in it: istiod appends the file to each leaf as it is.
                "cert-chain.pem": intermediate.chain,
            },
            # It goes with its namespace. An Istio that stays would take another root at its next start without it.
            opts=pulumi.ResourceOptions.merge(pulumi.ResourceOptions(parent=self, retain_on_delete=True), opts),
        )

    def _istiod(self, name: str, args: IstioControlPlaneArgs, after: Sequence[pulumi.Resource]) -> pulumi.Resource:
        base = k8s.helm.v3.Release(
            f"{name}-base",
            name="istio-base",
            namespace=self.namespace,
            values=sealed(args.base_values),
            **args.charts.release("base"),
            # What needs the CRDs waits for istiod, which is ready long after they are; Helm looks every 2 s only.
            skip_await=True,
            opts=pulumi.ResourceOptions(parent=self, hooks=args.hooks),
        )
        values = istiod_values(
            cluster=args.cluster,
            replicas=args.replicas,
            egress=args.egress,
            hub=args.hub,
            tag=args.tag,
            pull_secrets=args.pull_secrets,
            statistics=args.statistics,
            scope_gateways=args.scope_gateways,
            trust_domains=args.trust_domains,
        )
        return k8s.helm.v3.Release(
            f"{name}-istiod",
            name="istiod",
            namespace=self.namespace,
            values=sealed(merge(values, args.istiod_values)),
            **args.charts.release("istiod"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[base, *after], hooks=args.hooks),
        )
