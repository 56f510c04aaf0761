"""Figures of faults: how they are computed from a series, and the page that is made from them."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.faults import FAULTS, Bounds, Fault, beyond
from tests.faults.figures import Commit, Figures, Point, Sample, Window, figures, flaws, taken_back, thinned
from tests.faults.mysql_faults import MYSQL_FAULTS
from tests.faults.report import MARIADB, MYSQL, NONE, Outcome, Table, figures_csv, page, read_figures, recorded, write

DOCUMENT = Path(__file__).parents[3] / "docs/resilience.md"


def writing(begin: float, end: float, *, first: int = 1) -> list[Commit]:
    """Return commits: a row every tenth of a second."""
    return [Commit(begin + i / 10, first + i) for i in range(round((end - begin) * 10))]


def replica(begin: float, end: float, *, first: int | None = None, highest: int | None = 0) -> list[Sample]:
    """Return samples: a look every tenth of a second.

    With `first` each has a new row, otherwise always the same highest one.
    """
    return [
        Sample(begin + i / 10, first + i if first is not None else highest, connected=True)
        for i in range(round((end - begin) * 10))
    ]


def lost(samples: list[Sample]) -> list[Sample]:
    return [Sample(sample.at, sample.highest, connected=False) for sample in samples]


def test_nothing_broke() -> None:
    found = figures(writing(0, 20), replica(0, 20, first=0), Window(begin=5, end=10, until=15))
    assert found.noticed is None
    assert found.resumed is None
    assert found.stall == pytest.approx(0.1)
    assert found.writer_break == pytest.approx(0.1)
    assert found.behind == 1


def test_a_line_that_was_cut_for_a_while() -> None:
    """The line is cut from 5 to 10. The replica notices at 8, is back at 12, and catches up at once."""
    samples = [*replica(0, 5, first=0), *replica(5, 8, highest=49), *lost(replica(8, 12, highest=49))]
    samples += replica(12, 20, first=119)
    found = figures(writing(0, 20), samples, Window(begin=5, end=10, until=13))
    assert found.noticed == pytest.approx(3)
    assert found.stall == pytest.approx(12 - 4.9)
    assert found.resumed == pytest.approx(2)
    assert found.behind == 119 + 1 - 49
    assert found.writer_break == pytest.approx(0.1)


def test_rows_that_were_under_way_do_not_count_as_resumed() -> None:
    """The connection is lost at 5.1.

    Received rows are applied until 5.3. At 8 it is back, at 9 comes the first new row.
    """
    samples = [*replica(0, 5.1, first=0), *lost(replica(5.1, 5.3, first=51)), *lost(replica(5.3, 8, highest=52))]
    samples += [*replica(8, 9, highest=52), *replica(9, 12, first=90)]
    found = figures(writing(0, 12), samples, Window(begin=5, end=5, until=10))
    assert found.noticed == pytest.approx(0.1)
    assert found.resumed == pytest.approx(4)


def test_a_busy_machines_pause_is_a_stall_and_no_resumption() -> None:
    samples = [*replica(0, 8, first=0), *replica(8, 10, highest=79), *replica(10, 20, first=100)]
    found = figures(writing(0, 20), samples, Window(begin=5, end=5, until=12))
    assert found.noticed is None
    assert found.resumed is None
    assert found.stall == pytest.approx(2.1)


def test_a_connection_that_was_replaced_between_two_looks() -> None:
    found = figures(writing(0, 20), replica(0, 20, first=0), Window(begin=5, end=5, until=10), reconnected=True)
    assert found.unseen
    assert found.noticed is None
    assert beyond(found, BOUNDS) == []
    assert beyond(found, replace(BOUNDS, noticed=None)) == ["the replica lost its connection"]
    assert "unseen" in figures_csv([Outcome("fault", found, 0)])
    assert read_figures(figures_csv([Outcome("fault", found, 0)]))[0].figures.unseen


def test_a_replica_that_is_away_has_noticed_and_keeps_what_it_had() -> None:
    away = [Sample(5 + i / 10, None, connected=False) for i in range(30)]
    found = figures(
        writing(0, 12), [*replica(0, 5, first=0), *away, *replica(8, 12, first=80)], Window(begin=5, end=5, until=9)
    )
    assert found.noticed == pytest.approx(0)
    assert found.behind == 79 + 1 - 49


def test_the_writers_own_break() -> None:
    commits = [*writing(0, 5), *writing(9, 12, first=51)]
    samples = [*replica(0, 5, first=0), *replica(5, 9, highest=49), *replica(9, 12, first=50)]
    found = figures(commits, samples, Window(begin=5, end=5, until=11))
    assert found.writer_break == pytest.approx(9 - 4.9)
    assert found.behind <= 1


def test_a_pause_of_the_writer_is_no_stall() -> None:
    commits = [*writing(0, 5), *writing(20.2, 25, first=51)]
    samples = [*replica(0, 5, first=0), *replica(5, 20.3, highest=49), *replica(20.3, 25, first=50)]
    found = figures(commits, samples, Window(begin=5, end=20, until=24, paused=True))
    assert found.noticed is None
    assert found.stall == pytest.approx(0.3)
    assert found.resumed == pytest.approx(0.3)
    assert found.writer_break == pytest.approx(0.2)


def test_a_series_without_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="no row"):
        figures(writing(0, 20), replica(0, 20), Window(begin=5, end=5, until=10))


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        ([], ""),
        ([1, 2, 3], ""),
        ([1, 3, 4], "1 missing: [2]"),
        ([2, 3], "1 missing: [1]"),
        ([1, 2, 2, 3], "1 more than once: [2]"),
        ([1, 3, 2], "1 out of order: [(3, 2)]"),
        ([1, 2, 1, 2], "2 more than once: [1, 2]; 1 out of order: [(2, 1)]"),
    ],
)
def test_flaws(rows: list[int], wrong: str) -> None:
    assert flaws(rows) == wrong


def test_a_commit_that_was_taken_back() -> None:
    assert taken_back([Commit(0, 1), Commit(1, 2), Commit(2, 2), Commit(3, 3)]) == []
    assert taken_back([Commit(0, 1), Commit(1, 5), Commit(2, 4)]) == [(5, 4)]


def test_a_course_has_a_line_a_second_and_each_change_of_the_connection() -> None:
    samples = [*replica(0, 3, first=0), *lost(replica(3, 3.5, highest=29)), *replica(3.5, 6, first=30)]
    course = thinned(writing(0, 6), samples, Window(begin=2, end=2, until=5))
    assert [(round(point.at, 1), point.connected) for point in course] == [
        (-1.0, True),
        (0.0, True),
        (1.0, False),
        (1.5, True),
        (2.5, True),
    ]


BOUNDS = Bounds(noticed=3, stall=10, resumed=5, why="")


@pytest.mark.parametrize(
    ("cost", "exceeded"),
    [
        ({}, []),
        ({"noticed": 3.2}, ["noticed after 3.2 s, at most 3 s"]),
        ({"noticed": None}, ["the replica noticed nothing"]),
        ({"stall": 12.0, "resumed": 6.0}, ["stall 12.0 s, at most 10 s", "resumed after 6.0 s, at most 5 s"]),
        ({"writer_break": 11.0}, ["writer's break 11.0 s, at most 10 s"]),
    ],
)
def test_what_costs_too_much_is_named(cost: dict[str, float | None], exceeded: list[str]) -> None:
    figures: dict[str, float | None] = {"noticed": 1, "writer_break": 0, "stall": 4, "resumed": None, **cost}
    assert beyond(Figures(**figures, behind=0), BOUNDS) == exceeded  # type: ignore[arg-type]


def test_what_must_stay_connected_may_not_lose_its_connection() -> None:
    cost = Figures(noticed=1, writer_break=0, stall=1, resumed=None, behind=0)
    assert beyond(cost, Bounds(noticed=None, stall=10, resumed=5, why="")) == ["the replica lost its connection"]


def outcomes(faults: tuple[Fault, ...] = FAULTS) -> list[Outcome]:
    cost = Figures(noticed=10.0, writer_break=0.2, stall=64.13, resumed=0.64, behind=14627)
    calm = Figures(noticed=None, writer_break=7.0, stall=0.46, resumed=None, behind=0)
    course = [Point(-0.5, 10, 9, connected=True), Point(0.5, 12, None, connected=False)]
    return [Outcome(fault.name, calm if i % 2 else cost, 100 * i, course) for i, fault in enumerate(faults)]


@pytest.mark.parametrize("faults", [FAULTS, MYSQL_FAULTS])
def test_every_fault_has_a_name_of_its_own(faults: tuple[Fault, ...]) -> None:
    assert len({fault.name for fault in faults}) == len(faults)


def test_mysqls_faults_are_left_to_soak() -> None:
    """They need a lab of their own."""
    assert all(fault.proves for fault in MYSQL_FAULTS)


def test_the_page_has_a_line_a_fault_with_its_figures() -> None:
    lines = page(outcomes(), outcomes(MYSQL_FAULTS), cores=2).splitlines()
    for first, second, *_ in FAULTS, MYSQL_FAULTS:
        assert f"| {first.name} | {first.how} | 10.0 s | {NONE} | 64.1 s | 0.6 s | 14,627 | 0 |" in lines
        assert f"| {second.name} | {second.how} | {NONE} | 7.0 s | 0.5 s | {NONE} | 0 | 100 |" in lines


def test_what_is_written_beside_the_page(tmp_path: Path) -> None:
    write(tmp_path / "page.md", MARIADB, outcomes(), cores=2)
    assert figures_csv(read_figures((tmp_path / "page/figures.csv").read_text())) == figures_csv(outcomes())
    course = (tmp_path / "page/course.csv").read_text().splitlines()
    assert course[:3] == [
        "fault,seconds,committed,on_replica,connected",
        f"{FAULTS[0].name},-0.5,10,9,yes",
        f"{FAULTS[0].name},0.5,12,,no",
    ]


@pytest.mark.parametrize(("one", "other"), [(MARIADB, MYSQL), (MYSQL, MARIADB)])
def test_a_table_that_was_not_run_stays(tmp_path: Path, one: Table, other: Table) -> None:
    document = tmp_path / "page.md"
    write(document, one, outcomes(one.faults), cores=2)
    write(document, other, outcomes(other.faults), cores=2)
    assert figures_csv(recorded(document, one)) == figures_csv(outcomes(one.faults))
    assert page(outcomes(), outcomes(MYSQL_FAULTS), cores=2) == document.read_text()


def test_the_document_is_what_its_figures_make_of_it() -> None:
    """The page matches tests/faults/resilience.md.in and the figures, is complete, and has the lab's versions."""
    tables = [recorded(DOCUMENT, table) for table in (MARIADB, MYSQL)]
    for table, found in zip((MARIADB, MYSQL), tables, strict=True):
        assert [outcome.fault for outcome in found] == [fault.name for fault in table.faults]
    text = DOCUMENT.read_text()
    (cores,) = re.findall(r"one machine of (\d+) cores", text)
    assert page(*tables, cores=int(cores)) == text
