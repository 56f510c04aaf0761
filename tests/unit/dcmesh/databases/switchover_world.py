"""Two sites with their databases, the line between them, and runs of the switchover: all states that they can reach.

The runs are the real ones of dcmesh/databases/switchover.py: `decide` and `perform`, unchanged or with a fault put in.
The servers are simulated. Each change does what its statement in mariadb_server.py does, with its guard. `settle` is
the loop of mariadb_start.sh in Python, which a server runs when it starts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple, cast

from dcmesh.databases.mariadb_gtids import MariadbRows
from dcmesh.model.switchover import Switchover
from tests.unit.dcmesh.databases.state_search import Violation

SITES = ("dc1", "dc2")
PAIR = 2
"""The run of a stack with both sites; 0 and 1 are those of a stack with one."""

UP, DOWN, FROZEN, EMPTY = range(4)
"""The states of a server. An empty one is down and has lost its data, so it starts as a copy of the other."""

CONNECTED, MUTE, CUT = range(3)
"""The states of the line for a site. With MUTE its questions get no answer, but its channel runs."""

NO_CHANNEL, RUNS, BROKEN, STOPPED = range(4)
"""The states of a channel. BROKEN stops for good at the next row. STOPPED lasts until it is started."""

Row = tuple[int, int, int]
"""A transaction: the server that wrote it, its number, and its number in the whole world."""


class Server(NamedTuple):
    """A site's database."""

    claim: int
    term: int
    read_only: bool
    health: int
    log: tuple[Row, ...]
    base: int = 0
    """How much of the log a copy did not bring. The binary log begins with the last row of that part."""
    channel: int = NO_CHANNEL
    scheduler: bool = False
    idle: bool = False
    """Whether it has events that came by replication, some of them off at the other site, and runs none of them."""
    extra: str = ""
    beside: tuple[Any, ...] | None = None
    """The step of mariadb_start.sh, which runs beside the server until that is open or a replica."""

    @property
    def open(self) -> bool:
        return not self.read_only and self.health in (UP, FROZEN)

    @property
    def writes(self) -> bool:
        """Whether it is open, or runs events. An event's definer may write on a read-only server."""
        return self.open or (self.scheduler and self.health in (UP, FROZEN))


class Run(NamedTuple):
    """A run: its task, its present step, and what it keeps. The world's table has what it has seen."""

    shape: int
    wanted: int
    word: bool = False
    at: str = ""
    turn: int = 0
    """Whose turn it is in a pair.

    0: the wanted primary's. 1: the other's. 2: the other's, when the primary is the primary.
    """
    own: int = -1
    act: tuple[int, tuple[int, int], bool] | None = None
    """The step that it is about to make, the row that it saw, and whether it could not see the other site."""
    pasts: tuple[int, int] = (0, 0)
    watched: tuple[bool, bool] = (False, False)


class State(NamedTuple):
    """The whole world, the events that may still happen, and the rows that must not be lost any more."""

    servers: tuple[Server, Server]
    line: tuple[int, int] = (CONNECTED, CONNECTED)
    runs: frozenset[Run] = frozenset()
    more_runs: int = 0
    more_faults: int = 0
    more_rows: int = 0
    volumes: int = 0
    kept: frozenset[Row] = frozenset()
    """The committed rows, without those that the operator gave up or that were lost with a volume."""
    given_up: frozenset[Row] = frozenset()
    accepted: tuple[bool, bool] = (False, False)
    """Whether the operator has named the rows with which a site goes on, so that it may open without the others."""
    words: tuple[bool, bool] = (False, False)
    """Whether a site's pods find failover.without."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The limits for what may happen."""

    runs: int = 2
    faults: int = 1
    rows: int = 1
    volumes: int = 0
    shapes: Sequence[int] = (0, 1, PAIR)
    words: bool = False
    events: bool = False
    kinds: Sequence[str] = ("kill", "freeze", "line", "applier")
    begins: str = ""
    """The first state.

    `lost`: dc2 has a row that a failover has given up. `gone`: a failover has made dc2 the primary, and dc1 is down.
    `closed`: dc1 is the primary and closed, and a run is about to open it.
    """


