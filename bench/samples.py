"""The measured figures, each a line of CSV that is written at once, and their medians over several rounds."""

import csv
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One figure of one round.

    Attributes:
        metric: what was measured.
        unit: the unit of the value.
        way: which of the compared ways was measured.
        case: the circumstances, which are the same for all ways.
        round: the number of the round, from 1.
        value: the figure.
    """

    metric: str
    unit: str
    way: str
    case: str
    round: int
    value: float


COLUMNS = tuple(field.name for field in dataclasses.fields(Sample))


class Recorder:
    """Writes samples to a CSV file. Each is written at once, so that an interrupted run keeps what it has measured."""

    def __init__(self, path: Path) -> None:
        """Begin an empty file.

        Args:
            path: the file.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        with path.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(COLUMNS)

    def __call__(self, sample: Sample) -> None:
        """Write a sample."""
        with self._path.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow((*dataclasses.astuple(sample)[:-1], f"{sample.value:.6g}"))


def read(path: Path) -> list[Sample]:
    """Return the samples that a recorder wrote."""
    with path.open(newline="") as file:
        return [
            Sample(
                metric=row["metric"],
                unit=row["unit"],
                way=row["way"],
                case=row["case"],
                round=int(row["round"]),
                value=float(row["value"]),
            )
            for row in csv.DictReader(file)
        ]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A figure over several rounds.

    Attributes:
        median: the median of the values.
        low: the smallest value.
        high: the greatest value.
        rounds: how many values there are.
    """

    median: float
    low: float
    high: float
    rounds: int


def summarize(values: Sequence[float]) -> Summary:
    """Return median and spread.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("nothing was measured")
    return Summary(median=median(values), low=min(values), high=max(values), rounds=len(values))


def by_round(samples: Iterable[Sample], metric: str, way: str, case: str) -> dict[int, float]:
    """Return a figure's value in each round in which it was measured."""
    return {s.round: s.value for s in samples if (s.metric, s.way, s.case) == (metric, way, case)}


def summary(samples: Iterable[Sample], metric: str, way: str, case: str) -> Summary:
    """Return median and spread of a figure.

    Raises:
        ValueError: the figure was not measured.
    """
    return summarize(list(by_round(samples, metric, way, case).values()))


def measured(samples: Sequence[Sample], metric: str, way: str, base: str, case: str) -> bool:
    """Tell whether some round has both ways' figures."""
    return bool(by_round(samples, metric, way, case).keys() & by_round(samples, metric, base, case).keys())


def compared(
    samples: Sequence[Sample],
    metric: str,
    way: str,
    base: str,
    case: str,
    how: Callable[[float, float], float],
) -> Summary:
    """Return median and spread of a comparison of two ways, made within each round: the noise of a round affects both.

    Args:
        samples: what was measured.
        metric: the figure.
        way: one way.
        base: the way with which it is compared.
        case: the circumstances.
        how: the function of both values: their ratio, or their difference.

    Raises:
        ValueError: no round has both values.
    """
    ours, theirs = by_round(samples, metric, way, case), by_round(samples, metric, base, case)
    return summarize([how(ours[number], theirs[number]) for number in sorted(ours.keys() & theirs.keys())])
