"""The switchover of two XtraDB clusters: what is asked before one is opened, and that two never take writes at once."""

import re
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import pulumi
import pytest

from components.databases.pxc import HOLD_SCRIPT
from dcmesh.databases import pxc_switchover
from dcmesh.databases.pxc_switchover import PxcClient, PxcEnd, common, finish, hand_over, open_still
from dcmesh.databases.replication import ChannelStatus, Replica, ServerStatus, parse_status
from dcmesh.model.switchover import Switchover

X, Y, LOCAL = (f"{n}e11fa47-71ca-11e1-9e33-c80aa9429562" for n in "345")
TO_DC2 = Switchover(primary="dc2")


def resource(*, source: bool, generation: int = 2, observed: int = 2) -> dict[str, Any]:
    return {
        "metadata": {"generation": generation},
        "spec": {"pxc": {"replicationChannels": [{"name": "dcmesh", "isSource": source}]}},
        "status": {"observedGeneration": observed},
    }


@dataclass
class Cluster(PxcClient):
    """A cluster that seems to be there. What it is told stands in `told`, with the node and the user."""

    site: str
    found: dict[str, Any] | None
    read_only: list[bool]
    positions: list[str] = field(default_factory=lambda: [f"{X}:1-7"] * 3)
    source: str = ""
    lags: int = 0
    extra: str = ""
    events: tuple[str, ...] = ()
    idle: str = "0"
    down: tuple[str, ...] = ()
    marks: dict[str, str] = field(default_factory=dict)
    silent: str = ""
    lost: bool = False
    told: list[tuple[str, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.end = PxcEnd(
            site=self.site,
            kubeconfig="",
            namespace=f"in-{self.site}",
            name="db",
            pods=("db-pxc-0", "db-pxc-1", "db-pxc-2"),
            channel="dcmesh",
        )

    def resource(self) -> dict[str, Any] | None:
        return self.found

    def server(self, pod: str) -> ServerStatus:
        self._speak()
        node = self.end.pods.index(pod)
        channel = replace(parse_status(""), source=self.source)
        return ServerStatus(channel=channel, position=self.positions[node], read_only=self.read_only[node])

    def run(self, statements: str, *, pod: str = "", user: str = "monitor") -> str:
        self._speak()
        if pod in self.down:
            raise OSError("it is down")
        if "SELECT @@GLOBAL.dcmesh_replica" in statements:
            return f"Value: {self.marks.get(pod, '65536')}"
        if "event_scheduler" in statements:
            return f"Value: {int(pod in self.events)}"
        if "server_id" in statements:
            return f"Value: {self.end.pods.index(pod) + 71}"
        self.told.append((pod, user, statements))
        if "SET GLOBAL dcmesh_replica" in statements:
            self.marks[pod] = re.findall(r"\d+", statements)[0]
        if "WAIT_FOR" in statements:
            self.lags -= 1
            return f"Value: {'0' if self.lags < 0 else '1'}"
        if "EVENTS" in statements:
            return f"Value: {self.idle}"
        return f"Value: {self.extra if 'SUBTRACT' in statements else self.positions[0]}"

    def _speak(self) -> None:
        if self.silent:
            raise OSError(self.silent)


@pytest.fixture(autouse=True)
def _sleepless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)


@pytest.fixture
def old() -> Cluster:
    """The old primary, when its operator has made it a replica."""
    return Cluster("dc1", resource(source=False), [True] * 3)


@pytest.fixture
def new() -> Cluster:
    """The primary to be."""
    return Cluster("dc2", resource(source=False), [True] * 3)


def refused(own: Cluster, other: Cluster, switchover: Switchover = TO_DC2) -> str:
    with pytest.raises(pulumi.RunError) as caught:
        hand_over(own, other, switchover, patience=0)
    return str(caught.value)


# --- planned ---------------------------------------------------------------------------------------------------------


def test_it_may_when_the_other_is_closed_and_its_rows_are_here(old: Cluster, new: Cluster) -> None:
    hand_over(new, old, TO_DC2)
    wanted = ",".join([f"{X}:1-7"] * 3)
    assert new.told[0] == ("", "monitor", rf"SELECT WAIT_FOR_EXECUTED_GTID_SET('{wanted}', 5) AS Value \G")
    assert old.told[0][2].startswith(f"SELECT REPLACE(GTID_SUBTRACT('{X}:1-7', @@GLOBAL.gtid_executed)")


def test_rows_are_waited_for(old: Cluster, new: Cluster) -> None:
    new.lags = 3
    hand_over(new, old, TO_DC2)
    assert sum("WAIT_FOR" in statement for _, _, statement in new.told) == 4


def test_a_node_is_waited_for_until_it_is_closed(old: Cluster, new: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    old.read_only[2] = False
    waits = list[float]()

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        old.read_only[2] = len(waits) == 3

    monkeypatch.setattr("time.sleep", sleep)
    hand_over(new, old, TO_DC2)
    assert len(waits) == 3


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"read_only": [True, False, False]}, "takes writes on db-pxc-1, db-pxc-2"),
        ({"events": ("db-pxc-1", "db-pxc-2")}, "still runs events on db-pxc-1, db-pxc-2"),
        ({"found": resource(source=False, observed=1)}, "has an operator that has not made it a replica yet"),
        ({"found": None}, "has no cluster yet"),
        (
            {"found": resource(source=True)},
            "is the primary by its resource: run `pulumi refresh`, then `pulumi up` with both sites",
        ),
        (
            {"found": {"metadata": {"generation": 1}, "spec": {"pxc": {}}}},  # as those without `primary`
            "is the primary by its resource: run `pulumi refresh`, then `pulumi up` with both sites",
        ),
    ],
)
def test_it_may_not_while_the_other_could_take_writes(
    old: Cluster, new: Cluster, changes: dict[str, Any], reason: str
) -> None:
    vars(old).update(changes)
    assert refused(new, old) == f"dc2/in-dc2: dc1 {reason}: nothing is promoted"
    assert new.told == []


