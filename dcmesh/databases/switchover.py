"""The switchover: brings the databases of two sites to their roles, and refuses with the reason if that must not be.

Who may write is a token in the data: each server's row says which site is the primary, and since which term. A server
is open only while its own row names its own site. The primary gives the token away by naming the other site under the
next term. The other takes it by writing the same into its own row, once the giver is read-only and it has all of the
giver's rows. Why: docs/decisions/0012-primacy-is-a-token.md. Of XtraDB clusters the token stands in their resources:
docs/decisions/0028-xtradb-clusters-have-the-same-switchover.md.

A run looks at a site's own server, then at the other site's, decides by what it has seen, does one thing to the own
server, and looks again. It keeps nothing that a later run needs, so it can be interrupted anywhere. What it does has an
effect only if the server's row is as the run saw it, and if the server has not started anew since: so no run harms
another, however old it is.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol, Self

import pulumi

from dcmesh.model.printable import printable
from dcmesh.model.switchover import Switchover

PATIENCE = 120
"""Seconds that a run goes on in which nothing changes."""

FENCING = 3 * PATIENCE
"""The same while the other site is fenced: longer than that may take, or both runs end and nobody writes."""

SILENCE = 30
"""Seconds that a server may be silent."""

GONE = 10
"""Seconds of silence after which the word of `failover.without` counts."""

CONNECTING = 30
"""Seconds that a channel may take to connect, or to say why not."""

LONGEST = 900
"""Seconds that a run may take in all."""

INTERVAL = 0.3
"""Seconds between two looks at what has not changed."""


# --- what is seen of a server ----------------------------------------------------------------------------------------


class NoAnswer(Exception):  # noqa: N818 — it is what the server gives
    """A server does not answer, or says what cannot be, or did not do what it was told. The message says why."""


class NotSilent(NoAnswer):
    """The other site's server is there all the same, or was not asked at all: it must not be taken for gone."""


@contextmanager
def understood(kind: type[NoAnswer] = NoAnswer) -> Iterator[None]:
    """Turn what a server says and cannot be into no answer."""
    try:
        yield
    except (ChildProcessError, ValueError) as error:
        raise kind(printable(str(error), 200)) from None


class Rows(Protocol):
    """Which transactions a server has. As text: the GTIDs where they end."""

    def lacking(self, of: Self) -> str:
        """Return which of another server's transactions are not here, as ranges of GTIDs; nothing if all are."""

    def lacking_of_replica(self, of: Self) -> str:
        """Return the same of a replica's that its primary would have to have."""


@dataclass(frozen=True, kw_only=True)
class Token:
    """What a server's row says.

    Attributes:
        site: the site that is the primary.
        term: since which term.
    """

    site: str
    term: int


@dataclass(frozen=True, kw_only=True)
class Theirs:
    """What a server tells the other site.

    Attributes:
        token: its row.
        read_only: whether it takes no writes of clients.
        rows: its transactions; read after `read_only`.
    """

    token: Token
    read_only: bool
    rows: Rows


@dataclass(frozen=True, kw_only=True)
class Channel:
    """The channel by which a server follows the other site's.

    Attributes:
        receives: whether it is connected to the other site's server.
        applies: whether it applies what arrives.
        error: the number of its last error, else 0.
        idle: whether all that has arrived is applied.
        keeps: whether what has arrived is still there when the channel is started.
    """

    receives: bool
    applies: bool
    error: int = 0
    idle: bool = True
    keeps: bool = True


@dataclass(frozen=True, kw_only=True)
class Own(Theirs):
    """What a server tells its own site besides.

    Attributes:
        watched: whether it is the server that this run has begun to watch, and has not started anew since.
        applied: the GTIDs up to which it has the other site's rows.
        channel: its channel; None if there is none.
        scheduler: whether it begins events.
        running: how many events run.
        idle_events: whether something is left to do until a primary runs the events that it is to run.
        refused_events: which events it could not be made to run, and by which errors. They are left as they are.
        extra: what its row says of transactions that the other site has not.
    """

    watched: bool
    applied: str
    channel: Channel | None
    scheduler: bool = False
    running: int = 0
    idle_events: bool = False
    refused_events: str = ""
    extra: str = ""


