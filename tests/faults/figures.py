"""Computes what a fault cost from the records of the writer and the observer. Nothing here touches a cluster."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

VISIBLE = 1.0
"""Seconds without a commit that count as a break of the writer. Shorter breaks happen without any fault."""


@dataclass(frozen=True)
class Commit:
    """A time at which the writer knows that row `n`, and so every row before it, is committed."""

    at: float
    n: int


@dataclass(frozen=True)
class Sample:
    """The replica at one time.

    Attributes:
        at: the time.
        highest: the highest row on the replica; None if the replica could not be asked.
        connected: whether the replica says that it is connected to its source.
    """

    at: float
    highest: int | None
    connected: bool


@dataclass(frozen=True, kw_only=True)
class Window:
    """The times of a fault.

    Attributes:
        begin: when it began.
        end: when it was over; equal to `begin` if it was over at once.
        until: when replication was well again and had caught up.
        paused: whether the writer did not write from begin to end.
    """

    begin: float
    end: float
    until: float
    paused: bool = False

    @property
    def wanted(self) -> float:
        """The time from which on rows are expected."""
        return self.end if self.paused else self.begin


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a fault cost, in seconds and rows.

    Attributes:
        noticed: from the fault's beginning until the replica said that it is not connected; None if it never said so.
        unseen: whether the replica reconnected between two looks, and so never said that it is not connected.
        writer_break: the longest time in which the writer committed nothing.
        stall: the longest time in which the replica got no row.
        resumed: from the fault's end until the replica was connected again and got a row; None if it stayed connected.
        behind: rows that were committed and not on the replica, at worst.
    """

    noticed: float | None
    unseen: bool = False
    writer_break: float
    stall: float
    resumed: float | None
    behind: int


def figures(
    commits: Sequence[Commit], samples: Sequence[Sample], window: Window, *, reconnected: bool = False
) -> Figures:
    """Compute what a fault cost.

    Args:
        commits: all of the writer's records, in order.
        samples: all of the observer's, in order, from before the fault until after it.
        window: the times of the fault.
        reconnected: whether the source says that the connection is not the same as before.
    """
    noticed_after = noticed(samples, window)
    stall = longest_gap(arrivals(samples), window)
    gap = longest_gap([commit.at for commit in commits], window)
    return Figures(
        noticed=noticed_after,
        unseen=reconnected and noticed_after is None,
        writer_break=gap[1] - gap[0],
        stall=stall[1] - stall[0],
        resumed=resumed(samples, window),
        behind=rows_behind(commits, samples, window),
    )


def committed(commits: Sequence[Commit], at: float) -> int:
    """Return the highest row that the writer knew to be committed at a time."""
    before = bisect_right(commits, at, key=lambda commit: commit.at)
    return commits[before - 1].n if before else 0


def arrivals(samples: Iterable[Sample]) -> list[float]:
    """Return the times at which the observer saw new rows on the replica."""
    times, highest = [], 0
    for sample in samples:
        if sample.highest is not None and sample.highest > highest:
            highest = sample.highest
            times.append(sample.at)
    return times


def longest_gap(times: Sequence[float], window: Window) -> tuple[float, float]:
    """Return the two consecutive times with the longest gap between them, in the window or reaching into it.

    A gap may begin before the fault, with the last row that came before it. While no rows are expected there is no gap.
    """
    if window.paused:
        times = [window.wanted, *(time for time in times if time > window.wanted)]
    reaching = [(a, b) for a, b in pairwise(times) if b >= window.wanted and a <= window.until]
    if not reaching:
        raise ValueError("no row before and after the fault's begin")
    return max(reaching, key=lambda gap: gap[1] - gap[0])


def noticed(samples: Iterable[Sample], window: Window) -> float | None:
    """Return how long after the fault's beginning the replica said that it is not connected, or was itself away."""
    within = (sample for sample in samples if window.begin <= sample.at <= window.until)
    return next((sample.at - window.begin for sample in within if not sample.connected), None)


def resumed(samples: Sequence[Sample], window: Window) -> float | None:
    """Return how long after the fault's end, or after the writer's pause, the first row came over a new connection.

    Rows that were under way when the connection was lost do not count.
    """
    lost = [sample.at for sample in samples if window.begin <= sample.at <= window.until and not sample.connected]
    if not lost and not window.paused:
        return None
    since = lost[-1] if lost else window.end
    return next((at - window.end for at in arrivals(samples) if at > since), None)


def rows_behind(commits: Sequence[Commit], samples: Iterable[Sample], window: Window) -> int:
    """Return how many committed rows the replica lacked at worst.

    While it is away, it counts with the rows that it had.
    """
    worst, highest = 0, 0
    for sample in samples:
        highest = max(highest, sample.highest or 0)
        if window.begin <= sample.at <= window.until:
            worst = max(worst, committed(commits, sample.at) - highest)
    return worst


def flaws(rows: Sequence[int]) -> str:
    """Return what is wrong with rows that should be 1, 2, 3 and so on; empty if nothing is wrong."""
    if list(rows) == list(range(1, len(rows) + 1)):
        return ""
    present = set(rows)
    missing = sorted(set(range(1, max(present, default=0) + 1)) - present)
    seen: set[int] = set()
    twice = [n for n in rows if n in seen or seen.add(n)]  # type: ignore[func-returns-value]
    backwards = [(a, b) for a, b in pairwise(rows) if b < a]
    found: dict[str, Sequence[object]] = {"missing": missing, "more than once": twice, "out of order": backwards}
    return "; ".join(f"{len(what)} {kind}: {what[:10]}" for kind, what in found.items() if what)


def taken_back(commits: Iterable[Commit]) -> list[tuple[int, int]]:
    """Return the places where a row was committed, and later the highest committed row was lower."""
    return [(a.n, b.n) for a, b in pairwise(commits) if b.n < a.n]


@dataclass(frozen=True)
class Point:
    """One line of a fault's course. `at` counts from the fault's beginning."""

    at: float
    committed: int
    highest: int | None
    connected: bool


def thinned(commits: Sequence[Commit], samples: Iterable[Sample], window: Window, *, every: float = 1.0) -> list[Point]:
    """Return a fault's course from a second before it on: a line each second, and whenever the connection changes."""
    points: list[Point] = []
    for sample in samples:
        if not window.begin - 1 <= sample.at <= window.until:
            continue
        at = sample.at - window.begin
        if not points or at - points[-1].at >= every or sample.connected != points[-1].connected:
            points.append(Point(at, committed(commits, sample.at), sample.highest, sample.connected))
    return points
