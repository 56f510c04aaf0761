"""In any order of events, two XtraDB clusters never write at the same time, and no committed row is lost.

The search runs the real code, dcmesh/databases/pxc_server.py and switchover.py: see pxc_world.py. A small part is
searched here, and the whole by tests/e2e/test_switchover_search.py, which belongs to soak.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import pytest

from dcmesh.databases import pxc_server, switchover
from tests.unit.components.databases.test_pxc_hold import OPEN, REPLICA, SISTERS, STARTED, THEIRS, Node, own
from tests.unit.dcmesh.databases.pxc_world import ALONE, Bounds, Code, P, R, State, World, hold
from tests.unit.dcmesh.databases.state_search import search

SMALL = {
    "one run": Bounds(rows=1),
    "two nodes": Bounds(nodes=2),
    "a busy operator": Bounds(busy=True),
    "a restart": Bounds(faults=1, kinds=("restart",)),
    "an API that does not answer": Bounds(faults=1, kinds=("mute",), words=True),
    "a failover": Bounds(begins="away", words=True),
    "a failover with rows that are lost": Bounds(begins="behind", words=True),
    "a return": Bounds(begins="gone", rows=1),
    "a return, and failover.without": Bounds(begins="gone", rows=1, words=True, kinds=()),
    "a row that was given up": Bounds(begins="lost", rows=1),
}


@pytest.mark.parametrize("bounds", SMALL.values(), ids=SMALL)
def test_nothing_comes_about_that_must_not_be(bounds: Bounds) -> None:
    found, known = search(World(bounds))
    assert not found
    assert len(known) > 100


@pytest.mark.parametrize(
    ("bounds", "to"),
    [(Bounds(), 1), (Bounds(begins="away", words=True), 1)],
    ids=["planned", "a failover"],
)
def test_a_switchover_comes_about(bounds: Bounds, to: int) -> None:
    found, known = search(World(bounds))
    assert not found
    assert any(state.sites[to].open for state in known)


class Remembered:
    """A world, with the successors of each state that was searched."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.after: dict[State, list[State]] = {}

    def begin(self) -> State:
        return self._world.begin()

    def successors(self, state: State) -> Iterator[State]:
        after = self.after[state] = []
        for one in self._world.successors(state):
            after.append(one)
            yield one


def dead_ends(after: dict[State, list[State]]) -> list[State]:
    """Return the states in which an `up` may still be begun, and from which none leads to a site that takes writes."""
    before = defaultdict[State, list[State]](list)
    for state, following in after.items():
        for one in following:
            before[one].append(state)
    waiting = [state for state in after if any(site.open for site in state.sites)]
    alive = set(waiting)
    while waiting:
        for state in before[waiting.pop()]:
            if state not in alive:
                alive.add(state)
                waiting.append(state)
    return [state for state in after.keys() - alive if state.more_runs]


def test_whatever_has_come_about_there_is_an_up_that_leads_to_a_primary() -> None:
    """Nobody can write if the first `up` was killed between the two resources, or has refused the second change."""
    world = Remembered(World(Bounds(runs=2)))
    found, known = search(world)
    assert not found
    assert known == world.after.keys()
    assert any(state.more_runs and not any(site.open for site in state.sites) for state in known)
    assert not dead_ends(world.after)


# --- faults that are put in, and found -------------------------------------------------------------------------------


def fault(old: str, new: str, *, of: Any = pxc_server) -> Callable[[Bounds], World]:
    return lambda bounds: World(bounds, Code((of, old, new)))


def promising_nothing(bounds: Bounds) -> World:
    told = "                    self._cluster.mark(ordinal, self._promise)\n"
    return World(
        bounds, Code((pxc_server, told, ""), (pxc_server, "        if self._promise:\n", "        if False:\n"))
    )


def held(changed: Callable[..., bool]) -> Callable[[Bounds], World]:
    return lambda bounds: World(bounds, held=changed)


def trusting(*, theirs: tuple[str, ...], **others: Any) -> bool:
    """A fault: a closed server that only promised to take over is taken for a replica's."""
    return hold(theirs=tuple("replica" if said == "closed" else said for said in theirs), **others)


RETURNED = '\n            raise pulumi.RunError(\n                f"{self._site}: {self._other}'


AWAY = Bounds(words=True, begins="away")

