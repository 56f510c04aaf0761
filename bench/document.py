"""Writes docs/performance.md and its plots from the raw figures in docs/performance/.

python -m bench.document            write them
python -m bench.document --check    say whether they are up to date with the figures, as CI does

"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import machine
from bench.aims import Aim, aims_table
from bench.data_path import report as data_path
from bench.data_path import tuning
from bench.first_copy import report as first_copy
from bench.markdown import wrapped
from bench.mysql import report as mysql
from bench.peers import report as peers
from bench.samples import Sample, read
from bench.scale import gateways_report as scale_gateways
from bench.scale import report as scale
from bench.setup import report as setup
from bench.state import report as state

DOCUMENT = Path(__file__).parents[1] / "docs" / "performance.md"
FIGURES = DOCUMENT.with_suffix("")
PAGE = Path(__file__).with_name("performance.md.in")


@dataclass(frozen=True)
class Part:
    """One part of the document.

    Attributes:
        name: the name of its figures' file, and of its place in the page.
        section: the function that writes its text, with headings of level 3 and below.
        aims: tells what was aimed at, if anything was.
        plots: makes its plots, if it has any: the text of each SVG by file name.
    """

    name: str
    section: Callable[[Sequence[Sample]], str]
    aims: Callable[[Sequence[Sample]], Iterable[Aim]] = lambda _: ()
    plots: Callable[[Sequence[Sample]], Mapping[str, str]] = lambda _: {}


PARTS = (
    Part("data-path", data_path.section, data_path.aims, data_path.plots),
    Part("tuning", tuning.section),
    Part("mysql", mysql.section, mysql.aims),
    Part("first-copy", first_copy.section, first_copy.aims),
    Part("peers", peers.section),
    Part("setup", setup.section, setup.aims, setup.plots),
    Part("state", state.section),
    Part("scale", scale.section, scale.aims, scale.plots),
    Part("scale-gateways", scale_gateways.section, scale_gateways.aims),
)


def figures_of(part: str) -> Path:
    """Return the file with a part's raw figures."""
    return FIGURES / f"{part}.csv"


def machine_of(part: str) -> Path:
    """Return the file that describes the machine on which a part's figures were measured."""
    return FIGURES / f"{part}-machine.csv"


def files() -> dict[Path, str]:
    """Return every file that is made from the figures, with its text."""
    made: dict[Path, str] = {}
    sections, aims, machines = dict[str, str](), list[Aim](), dict[str, list[str]]()
    for part in PARTS:
        place = part.name.replace("-", "_")
        samples = read(figures_of(part.name)) if figures_of(part.name).exists() else []
        if not samples:
            sections[place] = f"Not measured yet: `python -m bench {part.name}`."
            continue
        sections[place] = part.section(samples)
        parts = machines.setdefault(machine.described(machine_of(part.name)), [])
        parts.append(f"{part.name} ({rounds_of(samples)})")
        aims += part.aims(samples)
        made.update({FIGURES / name: text for name, text in part.plots(samples).items()})
    measured = "\n".join(f"- {', '.join(parts)}: {described}" for described, parts in machines.items())
    made[DOCUMENT] = wrapped(PAGE.read_text().format(aims=aims_table(aims), machines=measured, **sections))
    return made


def rounds_of(samples: Sequence[Sample]) -> str:
    """Return how many rounds a part's figures have, which differ from figure to figure."""
    counts = Counter((sample.metric, sample.way, sample.case) for sample in samples).values()
    least, most = min(counts), max(counts)
    return f"{least} to {most} rounds" if least < most else f"{most} round{'s' if most > 1 else ''}"


def stale() -> list[Path]:
    """Return the files that are not up to date. A plot need only exist: its last digits depend on the machine."""
    return [
        path
        for path, text in files().items()
        if not path.exists() or (path.suffix != ".svg" and path.read_text() != text)
    ]


def write() -> None:
    """Write the document and its plots."""
    for path, text in files().items():
        path.write_text(text)


def main() -> int:
    """Write the files, or say which of them are not up to date."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.document", description="docs/performance.md out of its figures"
    )
    parser.add_argument("--check", action="store_true", help="write nothing, fail if a file is not up to date")
    if not parser.parse_args().check:
        write()
        return 0
    old = stale()
    for path in old:
        print(f"{path.relative_to(DOCUMENT.parents[1])} is not what its figures give: run python -m bench.document")
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main())
