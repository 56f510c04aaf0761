"""Addresses: the virtual ones of imported hosts, and which texts are addresses."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcmesh.model.addresses import VIP_NETWORK, allot_vips, is_ip

# In the small network, with 10 hosts on 14 addresses, names often hash to the same address.
NETWORKS = {"real": VIP_NETWORK, "small": ipaddress.IPv4Network("198.51.100.16/28")}
MANY = 10

hosts = st.integers(0, 10**6).map("db-{}.db.shop.svc.cluster.local".format)
lists_of_hosts = st.lists(hosts, unique=True, max_size=MANY)


def displaced(vips: dict[str, str], network: ipaddress.IPv4Network) -> set[str]:
    """Return the hosts that do not have the address that they would have alone."""
    return {host for host, vip in vips.items() if vip != allot_vips([host], network)[host]}


def test_known_address() -> None:
    """A change here would move the addresses of existing links."""
    assert allot_vips(["hello-0.hello.demo.svc.cluster.local"]) == {
        "hello-0.hello.demo.svc.cluster.local": "241.145.125.33"
    }


def test_small_network_makes_names_meet() -> None:
    """Otherwise the properties below would not cover collisions."""
    small = NETWORKS["small"]
    assert displaced(allot_vips((f"db-{n}" for n in range(MANY)), small), small)


@pytest.mark.parametrize("network", NETWORKS)
@given(names=lists_of_hosts)
def test_each_host_has_an_address_of_its_own_in_range(network: str, names: list[str]) -> None:
    range_ = NETWORKS[network]
    vips = allot_vips(names, range_)
    assert list(vips) == names
    assert len(set(vips.values())) == len(names)
    for vip in map(ipaddress.ip_address, vips.values()):
        assert vip in range_
        assert vip not in (range_.network_address, range_.broadcast_address)


@pytest.mark.parametrize("network", NETWORKS)
@given(names=lists_of_hosts)
def test_a_host_named_twice_counts_once(network: str, names: list[str]) -> None:
    assert allot_vips(names + names, NETWORKS[network]) == allot_vips(names, NETWORKS[network])


@pytest.mark.parametrize("network", NETWORKS)
@given(names=lists_of_hosts, at=st.integers(0, MANY))
def test_an_appended_host_moves_no_other(network: str, names: list[str], at: int) -> None:
    fewer, all_ = (allot_vips(some, NETWORKS[network]) for some in (names[:at], names))
    assert fewer.items() <= all_.items()


@pytest.mark.parametrize("network", NETWORKS)
@given(names=lists_of_hosts.filter(bool), data=st.data())
def test_a_removed_host_moves_only_hosts_that_had_given_way(
    network: str, names: list[str], data: st.DataObject
) -> None:
    removed = data.draw(st.sampled_from(names))
    range_ = NETWORKS[network]
    before, after = allot_vips(names, range_), allot_vips((name for name in names if name != removed), range_)
    moved = {host for host in after if after[host] != before[host]}
    assert moved <= displaced(before, range_)
    # Each of them had skipped an address that is free now: the removed host's, or that of another host that moved.
    for host in moved:
        assert after[host] in {before[other] for other in {removed} | moved - {host}}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", True),
        ("2001:db8::1", True),
        ("gateway.example.com", False),
        ("host.k3d.internal", False),
        ("192.0.2", False),
        ("192.0.2.1.example.com", False),
    ],
)
def test_is_ip(address: str, expected: bool) -> None:
    assert is_ip(address) is expected
