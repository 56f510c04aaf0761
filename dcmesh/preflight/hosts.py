"""Hosts and addresses that are to be imported or exported, and that a cluster already uses."""

import ipaddress
from collections.abc import Iterator

from dcmesh.config.checks.links import OTHER_NAMES
from dcmesh.config.errors import Finding, Remark
from dcmesh.kube.cluster_reader import ClusterReader
from dcmesh.model import settings as model
from dcmesh.model.component_names import egress_name, export_name, import_name
from dcmesh.model.istio_objects import visible
from dcmesh.model.link import ExportedService, server_name, service_of
from dcmesh.model.ownership_marks import OURS
from dcmesh.model.plan import ImportPlan, SitePlan
from dcmesh.preflight.parallel import each
from dcmesh.sites_in_state import SiteInState


def new_or_there(known: SiteInState | None, component: str) -> type[Finding]:
    """Return whether a problem of an export or import is an error or a warning. If it exists already it is a warning.

    Otherwise anybody in the cluster could block the user's next `up`, even a failover.
    """
    there = any(urn.rpartition("::")[2].startswith(f"{component}-") for urn in (known.objects if known else ()))
    return Remark if there else Finding


def own_names(
    cluster: ClusterReader, site: model.Site, path: str, plan: SitePlan, known: SiteInState | None
) -> Iterator[Finding]:
    """Find imports whose hosts have names that the importing site has, or could have, for hosts of its own."""

    def look(numbered: tuple[int, ImportPlan]) -> Iterator[Finding]:
        index, imported = numbered
        cure = OTHER_NAMES if imported.export and imported.export.termination != "pod" else "rename one of them"
        for namespace, service in dict.fromkeys(map(service_of, imported.vips)):
            if cluster.has_service(namespace, service):
                advice = (
                    f"has hosts of Service {namespace}/{service}, and {site.name} has a Service of that name: its own "
                    f"pods would answer; {cure}"
                )
            elif namespace not in site.namespaces and cluster.is_foreign("namespace", namespace):
                ((key, value),) = OURS.items()
                advice = (
                    f"has hosts of namespace {namespace}, and {site.name} has a namespace of that name, which is not "
                    f"dcmesh's: a Service of its own could have these names some day; {cure}, or leave the "
                    f"names in it to dcmesh: `kubectl label namespace {namespace} {key}={value}`"
                )
            else:
                continue
            told = new_or_there(known, imported_name(plan, imported))
            yield told(f"{path}.imports[{index}].export", imported.name, advice)

    yield from each(enumerate(plan.imports), look)


def _seen(of: ImportPlan) -> tuple[str, ...]:
    """Return the names by which the proxies of an import know its hosts."""
    if of.egress and of.export:
        return tuple(server_name(host, of.source) for host in of.export.hosts)
    return tuple(of.vips)


def exported_name(plan: SitePlan, of: ExportedService) -> str:
    """Return how the names of an export's resources in the stack begin."""
    return f"{plan.name}.{of.served[of.hosts[0]]}" if of.termination == "gateway" else export_name(plan.name, of.name)


def imported_name(plan: SitePlan, of: ImportPlan) -> str:
    """Return how the names of an import's resources in the stack begin."""
    if of.egress and of.export:  # most of its objects are named for the hosts, not for the export
        return f"{egress_name(plan.name, of.namespace)}.{of.export.hosts[0]}".lower()
    if of.egress:
        return import_name(f"{plan.name}-egress", namespace=of.namespace, source=of.source, export=of.name)
    if of.export and of.export.server_names:
        return f"{plan.name}-imports.{of.namespace}.{of.export.served[of.export.hosts[0]]}"
    return import_name(f"{plan.name}-imports", namespace=of.namespace, source=of.source, export=of.name)


def claimed(
    cluster: ClusterReader, path: str, plan: SitePlan, gateway: str, known: SiteInState | None
) -> Iterator[Finding]:
    """Find hosts that somebody else's ServiceEntry has as well. Of two that a proxy sees, Istio takes the older one."""
    uses = [
        (f"{path}.exports[{i}].name", e.name, exported_name(plan, e), gateway, tuple(map(e.base_name, e.hosts)))
        for i, e in enumerate(plan.exports)
    ]
    uses += [
        (f"{path}.imports[{i}].export", of.name, imported_name(plan, of), of.namespace, _seen(of))
        for i, of in enumerate(plan.imports)
    ]
    entries = cluster.foreign_entries() if uses else []
    for where, name, component, seen_from, hosts in uses:
        for entry, found in entries:
            claimed = sorted({str(host).lower() for host in found["spec"].get("hosts", ())} & set(hosts))
            if claimed and visible(found, seen_from):
                advice = (
                    f"has the host {claimed[0]}, which the ServiceEntry {entry} in {plan.name} has as well, and this "
                    "stack has not made that: whoever connects may be led elsewhere; delete it, or take the host out "
                    "of it"
                )
                yield new_or_there(known, component)(where, name, advice)


def virtual_addresses(cluster: ClusterReader, site: model.Site, path: str) -> Iterator[Finding]:
    """Find networks of a cluster that overlap the range of virtual addresses."""
    if all(imported.by_gateway for imported in site.imports):
        return
    vips = ipaddress.IPv4Network(site.vip_range)
    for what, network in cluster.networks():
        if vips.overlaps(network):
            yield Finding(f"{path}.vipRange", site.vip_range, f"overlaps {what}, {network}: choose another range")
