"""Tables and paragraphs of docs/performance.md."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from textwrap import fill

from bench.samples import Sample, Summary, by_round, compared, measured, summary


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def without_empty(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table without the columns in which no row has anything."""
    kept = [place for place in range(len(header)) if any(row[place] for row in rows)]
    return table([header[place] for place in kept], [[row[place] for place in kept] for row in rows])


def spread(figure: Summary, digits: int = 3) -> str:
    """Return a median with the smallest and the greatest value, each with this many significant digits."""
    return f"{number(figure.median, digits)} ({number(figure.low, digits)} to {number(figure.high, digits)})"


def number(value: float, digits: int = 3) -> str:
    """Return a number with this many significant digits. Thousands are separated, and powers of ten are never used."""
    rounded = round(float(f"{value:.{digits}g}"), 10) + 0.0  # which makes 0.0 of -0.0
    if rounded == int(rounded):
        return f"{int(rounded):,}"
    return f"{rounded:,.10f}".rstrip("0")


def figure(samples: Sequence[Sample], metric: str, way: str, case: str) -> str:
    """Return a figure's cell, which is empty where it was not measured."""
    return spread(summary(samples, metric, way, case)) if by_round(samples, metric, way, case) else ""


def beside(
    samples: Sequence[Sample], metric: str, way: str, base: str, case: str, how: Callable[[float, float], float]
) -> str:
    """Return the cell of two ways' figures, which is empty for the base itself and where one was not measured."""
    both = way != base and measured(samples, metric, way, base, case)
    return spread(compared(samples, metric, way, base, case, how)) if both else ""


WIDTH = 160
"""Columns of a paragraph, as in the other documents."""


def wrapped(text: str) -> str:
    """Return a document with its paragraphs wrapped anew. Tables, headings and comments stay as they are."""
    lines = list[str]()
    for prose, group in groupby(text.splitlines(), key=lambda line: bool(line) and line[0] not in "|#<-"):
        found = list(group)
        lines += [fill(" ".join(found), WIDTH, break_long_words=False, break_on_hyphens=False)] if prose else found
    return "".join(f"{line}\n" for line in lines)
