"""Writes docs/resilience.md and its figures.

The document depends on each table's figures.csv alone, and a unit test compares them.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab import toolchain

from .faults import CERTIFICATE_LIFE, FAULTS, IDLE_TIMEOUT, Bounds, Fault
from .figures import VISIBLE, Figures, Point
from .mysql_faults import MYSQL_FAULTS
from .mysql_stage import REST

PAGE = Path(__file__).with_name("resilience.md.in")
NONE = "\N{EN DASH}"
UNSEEN = "unseen"
COLUMNS = ("fault", "noticed", "writer_break", "stall", "resumed", "behind", "checked")


@dataclass(frozen=True)
class Table:
    """The faults of one database.

    Attributes:
        folder: where its figures are, beside the document.
        faults: the faults, a line each.
    """

    folder: str
    faults: tuple[Fault, ...]

    def figures(self, document: Path) -> Path:
        """Return the file with the figures that a document has."""
        return document.with_suffix("") / self.folder / "figures.csv"


MARIADB = Table("", FAULTS)
MYSQL = Table("mysql", MYSQL_FAULTS)


@dataclass(frozen=True)
class Outcome:
    """What a fault cost.

    Attributes:
        fault: the fault's name.
        figures: what it cost.
        checked: how many rows the replica had afterwards. All were compared with the committed rows.
        course: the lines of its course.
    """

    fault: str
    figures: Figures
    checked: int
    course: Sequence[Point] = field(default=(), compare=False)


def write(document: Path, table: Table, outcomes: Sequence[Outcome], *, cores: int) -> None:
    """Write a table's figures, the course of each of its faults, and the document. The other table stays as it is."""
    file = table.figures(document)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(figures_csv(outcomes))
    file.with_name("course.csv").write_text(course_csv(outcomes))
    document.write_text(page(recorded(document, MARIADB), recorded(document, MYSQL), cores=cores))


def recorded(document: Path, table: Table) -> list[Outcome]:
    """Return the figures that were written beside a document; none if there are none."""
    file = table.figures(document)
    return read_figures(file.read_text()) if file.exists() else []


def figures_csv(outcomes: Iterable[Outcome]) -> str:
    """Return a line for each fault. Seconds are to a tenth. A figure that does not exist is empty."""

    def seconds(value: float | None) -> str:
        return "" if value is None else f"{value:.1f}"

    rows = (
        (
            outcome.fault,
            UNSEEN if outcome.figures.unseen else seconds(outcome.figures.noticed),
            seconds(outcome.figures.writer_break),
            seconds(outcome.figures.stall),
            seconds(outcome.figures.resumed),
            outcome.figures.behind,
            outcome.checked,
        )
        for outcome in outcomes
    )
    return _csv(COLUMNS, rows)


def course_csv(outcomes: Iterable[Outcome]) -> str:
    """Return the faults' courses.

    Seconds count from each fault's beginning. A replica that is away has no highest row.
    """
    rows = (
        (
            outcome.fault,
            f"{point.at:.1f}",
            point.committed,
            "" if point.highest is None else point.highest,
            "yes" if point.connected else "no",
        )
        for outcome in outcomes
        for point in outcome.course
    )
    return _csv(("fault", "seconds", "committed", "on_replica", "connected"), rows)


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def read_figures(text: str) -> list[Outcome]:
    """Return what `figures_csv` wrote."""

    def seconds(value: str) -> float | None:
        return float(value) if value else None

    return [
        Outcome(
            row["fault"],
            Figures(
                noticed=seconds(row["noticed"].removeprefix(UNSEEN)),
                unseen=row["noticed"] == UNSEEN,
                writer_break=float(row["writer_break"]),
                stall=float(row["stall"]),
                resumed=seconds(row["resumed"]),
                behind=int(row["behind"]),
            ),
            int(row["checked"]),
        )
        for row in csv.DictReader(io.StringIO(text))
    ]


def page(of_mariadb: Sequence[Outcome], of_mysql: Sequence[Outcome], *, cores: int) -> str:
    """Return the document."""
    return PAGE.read_text().format(
        kubernetes=toolchain.KUBERNETES,
        istio=toolchain.ISTIO.version,
        envoy=toolchain.ISTIO.envoy,
        mariadb=toolchain.MARIADB,
        cores=cores,
        costs=_costs(MARIADB, of_mariadb),
        rows=_rows(of_mariadb),
        bounds=_bounds(MARIADB),
        mysql_costs=_costs(MYSQL, of_mysql),
        mysql_rows=_rows(of_mysql),
        mysql_bounds=_bounds(MYSQL),
        rest=REST,
        visible=f"{VISIBLE:g}",
        idle_timeout=IDLE_TIMEOUT,
        life=CERTIFICATE_LIFE,
    )


def _rows(outcomes: Sequence[Outcome]) -> str:
    """Return how many rows there were in the end."""
    return f"{outcomes[-1].checked if outcomes else 0:,}"


def _costs(table: Table, outcomes: Iterable[Outcome]) -> str:
    how = {fault.name: fault.how for fault in table.faults}
    return "\n".join(_cost(outcome, how[outcome.fault]) for outcome in outcomes)


def _cost(outcome: Outcome, how: str) -> str:
    figures = outcome.figures
    cells = (
        outcome.fault,
        how,
        UNSEEN if figures.unseen else _seconds(figures.noticed),
        _seconds(figures.writer_break if figures.writer_break >= VISIBLE else None),
        _seconds(figures.stall),
        _seconds(figures.resumed),
        f"{figures.behind:,}",
        f"{outcome.checked:,}",
    )
    return _line(cells)


def _bounds(table: Table) -> str:
    return "\n".join(_bound(fault.name, fault.bounds) for fault in table.faults)


def _bound(name: str, bounds: Bounds) -> str:
    noticed = "never" if bounds.noticed is None else f"{bounds.noticed:g} s"
    resumed = NONE if bounds.resumed is None else f"{bounds.resumed:g} s"
    return _line((name, noticed, f"{bounds.stall:g} s", resumed, bounds.why))


def _seconds(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f} s"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
