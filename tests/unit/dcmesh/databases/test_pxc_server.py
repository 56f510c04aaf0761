"""XtraDB's side of a switchover: the checks before a cluster's resource is changed, and the work after that."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pulumi
import pytest

from components.databases.pxc import HOLD_SCRIPT
from dcmesh.databases import pxc_cluster, pxc_server
from dcmesh.databases.mysql_gtids import MysqlRows
from dcmesh.databases.pxc_cluster import PROMISED, REPLICA, Node, Resource
from dcmesh.databases.pxc_server import hand_over, sides_of
from dcmesh.databases.switchover import SILENCE, Channel, Clock, NoAnswer, NotSilent, switch_over
from dcmesh.databases.switchover_dry_run import foreseen
from dcmesh.model.switchover import Switchover

X, Y, LOCAL = (f"{n}e11fa47-71ca-11e1-9e33-c80aa9429562" for n in "345")
TO_DC1, TO_DC2 = Switchover(primary="dc1"), Switchover(primary="dc2")
LOST = replace(TO_DC2, without="dc1", at=f"{X}:1-7")

RUNS = Channel(receives=True, applies=True)
STOPPED = Channel(receives=False, applies=False)


def node(
    *, read_only: bool = True, rows: str = f"{X}:1-7", channel: Channel | None = None, mark: int = REPLICA
) -> Node:
    return Node(read_only=read_only, events=not read_only, mark=mark, rows=MysqlRows.parse(rows), channel=channel)


OPEN, CLOSED, FOLLOWS = node(read_only=False, mark=0), node(), node(channel=RUNS)


def resource(*, source: bool, observed: bool = True) -> Resource:
    return Resource(source=source, observed=observed, nodes=3, channel="dcmesh")


class Time(Clock):
    """A clock that advances when somebody sleeps, and then lets something happen."""

    def __init__(self) -> None:
        object.__setattr__(self, "seconds", 0.0)
        object.__setattr__(self, "then", lambda: None)
        super().__init__(now=self._now, sleep=self._sleep)

    seconds: float
    then: Callable[[], None]

    def _now(self) -> float:
        object.__setattr__(self, "seconds", self.seconds + 0.001)
        assert self.seconds < 5000, "the run does not end"
        return self.seconds

    def _sleep(self, seconds: float) -> None:
        object.__setattr__(self, "seconds", self.seconds + seconds)
        self.then()

    def each(self, then: Callable[[], None]) -> None:
        object.__setattr__(self, "then", then)


@dataclass
class Fake:
    """A fake cluster. `told` has the statements that it got."""

    found: Resource | None
    nodes: list[Node]
    down: set[int] = field(default_factory=set)
    silent: NoAnswer | None = None
    away: bool = False
    """Whether its API does not answer, too."""
    idle: bool = False
    is_ready: set[int] = field(default_factory=set)
    told: list[tuple[str, int]] = field(default_factory=list)

    def resource(self) -> Resource | None:
        if self.away:
            raise NoAnswer("no route to host")
        return self.found

    def node(self, ordinal: int) -> Node:
        self._speaks(ordinal)
        return self.nodes[ordinal]

    def writer(self) -> Node:
        self._speaks(0)
        return self.nodes[0]

    def ready(self, ordinal: int) -> bool:
        return ordinal in self.is_ready

    def mark(self, ordinal: int, size: int) -> None:
        self._speaks(ordinal)
        self.told.append((f"mark {size}", ordinal))
        self.nodes[ordinal] = replace(self.nodes[ordinal], mark=size)

    def unmark(self, ordinal: int, seen: int) -> None:
        assert self.nodes[ordinal].mark == seen
        self.mark(ordinal, REPLICA)

    def start_channel(self, channel: str) -> None:
        self.told.append((f"start {channel}", 0))
        self.nodes[0] = replace(self.nodes[0], channel=RUNS)

    def drop_channel(self, ordinal: int, channel: str) -> None:
        self._speaks(ordinal)
        self.told.append((f"drop {channel}", ordinal))
        self.nodes[ordinal] = replace(self.nodes[ordinal], channel=None)

    def idle_events(self, nodes: int) -> bool:
        return self.idle

    def _speaks(self, ordinal: int) -> None:
        if self.away:
            raise NoAnswer("no route to host")
        if self.silent:
            raise self.silent
        if ordinal in self.down:
            raise NoAnswer("error 2003")

    def are(self, **changes: object) -> None:
        self.nodes = [replace(one, **changes) for one in self.nodes]  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _one_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pxc_server, "new_promise", lambda: PROMISED)


def test_each_promise_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other site takes no promise for a replica's mark."""
    monkeypatch.undo()
    promises = {pxc_server.new_promise() for _ in range(50)}
    assert len(promises) > 10
    assert min(promises) >= PROMISED > REPLICA


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def old() -> Fake:
    """The old primary after its operator has made it a replica."""
    return Fake(resource(source=False), [CLOSED] * 3)


