"""The screen of all verbs. tests/unit/dcmesh/model/test_printable.py checks that others' texts stay text."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from dcmesh import screen
from dcmesh.model.facts import State
from dcmesh.screen import STYLES, Screen, captured, counted, empty_table, short, under_way


def shown(width: int) -> list[str]:
    table = empty_table(short("short"), "long")
    table.add_row("stays", "0123456789" * 3)
    out = io.StringIO()
    Console(file=out, width=width).print(table)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_states_have_styles() -> None:
    assert set(STYLES) == set(State)


def test_a_column_is_folded_where_the_screen_is_narrow_and_a_short_one_is_not() -> None:
    assert shown(40) == ["short  long", "stays  012345678901234567890123456789"]
    assert shown(22) == ["short  long", "stays  012345678901234", "       567890123456789"]


def test_where_there_is_no_screen_nothing_is_folded_or_coloured() -> None:
    table = empty_table("host", "answer")
    table.add_row("x" * 500, "y" * 500)
    lines = captured(lambda out: out.print(table)).splitlines()
    assert [len(line.split()) for line in lines] == [2, 2]
    assert lines[1].split() == ["x" * 500, "y" * 500]


# --- what is under way -----------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Use a terminal as standard error, which shows what is under way."""
    terminal = Terminal()
    console = Screen(file=terminal, force_terminal=True, width=80)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(screen, "_clocks", Progress(TextColumn("{task.description}", markup=False), console=console))
    return terminal


def test_on_a_terminal_it_is_shown_what_is_waited_for(terminal: Terminal) -> None:
    with under_way("asking\x1b[2J") as say:
        screen._clocks.refresh()
        assert "asking\\x1b[2J" in terminal.getvalue()
        for thing in counted("walking", ["a", "b"]):
            screen._clocks.refresh()
            assert f"walking: {'ab'.index(thing) + 1} of 2" in terminal.getvalue()
        say("asking others")
        screen._clocks.refresh()
        assert "asking others" in terminal.getvalue()
    assert not screen._clocks.live.is_started
    assert not screen._clocks.tasks


@pytest.mark.usefixtures("terminal")
def test_after_an_error_nothing_is_waited_for() -> None:
    with pytest.raises(KeyboardInterrupt), under_way("asking"):
        raise KeyboardInterrupt
    assert not screen._clocks.live.is_started


def test_elsewhere_nothing_is_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with under_way("asking") as say:
        say("asking others")
        assert [*counted("walking", [1, 2])] == [1, 2]
    assert capsys.readouterr() == ("", "")
