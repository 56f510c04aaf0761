"""The aims, their figures, and the reasons for missed ones."""

from collections.abc import Iterable
from dataclasses import dataclass

from bench.markdown import table


@dataclass(frozen=True, kw_only=True)
class Aim:
    """An aim and its figure.

    Attributes:
        what: what is measured, compared with what.
        wanted: the aim, in words.
        measured: the figure.
        met: whether the figure meets the aim.
        why: the reason why the aim is missed. Every missed aim has one.
    """

    what: str
    wanted: str
    measured: str
    met: bool
    why: str


def aims_table(aims: Iterable[Aim]) -> str:
    """Return the aims as a table, each missed one with its reason."""
    rows = [(aim.what, aim.wanted, aim.measured, "met" if aim.met else f"**missed**: {aim.why}") for aim in aims]
    return table(("", "aim", "measured", ""), rows)
