"""A run of the switchover: that it succeeds, how it ends, how many seconds it takes, and what it says."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pulumi
import pytest

from dcmesh.databases import switchover
from dcmesh.databases.mariadb_gtids import MariadbRows
from dcmesh.databases.switchover import (
    Channel,
    Clock,
    NoAnswer,
    NotSilent,
    Own,
    Past,
    Refuse,
    Side,
    Silence,
    StopEvents,
    Theirs,
    Token,
    Wait,
    Write,
    decide,
    switch_over,
)
from dcmesh.databases.switchover_dry_run import foreseen
from dcmesh.model.switchover import Switchover

RUNS = Channel(receives=True, applies=True)
TO_DC2 = Switchover(primary="dc2")


def rows(*numbers: int, server: int = 1) -> MariadbRows:
    text = ",".join(f"0-{server}-{number}" for number in numbers)
    return MariadbRows.parse(text, text)


class Time(Clock):
    """A clock that advances when somebody sleeps, and a little with each look."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.looks = 0
        super().__init__(now=self._now, sleep=self._sleep)

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _now(self) -> float:
        self.looks += 1
        assert self.looks < 100_000, "the run does not end"
        self.seconds += 0.001
        return self.seconds

    def _sleep(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass
class Fake:
    """A server that does as it is told, unless it `fails`. As with a real one, its session ends then."""

    own: Own
    time: Time
    fails: frozenset[str] = frozenset()
    idle: frozenset[str] = frozenset()
    told: list[str] = field(default_factory=list)
    silent: Callable[[float], bool] = lambda _: False
    silence: Exception = field(default_factory=lambda: NoAnswer("error 2002"))
    follows: "Fake | None" = None
    writes: bool = False
    alone: bool | None = None

    def look(self) -> Own:
        if self.silent(self.time.seconds):
            raise self.silence
        if self.writes and not self.own.read_only:
            last = self.own.rows
            assert isinstance(last, MariadbRows)
            self.own = replace(self.own, rows=rows(last.position[0].number + 1), applied=str(last))
        if self.follows and self.own.channel and self.own.channel.applies:
            self.own = replace(self.own, rows=self.follows.own.rows, applied=str(self.follows.own.rows))
        return self.own

    def _do(self, name: str, seen: Token | None, **changes: Any) -> None:
        self.told.append(name)
        if name in self.fails:
            self.own = replace(self.own, watched=False)
            raise NoAnswer("error 1205")
        if name not in self.idle and (seen is None or (self.own.watched and seen == self.own.token)):
            self.own = replace(self.own, **changes)

    def watch(self) -> None:
        self._do("watch", None, watched=True)

    def write(self, seen: Token, token: Token) -> None:
        self._do("write", seen, token=token)

    def stop_events(self, seen: Token) -> None:
        self._do("stop_events", seen, scheduler=False, running=0)

    def fence(self, seen: Token) -> None:
        self._do("fence", seen, read_only=True)

    def follow(self, seen: Token) -> None:
        self._do("follow", seen, channel=self.own.channel or RUNS)

    def note(self, seen: Token, extra: str) -> None:
        self._do("note", seen, extra=extra)

    def open(self, seen: Token) -> None:
        self._do("open", seen, read_only=False, channel=None)

    def run_events(self, seen: Token, *, alone: bool) -> None:
        self.alone = alone
        self._do("run_events", seen, idle_events=False, scheduler=True)


class Pair:
    """dc1, the primary with events, and dc2, which follows it."""

    def __init__(self) -> None:
        self.time = Time()
        self.said: list[str] = []
        token = Token(site="dc1", term=0)
        self.dc1 = Fake(
            Own(
                token=token, read_only=False, rows=rows(5), watched=False, applied="", channel=None, scheduler=True
            ),
            self.time,
        )  # fmt: skip
        self.dc2 = Fake(
            Own(
                token=token, read_only=True, rows=rows(5), watched=False, applied="0-1-5", channel=RUNS,
                idle_events=True,
            ),
            self.time,
            follows=self.dc1,
        )  # fmt: skip

    def sides(self, *sites: str) -> list[Side]:
        both = {
            "dc1": Side(site="dc1", other="dc2", server=self.dc1, peer=self.dc2),
            "dc2": Side(site="dc2", other="dc1", server=self.dc2, peer=self.dc1),
        }
        return [both[site] for site in sites or both]

    def run(self, wanted: Switchover, *sites: str) -> str:
        """Run it, and return why it was refused."""
        try:
            switch_over(wanted, self.sides(*sites), self.said.append, self.time)
        except pulumi.RunError as error:
            return str(error)
        return ""


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_a_switchover_says_each_step(pair: Pair) -> None:
    assert not pair.run(TO_DC2)
    assert pair.said == [
        "dc1: dc2 is to be the primary",
        "dc2: takes over, at 0-1-5",
        "dc1: is read-only, at 0-1-5",
        "dc1: follows dc2",
        "dc2: is the primary, at 0-1-5",
        "dc1: is a replica, at 0-1-5",
    ]
    assert pair.dc1.told == ["watch", "write", "stop_events", "fence", "follow"]
    assert pair.dc2.told == ["watch", "write", "open", "run_events"]
    assert pair.time.seconds < 5


def test_nothing_is_changed_where_all_is_as_it_is_to_be(pair: Pair) -> None:
    assert not pair.run(Switchover(primary="dc1"))
    assert {*pair.dc1.told, *pair.dc2.told} == {"watch"}


CHANGES = ("watch", "write", "stop_events", "fence", "follow", "open", "run_events")


@pytest.mark.parametrize("how", ["fails", "idle"])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("site", ["dc1", "dc2"])
def test_a_run_ends_whatever_fails(pair: Pair, site: str, change: str, how: str) -> None:
    """The run does what it can, says what is wrong, and pauses between questions."""
    server: Fake = getattr(pair, site)
    setattr(server, how, frozenset({change}))
    refused = pair.run(TO_DC2)
    assert bool(refused) == (change in server.told)
    assert pair.time.seconds < 300
    assert max(server.told.count(change), server.told.count("watch")) < 1500
    if refused:
        assert f"{site}: {switchover.STUCK[switchover.Watch]}" in refused or any(
            f"{site}: {words}" in refused for words in switchover.STUCK.values()
        )


def test_the_replica_follows_though_an_event_cannot_be_enabled(pair: Pair) -> None:
    pair.dc2.fails = frozenset({"run_events"})
    refused = pair.run(TO_DC2)
    assert refused.startswith("dc2: has events that cannot be enabled")
    assert "error 1205" in refused
    assert pair.dc1.own.channel == RUNS


@pytest.mark.parametrize(("wanted", "alone"), [(TO_DC2, False), (Switchover(primary="dc2", without="dc1"), True)])
def test_all_events_are_enabled_only_by_the_word_that_the_other_is_gone(
    pair: Pair, wanted: Switchover, *, alone: bool
) -> None:
    pair.dc2.own = replace(pair.dc2.own, token=Token(site="dc2", term=1), read_only=False, channel=None)
    pair.run(wanted, "dc2")
    assert pair.dc2.alone is alone


def test_the_role_does_not_hang_on_an_event_that_cannot_be_enabled(pair: Pair) -> None:
    pair.dc2.own = replace(pair.dc2.own, refused_events="shop.tick (error 1544)")
    assert not pair.run(TO_DC2)
    assert "dc2: has events that cannot be enabled, and do not run: shop.tick (error 1544)" in pair.said


class Refusing(Fake):
    """A server that refuses to enable one event after the other."""

    def run_events(self, seen: Token, *, alone: bool) -> None:
        refused = self.own.refused_events + "x"
        self.own = replace(self.own, watched=False, refused_events=refused, idle_events=len(refused) < 1000)
        raise NoAnswer("error 1049")


def test_many_events_may_be_refused(pair: Pair) -> None:
    """Each refusal ends the session, and takes time."""
    pair.dc2 = Refusing(pair.dc2.own, pair.time, follows=pair.dc1)
    assert not pair.run(TO_DC2)
    assert pair.time.seconds > switchover.PATIENCE


def test_a_taker_waits_while_the_giver_is_fenced(pair: Pair) -> None:
    """The taker waits longer than the giver's run tries to fence. Otherwise both end, and nobody can write."""
    pair.dc1.own = replace(pair.dc1.own, token=Token(site="dc2", term=1))
    refused = pair.run(TO_DC2, "dc2")
    assert "dc1 is not read-only yet" in refused
    assert pair.time.seconds > 2 * switchover.PATIENCE


@pytest.mark.parametrize("writes", [True, False])
def test_a_taker_ends_while_the_other_is_the_primary(pair: Pair, *, writes: bool) -> None:
    """This also holds if the other is written to all the time."""
    pair.dc1.writes = writes
    refused = pair.run(TO_DC2, "dc2")
    assert refused.startswith("dc2: dc1 is the primary still")
    assert pair.time.seconds < switchover.PATIENCE + 5


def test_the_gtid_of_a_disaster_is_told_at_once_and_the_run_ends_within_a_minute(pair: Pair) -> None:
    pair.dc1.silent = lambda _: True
    pair.dc2.own = replace(pair.dc2.own, channel=Channel(receives=False, applies=True, error=2003))
    refused = pair.run(TO_DC2, "dc2")
    wanted = "dc2: dc1 does not answer (error 2002). What it committed after 0-1-5 would be lost."
    assert pair.said[0].startswith(wanted)
    assert refused.startswith(wanted)
    assert "{without: dc1, at: 0-1-5}" in refused
    assert pair.time.seconds < 60
    assert pair.dc2.told == ["watch"]


LOST = Switchover(primary="dc2", without="dc1", at="0-1-5")


def test_a_failover(pair: Pair) -> None:
    pair.dc1.silent = lambda _: True
    pair.dc2.own = replace(pair.dc2.own, channel=Channel(receives=False, applies=True, error=2003))
    assert not pair.run(LOST, "dc2")
    assert pair.dc2.own.token == Token(site="dc2", term=2)
    assert "dc2: takes over without dc1: what that committed after 0-1-5 is lost, or to be fetched by hand" in pair.said
    assert switchover.GONE < pair.time.seconds < 60


@pytest.mark.parametrize("at", ["0-1-5,1-7-9", "1-7-9, 0-1-5", " 1-7-9,0-1-5,"])
def test_the_gtids_of_a_failover_may_be_named_in_any_order(pair: Pair, at: str) -> None:
    pair.dc1.silent = lambda _: True
    pair.dc2.follows = None
    pair.dc2.own = replace(
        pair.dc2.own, applied="0-1-5,1-7-9", channel=Channel(receives=False, applies=True, error=2003)
    )
    assert "what is applied of it ends at" in pair.run(LOST, "dc2"), "a part of them is not all"
    assert not pair.run(replace(LOST, at=at), "dc2")


def test_a_stopped_channel_is_not_started_where_that_drops_rows(pair: Pair) -> None:
    """MariaDB would empty the relay log, which may have the only copy of rows."""
    pair.dc1.silent = lambda _: True
    stopped = Channel(receives=False, applies=False, idle=False, keeps=False)
    pair.dc2.own = replace(pair.dc2.own, applied="0-1-3", channel=stopped)
    refused = pair.run(TO_DC2, "dc2")
    assert "{without: dc1, at: 0-1-3}" in refused
    assert "What has arrived and is not applied is dropped when this site takes over" in refused
    assert "follow" not in pair.dc2.told
    pair.run(Switchover(primary="dc1"), "dc2")
    assert "follow" not in pair.dc2.told
    pair.dc2.own = replace(pair.dc2.own, channel=replace(stopped, keeps=True))
    pair.run(TO_DC2, "dc2")
    assert "follow" in pair.dc2.told


def test_a_failover_where_the_applier_has_stopped(pair: Pair) -> None:
    """`up` says what is applied, and the operator may accept that."""
    pair.dc1.silent = lambda _: True
    pair.dc2.own = replace(
        pair.dc2.own, applied="0-1-3", channel=Channel(receives=False, applies=False, error=1062, idle=False)
    )
    refused = pair.run(LOST, "dc2")
    assert "what is applied of it ends at 0-1-3, not at the failover.at of the configuration, 0-1-5." in refused
    assert "Its channel has stopped (error 1062)." in refused
    assert pair.time.seconds < 60
    assert not pair.run(replace(LOST, at="0-1-3"), "dc2")


@pytest.mark.parametrize(
    ("channel", "silent", "reason"),
    [
        (RUNS, True, "but the channel from it runs: it is not gone"),
        (Channel(receives=False, applies=True), False, "dc1 is the primary still"),
        (Channel(receives=False, applies=True, idle=False), True, "what has arrived of it is not applied"),
    ],
    ids=["the channel runs", "it answers", "not all is applied"],
)
def test_the_word_does_not_count(pair: Pair, channel: Channel, *, silent: bool, reason: str) -> None:
    pair.dc1.silent = lambda _: silent
    pair.dc2.own = replace(pair.dc2.own, channel=channel)
    pair.dc2.follows = None
    assert reason in pair.run(LOST, "dc2")
    assert not {"write", "open"} & {*pair.dc2.told}
    assert pair.time.seconds < switchover.PATIENCE + 20


def test_the_word_does_not_count_for_one_that_answers_with_an_error(pair: Pair) -> None:
    pair.dc1.silent = lambda _: True
    pair.dc1.silence = NotSilent("error 1040")
    pair.dc2.own = replace(pair.dc2.own, channel=Channel(receives=False, applies=True, error=1040))
    assert "dc1 does not answer (error 1040)" in pair.run(LOST, "dc2")
    assert not {"write", "open"} & {*pair.dc2.told}


def test_a_failover_with_nothing_applied_is_refused(pair: Pair) -> None:
    pair.dc1.silent = lambda _: True
    channel = Channel(receives=False, applies=True)
    pair.dc2.follows = None
    pair.dc2.own = replace(pair.dc2.own, applied="", rows=rows(), channel=channel)
    assert "nothing of it was ever applied here" in pair.run(replace(LOST, at=""), "dc2")


def test_who_never_was_a_replica_and_could_not_be_closed_gets_its_token_back_by_the_word(pair: Pair) -> None:
    pair.dc1.own = replace(pair.dc1.own, token=Token(site="dc2", term=5), read_only=False, applied="", channel=None)
    pair.dc2.silent = lambda _: True
    said = pair.run(Switchover(primary="dc1"), "dc1")
    assert "What it committed would be lost. " in said
    assert "set failover to {without: dc2}" in said
    assert pair.run(Switchover(primary="dc1", without="dc2"), "dc1") == ""
    assert pair.dc1.own.token == Token(site="dc1", term=7)


def test_a_role_is_taken_back_from_what_cannot_be_fenced(pair: Pair) -> None:
    pair.dc1.fails = frozenset({"fence"})
    assert "dc1: cannot be made read-only (error 1205)" in pair.run(TO_DC2)
    assert not pair.dc1.own.read_only
    assert not pair.run(Switchover(primary="dc1"))
    assert (pair.dc1.own.token.site, pair.dc2.own.token.site) == ("dc1", "dc1")
    assert not pair.dc1.own.read_only


def test_what_a_replica_has_of_its_own_keeps_it_from_the_role(pair: Pair) -> None:
    pair.dc2.own = replace(pair.dc2.own, rows=rows(6, server=2), channel=Channel(receives=False, applies=True))
    pair.dc2.follows = None
    refused = pair.run(TO_DC2)
    assert refused.startswith("dc1: dc2 has transactions that dc1 has not (0-2-1 to 0-2-6): nothing is changed")
    assert pair.dc1.told == ["watch"]


def test_what_a_replica_has_of_its_own_is_noted_and_it_does_not_follow(pair: Pair) -> None:
    pair.dc2.own = replace(pair.dc2.own, rows=rows(6, server=2), channel=None)
    pair.dc2.follows = None
    assert not pair.run(Switchover(primary="dc1"))
    assert pair.dc2.own.extra == "0-2-1 to 0-2-6"
    assert pair.dc2.told == ["watch", "note"]
    assert "dc2: has transactions that dc1 has not, and does not follow: 0-2-1 to 0-2-6" in pair.said


def test_a_replica_that_is_behind_keeps_the_role_where_it_is(pair: Pair) -> None:
    pair.dc2.own = replace(pair.dc2.own, rows=rows(4))
    pair.dc2.follows = None
    assert "dc2 is behind, and does not catch up: nothing is changed" in pair.run(TO_DC2)
    assert not pair.dc1.own.read_only


def test_one_that_is_closed_already_still_has_its_events_stopped(pair: Pair) -> None:
    pair.dc1.own = replace(pair.dc1.own, read_only=True, running=1)
    assert not pair.run(TO_DC2)
    assert pair.dc1.told[:3] == ["watch", "stop_events", "write"]


def test_a_row_that_names_neither_site_is_refused() -> None:
    own = Own(
        token=Token(site="dc3", term=1), read_only=True, rows=rows(1), watched=True, applied="0-1-1", channel=None
    )
    step = decide(TO_DC2, "dc1", "dc2", own, Silence("error 2002"), Past())
    assert isinstance(step, Refuse)
    assert "the row of dc1 has dc3 as the primary" in step.reason


def test_events_are_stopped_before_it_is_read_only() -> None:
    own = Own(
        token=Token(site="dc2", term=1),
        read_only=False,
        rows=rows(1),
        watched=True,
        applied="",
        channel=None,
        running=1,
    )
    theirs = Theirs(token=Token(site="dc1", term=0), read_only=True, rows=rows(1))
    assert decide(TO_DC2, "dc1", "dc2", own, theirs, Past()) == StopEvents()


def test_what_has_returned_gives_up_its_claim() -> None:
    own = Own(token=Token(site="dc1", term=0), read_only=True, rows=rows(1), watched=True, applied="", channel=None)
    theirs = Theirs(token=Token(site="dc2", term=2), read_only=False, rows=rows(1))
    assert decide(TO_DC2, "dc1", "dc2", own, theirs, Past()) == Write(Token(site="dc2", term=2))
    held_out = replace(theirs, token=Token(site="dc1", term=3), read_only=True)
    assert decide(TO_DC2, "dc1", "dc2", own, held_out, Past()) == Write(Token(site="dc2", term=2)), "can be taken yet"


def test_a_closed_primary_is_not_opened_without_an_answer() -> None:
    own = Own(token=Token(site="dc1", term=0), read_only=True, rows=rows(1), watched=True, applied="", channel=None)
    step = decide(Switchover(primary="dc1"), "dc1", "dc2", own, Silence("error 2002", lasting=True), Past())
    assert isinstance(step, Wait)


# --- a dry run -------------------------------------------------------------------------------------------------------


def test_a_dry_run_changes_nothing(pair: Pair) -> None:
    lines, possible = foreseen(TO_DC2, pair.sides(), pair.time)
    assert possible
    assert lines[-2:] == ["dc2: is the primary, at 0-1-5", "dc1: is a replica, at 0-1-5"]
    assert pair.dc1.told == pair.dc2.told == []


@pytest.mark.parametrize(("error", "possible"), [(0, True), (1062, False)])
def test_a_dry_run_starts_a_stopped_channel_in_thought(pair: Pair, error: int, *, possible: bool) -> None:
    """A channel that an error has stopped would stop at the same error again."""
    pair.dc2.own = replace(
        pair.dc2.own, rows=rows(3), channel=Channel(receives=False, applies=False, error=error, idle=False)
    )
    lines, said = foreseen(TO_DC2, pair.sides(), pair.time)
    assert said is possible, lines
    assert pair.dc1.told == pair.dc2.told == []


def test_a_dry_run_does_not_take_a_channel_that_it_would_start_for_one_that_runs(pair: Pair) -> None:
    pair.dc1.silent = lambda _: True
    pair.dc2.own = replace(pair.dc2.own, channel=Channel(receives=False, applies=False))
    assert foreseen(LOST, pair.sides("dc2"), pair.time)[1]


@pytest.mark.parametrize("site", ["dc1", "dc2"])
def test_a_dry_run_says_no_to_a_silent_site(pair: Pair, site: str) -> None:
    getattr(pair, site).silent = lambda _: True
    lines, possible = foreseen(TO_DC2, pair.sides(), pair.time)
    assert not possible
    assert "does not answer" in lines[-1]
    assert pair.dc1.told == pair.dc2.told == []
