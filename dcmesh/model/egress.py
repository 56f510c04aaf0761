"""Egress: by which port of an egress gateway each host is reached, and what stands for a host there."""

from collections.abc import Iterable, Mapping
from hashlib import sha256

from dcmesh.model.link import pod_of

PORTS = range(20000, 32768)
"""Ports of an egress gateway that stand for hosts. Linux gives none of them to outgoing connections."""

EGRESS_NAME = "dcmesh-egress"
"""Name of an egress gateway, of which a namespace has one."""

LABELS = {"app": EGRESS_NAME, "istio": EGRESS_NAME}
"""Labels of its pods. The second is dcmesh's alone."""


def allot_ports(hosts: Iterable[str], chosen: Mapping[str, int]) -> dict[str, int]:
    """Give each host a port of the egress gateway.

    The port is a hash of the name, so a host that comes or goes moves no other. Two may have the same: that is
    refused, and settled by what is chosen.
    """
    return {host: chosen.get(host, PORTS[_number(host) % len(PORTS)]) for host in hosts}


def _number(host: str) -> int:
    return int.from_bytes(sha256(host.encode()).digest()[:8])


def name_for(host: str) -> str:
    """Return the name of what stands for a host: readable, and of this host alone, whatever import it comes by."""
    return f"to-{pod_of(host)[:40].rstrip('-')}-{_number(host):016x}"


STRANGER = "dcmesh-stranger"
"""Name of the Job, beside an egress gateway, that is none of its clients."""