@dataclass(frozen=True)
class Silence:
    """Instead of what a server tells: why it tells nothing.

    `lasting`: whether that has lasted so long that it may be gone. `there`: whether it is there all the same.
    """

    reason: str
    lasting: bool = False
    there: bool = False


class Peer(Protocol):
    """The other site's server, which can be asked alone."""

    def look(self) -> Theirs:
        """Return what it tells, its rows after the rest. Raises NoAnswer."""


class Server(Protocol):
    """A site's server, asked and told by its own site. No method waits for long; each raises NoAnswer if it fails.

    What changes the server does nothing unless its row is as it was `seen`, and the server the one that is watched.
    """

    def look(self) -> Own:
        """Return what it tells, its rows after the rest."""

    def watch(self) -> None:
        """Begin to watch it: this run changes only the server that there is now, not one that starts anew."""

    def write(self, seen: Token, token: Token) -> None:
        """Write a token into its row."""

    def stop_events(self, seen: Token) -> None:
        """Have it begin no event any more, and end those that run."""

    def fence(self, seen: Token) -> None:
        """Make it read-only, and end its clients' connections."""

    def follow(self, seen: Token) -> None:
        """Have it follow the other site's, from where its own rows end."""

    def note(self, seen: Token, extra: str) -> None:
        """Note in its row which transactions the other site has not; nothing if that has all."""

    def open(self, seen: Token) -> None:
        """Have it follow nobody, and take writes."""

    def run_events(self, seen: Token, *, alone: bool) -> None:
        """Have it run the events that a primary is to run: not those that are off at the other site's server.

        `alone`: whether it runs all of them where that server is silent. Else it runs none before that has answered.
        """


# --- what there is to do ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Watch:
    """Watch the own server."""


@dataclass(frozen=True)
class Write:
    """Write a token into the own row. `lost`: what the other site committed after that is lost thereby."""

    token: Token
    lost: str = ""


@dataclass(frozen=True)
class StopEvents:
    """Stop the events here."""


@dataclass(frozen=True)
class Fence:
    """Make the own server read-only."""


@dataclass(frozen=True)
class Follow:
    """Follow the other site's server."""


@dataclass(frozen=True)
class Note:
    """Note which transactions the other site has not."""

    extra: str


@dataclass(frozen=True)
class Open:
    """Open the own server."""


@dataclass(frozen=True)
class RunEvents:
    """Run the events here. `alone`: all of them, if the other site is silent."""

    alone: bool


Change = Watch | Write | StopEvents | Fence | Follow | Note | Open | RunEvents

STUCK = {
    Watch: "its own server does not stay the same",
    Write: "its row cannot be written",
    StopEvents: "has an event that does not end",
    Fence: "cannot be made read-only",
    Follow: "cannot be made to follow",
    Note: "its row cannot be written",
    Open: "cannot be opened",
    RunEvents: "has events that cannot be enabled, or a scheduler that cannot be started",
}
"""What is wrong where a change does not come about."""


@dataclass(frozen=True)
class Wait:
    """Look again, while nothing else is seen. `reason`: why the run ends then. `told`: whether it says so at once."""

    reason: str
    patience: float = PATIENCE
    told: bool = False
    for_rows: bool = False
    """Whether it goes on while rows come in."""


@dataclass(frozen=True)
class Refuse:
    """End the run."""

    reason: str


@dataclass(frozen=True)
class Reached:
    """The site has its role, as far as this run is to bring it there."""

    role: str


Step = Change | Wait | Refuse | Reached


@dataclass(frozen=True, kw_only=True)
class Past:
    """What a run keeps of its earlier looks.

    Attributes:
        own: the own server's rows when both servers had first answered.
        theirs: the other's.
        followed: whether this run has had the own server follow. What has stopped is started once, for its error stays.
    """

    own: Rows | None = None
    theirs: Rows | None = None
    followed: bool = False

    def seen(self, own: Own, theirs: Theirs | Silence) -> "Past":
        """Return what is kept after a look."""
        if isinstance(theirs, Silence) or self.own is not None:
            return self
        return replace(self, own=own.rows, theirs=theirs.rows)

    def done(self, step: Change) -> "Past":
        """Return what is kept after a change."""
        return replace(self, followed=True) if isinstance(step, Follow) else self