@pytest.fixture
def new() -> Fake:
    """The primary to be."""
    return Fake(resource(source=False), [FOLLOWS, CLOSED, CLOSED])


def refused(own: Fake, other: Fake, time: Time, wanted: Switchover = TO_DC2) -> str:
    """Return why dc2's resource may not be changed; empty if it may."""
    try:
        hand_over(wanted, "dc2", "dc1", (own, other), time)
    except pulumi.RunError as error:
        return str(error)
    return ""


# --- before the new primary's resource -------------------------------------------------------------------------------


def test_it_may_when_the_other_is_closed_and_its_rows_are_here(old: Fake, new: Fake, time: Time) -> None:
    assert refused(new, old, time) == ""
    assert new.told == old.told == []


def test_rows_are_waited_for(old: Fake, new: Fake, time: Time) -> None:
    new.are(rows=MysqlRows.parse(f"{X}:1-5"))
    time.each(lambda: new.are(rows=MysqlRows.parse(f"{X}:1-7")) if time.seconds > 60 else None)
    assert refused(new, old, time) == ""
    assert time.seconds > 60


def test_a_node_is_waited_for_until_it_is_closed(old: Fake, new: Fake, time: Time) -> None:
    old.nodes[2] = OPEN
    time.each(lambda: old.are(read_only=True, events=False) if time.seconds > 60 else None)
    assert refused(new, old, time) == ""
    assert time.seconds > 60


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda old: old.nodes.__setitem__(1, OPEN), "dc1 is not read-only yet"),
        (lambda old: old.nodes.__setitem__(1, replace(CLOSED, events=True)), "dc1 is not read-only yet"),
        (lambda old: setattr(old, "found", resource(source=False, observed=False)), "dc1 is not read-only yet"),
        (lambda old: setattr(old, "found", None), "dc1 is there, and does not say what is to be known (it has no cl"),
        (lambda old: setattr(old, "found", resource(source=True)), "dc1 is there, and the primary by its resource"),
        (lambda old: old.down.add(2), "dc1 is there, and does not say what is to be known (error 2003)"),
    ],
    ids=["open", "events", "not observed", "no cluster", "a source", "a silent node"],
)
def test_it_may_not_while_the_other_could_take_writes(
    old: Fake, new: Fake, time: Time, change: Callable[[Fake], None], reason: str
) -> None:
    change(old)
    assert refused(new, old, time).startswith(f"dc2: {reason}")
    assert new.told == []


def test_what_the_operator_did_last_is_asked_for_before_the_nodes(old: Fake, new: Fake, time: Time) -> None:
    """Otherwise the operator could open a node after that was asked."""
    asked = list[str]()
    found, ask = old.resource, old.node
    old.resource = lambda: (asked.append("resource"), found())[1]  # type: ignore[method-assign]
    old.node = lambda n: (asked.append(f"{n}"), ask(n))[1]  # type: ignore[method-assign]
    refused(new, old, time)
    assert asked[:4] == ["resource", "0", "1", "2"]


def test_it_may_not_without_the_others_rows(old: Fake, new: Fake, time: Time) -> None:
    new.are(rows=MysqlRows.parse(f"{X}:1-5"))
    assert refused(new, old, time).startswith(
        f"dc2: has rows up to {X}:1-5, and dc1 up to {X}:1-7: nothing is promoted"
    )
    new.nodes[0] = replace(new.nodes[0], channel=replace(STOPPED, error=1062))
    new.start_channel = lambda channel: new.told.append((f"start {channel}", 0))  # type: ignore[method-assign]
    said = refused(new, old, time)
    assert "nothing is promoted (its channel has stopped: error 1062)" in said
    assert new.told == [("start dcmesh", 0)], "it was tried once"


