"""The gateway: it runs, at the addresses and the port that its consumers are told."""

from collections.abc import Iterator, Sequence

from dcmesh.doctor.findings import FindingKind, HopFinding, UnseenError
from dcmesh.doctor.fixes import restore, restore_release, restore_service
from dcmesh.doctor.hop import Hop
from dcmesh.doctor.walked_link import WalkedLink
from dcmesh.model.facts import State
from dcmesh.model.istio_objects import Object
from dcmesh.status.gateways import GatewayStatus

REFUSED = FindingKind(
    "listener-refused",
    "the gateway's Envoy refuses the listener that istiod has sent last: its next restart stops all links",
)
CLUSTERS_REFUSED = FindingKind(
    "clusters-refused", "the gateway's Envoy refuses the clusters that istiod has sent last", State.WARNING
)
NO_PODS = FindingKind("gateway-without-pods", "no pod of the gateway is ready")
NO_SERVICE = FindingKind("gateway-without-address", "the gateway's Service has no address")
MOVED = FindingKind("gateway-moved", "the gateway has another address than its consumers are told")
NO_PORT = FindingKind("gateway-port-missing", "the gateway's Service has not got the port that its consumers are told")
NO_ENDPOINTS = FindingKind("gateway-without-endpoints", "the gateway's Service leads to none of its pods")


def judge(link: WalkedLink, gateway: GatewayStatus, pods: Sequence[Object]) -> Iterator[HopFinding]:
    """Yield what is wrong with the gateway.

    Args:
        link: the link.
        gateway: the gateway, as it is.
        pods: the ready pods behind its Service.
    """
    place, told = link.gateway, " ".join(link.export.gateways)
    where = f"{place.namespace}/{place.name}"
    mend = restore_service(link.export.source, where)
    addresses = {gateway.rpartition(":")[0] for gateway in link.export.gateways}
    ports = {int(gateway.rpartition(":")[2]) for gateway in link.export.gateways}
    for refusal in gateway.refusals:
        kind = REFUSED if refusal.of == "listeners" else CLUSTERS_REFUSED
        look = "kubectl get gateways.networking.istio.io,envoyfilters,serviceentries,destinationrules -A"
        newest = f"{look} --sort-by=.metadata.creationTimestamp"
        yield kind(
            str(refusal), f"Undo the change that caused this at {link.export.source}: `{newest}` shows the newest last."
        )
    if not gateway.ready:
        why = f"Read why: `kubectl describe deployment,pods -n {place.namespace} -l app={place.name}`."
        fix = f"{why} {restore_release(place.name, 'the Deployment', place.namespace)}"
        yield NO_PODS(f"Deployment {where}: 0 of {gateway.wanted} pods are ready", fix)
    elif not gateway.ports:
        yield NO_SERVICE(
            f"no Service {where}", f"{restore(link.export.source)} Then `pulumi up` with that of {link.consumer_site}."
        )
    elif not gateway.advertised and not gateway.addresses:
        yield NO_SERVICE(
            f"Service {where}: status.loadBalancer has no address",
            f"Read why: `kubectl describe service -n {place.namespace} {place.name}`; without a load balancer set "
            f"`gateway.advertise`.",
        )
    elif not gateway.advertised and not addresses & set(gateway.addresses):
        yield MOVED(
            f"Service {where}: {' '.join(gateway.addresses)}; consumers are told {told}",
            f"{restore(link.export.source)} Then `pulumi up` with that of {link.consumer_site}.",
        )
    elif not gateway.advertised and not ports & set(gateway.ports):
        shown = " ".join(str(port) for port in gateway.ports)
        yield NO_PORT(f"Service {where}: ports {shown}; consumers are told {told}", mend)
    elif not pods:
        yield NO_ENDPOINTS(f"Service {where}: no ready endpoint, though {gateway.ready} pods are ready", mend)


def _look(link: WalkedLink) -> Iterator[HopFinding]:
    gateway = link.source.gateway(link.gateway)
    yield from judge(link, gateway, link.gateway_pods)
    if gateway.unasked:
        raise UnseenError(f"its Envoys cannot be asked what they refuse: {gateway.unasked}")


HOP = Hop(
    name="gateway",
    about="the gateway's pods are ready behind its Service, which has the address and the port that consumers are told",
    side="source",
    kinds=(REFUSED, CLUSTERS_REFUSED, NO_PODS, NO_SERVICE, MOVED, NO_PORT, NO_ENDPOINTS),
    look=_look,
)
