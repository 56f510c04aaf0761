"""The token that says which site may write: whatever runs when, and stops where, two sites never write at once.

A model of mariadb_switchover.sh and mariadb_start.sh, statement by statement, and all states that it can get into:
Jobs of both sites interleave, old ones among them, each may stop anywhere; servers die and start, alone or with their
site, and one loses its data; the line is cut.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

OTHER = {"dc1": "dc2", "dc2": "dc1"}
JOBS = 2
"""How many Jobs there may be in all. 3, an old one beside both of a switchover, were tried when this was written:
1,710,942 states, minutes of work. That was the first edition of this model."""


class Server(NamedTuple):
    """One site's database: what of it matters here."""

    site: str
    primary: str = "dc1"
    term: int = 0
    read_only: bool = True
    up: bool = True

    def write(self, primary: str, term: int) -> "Server":
        """The conditional update of the row."""
        return self._replace(primary=primary, term=term) if self.term < term else self

    def relinquish(self, theirs: "Server") -> "Server":
        """The end of a claim by what the other's row says: a token that it holds out can still be taken."""
        claimed = self.primary == self.site and self.term < theirs.term
        term = theirs.term - (theirs.primary == self.site)
        return self._replace(primary=theirs.site, term=term) if claimed else self

    def start(self) -> "Server":
        """What start.sql does: it opens nothing."""
        return self._replace(read_only=True, up=True)


class Job(NamedTuple):
    """One run of a script: where it is, and what it saw when it looked.

    What mariadb_start.sh leaves beside a server is one as well. It asks, and ends with the server.
    """

    site: str
    wanted: str
    without: bool = False
    at: str = "look"
    mine: Server | None = None
    theirs: Server | None = None
    beside: bool = False

    def then(self, at: str) -> "Job":
        """The same at a step that looks again, or needs nothing of what was seen."""
        return Job(self.site, self.wanted, self.without, at, beside=self.beside)


Next = tuple[Server, Job | None]


class State(NamedTuple):
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
        return self._replace(servers=(by_site["dc1"], by_site["dc2"]))


def opened(own: Server) -> Server:
    """The opening of a server, which looks at the row first."""
    return own._replace(read_only=own.read_only and own.primary != own.site)


LOOKS = {"look": "settle", "look again": "role", "wait": "take", "open": "opening"}
"""The steps that look at both servers, each with the one that goes by what was seen."""


def steps(state: State, job: Job) -> Iterator[tuple[Server, Job | None]]:
    """Yield what a Job's next statement makes of its own server and of itself."""
    own, mine, theirs = state.server(job.site), job.mine, job.theirs
    if not own.up:
        return
    if job.at in LOOKS:
        yield own, decided(state, job._replace(mine=own, theirs=state.asked(job.site), at=LOOKS[job.at]), own)
    elif job.at in ("fence", "settle: fence"):
        # Only a server whose row names the other is fenced without having given away just before.
        yield own._replace(read_only=True), job.then("look again") if job.at == "settle: fence" else None
    elif job.at == "opening":
        assert mine
        yield from (beside if job.beside else opening)(state, job, own, mine, theirs)
    else:
        assert mine
        yield from deciding(state, job, own, mine, theirs)


def decided(state: State, job: Job, own: Server) -> Job | None:
    """Return a Job at its next step that others can notice."""
    while job.at in ("settle", "role"):
        assert job.mine
        after, then = next(deciding(state, job, own, job.mine, job.theirs), (own, None))
        if after != own or then is None or then.at in ("fence", "settle: fence"):
            return job if then else None
        job = then
    return job


