"""The page has everything that was found, and others' texts only as text. tests/e2e/test_topology.py uses a browser."""

import re
from html.parser import HTMLParser

import pytest

from dcmesh.status.exports import Consumer
from dcmesh.status.sites import SiteStatus, Status
from dcmesh.topology.page import STYLE, page
from tests.unit.dcmesh.model.test_printable import ATTACKS, statuses
from tests.unit.statuses import DB0, LONG_HOST, gateway, host, offer, two_sites

INJECTIONS = [
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "&lt;script&gt;",
    "<!--",
    "]]>",
]


BLOCKS = {"div", "h1", "h2", "h3", "h4", "li", "p", "span", "td", "th"}


class Read(HTMLParser):
    """A page as a browser reads it: its tags, their attributes, its text, and apart from that the style's text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.text, self.within = set[str](), dict[str, set[str]](), "", list[str]()
        self.codes = list[str]()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value or "")
        if tag not in ("meta", "wbr"):
            self.within.append(tag)
        if tag == "code":
            self.codes.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.within.pop() == tag
        if tag in BLOCKS:
            self.text += " "

    def handle_data(self, data: str) -> None:
        if self.within[-1:] == ["code"]:
            self.codes[-1] += data
        if self.within[-1:] != ["style"]:
            self.text += data


def text_of(status: Status) -> str:
    return " ".join(Read(page(status)).text.split())


def test_all_that_was_found_is_there() -> None:
    read = Read(page(two_sites()))
    for found in (
        DB0,
        LONG_HOST,
        f"{DB0}:3306",
        "wookie/db-0",
        "192.0.2.1:15443",
        "wookie-dr/dcmesh-egress",
        "Root CA",
    ):
        assert found in read.codes
    text = " ".join(read.text.split())
    for words in (
        "dc1 and dc2",
        "Asked 2026-11-23 09:00:00 UTC",
        "OK all is well",
        "port 3306; TLS ends at the gateway",
        "ports 3306, 33062; TLS ends at the pods",
        "for dc2 orders/importer",
        "3 of 3 hosts answer",
        f"follows {DB0}, 0 s behind",
        "intermediate: 700 days left",
        "2028-10-23 09:00",
    ):
        assert words in text
    assert read.within == []


def test_what_is_wrong_comes_first_each_with_its_state() -> None:
    text = text_of(two_sites(broken=True))
    first = f"CRITICAL dc2 wookie-dr/dcmesh-egress to db-1.{DB0.partition('.')[2]}:3306: closed without answer"
    assert (
        0 < text.index(first) < text.index("WARNING dc1 gateway: 1 of 2 pods are ready") < text.index("Sites and links")
    )
    assert "CRITICAL 2 of 3 hosts answer" in text
    assert "wookie-dr/db-0 4210 s behind" in text
    assert "orders/cluster1-pxc-0 stopped" in text


def test_what_was_not_asked_says_so() -> None:
    dc1, dc2 = two_sites().sites
    assert "Another stack has this site: it was not asked." in text_of(Status(sites=(dc1,)))
    assert "Its cluster did not answer." in text_of(Status(sites=(dc1, SiteStatus(name="dc2", unreachable="refused"))))
    assert "It is gone, by the configuration." in text_of(Status(sites=(dc1, SiteStatus(name="dc2", lost=True))))
    unknown = SiteStatus(name="dc1", facts=(gateway(unknown="403"), host(unknown="no pod", answer=None)))
    assert "UNKNOWN not asked" in text_of(Status(sites=(unknown, dc2)))


def test_many_hosts_are_folded_and_none_is_left_out() -> None:
    hosts = tuple(f"db-{number}.db.wookie.svc.cluster.local" for number in range(30))
    read = Read(page(Status(sites=(SiteStatus(name="dc1", facts=(offer(hosts=hosts),)),))))
    assert {"details", "summary"} <= read.tags
    assert set(hosts) <= set(read.codes)
    assert "details" not in Read(page(two_sites())).tags


def test_an_export_has_the_worst_state_of_its_ports() -> None:
    facts = (offer(port=1), offer(port=2, wrong=("is led elsewhere",)))
    assert "CRITICAL wookie/db ports 1, 2; TLS ends" in text_of(Status(sites=(SiteStatus(name="dc1", facts=facts),)))


@pytest.mark.parametrize("text", [*ATTACKS, *INJECTIONS])
def test_what_others_say_is_text(text: str) -> None:
    consumers = (Consumer(site=text, account=text),)
    export = offer(name=text, namespace=text, hosts=(text,), consumers=consumers, wrong=(text,))
    facts = (*statuses(text).facts, export)
    hostile = SiteStatus(name=text, facts=facts, unreachable=text, pending=(text,))
    written = page(Status(sites=(hostile, *two_sites().sites)))
    read, sane = Read(written), Read(page(Status(sites=(*statuses("x").sites, *two_sites(broken=True).sites))))
    assert written.isascii()
    assert read.tags <= {*sane.tags, "details", "summary"}
    assert set(read.attributes) == set(sane.attributes)
    assert set(re.findall(r"[^\x20-\x7e\n]", read.text)) <= {"…"}
    if text in INJECTIONS:
        assert text in read.text
        assert text in read.codes


def test_a_page_needs_nothing_else() -> None:
    read = Read(page(two_sites(broken=True)))
    allowed = {"class", "style", "lang", "charset", "name", "content", "http-equiv", "scope", "data-column"}
    assert set(read.attributes) == allowed
    assert "default-src 'none'; style-src 'unsafe-inline'" in read.attributes["content"]
    assert not re.search(r"url\(|@import|@font-face|://", STYLE)
    assert STYLE.isascii()
    assert all(re.fullmatch(r"--(lines|rows): \d+|width: \d+%", value) for value in read.attributes["style"])


def test_every_class_has_a_style() -> None:
    used = {word for value in Read(page(two_sites(broken=True))).attributes["class"] for word in value.split()}
    assert [word for word in used if f".{word}" not in STYLE] == []
