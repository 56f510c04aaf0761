"""Foreign objects that affect the links of a consumer in its own site."""

from collections.abc import Iterator

from dcmesh.foreign.objects import Foreign, IstioObjects, delete
from dcmesh.foreign.servers import destinations, gateways_of
from dcmesh.model.istio_objects import Object, applying, covers, effective_rules, name_of, resolved, shows, visible
from dcmesh.model.link import ServiceAccount
from dcmesh.sites_in_outputs import DeployedExport


def at_consumer(site: str, account: ServiceAccount, export: DeployedExport, cluster: IstioObjects) -> Iterator[Foreign]:
    """Yield what affects the links of a consumer in its own site.

    Here it is a warning only: whether a host answers, and whom the sidecar accepts as it, is asked separately.

    Args:
        site: the importing site.
        account: the consumer.
        export: what it imports.
        cluster: the objects of its site.
    """
    namespace = account.namespace
    sidecar = None if export.by_gateway else applying(cluster.sidecars, namespace)
    for real in export.hosts:
        host = export.known_as(real)
        ours = export.entry(real, namespace)

        def seen(found: Object, host: str = host) -> bool:
            return visible(found, namespace) and (sidecar is None or shows(sidecar, found, host))

        for entry in cluster.entries:
            if name_of(entry) != ours and host in entry["spec"]["hosts"] and seen(entry):
                does = f"claims the imported host {host} for {namespace}"
                cure = f"Give it another host or `exportTo`, or `{delete('serviceentry', entry)}`"
                yield Foreign(site=site, kind="ServiceEntry", name=name_of(entry), hosts=(real,), does=does, cure=cure)
        protocols = ("http",) if export.protocol == "HTTP" and not export.by_gateway else ("tcp", "tls")
        for service in cluster.services:
            own = service["metadata"]["namespace"]
            patterns = [of for of in service["spec"].get("hosts", ()) if covers(resolved(of, own), host)]
            meant = _for_port(service, ours) if export.by_gateway else _for_sidecars(service)
            if patterns and meant and any(service["spec"].get(kind) for kind in protocols) and seen(service):
                does = f"decides where {namespace} is led that asks for {host}: to {' '.join(destinations(service))}"
                cure = f"Take {' '.join(patterns)} out of its hosts, or `{delete('virtualservice', service)}`"
                yield Foreign(
                    site=site, kind="VirtualService", name=name_of(service), hosts=(real,), does=does, cure=cure
                )
        for rule in effective_rules(cluster.rules, host, proxy=namespace, service=namespace):
            if name_of(rule) != export.rule(real, namespace):
                does = f"decides how {namespace} connects to {host}, in place of dcmesh's own"
                cure = f"Give it a `host` that leaves {host} out, or `{delete('destinationrule', rule)}`"
                yield Foreign(
                    site=site, kind="DestinationRule", name=name_of(rule), hosts=(real,), does=does, cure=cure
                )


def _for_sidecars(service: Object) -> bool:
    return "mesh" in service["spec"].get("gateways", ["mesh"])


def _for_port(service: Object, ours: str) -> bool:
    """Tell whether a VirtualService is for the Gateway of a host's port. That accepts only its own namespace's.

    Args:
        service: the VirtualService.
        ours: the name that all of dcmesh's objects for the host have, its VirtualService too.
    """
    beside = service["metadata"]["namespace"] == ours.partition("/")[0]
    return beside and name_of(service) != ours and ours in gateways_of(service)
