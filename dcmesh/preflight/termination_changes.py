"""Exports and imports whose termination changes: during one `up` the objects for both terminations exist.

Meanwhile a consumer's sidecar may use either of them. Pulumi deletes the old ones at the end, or not at all if
something fails before. So the link is probed by the next `up`.
"""

from collections.abc import Iterable, Iterator

from dcmesh.config.errors import Finding, Remark
from dcmesh.model.component_names import export_name, import_name
from dcmesh.model.link import ExportedService, pod_of, server_name
from dcmesh.model.plan import ImportPlan, SitePlan
from dcmesh.sites_in_state import SiteInState


def changed(path: str, plan: SitePlan, known: SiteInState | None) -> Iterator[Remark]:
    """Warn of imports for which the stack still has objects for another termination."""
    for index, imported in enumerate(plan.imports):
        if stands_otherwise(plan, imported, known.objects if known else ()):
            advice = (
                "has another termination than at the last `pulumi up` here: this one does not ask its hosts, so run "
                "`pulumi up` again"
            )
            yield Remark(f"{path}.imports[{index}].export", imported.name, advice)


def replaced(path: str, plan: SitePlan, known: SiteInState | None) -> Iterator[Finding]:
    """Find exports that are to change to ingress ports, or away from them, while their old objects exist.

    Pulumi deletes those last. Until then the pods would have sidecars for one termination and policies for the other.
    """
    standing = {urn.rpartition("::")[2]: place for urn, place in (known.objects if known else {}).items()}
    for index, export in enumerate(plan.exports):
        former = {_standing(plan.name, export, name, *place) for name, place in standing.items()}
        former -= {"", export.termination}
        if former and "ingress" in {export.termination, *former}:
            advice = (
                f"had its TLS end otherwise at the last `pulumi up` (termination: {min(former)}), and the objects for "
                "that would stand in the way of these: take the export and its imports away for one `pulumi up` of all "
                "stacks first"
            )
            yield Finding(f"{path}.exports[{index}].termination", export.termination, advice)


def _standing(site: str, export: ExportedService, name: str, namespace: str, own: str) -> str:
    """Return the termination that an object in the state is for; empty if it is not for this export.

    Args:
        site: the site.
        export: the export.
        name: the object's name in the state.
        namespace: its namespace.
        own: its own name.
    """
    if namespace != export.namespace or f"{site}." not in name or "-serviceentry" not in name:
        return ""
    for host in export.hosts:
        served = server_name(host, site)
        if own == served:
            return "gateway" if name.startswith(f"{site}.{served}-") else "ingress"
        if own.partition(".")[2] == pod_of(host) and name.startswith(export_name(site, "")):
            return "pod"
    return ""


def stands_otherwise(plan: SitePlan, imported: ImportPlan, urns: Iterable[str]) -> bool:
    """Tell whether the state has objects of an import that are for another termination.

    Args:
        plan: the importing site's part of the plan.
        imported: the import.
        urns: the objects that the state has.
    """
    names = [urn.rpartition("::")[2] for urn in urns]
    if imported.export is None:
        return False
    if not imported.export.server_names:
        served = (server_name(host, imported.source) for host in imported.export.hosts)
        other = tuple(f"{plan.name}-imports.{imported.namespace}.{name}-" for name in served)
        return any(name.startswith(other) for name in names)
    own = _component(plan, imported)
    return any(f"{own}-destinationrule" == name or _entry_of(own, imported, name, plan) for name in names)


def _component(plan: SitePlan, of: ImportPlan) -> str:
    return import_name(f"{plan.name}-imports", namespace=of.namespace, source=of.source, export=of.name)


def _entry_of(own: str, imported: ImportPlan, name: str, plan: SitePlan) -> bool:
    """Tell whether a name in the state is that of a ServiceEntry for one of the import's pods."""
    component, _, pod = name.partition("-serviceentry-")
    others = {_component(plan, of) for of in plan.imports if of.export and not of.export.server_names}
    of_source = component.startswith(own.removesuffix(imported.name)) and component not in others
    return of_source and pod in map(pod_of, imported.export.hosts if imported.export else ())
