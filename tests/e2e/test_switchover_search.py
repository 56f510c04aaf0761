"""The whole search of the switchover's states, over 10⁶ of them. It needs no lab. tests/unit has a small part of it."""

import pytest

from dcmesh.databases import switchover
from tests.unit.dcmesh.databases import pxc_world
from tests.unit.dcmesh.databases.state_search import search
from tests.unit.dcmesh.databases.switchover_world import PAIR, Bounds, World, stuck

PROVES = (
    "dcmesh/databases/switchover.py",
    "dcmesh/databases/mariadb_gtids.py",
    "components/databases/mariadb_start.sh",
    "tests/unit/dcmesh/databases/switchover_world.py",
    "tests/unit/dcmesh/databases/state_search.py",
)

ALL = {
    "a run with a word, and a lost volume": Bounds(runs=1, faults=1, rows=2, words=True, volumes=1),
    "a run with a word, and two faults": Bounds(runs=1, faults=2, rows=1, words=True),
    "a run with events, and three faults": Bounds(
        runs=1, faults=3, rows=1, events=True, kinds=("kill", "fails", "hand"), shapes=(0, PAIR)
    ),
    "two runs, an old one among them": Bounds(runs=2, faults=0, rows=0, shapes=(PAIR,)),
    "a run of each site with kills": Bounds(runs=2, faults=1, rows=0, kinds=("kill",), shapes=(0, 1)),
    "a return after a failover": Bounds(runs=1, faults=1, rows=1, begins="gone", shapes=(0, PAIR)),
}
MOST = 300_000
"""How many states of each start are searched."""


@pytest.mark.soak(proves=PROVES)
def test_nothing_comes_about_that_must_not_be() -> None:
    """The number of searched states is printed, as a bound may need more than MOST."""
    looked_at = 0
    for name, bounds in ALL.items():
        world = World(switchover, bounds)
        found, known = search(world, MOST)
        print(f"{name}: {len(known)} states")
        assert not found, name
        looked_at += len(known)
    assert looked_at > 1_000_000


@pytest.mark.soak(proves=PROVES)
@pytest.mark.parametrize(
    "bounds",
    [
        Bounds(runs=1, faults=1, rows=1),
        Bounds(runs=1, faults=1, rows=1, volumes=1, kinds=("kill",), shapes=(1, PAIR)),
        Bounds(runs=1, faults=1, rows=0, events=True, kinds=("kill", "hand")),
        Bounds(runs=1, faults=1, rows=1, begins="gone", kinds=("kill",), shapes=(0,)),
    ],
    ids=["faults", "a lost volume", "events", "a return"],
)
def test_there_is_an_up_that_leads_to_a_primary(bounds: Bounds) -> None:
    world = World(switchover, bounds)
    _, known = search(world)
    assert stuck(world, known) is None


PXC_PROVES = (
    "dcmesh/databases/switchover.py",
    "dcmesh/databases/pxc_server.py",
    "dcmesh/databases/mysql_gtids.py",
    "components/databases/pxc_hold.sh",
    "tests/unit/dcmesh/databases/pxc_world.py",
    "tests/unit/dcmesh/databases/state_search.py",
)

PXC_ALL = {
    "two `up`s, and rows": pxc_world.Bounds(runs=2, rows=1),
    "two `up`s with what is left of the first": pxc_world.Bounds(runs=2, commands=True),
    "two nodes, and a restart": pxc_world.Bounds(nodes=2, faults=1, kinds=("restart",)),
    "a busy operator, and two restarts": pxc_world.Bounds(busy=True, faults=2, kinds=("restart",)),
    "a site that goes, and a word": pxc_world.Bounds(words=True, rows=1, faults=1, kinds=("gone",)),
    "a failover of three nodes": pxc_world.Bounds(nodes=3, words=True, begins="away"),
    "a failover with what is left of it": pxc_world.Bounds(words=True, begins="away", commands=True, rows=1),
    "a false word": pxc_world.Bounds(words=True, rows=1, faults=2, kinds=("line", "mute")),
    "a return, and a word": pxc_world.Bounds(begins="gone", rows=1, words=True, kinds=()),
    "a return": pxc_world.Bounds(begins="gone", runs=2, rows=1),
    "a row that was given up": pxc_world.Bounds(begins="lost", runs=2, rows=1),
    # This run has looked at the servers already. According to the docs, none may run that has not.
    "what is left of one that was taken back": pxc_world.Bounds(words=True, begins="left"),
}
PXC_MOST = 120_000


@pytest.mark.soak(proves=PXC_PROVES)
def test_nothing_comes_about_of_xtradb_clusters_that_must_not_be() -> None:
    looked_at = 0
    for name, bounds in PXC_ALL.items():
        found, known = search(pxc_world.World(bounds), PXC_MOST)
        print(f"{name}: {len(known)} states")
        assert not found, name
        looked_at += len(known)
    assert looked_at > 500_000


@pytest.mark.soak(proves=PXC_PROVES)
def test_a_promise_that_is_like_the_one_before_is_found() -> None:
    """An old run that goes on withdraws the promise, and then both sites are open."""
    code = pxc_world.Code()
    code.server.new_promise = lambda: pxc_world.PROMISED
    found, _ = search(pxc_world.World(pxc_world.Bounds(words=True, begins="left"), code))
    assert found
