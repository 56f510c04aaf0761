"""Egress: the port of an egress gateway for each host, and the names of a host's objects there."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

from dcmesh.model.link import pod_of

PORTS = range(20000, 32768)
"""The ports of an egress gateway for hosts. Linux gives none of them to outgoing connections."""

EGRESS_NAME = "dcmesh-egress"
"""Name of an egress gateway. A namespace has at most one."""

LABELS = {"app": EGRESS_NAME, "istio": EGRESS_NAME}
"""Labels of its pods. The second is dcmesh's alone."""

TRIES = 2
"""How often an egress gateway tries to connect to the other site before it ends a client's connection."""

TRY_SECONDS = 2
"""How long each try may take, with TLS. Both together take no longer than a sidecar's single try."""

HostPort = tuple[str, int]
"""A host, and one of its own ports."""


def allot_ports(hosts: Iterable[str], ports: Sequence[int], chosen: Mapping[HostPort, int]) -> dict[HostPort, int]:
    """Give each host a port of the egress gateway for each of its own.

    It is a hash of the host's name, and of a further port's number. So a host or port that comes or goes changes no
    other. Two hosts may get the same port: that is refused until the configuration chooses another for one of them.

    Args:
        hosts: the hosts.
        ports: the ports of each.
        chosen: the ports that the configuration chooses.
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
    """Return the name of a host's objects: readable, unique for this host, and the same for every import."""
    return f"to-{pod_of(host)[:40].rstrip('-')}-{_number(host):016x}"


STRANGER = "dcmesh-stranger"
"""Name of the Job, beside an egress gateway, that is none of its clients."""
