"""The WAN's rules: one port from the named consumers to the gateway's addresses, and nothing during a cut.

For an impaired WAN, its line: what goes through it, how long that takes, and what is lost.
"""

import dataclasses
import json
import multiprocessing
import random
import socket
import time
from pathlib import Path

import pytest

from lab import line, record, wan
from lab.errors import LabError
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


IMPAIRED = LabRecord(0, PAIR, delay=10)


def test_an_impaired_wan_judges_a_packet_when_it_goes_into_the_line_and_lets_out_what_comes() -> None:
    assert forward_chain(IMPAIRED) == [
        'iifname "line" accept',
        "ct state established,related accept",
        'iifname "host" accept',
        'iifname "dc2" oifname "line" ip daddr 172.31.1.100-172.31.1.109 tcp dport 15443 accept',
    ]


def test_a_cut_comes_before_what_the_line_lets_out() -> None:
    cut = forward_chain(dataclasses.replace(IMPAIRED, wan=Wan.DROP))
    assert cut == ['iifname != "host" oifname != "host" drop', *forward_chain(IMPAIRED)]


def test_only_what_goes_from_site_to_site_goes_by_the_line() -> None:
    detour = 'iifname != { "host", "line" } ip daddr { 172.31.1.0/24, 172.31.2.0/24 } meta mark set 1'
    assert detour in wan.rules(IMPAIRED)
    assert detour in wan.rules(LabRecord(0, PAIR, loss=0.1))
    assert "mark" not in wan.rules(LabRecord(0, PAIR))


@pytest.mark.parametrize(("delay", "loss"), [(-1, 0), (float("nan"), 0), (0, -0.1), (0, 1.1)])
def test_what_no_wan_can_be_is_refused(delay: float, loss: float) -> None:
    with pytest.raises(LabError, match=f"a delay of {delay} ms and a loss of {loss}"):
        wan.impair("dev", delay=delay, loss=loss)


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (LabRecord(0), "WAN up"),
        (LabRecord(0, wan=Wan.DROP, delay=12.5), "WAN drop, 12.5 ms longer"),
        (LabRecord(0, delay=10, loss=0.001), "WAN up, 10 ms longer, loses 0.1% each way"),
        (LabRecord(0, loss=1), "WAN up, loses 100% each way"),
    ],
)
def test_the_wan_is_told_in_some_words(state: LabRecord, text: str) -> None:
    assert wan.summary(state) == text


def test_a_lab_remembers_how_its_wan_is_and_older_records_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.paths.STATE", tmp_path)
    state = LabRecord(3, PAIR, Wan.RESET, 10, 0.001)
    record.save("dev", state)
    assert record.load("dev") == state
    (tmp_path / "dev" / "lab.json").write_text(json.dumps({"index": 3, "sites": {}, "wan": "up"}))
    assert record.load("dev") == LabRecord(3)


def test_the_line_holds_packets_keeps_their_order_and_loses_those_that_chance_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chances = iter([0.5, 0.0, 0.9, 0.49, 0.5])
    monkeypatch.setattr(random, "random", lambda: next(chances))
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    near.setblocking(False)
    far.settimeout(10)
    carrier = multiprocessing.get_context("fork").Process(target=line.carry, args=(near.fileno(), 0.05, 0.5))
    carrier.start()
    try:
        begun = time.monotonic()
        for packet in (b"1", b"2", b"3", b"4", b"5"):
            far.send(packet)
        assert [far.recv(10) for _ in range(3)] == [b"1", b"3", b"5"]
        assert time.monotonic() - begun >= 0.05
    finally:
        carrier.kill()
        carrier.join()
        near.close()
        far.close()
