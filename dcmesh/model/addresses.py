"""Addresses: the virtual ones of imported hosts, and what can be one."""

import ipaddress
from collections.abc import Iterable
from hashlib import sha256

VIP_NETWORK = ipaddress.IPv4Network("241.0.0.0/8")
"""Range of the virtual addresses. Reserved, so no network uses it; Istio's own allocation is 240.240.0.0/16."""


def is_ip(address: str) -> bool:
    """Tell an IP address from a DNS name."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def allot_vips(hosts: Iterable[str], network: ipaddress.IPv4Network = VIP_NETWORK) -> dict[str, str]:
    """Give each host a virtual address that only a sidecar knows.

    The address is a hash of the name, so a host that comes or goes moves no other. Where two names meet in one
    address, which the 24 bits make rare, the later in order takes the next free one.
    """
    taken: dict[int, str] = {}
    usable = network.num_addresses - 2  # without the network's own and the broadcast address
    for host in hosts:
        slot = int.from_bytes(sha256(host.encode()).digest()[:8]) % usable
        while taken.get(slot, host) != host:
            slot = (slot + 1) % usable
        taken[slot] = host
    return {host: str(network[slot + 1]) for slot, host in taken.items()}
