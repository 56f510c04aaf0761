"""The virtual address: the host has one, and no other host has the same."""

from collections.abc import Iterator, Sequence

from dcmesh.doctor.findings import FindingKind, HopFinding
from dcmesh.doctor.fixes import restore
from dcmesh.doctor.hop import Hop
from dcmesh.doctor.walked_link import WalkedLink
from dcmesh.model.istio_objects import Object, name_of, visible

MISSING = FindingKind("address-missing", "the host's ServiceEntry has no virtual address")
CLAIMED = FindingKind("address-claimed", "another ServiceEntry has the host's virtual address and port")


def judge(link: WalkedLink, entry: Object, entries: Sequence[Object]) -> Iterator[HopFinding]:
    """Yield what is wrong with the address of a host's ServiceEntry."""
    addresses = set(entry["spec"].get("addresses", ()))
    if not addresses:
        yield MISSING(f"ServiceEntry {name_of(entry)}: no spec.addresses", restore(link.consumer_site))
        return
    for other in entries:
        ports = {int(port["number"]) for port in other["spec"].get("ports", ())}
        shared = addresses & set(other["spec"].get("addresses", ()))
        if name_of(other) == name_of(entry) or not visible(other, link.account.namespace):
            continue
        if not shared or link.export.port not in ports:
            continue
        hosts = " ".join(other["spec"]["hosts"])
        # HTTP requests carry the host's name, and sidecars go by that.
        if link.export.protocol != "HTTP":
            yield CLAIMED(
                f"ServiceEntry {name_of(other)} has {' '.join(shared)} port {link.export.port} for {hosts}",
                f"Give the ServiceEntry {name_of(other)} another address, or delete it.",
            )
            return


def _look(link: WalkedLink) -> Iterator[HopFinding]:
    if entry := link.entry:
        yield from judge(link, entry, link.consumer.istio("ServiceEntry"))


HOP = Hop(
    name="virtual address",
    about="the host's ServiceEntry has an address that stands for this host alone",
    side="consumer",
    kinds=(MISSING, CLAIMED),
    look=_look,
    egress="sidecar",
)