def decide(switchover: Switchover, site: str, other: str, own: Own, theirs: Theirs | Silence, past: Past) -> Step:
    """Return what a run does next for a site.

    Args:
        switchover: what is wanted.
        site: the site.
        other: the other.
        own: what the site's server told.
        theirs: what the other's told after that.
        past: what the run keeps.
    """
    wanted = switchover.primary == site
    for whose, seen in (site, own), (other, theirs):
        if not isinstance(seen, Silence) and seen.token.site not in (site, other):
            return Refuse(
                f"the row of {whose} has {seen.token.site} as the primary, which is neither {site} nor {other}: "
                "nothing is changed. See whether these two belong together"
            )
    if not own.watched:
        return Watch()
    if own.token.site == site:
        if not isinstance(theirs, Silence) and theirs.token.term > own.token.term:
            # The other took over while this site was away. A token that it holds out can still be taken.
            return Write(Token(site=other, term=theirs.token.term - (theirs.token.site == site)))
        return _lead(switchover, other, own, theirs) if wanted else _give_away(site, other, own, theirs, past)
    # A server that could not be closed, and is to be the primary again, is not closed: it gets its token back.
    kept_open = wanted and (isinstance(theirs, Silence) or theirs.token.site == site)
    if _may_write(own) and not kept_open:
        # Events first: one whose definer may write on a read-only server would go on.
        return StopEvents() if own.scheduler or own.running else Fence()
    if wanted:
        return _take_over(switchover, site, other, own, theirs, past)
    return _become_replica(site, other, own, theirs, past)


def _may_write(server: Theirs) -> bool:
    """Tell whether anybody may write on a server: a client, or an event whose definer can on one that is read-only."""
    return not server.read_only or (isinstance(server, Own) and (server.scheduler or server.running > 0))


def _lead(switchover: Switchover, other: str, own: Own, theirs: Theirs | Silence) -> Step:
    """Return what is to be done where the site is the primary, and is to be."""
    if not own.read_only:
        if own.channel:
            return Open()
        return RunEvents(alone=switchover.without == other) if own.idle_events else Reached("the primary")
    if isinstance(theirs, Silence):
        if switchover.without != other:
            return Wait(
                f"{other} does not say whether it is the primary ({theirs.reason}): run again, or set failover.without "
                f"to {other} if it is gone",
                SILENCE,
            )
        return _doubt(other, own, theirs) or Open()
    if _may_write(theirs):
        return Wait(
            f"{other} takes writes, or runs events: make its server read-only, its scheduler too, then run again"
        )
    if theirs.token.site == other:
        # What has started there may have asked before the token was written here, and be about to open it.
        return Wait(
            f"{other} has returned, and takes itself for the primary still: run again, or `pulumi up` in the stack "
            "that has it"
        )
    return Open()


def _doubt(other: str, own: Own, silence: Silence) -> Wait | None:
    """Return why the word of failover.without does not count yet; nothing if it does."""
    if own.channel and own.channel.receives:
        return Wait(f"{other} does not answer ({silence.reason}), but the channel from it runs: it is not gone")
    return None if silence.lasting else Wait(f"{other} does not answer ({silence.reason})", SILENCE)


def _give_away(site: str, other: str, own: Own, theirs: Theirs | Silence, past: Past) -> Step:
    """Return what is to be done where the site is the primary, and is not to be any more."""
    if isinstance(theirs, Silence):
        return Wait(f"{other} does not answer ({theirs.reason}): nothing is changed", SILENCE)
    if past.own is None or past.theirs is None:
        return Wait(f"{other} has answered but once: nothing is changed")
    if extra := own.rows.lacking_of_replica(past.theirs):
        return Refuse(
            f"{other} has transactions that {site} has not ({extra}): nothing is changed. docs/switchover.md says what "
            "to do"
        )
    if theirs.rows.lacking(past.own):
        return Wait(
            f"{other} is behind, and does not catch up: nothing is changed. Mend the replication, then run again"
        )
    if own.read_only and _may_write(own):
        return StopEvents()  # the other takes what is read-only for fenced
    # From here on a restart comes up read-only. The term is new to both.
    return Write(Token(site=other, term=max(own.token.term, theirs.token.term) + 1))


