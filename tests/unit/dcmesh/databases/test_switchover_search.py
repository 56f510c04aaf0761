"""In any order of events and interruptions, two sites never write at the same time.

No committed row is lost unless an operator gave it up. The search runs the real code, dcmesh/databases/switchover.py:
see switchover_world.py. A small part is searched here, and the whole by tests/e2e/test_switchover_search.py, which
belongs to soak.
"""

import re
import subprocess
from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dcmesh.databases import mariadb_gtids, switchover
from tests.unit.dcmesh.databases.state_search import search
from tests.unit.dcmesh.databases.switchover_world import (
    PAIR,
    Bounds,
    Operated,
    World,
    leads,
    led_on,
    settle,
    stuck,
)

START = Path(__file__).parents[4] / "components" / "databases" / "mariadb_start.sh"

SMALL = {
    "one run": Bounds(runs=1, faults=1, rows=0),
    "events": Bounds(runs=1, faults=0, rows=1, events=True),
    "two runs": Bounds(runs=2, faults=0, rows=0, shapes=(0,)),
    "events, and a server that somebody closes": Bounds(runs=1, faults=1, rows=1, events=True, kinds=("hand",)),
    "events, and a line that is cut": Bounds(runs=1, faults=1, rows=0, events=True, kinds=("line",), shapes=(1, PAIR)),
    "a change that fails": Bounds(runs=1, faults=2, rows=0, events=True, kinds=("fails",)),
    "a failover": Bounds(runs=1, faults=1, rows=1, words=True, kinds=("kill",), shapes=(1,)),
    "a site that returns": Bounds(runs=1, faults=1, rows=0, begins="gone", kinds=("line",), shapes=(0,)),
    "a row that was given up": Bounds(runs=1, faults=0, rows=1, words=True, begins="lost"),
    "an old run that goes on": Bounds(
        runs=1, faults=1, rows=0, words=True, kinds=("kill",), begins="closed", shapes=(1,)
    ),
    "a lost volume": Bounds(runs=1, faults=0, rows=1, volumes=1, shapes=(1, PAIR)),
}


@pytest.mark.parametrize("bounds", SMALL.values(), ids=SMALL)
def test_nothing_comes_about_that_must_not_be(bounds: Bounds) -> None:
    found, known = search(World(switchover, bounds))
    assert not found
    assert len(known) > 100


@pytest.mark.parametrize("shape", [0, PAIR], ids=["a run of each site", "one run"])
@pytest.mark.parametrize("to", [0, 1])
def test_a_switchover_comes_about(shape: int, to: int) -> None:
    world = World(switchover, Bounds(events=True))
    servers = led_on(world, world.begin(), shape, to)
    assert servers[to].open
    assert leads(servers)
    assert servers[to].scheduler
    assert not servers[1 - to].scheduler
    assert not servers[to].idle


@pytest.mark.parametrize(
    "bounds", [Bounds(runs=1, faults=0, rows=1), Bounds(runs=1, faults=0, rows=0, begins="gone", shapes=(0,))]
)
def test_there_is_an_up_that_leads_to_a_primary(bounds: Bounds) -> None:
    world = World(switchover, bounds)
    _, known = search(world)
    assert stuck(world, known) is None


# --- faults that are put in, and found -------------------------------------------------------------------------------


def changed(module: ModuleType, old: str, new: str) -> ModuleType:
    """Return a module with one change in its source."""
    assert module.__file__
    source = Path(module.__file__).read_text()
    assert source.count(old) == 1, f"{old!r} is not one place of the code any more"
    made = ModuleType(module.__name__)
    exec(compile(source.replace(old, new), module.__file__, "exec"), made.__dict__)  # noqa: S102
    return made


def fault(old: str, new: str) -> Callable[[Bounds], World]:
    return lambda bounds: World(changed(switchover, old, new), bounds)


class Rowless(Operated):
    """A faulty server: it does what it is told, whatever its row says by now."""

    def _change(self, seen: Any, **changes: Any) -> None:
        if self._watched:
            self.server = self.server._replace(**changes)


class Unwatched(Operated):
    """A faulty server: it executes statements that were meant for the server before its restart."""

    def _change(self, seen: Any, **changes: Any) -> None:
        self._watched = True
        super()._change(seen, **changes)


def rowless(bounds: Bounds) -> World:
    return World(switchover, bounds, operated=Rowless)


def unwatched(bounds: Bounds) -> World:
    return World(switchover, bounds, operated=Unwatched)


def by_numbers(bounds: Bounds) -> World:
    made = changed(mariadb_gtids, "{(gtid.domain, gtid.server): gtid.number for gtid in self.state}", "Numbers(self)")
    last = {"get": lambda self, key, _: max(gtid.number for gtid in self.rows.state if gtid.domain == key[0])}
    made.__dict__["Numbers"] = type("Numbers", (), {"__init__": lambda self, rows: setattr(self, "rows", rows), **last})
    return World(switchover, bounds, rows=made.MariadbRows)


