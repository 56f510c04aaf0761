"""Foreign Gateways at an egress gateway: at the ports of its hosts, or at other ports that lead to these hosts."""

from collections.abc import Iterator, Mapping, Sequence

from dcmesh.foreign.objects import Foreign, IstioObjects, delete
from dcmesh.foreign.servers import bound, destinations, shown
from dcmesh.model.egress import EGRESS_NAME, LABELS, name_for
from dcmesh.model.facts import State
from dcmesh.model.istio_objects import Object, elder, name_of, selects
from dcmesh.model.link import ServiceAccount
from dcmesh.sites_in_outputs import DeployedExport


def at_egress(
    site: str, account: ServiceAccount, imports: Sequence[DeployedExport], cluster: IstioObjects
) -> Iterator[Foreign]:
    """Yield the Gateways of others that affect the links of an egress gateway.

    Args:
        site: the importing site.
        account: the egress gateway's service account.
        imports: its imports.
        cluster: the objects of the site.
    """
    namespace = account.namespace
    names = {f"{namespace}/{name_for(host)}": host for of in imports if of.by_gateway for host in of.hosts}
    own = {names[name_of(gateway)]: gateway for gateway in cluster.gateways if name_of(gateway) in names}
    known = {of.known_as(host): host for of in imports if of.by_gateway for host in of.hosts}
    for gateway in cluster.gateways:
        elsewhere = cluster.scoped and gateway["metadata"]["namespace"] != namespace
        if name_of(gateway) in names or elsewhere or not selects(gateway["spec"].get("selector"), LABELS):
            continue
        led = [known[host] for one in bound(gateway, cluster.services) for host in destinations(one) if host in known]
        effects = [
            (*effect, server)
            for server in gateway["spec"].get("servers", ())
            for effect in _effects(gateway, server, own, led)
        ]
        delete_it = delete("gateway.networking.istio.io", gateway)
        if effects:
            severity, does, hosts, server = max(effects, key=lambda effect: effect[0])
            yield Foreign(
                site=site,
                kind="Gateway",
                name=name_of(gateway),
                hosts=tuple(hosts),
                does=f"at dcmesh's egress gateway {namespace}/{EGRESS_NAME} ({shown(gateway, server)}): {does}",
                cure=f"Give it a `selector` of another gateway's, or `{delete_it}`",
                severity=severity,
            )


def _effects(
    gateway: Object, server: Object, own: Mapping[str, Object], led: Sequence[str]
) -> Iterator[tuple[State, str, Sequence[str]]]:
    """Yield what a server of a foreign Gateway does, and to the links of which hosts.

    Args:
        gateway: the Gateway.
        server: the server.
        own: dcmesh's own Gateway for each host's port.
        led: the hosts to which the foreign Gateway's VirtualServices lead.
    """
    port = int(server["port"]["number"])
    for host, ours in own.items():
        if port not in (int(one["port"]["number"]) for one in ours["spec"].get("servers", ())):
            continue
        # Of two servers without TLS at one port istiod takes the older one, and leaves out the other.
        if elder(gateway, ours):
            yield State.CRITICAL, f"is older than dcmesh's own for {host}, which istiod leaves out", [host]
        else:
            yield State.WARNING, f"has the port of {host} to itself once dcmesh's own Gateway is written anew", [host]
        return
    if led:
        does = f"leads to {' '.join(led)} whoever reaches that port: the other site takes them for the egress gateway"
        yield State.WARNING, does, led
