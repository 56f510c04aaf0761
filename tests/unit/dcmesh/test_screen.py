"""The screen of all verbs. What others say stays a text on it: tests/unit/dcmesh/model/test_printable.py."""

import io

from rich.console import Console

from dcmesh.model.facts import State
from dcmesh.screen import STYLES, captured, empty_table, short


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
