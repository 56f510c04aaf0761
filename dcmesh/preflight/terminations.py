"""Imports whose export has another termination than at the last `up`: objects of both kinds would stand side by side.

Pulumi deletes the old ones at the end, and not at all where the probe before that fails. Until then a sidecar goes by
either.
"""

from collections.abc import Iterator

from dcmesh.config.errors import Finding
from dcmesh.model.component_names import import_name
from dcmesh.model.link import server_name
from dcmesh.model.plan import ImportPlan, SitePlan
from dcmesh.sites_in_state import SiteInState


def changed(path: str, plan: SitePlan, known: SiteInState | None) -> Iterator[Finding]:
    """Find imports of which the stack has objects for another termination."""
    names = [urn.rpartition("::")[2] for urn in (known.objects if known else ())]
    for index, imported in enumerate(plan.imports):
        other = _of_other_kind(plan.name, imported)
        if any(name.startswith(other) for name in names):
            advice = (
                "has another termination than at the last `pulumi up` here, and the objects of both would be in each "
                "other's way: take the import out, `pulumi up`, put it in again, `pulumi up`"
            )
            yield Finding(f"{path}.imports[{index}].export", imported.name, advice)


def _of_other_kind(site: str, of: ImportPlan) -> tuple[str, ...]:
    """Return with what the names of an import's resources begin that are for the other termination."""
    if of.export is None:
        return ()
    if of.export.termination == "pod":
        served = (server_name(host, of.source) for host in of.export.hosts)
        return tuple(f"{site}-imports.{of.namespace}.{name}-" for name in served)
    name = import_name(f"{site}-imports", namespace=of.namespace, source=of.source, export=of.name)
    return (f"{name}-serviceentry-", f"{name}-destinationrule")
