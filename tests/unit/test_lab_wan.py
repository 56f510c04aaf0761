"""The WAN's rules: one port, from the named consumers to the gateway's addresses, and nothing past a cut."""

import pytest

from lab import wan
from lab.record import LabRecord, SiteRecord, Wan


def forward_chain(lab: LabRecord) -> list[str]:
    """The rules of the forward chain in order, without its header."""
    text = wan.rules(lab)
    chain = text[text.index("chain forward {") :]
    lines = [line.strip() for line in chain.splitlines()]
    assert lines[1] == "type filter hook forward priority filter; policy drop"
    return lines[2 : lines.index("}")]


PAIR = {"dc1": SiteRecord(1, ("dc2",)), "dc2": SiteRecord(2)}


def test_only_the_consumer_reaches_only_the_gateway_port() -> None:
    assert forward_chain(LabRecord(0, PAIR)) == [
        "ct state established,related accept",
        'iifname "host" accept',
        'iifname "dc2" oifname "dc1" ip daddr 172.31.1.100-172.31.1.109 tcp dport 15443 accept',
    ]


def test_without_consumers_no_site_reaches_another() -> None:
    alone = LabRecord(0, {"dc1": SiteRecord(1), "dc2": SiteRecord(2)})
    assert forward_chain(alone) == ["ct state established,related accept", 'iifname "host" accept']


def test_nothing_reaches_the_wan_itself_but_from_the_host() -> None:
    text = wan.rules(LabRecord(0, PAIR))
    chain = text[text.index("chain input {") : text.index("chain forward {")]
    assert "policy drop" in chain
    assert [line.strip() for line in chain.splitlines() if "accept" in line] == ['iifname "host" accept']


def test_a_consumer_that_does_not_exist_yet_is_let_in_once_it_does() -> None:
    before = LabRecord(0, {"dc1": SiteRecord(1, ("dc2", "dc3"))})
    assert wan.pairs(before) == []
    assert wan.pairs(before.with_site("dc3", ())) == [("dc3", "dc1")]


def test_sites_can_serve_each_other_but_no_site_itself() -> None:
    ring = LabRecord(0, {"a": SiteRecord(1, ("b", "a")), "b": SiteRecord(2, ("a",))})
    assert wan.pairs(ring) == [("a", "b"), ("b", "a")]


@pytest.mark.parametrize("mode", [Wan.DROP, Wan.RESET])
def test_a_cut_comes_before_what_is_established_and_spares_the_host(mode: Wan) -> None:
    whole, cut = forward_chain(LabRecord(0, PAIR)), forward_chain(LabRecord(0, PAIR, mode))
    added = cut[: -len(whole)]
    assert cut[-len(whole) :] == whole
    assert added[-1] == 'iifname != "host" oifname != "host" drop'
    assert all(rule.startswith('iifname != "host" oifname != "host" ') for rule in added)
    assert any("reject with tcp reset" in rule for rule in added) == (mode is Wan.RESET)


def test_the_lab_s_index_moves_the_addresses() -> None:
    assert "172.31.33.100-172.31.33.109" in forward_chain(LabRecord(2, PAIR))[-1]