def test_a_role_is_taken_back_from_one_that_lags(old: Fake, new: Fake, time: Time) -> None:
    """The other lacks rows that this one wrote before, but gets them as soon as it follows."""
    new.are(rows=MysqlRows.parse(f"{X}:1-9,{Y}:1"))
    assert refused(new, old, time) == ""


def test_a_resource_that_names_no_nodes_says_nothing(old: Fake, new: Fake, time: Time) -> None:
    old.found = replace(resource(source=False), nodes=0)
    assert "its resource names no nodes" in refused(new, old, time)


def test_a_channel_that_is_not_there_yet_is_waited_for(old: Fake, new: Fake, time: Time) -> None:
    new.nodes = [node(rows=f"{X}:1-5")] * 3

    def operator() -> None:
        if time.seconds > 20:
            new.nodes = [FOLLOWS, CLOSED, CLOSED]

    time.each(operator)
    assert refused(new, old, time) == ""


def test_the_one_that_is_the_primary_asks_nobody(old: Fake, new: Fake, time: Time) -> None:
    """An `up` of a site must not depend on the other for good."""
    new.found, old.away = resource(source=True), True
    assert refused(new, old, time) == ""
    assert time.seconds == 0


def test_one_that_has_returned_is_not_opened_by_a_word_beside_one_that_takes_writes(
    old: Fake, new: Fake, time: Time
) -> None:
    """Its resource still makes it a source."""
    new.found, new.nodes = resource(source=True), [node(mark=0)] * 3
    old.found, old.nodes = resource(source=True), [OPEN] * 3
    assert refused(new, old, time, LOST).startswith("dc2: dc1 is there, and takes writes: nothing is changed.")
    old.away = True
    assert refused(new, old, time, LOST) == ""


def test_what_is_open_still_is_named(old: Fake, new: Fake, time: Time) -> None:
    old.found = resource(source=False, observed=False)
    old.nodes = [CLOSED, OPEN, replace(CLOSED, events=True)]
    why = "(node 1 is open, node 2 runs events, its operator has not made it a replica yet)"
    assert refused(new, old, time).endswith(why)


def test_a_cluster_that_begins_waits_for_no_rows(old: Fake, new: Fake, time: Time) -> None:
    new.found, new.silent = None, NoAnswer("there is no pod")
    assert refused(new, old, time) == ""
    old.nodes[0] = replace(CLOSED, rows=MysqlRows.parse(f"{LOCAL}:1"))
    assert refused(new, old, time) == ""
    old.nodes[0] = OPEN
    assert "dc1 is not read-only yet" in refused(new, old, time)


def test_a_cluster_that_begins_takes_over_from_no_site_that_is_gone(old: Fake, new: Fake, time: Time) -> None:
    new.found, old.away = None, True
    assert "nothing of it was ever applied here" in refused(new, old, time, replace(LOST, at=""))


def test_histories_that_not_all_nodes_have_are_not_waited_for(old: Fake, new: Fake, time: Time) -> None:
    old.nodes = [node(rows=rows) for rows in (f"{X}:1-7,{LOCAL}:1-2", f"{X}:1-8", f"{Y}:1,{X}:1-7")]
    assert f"and dc1 up to {X}:1-8: nothing is promoted" in refused(new, old, time)
    new.are(rows=MysqlRows.parse(f"{X}:1-8"))
    assert refused(new, old, time) == ""


def test_nodes_that_have_nothing_in_common_tell_nothing(old: Fake, new: Fake, time: Time) -> None:
    old.nodes[1] = node(rows="")
    assert "does not say what is to be known (its nodes have no common history)" in refused(new, old, time)


def test_one_that_is_open_still_and_is_to_lead_again_is_not_closed(old: Fake, new: Fake, time: Time) -> None:
    """Its resource was changed and changed back before its operator closed it."""
    new.nodes = [OPEN] * 3
    assert refused(new, old, time) == ""


# --- before the old primary's ----------------------------------------------------------------------------------------