def settle(
    row: tuple[str, int, bool] | None,
    theirs: tuple[str, int, bool] | None,
    *,
    site: str,
    follows: bool,
    yielded: bool,
    silent: bool,
    without: bool,
) -> str:
    """Return what a turn of mariadb_start.sh's loop does: `follow`, `end`, `open`, `relinquish` or `again`.

    Args:
        row: site and term in the own row, and whether the server is read-only; None if it does not answer.
        theirs: the same of the other server.
        site: the own site.
        follows: whether there is a channel.
        yielded: whether the server has given up its claim before.
        silent: whether the other server has been silent for half a minute.
        without: whether failover.without names the other.
    """
    if row is None:
        return "again"
    if yielded and row[0] != site and not follows:
        return "follow"
    if row[0] != site or not row[2]:
        return "end"
    if theirs is None:
        return "open" if silent and without else "again"
    if theirs[1] > row[1]:
        return "relinquish"
    return "open" if theirs[2] and theirs[0] == site else "again"


def text(rows: tuple[Row, ...]) -> str:
    return f"0-{rows[-1][0] + 1}-{rows[-1][1]}" if rows else ""


def _with(both: tuple[Any, Any], site: int, thing: Any) -> tuple[Any, Any]:
    """Return a pair of values, one for each site, with one of them changed."""
    return (thing, both[1]) if site == 0 else (both[0], thing)


class Operated:
    """A simulated server towards the code under search. It applies one statement, with the statement's guard."""

    def __init__(self, server: Server, *, watched: bool, answers: bool) -> None:
        self.server = server
        self._watched, self._answers = watched, answers
        self.watches = False
        self.enabled_unasked = False
        """Whether events run that may be off at the other site's server."""

    def _change(self, seen: Any, **changes: Any) -> None:
        if self._watched and (SITES[self.server.claim], self.server.term) == (seen.site, seen.term):
            self.server = self.server._replace(**changes)

    def watch(self) -> None:
        self.watches = True

    def write(self, seen: Any, token: Any) -> None:
        self._change(seen, claim=SITES.index(token.site), term=token.term)

    def stop_events(self, seen: Any) -> None:
        self._change(seen, scheduler=False)

    def fence(self, seen: Any) -> None:
        self._change(seen, read_only=True)

    def follow(self, seen: Any) -> None:
        self._change(seen, channel=BROKEN if self.server.channel == BROKEN else RUNS)

    def note(self, seen: Any, extra: str) -> None:
        self._change(seen, extra=extra)

    def open(self, seen: Any) -> None:
        self._change(seen, read_only=False, channel=NO_CHANNEL)

    def run_events(self, seen: Any, *, alone: bool) -> None:
        before = self.server
        self._change(seen, scheduler=True)
        if self._answers or alone:
            self._change(seen, idle=False)
            self.enabled_unasked = not self._answers and self.server.idle != before.idle


