"""ClusterPair: the sites of a stack, joined by their links."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import chain
from typing import Any

import pulumi

from components.cluster import Commands, Existing, K3d
from components.databases.passwords import ReplicationPasswords, ReplicationPasswordsArgs
from components.inventory import inventory
from components.site import ReplicationPlan, Site, SiteArgs
from components.site_imports import SiteImports, SiteImportsArgs
from components.trust.shared_ca import Intermediate
from dcmesh.model import settings as model
from dcmesh.model.gateway import GATEWAY_PORT
from dcmesh.model.link import ExportedService, Link
from dcmesh.model.switchover import Switchover
from dcmesh.preflight.identity import Held, gateway_namespace
from dcmesh.stacks import stack_name
from dcmesh.trust.rotation import OtherSites


@dataclass(frozen=True, kw_only=True)
class ClusterPairArgs:
    """Arguments of ClusterPair.

    Attributes:
        settings: the stack's configuration.
        intermediates: the signing certificates, by site.
        identities: by what the existing clusters are known again, by site.
        held: what the stack's state has of each site's cluster.
        peer_links: the links of sites that other stacks hold.
        others: the sites that must go on to share a root.
        project: name of the Pulumi project.
        stack: name of the stack; clusters that the program makes are named after it.
    """

    settings: model.Settings
    intermediates: Mapping[str, Intermediate]
    identities: Mapping[str, str]
    held: Mapping[str, Held]
    peer_links: Mapping[str, Link]
    others: OtherSites
    project: str
    stack: str


def cluster_source(
    stack: str, settings: model.Settings, site: model.Site, identity: str | None = None
) -> K3d | Commands | Existing:
    """Return where a site's cluster comes from."""
    match site.cluster:
        case model.ExistingCluster(kubeconfig=kubeconfig, context=context):
            return Existing(kubeconfig=kubeconfig, context=context, identity=identity)
        case model.CommandCluster(create=create, kubeconfig=kubeconfig, delete=delete):
            return Commands(create=create, kubeconfig=kubeconfig, delete=delete)
        case _:
            # Each gateway needs a port of its own on the one Docker host.
            return K3d(name=f"dcmesh-{stack}-{site.name}", gateway_port=GATEWAY_PORT + settings.sites.index(site))


def followed(args: ClusterPairArgs, database: model.Database) -> ExportedService | None:
    """Return the export that a database follows; None for a primary, and while it, or its own, is not there yet."""
    replicates, source = database.replicates, args.settings.source_of(database)
    chained = source and source[1].replicates and not args.settings.exchanges(database)
    if replicates is None or (source and chained and not followed(args, source[1])):
        return None
    here = (export for site in args.settings.sites if site.name == replicates.from_ for export in site.exports)
    peer = args.peer_links.get(replicates.from_)
    there = (export for export in (peer.exports if peer else ()) if export.name == replicates.export)
    found = (export.for_link() for export in here if export.name == replicates.export)
    return next(chain(found, there), None)


def switchover_of(settings: model.Settings, database: model.Database) -> Switchover | None:
    """Return which site is the primary, for a database that can change roles with the one that it names.

    XtraDB clusters can within one stack: its order is what keeps two of them from taking writes at once.
    """
    can = database.replicates if isinstance(database, model.Mariadb) else settings.exchanges(database)
    if not (settings.primary and can):
        return None
    failover = settings.failover
    return Switchover(
        primary=settings.primary,
        without=failover.without if failover else "",
        at=failover.at or "" if failover else "",
    )


