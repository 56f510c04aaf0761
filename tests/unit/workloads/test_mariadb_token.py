"""The token that says which site may write: whatever runs when, and stops where, two sites never write at once.

A model of mariadb_switchover.sh and mariadb_start.sh, statement by statement, and all states that it can get into:
Jobs of both sites interleave, old ones among them, each may stop anywhere; servers die and start, alone or with their
site, and one loses its data; the line is cut.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

OTHER = {"dc1": "dc2", "dc2": "dc1"}
JOBS = 2
"""How many Jobs there may be in all. 3, an old one beside both of a switchover, were tried when this was written:
1,710,942 states, minutes of work. To be done again when the scripts change."""


@dataclass(frozen=True)
class Server:
    """One site's database: what of it matters here."""

    site: str
    primary: str = "dc1"
    term: int = 0
    read_only: bool = True
    up: bool = True

    def write(self, primary: str, term: int) -> "Server":
        """The conditional update of the row."""
        return replace(self, primary=primary, term=term) if self.term < term else self

    def start(self) -> "Server":
        """What start.sql does."""
        return replace(self, read_only=self.primary != self.site, up=True)


@dataclass(frozen=True)
class Job:
    """One run of the script: where it is, and what it saw when it looked."""

    site: str
    wanted: str
    without: bool = False
    at: str = "look"
    mine: Server | None = None
    theirs: Server | None = None


@dataclass(frozen=True)
class State:
    servers: tuple[Server, Server]
    jobs: frozenset[Job] = frozenset()
    begun: int = 0
    cut: bool = False
    lost: bool = False
    """Whether a server has lost its data; one may, once."""

    def server(self, site: str) -> Server:
        return next(server for server in self.servers if server.site == site)

    def asked(self, site: str) -> Server | None:
        """What a site learns of the other, if it can ask."""
        other = self.server(OTHER[site])
        return None if self.cut or not other.up else other

    def put(self, *changed: Server) -> "State":
        by_site = {server.site: server for server in (*self.servers, *changed)}
        return replace(self, servers=(by_site["dc1"], by_site["dc2"]))


def opened(own: Server) -> Server:
    """The opening of a server, which looks at the row first."""
    return replace(own, read_only=own.read_only and own.primary != own.site)


LOOKS = {"look": "settle", "look again": "role", "wait": "take", "open": "opening"}
"""The steps that look at both servers, each with the one that goes by what was seen."""


def steps(state: State, job: Job) -> Iterator[tuple[Server, Job | None]]:
    """Yield what a Job's next statement makes of its own server and of itself."""
    own, other, mine, theirs = state.server(job.site), OTHER[job.site], job.mine, job.theirs
    if not own.up:
        return
    if job.at in LOOKS:
        yield own, replace(job, mine=own, theirs=state.asked(job.site), at=LOOKS[job.at])
        return
    assert mine
    offered = theirs and theirs.primary == job.site and theirs.term > mine.term
    match job.at:
        case "settle" if mine.primary == job.site and theirs and theirs.primary == other and theirs.term > mine.term:
            yield own.write(other, theirs.term), replace(job, at="settle: fence")
        case "settle":
            yield own, replace(job, at="role")
        case "settle: fence":
            yield replace(own, read_only=True), replace(job, at="look again")
        case "role" if job.wanted == job.site:
            yield own, replace(job, at="open" if mine.primary == job.site else "wait")
        case "role" if mine.primary == job.site:
            if theirs:
                yield own.write(other, max(mine.term, theirs.term) + 1), replace(job, at="fence")
        case "role" if offered and theirs:  # not for this site: it is given back
            yield own.write(other, theirs.term + 1), replace(job, at="fence")
        case "role":
            yield own, replace(job, at="fence")
        case "fence":
            # Only a server whose row names the other is fenced without having given away just before.
            yield replace(own, read_only=True), None
        case "take" if offered and theirs and theirs.read_only:
            taken = own.write(job.site, theirs.term)
            yield taken, replace(job, at="open") if taken != own else None
        case "take" if job.without and not theirs and not state.server(other).up:
            taken = own.write(job.site, mine.term + 2)
            yield taken, replace(job, at="open") if taken != own else None
        case "take":
            yield own, replace(job, at="wait")
        case "opening" if not theirs and own.read_only and not (job.without and not state.server(other).up):
            yield own, None  # it must not be opened unasked
        case "opening" if theirs and theirs.primary == other and (theirs.term > mine.term or not theirs.read_only):
            yield own, None
        case "opening":
            yield opened(own), None


def asking(state: State, site: str) -> Server:
    """What mariadb_start.sh lets start, whether its container alone has ended or its pod."""
    own = replace(state.server(site), up=False)
    theirs = state.asked(site)
    if own.primary == site and theirs is None:
        return own  # not before it knows
    if own.primary == site and theirs and theirs.primary == theirs.site:
        own = replace(own, primary=theirs.site, term=max(own.term, theirs.term))
    return own.start()


def unasked(state: State, site: str) -> Server:
    """What started once where a container alone had ended."""
    return state.server(site).start()


Start = Callable[[State, str], Server]


def copied_pod(state: State, site: str) -> Server:
    """What starts in place of a server that lost its data: a copy of the other one, as a replica."""
    theirs = state.asked(site)
    if theirs is None:
        return replace(state.server(site), up=False)
    return Server(site, primary=OTHER[site], term=theirs.term + (theirs.primary == site)).start()


def successors(state: State, start: Start) -> Iterator[State]:
    for job in state.jobs:
        rest = state.jobs - {job}
        for own, left in steps(state, job):
            yield replace(state.put(own), jobs=rest | ({left} if left else set()))
    if state.begun < JOBS:
        for site, other in OTHER.items():
            for job in (Job(site, site), Job(site, other), Job(site, site, without=True)):
                yield replace(state, jobs=state.jobs | {job}, begun=state.begun + 1)
    for server in state.servers:
        left = frozenset(job for job in state.jobs if job.site != server.site)
        if server.up:
            dead = state.put(replace(server, up=False))
            yield dead  # alone: kubelet waits before it starts the container again
            yield replace(dead, jobs=left)  # with its site, and that with its Jobs
        yield state.put(start(state, server.site))
        if not state.lost:
            copy = copied_pod(state, server.site)
            yield replace(state.put(copy), lost=True, jobs=state.jobs if copy.up else left)
    yield replace(state, cut=not state.cut)


def both_write(state: State) -> bool:
    return all(server.up and not server.read_only for server in state.servers)


def search(start: Start) -> tuple[State | None, set[State]]:
    """Return a state in which both sites write, if there is one, and all that were looked at."""
    first = State((Server("dc1").start(), Server("dc2").start()))
    known, waiting = {first}, [first]
    while waiting:
        for state in set(successors(waiting.pop(), start)) - known:
            if both_write(state):
                return state, known
            known.add(state)
            waiting.append(state)
    return None, known


def test_two_sites_never_write_at_once() -> None:
    found, known = search(asking)
    assert found is None
    assert any(not state.server("dc2").read_only for state in known), "no switchover was ever done"


def test_a_start_that_asks_nobody_is_found() -> None:
    """What the model lacked: a failover while the old primary's container waits to be started again."""
    found, _ = search(unasked)
    assert found is not None
