"""Site: all of one datacenter."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pulumi

from dcmesh.kube.nodes import with_rto_max
from dcmesh.model import settings as model
from dcmesh.model.component_names import egress_name, export_name, gateway_component, pxc_operator_name, workload_name
from dcmesh.model.istio import ISTIO_NAMESPACE, injection_labels
from dcmesh.model.link import ExportedService, Link, LinkGateway
from dcmesh.model.plan import GatewayPlan, SitePlan
from dcmesh.model.printable import abridged
from dcmesh.model.value_types import can_be_reached
from dcmesh.trust.rotation import Mesh, OtherSites

from .cluster import Cluster, ClusterArgs, Commands, Existing, K3d
from .databases.mariadb import Mariadb, MariadbArgs
from .databases.pxc import Pxc, PxcArgs
from .databases.pxc_operator import PxcOperator, PxcOperatorArgs
from .helm_release_hooks import release_hooks
from .lost_site import untouched
from .mesh.egress_gateway import EgressGateway, EgressGatewayArgs
from .mesh.gateway import EastWestGateway, EastWestGatewayArgs
from .mesh.gateway_exposure import ExposureArgs
from .mesh.gateway_termination import GatewayTermination, GatewayTerminationArgs, gateway_policy
from .mesh.ingress_termination import IngressExport, IngressExportArgs
from .mesh.istio import Charts, IstioControlPlane, IstioControlPlaneArgs, Values, merge
from .mesh.istiod_unavailable import istio_hooks
from .mesh.service_export import ServiceExport, ServiceExportArgs
from .monitoring.objects import STATISTICS, Monitoring, MonitoringArgs
from .object_ownership import Overrule
from .pod_policy import GATEWAY, ISTIOD, PodPolicy
from .trust.rotation import guard_hook, issued, settle_command
from .trust.shared_ca import Intermediate
from .verb_command import begun
from .workloads.hello import Hello, HelloArgs, HelloClient, HelloClientArgs

Workload = Hello | HelloClient | Mariadb | Pxc


def _charts(of: model.Istio | model.PxcOperator) -> Charts:
    """Return where what is configured comes from."""
    return Charts(version=of.version, repository=of.charts)


def require_addresses(site: str, addresses: Sequence[str]) -> Sequence[str]:
    """Return the addresses of a site's gateway, which its cluster tells, if they can be told to other sites.

    Raises:
        pulumi.RunError: one is none.
    """
    for address in addresses:
        if not can_be_reached(address):
            raise pulumi.RunError(
                f"{site}: its gateway has the address {abridged(address)}, by which other sites cannot reach it: set "
                "gateway.advertise"
            )
    return addresses


def exposure(gateway: model.Gateway) -> ExposureArgs:
    """Translate the configuration's gateway into how its Service is exposed."""
    return ExposureArgs(
        exposure=gateway.exposure,
        annotations=gateway.annotations,
        load_balancer_ip=gateway.load_balancer_ip,
        load_balancer_class=gateway.load_balancer_class,
        source_ranges=tuple(gateway.source_ranges),
        node_port=gateway.node_port,
    )


@dataclass(frozen=True, kw_only=True)
class SiteArgs:
    """Arguments of Site.

    Attributes:
        site: the site's part of the configuration.
        plan: its part of the plan.
        istio: the Istio settings that hold for it.
        pxc: the settings of Percona's operator that hold for it.
        images: the images of dcmesh's own pods.
        intermediate: its signing certificate; None if its cluster has it already.
        cluster: where its cluster comes from.
        gateway: namespace of its gateway, if it exports anything.
        passwords: the password of `replication` of each of its databases, by namespace; None while it has none.
        counterparts: by namespace of an XtraDB cluster, what returns the one with which it can change roles. The
            primary's is there, the replica's is made later.
        monitoring: what lets it be watched; None if it is not.
        begun: by namespace of an XtraDB cluster, what is made anew before it changes roles, where it can.
        stack: the stack, by its whole name.
        objects: the objects that its state has, by URN: namespace (empty if none) and name.
        others: the sites with which it must go on to share a root.
    """

    site: model.Site
    plan: SitePlan
    istio: model.Istio
    pxc: model.PxcOperator
    images: model.Images
    intermediate: Intermediate | None
    cluster: K3d | Commands | Existing
    gateway: str
    passwords: Mapping[str, pulumi.Output[str] | None]
    counterparts: Mapping[str, Callable[[], Pxc]]
    begun: Mapping[str, pulumi.CustomResource]
    monitoring: model.Monitoring | None
    others: OtherSites
    stack: str
    objects: Mapping[str, tuple[str, str]]


