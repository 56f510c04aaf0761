"""SiteImports: what one site imports from the others, and the proof that it works."""

from itertools import groupby

import pulumi

from dcmesh.model.component_names import import_name
from dcmesh.model.link import ServiceAccount
from dcmesh.preflight.termination_changes import stands_otherwise

from .lost_site import untouched
from .mesh.dns_capture import DnsCapture, DnsCaptureArgs
from .mesh.gateway_termination_import import NamedImport, NamedImportArgs
from .mesh.link_probe import LinkProbe, LinkProbeArgs
from .mesh.namespace_scope import NamespaceScope, NamespaceScopeArgs
from .mesh.service_import import ServiceImport
from .site_egress import SiteEgress
from .site_imports_args import SiteImportsArgs


class SiteImports(pulumi.ComponentResource):
    """The importing side of a site.

    Creates:
        - DnsCapture for each importing namespace with consumers whose pods' labels are configured, and NamespaceScope
          for each with others.
        - ServiceImport for each import, or a NamedImport.
        - LinkProbe for each consumer, after all of that. A probe of a site that is gone does not run again. There is
          none for an import that changes its termination just now: the next `up` makes it.
        - SiteEgress, if any import comes by an egress gateway: it makes all that such an import needs.
    """

    def __init__(self, name: str, args: SiteImportsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:SiteImports", name, {}, opts)
        inside = args.site.inside(self)
        for source in args.plan.pending:
            pulumi.log.warn(
                f"{source} exports nothing yet: imports from it are left pending; run `pulumi up` here again once "
                f"`pulumi stack output link` shows it there",
                self,
            )
        standing = [(of, of.export) for of in args.plan.imports if of.export]
        if any(of.egress for of, _ in standing):
            SiteEgress(f"{args.plan.name}-egress", args, pulumi.ResourceOptions(parent=self))

        by_sidecar = [(of, export) for of, export in standing if not of.egress]
        by_namespace = sorted(by_sidecar, key=lambda place: place[0].namespace)
        for namespace, group in groupby(by_namespace, key=lambda place: place[0].namespace):
            imports = list(group)
            after = args.site.ready_for(namespace)
            imported: list[pulumi.Resource] = []
            if not all(of.selector for of, _ in imports):
                scope = NamespaceScopeArgs(namespace=namespace, after=after)
                imported.append(NamespaceScope(f"{name}.{namespace}", scope, inside))
            if chosen := {of.service_account: of.selector for of, _ in imports if of.selector}:
                capture = DnsCaptureArgs(namespace=namespace, consumers=chosen, after=after)
                imported.append(DnsCapture(f"{name}.{namespace}", capture, inside))
            for of, export in {(of.source, of.name): (of, export) for of, export in imports}.values():
                own_name = import_name(name, namespace=namespace, source=of.source, export=of.name)
                import_args = NamedImportArgs(
                    site=args.plan.name,
                    source=of.source,
                    link=args.links[of.source],
                    export=export,
                    namespace=namespace,
                    vips=of.vips,
                    after=after,
                )
                kind = NamedImport if export.server_names else ServiceImport
                imported.append(kind(own_name, import_args, inside))
            for account in dict.fromkeys(of.service_account for of, _ in imports):
                asked = [(of, export) for of, export in imports if of.service_account == account]
                # The old objects go last, and not at all if the probe fails, which they may be the reason of.
                if any(stands_otherwise(args.plan, of, args.site.objects) for of, _ in asked):
                    continue
                ready = args.ready(of.source for of, _ in asked)
                options = pulumi.ResourceOptions(depends_on=[*imported, *ready])
                if any(of.source == args.lost for of, _ in asked):  # who would not answer
                    options.transformations = [untouched]
                LinkProbe(
                    f"{name}.{namespace}.{account}",
                    LinkProbeArgs(
                        consumer=ServiceAccount(namespace=namespace, name=account),
                        imports=[(args.links[of.source], export) for of, export in asked],
                        image=args.site.images.probe,
                    ),
                    pulumi.ResourceOptions.merge(inside, options),
                )
        self.register_outputs({})
