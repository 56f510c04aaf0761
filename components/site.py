"""Site: all of one datacenter."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

import config
from components.cluster import Cluster, ClusterArgs, Existing, K3d, Lab
from components.gateway import EastWestGateway, EastWestGatewayArgs
from components.istio import ISTIO_NAMESPACE, IstioControlPlane, IstioControlPlaneArgs
from components.link import ExportedService, Link, ServiceAccount, pod_hosts
from components.service_export import ServiceExport, ServiceExportArgs
from components.shared_ca import SharedCA, SiteCA, SiteCAArgs
from components.workloads.hello import Hello, HelloArgs, HelloClient, HelloClientArgs

Workload = Hello | HelloClient


def exported_service(export: config.Export) -> ExportedService:
    """Translate an export of the configuration into what a link says of it."""
    stateful_set = export.stateful_set or export.name
    account = ServiceAccount(namespace=export.namespace, name=export.service_account)
    return ExportedService(
        name=export.name,
        namespace=export.namespace,
        hosts=pod_hosts(
            stateful_set=stateful_set,
            service=export.service or stateful_set,
            namespace=export.namespace,
            replicas=export.replicas,
        ),
        port=export.port,
        protocol=export.protocol,
        identity=account.spiffe_id,
        probe=export.probe or ("greeting" if export.protocol == "TCP" else "http"),
    )


@dataclass(frozen=True, kw_only=True)
class SiteArgs:
    """Arguments of Site.

    Attributes:
        site: the site's part of the configuration.
        istio: the Istio settings that hold for it.
        trust: the root that signs its intermediate.
        cluster: where its cluster comes from.
    """

    site: config.Site
    istio: config.Istio
    trust: SharedCA
    cluster: K3d | Lab | Existing


class Site(pulumi.ComponentResource):
    """One datacenter with its mesh, up to what it exports. What it imports is SiteImports' part.

    Creates:
        - Cluster; `Namespace` `istio-system`; SiteCA; IstioControlPlane.
        - EastWestGateway, if the site exports anything; a ServiceExport for each export.
        - the workloads.
    """

    cluster: Cluster
    control_plane: k8s.helm.v3.Release
    workloads: Mapping[str, Workload]
    """By namespace."""
    link: Link | None
    """What importers must know of this site; None if it exports nothing."""

    def __init__(self, name: str, args: SiteArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:Site", name, {}, opts)
        site, istio = args.site, args.istio
        self.cluster = Cluster(
            f"{name}-cluster", ClusterArgs(source=args.cluster), pulumi.ResourceOptions(parent=self)
        )
        inside = self.inside(self)
        namespace = k8s.core.v1.Namespace(
            f"{name}-{ISTIO_NAMESPACE}",
            metadata=k8s.meta.v1.ObjectMetaArgs(name=ISTIO_NAMESPACE),
            opts=inside,
        )
        ca = SiteCA(
            f"{name}-ca",
            SiteCAArgs(site=site.name, root=args.trust, namespace=namespace.metadata.name),
            inside,
        )
        control_plane = IstioControlPlane(
            f"{name}-istio",
            IstioControlPlaneArgs(
                cluster=site.name,
                charts=istio.helm_charts(),
                namespace=namespace.metadata.name,
                cacerts=ca.secret,
                replicas=istio.replicas,
                egress=istio.egress,
                base_values=istio.values.base,
                istiod_values=istio.values.istiod,
            ),
            inside,
        )
        self.control_plane = control_plane.ready
        self.workloads = {
            workload.namespace: self._workload(f"{name}-{workload.namespace}", workload, inside)
            for workload in site.workloads
        }
        self.link = None
        if site.exports:
            gateway = EastWestGateway(
                f"{name}-gateway",
                EastWestGatewayArgs(
                    charts=istio.helm_charts(),
                    namespace=namespace.metadata.name,
                    control_plane=self.control_plane,
                    replicas=site.gateway.replicas,
                    advertise=site.gateway.advertise or self.cluster.gateway_addresses,
                    values=istio.values.gateway,
                ),
                inside,
            )
            self.link = Link(
                site=site.name,
                addresses=gateway.addresses,
                port=self.cluster.gateway_port,
                exports=tuple(
                    self._export(f"{name}-export-{export.name}", export, inside) for export in site.exports
                ),
            )
        self.register_outputs({})

    def inside(self, parent: pulumi.Resource) -> pulumi.ResourceOptions:
        """Return the options of a resource inside this site's cluster."""
        return pulumi.ResourceOptions(
            parent=parent, provider=self.cluster.provider, deleted_with=self.cluster.made_by
        )

    def ready_for(self, namespace: str) -> list[pulumi.Resource]:
        """Return what must be there before an Istio object goes into a namespace."""
        workload = self.workloads.get(namespace)
        return [self.control_plane, *([workload.identity] if workload else [])]

    def _workload(self, name: str, workload: config.Workload, inside: pulumi.ResourceOptions) -> Workload:
        match workload:
            case config.Hello(namespace=namespace, name=own_name, replicas=replicas, port=port):
                return Hello(
                    name,
                    HelloArgs(
                        namespace=namespace,
                        control_plane=self.control_plane,
                        name=own_name,
                        replicas=replicas,
                        port=port,
                    ),
                    inside,
                )
            case config.HelloClient(namespace=namespace, name=own_name):
                return HelloClient(
                    name,
                    HelloClientArgs(namespace=namespace, control_plane=self.control_plane, name=own_name),
                    inside,
                )

    def _export(self, name: str, export: config.Export, inside: pulumi.ResourceOptions) -> ExportedService:
        exported = exported_service(export)
        ServiceExport(
            name,
            ServiceExportArgs(
                export=exported,
                selector=export.selector,
                consumers=[
                    ServiceAccount(namespace=c.namespace, name=c.service_account) for c in export.consumers
                ],
                after=self.ready_for(export.namespace),
            ),
            inside,
        )
        return exported
