"""The network of a lab: a namespace a site, and one for the WAN that joins them and the host.

    host ── dcmeshL ─┐
                     │  "host"
               ┌─────┴─────┐
               │    WAN    │   forwards only what lab/wan.py permits
               └─┬───────┬─┘
           "dc1" │       │ "dc2"
            eth0 │       │ eth0
               ┌─┴─┐   ┌─┴─┐
               │dc1│   │dc2│   pods 10.42.0.0/16 and services 10.43.0.0/16 in both
               └───┘   └───┘

The host has one interface and one route for each lab. The host's firewall and settings are left alone.

An impaired WAN has one more interface, `line`, with a process behind it (lab/line.py). What goes from site to site
passes through `line` on its way through the WAN.
"""

import contextlib
import ipaddress
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from socket import AF_INET
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.line import INTERFACE as LINE
from lab.paths import REPOSITORY, LabPaths, SitePaths

if TYPE_CHECKING:
    from pyroute2 import IPRoute

PODS = "10.42.0.0/16"
SERVICES = "10.43.0.0/16"
MASQUERADE = f"""chain postrouting {{
    type nat hook postrouting priority srcnat
    ip saddr {PODS} ip daddr != {PODS} oifname "eth0" masquerade
}}"""
"""Packets of pods leave a node with the node's address."""
LINE_MARK = 1
"""The mark of a packet that is to go through the line, and the number of the routing table that leads there."""
_ALL_LABS = ipaddress.IPv4Network("172.31.0.0/16")
_NAMESPACES = Path("/run/netns")
_LINE_QUEUE = 50_000
"""How many packets can wait for the line's process: enough that it loses only those that it is told to lose."""


@dataclass(frozen=True)
class LabAddresses:
    """The addresses of one lab: a /20. In it are a /24 between host and WAN, and a /24 for each site.

    Attributes:
        index: the lab's place, 0..15.
    """

    index: int

    @property
    def network(self) -> ipaddress.IPv4Network:
        """All of the lab."""
        return list(_ALL_LABS.subnets(new_prefix=20))[self.index]

    @property
    def host(self) -> str:
        """The host's address in the lab."""
        return str(self.network[1])

    @property
    def wan(self) -> str:
        """The WAN's address towards the host."""
        return str(self.network[2])

    @property
    def host_interface(self) -> str:
        """The host's interface into the lab."""
        return f"dcmesh{self.index}"

    def site(self, subnet: int) -> "SiteAddresses":
        """The addresses of the site at `subnet`, 1..15."""
        return SiteAddresses(list(self.network.subnets(new_prefix=24))[subnet])


@dataclass(frozen=True)
class SiteAddresses:
    """The addresses of one site.

    Attributes:
        network: the /24 between the site and the WAN.
    """

    network: ipaddress.IPv4Network

    @property
    def wan(self) -> str:
        """The WAN's address towards the site: the site's default route."""
        return str(self.network[1])

    @property
    def node(self) -> str:
        """The site's node."""
        return str(self.network[2])

    @property
    def load_balancer(self) -> tuple[str, ...]:
        """The addresses that Services of type LoadBalancer can get."""
        return tuple(str(self.network[n]) for n in range(100, 110))


def free_index(taken: set[int]) -> int:
    """Return the first place in the address plan that no lab has and no route of the host covers.

    Raises:
        LabError: there is none.
    """
    with _routes() as host:
        routes = [
            ipaddress.IPv4Network(f"{route.get('dst')}/{route['dst_len']}")
            for route in host.get_routes(family=2, table=254)
            if route["dst_len"]
        ]
    for index in range(16):
        network = LabAddresses(index).network
        if index not in taken and not any(network.overlaps(route) for route in routes):
            return index
    raise LabError("no free network for another lab in 172.31.0.0/16: delete one, or see `ip route`")


def create_wan(lab: LabPaths, addresses: LabAddresses) -> None:
    """Make the WAN's namespace and the host's way into the lab, as far as they are missing."""
    namespace = lab.wan_namespace
    _create_namespace(namespace)
    with _routes() as host, _routes(namespace) as wan:
        _create_link(host, addresses.host_interface, wan, namespace, "host")
        _address(host, addresses.host_interface, addresses.host, 24)
        _address(wan, "host", addresses.wan, 24)
        host.route("replace", dst=str(addresses.network), gateway=addresses.wan)


def create_site(site: SitePaths, wan_namespace: str, addresses: SiteAddresses) -> None:
    """Make a site's namespace, its addresses and its way to the WAN, as far as they are missing."""
    _create_namespace(site.namespace)
    with _routes(wan_namespace) as wan, _routes(site.namespace) as node:
        _create_link(wan, site.name, node, site.namespace, "eth0")
        _address(wan, site.name, addresses.wan, 24)
        _address(node, "eth0", addresses.node, 24)
        for address in addresses.load_balancer:
            _address(node, "eth0", address, 32)
        node.route("replace", dst="default", gateway=addresses.wan)
    # Packets of pods leave the site with the node's address, since the WAN has no routes to pods.
    load_rules(site.namespace, "ip dcmesh", MASQUERADE)


def delete_site(site: SitePaths, wan_namespace: str) -> None:
    """Remove a site's namespace and its link, as far as they exist."""
    if _stands(wan_namespace):
        with _routes(wan_namespace) as wan:
            _delete_link(wan, site.name)
    _delete_namespace(site.namespace)


