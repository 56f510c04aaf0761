"""The lab's address plan, and the record that gives each lab and site its place in it."""

import ipaddress
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import network, paths, record, site
from lab.errors import LabError
from lab.network import LabAddresses
from lab.paths import LabPaths, SitePaths, check_lab, check_site
from lab.record import LabRecord, SiteRecord, Wan


def test_first_lab_and_site_have_the_addresses_of_the_readme() -> None:
    lab = LabAddresses(0)
    assert (lab.host, lab.wan, lab.host_interface) == ("172.31.0.1", "172.31.0.2", "dcmesh0")
    assert (lab.site(1).wan, lab.site(1).node) == ("172.31.1.1", "172.31.1.2")
    assert lab.site(1).load_balancer == tuple(f"172.31.1.{n}" for n in range(100, 110))
    assert LabAddresses(1).site(2).node == "172.31.18.2"


def test_no_two_labs_or_sites_share_an_address() -> None:
    labs = [LabAddresses(index) for index in range(16)]
    assert not any(a.network.overlaps(b.network) for a, b in combinations(labs, 2))
    sites = [labs[15].site(subnet) for subnet in range(1, 16)]
    assert not any(a.network.overlaps(b.network) for a, b in combinations(sites, 2))
    between_host_and_wan = ipaddress.IPv4Network(f"{labs[15].host}/24", strict=False)
    assert all(s.network.subnet_of(labs[15].network) and not s.network.overlaps(between_host_and_wan) for s in sites)


def test_sites_overlap_in_pods_and_services_but_those_do_not_overlap_each_other() -> None:
    pods, services, labs = map(ipaddress.IPv4Network, (network.PODS, network.SERVICES, "172.31.0.0/16"))
    assert not any(a.overlaps(b) for a, b in combinations((pods, services, labs), 2))


def test_a_site_gets_the_subnet_of_the_number_in_its_name() -> None:
    lab = LabRecord(0).with_site("dc2", ()).with_site("dc1", ())
    assert {name: s.subnet for name, s in lab.sites.items()} == {"dc1": 1, "dc2": 2}


@pytest.mark.parametrize("name", ["west", "dc1", "dc0", "dc99"])
def test_a_site_whose_number_is_taken_or_none_gets_the_first_free_subnet(name: str) -> None:
    lab = LabRecord(0, {"a1": SiteRecord(1), "a3": SiteRecord(3)})
    assert lab.with_site(name, ()).sites[name].subnet == 2


def test_a_site_keeps_its_subnet_and_gets_new_consumers() -> None:
    lab = LabRecord(0, {"dc1": SiteRecord(7, ("dc2",))})
    assert lab.with_site("dc1", ("dc3",)).sites["dc1"] == SiteRecord(7, ("dc3",))


@given(st.lists(st.from_regex(r"[a-c][0-9]{0,2}", fullmatch=True), max_size=15, unique=True))
def test_no_two_sites_share_a_subnet(names: list[str]) -> None:
    lab = LabRecord(0)
    for name in names:
        lab = lab.with_site(name, ())
    subnets = [s.subnet for s in lab.sites.values()]
    assert len(set(subnets)) == len(names)
    assert all(1 <= subnet <= 15 for subnet in subnets)


def test_the_sixteenth_site_is_refused() -> None:
    lab = LabRecord(0, {f"s{n}": SiteRecord(n) for n in range(1, 16)})
    with pytest.raises(LabError, match="15 sites"):
        lab.with_site("one-more", ())


def test_a_record_is_read_as_it_was_written(tmp_path: paths.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "STATE", tmp_path)
    assert record.load("dev") is None
    lab = LabRecord(3, {"dc1": SiteRecord(1, ("dc2",)), "dc2": SiteRecord(2)}, Wan.RESET)
    record.save("dev", lab)
    record.save("other", LabRecord(0))
    assert record.load("dev") == lab
    assert record.labs() == {"dev": lab, "other": LabRecord(0)}
    record.remove("dev")
    assert set(record.labs()) == {"other"}


@pytest.mark.parametrize("name", ["dc1", "eu-west-1", "a", "abcdefghijklmno"])
def test_good_names(name: str) -> None:
    assert check_site(name) == check_lab(name) == name


@pytest.mark.parametrize(
    "name", ["", "1dc", "Dc1", "dc_1", "dc1-", "a/b", "..", "wan", "host", "lo", "abcdefghijklmnop"]
)
def test_names_that_no_site_can_have(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a site"):
        check_site(name)


@pytest.mark.parametrize("name", ["", "../dev", "Dev", "my_stack", "a" * 41])
def test_names_that_no_lab_can_have(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a lab"):
        check_lab(name)


@pytest.mark.parametrize(
    ("lab", "name"),
    [("a", "b-c"), ("a", "b-wan"), ("a-b-wan", "x")],
)
def test_a_site_that_would_share_a_namespace_is_refused(lab: str, name: str) -> None:
    known = {"a-b": LabRecord(0, {"c": SiteRecord(1), "wan-x": SiteRecord(2)})}
    with pytest.raises(LabError, match="namespace"):
        site._check_namespace(SitePaths(lab, name), known)


def test_a_site_of_the_same_lab_or_of_another_name_is_not_refused() -> None:
    known = {"a-b": LabRecord(0, {"c": SiteRecord(1)})}
    site._check_namespace(SitePaths("a-b", "c"), known)
    site._check_namespace(SitePaths("a", "c"), known)
    site._check_namespace(SitePaths("b", "c"), known)


def test_a_lab_of_the_name_of_another_ones_site_is_refused_for_its_wan() -> None:
    known = {"a": LabRecord(0, {"b-wan": SiteRecord(1)})}
    with pytest.raises(LabError, match="namespace"):
        site._check_namespace(SitePaths("a-b", "c"), known)
    assert LabPaths("a-b").wan_namespace == SitePaths("a", "b-wan").namespace
