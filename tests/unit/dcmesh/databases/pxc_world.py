"""Two sites with XtraDB clusters, their operators and containers, and runs of `up`: all states that they can reach.

A run's questions, decisions and changes come from the real code, dcmesh/databases/pxc_server.py and switchover.py,
either unchanged or with a fault put in. A run is stored as the answers that it has had in its present turn, and is
replayed with one more answer. So anything can happen between any two questions, and between an answer and the change
that follows.

Percona's operator is simulated according to its source: it reads the resource, and then opens or closes the nodes that
are ready, one after the other. `hold` stands in for pxc_hold.sh, which says whether a node is ready.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pulumi

from dcmesh.databases import pxc_cluster, pxc_server, switchover
from dcmesh.databases.mysql_gtids import MysqlRows
from dcmesh.model.switchover import Switchover
from tests.unit.dcmesh.databases.state_search import Violation

SITES = ("dc1", "dc2")
IDS = ("3e11fa47-71ca-11e1-9e33-c80aa9429562", "4e11fa47-71ca-11e1-9e33-c80aa9429562")

Row = tuple[int, int]
"""A transaction: the site that wrote it, and its number there."""

R, P, ALONE = "replica", "primary", "primary alone"
"""The role that a cluster's containers read. With the last one, they ask no other site."""

KEPT = ("_taken", "_extra", "_promise", "_promises")
"""The attributes that a server keeps from turn to turn."""

NONE, MARKED, PROMISED = 0, pxc_cluster.REPLICA, pxc_cluster.PROMISED
NEW_PROMISE = PROMISED + 4096


class Node(NamedTuple):
    """A node, and its container."""

    open: bool = False
    mark: int = NONE
    ready: bool = False
    asked: tuple[str, ...] | None = None
    """The answers of the other site's nodes so far, if the node is asking them."""


class Site(NamedTuple):
    """A site: its resource, its operator, its nodes and their rows."""

    source: bool
    nodes: tuple[Node, ...]
    rows: frozenset[Row]
    alone: bool = False
    observed: bool = True
    told: str = R
    """The role that the containers read now.

    The role that they will read follows from the resource as last observed.
    """
    written: str = R
    pass_: tuple[bool, bool, int] | None = None
    """The role that the operator read in the resource when it began, whether it is still that, and the next node."""
    channel: bool = False
    gone: bool = False

    @property
    def role(self) -> str:
        return (ALONE if self.alone else P) if self.source else R

    @property
    def open(self) -> bool:
        return not self.gone and any(node.open for node in self.nodes)


class Run(NamedTuple):
    """An `up`, or the rest of one: the Command of a site."""

    wanted: int
    stage: str
    """`giver` and `taker`: about to ask for a resource. `close` and `open`: about to change it. `left`: the Command."""
    site: int
    word: bool = False
    true: bool = False
    """Whether the other site was gone when it began."""
    at: str = ""
    asks: bool = False
    """Whether it has found that there is something to ask."""
    log: tuple[int, ...] = ()
    past: int = 0
    kept: int = 0
    """The state that its server keeps, as a number."""


