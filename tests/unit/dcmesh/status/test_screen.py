"""The status on one screen, without colour."""

import io
import re

import pytest
from rich.console import Console

from dcmesh.screen import ENDLESS
from dcmesh.status import screen
from dcmesh.status.hosts import Answer
from dcmesh.status.sites import SiteStatus, Status
from tests.unit.statuses import DB0, certificate, gateway, host, primary, replica


def shown(status: Status, width: int = 100) -> list[str]:
    out = io.StringIO()
    screen.show(status, Console(file=out, width=width, highlight=False))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def pair(*changes: SiteStatus) -> Status:
    dc1 = SiteStatus(name="dc1", facts=(gateway(), certificate(), primary()))
    dc2 = SiteStatus(name="dc2", facts=(certificate(site="dc2", kind="pod", subject="wookie-dr/db"), host(), replica()))
    return Status(sites=(dc1, dc2, *changes))


def row(lines: list[str], *parts: str) -> str:
    (found,) = (line for line in lines if all(part in line.split() for part in parts))
    return found


def test_the_verdict_comes_first() -> None:
    lines = shown(pair())
    assert lines[:3] == ["OK: all is well", "", "Gateways"]


def test_all_that_was_found_is_there_in_words() -> None:
    lines = shown(pair())
    assert row(lines, "2/2").split() == ["ok", "dc1", "2/2", "192.0.2.1", "192.0.2.1:15443"]
    assert "Link dc1 to dc2 by 192.0.2.1:15443" in lines
    assert row(lines, "greeting").split() == ["ok", DB0, "3306", "wookie-dr/db", "greeting", "wookie/db"]
    assert row(lines, "primary").split() == ["ok", "dc1", "wookie/db-0", "primary", "yes", "0-1968131073-3"]
    what = ["ok", "dc2", "wookie-dr/db-0", DB0, "0", "s", "no", "0-1968131073-3"]
    assert row(lines, "wookie-dr/db-0").split() == what
    assert row(lines, "intermediate").endswith("2028-10-23 09:00  700 days")


def test_problems_are_a_line_each_however_long() -> None:
    broken = replica(running=False, last_error="Lost connection " * 20)
    status = Status(sites=(SiteStatus(name="dc1", facts=(gateway(ready=0), broken, host(unknown="no pod"))),))
    lines = shown(status)
    assert lines[0] == "CRITICAL: dc1 gateway: no pod is ready, 2 wanted (and 2 more)"
    assert lines[1].startswith("  CRITICAL: dc2 database wookie-dr/db-0: does not replicate")
    assert lines[1].endswith("Lost connection")
    assert lines[2].startswith("  UNKNOWN: dc2 wookie-dr/db to hosts of dc1")
    assert lines[3] == ""


@pytest.mark.parametrize("width", [100, 120])
def test_names_of_hosts_are_whole(width: int) -> None:
    answer = Answer(ok=False, text="closed without answer")
    status = Status(sites=(SiteStatus(name="dc2", facts=(host(answer=answer), replica(position="0-1-2," * 40))),))
    lines = shown(status, width)
    assert max(len(line) for line in lines[1:]) <= width
    assert len([line for line in lines if DB0 in line]) == 3  # the problem, the host, the replica


LONG = "cluster1-pxc-0.cluster1-pxc-unready.production-databases.svc.cluster.local"
SOURCE_ID = "8e1a2b3c-1111-2222-3333-444455556666:1-12345678"


def long_names() -> Status:
    """Return a status with the long names that an operator gives, and with many problems."""
    identity = "spiffe://cluster.local/ns/production-databases/sa/cluster1-pxc"
    answer = Answer(ok=False, text="closed without answer")
    facts = (
        gateway(addresses=("lb.a-region.example.com", "192.0.2.1"), told_addresses=("lb.a-region.example.com",) * 3),
        host(host=LONG, consumer="production-dr/cluster1-pxc", identity=identity, answer=answer),
        replica(source=LONG, namespace="production-dr", pod="cluster1-pxc-0", position=f"{SOURCE_ID},{SOURCE_ID}"),
        certificate(site="frankfurt-am-main", subject="Intermediate CA frankfurt-am-main"),
    )
    return Status(sites=(SiteStatus(name="frankfurt-am-main", facts=facts),))