def kept(own: Fake, other: Fake, time: Time) -> str:
    """Return why dc1's resource may not make it a replica; empty if it may."""
    try:
        hand_over(TO_DC2, "dc1", "dc2", (own, other), time)
    except pulumi.RunError as error:
        return str(error)
    return ""


@pytest.fixture
def primary(old: Fake) -> Fake:
    old.found, old.nodes = resource(source=True), [OPEN] * 3
    return old


def test_a_primary_is_closed_when_the_other_can_take_over(primary: Fake, new: Fake, time: Time) -> None:
    assert kept(primary, new, time) == ""
    assert primary.told == new.told == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda new: setattr(new, "away", True), "dc2 does not answer (no route to host): nothing is changed"),
        (lambda new: setattr(new, "found", None), "dc2 does not answer (it has no cluster yet): nothing is changed"),
        (lambda new: new.are(rows=MysqlRows.parse(f"{X}:1-6")), "dc2 is behind, and does not catch up"),
        (lambda new: new.are(rows=MysqlRows.parse(f"{X}:1-8")), f"dc2 has transactions that dc1 has not ({X}:8)"),
    ],
    ids=["silent", "no cluster", "behind", "rows of its own"],
)
def test_a_primary_stays_open_while_the_other_cannot_take_over(
    primary: Fake, new: Fake, time: Time, change: Callable[[Fake], None], reason: str
) -> None:
    change(new)
    assert kept(primary, new, time).startswith(f"dc1: {reason}")


def test_what_a_node_has_for_itself_alone_does_not_count(primary: Fake, new: Fake, time: Time) -> None:
    primary.nodes[0] = replace(OPEN, rows=MysqlRows.parse(f"{X}:1-7,{LOCAL}:1-2"))
    assert kept(primary, new, time) == ""


@pytest.mark.parametrize(("down", "enough"), [({1}, True), ({1, 2}, False)])
def test_most_nodes_of_the_one_that_takes_over_are_enough(
    primary: Fake, new: Fake, time: Time, down: set[int], *, enough: bool
) -> None:
    new.down = down
    assert (kept(primary, new, time) == "") == enough


def test_a_replica_that_wrote_for_itself_alone_can_take_over(primary: Fake, new: Fake, time: Time) -> None:
    new.are(rows=MysqlRows.parse(f"{X}:1-7,{LOCAL}:1-3"))
    assert kept(primary, new, time) == ""


def test_one_that_is_a_replica_or_is_not_there_becomes_one_unasked(old: Fake, new: Fake, time: Time) -> None:
    new.away = True
    assert kept(old, new, time) == ""
    old.found = None
    assert kept(old, new, time) == ""


def test_one_that_returns_becomes_a_replica_though_its_servers_do_not_run(primary: Fake, new: Fake, time: Time) -> None:
    """Its servers wait for recovery, and are held until it is a replica."""
    primary.silent = NoAnswer("error 2003")
    assert "its own server does not answer (error 2003)" in kept(primary, new, time)
    new.found, new.nodes = resource(source=True), [OPEN] * 3
    assert kept(primary, new, time) == ""


def test_one_that_has_only_returned_does_not_lead(primary: Fake, new: Fake, time: Time) -> None:
    """Its own resource would open it, without the rows that are committed until then."""
    new.found, new.down = resource(source=True), {1}
    said = kept(primary, new, time)
    assert said.startswith("dc1: dc2 is a primary by its resource as well, and takes no writes: nothing is changed.")


def test_a_cluster_whose_api_does_not_answer_is_not_changed(primary: Fake, new: Fake, time: Time) -> None:
    primary.away = True
    said = "dc1: cannot be asked (no route to host): nothing is changed, run `pulumi up` again"
    assert kept(primary, new, time) == said


# --- unplanned -------------------------------------------------------------------------------------------------------


@pytest.fixture
def lost(old: Fake, new: Fake) -> Fake:
    """The old primary, which is gone. The other's channel has noticed."""
    old.away = True
    new.nodes[0] = replace(CLOSED, channel=Channel(receives=False, applies=True, error=2003))
    return old


def marks(cluster: Fake) -> list[tuple[str, int]]:
    return [told for told in cluster.told if told[0].startswith("mark")]


