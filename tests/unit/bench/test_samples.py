"""Samples: what follows from several rounds, how samples are written, and that the document matches its figures."""

import operator
from pathlib import Path

import pytest

from bench.markdown import number, spread, table
from bench.plots import Axes, lines
from bench.samples import Recorder, Sample, Summary, compared, read, summarize, summary


def sample(way: str, round_: int, value: float, *, metric: str = "bulk", case: str = "0 ms") -> Sample:
    return Sample(metric=metric, unit="MB/s", way=way, case=case, round=round_, value=value)


ROUNDS = [
    sample("ours", 1, 10),
    sample("theirs", 1, 20),
    sample("ours", 2, 30),
    sample("theirs", 2, 20),
    sample("ours", 3, 20),
    sample("ours", 1, 1, case="10 ms"),
    sample("ours", 1, 2, metric="queries"),
]


def test_an_interrupted_run_keeps_what_it_has_measured(tmp_path: Path) -> None:
    record = Recorder(tmp_path / "figures" / "part.csv")
    for number_, one in enumerate(ROUNDS, 1):
        record(one)
        assert read(tmp_path / "figures" / "part.csv") == ROUNDS[:number_]


def test_a_run_begins_its_file_anew(tmp_path: Path) -> None:
    Recorder(tmp_path / "part.csv")(ROUNDS[0])
    Recorder(tmp_path / "part.csv")
    assert read(tmp_path / "part.csv") == []


def test_summary_is_of_one_metric_way_and_case() -> None:
    assert summary(ROUNDS, "bulk", "ours", "0 ms") == Summary(median=20, low=10, high=30, rounds=3)


def test_ways_are_compared_round_by_round() -> None:
    """The third round has no figure of the other way, so it does not count."""
    ratio = compared(ROUNDS, "bulk", "ours", "theirs", "0 ms", operator.truediv)
    assert ratio == Summary(median=1.0, low=0.5, high=1.5, rounds=2)


def test_what_was_not_measured_is_no_figure() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        summarize([])


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "0.123"), (1234567, "1,230,000"), (12.0, "12"), (0.00004567, "0.0000457"), (99.96, "100"), (0, "0")],
)
def test_numbers_are_read_without_powers_of_ten(value: float, text: str) -> None:
    assert number(value) == text


def test_a_figure_is_written_with_its_spread() -> None:
    figure = Summary(median=1.05, low=0.98, high=1.1, rounds=5)
    assert table(["way", "ratio"], [["ours", spread(figure)]]) == (
        "| way | ratio |\n| --- | --- |\n| ours | 1.05 (0.98 to 1.1) |"
    )


def test_a_plot_is_the_same_whenever_its_figures_are() -> None:
    def plot(value: float) -> str:
        figure = Summary(median=value, low=value - 1, high=value + 1, rounds=3)
        return lines(Axes(title="t", x="x", y="y"), {"ours": {1: figure, 10: figure}})

    assert plot(5) == plot(5)
    assert plot(5) != plot(7)