class World:
    """The states that can follow a state, with the code under search."""

    def __init__(
        self,
        code: ModuleType,
        bounds: Bounds,
        *,
        rows: type[MariadbRows] = MariadbRows,
        start: Any = settle,
        operated: type[Operated] = Operated,
    ) -> None:
        self.code: Any = code
        self.bounds = bounds
        self._rows = rows
        self._settle = start
        self._operated = operated
        self._table: list[Any] = []
        self._numbers: dict[Any, int] = {}
        self._number(code.Past())
        self._owns: dict[Any, int] = {}
        self._tells: dict[Any, int] = {}
        self._decided: dict[Any, tuple[int, int]] = {}
        self._done: dict[Any, tuple[Server, bool, bool]] = {}
        self._silence = self._number(code.Silence("", lasting=True))
        self._same: dict[Any, Any] = {}

    # --- what is seen -------------------------------------------------------------------------------------------------

    def _number(self, thing: Any) -> int:
        """Return a number for a thing, the same one for equal things, because numbers are compared faster."""
        if thing not in self._numbers:
            self._numbers[thing] = len(self._table)
            self._table.append(thing)
        return self._numbers[thing]

    def _rows_of(self, server: Server) -> MariadbRows:
        last = {row[0]: row for row in server.log[max(server.base - 1, 0) :]}
        state = ",".join(text((row,)) for row in last.values())
        return self._rows.parse(text(server.log), state)

    def _own(self, server: Server, watched: bool, receives: bool) -> int:
        key = server._replace(beside=None), watched, receives
        if key not in self._owns:
            channel = None
            if server.channel:
                error = int(server.channel == BROKEN or (server.channel == RUNS and not receives))
                channel = self.code.Channel(receives=receives, applies=server.channel == RUNS, error=error)
            self._owns[key] = self._number(
                self.code.Own(
                    token=self.code.Token(site=SITES[server.claim], term=server.term),
                    read_only=server.read_only,
                    rows=self._rows_of(server),
                    watched=watched,
                    applied=text(server.log),
                    channel=channel,
                    scheduler=server.scheduler,
                    idle_events=self.bounds.events and (server.idle or not server.scheduler),
                    extra=server.extra,
                )
            )
        return self._owns[key]

    def _tell(self, server: Server) -> int:
        key = server.claim, server.term, server.read_only, server.scheduler, server.log, server.base
        if key not in self._tells:
            token = self.code.Token(site=SITES[server.claim], term=server.term)
            closed = server.read_only and not server.scheduler
            theirs = self.code.Theirs(token=token, read_only=closed, rows=self._rows_of(server))
            self._tells[key] = self._number(theirs)
        return self._tells[key]

    @staticmethod
    def _receives(state: State, site: int) -> bool:
        own, other = state.servers[site], state.servers[1 - site]
        shown = len(own.log) < len(other.log) and own.log == other.log[: len(own.log)] and len(own.log) >= other.base
        waits = len(own.log) >= len(other.log)
        line = state.line[site] != CUT and other.health == UP and own.health == UP
        return own.channel in (RUNS, BROKEN) and line and (shown or waits)

    # --- what happens -------------------------------------------------------------------------------------------------

    def begin(self) -> State:
        row = (0, 1, -1)
        log: tuple[Row, ...] = (row,)
        first = Server(0, 0, False, UP, log, scheduler=self.bounds.events)
        second = Server(0, 0, True, UP, log, channel=RUNS, idle=self.bounds.events)
        given_up: frozenset[Row] = frozenset()
        if self.bounds.begins == "gone":
            first = first._replace(read_only=True, health=DOWN)
            second = second._replace(claim=1, term=2, read_only=False, channel=NO_CHANNEL)
        if self.bounds.begins == "lost":
            lost = (1, 2, -2)
            second = second._replace(log=(row, lost), extra="0-2-1 to 0-2-2")
            given_up = frozenset({lost})
        bounds = self.bounds
        if bounds.begins == "closed":
            first = first._replace(read_only=True)
        state = State(
            (first, second),
            more_runs=bounds.runs,
            more_faults=bounds.faults,
            more_rows=bounds.rows,
            volumes=bounds.volumes,
            kept=frozenset({row}),
            given_up=given_up,
        )
        if bounds.begins == "closed":
            state = state._replace(runs=frozenset({Run(0, 0)}))
            while not any(run.act and self._table[run.act[0]] == self.code.Open() for run in state.runs):
                state = next(self.run_steps(state, next(iter(state.runs))))
        return state

    def successors(self, state: State) -> Iterator[State]:
        """Yield what can come next.

        Raises:
            Violation: it must not.
        """
        for run in state.runs:
            yield from self.run_steps(state, run)
        yield from self._begun(state)
        for site in (0, 1):
            yield from self.served(state, site)
            yield from self._faults(state, site)

    def _begun(self, state: State) -> Iterator[State]:
        if not state.more_runs:
            return
        for shape in self.bounds.shapes:
            for wanted in (0, 1):
                words: tuple[tuple[bool, str], ...] = ((False, ""),)
                if self.bounds.words and shape == wanted:
                    words = (*words, (True, text(state.servers[shape].log)), (True, "0-9-9"))
                for word, at in words:
                    told = state.words
                    for site in (0, 1) if shape == PAIR else (shape,):
                        told = _with(told, site, word)
                    runs = self._shared(state.runs | {Run(shape, wanted, word, at)})
                    yield state._replace(runs=runs, more_runs=state.more_runs - 1, words=told)

    def _shared(self, thing: Any) -> Any:
        """Return the same object for equal things."""
        return self._same.setdefault(thing, thing)

    def served(self, state: State, site: int) -> Iterator[State]:
        """Yield what a server does by itself."""
        own, other = state.servers[site], state.servers[1 - site]
        if own.health != UP:
            return
        if (not own.read_only or own.scheduler) and state.more_rows:
            row = (site, own.log[-1][1] + 1 if own.log else 1, state.more_rows)
            written = self.put(state, site, own._replace(log=(*own.log, row)))
            yield written._replace(more_rows=state.more_rows - 1, kept=state.kept | {row})
        received = own.channel == RUNS and len(own.log) < len(other.log) and self._receives(state, site)
        if received:
            row = other.log[len(own.log)]
            if row in state.given_up:
                raise Violation("what the operator gave up is merged")
            yield self.put(state, site, own._replace(log=(*own.log, row)))
        if own.beside:
            yield from self._started(state, site, own, other)

    def _started(self, state: State, site: int, own: Server, other: Server) -> Iterator[State]:
        """Yield what mariadb_start.sh does next: it reads its own row, then the other's, then acts on both."""
        assert own.beside
        at, yielded, *seen = own.beside
        answers = other.health == UP and state.line[site] == CONNECTED
        if at == "own":
            row = (SITES[own.claim], own.term, own.read_only)
            done = self._settle(
                row,
                None,
                site=SITES[site],
                follows=own.channel != NO_CHANNEL,
                yielded=yielded,
                silent=False,
                without=False,
            )
            if done == "end":
                yield self.put(state, site, own._replace(beside=None))
            elif done == "follow":
                yield self.put(state, site, own._replace(channel=RUNS))
            else:
                yield self.put(state, site, own._replace(beside=("theirs", yielded, row)))
        elif at == "theirs":
            theirs = (SITES[other.claim], other.term, other.read_only) if answers else None
            done = self._settle(
                seen[0], theirs, site=SITES[site], follows=own.channel != NO_CHANNEL, yielded=yielded, silent=True,
                without=state.words[site],
            )  # fmt: skip
            then: tuple[Any, ...] = ("own", yielded)
            if done in ("open", "relinquish"):
                then = (done, yielded or done == "relinquish", theirs)
            if then != own.beside:
                yield self.put(state, site, own._replace(beside=then))
        else:
            theirs = seen[0]
            again = own._replace(beside=("own", yielded))
            if at == "open" and own.claim == site:
                if theirs is None and state.words[site] and self._lied(state, site):
                    return
                yield self.put(state, site, again._replace(read_only=False, scheduler=self.bounds.events))
            elif at == "relinquish" and own.claim == site and own.term < theirs[1] and own.read_only:
                term = theirs[1] - (theirs[0] == SITES[site])
                yield self.put(state, site, again._replace(claim=1 - site, term=term))
            else:
                yield self.put(state, site, again)

    @staticmethod
    def _lied(state: State, site: int) -> bool:
        """Tell whether failover.without is false. What follows then is not searched.

        It is false if the other site runs but cannot be asked, or if a primary's server is to go on although the other
        site has taken over.
        """
        own, other = state.servers[site], state.servers[1 - site]
        later = own.claim == site and other.claim != site and other.term >= own.term
        return other.health in (UP, FROZEN) or later

    def _faults(self, state: State, site: int) -> Iterator[State]:
        own, other = state.servers[site], state.servers[1 - site]
        kinds = self.bounds.kinds if state.more_faults else ()
        less = state._replace(more_faults=state.more_faults - 1) if state.more_faults else state
        if own.health == FROZEN:
            yield self.put(state, site, own._replace(health=UP))
        elif own.health == UP and "freeze" in kinds:
            yield self.put(less, site, own._replace(health=FROZEN))
        if own.health in (UP, FROZEN):
            if "kill" in kinds:
                yield self.ended(less, site, own, DOWN)
            if state.volumes:
                gone = self.ended(state._replace(volumes=state.volumes - 1), site, own, EMPTY)
                lost = frozenset(own.log) - frozenset(other.log)
                # The other server's rows are then all that there are.
                yield gone._replace(kept=state.kept - lost, given_up=state.given_up - frozenset(other.log))
        elif own.health == DOWN or (other.health == UP and state.line[site] == CONNECTED):
            yield self.start(state, site)
        if own.open and "hand" in kinds:
            yield self.put(less, site, own._replace(read_only=True))
        if own.channel == RUNS and "applier" in kinds:
            yield self.put(less, site, own._replace(channel=BROKEN))
        if state.line[site] != CONNECTED:
            yield state._replace(line=_with(state.line, site, CONNECTED))
        elif "line" in kinds:
            for how in (MUTE, CUT):
                yield less._replace(line=_with(state.line, site, how))

    def ended(self, state: State, site: int, own: Server, health: int) -> State:
        """End a server, and with it everything that is connected to it."""
        down = own._replace(health=health, read_only=True, scheduler=False, beside=None)
        if health == EMPTY:
            down = Server(own.claim, own.term, True, EMPTY, ())
        runs = frozenset(run._replace(watched=_with(run.watched, site, False)) for run in state.runs)
        return self.put(state, site, down)._replace(runs=self._shared(runs))

    def start(self, state: State, site: int) -> State:
        """Start a server, with its data or as a copy."""
        own, other = state.servers[site], state.servers[1 - site]
        if own.health == EMPTY:
            term = other.term + (other.claim == site)
            copy = Server(1 - site, term, True, UP, other.log, base=len(other.log), channel=RUNS)
            return self.put(state, site, copy)
        if own.claim == site:
            channel = own.channel and STOPPED
            return self.put(state, site, own._replace(health=UP, beside=("own", False), channel=channel))
        channel = BROKEN if own.channel == BROKEN else RUNS
        return self.put(state, site, own._replace(health=UP, channel=channel))

    def put(self, state: State, site: int, after: Server) -> State:
        """Return the state with a server changed.

        Raises:
            Violation: two servers are open, or one was opened that has not all rows.
        """
        before = state.servers[site]
        after = self._shared(after)
        other = state.servers[1 - site]
        if after.writes and other.writes:
            raise Violation("both servers are open")
        if after.open:
            missing = state.kept - frozenset(after.log) if not before.open else frozenset()
            if missing and not state.accepted[site]:
                raise Violation("a committed row is lost")
            # According to the named GTIDs it also has rows that an earlier failover.without had given up.
            if state.accepted[site]:
                given_up = (state.given_up | missing) - frozenset(after.log)
                state = state._replace(kept=state.kept - missing, given_up=given_up)
        if state.accepted[site] and (after.open or after.claim != site):
            state = state._replace(accepted=_with(state.accepted, site, False))
        return state._replace(servers=_with(state.servers, site, after))

    # --- a run --------------------------------------------------------------------------------------------------------

    def run_steps(self, state: State, run: Run) -> Iterator[State]:
        """Yield what a run does next: it looks at its own server, then at the other's, decides, and acts."""
        site = run.wanted if run.turn == 0 else 1 - run.wanted
        if run.shape != PAIR:
            site = run.shape
        own, other = state.servers[site], state.servers[1 - site]
        if run.act:
            if own.health == UP:
                yield from self._act(state, run, site)
        elif run.own < 0:
            if own.health == UP:
                seen = self._own(own, run.watched[site], self._receives(state, site))
                yield self._goes_on(state, run, run._replace(own=seen))
        else:
            answers = other.health == UP and (run.shape == PAIR or state.line[site] == CONNECTED)
            theirs = self._tell(other) if answers else self._silence
            yield self._goes_on(state, run, self._decide(run, site, theirs))

    def _decide(self, run: Run, site: int, theirs: int) -> Run | None:
        key = run.wanted, run.word, run.at, site, run.own, theirs, run.pasts[site]
        own = self._table[run.own]
        if key not in self._decided:
            wanted = Switchover(
                primary=SITES[run.wanted], without=SITES[1 - site] if run.word else "", at=run.at if run.word else ""
            )
            past, seen = self._table[run.pasts[site]], self._table[theirs]
            step = self.code.decide(wanted, SITES[site], SITES[1 - site], own, seen, past)
            # The message of a wait or a refusal does not matter here.
            if isinstance(step, self.code.Wait | self.code.Refuse):
                step = self.code.Wait("") if isinstance(step, self.code.Wait) else self.code.Refuse("")
            self._decided[key] = self._number(step), self._number(past.seen(own, seen))
        number, past_number = self._decided[key]
        step = self._table[number]
        looks = run._replace(own=-1, pasts=_with(run.pasts, site, past_number))
        match step:
            case self.code.Refuse():
                return None
            case self.code.Wait() if run.shape == PAIR:
                return looks._replace(turn=0 if run.turn else 1)
            case self.code.Wait():
                return looks
            case self.code.Reached() if run.shape == PAIR and run.turn != 2:
                return looks._replace(turn=0 if run.turn else 2)
            case self.code.Reached():
                return None
        blind = theirs == self._silence and not (own.channel and own.channel.receives)
        return looks._replace(act=(number, (SITES.index(own.token.site), own.token.term), blind))

    def _act(self, state: State, run: Run, site: int) -> Iterator[State]:
        assert run.act
        number, (claim, term), blind = run.act
        own, watched = state.servers[site], run.watched[site]
        answers = state.servers[1 - site].health == UP and state.line[site] == CONNECTED
        key = own, watched, answers, number, claim, term
        step = self._table[number]
        if key not in self._done:
            operated = self._operated(own, watched=watched, answers=answers)
            self.code.perform(step, cast(Any, operated), self.code.Token(site=SITES[claim], term=term))
            self._done[key] = self._shared(operated.server), operated.watches, operated.enabled_unasked
        after, watches, enabled_unasked = self._done[key]
        if enabled_unasked and not run.word:
            raise Violation("an event is enabled that may be off at the other site")
        if watches:
            watched = True
        past = self._number(self._table[run.pasts[site]].done(step))
        run_after = run._replace(
            act=None, turn=0, watched=_with(run.watched, site, watched), pasts=_with(run.pasts, site, past)
        )
        if "fails" in self.bounds.kinds and state.more_faults and not watches:
            # Its session has ended, and so has its guard, before or after the server executed the statement.
            fails = run._replace(act=None, turn=0, watched=_with(run.watched, site, False))
            less = state._replace(more_faults=state.more_faults - 1)
            half = [own._replace(channel=NO_CHANNEL)] if isinstance(step, self.code.Open) and after != own else []
            for left in (own, *half):
                yield self._goes_on(self.put(less, site, left), run, fails)
        if after is own or after == own:
            yield self._goes_on(state, run, run_after)
            return
        if run.word and blind and isinstance(step, self.code.Open) and self._lied(state, site):
            return
        changed = self.put(state, site, after)
        if isinstance(step, self.code.Write) and step.lost and run.at in (text((row,)) for row in own.log):
            changed = changed._replace(accepted=_with(changed.accepted, site, True))
        yield self._goes_on(changed, run, run_after)

    def _goes_on(self, state: State, run: Run, after: Run | None) -> State:
        runs = state.runs - {run}
        if after:
            runs |= {after}
        return state._replace(runs=self._shared(runs))


