"""MariaDB's GTIDs: which texts are GTIDs, and which transactions a server lacks."""

import pytest

from dcmesh.databases.mariadb_gtids import MariadbRows, parse, reached


@pytest.mark.parametrize("text", ["", "0-1-5", "0-1-5,1-2-0", "4294967295-4294967295-999999999999999999"])
def test_gtids_are_read(text: str) -> None:
    assert ",".join(map(str, parse(text))) == text


@pytest.mark.parametrize(
    "text", ["0-1", "0-1-5,", "0-1-5 ", "0-1-5\n", "0-1-05", "0-1-" + 19 * "1", "0-1-5, 0-2-6", "x", "0-1-\u0665"]
)
def test_what_cannot_be_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="no GTIDs"):
        parse(text)


@pytest.mark.parametrize(
    ("applied", "received", "all_of_it"),
    [("0-1-5", "0-1-5", True), ("0-1-4", "0-1-5", False), ("0-2-6", "0-1-5", True), ("0-1-5", "0-1-5,1-1-1", False)],
)
def test_what_has_arrived_is_applied(applied: str, received: str, *, all_of_it: bool) -> None:
    assert reached(applied, received) is all_of_it


def rows(position: str, state: str = "") -> MariadbRows:
    return MariadbRows.parse(position, state or position)


@pytest.mark.parametrize(
    ("here", "there", "lacking"),
    [
        (rows("0-1-5"), rows("0-1-5"), ""),
        (rows("0-1-5"), rows("0-1-4"), ""),
        (rows("0-1-4"), rows("0-1-6"), "0-1-5 to 0-1-6"),
        (rows(""), rows("0-1-6"), "0-1-1 to 0-1-6"),
        # The transaction is another server's, with a higher number.
        (rows("0-2-9"), rows("0-1-6"), "0-1-1 to 0-1-6"),
        (rows("0-2-9", "0-1-6,0-2-9"), rows("0-1-6"), ""),
        # A copy's state begins with the last transaction that was copied.
        (rows("0-2-7"), rows("0-2-7", "0-1-5,0-2-7"), ""),
        (rows("0-2-7"), rows("0-1-9", "0-1-9,0-2-8"), "0-1-1 to 0-1-9, 0-2-8 to 0-2-8"),
        # Each domain is compared by itself.
        (rows("0-1-5,1-1-2"), rows("0-1-5,1-1-3"), "1-1-3 to 1-1-3"),
    ],
)
def test_what_another_has_and_is_not_here_is_named(here: MariadbRows, there: MariadbRows, lacking: str) -> None:
    assert here.lacking(there) == lacking


def test_rows_are_named_by_where_they_end() -> None:
    assert str(rows("0-2-7,1-1-1", "0-1-5,0-2-7,1-1-1")) == "0-2-7,1-1-1"