def test_a_lost_site_is_named_with_what_it_would_cost(lost: Fake, new: Fake, time: Time) -> None:
    assert refused(new, lost, time) == (
        f"dc2: dc1 does not answer (no route to host). What it committed after {X}:1-7 would be lost. If it is gone "
        f"for good, or surely stopped, set failover to {{without: dc1, at: {X}:1-7}}"
    )


@pytest.mark.parametrize("at", ["", f"{X}:1-6", f"{X}:1-8"])
def test_it_goes_on_without_the_other_only_from_where_its_rows_end(lost: Fake, new: Fake, time: Time, at: str) -> None:
    said = refused(new, lost, time, replace(LOST, at=at))
    assert f"ends at {X}:1-7, not at the failover.at of the configuration, {at or 'which is not set'}" in said
    assert new.told == []


def test_what_has_arrived_is_applied_first(lost: Fake, new: Fake, time: Time) -> None:
    arrived = new.nodes[0]
    new.nodes[0] = replace(arrived, channel=Channel(receives=False, applies=True, idle=False))
    time.each(lambda: new.nodes.__setitem__(0, arrived) if time.seconds > 60 and not new.told else None)
    assert refused(new, lost, time, LOST) == ""
    assert time.seconds > 60


def test_one_that_takes_over_says_before_that_it_is_no_replica_any_more(lost: Fake, new: Fake, time: Time) -> None:
    """Otherwise a site that returns before the new primary is open could be opened too."""
    new.down = {1}
    assert refused(new, lost, time, LOST) == ""
    assert new.told == [(f"mark {PROMISED}", 0), (f"mark {PROMISED}", 2)]


def test_one_that_returns_before_that_is_not_gone(lost: Fake, new: Fake, time: Time) -> None:
    """What the new primary said until then may have opened it."""
    lost.found = resource(source=True)
    mark = new.mark
    new.mark = lambda n, size: (mark(n, size), setattr(lost, "away", False))[0]  # type: ignore[method-assign, func-returns-value]
    assert refused(new, lost, time, LOST).startswith("dc2: dc1 is there, and the primary by its resource")


def test_a_channel_that_is_not_there_is_not_needed(old: Fake, new: Fake, time: Time) -> None:
    new.nodes = [CLOSED] * 3
    assert refused(new, old, time) == ""
    old.away = True
    assert refused(new, old, time, LOST) == ""
    assert time.seconds < SILENCE


def test_a_promise_of_an_earlier_run_counts_for_nothing(old: Fake, new: Fake, time: Time) -> None:
    new.are(mark=PROMISED, rows=MysqlRows.parse(f"{X}:1-5"))
    assert "nothing is promoted" in refused(new, old, time)


def test_it_does_not_take_over_if_most_of_its_nodes_cannot_say_so(lost: Fake, new: Fake, time: Time) -> None:
    mark = new.mark

    def fails(ordinal: int, size: int) -> None:
        if ordinal:
            raise NoAnswer("error 2003")
        mark(ordinal, size)

    new.mark = fails  # type: ignore[method-assign]
    assert "its row cannot be written (most of its nodes do not answer)" in refused(new, lost, time, LOST)


def test_nobody_promises_what_must_not_be(lost: Fake, new: Fake, time: Time) -> None:
    refused(new, lost, time, replace(LOST, at=""))
    lost.away = False
    refused(new, lost, time)
    assert marks(new) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda lost, _: vars(lost).update(away=False, nodes=[CLOSED, OPEN, CLOSED]), "dc1 is not read-only yet"),
        (lambda lost, _: vars(lost).update(away=False, silent=NotSilent("error 1040")), "does not answer (error 1040)"),
        (lambda _, new: new.nodes.__setitem__(0, FOLLOWS), "but the channel from it runs: it is not gone"),
    ],
    ids=["open", "full", "its channel runs"],
)
def test_one_that_is_there_is_not_gone(
    lost: Fake, new: Fake, time: Time, change: Callable[[Fake, Fake], None], reason: str
) -> None:
    change(lost, new)
    assert reason in refused(new, lost, time, LOST)
    assert marks(new) == []