def cells(lines: list[str], title: str) -> list[str]:
    """Return the cells below each header of a table, with folded parts joined. The header row is below the title."""
    begin = next(number for number, line in enumerate(lines) if line.startswith(title))
    end = next((number for number in range(begin, len(lines)) if not lines[number]), len(lines))
    header, *rows = lines[begin + 1 : end]
    starts = [0, *(match.start() for match in re.finditer(r"(?<=  )\S", header))]
    bounds = list(zip(starts, [*starts[1:], None], strict=True))
    return ["".join(row[left:right].strip() for row in rows) for left, right in bounds]


@pytest.mark.parametrize("width", [80, 100, 120, ENDLESS])
def test_nothing_is_cut_off_on_a_narrow_screen(width: int) -> None:
    lines = shown(long_names(), width)
    assert "…" not in "".join(lines)
    tables = lines[lines.index("") :]
    assert max(map(len, tables)) <= width
    _, found, port, consumer, answer, identity = cells(lines, "Link")
    assert (found, port, consumer) == (LONG, "3306", "production-dr/cluster1-pxc")
    assert (answer.replace(" ", ""), identity) == ("closedwithoutanswer", "production-databases/cluster1-pxc")
    assert cells(lines, "Databases")[6] == f"{SOURCE_ID},{SOURCE_ID}"


def test_a_row_is_a_line_where_there_is_no_screen() -> None:
    lines = screen.text(long_names()).splitlines()
    assert len([line for line in lines if LONG in line and "3306 " in line]) == 1
    assert any(f"{SOURCE_ID},{SOURCE_ID}" in line for line in lines)


def test_what_is_not_known_is_a_question_mark() -> None:
    facts = (
        gateway(unknown="403"),
        certificate(unknown="403", expires=None, days_left=None),
        host(unknown="403", answer=None),
        replica(unknown="403", source=""),
    )
    lines = shown(Status(sites=(SiteStatus(name="dc1", facts=facts),)))
    assert len([line for line in lines if line.startswith("unknown") and "?" in line.split()]) == len(facts)


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (replica(running=False, seconds_behind=None), f"{DB0} stopped"),
        (replica(source="", running=False, seconds_behind=None), "nobody"),
        (replica(down="does not run", source="", position=""), "? ?"),
    ],
)
def test_replicas_that_do_not_replicate(server: object, words: str) -> None:
    status = Status(sites=(SiteStatus(name="dc2", facts=(server,)),))  # type: ignore[arg-type]
    assert words in " ".join(row(shown(status), "critical").split())


@pytest.mark.parametrize(
    ("days", "text"),
    [(2.0, "2 days"), (1.99, "47 hours"), (0.02, "0 hours"), (0, "expired"), (-1e308, "expired"), (None, "?")],
)
def test_durations(days: float | None, text: str) -> None:
    assert certificate(days_left=days).left == text


def test_a_stack_that_cannot_be_read_is_one_line() -> None:
    assert shown(Status(unreadable="no stack selected")) == ["UNKNOWN: no stack selected"]


def test_each_link_has_a_table() -> None:
    back = host(site="dc1", source="dc2", gateways=("192.0.2.2:443", "lb.example.com:443"))
    lines = shown(pair(SiteStatus(name="x", facts=(back,))))
    assert [line for line in lines if line.startswith("Link")] == [
        "Link dc1 to dc2 by 192.0.2.1:15443",
        "Link dc2 to dc1 by 192.0.2.2:443 lb.example.com:443",
    ]