class State(NamedTuple):
    """The whole world, the events that may still happen, and the rows that must not be lost any more."""

    sites: tuple[Site, Site]
    runs: frozenset[Run] = frozenset()
    line: bool = True
    mute: tuple[bool, bool] = (False, False)
    """Whether a site's API does not answer although everything else runs there."""
    more_runs: int = 0
    more_faults: int = 0
    more_rows: int = 0
    kept: frozenset[Row] = frozenset()
    given_up: frozenset[Row] = frozenset()
    accepted: tuple[bool, bool] = (False, False)


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The limits for what may happen."""

    nodes: int = 1
    runs: int = 1
    faults: int = 0
    rows: int = 0
    kinds: Sequence[str] = ("restart", "gone", "line", "mute")
    words: bool = False
    commands: bool = False
    """Whether the Commands run that follow when both resources are changed."""
    busy: bool = False
    """Whether an operator also looks at its cluster when there is nothing to do."""
    begins: str = ""
    """The first state.

    `gone`: dc1 is down, and a failover has made dc2 the primary. `lost`: the same, and dc1 has a row that was given up.
    `away`: dc1, the primary, is down. `behind`: the same, and dc2 lacks some of its rows. `left`: the same, and a
    failover has been begun and taken back; its Command has looked once, and goes on.
    """


def hold(
    *, role: str, read_only: bool, freed: bool, theirs: Sequence[str], sisters: Sequence[str], long: bool = True
) -> bool:
    """Tell what `free` of pxc_hold.sh says of a node whose server answers.

    Args:
        role: the role that it reads: `replica`, `primary`, or `primary alone`.
        read_only: whether the node is closed.
        freed: whether the node was released since its server started.
        theirs: the states of the other site's nodes: `open`, `replica`, `closed`, or anything else.
        sisters: the states of the other nodes of its cluster.
        long: whether the other site has said so for long enough.
    """
    if not read_only or freed or role in (R, ALONE):
        return True
    if "open" in theirs:
        return False
    if "open" in sisters:
        return True
    return 2 * theirs.count("replica") > len(theirs) and long


# --- the code --------------------------------------------------------------------------------------------------------


class Code:
    """The code under search, with changes at some places of its source."""

    def __init__(self, *changes: tuple[ModuleType, str, str]) -> None:
        before = {module.__name__: module for module in (switchover, pxc_cluster, pxc_server)}
        made = dict[str, ModuleType]()
        try:
            for name, module in before.items():
                assert module.__file__
                source = Path(module.__file__).read_text()
                for of, old, new in changes:
                    if of is module:
                        assert source.count(old) == 1, f"{old!r} is not one place of the code any more"
                        source = source.replace(old, new)
                made[name] = sys.modules[name] = ModuleType(name)
                exec(compile(source, module.__file__, "exec"), made[name].__dict__)  # noqa: S102
        finally:
            sys.modules.update(before)
        self.machine: Any
        self.cluster: Any
        self.server: Any
        self.machine, self.cluster, self.server = made.values()
        self.server.switch_over = _asks
        self.server.new_promise = lambda: NEW_PROMISE


class _Asks(Exception):  # noqa: N818
    """The run has found that there is something to ask: its turns begin."""


def _asks(*_: Any) -> None:
    raise _Asks


class _Needs(Exception):  # noqa: N818
    """A question without an answer so far, or a change that is not made yet."""


class Replayed:
    """A cluster towards the code under search. It replays answers for as long as there are some."""

    def __init__(self, site: int, answers: Iterator[Any]) -> None:
        self._site, self._answers = site, answers

    def _next(self, *what: Any) -> Any:
        try:
            answer = next(self._answers)
        except StopIteration:
            raise _Needs(self._site, *what) from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def resource(self) -> Any:
        return self._next("resource")

    def node(self, ordinal: int) -> Any:
        return self._next("node", ordinal)

    def writer(self) -> Any:
        return self._next("node", 0)

    def ready(self, ordinal: int) -> bool:
        return False

    def mark(self, ordinal: int, size: int) -> None:
        self._next("mark", ordinal, size)

    def unmark(self, ordinal: int, seen: int) -> None:
        self._next("unmark", ordinal, seen)

    def start_channel(self, channel: str) -> None:
        self._next("start")

    def drop_channel(self, ordinal: int, channel: str) -> None:
        self._next("drop")

    def idle_events(self, nodes: int) -> bool:
        return False


class World:
    """The states that can follow a state, with the code under search."""

    def __init__(self, bounds: Bounds, code: Code | None = None, held: Any = hold) -> None:
        self.bounds = bounds
        self._code = code or Code()
        self._hold = held
        self._table: list[Any] = []
        self._numbers: dict[Any, int] = {}
        self._number(self._code.machine.Past())
        self._number(())
        self._turns: dict[Run, Any] = {}
        self._same: dict[Any, Any] = {}

    def _number(self, thing: Any) -> int:
        if thing not in self._numbers:
            self._numbers[thing] = len(self._table)
            self._table.append(thing)
        return self._numbers[thing]

    # --- a run --------------------------------------------------------------------------------------------------------

    def _turn(self, run: Run) -> Any:
        """Return what a run needs next, or the result of its turn: its outcome, and what it keeps."""
        key = run._replace(true=False)
        if key not in self._turns:
            self._turns[key] = self._replay(run)
        return self._turns[key]

    def _replay(self, run: Run) -> Any:
        machine, code = self._code.machine, self._code.server
        answers = iter([self._table[number] for number in run.log])
        own, theirs = (Replayed(site, answers) for site in (run.site, 1 - run.site))
        site, other = SITES[run.site], SITES[1 - run.site]
        wanted = Switchover(
            primary=SITES[run.wanted],
            without=SITES[1 - run.wanted] if run.word else "",
            at=run.at if run.word else "",
        )
        try:
            if run.stage in ("giver", "taker"):
                if not run.asks:
                    code.hand_over(wanted, site, other, (own, theirs))
                    return "may", run.past, run.kept
                side = code.side_before(wanted, site, other, (own, theirs))
            elif run.word:
                (side,) = code.sides_of([site], [own], other)
            else:
                side = code.sides_of([site, other], [own, theirs], "")[0]
            server, peer = side.server, side.peer
            vars(server).update(dict(self._table[run.kept or 1]))
            outcome, past = self._look(machine, wanted, run, server, peer)
            left = {name: value for name, value in vars(server).items() if name in KEPT}
            return outcome, past, self._number(tuple(left.items()))
        except _Needs as needs:
            return needs
        except _Asks:
            return "asks", run.past, run.kept
        except code._Permitted:
            return "may", run.past, run.kept
        except pulumi.RunError:
            return "ends", run.past, run.kept

    def _look(self, machine: Any, wanted: Switchover, run: Run, server: Any, peer: Any) -> tuple[str, int]:
        past = self._table[run.past]
        try:
            own = server.look()
        except machine.NoAnswer:
            return "again", run.past
        try:
            theirs = peer.look()
        except machine.NotSilent:
            theirs = machine.Silence("")
        except machine.NoAnswer:
            theirs = machine.Silence("", lasting=True)
        step = machine.decide(wanted, SITES[run.site], SITES[1 - run.site], own, theirs, past)
        past = past.seen(own, theirs)
        match step:
            case machine.Refuse():
                return "ends", run.past
            case machine.Reached():
                return "may", run.past
            case machine.Wait():
                return "again", self._number(past)
        try:
            machine.perform(step, server, own.token)
        except machine.NoAnswer:
            return "again", self._number(past)
        return "again", self._number(past.done(step))

    def run_steps(self, state: State, run: Run) -> Iterator[State]:
        """Yield the next step of a run: one question, or one change."""
        if run.stage in ("close", "open"):
            yield from self._changed(state, run)
            return
        needs = self._turn(run)
        if isinstance(needs, _Needs):
            site, what, *args = needs.args
            for after, answer in self._answer(state, site, what, *args):
                answered = run._replace(log=(*run.log, self._number(answer)))
                yield self._goes_on(after, run, answered)
        else:
            yield self._goes_on(state, run, run)

    def _goes_on(self, state: State, run: Run, after: Run) -> State:
        """Return the state after a run went on.

        If its turn ends without another question, the result is applied at once.
        """
        left: Run | None = after
        turn = self._turn(after)
        if not isinstance(turn, _Needs):
            outcome, past, kept = turn
            if outcome == "asks":
                left = after._replace(asks=True, log=())
            elif outcome == "again":
                left = after._replace(log=(), past=past, kept=kept)
            elif outcome == "ends" or after.stage == "left":
                left = None
            else:
                stage = "close" if after.stage == "giver" else "open"
                left = after._replace(stage=stage, asks=False, log=(), past=0, kept=0)
        runs = state.runs - {run}
        return state._replace(runs=self._shared(runs | {left} if left else runs))

    def _answer(self, state: State, site: int, what: str, *args: Any) -> Iterator[tuple[State, Any]]:
        """Yield a cluster's answers, or the states after it was told something."""
        machine, cluster = self._code.machine, self._code.cluster
        of = state.sites[site]
        if of.gone or state.mute[site]:
            yield state, machine.NoAnswer("")
        elif what == "resource":
            yield (
                state,
                cluster.Resource(source=of.source, observed=of.observed, nodes=len(of.nodes), channel="dcmesh"),
            )
        elif what == "node":
            node = of.nodes[args[0]]
            channel = None
            if of.channel:
                receives = self._receives(state, site)
                channel = machine.Channel(receives=receives, applies=True, error=0 if receives else 2003)
            yield (
                state,
                cluster.Node(
                    read_only=not node.open, events=node.open, mark=node.mark, rows=rows(of.rows), channel=channel
                ),
            )
        elif what == "mark":
            ordinal, size = args
            yield self._put_node(state, site, ordinal, of.nodes[ordinal]._replace(mark=size)), None
        elif what == "unmark":
            ordinal, seen = args
            node = of.nodes[ordinal]
            yield self._put_node(state, site, ordinal, node._replace(mark=MARKED) if node.mark == seen else node), None
        elif what == "drop":
            yield self._put(state, site, of._replace(channel=False)), None
        else:
            yield state, None

    def _changed(self, state: State, run: Run) -> Iterator[State]:
        """Let Pulumi change a resource.

        If its state has the wanted value already, `up` leaves the resource unchanged.
        """
        site = run.site
        source = run.stage == "open"
        of = state.sites[site]
        runs = state.runs - {run}
        if of.gone or state.mute[site]:
            yield state._replace(runs=self._shared(runs))
            return
        if source and run.word and of.source and not run.true and "mute" in self.bounds.kinds:
            return  # failover.without is false
        if source and run.word and not of.source:
            if not run.true and ("line" in self.bounds.kinds or not self._receives(state, site)):
                return  # failover.without is false, and nothing here could tell
            if run.at == str(rows(of.rows)):
                state = state._replace(accepted=_with(state.accepted, site, True))
        changed = of._replace(source=source, alone=source and run.word)
        if changed != of:
            changed = changed._replace(observed=False, pass_=of.pass_ and (of.pass_[0], False, of.pass_[2]))
        if source:
            left = [Run(run.wanted, "left", site, run.word, run.true, run.at)]
            if not run.word:
                left.append(Run(run.wanted, "left", 1 - site))
            after = runs | set(left if self.bounds.commands else ())
        else:
            after = runs | {Run(run.wanted, "taker", 1 - site)}
        yield self._put(state, site, changed)._replace(runs=self._shared(after))

    # --- what happens -------------------------------------------------------------------------------------------------

    def begin(self) -> State:
        nodes = self.bounds.nodes
        opened = (Node(open=True, ready=True),) * nodes
        closed = (Node(mark=MARKED, ready=True),) * nodes
        row = (0, 1)
        first = Site(True, opened, frozenset({row}), told=P, written=P)
        second = Site(False, closed, frozenset({row}), channel=True)
        given_up: frozenset[Row] = frozenset()
        if self.bounds.begins:
            given_up = frozenset({(0, 2)}) if self.bounds.begins == "lost" else given_up
            first = first._replace(nodes=(Node(),) * nodes, gone=True, rows=first.rows | given_up)
        kept = frozenset({row})
        if self.bounds.begins == "behind":
            first = first._replace(rows=first.rows | {(0, 2)})
            kept = first.rows
        if self.bounds.begins in ("gone", "lost"):
            second = Site(True, opened, frozenset({row}), alone=True, told=ALONE, written=ALONE)
        if self.bounds.begins == "left":
            second = second._replace(nodes=tuple(node._replace(mark=PROMISED) for node in second.nodes))
        looked = self._number((("_promises", frozenset({PROMISED})),))
        left = Run(0, "left", 1, kept=looked) if self.bounds.begins == "left" else None
        return State(
            (first, second),
            runs=frozenset({left} if left else ()),
            more_runs=self.bounds.runs,
            more_faults=self.bounds.faults,
            more_rows=self.bounds.rows,
            kept=kept,
            given_up=given_up,
        )

    def successors(self, state: State) -> Iterator[State]:
        """Yield what can come next.

        Raises:
            Violation: it must not.
        """
        for run in state.runs:
            yield from self.run_steps(state, run)
            if run.stage != "left":  # The run is killed. A Command goes on, or is killed too.
                yield state._replace(runs=self._shared(state.runs - {run}))
        if state.more_runs and all(run.stage == "left" for run in state.runs):
            yield from self._begun(state)
        for site in (0, 1):
            yield from self.served(state, site)
            yield from self._faults(state, site)

    def _begun(self, state: State) -> Iterator[State]:
        for wanted in (0, 1):
            other = 1 - wanted
            runs = [Run(wanted, "giver", other), Run(wanted, "taker", wanted)]
            if self.bounds.words:
                true = state.sites[other].gone
                for at in (str(rows(state.sites[wanted].rows)), f"{IDS[0]}:9"):
                    runs.append(Run(wanted, "taker", wanted, word=True, true=true, at=at))
            for run in runs:
                yield state._replace(runs=self._shared(state.runs | {run}), more_runs=state.more_runs - 1)

    def served(self, state: State, site: int) -> Iterator[State]:
        """Yield what a site's servers, containers and operator do by themselves."""
        own, other = state.sites[site], state.sites[1 - site]
        if own.gone:
            return
        if own.open and state.more_rows:
            row = (site, 1 + max((number for whose, number in own.rows if whose == site), default=0))
            written = self._put(state, site, own._replace(rows=own.rows | {row}))
            yield written._replace(more_rows=state.more_rows - 1, kept=state.kept | {row})
        if own.rows < own.rows | other.rows and self._receives(state, site):
            row = min(other.rows - own.rows)
            if row in state.given_up:
                raise Violation("what the operator gave up is merged")
            yield self._put(state, site, own._replace(rows=own.rows | {row}))
        if own.told != own.written:
            yield self._put(state, site, own._replace(told=own.written))
        yield from self._operated(state, site, own)
        for ordinal, node in enumerate(own.nodes):
            yield from self._held(state, site, ordinal, node)

    def _operated(self, state: State, site: int, own: Site) -> Iterator[State]:
        if own.pass_ is None:
            to_do = not own.observed or any(node.ready and node.open != own.source for node in own.nodes)
            if to_do or self.bounds.busy:
                yield self._put(state, site, own._replace(pass_=(own.source, True, 0)))
            return
        source, current, ordinal = own.pass_
        noted = own._replace(observed=True, written=own.role) if current else own
        yield self._put(state, site, noted)  # It may notice the change at any time.
        yield self._put(state, site, noted._replace(pass_=None))  # It ends here, because it is done or by an error.
        if ordinal < len(own.nodes):
            on = own._replace(pass_=(source, current, ordinal + 1), channel=own.channel or not source)
            node = own.nodes[ordinal]
            yield (
                self._put_node(self._put(state, site, on), site, ordinal, node._replace(open=source))
                if (node.ready)
                else self._put(state, site, on)
            )

    def _held(self, state: State, site: int, ordinal: int, node: Node) -> Iterator[State]:
        """Let a node's container mark its server, and ask whether the node may be opened."""
        own, other = state.sites[site], state.sites[1 - site]
        wanted = NONE if own.told != R else node.mark or MARKED
        if wanted != node.mark:
            yield self._put_node(state, site, ordinal, node._replace(mark=wanted))
        if node.ready:
            return
        sisters = ["open" if one.open else "closed" for n, one in enumerate(own.nodes) if n != ordinal]
        asked = node.asked or ()
        asks_nobody = own.told in (R, ALONE) or node.open
        if not asks_nobody and len(asked) < len(other.nodes):
            said = "silent"
            if state.line and not other.gone:
                theirs = other.nodes[len(asked)]
                said = "open" if theirs.open else "replica" if theirs.mark == MARKED else "closed"
            yield self._put_node(state, site, ordinal, node._replace(asked=(*asked, said)))
            return
        free = self._hold(role=own.told, read_only=not node.open, freed=False, theirs=asked, sisters=sisters)
        yield self._put_node(state, site, ordinal, node._replace(asked=None, ready=free))

    def _faults(self, state: State, site: int) -> Iterator[State]:
        own = state.sites[site]
        if own.gone:
            back = own._replace(gone=False, nodes=(Node(),) * len(own.nodes), told=own.written, pass_=None)
            yield self._put(state, site, back)
        if site == 0 and not state.line:
            yield state._replace(line=True)
        if state.mute[site]:
            yield state._replace(mute=_with(state.mute, site, False))
        if not state.more_faults:
            return
        less = state._replace(more_faults=state.more_faults - 1)
        kinds = self.bounds.kinds
        if "restart" in kinds and not own.gone:
            for ordinal in range(len(own.nodes)):
                yield self._put_node(less, site, ordinal, Node())
        if "gone" in kinds and not own.gone:
            yield self._put(less, site, own._replace(gone=True, nodes=(Node(),) * len(own.nodes), pass_=None))
        if "line" in kinds and site == 0 and state.line:
            yield less._replace(line=False)
        if "mute" in kinds and not state.mute[site] and not own.gone:
            yield less._replace(mute=_with(state.mute, site, True))

    @staticmethod
    def _receives(state: State, site: int) -> bool:
        own, other = state.sites[site], state.sites[1 - site]
        return own.channel and not own.source and state.line and not own.gone and not other.gone

    def _put_node(self, state: State, site: int, ordinal: int, node: Node) -> State:
        own = state.sites[site]
        nodes = (*own.nodes[:ordinal], node, *own.nodes[ordinal + 1 :])
        return self._put(state, site, own._replace(nodes=nodes))

    def _put(self, state: State, site: int, after: Site) -> State:
        """Return the state with a site changed.

        Raises:
            Violation: both sites are open, or one was opened that has not all rows.
        """
        before = state.sites[site]
        if after.open and state.sites[1 - site].open:
            raise Violation("both sites are open")
        if after.open and not before.open:
            missing = state.kept - after.rows
            if missing and not state.accepted[site]:
                raise Violation("a committed row is lost")
            state = state._replace(
                kept=state.kept - missing,
                given_up=state.given_up | missing,
                accepted=_with(state.accepted, site, False),
            )
        return state._replace(sites=_with(state.sites, site, self._shared(after)))

    def _shared(self, thing: Any) -> Any:
        return self._same.setdefault(thing, thing)


def _with(both: tuple[Any, Any], site: int, thing: Any) -> tuple[Any, Any]:
    return (thing, both[1]) if site == 0 else (both[0], thing)


def rows(of: frozenset[Row]) -> MysqlRows:
    return MysqlRows.parse(",".join(f"{IDS[site]}:{number}" for site, number in sorted(of)))
