"""ClusterPair: the sites of a stack, joined by their links."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi

from components.cluster import Existing, K3d, Lab
from components.link import GATEWAY_PORT, Link
from components.shared_ca import Intermediate
from components.site import Site, SiteArgs
from components.site_imports import SiteImports, SiteImportsArgs
from config import model


@dataclass(frozen=True, kw_only=True)
class ClusterPairArgs:
    """Arguments of ClusterPair.

    Attributes:
        settings: the stack's configuration.
        intermediates: the signing certificates, by site.
        peer_links: the links of sites that other stacks hold.
        stack: name of the stack; clusters that the program makes are named after it.
    """

    settings: model.Settings
    intermediates: Mapping[str, Intermediate]
    peer_links: Mapping[str, Link]
    stack: str


def cluster_source(stack: str, settings: model.Settings, site: model.Site) -> K3d | Lab | Existing:
    """Return where a site's cluster comes from."""
    match site.cluster:
        case model.ExistingCluster(kubeconfig=kubeconfig, context=context):
            return Existing(kubeconfig=kubeconfig, context=context)
        case _ if site.cluster_kind == "k3d":
            # Each gateway needs a port of its own on the one Docker host.
            return K3d(name=f"dcmesh-{stack}-{site.name}", gateway_port=GATEWAY_PORT + settings.sites.index(site))
        case _:
            consumers = {consumer.site for export in site.exports for consumer in export.consumers}
            return Lab(lab=stack, site=site.name, reachable_from=tuple(sorted(consumers)))


class ClusterPair(pulumi.ComponentResource):
    """Two sites in one stack, or any other number, each joined to those that it imports from.

    Creates:
        - a Site for each site of the configuration. None knows of another.
        - SiteImports for each site that imports: all it gets of an exporting site is its Link.
    """

    sites: Mapping[str, Site]
    links: Mapping[str, Link]
    """The exporting sites of this stack."""
    hosts: Mapping[str, pulumi.Output[dict[str, str]]]
    """For each importing site, which pod answered for each host."""

    def __init__(self, name: str, args: ClusterPairArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:ClusterPair", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.sites = {
            site.name: Site(
                site.name,
                SiteArgs(
                    site=site,
                    istio=args.settings.istio_of(site),
                    intermediate=args.intermediates.get(site.name),
                    cluster=cluster_source(args.stack, args.settings, site),
                ),
                child,
            )
            for site in args.settings.sites
        }
        self.links = {n: site.link for n, site in self.sites.items() if site.link}
        self.hosts = {
            site.name: SiteImports(
                f"{site.name}-imports",
                SiteImportsArgs(
                    site=self.sites[site.name],
                    imports=site.imports,
                    links={**args.peer_links, **self.links},
                    vip_network=IPv4Network(site.vip_range),
                ),
                child,
            ).hosts
            for site in args.settings.sites
            if site.imports
        }
        self.register_outputs({})
