"""Writes docs/resilience.md and its figures.

The document depends on figures.csv alone, and a unit test compares them.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab import toolchain

from .faults import CERTIFICATE_LIFE, FAULTS, IDLE_TIMEOUT, Bounds
from .figures import VISIBLE, Figures, Point

PAGE = Path(__file__).with_name("resilience.md.in")
NONE = "\N{EN DASH}"
UNSEEN = "unseen"
COLUMNS = ("fault", "noticed", "writer_break", "stall", "resumed", "behind", "checked")


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


def write(document: Path, outcomes: Sequence[Outcome], *, cores: int) -> None:
    """Write the document, the figures, and the course of each fault."""
    beside = document.with_suffix("")
    beside.mkdir(parents=True, exist_ok=True)
    (beside / "figures.csv").write_text(figures_csv(outcomes))
    (beside / "course.csv").write_text(course_csv(outcomes))
    document.write_text(page(read_figures((beside / "figures.csv").read_text()), cores=cores))


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


def page(outcomes: Sequence[Outcome], *, cores: int) -> str:
    """Return the document."""
    return PAGE.read_text().format(
        kubernetes=toolchain.KUBERNETES,
        istio=toolchain.ISTIO.version,
        envoy=toolchain.ISTIO.envoy,
        mariadb=toolchain.MARIADB,
        cores=cores,
        costs="\n".join(_cost(outcome) for outcome in outcomes),
        rows=outcomes[-1].checked if outcomes else 0,
        bounds="\n".join(_bound(fault.name, fault.bounds) for fault in FAULTS),
        visible=f"{VISIBLE:g}",
        idle_timeout=IDLE_TIMEOUT,
        life=CERTIFICATE_LIFE,
    )


def _cost(outcome: Outcome) -> str:
    figures = outcome.figures
    (how,) = [fault.how for fault in FAULTS if fault.name == outcome.fault]
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


def _bound(name: str, bounds: Bounds) -> str:
    noticed = "never" if bounds.noticed is None else f"{bounds.noticed:g} s"
    resumed = NONE if bounds.resumed is None else f"{bounds.resumed:g} s"
    return _line((name, noticed, f"{bounds.stall:g} s", resumed, bounds.why))


def _seconds(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f} s"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
