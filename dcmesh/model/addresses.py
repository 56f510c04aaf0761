"""Addresses: the virtual ones of imported hosts, and what can be one."""

import ipaddress

VIP_NETWORK = ipaddress.IPv4Network("241.0.0.0/8")
"""Range of the virtual addresses. Reserved, so no network uses it; Istio's own allocation is 240.240.0.0/16."""


def is_ip(address: str) -> bool:
    """Tell an IP address from a DNS name."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True