class ClusterPair(pulumi.ComponentResource):
    """Two sites in one stack, or any other number, each joined to those that it imports from.

    Creates:
        - ReplicationPasswords: what both ends of a channel must know.
        - a Site for each site of the configuration. None knows of another.
        - SiteImports for each site that imports: all it gets of an exporting site is its Link.
    """

    sites: Mapping[str, Site]
    links: Mapping[str, pulumi.Output[Link]]
    """The exporting sites of this stack."""
    hosts: Mapping[str, pulumi.Output[dict[str, str]]]
    """For each importing site, which pod answered for each host."""
    passwords: ReplicationPasswords
    replication: Mapping[str, Mapping[str, pulumi.Output[dict[str, Any]]]]
    """For each site with replicas, how each channel from another site was when this `up` was done."""
    certificates: Mapping[str, pulumi.Output[dict[str, Any]]]
    """For each site that is given its certificates, which all of its proxies follow."""
    inventories: Mapping[str, dict[str, Any]]
    """For each site what can be asked for in it."""

    def __init__(self, name: str, args: ClusterPairArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:ClusterPair", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.passwords = ReplicationPasswords(
            f"{name}-passwords",
            ReplicationPasswordsArgs(settings=args.settings, peer_links=args.peer_links, project=args.project),
            child,
        )
        channels = dict[str, Mapping[str, ReplicationPlan]]()
        made = dict[str, Site]()
        # The primary's site last: what it hands its part over to must be there before.
        for site in sorted(args.settings.sites, key=lambda site: site.name == args.settings.primary):
            channels[site.name] = self._channels(args, site, made)
            made[site.name] = Site(
                site.name,
                SiteArgs(
                    site=site,
                    istio=args.settings.istio,
                    pxc=args.settings.pxc,
                    intermediate=args.intermediates.get(site.name),
                    cluster=cluster_source(args.stack, args.settings, site, args.identities.get(site.name)),
                    gateway=gateway_namespace(site, args.held.get(site.name)),
                    channels=channels[site.name],
                    monitoring=args.settings.monitoring,
                    others=args.others,
                    protect=args.settings.protects(site),
                    lost=site.name == args.settings.lost,
                    stack=stack_name(args.project, args.stack),
                    held=args.held[site.name].objects if site.name in args.held else {},
                ),
                child,
            )
        self.sites = {site.name: made[site.name] for site in args.settings.sites}
        replication = {name: {**site.channels} for name, site in self.sites.items()}
        for site_of_primary in self.sites.values():
            for (name, where), told in site_of_primary.ends.items():
                replication[name][where] = told
        self.replication = {name: told for name, told in replication.items() if told}
        self.certificates = {name: site.certificates for name, site in self.sites.items() if site.certificates}
        self.links = {n: site.link for n, site in self.sites.items() if site.link}
        links: Mapping[str, pulumi.Input[Link]] = {**args.peer_links, **self.links}
        offers = [(link.site, export) for link in args.peer_links.values() for export in link.exports]
        offers += [(site.name, export.for_link()) for site in args.settings.sites for export in site.exports]
        self.hosts = {
            site.name: SiteImports(
                f"{site.name}-imports",
                SiteImportsArgs(
                    site=self.sites[site.name],
                    imports=site.imports,
                    links=links,
                    exports={(site, export.name): export for site, export in offers},
                    vip_network=IPv4Network(site.vip_range),
                    lost=args.settings.lost,
                ),
                child,
            ).hosts
            for site in args.settings.sites
            if site.imports
        }
        written = {name: pulumi.Output.from_input(link).apply(Link.as_output) for name, link in links.items()}
        self.inventories = {
            site.name: inventory(
                site,
                links=written,
                gateway=gateway_namespace(site, args.held.get(site.name)),
                sources={
                    ns: None if known.leads(site.name) else known.source
                    for ns, known in channels[site.name].items()
                    if known.password is not None
                },
                advertised=bool(
                    site.gateway.advertise
                    or site.gateway.advertise_port
                    or self.sites[site.name].cluster.gateway_addresses
                ),
                protected=args.settings.protects(site),
                switched=[ns for ns, known in channels[site.name].items() if known.switchover],
                lost=args.settings.lost,
            )
            for site in args.settings.sites
        }
        self.register_outputs({})

    def _channels(
        self, args: ClusterPairArgs, site: model.Site, made: Mapping[str, Site]
    ) -> Mapping[str, ReplicationPlan]:
        channels = dict[str, ReplicationPlan]()
        for workload in site.workloads:
            if isinstance(workload, model.Database):
                source = followed(args, workload)
                switchover = switchover_of(args.settings, workload)
                leads = switchover is not None and switchover.primary == site.name
                awaited = workload.replicates and not leads
                pending = bool(awaited and not source)
                password = None if pending else self.passwords.of(site, workload)
                other = args.settings.source_of(workload)
                channels[workload.namespace] = ReplicationPlan(
                    password=password,
                    source=source,
                    pending=pending,
                    switchover=switchover,
                    replica=made[other[0].name].workloads[other[1].namespace] if other and leads else None,
                )
        return channels