def test_it_may_not_without_the_others_rows(old: Cluster, new: Cluster) -> None:
    new.lags, new.positions = 1, [f"{X}:1-5"] * 3
    wanted = ",".join(old.positions)
    assert refused(new, old) == f"dc2/in-dc2: has rows up to {X}:1-5, and dc1 up to {wanted}: nothing is promoted"


def test_it_may_not_with_rows_that_the_other_would_take_over(old: Cluster, new: Cluster) -> None:
    new.positions, old.extra = [f"{X}:1-9,{Y}:1"] * 3, f"{X}:8-9"
    assert refused(new, old) == (
        f"dc2/in-dc2: has transactions that dc1 has not ({X}:8-9): nothing is promoted. docs/switchover.md says what "
        "to do"
    )


def test_the_one_that_is_the_primary_asks_nobody(old: Cluster, new: Cluster) -> None:
    """An `up` of a site must not depend on the other for good."""
    new.found = resource(source=True)
    old.silent = "no route to host"
    hand_over(new, old, TO_DC2, patience=0)


def test_a_cluster_that_begins_waits_for_no_rows(old: Cluster, new: Cluster) -> None:
    new.found, new.silent = None, "there is no pod"
    hand_over(new, old, TO_DC2, patience=0)
    old.read_only[0] = False
    assert "takes writes on db-pxc-0" in refused(new, old)


def test_histories_that_not_all_have_are_waited_for_in_vain_and_so_not_waited_for(old: Cluster, new: Cluster) -> None:
    old.positions = [f"{X}:1-7,{LOCAL}:1-2", f"{X}:1-8", f"{Y}:1,{X}:1-7"]
    hand_over(new, old, TO_DC2)
    assert f"('{X}:1-7,{X}:1-8,{X}:1-7', 5)" in new.told[0][2]


def test_nodes_that_have_nothing_in_common_tell_nothing(old: Cluster, new: Cluster) -> None:
    old.positions = [f"{X}:1-7", "", f"{X}:1-7"]
    assert refused(new, old) == "dc2/in-dc2: dc1 has nodes without a common history: nothing is promoted"
    assert new.told == []


