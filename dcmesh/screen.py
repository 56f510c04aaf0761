"""The screen of all verbs: lines and tables, with many texts that somebody else has written."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from rich.console import Console, JustifyMethod
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from dcmesh.model.facts import State
from dcmesh.model.printable import printable

T = TypeVar("T")

STYLES = {State.OK: "green", State.WARNING: "yellow", State.CRITICAL: "bold red", State.UNKNOWN: "magenta"}

ENDLESS = 100_000
"""How wide the screen is if there is none, as in a pipe or a monitor's log: nothing is folded there."""


class Screen(Console):
    """A console that never takes text for markup or for a terminal's codes, because others have written much of it."""

    def print(self, *objects: Any, **how: Any) -> None:  # noqa: ANN401 — as the console has it
        """Print as a console does. Texts keep their styles."""
        super().print(*map(self._harmless, objects), **how)

    def render_str(self, text: str, **how: Any) -> Text:  # noqa: ANN401 — as the console has it
        """Return a text for a table. It is not read as markup."""
        return super().render_str(printable(text), **(how | {"markup": False, "emoji": False, "highlight": False}))

    def _harmless(self, shown: Any) -> Any:  # noqa: ANN401 — whatever can be printed
        if not isinstance(shown, Text):
            return shown
        parts = [(printable(part.text), part.style or "") for part in shown.render(self)]
        return Text.assemble(*parts, style=shown.style, end=shown.end)


def captured(show: Callable[[Console], None]) -> str:
    """Return what a console like standard output would show."""
    out = Screen(highlight=False, width=None if sys.stdout.isatty() else ENDLESS)
    with out.capture() as shown:
        show(out)
    return shown.get()


def empty_table(*columns: str | Column) -> Table:
    """Return an empty table. If the screen is too narrow, all columns but the `short` ones are folded.

    Texts of others go into its cells as `str`: a `Text` is shown as it is.
    """
    return Table(
        *(Column(column, overflow="fold") if isinstance(column, str) else column for column in columns),
        header_style="dim",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )


def short(header: str, justify: JustifyMethod = "left") -> Column:
    """Return a column for texts of known length."""
    return Column(header, no_wrap=True, justify=justify)


_clocks = Progress(
    SpinnerColumn(),
    TextColumn("{task.description}", markup=False),
    TimeElapsedColumn(),
    console=Screen(stderr=True, highlight=False),
    transient=True,
    redirect_stdout=False,
)
"""What is under way, on standard error: standard output is for results."""


@contextmanager
def under_way(what: str) -> Iterator[Callable[[str], None]]:
    """Show that something is under way, and for how long, while the block runs; nothing where there is no terminal.

    Args:
        what: what it is.

    Yields:
        What shows another text in its place.
    """
    if not _clocks.console.file.isatty():  # which sees through what rich puts in the place of standard error
        yield lambda _: None
        return
    _clocks.start()  # does nothing if something else is under way
    task = _clocks.add_task(printable(what))
    try:
        yield lambda text: _clocks.update(task, description=printable(text))
    finally:
        _clocks.remove_task(task)
        if not _clocks.tasks:
            _clocks.stop()


def counted(what: str, things: Sequence[T]) -> Iterator[T]:
    """Yield each thing, and show meanwhile which one of how many is under way."""
    with under_way(what) as say:
        for number, thing in enumerate(things, start=1):
            say(f"{what}: {number} of {len(things)}")
            yield thing
