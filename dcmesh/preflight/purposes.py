"""Purposes: what each namespace of a site is for, and what the stack's state says that it was for.

Pulumi creates first and deletes last. A namespace that is for something else by now has another name in the state: it
would be created, as it is there, and then deleted, as the other, with all that is new in it.
"""

from collections.abc import Iterator

from dcmesh.config.errors import Finding
from dcmesh.model import settings as model
from dcmesh.model.component_names import egress_name, gateway_component, hosts_name, pxc_operator_name, workload_name
from dcmesh.sites_in_state import SiteInState


def changed(site: model.Site, path: str, gateway: str, known: SiteInState | None) -> Iterator[Finding]:
    """Find namespaces that are to be for something else than at the last `up`.

    Args:
        site: the site.
        path: its place.
        gateway: namespace of its gateway.
        known: what the state has of its cluster; None for a site that was never there.
    """
    if known is None:
        return
    there = {(urn.rpartition("::")[2], place) for urn, place in known.objects.items()}
    for where, namespace, name in _wanted(site, path, gateway):
        for purpose, other in _names(site.name, namespace).items():
            if other != name and (f"{other}-namespace", ("", namespace)) in there:
                advice = (
                    f"was the namespace of {purpose} at the last `pulumi up`, and this `up` would delete it "
                    "with all that is in it: take that out first, run `pulumi up`, and make this change afterwards"
                )
                yield Finding(where, namespace, advice)


def _names(site: str, namespace: str) -> dict[str, str]:
    """Return by what a namespace stands in the state, by what it is for."""
    return {
        "a workload": workload_name(site, namespace),
        "the gateway": gateway_component(site, namespace),
        "Percona's operator": pxc_operator_name(site),
        "an egress gateway": egress_name(site, namespace),
        "other sites' hosts": hosts_name(site, namespace),
    }


def _wanted(site: model.Site, path: str, gateway: str) -> Iterator[tuple[str, str, str]]:
    """Yield each namespace that is to be made: its place, its name, and by what it is to stand in the state."""
    for index, workload in enumerate(site.workloads):
        yield f"{path}.workloads[{index}].namespace", workload.namespace, workload_name(site.name, workload.namespace)
    if site.exports:
        yield f"{path}.gateway.namespace", gateway, gateway_component(site.name, gateway)
    for index, imported in enumerate(site.imports):
        if imported.by_gateway and imported.host_namespace:
            at, own = f"{path}.imports[{index}]", imported.host_namespace
            yield f"{at}.namespace", imported.namespace, egress_name(site.name, imported.namespace)
            yield f"{at}.hostNamespace", own, hosts_name(site.name, own)
