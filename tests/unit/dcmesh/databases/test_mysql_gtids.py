"""MySQL's GTIDs, against sets of numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcmesh.databases.mysql_gtids import MysqlRows

X, Y, LOCAL = (f"{n}e11fa47-71ca-11e1-9e33-c80aa9429562" for n in "345")

Numbers = dict[tuple[str, str], set[int]]

KEYS = st.tuples(st.sampled_from([X, Y, LOCAL]), st.sampled_from(["", "blue"]))
SETS = st.dictionaries(KEYS, st.sets(st.integers(1, 12), min_size=1))


def rows(numbers: Numbers) -> MysqlRows:
    parts = [f"{uuid}:{f'{tag}:' if tag else ''}{n}" for (uuid, tag), found in numbers.items() for n in found]
    return MysqlRows.parse(",\n".join(parts))


def numbers(text: str) -> Numbers:
    found: Numbers = {}
    for (uuid, tag), intervals in MysqlRows.parse(text).sets:
        found[uuid, tag] = {n for first, last in intervals for n in range(first, last + 1)}
    return found


def difference(some: Numbers, others: Numbers) -> Numbers:
    left = {key: found - others.get(key, set()) for key, found in some.items()}
    return {key: found for key, found in left.items() if found}


@given(SETS)
def test_what_is_written_is_read(some: Numbers) -> None:
    assert numbers(str(rows(some))) == some
    assert str(MysqlRows.parse(str(rows(some)))) == str(rows(some))


@given(SETS, SETS)
def test_what_is_lacking(some: Numbers, others: Numbers) -> None:
    assert numbers(rows(some).lacking(rows(others))) == difference(others, some)


@given(SETS, SETS)
def test_what_a_replica_has_besides_counts_in_histories_that_are_here(some: Numbers, others: Numbers) -> None:
    known = {uuid for uuid, _ in some}
    wanted = difference({key: found for key, found in others.items() if key[0] in known}, some)
    assert numbers(rows(some).lacking_of_replica(rows(others))) == wanted


@given(st.lists(SETS, min_size=1, max_size=3))
def test_what_a_cluster_has(nodes: list[Numbers]) -> None:
    common = set.intersection(*({uuid for uuid, _ in node} for node in nodes))
    if any(nodes) and not common:
        with pytest.raises(ValueError, match="no common history"):
            MysqlRows.of_nodes([rows(node) for node in nodes])
        return
    wanted: Numbers = {}
    for node in nodes:
        for key, found in node.items():
            if key[0] in common:
                wanted[key] = wanted.get(key, set()) | found
    assert numbers(str(MysqlRows.of_nodes([rows(node) for node in nodes]))) == wanted


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("", ""),
        (f"{X}:1-7", f"{X}:1-7"),
        (f"{Y}:5:1-2:3-4:7, \n{X.upper()}:1", f"{X}:1,{Y}:1-5:7"),
        (f"{X}:1-2:blue:1-3:5:green:9", f"{X}:1-2:blue:1-3:5:green:9"),
        (f"{X}:7-3", ""),
    ],
)
def test_how_they_are_written(text: str, written: str) -> None:
    assert str(MysqlRows.parse(text)) == written


@pytest.mark.parametrize(
    "text", ["0-1-5", X, f"{X}:", f"{X}:0", f"{X}:1-", f"{X}:1;DROP", f"{X}:1,", f",{X}:1", f"{X}:01", f"{X[1:]}:1"]
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no GTIDs"):
        MysqlRows.parse(text)
