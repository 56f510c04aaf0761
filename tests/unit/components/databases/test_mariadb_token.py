"""The token that says which site may write: whatever runs when, and stops where, two sites never write at once.

A model of mariadb_switchover.sh and mariadb_start.sh, statement by statement, and all states that it can get into:
Jobs of both sites interleave, old ones among them, each may stop anywhere; servers die and start, alone or with their
site, and one loses its data; the line is cut.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True, eq=False)
class Sites:
    """Both servers, and whether the line between them is cut. Made by `sites_of` alone: equal ones are the same."""

    dc1: Server
    dc2: Server
    cut: bool

    def server(self, site: str) -> Server:
        return self.dc1 if site == "dc1" else self.dc2

    def asked(self, site: str) -> Server | None:
        """What a site learns of the other, if it can ask."""
        other = self.server(OTHER[site])
        return None if self.cut or not other.up else other

    def put(self, changed: Server) -> "Sites":
        return sites_of(*(changed if changed.site == old.site else old for old in (self.dc1, self.dc2)), self.cut)


sites_of = functools.cache(Sites)

Jobs = frozenset[Job]


class State(NamedTuple):
    sites: Sites
    jobs: Jobs
    begun: int = 0
    lost: bool = False
    """Whether a server has lost its data; one may, once."""


def opened(own: Server) -> Server:
    """The opening of a server, which looks at the row first."""
    return own._replace(read_only=own.read_only and own.primary != own.site)


LOOKS = {"look": "settle", "look again": "role", "wait": "take", "open": "opening"}
"""The steps that look at both servers, each with the one that goes by what was seen."""


@functools.cache
def steps(sites: Sites, job: Job) -> tuple[tuple[Sites, Job | None], ...]:
    """Return what a Job's next statement may make of its own server and of itself."""
    own, mine, theirs = sites.server(job.site), job.mine, job.theirs
    found: Iterator[Next] = iter(())
    if not own.up:
        pass
    elif job.at in LOOKS:
        seen = job._replace(mine=own, theirs=sites.asked(job.site), at=LOOKS[job.at])
        found = iter([(own, decided(sites, seen, own))])
    elif job.at in ("fence", "settle: fence"):
        # Only a server whose row names the other is fenced without having given away just before.
        found = iter([(own._replace(read_only=True), job.then("look again") if job.at == "settle: fence" else None)])
    else:
        assert mine
        step = deciding if job.at != "opening" else beside if job.beside else opening
        found = step(sites, job, own, mine, theirs)
    return tuple((sites.put(after), left) for after, left in found)


def decided(sites: Sites, job: Job, own: Server) -> Job | None:
    """Return a Job at its next step that others can notice."""
    while job.at in ("settle", "role"):
        assert job.mine
        after, then = next(deciding(sites, job, own, job.mine, job.theirs), (own, None))
        if after != own or then is None or then.at in ("fence", "settle: fence"):
            return job if then else None
        job = then
    return job


def deciding(sites: Sites, job: Job, own: Server, mine: Server, theirs: Server | None) -> Iterator[Next]:
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
        case "take" if job.without and not theirs and not sites.server(other).up:
            taken = own.write(job.site, mine.term + 2)
            yield taken, job.then("open") if taken != own else None
        case "take":
            yield own, job.then("wait")


def opening(sites: Sites, job: Job, own: Server, mine: Server, theirs: Server | None) -> Iterator[Next]:
    """What a Job does that is to open its server."""
    if theirs is None:
        allowed = not own.read_only or (job.without and not sites.server(OTHER[job.site]).up)
    else:
        allowed = theirs.term <= mine.term and (theirs.read_only or not own.read_only)
    yield opened(own) if allowed else own, None


def beside(sites: Sites, job: Job, own: Server, mine: Server, theirs: Server | None) -> Iterator[Next]:
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


Started = tuple[Sites, Jobs]
Start = Callable[[Sites, str], Started]


@functools.cache
def asking(sites: Sites, site: str) -> Started:
    """What starts: mariadb_start.sh, whether its container alone has ended or its pod."""
    started = sites.server(site).start()
    asks = {Job(site, wanted=site, at="open", beside=True)} if started.primary == site else ()
    return sites.put(started), frozenset(asks)


