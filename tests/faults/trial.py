"""Tries a fault while a writer commits numbered rows."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import pytest

from tests.e2e.toolbox import eventually

from .faults import Fault, Mark, beyond
from .figures import Window, figures, flaws, taken_back, thinned
from .report import Outcome
from .stage import Stage


def cases(faults: Iterable[Fault]) -> list[Any]:
    """Return the faults as a test's parameters."""
    return [
        pytest.param(fault, id=fault.name, marks=[pytest.mark.soak(proves=fault.proves)] if fault.proves else [])
        for fault in faults
    ]


def survive(fault: Fault, stage: Stage, outcomes: list[Outcome]) -> None:
    """Make a fault. Replication must resume by itself, with every row, within the fault's bounds. Add what it cost."""
    eventually("all is well before it", stage.well, within=180)
    channels, mark = stage.channels(), Mark()
    fault.do(stage, mark)
    window = Window(begin=mark.begin, end=mark.end, until=stage.caught_up(), paused=fault.paused)
    commits = stage.writer.commits
    samples = list(stage.observer.samples)
    reconnected = stage.channels() != channels

    # Rows that the writer was told are committed stay committed. The replica has all of them, in order and once each.
    committed = stage.writer.committed()
    eventually("the replica has them all", lambda: (stage.observer.last.highest or 0) >= committed, within=60)
    rows = stage.rows()
    assert flaws(rows) == ""
    assert len(rows) >= committed
    assert taken_back(commits) == []

    cost = figures(commits, samples, window, reconnected=reconnected)
    outcomes.append(Outcome(fault.name, cost, len(rows), thinned(commits, samples, window)))
    exceeded = beyond(cost, fault.bounds)
    assert not exceeded, f"{exceeded}: {asdict(cost)}; the writer: {stage.writer.breaks[-5:]}"
    eventually("all is well again", stage.well, within=180)