def test_common() -> None:
    assert common(f"{X}:1-7:9,{Y}:1", f"{X}:1") == f"{X}:1-7:9"
    assert common(f"{X}:1", "") == ""
    assert common("", "") == ""


# --- unplanned -------------------------------------------------------------------------------------------------------


def test_a_lost_site_is_named_with_what_it_would_cost(old: Cluster, new: Cluster) -> None:
    old.silent = "no route to host"
    assert refused(new, old) == (
        f"dc2/in-dc2: dc1 cannot be asked (no route to host): nothing is promoted. What it committed after {X}:1-7 "
        f"would be lost. If it is gone for good, or surely stopped, set failover to {{without: dc1, at: {X}:1-7}}"
    )


@pytest.mark.parametrize(
    ("at", "given"), [("", "which is not set"), (f"{X}:1-6", f"{X}:1-6"), (f"{X}:1-8", f"{X}:1-8")]
)
def test_it_goes_on_without_the_other_only_from_where_its_rows_end(
    old: Cluster, new: Cluster, at: str, given: str
) -> None:
    old.silent = "no route to host"
    assert refused(new, old, replace(TO_DC2, without="dc1", at=at)) == (
        f"dc2/in-dc2: dc1 does not answer, and the rows here end at {X}:1-7, not at the failover.at of the "
        f"configuration, {given}. Set it to {X}:1-7 if all that dc1 committed after that may be lost"
    )


def test_what_has_arrived_is_applied_first(old: Cluster, new: Cluster) -> None:
    old.silent, new.lags = "no route to host", 2
    hand_over(new, old, replace(TO_DC2, without="dc1", at=f"{X}:1-7"))
    assert ["RECEIVED_TRANSACTION_SET" in statement for _, _, statement in new.told[:4]] == [True] * 3 + [False]


PROMISE = r"SET GLOBAL dcmesh_replica.key_buffer_size = 131072\G"


def test_one_that_takes_over_says_before_that_it_is_no_replica_any_more(old: Cluster, new: Cluster) -> None:
    """Else a site that returns before it is open could be opened too."""
    old.silent, new.down = "no route to host", ("db-pxc-1",)
    hand_over(new, old, replace(TO_DC2, without="dc1", at=f"{X}:1-7"))
    assert new.told[-2:] == [(pod, "operator", PROMISE) for pod in ("db-pxc-0", "db-pxc-2")]