def deciding(state: State, job: Job, own: Server, mine: Server, theirs: Server | None) -> Iterator[Next]:
    """What a Job does by what it has seen of both servers."""
    other = OTHER[job.site]
    offered = theirs and theirs.primary == job.site and theirs.term > mine.term
    match job.at:
        case "settle" if mine.primary == job.site and theirs and theirs.term > mine.term:
            yield own.relinquish(theirs), job.then("settle: fence")
        case "settle":
            yield own, job._replace(at="role")
        case "role" if job.wanted == job.site:
            yield own, job.then("open" if mine.primary == job.site else "wait")
        case "role" if mine.primary == job.site:
            if theirs:
                yield own.write(other, max(mine.term, theirs.term) + 1), job.then("fence")
        case "role" if offered and theirs:  # not for this site: it is given back
            yield own.write(other, theirs.term + 1), job.then("fence")
        case "role":
            yield own, job.then("fence")
        case "take" if offered and theirs and theirs.read_only:
            taken = own.write(job.site, theirs.term)
            yield taken, job.then("open") if taken != own else None
        case "take" if job.without and not theirs and not state.server(other).up:
            taken = own.write(job.site, mine.term + 2)
            yield taken, job.then("open") if taken != own else None
        case "take":
            yield own, job.then("wait")


def opening(state: State, job: Job, own: Server, mine: Server, theirs: Server | None) -> Iterator[Next]:
    """What a Job does that is to open its server."""
    if theirs is None:
        allowed = not own.read_only or (job.without and not state.server(OTHER[job.site]).up)
    else:
        allowed = theirs.term <= mine.term and (theirs.read_only or not own.read_only)
    yield opened(own) if allowed else own, None


def beside(state: State, job: Job, own: Server, mine: Server, theirs: Server | None) -> Iterator[Next]:
    """What a server's own start does that is to open it."""
    if mine.primary != job.site:
        yield own, None
    elif theirs and theirs.term > mine.term:
        closed = own.read_only and own.primary == own.site  # else a Job has opened it meanwhile, or given it away
        yield own.relinquish(theirs) if closed else own, None
    elif theirs and theirs.read_only:
        yield opened(own), None
    else:
        yield own, job.then("open")


def asking(state: State, site: str) -> State:
    """What starts: mariadb_start.sh, whether its container alone has ended or its pod."""
    started = state.server(site).start()
    asks = {Job(site, wanted=site, at="open", beside=True)} if started.primary == site else set[Job]()
    return state.put(started)._replace(jobs=state.jobs | asks)


def unasked(state: State, site: str) -> State:
    """What started once where a container alone had ended: start.sql opened it by its row."""
    return state.put(opened(state.server(site).start()))


Start = Callable[[State, str], State]


def copied_pod(state: State, site: str) -> Server:
    """What starts in place of a server that lost its data: a copy of the other one, as a replica."""
    theirs = state.asked(site)
    if theirs is None:
        return state.server(site)._replace(up=False)
    return Server(site, primary=OTHER[site], term=theirs.term + (theirs.primary == site)).start()


def successors(state: State, start: Start) -> Iterator[State]:
    for job in state.jobs:
        rest = state.jobs - {job}
        for own, left in steps(state, job):
            yield state.put(own)._replace(jobs=rest | ({left} if left else set()))
    if state.begun < JOBS:
        for site, other in OTHER.items():
            for job in (Job(site, site), Job(site, other), Job(site, site, without=True)):
                yield state._replace(jobs=state.jobs | {job}, begun=state.begun + 1)
    for server in state.servers:
        left = frozenset(job for job in state.jobs if job.site != server.site)
        # A Job opens only the server that it has looked at: by a lock that is gone when that has ended.
        alone = frozenset(job for job in left | state.jobs if job in left or not (job.beside or job.at == "opening"))
        dead = state.put(server._replace(up=False))._replace(jobs=alone)
        if server.up:
            yield dead  # alone: kubelet waits before it starts the container again
            yield dead._replace(jobs=left)  # with its site, and that with its Jobs
        yield start(dead, server.site)
        if not state.lost:
            copy = copied_pod(state, server.site)
            yield state.put(copy)._replace(lost=True, jobs=alone if copy.up else left)
    yield state._replace(cut=not state.cut)


def both_write(state: State) -> bool:
    return all(server.up and not server.read_only for server in state.servers)


def search(start: Start) -> tuple[State | None, set[State]]:
    """Return a state in which both sites write, if there is one, and all that were looked at."""
    first = State((opened(Server("dc1").start()), Server("dc2").start()))
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
