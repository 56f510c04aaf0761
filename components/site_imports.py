"""SiteImports: what one site takes from the others, and the proof that it arrives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import groupby

import pulumi

from components.mesh.link_probe import LinkProbe, LinkProbeArgs
from components.mesh.namespace_scope import NamespaceScope, NamespaceScopeArgs
from components.mesh.service_import import ServiceImport, ServiceImportArgs, allot_vips
from components.site import Site
from components.untouched import untouched
from dcmesh.model import settings as model
from dcmesh.model.addresses import VIP_NETWORK
from dcmesh.model.component_names import import_name
from dcmesh.model.link import ExportedService, Link, ServiceAccount


@dataclass(frozen=True, kw_only=True)
class SiteImportsArgs:
    """Arguments of SiteImports.

    Attributes:
        site: the importing site.
        imports: its imports, as the configuration has them.
        links: the exporting sites by name. An import from a site that is not there is left pending.
        exports: what they export, by site and name.
        vip_network: range of the virtual addresses.
        lost: name of the site that is gone, if one is. Default: none.
    """

    site: Site
    imports: Sequence[model.Import]
    links: Mapping[str, pulumi.Input[Link]]
    exports: Mapping[tuple[str, str], ExportedService]
    vip_network: IPv4Network = VIP_NETWORK
    lost: str | None = None


class SiteImports(pulumi.ComponentResource):
    """The importing side of a site.

    Creates:
        - NamespaceScope for each importing namespace.
        - ServiceImport for each import.
        - LinkProbe for each consumer, after all of that. One that asks a site that is gone does not run anew.
    """

    hosts: pulumi.Output[dict[str, str]]
    """For each imported host the pod that answered."""

    def __init__(self, name: str, args: SiteImportsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:SiteImports", name, {}, opts)
        inside = args.site.inside(self)
        standing = [i for i in args.imports if i.from_ in args.links]
        for source in dict.fromkeys(i.from_ for i in args.imports if i.from_ not in args.links):
            pulumi.log.warn(
                f"{source} exports nothing yet: imports from it are left pending; run `pulumi up` here again once "
                f"`pulumi stack output link` shows it there",
                self,
            )
        exports = {(i.from_, i.export): args.exports[i.from_, i.export] for i in standing}
        vips = allot_vips((host for export in exports.values() for host in export.hosts), args.vip_network)

        reports = []
        by_namespace = sorted(standing, key=lambda i: i.namespace)
        for namespace, group in groupby(by_namespace, key=lambda i: i.namespace):
            imports = list(group)
            after = args.site.ready_for(namespace)
            scope = NamespaceScope(f"{name}.{namespace}", NamespaceScopeArgs(namespace=namespace, after=after), inside)
            imported: list[pulumi.Resource] = [scope]
            for source, export in dict.fromkeys((i.from_, i.export) for i in imports):
                imported.append(
                    ServiceImport(
                        import_name(name, namespace=namespace, source=source, export=export),
                        ServiceImportArgs(
                            source=source,
                            link=args.links[source],
                            export=exports[source, export],
                            namespace=namespace,
                            vips=vips,
                            after=after,
                        ),
                        inside,
                    )
                )
            for account in dict.fromkeys(i.service_account for i in imports):
                asked = [i for i in imports if i.service_account == account]
                options = pulumi.ResourceOptions(depends_on=imported)
                if any(i.from_ == args.lost for i in asked):  # who would not answer
                    options.transformations = [untouched]
                probe = LinkProbe(
                    f"{name}.{namespace}.{account}",
                    LinkProbeArgs(
                        consumer=ServiceAccount(namespace=namespace, name=account),
                        imports=[(args.links[i.from_], exports[i.from_, i.export]) for i in asked],
                    ),
                    pulumi.ResourceOptions.merge(inside, options),
                )
                reports.append(probe.hosts)
        self.hosts = pulumi.Output.all(*reports).apply(
            lambda all_reports: {host: pod for report in all_reports for host, pod in report.items()}
        )
        self.register_outputs({"hosts": self.hosts})
