"""Tables and paragraphs of docs/performance.md."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from textwrap import fill

from bench.samples import Summary


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def spread(figure: Summary, digits: int = 3) -> str:
    """Return a median with the smallest and the greatest value, each with this many significant digits."""
    return f"{number(figure.median, digits)} ({number(figure.low, digits)} to {number(figure.high, digits)})"


def number(value: float, digits: int = 3) -> str:
    """Return a number with this many significant digits. Thousands are separated, and powers of ten are never used."""
    rounded = float(f"{value:.{digits}g}")
    if rounded == int(rounded):
        return f"{int(rounded):,}"
    return f"{rounded:,.10f}".rstrip("0")


WIDTH = 160
"""Columns of a paragraph, as in the other documents."""


def wrapped(text: str) -> str:
    """Return a document with its paragraphs wrapped anew. Tables, headings and comments stay as they are."""
    lines = list[str]()
    for prose, group in groupby(text.splitlines(), key=lambda line: bool(line) and line[0] not in "|#<-"):
        found = list(group)
        lines += [fill(" ".join(found), WIDTH, break_long_words=False, break_on_hyphens=False)] if prose else found
    return "".join(f"{line}\n" for line in lines)
