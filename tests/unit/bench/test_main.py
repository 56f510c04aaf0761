"""The benchmarks' command line: which parts are measured, by default and if some are named."""

import sys
from pathlib import Path

import pytest

from bench import __main__ as command
from bench import document


@pytest.mark.parametrize(
    ("arguments", "measured"),
    [
        ([], [("data-path", 5), ("scale", 5)]),
        (["all"], [("data-path", 5), ("scale", 5)]),
        (["scale", "--rounds", "2"], [("scale", 2)]),
    ],
)
def test_everything_is_measured_unless_a_part_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], measured: list[tuple[str, int]]
) -> None:
    seen = list[tuple[str, int]]()
    parts = {part: lambda _, rounds, part=part: seen.append((part, rounds)) for part in ("data-path", "scale")}
    monkeypatch.setattr(command, "RUNS", parts)
    monkeypatch.setattr(command.document, "FIGURES", tmp_path)
    monkeypatch.setattr(command.document, "write", lambda: None)
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    command.main()
    assert seen == measured
    noted = {path.name for path in tmp_path.glob("*-machine.csv")}
    assert noted == {f"{part}-machine.csv" for part, _ in measured}


def test_what_was_not_measured_yet_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(document, "FIGURES", tmp_path)
    made = document.files()
    assert list(made) == [document.DOCUMENT], "there is nothing to plot"
    for part in document.PARTS:
        assert f"Not measured yet: `python -m bench {part.name}`." in made[document.DOCUMENT]


def test_the_page_is_not_long() -> None:
    assert len(document.DOCUMENT.read_text().splitlines()) <= 250