def in_spite_of_other_rows(bounds: Bounds) -> World:
    made = changed(mariadb_gtids, "        return self.lacking(of)", '        return ""')
    return World(switchover, bounds, rows=made.MariadbRows)


def unasked(bounds: Bounds) -> World:
    """A faulty server: it opens by its own row when it starts, as in 0.1.0."""

    def start(row: Any, theirs: Any, *, site: str, **others: Any) -> str:
        done = settle(row, theirs, site=site, **others)
        return "open" if done in ("again", "relinquish") and row[0] == site else done

    return World(switchover, bounds, start=start)


def trusting(bounds: Bounds) -> World:
    """A faulty server: it opens at its start although the other one, closed, claims an earlier term."""

    def start(row: Any, theirs: Any, **others: Any) -> str:
        done = settle(row, theirs, **others)
        return "open" if done == "again" and theirs and theirs[2] else done

    return World(switchover, bounds, start=start)


KILLS = ("kill",)
GONE = Bounds(runs=1, faults=1, rows=0, kinds=("line",), begins="gone", shapes=(0,))

OLD_RUN = Bounds(runs=1, faults=1, rows=0, words=True, kinds=KILLS, begins="closed", shapes=(1,))

FAULTS: dict[str, tuple[Callable[[Bounds], World], Bounds]] = {
    "taken from one that is open": (
        fault(
            'if _may_write(theirs):\n        return Wait(f"{other} is not read',
            'if False:\n        return Wait(f"{other} is not read',
        ),
        Bounds(runs=1, faults=0, rows=1),
    ),
    "taken without all rows": (
        fault("if own.rows.lacking(theirs.rows):", "if False:"),
        Bounds(runs=1, faults=0, rows=1),
    ),
    "rows compared by numbers": (by_numbers, Bounds(runs=1, faults=0, rows=1, begins="lost")),
    "given in spite of other rows": (
        in_spite_of_other_rows,
        Bounds(runs=1, faults=0, rows=1, begins="lost"),
    ),
    "failover.at ignored": (
        fault("if _gtids(switchover.at) != _gtids(end):", "if False:"),
        Bounds(runs=1, faults=1, rows=1, words=True, kinds=KILLS, shapes=(1,)),
    ),
    "the word counts while the channel runs": (
        fault("if own.channel and own.channel.receives:", "if False:"),
        Bounds(runs=1, faults=1, rows=0, words=True, kinds=("line",), shapes=(1,)),
    ),
    "the word counts though the site answers": (
        fault(
            "    wanted = switchover.primary == site\n",
            "    wanted = switchover.primary == site\n"
            "    theirs = Silence('', lasting=True) if switchover.without == other else theirs\n",
        ),
        Bounds(runs=1, faults=1, rows=0, words=True, kinds=("line",), shapes=(1,)),
    ),
    "opened without asking": (
        fault(
            '        if switchover.without != other:\n            return Wait(\n                f"{other} does not say',
            '        if False:\n            return Wait(\n                f"{other} does not say',
        ),
        GONE,
    ),
    "opened while the other claims": (
        fault("    if theirs.token.site == other:\n        # What", "    if False:\n        # What"),
        Bounds(runs=1, faults=1, rows=0, words=True, kinds=KILLS, shapes=(1,)),
    ),
    "events enabled though nobody says which are off": (
        fault("RunEvents(alone=switchover.without == other)", "RunEvents(alone=True)"),
        Bounds(runs=1, faults=1, rows=0, events=True, kinds=("line",), shapes=(PAIR,)),
    ),
    "changed whatever its row says": (rowless, Bounds(runs=1, faults=0, rows=0, begins="closed", shapes=(PAIR,))),
    "changed though it has started anew": (unwatched, OLD_RUN),
    "a start that asks nobody": (unasked, Bounds(runs=0, faults=0, rows=0, begins="gone")),
    "a start that trusts a closed server": (
        trusting,
        Bounds(runs=1, faults=2, rows=0, words=True, kinds=KILLS, shapes=(1,)),
    ),
}
"""Faults in the code, each with the limits of the search that finds it."""


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(name: str) -> None:
    world, bounds = FAULTS[name]
    found, _ = search(world(bounds))
    assert found


DEAD_ENDS = {
    "a role that is not given back": ("if theirs.token.term >= own.token.term:", "if False:"),
    "a role given back under the old term": ("term=theirs.token.term + 1))", "term=theirs.token.term))"),
    "one that gets its role back is fenced": ("if _may_write(own) and not kept_open:", "if _may_write(own):"),
    "nobody is fenced": ("if _may_write(own) and not kept_open:", "if False:"),
}