def stuck(world: World, states: set[State]) -> State | None:
    """Return a state from which no `up` leads to a primary that takes writes; None if there is none."""
    distinct = {state.servers: state for state in states}
    for state in distinct.values():
        for shape in (0, PAIR):
            # A server that is open and has given its role away cannot always be fenced.
            for can_be_fenced in (True, False):
                if not any(leads(led_on(world, state, shape, to, can_be_fenced=can_be_fenced)) for to in (0, 1)):
                    return state
    return None


def leads(servers: tuple[Server, Server]) -> bool:
    """Tell whether one server is open, and is the primary."""
    return [site for site in (0, 1) if servers[site].open] in [[site] for site in (0, 1) if servers[site].claim == site]


def led_on(world: World, state: State, shape: int, to: int, *, can_be_fenced: bool = True) -> tuple[Server, Server]:
    """Return the servers after an `up` of the whole stack, or one of each site, during which nothing fails."""
    nothing = frozenset[Row]()
    state = State(state.servers, kept=nothing, given_up=nothing)
    for health in (FROZEN, DOWN, EMPTY):
        for site in (0, 1):
            own = state.servers[site]
            if own.health == health == FROZEN:
                state = world.put(state, site, own._replace(health=UP))
            elif own.health == health and (health == DOWN or state.servers[1 - site].health == UP):
                state = world.start(state, site)
    runs = {Run(PAIR, to)} if shape == PAIR else {Run(site, to) for site in (0, 1)}
    state = state._replace(runs=frozenset(runs))
    seen = set[State]()
    while state.runs and state not in seen:
        seen.add(state)
        for site in (0, 1):
            state = next(world.served(state, site), state)
        for run in sorted(state.runs):
            if run in state.runs:
                after = next(world.run_steps(state, run), state)
                closed = any(a.open and not b.open for a, b in zip(state.servers, after.servers, strict=True))
                if can_be_fenced or not closed:
                    state = after
    return state.servers
