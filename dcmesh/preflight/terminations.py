"""Imports whose export has another termination than at the last `up`: for one `up` objects of both kinds stand.

A sidecar may go by either. Pulumi deletes the old ones at the end, and not at all where something before that fails: so
the probe waits for the next `up`.
"""

from collections.abc import Iterable, Iterator

from dcmesh.config.errors import Remark
from dcmesh.model.component_names import import_name
from dcmesh.model.link import server_name
from dcmesh.model.plan import ImportPlan, SitePlan
from dcmesh.sites_in_state import SiteInState


def changed(path: str, plan: SitePlan, known: SiteInState | None) -> Iterator[Remark]:
    """Tell of imports of which the stack has objects for another termination."""
    for index, imported in enumerate(plan.imports):
        if stands_otherwise(plan.name, imported, known.objects if known else ()):
            advice = (
                "has another termination than at the last `pulumi up` here: this one does not ask its hosts, so run "
                "`pulumi up` again"
            )
            yield Remark(f"{path}.imports[{index}].export", imported.name, advice)


def stands_otherwise(site: str, imported: ImportPlan, urns: Iterable[str]) -> bool:
    """Tell whether the state has objects of an import that are for another termination.

    Args:
        site: the importing site.
        imported: the import.
        urns: the objects that the state has.
    """
    other = _of_other_kind(site, imported)
    return any(urn.rpartition("::")[2].startswith(other) for urn in urns)


def _of_other_kind(site: str, of: ImportPlan) -> tuple[str, ...]:
    """Return with what the names of an import's resources begin that are for the other termination."""
    if of.export is None:
        return ()
    if of.export.termination == "pod":
        served = (server_name(host, of.source) for host in of.export.hosts)
        return tuple(f"{site}-imports.{of.namespace}.{name}-" for name in served)
    name = import_name(f"{site}-imports", namespace=of.namespace, source=of.source, export=of.name)
    return (f"{name}-serviceentry-", f"{name}-destinationrule")