def test_a_primary_of_which_one_node_is_gone_and_the_others_are_full_is_not_gone(
    lost: Fake, new: Fake, time: Time
) -> None:
    lost.away, lost.found = False, resource(source=True)

    def answer(ordinal: int) -> Node:
        raise NotSilent("error 1040") if ordinal else NoAnswer("there is no pod")

    lost.node = answer  # type: ignore[method-assign]
    assert "dc1 does not answer (error 1040)" in refused(new, lost, time, LOST)
    lost.found = resource(source=False)
    assert "dc1 does not answer (error 1040)" in refused(new, lost, time, LOST)
    assert marks(new) == []


@pytest.mark.parametrize("source", [True, False])
@pytest.mark.parametrize("there", ["a node", "a ready pod", "nobody"])
def test_one_whose_api_answers_is_gone_only_if_no_node_of_it_is_there(
    lost: Fake, new: Fake, time: Time, there: str, *, source: bool
) -> None:
    lost.away, lost.down = False, {0, 1, 2}
    lost.found = resource(source=source)
    lost.down -= {1} if there == "a node" else set()
    lost.is_ready = {2} if there == "a ready pod" else set()
    assert (refused(new, lost, time, LOST) == "") == (there == "nobody")
    assert bool(marks(new)) == (there == "nobody")


def test_a_promise_that_was_taken_back_is_none(lost: Fake, new: Fake, time: Time) -> None:
    mark = new.mark

    def taken_back(ordinal: int, size: int) -> None:
        mark(ordinal, size)
        new.nodes[ordinal] = replace(new.nodes[ordinal], mark=REPLICA)

    new.mark = taken_back  # type: ignore[method-assign]
    assert "what its nodes have promised was taken back" in refused(new, lost, time, LOST)


def test_a_primary_of_which_a_node_is_silent_is_not_closed(primary: Fake, new: Fake, time: Time) -> None:
    """Each node of it must be able to say afterwards that it is closed."""
    primary.down = {2}
    assert "its own server does not answer (error 2003)" in kept(primary, new, time)


def test_what_has_arrived_and_is_not_applied_is_not_dropped(lost: Fake, new: Fake, time: Time) -> None:
    new.nodes[0] = replace(CLOSED, channel=Channel(receives=False, applies=False, error=1062, idle=False))
    new.start_channel = lambda channel: None  # type: ignore[method-assign]
    assert "does not apply what has arrived of dc1" in refused(new, lost, time, LOST)
    assert marks(new) == []


def test_another_site_that_is_gone_is_no_reason(lost: Fake, new: Fake, time: Time) -> None:
    assert "does not answer" in refused(new, lost, time, replace(LOST, without="dc3"))


# --- the end ---------------------------------------------------------------------------------------------------------


@dataclass
class Ended:
    """Both clusters, when dc2 is open and dc1 follows."""

    dc2: Fake
    dc1: Fake
    time: Time
    said: list[str] = field(default_factory=list)

    def run(self, *, alone: bool = False, wanted: Switchover = TO_DC2) -> str:
        sites, clusters = ["dc2", "dc1"], [self.dc2, self.dc1]
        sides = sides_of(sites[:1], clusters[:1], "dc1") if alone else sides_of(sites, clusters, "")
        try:
            switch_over(wanted, sides, self.said.append, self.time)
        except pulumi.RunError as error:
            return str(error)
        return ""


@pytest.fixture
def ended(time: Time) -> Ended:
    return Ended(Fake(resource(source=True), [OPEN] * 3), Fake(resource(source=False), [FOLLOWS, CLOSED, CLOSED]), time)


def test_nothing_is_done_where_all_is_as_it_is_to_be(ended: Ended) -> None:
    assert ended.run() == ""
    assert ended.dc2.told == ended.dc1.told == []
    assert ended.said == [f"dc2: is the primary, at {X}:1-7", f"dc1: is a replica, at {X}:1-7"]


def test_the_primarys_old_channel_is_dropped_on_every_node(ended: Ended) -> None:
    ended.dc2.are(channel=STOPPED)
    assert ended.run() == ""
    assert ended.dc2.told == [("drop dcmesh", ordinal) for ordinal in range(3)]
    assert ended.dc1.told == []