class Site(pulumi.ComponentResource):
    """One datacenter with its mesh, up to what it exports. What it imports is SiteImports' part.

    Creates:
        - Cluster; IstioControlPlane.
        - EastWestGateway, if the site exports anything; a ServiceExport for each export, or an
          IngressExport or a GatewayTermination.
        - `AuthorizationPolicy` of the gateway, if it ends TLS for any.
        - PxcOperator, if a workload needs it and it is not there already.
        - the workloads.
        - Monitoring, if asked for.
        - `command.local.Command` that runs `python -m dcmesh settle`: it has the proxies follow new certificates.
          Another one is made anew when other ones are given.
    """

    cluster: Cluster
    mesh: Sequence[pulumi.Resource]
    """What an Istio object, or a pod with a sidecar, must depend on."""
    workloads: Mapping[str, Workload]
    """By namespace."""
    certificates: pulumi.Output[dict[str, Any]] | None
    """The certificates that all of its proxies follow; None if they were there already."""
    link: pulumi.Output[Link] | None
    """What importers must know of this site; None if it exports nothing."""
    objects: Mapping[str, tuple[str, str]]
    """The objects that the stack's state has, by URN."""
    images: model.Images
    """The images of dcmesh's own pods."""

    def __init__(self, name: str, args: SiteArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:Site", name, {}, opts)
        site, istio = args.site, args.istio
        revision = istio.existing.revision if istio.existing else None
        self.cluster = Cluster(
            f"{name}-cluster",
            ClusterArgs(site=args.site.name, source=args.cluster, lost=args.plan.lost, protect=args.plan.protected),
            pulumi.ResourceOptions(parent=self),
        )
        self._args, self.objects, self.images = args, args.objects, args.images
        self._transformation = (
            untouched if args.plan.lost else Overrule(name, self.cluster.kubeconfig, args.stack, args.objects)
        )
        self._pods = PodPolicy(restricted=site.pod_security == "restricted", pull_secrets=args.images.pull_secrets)
        inside = self.inside(self)
        self._hooks = release_hooks(name, self.cluster.kubeconfig, args.stack)
        intermediate = args.intermediate
        changing = cacerts_opts = None
        if intermediate and not args.plan.lost:
            own = pulumi.ResourceOptions(parent=self)
            changed = [intermediate.chain, intermediate.root, *site.told_trust_domains]
            changing = begun(f"{name}-certificates-begun", changed, own)
            mesh = Mesh(trust_domain=site.trust_domain, revision=revision or "default")
            guard = guard_hook(site.name, intermediate, self.cluster.kubeconfig, args.others, mesh)
            cacerts_opts = pulumi.ResourceOptions(depends_on=[changing], hooks=guard)
        control_plane = IstioControlPlane(
            f"{name}-istio",
            IstioControlPlaneArgs(
                cluster=site.name,
                charts=_charts(istio),
                intermediate=intermediate,
                existing=istio.existing is not None,
                replicas=istio.replicas,
                egress=istio.egress,
                hub=istio.hub,
                tag=istio.tag,
                pull_secrets=istio.pull_secrets,
                statistics=STATISTICS if args.monitoring else (),
                scope_gateways=istio.scope_gateways,
                trust_domains=site.trust_domains,
                base_values=istio.values.base,
                istiod_values=self._values(ISTIOD, istio.values.istiod),
                hooks=istio_hooks(name, self.cluster.kubeconfig, self._hooks),
                cacerts_opts=cacerts_opts,
            ),
            inside,
        )
        self.mesh = control_plane.ready
        self.certificates = None
        if intermediate and args.plan.lost:
            self.certificates = issued(site.name, intermediate)
        elif intermediate and changing and control_plane.cacerts:
            self.certificates = settle_command(
                site.name,
                intermediate,
                self.cluster.kubeconfig,
                changing,
                pulumi.ResourceOptions(
                    parent=self,
                    depends_on=[control_plane.cacerts, *self.mesh],
                    deleted_with=self.cluster.made_by,
                ),
                site.trust_domain if site.told_trust_domains else None,
            )
        self._operator = self._pxc_operator(name, injection_labels(revision), inside)
        self.workloads = {
            workload.namespace: self._workload(
                workload_name(name, workload.namespace), workload, injection_labels(revision), inside
            )
            for workload in site.workloads
        }
        self.link = None
        gateways = self._gateways(name, args.plan.gateway, revision, inside) if args.plan.gateway else {}
        if args.plan.gateway:
            ready = {namespace: gateway.ready for namespace, gateway in gateways.items()}
            ending = self._ending(ready, inside)
            for export, exported in zip(site.exports, args.plan.exports, strict=True):
                self._export(export_name(name, export.name), export, exported, ready, ending, inside)
            self.link = gateways[args.gateway].addresses.apply(partial(self._link, args.plan.gateway.port))
        if args.monitoring:
            Monitoring(
                f"{name}-monitoring",
                MonitoringArgs(
                    site=site.name,
                    prometheus=args.monitoring.prometheus,
                    namespace=args.monitoring.namespace,
                    labels=args.monitoring.labels,
                    watched=[*gateways, *site.namespaces],
                    after=self.mesh,
                ),
                inside,
            )
        self.register_outputs({})

    def inside(self, parent: pulumi.Resource) -> pulumi.ResourceOptions:
        """Return the options of a resource inside this site's cluster."""
        return pulumi.ResourceOptions(
            parent=parent,
            provider=self.cluster.provider,
            deleted_with=self.cluster.made_by,
            transformations=[self._transformation, self._pods],
        )

    @property
    def xtradb_clusters(self) -> list[pulumi.Resource]:
        """Its XtraDB clusters: each is there when it is ready."""
        return [of.cluster for of in self.workloads.values() if isinstance(of, Pxc) and of.cluster]

    def _values(self, for_restricted: Values, given: Values) -> Values:
        """Return what is laid over the values of one of Istio's charts."""
        return merge(for_restricted, given) if self._pods.restricted else given

    def ready_for(self, namespace: str) -> list[pulumi.Resource]:
        """Return what must be there before an Istio object goes into a namespace."""
        workload = self.workloads.get(namespace)
        return [*self.mesh, *([workload.identity] if workload else [])]

    def egress_gateway(self, namespace: str, account: str, parent: pulumi.Resource) -> EgressGateway:
        """Create an egress gateway of this site.

        Args:
            namespace: its namespace.
            account: its service account.
            parent: what it is a part of.
        """
        istio = self._args.istio
        return EgressGateway(
            egress_name(self._args.site.name, namespace),
            EgressGatewayArgs(
                charts=_charts(istio),
                namespace=namespace,
                account=account,
                after=self.mesh,
                revision=istio.existing.revision if istio.existing else None,
                pull_secrets=istio.pull_secrets,
                values=self._values(GATEWAY, istio.values.gateway),
                hooks=self._hooks,
            ),
            self.inside(parent),
        )

    def _pxc_operator(
        self, name: str, labels: Mapping[str, str], inside: pulumi.ResourceOptions
    ) -> Sequence[pulumi.Resource]:
        """Return what the site's XtraDB clusters need of their operator, which is installed where there are any."""
        operator = self._args.pxc
        if operator.existing or not any(isinstance(workload, model.Pxc) for workload in self._args.site.workloads):
            return []
        args = PxcOperatorArgs(
            charts=_charts(operator),
            namespace=operator.namespace,
            labels=labels,
            after=self.mesh,
            kubeconfig=self.cluster.kubeconfig,
            values=operator.values,
            hooks=self._hooks,
        )
        return PxcOperator(pxc_operator_name(name), args, inside).ready

    def _workload(
        self, name: str, workload: model.Workload, labels: Mapping[str, str], inside: pulumi.ResourceOptions
    ) -> Workload:
        match workload:
            case model.Hello():
                return self._hello(name, workload, labels, inside)
            case model.HelloClient():
                client = HelloClientArgs(
                    workload=workload,
                    image=self._args.images.hello,
                    labels=labels,
                    after=self.mesh,
                    out=self._out(workload.namespace),
                )
                return HelloClient(name, client, inside)
            case model.Mariadb():
                return self._mariadb(name, workload, labels, inside)
            case model.Pxc():
                return self._pxc(name, workload, labels, inside)

    def _hello(
        self, name: str, workload: model.Hello, labels: Mapping[str, str], inside: pulumi.ResourceOptions
    ) -> Hello:
        site = self._args.site
        at_ingress = [of for of in site.exports if isinstance(of, model.IngressExport)]
        own = [of for of in at_ingress if site.workload_of(of) is workload]
        imports = site.imports_by_sidecar(workload.namespace)
        args = HelloArgs(
            workload=workload,
            image=self._args.images.hello,
            labels=labels,
            after=self.mesh,
            ingress=own[0] if own else None,
            out=site.vip_range if imports else "",
        )
        return Hello(name, args, inside)

    def _out(self, namespace: str) -> str:
        """Return what sidecars take out whose namespace has them for imports alone; empty for all."""
        site = self._args.site
        imports = site.imports_by_sidecar(namespace)
        return site.vip_range if imports and all(of.selector for of in imports) else ""

    def _mariadb(
        self, name: str, database: model.Mariadb, labels: Mapping[str, str], inside: pulumi.ResourceOptions
    ) -> Mariadb:
        monitoring = self._args.monitoring
        return Mariadb(
            name,
            MariadbArgs(
                database=database,
                plan=self._args.plan.database(database.namespace),
                labels=labels,
                after=self.mesh,
                replication_password=self._args.passwords[database.namespace],
                kubeconfig=self.cluster.kubeconfig,
                protect=self._args.plan.protected,
                exporter=monitoring.exporter_image if monitoring else None,
            ),
            inside,
        )

    def _pxc(self, name: str, database: model.Pxc, labels: Mapping[str, str], inside: pulumi.ResourceOptions) -> Pxc:
        return Pxc(
            name,
            PxcArgs(
                database=database,
                plan=self._args.plan.database(database.namespace),
                labels=labels,
                after=[*self.mesh, *self._operator],
                replication_password=self._args.passwords[database.namespace],
                kubeconfig=self.cluster.kubeconfig,
                counterpart=self._args.counterparts.get(database.namespace),
                begun=self._args.begun.get(database.namespace),
                protect=self._args.plan.protected,
            ),
            inside,
        )

    def _gateways(
        self, name: str, plan: GatewayPlan, revision: str | None, inside: pulumi.ResourceOptions
    ) -> Mapping[str, EastWestGateway]:
        """Return the site's gateway, and the one before it where that is to stay for a while, by namespace."""
        args, istio, wanted = self._args, self._args.istio, self._args.site.gateway
        kubeconfig = self.cluster.kubeconfig
        asked = partial(with_rto_max, args.site.name)
        nodes = pulumi.Output.from_input([]) if args.plan.lost else pulumi.Output.unsecret(kubeconfig.apply(asked))
        namespaces = [args.gateway, *([wanted.former_namespace] if wanted.former_namespace else [])]
        return {
            namespace: EastWestGateway(
                # As dcmesh 0.1.0 has named it.
                f"{name}-gateway" if namespace == ISTIO_NAMESPACE else gateway_component(name, namespace),
                EastWestGatewayArgs(
                    charts=_charts(istio),
                    namespace=namespace,
                    nodes=nodes,
                    after=self.mesh,
                    replicas=wanted.replicas,
                    exposure=exposure(wanted),
                    advertise=plan.addresses,
                    revision=revision,
                    pull_secrets=istio.pull_secrets,
                    values=self._values(GATEWAY, istio.values.gateway),
                    hooks=self._hooks,
                    former=namespace != args.gateway,
                ),
                inside,
            )
            for namespace in namespaces
        }

    def _ending(
        self, ready: Mapping[str, Sequence[pulumi.Resource]], inside: pulumi.ResourceOptions
    ) -> Mapping[str, Sequence[pulumi.Resource]]:
        """Return what each gateway that ends TLS must have first, by its namespace; nothing if none does.

        In Istio's own namespace it has no policy: that would hold for the gateways of others that have its labels, too.
        """
        site = self._args.site
        if not any(isinstance(export, model.GatewayExport) for export in site.exports):
            return {}
        return {
            namespace: [
                *after,
                *([] if namespace == ISTIO_NAMESPACE else [gateway_policy(site.name, namespace, after, inside)]),
            ]
            for namespace, after in ready.items()
        }

    def _export(
        self,
        name: str,
        export: model.Export,
        exported: ExportedService,
        gateways: Mapping[str, Sequence[pulumi.Resource]],
        ending: Mapping[str, Sequence[pulumi.Resource]],
        inside: pulumi.ResourceOptions,
    ) -> None:
        after, connections = self.ready_for(export.namespace), export.connections
        if isinstance(export, model.GatewayExport):
            GatewayTermination(
                name,
                GatewayTerminationArgs(
                    site=self._args.site.name,
                    export=exported,
                    pod_label=export.pod_label,
                    after=after,
                    gateways=ending,
                    connections=connections,
                ),
                inside,
            )
            return
        if isinstance(export, model.IngressExport):
            site = self._args.site
            IngressExport(
                name,
                IngressExportArgs(
                    export=exported,
                    ingress=export.ingress_ports,
                    selector=export.part_takers,
                    imports=bool(site.imports_by_sidecar(export.namespace)),
                    after=after,
                    gateways=gateways,
                    # A workload of dcmesh's own has seen to it before its pods.
                    services=export.services if site.workload_of(export) else export.all_services,
                    connections=connections,
                ),
                inside,
            )
            return
        ServiceExport(
            name,
            ServiceExportArgs(
                export=exported,
                selector=export.selector,
                after=after,
                gateways=gateways,
                connections=connections,
            ),
            inside,
        )

    def _link(self, port: int, addresses: Sequence[str]) -> Link:
        """Return what importers must know of the site, whose gateway has these addresses."""
        plan = self._args.plan
        told = tuple(require_addresses(plan.name, addresses))
        return Link.of(plan.name, LinkGateway(addresses=told, port=port), plan.exports)
