"""Purposes: what each namespace of a site is for now, and what it was for according to the stack's state.

Pulumi creates first and deletes last. A namespace with a new purpose has a new name in the state. So Pulumi would first
take over the existing namespace under its new name, and then delete it under its old one, with all that is new in it.
"""

from collections.abc import Iterator

from dcmesh.config.errors import Finding
from dcmesh.model import settings as model
from dcmesh.model.component_names import egress_name, gateway_component, hosts_name, pxc_operator_name, workload_name
from dcmesh.sites_in_state import SiteInState


def changed(site: model.Site, path: str, gateway: str, known: SiteInState | None) -> Iterator[Finding]:
    """Find namespaces whose purpose is another one than at the last `up`.

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
    """Return the name of a namespace in the state, for each purpose."""
    return {
        "a workload": workload_name(site, namespace),
        "the gateway": gateway_component(site, namespace),
        "Percona's operator": pxc_operator_name(site),
        "an egress gateway": egress_name(site, namespace),
        "other sites' hosts": hosts_name(site, namespace),
    }


def _wanted(site: model.Site, path: str, gateway: str) -> Iterator[tuple[str, str, str]]:
    """Yield each namespace that is to be created: its place, its own name, and its name in the state."""
    for index, workload in enumerate(site.workloads):
        yield f"{path}.workloads[{index}].namespace", workload.namespace, workload_name(site.name, workload.namespace)
    if site.exports:
        yield f"{path}.gateway.namespace", gateway, gateway_component(site.name, gateway)
    for index, imported in enumerate(site.imports):
        if imported.by_gateway and imported.host_namespace:
            at, own = f"{path}.imports[{index}]", imported.host_namespace
            yield f"{at}.namespace", imported.namespace, egress_name(site.name, imported.namespace)
            yield f"{at}.hostNamespace", own, hosts_name(site.name, own)
