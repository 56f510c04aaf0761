"""Shows what the lab is doing. It writes to standard error, since standard output is for results."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

_HEARTBEAT = 60.0
"""Seconds between two lines about a long step, where standard error is no terminal (as in CI)."""

console = Console(stderr=True, highlight=False, soft_wrap=True)


def note(text: str) -> None:
    """Show one line."""
    console.print(text, markup=False)


def duration(seconds: float) -> str:
    """Return `seconds` as people write them: `0.4 s`, `42 s`, `3 min 20 s`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class Steps:
    """A known number of steps. Each is shown with its number and the time that it takes. Several may run at once."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._numbers = itertools.count(1)

    @contextmanager
    def step(self, what: str, expected: str = "") -> Iterator[None]:
        """Show that the next step is under way while the block runs, then how long it took.

        Args:
            what: what is being done.
            expected: roughly how long that takes, as `duration` writes it; empty for a short step.
        """
        title = f"[{next(self._numbers)}/{self._total}] {what}"
        started = time.monotonic()
        with under_way(f"{title} (about {expected})" if expected else title):
            yield
        note(f"{title}: {duration(time.monotonic() - started)}")


_clocks = Progress(
    SpinnerColumn(),
    TextColumn("{task.description}", markup=False),
    TimeElapsedColumn(),
    console=console,
    transient=True,
)
_clocks_change = threading.Lock()


@contextmanager
def under_way(title: str) -> Iterator[None]:
    """Keep showing that `title` is under way, by a running clock on a terminal, or else by a line now and then."""
    if console.is_terminal:
        with _clock(title):
            yield
        return
    note(title)
    over = threading.Event()
    threading.Thread(target=_beat, args=(title, over), daemon=True).start()
    try:
        yield
    finally:
        over.set()


@contextmanager
def _clock(title: str) -> Iterator[None]:
    with _clocks_change:
        _clocks.start()  # This does nothing if another step has started the clock.
        task = _clocks.add_task(title)
    try:
        yield
    finally:
        with _clocks_change:
            _clocks.remove_task(task)
            if not _clocks.tasks:
                _clocks.stop()


def _beat(title: str, over: threading.Event) -> None:
    started = time.monotonic()
    while not over.wait(_HEARTBEAT):
        note(f"{title}: {duration(time.monotonic() - started)} so far")