def _take_over(switchover: Switchover, site: str, other: str, own: Own, theirs: Theirs | Silence, past: Past) -> Step:
    """Return what is to be done where the site is to be the primary, and is not."""
    channel = own.channel
    stopped = not (channel and channel.receives and channel.applies)
    if isinstance(theirs, Silence):
        if own.read_only and not (channel and (channel.applies or past.followed or not channel.keeps)):
            return Follow()
        return _take_over_without(switchover, site, other, own, theirs)
    if own.read_only and (not channel or (stopped and not past.followed)):
        return Follow()  # to have all rows
    if theirs.token.site != site:
        return Wait(f"{other} is the primary still: `pulumi up` in the stack that has it makes it a replica")
    if theirs.token.term <= own.token.term:
        return Wait(f"{other} must make {site} the primary anew: run `pulumi up` in the stack that has it")
    if _may_write(theirs):
        return Wait(f"{other} is not read-only yet: run `pulumi up` in the stack that has it, then here again", FENCING)
    if own.rows.lacking(theirs.rows):
        error = (
            f" (its channel has stopped: error {channel.error})"
            if channel and channel.error and not channel.applies
            else ""
        )
        reason = (
            f"has rows up to {own.rows}, and {other} up to {theirs.rows}: nothing is promoted{error}. Mend the "
            f"replication, then run again, or set primary back to {other}"
        )
        return Refuse(reason) if error else Wait(reason, for_rows=True)
    return Write(Token(site=site, term=theirs.token.term))


def _take_over_without(switchover: Switchover, site: str, other: str, own: Own, silence: Silence) -> Step:
    """Return what is to be done where the site is to be the primary, and the other does not answer."""
    channel, end = own.channel, own.applied
    stopped = channel and channel.error and not channel.applies
    beside = f" Its channel has stopped (error {channel.error})." if channel and stopped else ""
    if channel and not channel.applies and not channel.idle:
        beside += " What has arrived and is not applied is dropped when this site takes over: look at it before."
    if own.extra:
        beside += f" It has transactions that {other} had not ({own.extra})."
    if channel and channel.applies and not channel.idle:
        return Wait(
            f"{other} does not answer ({silence.reason}), and what has arrived of it is not applied", for_rows=True
        )
    if not end and own.read_only:
        return Wait(
            f"{other} does not answer ({silence.reason}), and nothing of it was ever applied here: nothing is "
            "promoted. docs/switchover.md says how to begin anew",
            SILENCE,
        )
    if silence.there and switchover.without != other:
        return Wait(f"{other} is there, and does not say what is to be known ({silence.reason}): nothing is promoted")
    if switchover.without != other:
        return Wait(
            f"{other} does not answer ({silence.reason}).{beside} What it committed{end and f' after {end}'} would be "
            "lost. If it is gone for good, or surely stopped, set failover to "
            f"{{without: {other}{end and f', at: {end}'}}}",
            SILENCE,
            told=True,
        )
    if doubt := _doubt(other, own, silence):
        return doubt
    if _gtids(switchover.at) != _gtids(end):
        return Refuse(
            f"{other} does not answer, and what is applied of it ends at {end}, not at the failover.at of the "
            f"configuration, {switchover.at or 'which is not set'}.{beside} Set it to {end} if all that {other} "
            "committed after that may be lost"
        )
    # More than what the other may have given away in the meantime.
    return Write(Token(site=site, term=own.token.term + 2), lost=end)


def _gtids(text: str) -> set[str]:
    """Return GTIDs that somebody has written, in any order."""
    return {*filter(None, re.split(r"[,\s]+", text))}


