"""SiteEgress: what one site imports from the others by egress gateways, and the proof that it works."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import pulumi

from dcmesh.model.component_names import egress_name, hosts_name, import_name
from dcmesh.model.link import ExportedService, Link
from dcmesh.model.plan import EgressPlan, ImportPlan

from .lost_site import untouched
from .mesh.egress_import import EgressImport, EgressImportArgs
from .mesh.egress_probe import EgressProbe, EgressProbeArgs
from .mesh.host_names import HostNames, HostNamesArgs, NamedHost
from .site_imports_args import SiteImportsArgs


@dataclass(frozen=True, kw_only=True)
class Comer:
    """An import that comes by an egress gateway.

    Attributes:
        of: the import.
        export: its export, which is there.
        egress: how it comes.
        link: the link that it comes by.
    """

    of: ImportPlan
    export: ExportedService
    egress: EgressPlan
    link: pulumi.Input[Link]

    def account(self) -> tuple[str, str]:
        """Return the consumer, by which egress gateways are told apart."""
        return self.of.namespace, self.of.service_account


class SiteEgress(pulumi.ComponentResource):
    """The imports of a site that come by egress gateways.

    Creates:
        - EgressGateway for each consumer.
        - EgressImport for each import.
        - HostNames for each namespace of hosts.
        - EgressProbe for each egress gateway, after all of that. A probe of a site that is gone does not run again.
    """

    def __init__(self, name: str, args: SiteImportsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:SiteEgress", name, {}, opts)
        site, inside = args.plan.name, args.site.inside(self)
        comers = [
            Comer(of=of, export=of.export, egress=of.egress, link=args.links[of.source])
            for of in args.plan.imports
            if of.export and of.egress
        ]
        hosts, probes = dict[str, list[NamedHost]](), list[tuple[str, list[Comer], list[EgressImport]]]()
        for (namespace, account), of_account in groupby(sorted(comers, key=Comer.account), Comer.account):
            group = list(of_account)
            gateway = args.site.egress_gateway(namespace, account, self)
            made = [self._import(site, one, gateway.ready, inside) for one in group]
            probes.append((namespace, group, made))
            for one, imported in zip(group, made, strict=True):
                hosts.setdefault(one.egress.host_namespace, []).extend(
                    NamedHost(host=host, ports=one.export.port_numbers, address=address)
                    for host, address in imported.addresses.items()
                )
        names = {
            namespace: HostNames(hosts_name(site, namespace), HostNamesArgs(namespace=namespace, hosts=named), inside)
            for namespace, named in hosts.items()
        }
        for namespace, group, made in probes:
            after = [*made, *(names[one.egress.host_namespace] for one in group)]
            ready = args.ready(one.of.source for one in group)
            options = pulumi.ResourceOptions(depends_on=[*after, *ready])
            if any(one.of.source == args.lost for one in group):  # who would not answer
                options.transformations = [untouched]
            EgressProbe(
                f"{egress_name(site, namespace)}-probe",
                EgressProbeArgs(
                    namespace=namespace,
                    imports=[(one.link, one.export) for one in group],
                    image=args.site.images.probe,
                ),
                pulumi.ResourceOptions.merge(inside, options),
            )
        self.register_outputs({})

    def _import(
        self, site: str, one: Comer, after: Sequence[pulumi.Resource], inside: pulumi.ResourceOptions
    ) -> EgressImport:
        of, prefix = one.of, egress_name(site, one.of.namespace)
        return EgressImport(
            import_name(f"{site}-egress", namespace=of.namespace, source=of.source, export=of.name),
            EgressImportArgs(
                source=of.source,
                link=one.link,
                export=one.export,
                namespace=of.namespace,
                ports=one.egress.ports,
                clients=one.egress.clients,
                after=after,
                prefix=prefix,
            ),
            inside,
        )