def test_a_channel_that_has_given_up_is_started(ended: Ended) -> None:
    ended.dc1.nodes[0] = replace(CLOSED, channel=STOPPED)
    assert ended.run() == ""
    assert (ended.dc1.told, ended.dc2.told) == ([("start dcmesh", 0)], [])


def test_the_operator_is_waited_for(ended: Ended) -> None:
    """It opens the primary, closes the replica, and sets up its channel."""
    ended.dc2.are(read_only=True, channel=STOPPED)
    ended.dc1.nodes = [OPEN] * 3

    def operators() -> None:
        if ended.time.seconds > 20:
            ended.dc1.nodes = [FOLLOWS, CLOSED, CLOSED]
            ended.dc2.are(read_only=False)

    ended.time.each(operators)
    assert ended.run() == ""
    assert len(ended.dc2.told) == 3


def test_a_closed_node_of_an_open_primary_has_its_channel_dropped_as_well(ended: Ended) -> None:
    ended.dc2.nodes[:2] = [replace(OPEN, channel=STOPPED), replace(CLOSED, channel=STOPPED)]
    assert ended.run() == ""
    assert ended.dc2.told == [("drop dcmesh", 0), ("drop dcmesh", 1)]


def test_a_channel_that_cannot_be_dropped_beside_the_writer_does_no_harm(ended: Ended) -> None:
    ended.dc2.are(channel=STOPPED)
    drop = ended.dc2.drop_channel

    def fails(ordinal: int, channel: str) -> None:
        if ordinal == 1:
            raise NoAnswer("error 2003")
        drop(ordinal, channel)

    ended.dc2.drop_channel = fails  # type: ignore[method-assign]
    assert ended.run() == ""
    assert ended.dc2.told == [("drop dcmesh", 0), ("drop dcmesh", 2)]


def test_an_operator_that_is_slow_to_set_up_the_channel_is_waited_for(ended: Ended) -> None:
    ended.dc1.nodes = [CLOSED] * 3
    ended.time.each(lambda: ended.dc1.nodes.__setitem__(0, FOLLOWS) if ended.time.seconds > 60 else None)
    assert ended.run() == ""


def test_a_primary_is_opened_though_a_node_of_the_replica_is_down(ended: Ended) -> None:
    ended.dc1.down = {2}
    ended.dc2.are(read_only=True)
    ended.time.each(lambda: ended.dc2.are(read_only=False) if ended.time.seconds > 60 else None)
    assert ended.run() == ""


def test_nothing_is_dropped_before_the_primary_is_open(ended: Ended) -> None:
    ended.dc2.are(read_only=True, events=False, channel=STOPPED)
    ended.dc1.are(mark=PROMISED)
    assert ended.run().startswith("dc2: cannot be opened")
    assert ended.dc2.told == []
    # The replica's promise may hold the primary's nodes, so it is taken back.
    assert ended.dc1.told == [(f"mark {REPLICA}", ordinal) for ordinal in range(3)]


def test_a_promise_is_taken_back_while_the_primarys_servers_wait_to_be_recovered(ended: Ended) -> None:
    ended.dc2.silent = NoAnswer("error 2003")
    ended.dc1.are(mark=PROMISED)
    assert "dc2: its own server does not answer (error 2003)" in ended.run()
    assert {node.mark for node in ended.dc1.nodes} == {REPLICA}


@pytest.mark.parametrize("which", ["the replica is a primary", "the primary is a replica", "they are exchanged"])
def test_nothing_is_done_when_the_roles_are_others(ended: Ended, which: str) -> None:
    """Typed by hand, the clusters may be swapped. The one that takes writes would follow the other."""
    if which != "the replica is a primary":
        ended.dc2.found, ended.dc2.nodes = resource(source=False), [FOLLOWS, CLOSED, CLOSED]
    if which != "the primary is a replica":
        ended.dc1.found, ended.dc1.nodes = resource(source=True), [OPEN] * 3
    said = ended.run()
    assert "by its resource: nothing is changed. `pulumi up` brings about what" in said
    assert ended.dc2.told == ended.dc1.told == []


def test_one_that_takes_writes_is_not_made_to_follow(ended: Ended) -> None:
    ended.dc1.nodes = [replace(OPEN, channel=STOPPED, mark=PROMISED)] * 3
    assert "dc1: " in ended.run()
    assert ended.dc1.told == []