def delete_wan(lab: LabPaths) -> None:
    """Remove the WAN's namespace and the host's interface and route, as far as they exist."""
    if _stands(lab.wan_namespace):
        with _routes(lab.wan_namespace) as wan:
            _delete_link(wan, "host")
            _delete_link(wan, LINE)  # The line's process would keep the namespace alive.
    _delete_namespace(lab.wan_namespace)
    _delete_namespace_directory()


def create_line(lab: LabPaths, delay: float, loss: float) -> None:
    """Make the WAN's line, as far as it is missing. Packets with `LINE_MARK` go into it, and come out without the mark.

    If the line's process ends, these packets are lost: none takes another way.

    Args:
        lab: the lab.
        delay: milliseconds added to a round trip.
        loss: share of the packets lost in each direction.

    Raises:
        LabError: there is no WAN, or the line cannot be made.
    """
    namespace = lab.wan_namespace
    # A packet that comes out of the line has the address of another site.
    settings = [f"net.ipv4.conf.{which}.rp_filter=0" for which in ("all", "default")]
    run_in(namespace, "sysctl", "--quiet", *settings)
    with _routes(namespace) as wan:
        if not wan.link_lookup(ifname=LINE):
            program = str(REPOSITORY / "lab" / "line.py")
            run_in(namespace, sys.executable, "-I", program, namespace, str(delay), str(loss))
        (index,) = wan.link_lookup(ifname=LINE)
        wan.link("set", index=index, state="up", txqlen=_LINE_QUEUE)
        wan.route("replace", family=AF_INET, dst="default", type="blackhole", priority=1, table=LINE_MARK)
        wan.route("replace", family=AF_INET, dst="default", oif=index, table=LINE_MARK)
        if not any(wan.get_rules(family=AF_INET, table=LINE_MARK)):
            wan.rule("add", fwmark=LINE_MARK, table=LINE_MARK)


def delete_line(lab: LabPaths) -> None:
    """Remove the WAN's line, if there is one. Its process ends with it."""
    if _stands(lab.wan_namespace):
        with _routes(lab.wan_namespace) as wan:
            _delete_link(wan, LINE)


def run_in(namespace: str, *command: str, stdin: str | None = None) -> str:
    """Run a program in a network namespace and return what it prints.

    Raises:
        LabError: it failed.
    """
    result = subprocess.run(
        ["nsenter", f"--net={_NAMESPACES / namespace}", *command],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise LabError(f"`{' '.join(command)}` failed in namespace {namespace}: {result.stderr.strip()}")
    return result.stdout


def load_rules(namespace: str, table: str, chains: str) -> None:
    """Replace an nftables table of a namespace in one step."""
    run_in(namespace, "nft", "-f", "-", stdin=rules(table, chains))


def rules(table: str, chains: str) -> str:
    """Return the text that makes nft replace a table in one step."""
    return f"table {table}\ndelete table {table}\ntable {table} {{\n{chains}\n}}\n"


def namespace_file(namespace: str) -> Path:
    """The file that stands for a network namespace."""
    return _NAMESPACES / namespace


def _stands(namespace: str) -> bool:
    return os.path.ismount(namespace_file(namespace))


def _create_namespace(namespace: str) -> None:
    if _stands(namespace):
        return
    namespace_file(namespace).unlink(missing_ok=True)  # A reboot leaves this file where /run is not cleared.
    from pyroute2 import netns

    netns.create(namespace)
    run_in(namespace, "sysctl", "--quiet", "net.ipv4.ip_forward=1")
    with _routes(namespace) as inside:
        _up(inside, "lo")


def _delete_namespace(namespace: str) -> None:
    if _stands(namespace):
        from pyroute2 import netns

        netns.remove(namespace)
    namespace_file(namespace).unlink(missing_ok=True)


def _delete_namespace_directory() -> None:
    """Remove the directory of all network namespaces after the last one. The first namespace had mounted it."""
    if _NAMESPACES.is_dir() and not any(_NAMESPACES.iterdir()):
        subprocess.run(["umount", str(_NAMESPACES)], capture_output=True, check=False)
        with contextlib.suppress(OSError):
            _NAMESPACES.rmdir()


def _routes(namespace: str | None = None) -> "IPRoute":
    """Open the client for a namespace's interfaces, routes and addresses; for the host's if none is given.

    pyroute2 is imported here, since that takes a fifth of a second of processor time.
    """
    from pyroute2 import IPRoute

    return IPRoute(netns=namespace)


def _create_link(near: "IPRoute", name: str, far: "IPRoute", far_namespace: str, far_name: str) -> None:
    """Join two namespaces by a pair of interfaces, unless they are joined already."""
    if not near.link_lookup(ifname=name) or not far.link_lookup(ifname=far_name):
        _delete_link(near, name)
        near.link("add", ifname=name, kind="veth", peer={"ifname": far_name, "net_ns_fd": far_namespace})
    _up(near, name)
    _up(far, far_name)


def _delete_link(inside: "IPRoute", name: str) -> None:
    for index in inside.link_lookup(ifname=name):
        inside.link("del", index=index)


def _up(inside: "IPRoute", name: str) -> None:
    inside.link("set", index=inside.link_lookup(ifname=name)[0], state="up")


def _address(inside: "IPRoute", name: str, address: str, prefix: int) -> None:
    inside.addr("replace", index=inside.link_lookup(ifname=name)[0], address=address, prefixlen=prefix)
