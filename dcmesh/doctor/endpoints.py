"""The cluster: the consumer's sidecar leads the host to the source's gateway."""

from collections.abc import Iterator

from dcmesh.doctor.findings import FindingKind, HopFinding
from dcmesh.doctor.fixes import catch_up, restore_object
from dcmesh.doctor.hop import Hop
from dcmesh.doctor.walked_link import WalkedLink
from dcmesh.model.addresses import is_ip
from dcmesh.model.istio_objects import Object, name_of

WRONG = FindingKind("endpoint-wrong", "the host's ServiceEntry leads elsewhere than the link says")
MISSING = FindingKind("cluster-missing", "the consumer's sidecar has no cluster for the host")
STALE = FindingKind("endpoint-stale", "the consumer's sidecar leads the host elsewhere than its ServiceEntry says")


def places(entry: Object) -> set[str]:
    """Return where a ServiceEntry leads, each `ADDRESS:PORT`."""
    own = {port["name"]: port["number"] for port in entry["spec"].get("ports", ())}
    return {
        f"{endpoint['address']}:{port}"
        for endpoint in entry["spec"].get("endpoints", ())
        for port in (endpoint.get("ports") or own).values()
    }


def judge(link: WalkedLink, entry: Object, endpoints: tuple[str, ...] | None) -> Iterator[HopFinding]:
    """Yield what is wrong with where the host leads.

    Args:
        link: the link.
        entry: the host's ServiceEntry.
        endpoints: where the consumer's Envoy sends traffic for the host; None if it has no cluster for it.
    """
    told, written = set(link.export.gateways), places(entry)
    if written != told:
        yield WRONG(
            f"ServiceEntry {name_of(entry)}: {_shown(written)}; link of {link.export.source}: {_shown(told)}",
            restore_object(link.consumer_site, "serviceentry", link.own_entry, there=name_of(entry) == link.own_entry),
        )
    elif endpoints is None:
        yield MISSING(
            f"its Envoy has no {link.cluster}, though the ServiceEntry is there", catch_up(link.consumer_site)
        )
    elif all(is_ip(place.rpartition(":")[0]) for place in told) and not set(endpoints) <= told:
        yield STALE(
            f"{link.cluster} of its Envoy leads to {_shown(set(endpoints))}, the ServiceEntry to {_shown(written)}",
            catch_up(link.consumer_site),
        )


def _shown(found: set[str]) -> str:
    return " ".join(sorted(found)) or "nowhere"


def _look(link: WalkedLink) -> Iterator[HopFinding]:
    if entry := link.entry:
        yield from judge(link, entry, link.consumer.endpoints(link.client, link.cluster))


HOP = Hop(
    name="cluster",
    about="the host's cluster leads to the addresses and the port of the source's gateway that the link names",
    side="consumer",
    kinds=(WRONG, MISSING, STALE),
    look=_look,
)
