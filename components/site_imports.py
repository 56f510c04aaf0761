"""SiteImports: what one site takes from the others, and the proof that it arrives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import pulumi

import config
from components.link import Link, ServiceAccount
from components.link_probe import LinkProbe, LinkProbeArgs
from components.namespace_scope import NamespaceScope, NamespaceScopeArgs
from components.service_import import ServiceImport, ServiceImportArgs, allot_vips
from components.site import Site


@dataclass(frozen=True, kw_only=True)
class SiteImportsArgs:
    """Arguments of SiteImports.

    Attributes:
        site: the importing site.
        imports: its imports, as the configuration has them.
        links: the exporting sites by name.
        context: context of the site's kubeconfig. Default: its current context.
    """

    site: Site
    imports: Sequence[config.Import]
    links: Mapping[str, Link]
    context: str | None = None


class SiteImports(pulumi.ComponentResource):
    """The importing side of a site.

    Creates:
        - NamespaceScope for each importing namespace.
        - ServiceImport for each import.
        - LinkProbe for each consumer, after all of that.
    """

    hosts: pulumi.Output[dict[str, str]]
    """For each imported host the pod that answered."""

    def __init__(self, name: str, args: SiteImportsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:SiteImports", name, {}, opts)
        inside = args.site.inside(self)
        exports = {(i.from_, i.export): args.links[i.from_].export(i.export) for i in args.imports}
        vips = allot_vips(host for export in exports.values() for host in export.hosts)

        reports = []
        by_namespace = sorted(args.imports, key=lambda i: i.namespace)
        for namespace, group in groupby(by_namespace, key=lambda i: i.namespace):
            imports = list(group)
            after = args.site.ready_for(namespace)
            scope = NamespaceScope(
                f"{name}-{namespace}", NamespaceScopeArgs(namespace=namespace, after=after), inside
            )
            imported: list[pulumi.Resource] = [scope]
            for source, export in dict.fromkeys((i.from_, i.export) for i in imports):
                imported.append(
                    ServiceImport(
                        f"{name}-{namespace}-{source}-{export}",
                        ServiceImportArgs(
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
                probe = LinkProbe(
                    f"{name}-{namespace}-{account}",
                    LinkProbeArgs(
                        consumer=ServiceAccount(namespace=namespace, name=account),
                        imports=[
                            (args.links[i.from_], exports[i.from_, i.export])
                            for i in imports
                            if i.service_account == account
                        ],
                        kubeconfig=args.site.cluster.kubeconfig,
                        context=args.context,
                    ),
                    pulumi.ResourceOptions.merge(inside, pulumi.ResourceOptions(depends_on=imported)),
                )
                reports.append(probe.hosts)
        self.hosts = pulumi.Output.all(*reports).apply(
            lambda all_reports: {host: pod for report in all_reports for host, pod in report.items()}
        )
        self.register_outputs({"hosts": self.hosts})
