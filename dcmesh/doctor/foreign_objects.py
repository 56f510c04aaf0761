"""Neighbours: objects of somebody else that affect the link, at either end."""

from collections.abc import Iterable, Iterator

from dcmesh.doctor.findings import FindingKind, HopFinding
from dcmesh.doctor.hop import Hop
from dcmesh.doctor.walked_link import WalkedLink
from dcmesh.foreign.consumer import at_consumer
from dcmesh.foreign.egress import at_egress
from dcmesh.foreign.objects import Foreign
from dcmesh.model.facts import State

GATEWAY = FindingKind(
    "foreign-gateway",
    "somebody else's Gateway shuts dcmesh's, now or with the next restart of its pods, or leads others to the host",
)
GATEWAY_BESIDE = FindingKind(
    "foreign-gateway-beside", "somebody else's Gateway opens dcmesh's gateway, or claims its port", State.WARNING
)
ENTRY = FindingKind("foreign-entry", "the gateway goes by somebody else's ServiceEntry for the host")
ENTRY_BESIDE = FindingKind("foreign-entry-beside", "somebody else's ServiceEntry claims the host", State.WARNING)
RULE = FindingKind("foreign-rule", "somebody else's DestinationRule keeps the gateway from the host's pod")
RULE_BESIDE = FindingKind(
    "foreign-rule-beside", "somebody else's DestinationRule decides how the host is connected to", State.WARNING
)
ROUTE_BESIDE = FindingKind(
    "foreign-route-beside", "somebody else's VirtualService decides where who asks for the host is led", State.WARNING
)

KINDS = {
    ("Gateway", State.CRITICAL): GATEWAY,
    ("Gateway", State.WARNING): GATEWAY_BESIDE,
    ("ServiceEntry", State.CRITICAL): ENTRY,
    ("ServiceEntry", State.WARNING): ENTRY_BESIDE,
    ("DestinationRule", State.CRITICAL): RULE,
    ("DestinationRule", State.WARNING): RULE_BESIDE,
    ("VirtualService", State.WARNING): ROUTE_BESIDE,
}


def judge(link: WalkedLink, found: Iterable[Foreign], refused: str = "") -> Iterator[HopFinding]:
    """Yield the foreign objects that affect the link. The worst comes last, because it ends the walk.

    Args:
        link: the link.
        found: the foreign objects.
        refused: what the gateway's Envoys say of the configuration that they refuse.
    """
    for foreign in sorted(found, key=lambda one: one.severity):
        if link.host in foreign.hosts:
            said = (
                f"; {refused}" if refused and foreign.kind == "Gateway" and foreign.severity == State.CRITICAL else ""
            )
            evidence = f"{foreign.kind} {foreign.name} {foreign.does}{said}"
            yield KINDS[foreign.kind, foreign.severity](evidence, f"{foreign.cure}.")


def _look_at_consumer(link: WalkedLink) -> Iterator[HopFinding]:
    this_host, cluster = (link.export.only(link.host),), link.consumer.cluster
    found = [*at_consumer(link.consumer_site, link.account, *this_host, cluster)]
    found += at_egress(link.consumer_site, link.account, this_host, cluster) if link.export.by_gateway else []
    yield from judge(link, found)


def _look_at_source(link: WalkedLink) -> Iterator[HopFinding]:
    refusals = link.source.gateway(link.gateway).refusals
    yield from judge(link, link.source.foreign_at_gateway, "; ".join(map(str, refusals)))


CONSUMERS = Hop(
    name="consumer's neighbours",
    about="no object of somebody else's claims the host where the consumer's proxy sees it, or its port there",
    side="consumer",
    kinds=(GATEWAY, GATEWAY_BESIDE, ENTRY_BESIDE, ROUTE_BESIDE, RULE_BESIDE),
    look=_look_at_consumer,
)
SOURCES = Hop(
    name="source's neighbours",
    about="no object of somebody else's opens or shuts the gateway, or claims the host where the gateway sees it",
    side="source",
    kinds=(GATEWAY, GATEWAY_BESIDE, ENTRY, ENTRY_BESIDE, RULE, RULE_BESIDE),
    look=_look_at_source,
)
