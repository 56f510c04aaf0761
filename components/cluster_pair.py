"""ClusterPair: the sites of a stack, joined by their links."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pulumi

from dcmesh.model import settings as model
from dcmesh.model.link import Link
from dcmesh.model.plan import DatabasePlace, DatabasePlan, Plan, SitePlan, docker_port
from dcmesh.sites_in_state import SiteInState, gateway_namespace
from dcmesh.stacks import stack_name
from dcmesh.trust.rotation import OtherSites

from .cluster import Commands, Existing, K3d
from .databases.mariadb import Mariadb
from .databases.mariadb_switchover_command import switchover_command
from .databases.passwords import ReplicationPasswords, ReplicationPasswordsArgs
from .databases.pxc import Pxc
from .site import Site, SiteArgs
from .site_imports import SiteImports
from .site_imports_args import SiteImportsArgs
from .sites_output import site_output
from .trust.shared_ca import Intermediate
from .verb_command import begun


@dataclass(frozen=True, kw_only=True)
class ClusterPairArgs:
    """Arguments of ClusterPair.

    Attributes:
        settings: the stack's configuration.
        plan: what follows from it.
        intermediates: the signing certificates, by site.
        identities: what identifies each existing cluster, by site.
        in_state: what the stack's state has of each site's cluster.
        peer_links: the links of sites that other stacks hold.
        others: the sites that must go on to share a root.
        project: name of the Pulumi project.
        stack: name of the stack; clusters that the program makes are named after it.
    """

    settings: model.Settings
    plan: Plan
    intermediates: Mapping[str, Intermediate]
    identities: Mapping[str, str]
    in_state: Mapping[str, SiteInState]
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
            return K3d(name=f"dcmesh-{stack}-{site.name}", gateway_port=docker_port(settings, site))


def together(databases: Sequence[DatabasePlan]) -> str:
    """Return the name of databases that change roles."""
    return "-".join(f"{database.site}.{database.namespace}" for database in databases)


class ClusterPair(pulumi.ComponentResource):
    """Two sites in one stack, or any other number, each joined to those that it imports from.

    Creates:
        - ReplicationPasswords: what both ends of a channel must know.
        - `command.local.Command` for each two XtraDB clusters that can change roles, made anew when the
          configuration says that they do.
        - a Site for each site of the configuration. None knows of another.
        - for each two MariaDBs that can change roles, or the one of them that is in the stack, the Command that gives
          them their roles, and what comes after it.
        - SiteImports for each site that imports: all it gets of an exporting site is its Link.
    """

    sites: Mapping[str, Site]
    links: Mapping[str, pulumi.Output[Link]]
    """The exporting sites of this stack."""
    passwords: ReplicationPasswords
    certificates: Mapping[str, pulumi.Output[dict[str, Any]]]
    """For each site that dcmesh gives its certificates: those that all of its proxies follow."""
    site_outputs: Mapping[str, dict[str, Any]]
    """For each site what can be asked for in it."""

    def __init__(self, name: str, args: ClusterPairArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:ClusterPair", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.passwords = ReplicationPasswords(
            f"{name}-passwords",
            ReplicationPasswordsArgs(settings=args.settings, plan=args.plan, project=args.project),
            child,
        )
        switching = self._switching(args.plan)
        made = dict[str, Site]()
        # The primary's site last: what it hands its part over to must be there before.
        for site in sorted(args.settings.sites, key=lambda site: site.name == args.settings.primary):
            made[site.name] = self._site(args, site, args.plan.site(site.name), made, switching, child)
        self.sites = {site.name: made[site.name] for site in args.settings.sites}
        for databases in args.plan.switchable:
            if databases[0].kind == "mariadb":
                self._switch(args.plan, databases)
        self.certificates = {name: site.certificates for name, site in self.sites.items() if site.certificates}
        self.links = {n: site.link for n, site in self.sites.items() if site.link}
        links: Mapping[str, pulumi.Input[Link]] = {**args.peer_links, **self.links}
        clusters = {name: site.xtradb_clusters for name, site in self.sites.items()}
        for plan in args.plan.sites:
            if plan.imports:
                SiteImports(
                    f"{plan.name}-imports",
                    SiteImportsArgs(
                        site=self.sites[plan.name], plan=plan, links=links, lost=args.plan.lost, clusters=clusters
                    ),
                    child,
                )
        written = {name: pulumi.Output.from_input(link).apply(Link.as_output) for name, link in links.items()}
        self.site_outputs = {
            site.name: site_output(
                site,
                args.plan.site(site.name),
                links=written,
                gateway=gateway_namespace(site, args.in_state.get(site.name)),
                lost=args.plan.lost,
                identity=args.identities.get(site.name),
            )
            for site in args.settings.sites
        }
        self.register_outputs({})

    def _switching(self, plan: Plan) -> Mapping[DatabasePlace, pulumi.CustomResource]:
        """Create what is made anew before two XtraDB clusters change roles, and return it for each of them."""
        found = dict[DatabasePlace, pulumi.CustomResource]()
        for databases in plan.switchable:
            if databases[0].kind == "pxc":
                found |= dict.fromkeys((database.place for database in databases), self._begun(databases))
        return found

    def _begun(self, databases: Sequence[DatabasePlan]) -> pulumi.CustomResource:
        """Create what is made anew when databases are to change roles."""
        switchover = databases[0].switchover
        wanted = [switchover.primary, switchover.without, switchover.at] if switchover else []
        return begun(f"{together(databases)}-switchover-begun", wanted, pulumi.ResourceOptions(parent=self))

    def _switch(self, plan: Plan, databases: Sequence[DatabasePlan]) -> None:
        """Create what gives MariaDBs their roles, and what comes after it.

        A site that is gone gets no role, and nothing waits for it. A database whose other site is not there yet has its
        role as soon as its pods run.
        """
        workloads = [self.sites[of.site].workloads[of.namespace] for of in databases if not of.pending]
        made = [workload for workload in workloads if isinstance(workload, Mariadb)]
        asked = [one for one in made if one.plan.source and not plan.site(one.plan.site).lost]
        switched = None
        if asked:
            begun = self._begun(databases)
            switched = switchover_command(together(databases), asked, begun, pulumi.ResourceOptions(parent=self))
        for one in made:
            one.in_role(switched or one.rolled_out)

    def _site(
        self,
        args: ClusterPairArgs,
        site: model.Site,
        plan: SitePlan,
        made: Mapping[str, Site],
        switching: Mapping[DatabasePlace, pulumi.CustomResource],
        opts: pulumi.ResourceOptions,
    ) -> Site:
        known = args.in_state.get(site.name)
        partners = {of.namespace: of.partner for of in plan.databases if of.partner and of.kind == "pxc"}

        def pxc(place: DatabasePlace) -> Pxc:
            workload = made[place.site].workloads[place.namespace]
            assert isinstance(workload, Pxc)  # noqa: S101 - both are of one kind
            return workload

        return Site(
            site.name,
            SiteArgs(
                site=site,
                plan=plan,
                istio=args.settings.istio,
                pxc=args.settings.pxc,
                images=args.settings.images,
                intermediate=args.intermediates.get(site.name),
                cluster=cluster_source(args.stack, args.settings, site, args.identities.get(site.name)),
                gateway=gateway_namespace(site, known),
                passwords={of.namespace: self.passwords.of(of) for of in plan.databases},
                counterparts={of: partial(pxc, there) for of, there in partners.items()},
                begun={place.namespace: of for place, of in switching.items() if place.site == site.name},
                monitoring=args.settings.monitoring,
                others=args.others,
                stack=stack_name(args.project, args.stack),
                objects=known.objects if known else {},
            ),
            opts,
        )