def _become_replica(site: str, other: str, own: Own, theirs: Theirs | Silence, past: Past) -> Step:
    """Return what is to be done where the site is not the primary, and is not to be."""
    channel = own.channel
    runs = channel and channel.receives and channel.applies
    stopped = not channel or not (runs or past.followed)
    if isinstance(theirs, Silence):
        if stopped and not (channel and not channel.keeps):
            return Follow()
        return Wait(f"{other} does not answer ({theirs.reason}): run again", SILENCE)
    if theirs.token.site == site:
        if theirs.token.term >= own.token.term:
            # It was meant for this site, and is given back.
            return Write(Token(site=other, term=theirs.token.term + 1))
    else:
        # A server with rows that the primary has not cannot follow it. A primary-to-be may lack rows yet.
        extra = theirs.rows.lacking_of_replica(own.rows)
        if extra != own.extra:
            return Note(extra)
        if extra:
            return Reached("a replica")
    if stopped:
        return Follow()
    if runs or (channel and channel.error):
        return Reached("a replica")
    return Wait("its channel does not connect, and does not say why: run again", CONNECTING)


def perform(step: Change, server: Server, seen: Token) -> None:
    """Do one thing to a server.

    Raises:
        NoAnswer: it did not do that, as far as is known.
    """
    match step:
        case Watch():
            server.watch()
        case Write(token):
            server.write(seen, token)
        case StopEvents():
            server.stop_events(seen)
        case Fence():
            server.fence(seen)
        case Follow():
            server.follow(seen)
        case Note(extra):
            server.note(seen, extra)
        case Open():
            server.open(seen)
        case RunEvents(alone):
            server.run_events(seen, alone=alone)


# --- a run -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class End:
    """One of two databases that can change roles, and where it can be asked.

    Attributes:
        site: its site.
        namespace: its namespace.
        name: its name.
        kubeconfig: contents of its cluster's kubeconfig. Secret.
    """

    site: str
    namespace: str
    name: str
    kubeconfig: str


@dataclass(frozen=True, kw_only=True)
class Side:
    """A site that a run brings to its role.

    Attributes:
        site: the site.
        other: the other site.
        server: the site's server.
        peer: the other's, as the site asks it.
    """

    site: str
    other: str
    server: Server
    peer: Peer


@dataclass(frozen=True, kw_only=True)
class Clock:
    """A clock.

    Attributes:
        now: returns the seconds since some moment.
        sleep: waits for some seconds.
    """

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


MONOTONIC = Clock()
"""What runs go by."""