FAULTS: dict[str, tuple[Callable[[Bounds], World], Bounds]] = {
    "the operator may not have seen it": (
        fault("read_only=resource.observed and enough", "read_only=enough"),
        Bounds(faults=1, kinds=("restart",)),
    ),
    "open nodes are not asked for": (fault("and all(node.closed for node in nodes)", ""), Bounds()),
    "rows are not asked for": (fault("if own.rows.lacking(theirs.rows):", "if False:", of=switchover), Bounds(rows=1)),
    "nothing is promised": (promising_nothing, AWAY),
    "the lost site is not checked once more": (
        fault("        self._taken = token\n", "        raise _Permitted\n"),
        AWAY,
    ),
    "a site that has returned leads": (
        fault(
            f"        if theirs.token.site == self._other:{RETURNED} is a primary by",
            f"        if False:{RETURNED} is a",
        ),
        Bounds(begins="gone", rows=1),
    ),
    "the old primary is not asked": (
        fault("    if not wanted and takes_writes(theirs):", "    if not wanted:"),
        Bounds(begins="gone", rows=1),
    ),
    "failover.without counts while the channel runs": (
        fault("if own.channel and own.channel.receives:", "if False:", of=switchover),
        Bounds(words=True, faults=1, kinds=("mute",)),
    ),
    "failover.without counts for a site that is open": (
        fault("and switchover.without == other and takes_writes(theirs):", "and False:"),
        Bounds(begins="gone", rows=1, words=True, kinds=()),
    ),
    "failover.at ignored": (
        fault("if _gtids(switchover.at) != _gtids(end):", "if False:", of=switchover),
        Bounds(words=True, begins="behind"),
    ),
    "nobody is held": (held(lambda **_: True), Bounds(runs=0, begins="gone")),
    "a site that has promised counts as a replica": (held(trusting), AWAY),
}
"""Faults in the code, each with the limits of the search that finds it."""


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(name: str) -> None:
    world, bounds = FAULTS[name]
    found, _ = search(world(bounds))
    assert found


def test_a_fault_that_leads_nowhere_is_found() -> None:
    """A replica is taken for a primary that has returned: neither site is promoted."""
    line = f"        if theirs.token.site == self._other:{RETURNED} is there,"
    world = Remembered(fault(line, f"        if True:{RETURNED} is there,")(Bounds(runs=2)))
    search(world)
    assert dead_ends(world.after)


# --- what holds a node -----------------------------------------------------------------------------------------------

SAYS = {"open": OPEN, "replica": REPLICA, "closed": STARTED, "silent": ""}


@pytest.mark.parametrize("role", [R, P, ALONE])
@pytest.mark.parametrize("read_only", [True, False])
def test_what_holds_a_node_does_as_it_is_searched(tmp_path: Path, role: str, *, read_only: bool) -> None:
    """The script itself, with every answer that a primary's node can get, now and after its waiting time."""
    words = {R: "replica", P: " ".join(("primary", "dc2", *THEIRS[:2])), ALONE: "primary"}[role]
    asks = role == P and read_only
    cases = [(said, "closed") for said in combinations_with_replacement(SAYS, 2 if asks else 1)]
    cases += [(said, "open") for said in (("replica", "replica"), ("open", "replica"), ("silent", "silent"))]
    for number, (theirs, sister) in enumerate(cases if asks else cases[:1]):
        directory = tmp_path / str(number)
        directory.mkdir()
        says = {"127.0.0.1": own(read_only=read_only), SISTERS[0]: SAYS[sister]}
        says |= {host: SAYS[said] for host, said in zip(THEIRS, theirs, strict=False) if SAYS[said]}
        looks = Node(directory, role=words, says=says).looks({})
        wanted = [
            hold(role=role, read_only=read_only, freed=False, theirs=theirs, sisters=[sister], long=long)
            for long in (False, True)
        ]
        assert [verdict == "free" for verdict, _ in looks] == wanted, (theirs, sister)


def test_what_was_let_go_stays_free_as_it_is_searched(tmp_path: Path) -> None:
    node = Node(tmp_path, role=" ".join(("primary", "dc2", *THEIRS)), says={"127.0.0.1": own(read_only=False)})
    looks = node.looks({"127.0.0.1": own(read_only=True, up_for=102), THEIRS[0]: OPEN})
    assert [verdict == "free" for verdict, _ in looks] == [
        hold(role=P, read_only=False, freed=False, theirs=(), sisters=()),
        hold(role=P, read_only=True, freed=True, theirs=("open",), sisters=()),
    ]