@pytest.mark.parametrize("name", DEAD_ENDS)
def test_a_fault_that_leads_nowhere_is_found(name: str) -> None:
    world = fault(*DEAD_ENDS[name])(Bounds(runs=1, faults=0, rows=0))
    _, known = search(world)
    away = led_on(world, world.begin(), PAIR, 1)
    assert stuck(world, known) or not (leads(away) and away[1].open)


# --- what starts -----------------------------------------------------------------------------------------------------

STUBS = r"""
own() { [ "$1" != "SHOW SLAVE STATUS" ] || echo "$FOLLOWS"; }
open() { echo open >&3; exit; }
relinquish() { echo "relinquish $1 $2" >&3; exit; }
sleep() { if [ "$((turns++))" -ge "$TURNS" ]; then echo again >&3; exit; fi; }
say() { :; }
ask_token() {
  local of=OWN
  [ "$1" = own ] || of=THEIRS
  [ "${!of}" ] || { answer="$SAYS"; return 1; }
  read -r site term read_only <<<"${!of}"
}
mariadb() { cat >/dev/null; echo follow >&3; exit; }
cat() { if [ "${1-}" = /etc/dcmesh/role/without ]; then echo "$WITHOUT"; else command cat; fi; }
fresh= turns=0 SAYS="ERROR 2002 (HY000)" SITE=dc1 SOURCE_SITE=dc2 run=/ socket=/
"""


@pytest.fixture(scope="module")
def loop() -> str:
    """The function `settle` of mariadb_start.sh."""
    found = re.search(r"^settle\(\) \{\n.*?^\}\n", START.read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return found[0]


OWN = [None, ("dc1", 4, True), ("dc1", 4, False), ("dc2", 5, True)]
THEIRS = [
    None,
    ("dc1", 3, True),
    ("dc1", 5, True),
    ("dc1", 4, False),
    ("dc2", 2, True),
    ("dc2", 6, True),
    ("dc2", 6, False),
]


def test_what_starts_does_as_it_is_searched(loop: str) -> None:
    """The script's own loop, with fakes for what it calls, in every situation.

    Many run at the same time, as bash is slow.
    """
    cases = list(product(OWN, THEIRS, (True, False), (True, False)))
    script = ["set -euo pipefail\nexec 3>&1", STUBS, loop]
    wanted = []
    for own, theirs, follows, without in cases:
        row = {
            "OWN": " ".join(str(int(part) if isinstance(part, bool) else part) for part in own or ()),
            "THEIRS": " ".join(str(int(part) if isinstance(part, bool) else part) for part in theirs or ()),
            "FOLLOWS": "yes" if follows else "",
            "WITHOUT": "dc2" if without else "",
            "TURNS": "70" if theirs is None else "3",
        }
        words = " ".join(f"{name}='{value}'" for name, value in row.items())
        script.append(f"({words}; settle && echo end >&3)")
        done = settle(own, theirs, site="dc1", follows=follows, yielded=False, silent=True, without=without)
        wanted.append(f"relinquish {theirs[0]} {theirs[1]}" if done == "relinquish" and theirs else done)
    said = subprocess.run(["bash", "-c", "\n".join(script)], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == wanted


def test_what_starts_follows_once_it_has_given_up_its_claim(loop: str) -> None:
    """After its `relinquish` the row names the other site."""
    stubs = STUBS.replace('relinquish() { echo "relinquish $1 $2" >&3; exit; }', 'relinquish() { OWN="dc2 6 1"; }')
    script = ["set -euo pipefail\nexec 3>&1\nWITHOUT= TURNS=5 OWN='dc1 4 1' THEIRS='dc2 6 0'", stubs, loop]
    for follows in ("", "yes"):
        said = subprocess.run(
            ["bash", "-c", "\n".join([*script, f"FOLLOWS={follows}", "settle && echo end >&3"])],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        row = ("dc2", 6, True)
        assert said.splitlines()[0] == settle(
            row, None, site="dc1", follows=bool(follows), yielded=True, silent=False, without=False
        )


@pytest.mark.parametrize(
    ("says", "done"),
    [
        ("ERROR 2002 (HY000)", "open"),
        ("no answer within 10 s", "open"),
        ("ERROR 1040 (08004)", "again"),
        ("says what cannot be: ERROR 2", "again"),
    ],
)
def test_the_word_counts_for_whom_nobody_reaches_alone(loop: str, says: str, done: str) -> None:
    stubs = STUBS.replace("ERROR 2002 (HY000)", says)
    script = ["set -euo pipefail\nexec 3>&1\nWITHOUT=dc2 TURNS=70 OWN='dc1 4 1' THEIRS= FOLLOWS=", stubs, loop]
    said = subprocess.run(
        ["bash", "-c", "\n".join([*script, "settle && echo end >&3"])], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == done