class _Turns:
    """What a run does for a site, turn by turn."""

    def __init__(self, side: Side, switchover: Switchover, say: Callable[[str], None], clock: Clock) -> None:
        self.side, self.switchover, self.clock = side, switchover, clock
        self._say_line = say
        self.step: Step = Wait("its own server was not asked yet", SILENCE)
        self._past = Past()
        self._own: Own | None = None
        self._begun = self._heard = self._since = clock.now()
        self._judged: Step = self.step
        self._done: Change | None = None
        self._seen: object = None
        self._trouble = ""

    def turn(self) -> bool:
        """Look, decide, do it, and return whether that was a change that was not tried just before.

        Raises:
            pulumi.RunError: it must not go on.
        """
        try:
            own = self.side.server.look()
        except NoAnswer as error:
            self._goes_on(Wait(f"its own server does not answer ({error}): run again", SILENCE), None)
            return False
        theirs = self._theirs()
        self._tell(own)
        step = decide(self.switchover, self.side.site, self.side.other, own, theirs, self._past)
        self._past = self._past.seen(own, theirs)
        if isinstance(step, Refuse):
            raise self.refusal(step.reason)
        if isinstance(step, Wait) and step.told and not (isinstance(self.step, Wait) and self.step.told):
            self._say(step.reason)
        told = None if isinstance(theirs, Silence) else (theirs.token, theirs.read_only)
        rows = (own.rows, own.applied) if isinstance(step, Wait) and step.for_rows else None
        self._goes_on(step, (own.token, own.read_only, told, rows, own.refused_events))
        return isinstance(step, Change) and self._change(step, own.token)

    def _change(self, step: Change, seen: Token) -> bool:
        """Do one thing, and return whether it has not failed, and is another one than before."""
        try:
            perform(step, self.side.server, seen)
        except NoAnswer as error:
            self._trouble = f" ({error})"
            return False
        if isinstance(step, Watch) and self._trouble:
            return False  # what has failed is tried again, and the others have their turn before
        self._trouble = ""
        self._past = self._past.done(step)
        before, self._done = self._done, step
        return step != before

    def too_long(self) -> str:
        """Return why it has waited for too long; nothing if it has not."""
        match self._judged:
            case Reached() | Refuse():
                return ""
            case Wait(reason, patience):
                pass
            case change:
                reason, patience = f"{STUCK[type(change)]}{self._trouble}: run again", PATIENCE
        now = self.clock.now()
        return reason if now >= min(self._since + patience, self._begun + LONGEST) else ""

    def refusal(self, reason: str) -> pulumi.RunError:
        """Return the error that ends a run."""
        return pulumi.RunError(printable(f"{self.side.site}: {reason}"))

    def _theirs(self) -> Theirs | Silence:
        """Ask the other site's server."""
        try:
            theirs = self.side.peer.look()
        except NotSilent as error:
            self._heard = self.clock.now()
            return Silence(str(error), there=True)
        except NoAnswer as error:
            return Silence(str(error), lasting=self.clock.now() >= self._heard + GONE)
        self._heard = self.clock.now()
        return theirs

    def _goes_on(self, step: Step, seen: object) -> None:
        """Note what is done, and since when the same is done and seen.

        A change that fails may cost the watch: to watch anew is a part of it then.
        """
        self.step = step
        if not (isinstance(step, Watch) and self._trouble):
            self._judged = step
        if (type(self._judged), seen) != self._seen:
            self._seen, self._since = (type(self._judged), seen), self.clock.now()

    def _tell(self, own: Own) -> None:
        """Say what has changed here."""
        before, self._own = self._own, own
        if before and before.token != own.token:
            if own.token.site != self.side.site:
                self._say(f"{own.token.site} is to be the primary")
            elif isinstance(self.step, Write) and self.step.lost:
                self._say(
                    f"takes over without {self.side.other}: what that committed after {self.step.lost} is lost, or to "
                    "be fetched by hand"
                )
            else:
                self._say(f"takes over, at {own.rows}")
        if before and own.read_only and not before.read_only:
            self._say(f"is read-only, at {own.rows}")
        if before and own.channel and not before.channel:
            self._say(f"follows {self.side.other}")

    def tell_role(self) -> None:
        """Say what the site is now."""
        if self._own and isinstance(self.step, Reached):
            if self._own.extra and self._own.read_only:
                follows = self._own.channel and self._own.channel.receives
                beside = "" if follows else ", and does not follow"
                self._say(f"has transactions that {self.side.other} has not{beside}: {self._own.extra}")
            elif self._own.read_only and self._own.channel and self._own.channel.error:
                self._say(f"its channel has stopped: error {self._own.channel.error}")
            if self._own.refused_events and not self._own.read_only:
                self._say(f"has events that cannot be enabled, and do not run: {self._own.refused_events}")
            self._say(f"is {self.step.role}, at {self._own.rows}")

    def _say(self, words: str) -> None:
        self._say_line(printable(f"{self.side.site}: {words}"))


def switch_over(
    switchover: Switchover, sides: Sequence[Side], say: Callable[[str], None], clock: Clock = MONOTONIC
) -> None:
    """Bring one site's database, or both sites', to the role that is wanted.

    Args:
        switchover: what is wanted.
        sides: the sites.
        say: is given each step in one line.
        clock: the clock.

    Raises:
        pulumi.RunError: that must not be, or does not come about.
    """
    # The one that is to be the primary first: while it has something to do, nobody can write.
    runs = [
        _Turns(side, switchover, say, clock) for side in sorted(sides, key=lambda side: side.site != switchover.primary)
    ]
    while not all(isinstance(run.step, Reached) for run in runs):
        # After a change the first of them looks again: it may have waited for that.
        changed = any(run.turn() for run in runs)
        if reasons := [f"{run.side.site}: {run.too_long()}" for run in runs if run.too_long()]:
            raise pulumi.RunError(printable("; ".join(reasons)))
        if not changed:
            clock.sleep(INTERVAL)
    for run in runs:
        run.tell_role()