def test_one_that_returns_before_that_is_not_gone(old: Cluster, new: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have been opened by what this one said until then."""
    old.silent, old.found = "no route to host", resource(source=True)
    monkeypatch.setattr(pxc_switchover, "promise", lambda _: setattr(old, "silent", ""))
    said = refused(new, old, replace(TO_DC2, without="dc1", at=f"{X}:1-7"))
    assert said.startswith("dc2/in-dc2: dc1 is the primary by its resource: ")


def test_it_does_not_take_over_if_most_of_its_nodes_cannot_say_so(old: Cluster, new: Cluster) -> None:
    old.silent, new.down = "no route to host", ("db-pxc-1", "db-pxc-2")
    said = "dc2/in-dc2: most of its nodes do not answer: nothing is promoted, run `pulumi up` again"
    assert refused(new, old, replace(TO_DC2, without="dc1", at=f"{X}:1-7")) == said


def test_nobody_promises_what_must_not_be(old: Cluster, new: Cluster) -> None:
    old.silent = "no route to host"
    refused(new, old, replace(TO_DC2, without="dc1"))
    assert changes(new) == []
    old.silent = ""
    hand_over(new, old, TO_DC2)
    assert changes(new) == []


def test_what_was_promised_and_not_done_is_taken_back(ended: tuple[Cluster, Cluster]) -> None:
    primary, replica = ended
    replica.marks, replica.down = {"db-pxc-1": "131072", "db-pxc-2": "131072"}, ("db-pxc-2",)
    finish(primary, replica, ("dc2", "dc1"), without="")
    assert changes(replica) == [("db-pxc-1", "operator", r"SET GLOBAL dcmesh_replica.key_buffer_size = 65536\G")]


def test_the_mark_is_the_one_that_the_nodes_look_for() -> None:
    lines = HOLD_SCRIPT.splitlines()
    assert f"MARK=@@GLOBAL.{pxc_switchover.MARK}" in lines
    assert f"REPLICA={pxc_switchover.REPLICA}" in lines
    assert pxc_switchover.PROMISED not in (0, pxc_switchover.REPLICA)


def test_one_that_answers_is_not_gone(old: Cluster, new: Cluster) -> None:
    old.read_only[1] = False
    assert "takes writes on db-pxc-1" in refused(new, old, replace(TO_DC2, without="dc1", at=f"{X}:1-7"))


def test_another_site_that_is_gone_is_no_reason(old: Cluster, new: Cluster) -> None:
    old.silent = "no route to host"
    assert "cannot be asked" in refused(new, old, replace(TO_DC2, without="dc3", at=f"{X}:1-7"))


# --- the end ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def ended(old: Cluster, new: Cluster, monkeypatch: pytest.MonkeyPatch) -> tuple[Cluster, Cluster]:
    """Both when dc2 is open, and dc1 follows."""
    new.read_only = [False] * 3
    new.found = resource(source=True)
    old.source = "db-pxc-0.db-pxc.in-dc2"

    def read_server(kubeconfig: str, where: Replica, patience: float, until: Any = None) -> ServerStatus:
        cluster = {"in-dc1": old, "in-dc2": new}[where.namespace]
        assert kubeconfig == cluster.site
        if cluster.lost:
            return ServerStatus(channel=replace(parse_status(""), last_error="cannot ask: nobody answers"))
        started = any("START" in statement for _, _, statement in cluster.told)
        channel = ChannelStatus(
            source=cluster.source, running=started or not cluster.lags, seconds_behind=0, last_error=""
        )
        return ServerStatus(channel=channel, position=cluster.positions[0], read_only=cluster.read_only[0])

    monkeypatch.setattr(pxc_switchover, "read_server", read_server)
    return new, old


def changes(cluster: Cluster) -> list[tuple[str, str, str]]:
    return [told for told in cluster.told if "SELECT" not in told[2]]


def test_the_primarys_old_channel_is_dropped_on_every_node(ended: tuple[Cluster, Cluster]) -> None:
    primary, replica = ended
    primary.source = "db-pxc-0.db-pxc.in-dc1"
    leader, follower = finish(primary, replica, ("dc2", "dc1"), without="")
    drop = r"STOP REPLICA FOR CHANNEL 'dcmesh'\G RESET REPLICA ALL FOR CHANNEL 'dcmesh'\G"
    assert changes(primary) == [(pod, "operator", drop) for pod in primary.end.pods]
    assert changes(replica) == []
    assert (leader.read_only, follower.read_only, follower.channel.running) == (False, True, True)


def test_a_channel_that_has_given_up_is_started(ended: tuple[Cluster, Cluster]) -> None:
    primary, replica = ended
    replica.lags = 1
    _, follower = finish(primary, replica, ("dc2", "dc1"), without="")
    assert changes(replica) == [("", "operator", r"START REPLICA FOR CHANNEL 'dcmesh'\G")]
    assert follower.channel.running
    assert changes(primary) == []


def test_nothing_is_dropped_before_the_primary_is_open(ended: tuple[Cluster, Cluster]) -> None:
    primary, replica = ended
    primary.source, primary.read_only = "db-pxc-0.db-pxc.in-dc1", [True] * 3
    replica.lags, replica.marks = 1, {"db-pxc-0": "131072"}
    with pytest.raises(pulumi.RunError, match=r"^dc2/in-dc2: is still read-only"):
        finish(primary, replica, ("dc2", "dc1"), without="")
    assert changes(primary) == []
    # The primary's nodes may be held for what the replica has promised, so that is taken back first.
    assert changes(replica) == [("db-pxc-0", "operator", r"SET GLOBAL dcmesh_replica.key_buffer_size = 65536\G")]


@pytest.mark.parametrize("which", ["the primary is a replica", "the primary is not there", "the replica is a primary"])
def test_nothing_is_done_when_the_roles_are_others(ended: tuple[Cluster, Cluster], which: str) -> None:
    """Typed by hand the clusters may be exchanged: the one that takes writes would follow the other."""
    primary, replica = ended
    replica.lags, replica.marks = 1, {"db-pxc-0": "131072"}
    if which == "the replica is a primary":
        replica.found = resource(source=True)
    else:
        primary.found = resource(source=False) if which == "the primary is a replica" else None
    with pytest.raises(pulumi.RunError, match=r"by its resource: nothing was done"):
        finish(primary, replica, ("dc2", "dc1"), without="")
    assert changes(primary) == changes(replica) == []


def test_one_that_takes_writes_is_not_made_to_follow(ended: tuple[Cluster, Cluster]) -> None:
    primary, replica = ended
    replica.lags, replica.read_only, replica.marks = 1, [False] * 3, {"db-pxc-0": "131072"}
    with pytest.raises(pulumi.RunError, match=r"^dc1/in-dc1: still takes writes: see to it, then run"):
        finish(primary, replica, ("dc2", "dc1"), without="")
    assert changes(replica) == []


def test_a_promise_that_cannot_be_taken_back_is_no_end(ended: tuple[Cluster, Cluster]) -> None:
    """The primary's nodes would be held for it when they all start anew."""
    primary, replica = ended
    replica.marks = dict.fromkeys(replica.end.pods, "131072")
    replica.down = replica.end.pods[:2]
    with pytest.raises(pulumi.RunError, match=r"^dc1/in-dc1: most of its nodes do not say that they are a replica's"):
        finish(primary, replica, ("dc2", "dc1"), without="")


def test_transactions_that_only_the_replica_has_are_named(ended: tuple[Cluster, Cluster]) -> None:
    primary, replica = ended
    replica.positions, primary.extra = [f"{X}:1-9,{LOCAL}:1"] * 3, f"{X}:8-9"
    _, follower = finish(primary, replica, ("dc2", "dc1"), without="")
    assert follower.extra == f"{X}:8-9"
    assert primary.told[-1][2].startswith(f"SELECT REPLACE(GTID_SUBTRACT('{X}:1-9', @@GLOBAL.gtid_executed)")


def test_events_that_do_not_run_in_the_new_primary_are_warned_of(
    ended: tuple[Cluster, Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    primary, replica = ended
    warnings = list[str]()
    monkeypatch.setattr("pulumi.log.warn", warnings.append)
    finish(primary, replica, ("dc2", "dc1"), without="")
    assert warnings == []
    primary.idle = "2"
    finish(primary, replica, ("dc2", "dc1"), without="")
    said = "dc2/in-dc2: 2 events that were made in dc1 do not run. docs/switchover.md says how to enable them"
    assert warnings == [said]
    asked = [statement for _, _, statement in primary.told if "EVENTS" in statement]
    assert asked[0].endswith(r"ORIGINATOR NOT IN (71, 72, 73)\G")


def seen_through(ended: tuple[Cluster, Cluster], monkeypatch: pytest.MonkeyPatch, without: str = "") -> list[str]:
    """See a switchover through, and return the warnings."""
    primary, replica = ended
    warnings, clients = list[str](), {cluster.site: cluster for cluster in ended}
    monkeypatch.setattr("pulumi.log.warn", warnings.append)
    monkeypatch.setattr(pxc_switchover, "connect", nullcontext)
    monkeypatch.setattr(pxc_switchover, "PxcClient", lambda end, _: clients[end.site])
    pxc_switchover.see_through(primary.end, replica.end, ("dc2", "dc1"), without=without)
    return warnings


def test_a_switchover_is_at_its_end_when_the_primary_is_open(
    ended: tuple[Cluster, Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    primary, _ = ended
    assert seen_through(ended, monkeypatch) == []
    primary.extra = f"{X}:8-9"
    (warning,) = seen_through(ended, monkeypatch)
    assert warning.startswith(f"in-dc1/db-pxc-0 has transactions that its source has not: {X}:8-9. ")
    primary.read_only = [True] * 3
    with pytest.raises(pulumi.RunError, match=r"^dc2/in-dc2: is still read-only: see to it, then run `pulumi up`"):
        seen_through(ended, monkeypatch)


def test_a_replica_must_answer_unless_it_is_gone(
    ended: tuple[Cluster, Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it promised may have to be taken back."""
    _, replica = ended
    replica.lost = True
    with pytest.raises(pulumi.RunError, match=r"^dc1/in-dc1: cannot ask: nobody answers: see to it, then"):
        seen_through(ended, monkeypatch)
    assert seen_through(ended, monkeypatch, without="dc1") == []


# --- two sites never take writes at once -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Site:
    """A site in the search: its resource, its two nodes, and what its operator is at.

    Attributes:
        source: whether the resource makes it the primary.
        seen: whether the operator has noted the resource as it is.
        open: which nodes take writes.
        at: what the operator took the resource for when it began, whether it is that still, and the next node.
    """

    source: bool
    seen: bool
    open: tuple[bool, bool]
    at: tuple[bool, bool, int] | None = None

    def patched(self, source: bool) -> "Site":
        if source == self.source:
            return self
        return replace(self, source=source, seen=False, at=self.at and (self.at[0], False, self.at[2]))

    def after(self) -> Iterator["Site"]:
        """Yield what operator and nodes may do next."""
        for node in range(2):  # a node restarts, and starts closed
            yield replace(self, open=tuple(is_open and n != node for n, is_open in enumerate(self.open)))
        if self.at is None:
            yield replace(self, at=(self.source, True, 0))
            return
        source, current, node = self.at
        yield replace(self, seen=current)  # it may note it at any time
        yield replace(self, seen=current, at=None)  # it ends here, done or by an error
        if node < 2:
            done = tuple(source if n == node else is_open for n, is_open in enumerate(self.open))
            yield replace(self, open=done, at=(source, current, node + 1))


@dataclass(frozen=True)
class Run:
    """An `up` in the search: which site is to be the primary, how far it is, and the other's resource as it read it."""

    primary: int
    step: int = 0
    read: tuple[bool, bool] = (False, False)


State = tuple[Site, Site, Run | None]


def allowed(read: tuple[bool, bool], is_open: tuple[bool, bool]) -> bool:
    """Tell whether the program takes a site for closed."""
    source, seen = read
    found = resource(source=source, observed=2 if seen else 1)
    return not open_still(Cluster("dc1", found, [not is_open[0], not is_open[1], True]))


def after(state: State) -> Iterator[State]:
    """Yield every state that can follow: an operator goes on, a node restarts, an `up` goes on or is killed."""
    *sites, run = state
    for index in range(2):
        for site in sites[index].after():
            changed = [*sites]
            changed[index] = site
            yield changed[0], changed[1], run
    if run is None:
        yield from ((sites[0], sites[1], Run(primary)) for primary in range(2))
        return
    yield sites[0], sites[1], None
    own, other = run.primary, 1 - run.primary
    match run.step:
        case 0:  # the other's resource; what a killed `up` has changed is not known to Pulumi, and left as it is
            yield sites[0], sites[1], replace(run, step=1)
            changed = [*sites]
            changed[other] = sites[other].patched(source=False)
            yield changed[0], changed[1], replace(run, step=1)
        case 1:  # whether it is the primary already, or else how the other's resource is
            if sites[own].source:
                yield sites[0], sites[1], replace(run, step=4)
            yield sites[0], sites[1], replace(run, step=2, read=(sites[other].source, sites[other].seen))
        case 2 | 3:  # a node, and then the other
            first = run.step == 2
            is_open = sites[other].open
            if allowed(run.read, (is_open[0], False) if first else (False, is_open[1])):
                yield sites[0], sites[1], replace(run, step=run.step + 1)
        case 4:
            changed = [*sites]
            changed[own] = sites[own].patched(source=True)
            yield changed[0], changed[1], None


def test_two_sites_never_take_writes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search all that two operators, restarts, and `up`s for either site, killed anywhere, can lead to."""
    verdicts = {
        (read, nodes): allowed(read, nodes)
        for read in ((a, b) for a in (False, True) for b in (False, True))
        for nodes in ((a, b) for a in (False, True) for b in (False, True))
    }
    monkeypatch.setitem(globals(), "allowed", lambda read, nodes: verdicts[read, nodes])
    begin: State = (Site(True, True, (True, True)), Site(False, True, (False, False)), None)
    known, waiting = {begin}, [begin]
    primaries = set[tuple[bool, bool]]()
    while waiting:
        state = waiting.pop()
        one, two, _ = state
        primaries.add((any(one.open), any(two.open)))
        assert not (any(one.open) and any(two.open)), state
        new = {*after(state)} - known
        known |= new
        waiting += new
    assert primaries == {(True, False), (False, False), (False, True)}


# --- nor when one of them returns ------------------------------------------------------------------------------------

GONE, HELD, FREE, OPEN = "gone", "held", "free", "open"
"""What dc1 is. While it is held it asks dc2's nodes."""


@dataclass(frozen=True)
class Failover:
    """A failover in the search: dc1, which is gone or returns; dc2's nodes, its resource, and how far the `up` is.

    Attributes:
        old: what dc1 is.
        asked: whom dc1 has asked in this look, and how many said that they are a replica's.
        marks: of each of dc2's nodes: R of a replica, P that has promised to take over, N that knows that it has.
        opened: whether they are open.
        source: whether dc2's resource makes it the primary.
        step: of the `up`: 0 if none runs, then what it has done.
    """

    old: str = GONE
    asked: tuple[int, int] = (0, 0)
    marks: str = "RRR"
    opened: tuple[bool, ...] = (False,) * 3
    source: bool = False
    step: int = 0

    def after(self, *, promises: bool = True, asks_again: bool = True) -> Iterator["Failover"]:
        """Yield every state that can follow. No server of dc2 starts anew: docs/switchover.md."""
        if self.old == GONE:
            yield replace(self, old=HELD)
        elif self.old == HELD:
            yield from self._look()
        elif self.old == FREE:
            yield replace(self, old=OPEN)
        for node in range(3):
            if self.source:  # the operator opens it; its container learns the role, and takes the mark away
                yield replace(self, opened=tuple(is_open or n == node for n, is_open in enumerate(self.opened)))
                yield self._marked(node, "N")
        yield replace(self, step=0)  # the `up` is killed
        match self.step:
            case 0 if not self.source:
                yield replace(self, step=1)
            case 1 | 5 if self.old == GONE:  # dc1 is asked, and silent
                yield replace(self, step=self.step + 1)
            case 2 | 3 | 4:  # a node promises
                yield replace(self._marked(self.step - 2, "P") if promises else self, step=self.step + 1)
            case 5 if not asks_again:
                yield replace(self, step=6)
            case 6:
                yield replace(self, source=True, step=0)

    def _look(self) -> Iterator["Failover"]:
        node, replicas = self.asked
        if node == 3:
            yield replace(self, old=FREE if 2 * replicas > 3 else HELD, asked=(0, 0))
        elif self.opened[node]:
            yield replace(self, asked=(0, 0))
        else:
            yield replace(self, asked=(node + 1, replicas + (self.marks[node] == "R")))

    def _marked(self, node: int, mark: str) -> "Failover":
        return replace(self, marks=self.marks[:node] + mark + self.marks[node + 1 :])


def two_writers(**changes: bool) -> bool:
    """Tell whether the search finds a state with nodes of both sites open."""
    known, waiting = {Failover()}, [Failover()]
    while waiting:
        state = waiting.pop()
        if state.old == OPEN and any(state.opened):
            return True
        new = {*state.after(**changes)} - known
        known |= new
        waiting += new
    assert any(state.old == OPEN for state in known)
    assert any(all(state.opened) for state in known)
    return False


def test_a_site_that_returns_at_any_moment_of_a_failover_is_not_opened_beside_the_other() -> None:
    assert not two_writers()
    assert two_writers(promises=False)
    assert two_writers(asks_again=False)
