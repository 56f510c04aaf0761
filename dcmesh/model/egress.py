"""Egress: by which port of an egress gateway each host is reached, and what stands for a host there."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

from dcmesh.model.link import pod_of

PORTS = range(20000, 32768)
"""Ports of an egress gateway that stand for hosts. Linux gives none of them to outgoing connections."""

EGRESS_NAME = "dcmesh-egress"
"""Name of an egress gateway, of which a namespace has one."""

LABELS = {"app": EGRESS_NAME, "istio": EGRESS_NAME}
"""Labels of its pods. The second is dcmesh's alone."""

TRIES = 2
"""How often an egress gateway tries to connect to the other site before it gives a client up."""

TRY_SECONDS = 2
"""How long each try takes at most, its TLS included. Both together last no longer than a sidecar's only one."""

HostPort = tuple[str, int]
"""A host, and one of its own ports."""


def allot_ports(hosts: Iterable[str], ports: Sequence[int], chosen: Mapping[HostPort, int]) -> dict[HostPort, int]:
    """Give each host a port of the egress gateway for each of its own.

    It is a hash of the name, and of a further port's number, so a host or port that comes or goes moves no other. Two
    may have the same: that is refused, and settled by what is chosen.

    Args:
        hosts: the hosts.
        ports: the ports of each.
        chosen: what is chosen.
    """
    first = ports[0]
    return {
        (host, port): chosen.get((host, port), _hashed(host if port == first else f"{host}:{port}"))
        for host in hosts
        for port in ports
    }


def _hashed(name: str) -> int:
    return PORTS[_number(name) % len(PORTS)]


def _number(name: str) -> int:
    return int.from_bytes(sha256(name.encode()).digest()[:8])


def name_for(host: str) -> str:
    """Return the name of what stands for a host: readable, and of this host alone, whatever import it comes by."""
    return f"to-{pod_of(host)[:40].rstrip('-')}-{_number(host):016x}"


STRANGER = "dcmesh-stranger"
"""Name of the Job, beside an egress gateway, that is none of its clients."""
