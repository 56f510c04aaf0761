"""Networks: whether the virtual addresses of imported hosts are used by nothing else."""

import ipaddress
from collections.abc import Iterator

from dcmesh.config.checks.configuration import Configuration
from dcmesh.config.errors import Finding
from dcmesh.model.settings import Site

SPECIAL = {
    "0.0.0.0/8": "addresses of no machine",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local addresses",
    "224.0.0.0/4": "multicast",
    "240.240.0.0/16": "the addresses that Istio gives out by itself",
    "255.255.255.255/32": "broadcast",
}
"""Networks that are the same everywhere."""

K3S = {"10.42.0.0/16": "the cluster's pods", "10.43.0.0/16": "the cluster's Services"}
"""k3d's networks."""


def taken_ranges(configuration: Configuration) -> Iterator[Finding]:
    """Find ranges of virtual addresses that overlap networks which are known to be in use."""
    for path, site in configuration.sites:
        for network, use in _in_use(site).items():
            if ipaddress.IPv4Network(site.vip_range).overlaps(ipaddress.IPv4Network(network)):
                advice = f"overlaps {network}, {use}: choose another range, such as 241.0.0.0/8"
                yield Finding(f"{path}.vipRange", site.vip_range, advice)


def _in_use(site: Site) -> dict[str, str]:
    return SPECIAL | (K3S if site.cluster == "k3d" else {})


def small_ranges(configuration: Configuration) -> Iterator[Finding]:
    """Find ranges that have fewer addresses than a site imports hosts."""
    for path, site in configuration.sites:
        room = max(0, ipaddress.IPv4Network(site.vip_range).num_addresses - 2)
        by_sidecar = (imported for imported in site.imports if not imported.by_gateway)
        hosts = {host for imported in by_sidecar for host in configuration.hosts(imported)}
        if len(hosts) > room:
            advice = f"has {room} addresses for {len(hosts)} imported hosts: choose a larger range, such as 241.0.0.0/8"
            yield Finding(f"{path}.vipRange", site.vip_range, advice)


def ranges_with_gateways(configuration: Configuration) -> Iterator[Finding]:
    """Find ranges that contain the address of a gateway that the site connects to."""
    for path, site in configuration.sites:
        network = ipaddress.IPv4Network(site.vip_range)
        for source in dict.fromkeys(imported.from_ for imported in site.imports):
            for address in _gateway_addresses(configuration, source):
                if _is_in(address, network):
                    advice = f"has the address {address} of {source}'s gateway in it: choose another range"
                    yield Finding(f"{path}.vipRange", site.vip_range, advice)


def _gateway_addresses(configuration: Configuration, source: str) -> list[str]:
    """Return the addresses of a site's gateway, as far as they are known before it exists."""
    if source in configuration.links:
        return [*configuration.links[source].gateway.addresses]
    return [address for _, site in configuration.sites if site.name == source for address in site.gateway.advertise]


def _is_in(address: str, network: ipaddress.IPv4Network) -> bool:
    try:
        return ipaddress.ip_address(address) in network
    except ValueError:  # a DNS name
        return False
