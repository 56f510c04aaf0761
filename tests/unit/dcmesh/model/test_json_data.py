from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import pytest

from dcmesh.model.json_data import plain


class Colour(IntEnum):
    DARK_RED = 1


@dataclass(frozen=True)
class Part:
    first_name: str
    colour: Colour


@dataclass(frozen=True)
class Whole:
    parts_of_it: tuple[Part, ...]
    by_name: dict[str, Part]


@pytest.mark.parametrize("value", [None, "text", 1, 1.5, True, ["a"], {"some_key": 1}])
def test_plain_data_stay_as_they_are(value: Any) -> None:
    assert plain(value) == value


def test_dataclasses_are_laid_open_in_camel_case_whatever_they_are_in() -> None:
    part = Part("a", Colour.DARK_RED)
    shown = {"firstName": "a", "colour": "dark_red"}
    assert plain(Whole((part,), {"some_key": part})) == {"partsOfIt": [shown], "byName": {"some_key": shown}}


def test_times_are_written_with_their_zone() -> None:
    assert plain(datetime(2026, 11, 23, 9, tzinfo=UTC)) == "2026-11-23T09:00:00+00:00"


def test_what_is_not_plain_data_is_refused() -> None:
    with pytest.raises(TypeError, match="object is not plain data"):
        plain([object()])