@functools.cache
def unasked(sites: Sites, site: str) -> Started:
    """What started once where a container alone had ended: start.sql opened it by its row."""
    return sites.put(opened(sites.server(site).start())), frozenset()


@functools.cache
def copied(sites: Sites, site: str) -> Sites:
    """What starts in place of a server that lost its data: a copy of the other one, as a replica."""
    theirs = sites.asked(site)
    if theirs is None:
        return dead(sites, site)
    term = theirs.term + (theirs.primary == site)
    return sites.put(Server(site, primary=OTHER[site], term=term).start())


@functools.cache
def dead(sites: Sites, site: str) -> Sites:
    return sites.put(sites.server(site)._replace(up=False))


@functools.cache
def cut(sites: Sites) -> Sites:
    """The same with the line cut, or mended."""
    return sites_of(sites.dc1, sites.dc2, not sites.cut)


# What becomes of the Jobs. A frozenset knows its hash, and `same` makes of equal ones one.

same = functools.cache(frozenset[Job])


@functools.cache
def gone_on(jobs: Jobs, job: Job, left: Job | None) -> Jobs:
    return same(jobs - {job} | ({left} if left else set()))


@functools.cache
def joined(jobs: Jobs, more: Jobs) -> Jobs:
    return same(jobs | more)


@functools.cache
def begun(jobs: Jobs) -> tuple[Jobs, ...]:
    """The same and one that begins."""
    starts = ((site, wanted, without) for site in OTHER for wanted, without in ((site, 0), (OTHER[site], 0), (site, 1)))
    return tuple(same(jobs | {Job(site, wanted, bool(without))}) for site, wanted, without in starts)


@functools.cache
def without_site(jobs: Jobs, site: str) -> Jobs:
    """The Jobs that are left when a site ends."""
    return same(job for job in jobs if job.site != site)


@functools.cache
def without_server(jobs: Jobs, site: str) -> Jobs:
    """The Jobs that are left when a server ends alone.

    A Job opens only the server that it has looked at: by a lock that is gone when that has ended.
    """
    return same(job for job in jobs if job.site != site or not (job.beside or job.at == "opening"))


def successors(state: State, start: Start) -> Iterator[State]:
    sites, jobs, count, lost = state
    for job in jobs:
        for after, left in steps(sites, job):
            yield State(after, gone_on(jobs, job, left), count, lost)
    if count < JOBS:
        for more in begun(jobs):
            yield State(sites, more, count + 1, lost)
    for site in OTHER:
        left, alone = without_site(jobs, site), without_server(jobs, site)
        down = dead(sites, site)
        if down is not sites:
            yield State(down, alone, count, lost)  # alone: kubelet waits before it starts the container again
            yield State(down, left, count, lost)  # with its site, and that with its Jobs
        started, asks = start(down, site)
        yield State(started, joined(alone, asks), count, lost)
        if not lost:
            copy = copied(sites, site)
            yield State(copy, alone if copy.server(site).up else left, count, True)
    yield State(cut(sites), jobs, count, lost)


def both_write(sites: Sites) -> bool:
    return all(server.up and not server.read_only for server in (sites.dc1, sites.dc2))


def search(start: Start) -> tuple[State | None, set[State]]:
    """Return a state in which both sites write, if there is one, and all that were looked at."""
    first = State(sites_of(opened(Server("dc1").start()), Server("dc2").start(), False), same())
    known, waiting = {first}, [first]
    while waiting:
        for state in successors(waiting.pop(), start):
            if state not in known:
                if both_write(state.sites):
                    return state, known
                known.add(state)
                waiting.append(state)
    return None, known


def test_two_sites_never_write_at_once() -> None:
    found, known = search(asking)
    assert found is None
    assert any(not state.sites.dc2.read_only for state in known), "no switchover was ever done"


def test_a_start_that_asks_nobody_is_found() -> None:
    """What the model lacked: a failover while the old primary's container waits to be started again."""
    found, _ = search(unasked)
    assert found is not None