def test_a_promise_that_cannot_be_taken_back_is_no_end(ended: Ended) -> None:
    """It would hold the primary's nodes when all of them restart."""
    ended.dc1.are(mark=PROMISED)
    ended.dc1.down = {1, 2}
    assert ended.run() == "dc1: its own server does not answer (most of its nodes do not answer): run again"


def test_a_promise_is_kept_by_what_is_no_replica_any_more(ended: Ended) -> None:
    """An `up` may be making it the primary at this moment."""
    ended.dc1.are(mark=PROMISED)
    looks = iter([ended.dc1.found] * 2)
    ended.dc1.resource = lambda: next(looks, resource(source=True))  # type: ignore[method-assign]
    assert ended.run()
    assert ended.dc1.told == []


def test_a_promise_that_is_younger_than_the_run_is_not_taken_back(ended: Ended) -> None:
    """Another `up` is about to keep it."""
    ended.dc2.are(read_only=True)
    ended.time.each(lambda: ended.dc1.are(mark=PROMISED + 4096) if ended.time.seconds > 10 else None)
    assert ended.run()
    assert marks(ended.dc1) == []


def test_transactions_that_only_the_replica_has_are_named(ended: Ended) -> None:
    ended.dc1.are(rows=MysqlRows.parse(f"{X}:1-9,{LOCAL}:1"))
    assert ended.run() == ""
    assert f"dc1: has transactions that dc2 has not: {X}:8-9" in ended.said


def test_events_that_do_not_run_in_the_new_primary_are_warned_of(ended: Ended, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings = list[str]()
    monkeypatch.setattr("pulumi.log.warn", warnings.append)
    ended.run()
    assert warnings == []
    ended.dc2.idle = True
    assert ended.run() == ""
    said = "dc2: events that were made in dc1 do not run. docs/switchover.md says how to enable them"
    assert warnings == [said]


def test_a_replica_must_answer_unless_it_is_gone(ended: Ended) -> None:
    """Its promise may have to be taken back."""
    ended.dc1.away = True
    assert "dc1: its own server does not answer (no route to host)" in ended.run()
    assert ended.time.seconds < SILENCE + 5
    assert ended.run(alone=True, wanted=LOST) == ""


def test_a_primary_that_is_held_is_waited_for_without_the_other(ended: Ended) -> None:
    ended.dc2.are(read_only=True)
    ended.time.each(lambda: ended.dc2.are(read_only=False) if ended.time.seconds > 60 else None)
    assert ended.run(alone=True, wanted=LOST) == ""


# --- a dry run -------------------------------------------------------------------------------------------------------


def dry(dc1: Fake, dc2: Fake, time: Time) -> tuple[list[str], bool]:
    return foreseen(TO_DC2, sides_of(["dc1", "dc2"], [dc1, dc2], ""), time)


def test_a_dry_run_says_what_an_up_would_do(primary: Fake, new: Fake, time: Time) -> None:
    lines, possible = dry(primary, new, time)
    assert possible
    assert lines == [
        "dc1: dc2 is to be the primary",
        f"dc2: takes over, at {X}:1-7",
        f"dc1: is read-only, at {X}:1-7",
        "dc1: follows dc2",
        f"dc2: is the primary, at {X}:1-7",
        f"dc1: is a replica, at {X}:1-7",
    ]
    assert primary.told == new.told == []


def test_a_dry_run_says_what_an_up_would_refuse(primary: Fake, new: Fake, time: Time) -> None:
    new.are(rows=MysqlRows.parse(f"{X}:1-8"))
    lines, possible = dry(primary, new, time)
    assert not possible
    assert f"dc2 has transactions that dc1 has not ({X}:8)" in lines[-1]


def test_the_mark_is_the_one_that_the_nodes_look_for() -> None:
    lines = HOLD_SCRIPT.splitlines()
    assert f"MARK=@@GLOBAL.{pxc_cluster.MARK}" in lines
    assert f"REPLICA={pxc_cluster.REPLICA}" in lines
    assert pxc_cluster.PROMISED not in (0, pxc_cluster.REPLICA)
