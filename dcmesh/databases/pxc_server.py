"""XtraDB's side of a switchover: what its clusters are asked and told.

An operator opens every node of a cluster whose resource makes it a source, and closes every node of a replica, again
and again. So the resources are the token's rows, and only Pulumi writes them: a run before a resource is changed ends
where that may be, and a run after both are changed does what is left. What a site's resource says is:

- It is a source: the site is the primary, and nobody else knows a later term.
- It is a replica: to the other site, that this may be the primary; to its own, that the other is, since before that.
- It is a replica whose servers have been marked for a failover: to its own site, that this was about to be the primary.
"""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace

import pulumi

from dcmesh.databases.mysql_gtids import MysqlRows
from dcmesh.databases.pxc_cluster import PROMISED, Cluster, Node, PxcCluster, Resource
from dcmesh.databases.switchover import (
    MONOTONIC,
    Channel,
    Clock,
    End,
    NoAnswer,
    NotSilent,
    Own,
    Side,
    Theirs,
    Token,
    switch_over,
    understood,
)
from dcmesh.kube.api import connect
from dcmesh.model.switchover import Switchover

PROMISES, FOLLOWS, GIVES = range(3)
"""The terms: of a promise, of a replica's own word, and of its word to the other site. A failover takes a later one."""

LEADS = GIVES
"""The term of a source: later than a promise, which is taken back for it, and earlier than that of a failover."""


# --- the two sides ---------------------------------------------------------------------------------------------------


def _answers(cluster: Cluster, resource: Resource, *, least: int = 0) -> dict[int, Node]:
    """Return what those nodes say that answer.

    Args:
        cluster: the cluster.
        resource: its resource.
        least: how many must.

    Raises:
        NotSilent: too few do, and one is there all the same.
        NoAnswer: too few do.
    """
    found, errors = dict[int, Node](), list[NoAnswer]()
    for ordinal in range(resource.nodes):
        try:
            found[ordinal] = cluster.node(ordinal)
        except NoAnswer as error:
            errors.append(error)
    if len(found) < least:
        there = [error for error in errors if isinstance(error, NotSilent)]
        if found or there or _ready(cluster, resource):
            raise NotSilent(str([*there, *errors][0]))
        raise errors[0]
    return found


def _ready(cluster: Cluster, resource: Resource) -> bool:
    """Tell whether Kubernetes takes a node for ready, though it does not answer; also if that is not known."""
    try:
        return any(cluster.ready(ordinal) for ordinal in range(resource.nodes))
    except NoAnswer:
        return True


class PxcPeer:
    """The other site's cluster.

    Args:
        site: the site that asks.
        other: the cluster's.
        cluster: the cluster.
        by_resource: whether its resource and the nodes that answer are enough, for nothing is opened by what it tells.
        rows: whether its rows are asked for.
    """

    def __init__(
        self, site: str, other: str, cluster: Cluster, *, by_resource: bool = False, rows: bool = True
    ) -> None:
        self._site, self._other, self._cluster = site, other, cluster
        self._by_resource, self._rows = by_resource, rows

    def _least(self, resource: Resource) -> int:
        """Return how many nodes must answer: of a replica all, for one that does not may be open still."""
        if self._by_resource:
            return 0
        return 1 if resource.source else resource.nodes

    def look(self) -> Theirs:
        """Return what it tells.

        Raises:
            NotSilent: it has no cluster yet, or a server refuses to answer, or says what cannot be.
            NoAnswer: it does not answer, or too few of its nodes do.
        """
        resource = self._cluster.resource()
        if resource is None:
            raise NotSilent("it has no cluster yet")
        if not resource.nodes:
            raise NotSilent("its resource names no nodes")
        # What the operator does to one cluster it does in turn: what it began before it noted the resource is over.
        nodes = [*_answers(self._cluster, resource, least=self._least(resource)).values()]
        with understood(NotSilent):
            rows = MysqlRows.of_nodes([node.rows for node in nodes]) if nodes and self._rows else MysqlRows()
        enough = len(nodes) == resource.nodes or (self._by_resource and not resource.source)
        return Theirs(
            token=Token(site=self._other, term=LEADS) if resource.source else Token(site=self._site, term=GIVES),
            read_only=resource.observed and enough and all(node.closed for node in nodes),
            rows=rows,
        )


class Unasked:
    """The other site's cluster, where it is not asked: it is said to be gone."""

    def look(self) -> Theirs:
        """Raises NoAnswer."""
        raise NoAnswer("its cluster is not asked")


class PxcServer:
    """A site's own cluster, when both resources are changed.

    Its operator opens and closes it, and sets up its channel. So what is to come of that is waited for: a step that
    changes nothing is decided again.

    Args:
        site: the site.
        other: the other.
        cluster: the cluster.
    """

    def __init__(self, site: str, other: str, cluster: Cluster) -> None:
        self.site, self._other, self._cluster = site, other, cluster
        self._extra, self._events_told = "", False
        self._promises: frozenset[int] | None = None

    def look(self) -> Own:
        """Return what it tells.

        Raises:
            NoAnswer: it has no cluster, or its writer does not answer, or most of a replica's nodes do not.
        """
        resource = self._cluster.resource()
        if resource is None:
            raise NoAnswer("it has no cluster")
        nodes = _answers(self._cluster, resource, least=self._least(resource))
        if not resource.source and 2 * len(nodes) <= resource.nodes:
            raise NoAnswer("most of its nodes do not answer")
        if self._promises is None:
            self._promises = frozenset(node.mark for node in nodes.values() if node.mark >= PROMISED)
        writer = self._cluster.writer()
        channel, rows = writer.channel, writer.rows
        if resource.source:
            with understood():
                rows = MysqlRows.of_nodes([node.rows for node in nodes.values()] or [rows])
        return Own(
            token=self._token(resource, nodes.values()),
            read_only=writer.read_only,
            rows=rows,
            watched=True,  # no change is one that a server which starts anew must not get
            applied=str(rows),
            # Its operator has set up none yet, or has stopped it.
            channel=channel if channel or resource.source else Channel(receives=False, applies=False),
            extra=self._extra,
            idle_events=resource.source and not writer.read_only and self._idle_events(resource),
        )

    def _least(self, resource: Resource) -> int:
        """Return how many nodes must answer, besides most of a replica's."""
        return 0

    def _idle_events(self, resource: Resource) -> bool:
        if self._events_told:
            return False
        with suppress(NoAnswer):
            return self._cluster.idle_events(resource.nodes)
        return False

    def _token(self, resource: Resource, nodes: Iterable[Node]) -> Token:
        if resource.source:
            return Token(site=self.site, term=LEADS)
        if any(node.mark >= PROMISED for node in nodes):
            return Token(site=self.site, term=PROMISES)
        return Token(site=self._other, term=FOLLOWS)

    def watch(self) -> None:
        """Nothing."""

    def write(self, seen: Token, token: Token) -> None:
        """Take back what a replica's nodes promised and never did.

        The primary's nodes may be held for that. A node that is open is none of a replica. What was promised since this
        run began is another's: an `up` may be about to keep it.

        Raises:
            pulumi.RunError: only another resource could say so.
            NoAnswer: it is no replica any more.
        """
        if seen.term != PROMISES or token.site == self.site:
            raise pulumi.RunError(
                f"{self.site}: is {'the primary' if seen.site == self.site else 'a replica'} by its resource: nothing "
                "is changed. `pulumi up` brings about what the configuration says"
            )
        resource = self._resource_of_replica()
        for ordinal, node in _answers(self._cluster, resource).items():
            if node.mark in (self._promises or ()) and node.read_only:
                self._cluster.unmark(ordinal, node.mark)

    def _resource_of_replica(self) -> Resource:
        """Return its resource, if that makes it a replica still."""
        resource = self._cluster.resource()
        if resource is None or resource.source:
            raise NoAnswer("its resource makes it no replica any more")
        return resource

    def stop_events(self, seen: Token) -> None:
        """Nothing: the container `dcmesh-hold` does it where a node is closed."""

    def fence(self, seen: Token) -> None:
        """Nothing: its operator does it."""

    def follow(self, seen: Token) -> None:
        """Start a channel that has given up, which its operator does not.

        Raises:
            NoAnswer: there is none yet. Its operator sets it up.
        """
        resource = self._cluster.resource()
        if resource and not resource.source:
            if not self._cluster.writer().channel:
                raise NoAnswer("its operator has not set up its channel yet")
            self._cluster.start_channel(resource.channel)

    def note(self, seen: Token, extra: str) -> None:
        """Keep it for this run alone: the nodes have nowhere to write it."""
        self._extra = extra

    def open(self, seen: Token) -> None:
        """Drop the channels, once it is open: the operator of a source has stopped them, and leaves them there.

        A node that is away does no harm: a channel does not start with its server.
        """
        resource = self._cluster.resource()
        if resource and resource.source and not self._cluster.writer().read_only:
            for ordinal, node in _answers(self._cluster, resource).items():
                if node.channel:
                    with suppress(NoAnswer):
                        self._cluster.drop_channel(ordinal, resource.channel)

    def run_events(self, seen: Token, *, alone: bool) -> None:
        """Warn of those that do not run: MySQL marks all alike that a replica has got, so nobody knows which are to."""
        self._events_told = True
        pulumi.log.warn(
            f"{self.site}: events that were made in {self._other} do not run. docs/switchover.md says how to enable "
            "them"
        )


# --- before a resource is changed ------------------------------------------------------------------------------------


class _Permitted(Exception):  # noqa: N818
    """The resource may be changed."""


def new_promise() -> int:
    """Return a mark of a promise. It is another each time: an old run that goes on takes back none that is new."""
    return PROMISED + 4096 * secrets.randbelow(4096)


class HandOver(PxcServer):
    """A site's own cluster, before its resource is changed: what would be written there ends the run.

    A promise of an earlier run counts for nothing: rows may have come since.
    """

    _taken: Token | None = None
    _promise: int | None = None

    def look(self) -> Own:
        """Return what it tells; also what a cluster does that is not there yet."""
        if self._cluster.resource() is None:
            own = Own(
                token=Token(site=self._other, term=FOLLOWS),
                read_only=True,
                rows=MysqlRows(),
                watched=True,
                applied="",
                channel=Channel(receives=False, applies=False),
            )
        else:
            own = super().look()
        return replace(own, token=self._taken or own.token)

    def _least(self, resource: Resource) -> int:
        """Of a primary all: when its resource is changed, each of them must say that it is closed."""
        return resource.nodes if resource.source else 0

    def _token(self, resource: Resource, nodes: Iterable[Node]) -> Token:
        return super()._token(resource, () if not resource.source else nodes)

    def write(self, seen: Token, token: Token) -> None:
        """Note that the token is to be taken, for the other is looked at once more; or end, if it is given away.

        Before a failover most nodes say from now on that they are no replica's. Else the other site, if it returns
        before they are open, could take their word that they are. Why it is looked at once more: it may have done so.

        Raises:
            NoAnswer: most nodes do not.
            pulumi.RunError: something has arrived that is not applied; it would be dropped with the channel.
        """
        if token.site != self.site:
            raise NoAnswer("the other is the primary by now") if self._taken else _Permitted
        if token.term > GIVES:
            resource = self._resource_of_replica()
            channel = self._cluster.writer().channel
            if channel and not channel.idle:
                raise pulumi.RunError(
                    f"{self.site}: does not apply what has arrived of {self._other}, and would lose it: nothing is "
                    "promoted. Mend the replication"
                )
            told, self._promise = 0, new_promise()
            for ordinal in range(resource.nodes):
                with suppress(NoAnswer):
                    self._cluster.mark(ordinal, self._promise)
                    told += 1
            if 2 * told <= resource.nodes:
                raise NoAnswer("most of its nodes do not answer")
        self._taken = token

    def follow(self, seen: Token) -> None:
        """Start a channel that has given up. Where there is none, it may be that no rows are lacking."""
        with suppress(NoAnswer):
            super().follow(seen)

    def open(self, seen: Token) -> None:
        """End: its resource may make it the primary.

        Raises:
            NoAnswer: most nodes do not promise any more what they were told to.
        """
        if self._promise:
            resource = self._resource_of_replica()
            marks = [node.mark for node in _answers(self._cluster, resource).values()]
            if 2 * marks.count(self._promise) <= resource.nodes:
                raise NoAnswer("what its nodes have promised was taken back")
        raise _Permitted


class Giver(PxcPeer):
    """The other site's cluster, as it is asked before the site's own takes over."""

    def look(self) -> Theirs:
        """Return what it tells.

        Raises:
            pulumi.RunError: it is the primary by its resource. So it has returned, or Pulumi takes it for a replica.
        """
        theirs = super().look()
        if theirs.token.site == self._other:
            raise pulumi.RunError(
                f"{self._site}: {self._other} is there, and the primary by its resource: nothing is promoted. Remove "
                "`failover` if that names it, then run `pulumi refresh` and `pulumi up` with both sites. (While none "
                "of its nodes answers or is ready, `failover` counts.)"
            )
        return theirs


class Taker(PxcPeer):
    """The other site's cluster, as it is asked before it is given the token: it is closed, so most nodes are enough."""

    def _least(self, resource: Resource) -> int:
        return 1 if resource.source else resource.nodes // 2 + 1

    def look(self) -> Theirs:
        """Return what it tells.

        Raises:
            pulumi.RunError: it is a primary by its resource. So it has returned, and nothing would keep it from being
                opened without the rows since: it must become a replica first.
        """
        theirs = super().look()
        if theirs.token.site == self._other:
            raise pulumi.RunError(
                f"{self._site}: {self._other} is a primary by its resource as well, and takes no writes: nothing is "
                f"changed. Run again. If it has just returned, set primary back to {self._site} until an `up` has made "
                "it a replica; else see why its nodes are held (`python -m dcmesh status`)"
            )
        return theirs


def side_before(
    switchover: Switchover, site: str, other: str, clusters: tuple[Cluster, Cluster], *, begins: bool = False
) -> Side:
    """Return a side of a switchover, before the resource of the site's cluster is changed.

    Args:
        switchover: what is wanted.
        site: the site.
        other: the other.
        clusters: theirs.
        begins: whether the site's own is not there yet: it begins with nothing, and needs no rows.
    """
    own, theirs = clusters
    peer = (Giver if switchover.primary == site else Taker)(site, other, theirs, rows=not begins)
    return Side(site=site, other=other, server=HandOver(site, other, own), peer=peer)


def hand_over(
    switchover: Switchover,
    site: str,
    other: str,
    clusters: tuple[Cluster, Cluster],
    clock: Clock = MONOTONIC,
) -> None:
    """Return when the resource of a site's cluster may be changed to what is wanted.

    Args:
        switchover: what is wanted.
        site: the site.
        other: the other.
        clusters: theirs.
        clock: the clock.

    Raises:
        pulumi.RunError: it must not.
    """
    own, theirs = clusters
    wanted = switchover.primary == site
    try:
        resource = own.resource()
    except NoAnswer as error:
        raise pulumi.RunError(f"{site}: cannot be asked ({error}): nothing is changed, run `pulumi up` again") from None
    if resource and resource.source and wanted and switchover.without == other and takes_writes(theirs):
        raise pulumi.RunError(
            f"{site}: {other} is there, and takes writes: nothing is changed. Remove `failover`, and set primary to "
            f"{other} until an `up` has made {site} a replica"
        )
    if resource.source == wanted if resource else not wanted:
        return  # it is that already
    if not wanted and takes_writes(theirs):
        return  # the other is the primary already, and this one has only returned
    try:
        switch_over(
            switchover, [side_before(switchover, site, other, clusters, begins=resource is None)], lambda _: None, clock
        )
    except _Permitted:
        return
    except pulumi.RunError as error:
        reasons = _open_for(theirs) if wanted else ""
        raise pulumi.RunError(f"{error}{reasons}") from None


def _open_for(cluster: Cluster) -> str:
    """Return why a replica may take writes, in brackets; nothing if it takes none, or that is not known."""
    with suppress(NoAnswer):
        resource = cluster.resource()
        if resource and not resource.source:
            nodes = _answers(cluster, resource).items()
            told = [f"node {ordinal} is open" for ordinal, node in nodes if not node.read_only]
            told += [f"node {ordinal} runs events" for ordinal, node in nodes if node.read_only and node.events]
            told += [] if resource.observed else ["its operator has not made it a replica yet"]
            return f" ({', '.join(told)})" if told else ""
    return ""


def takes_writes(cluster: Cluster) -> bool:
    """Tell whether a cluster is the primary by its resource, and a node of it is open."""
    with suppress(NoAnswer):
        resource = cluster.resource()
        if resource and resource.source:
            return any(not node.read_only for node in _answers(cluster, resource).values())
    return False


# --- when both are changed -------------------------------------------------------------------------------------------


@contextmanager
def pxc_sides(ends: Sequence[End], other: str) -> Iterator[list[Side]]:
    """Give the sides of a switchover for as long as it runs.

    Args:
        ends: the clusters: those of both sites, or the one that is not gone.
        other: the other site, where there is but one. It is not asked.
    """
    with ExitStack() as opened:
        clusters = [PxcCluster(end, opened.enter_context(connect(end.kubeconfig))) for end in ends]
        yield sides_of([end.site for end in ends], clusters, other)


def sides_of(sites: Sequence[str], clusters: Sequence[Cluster], other: str) -> list[Side]:
    """Return the sides of a switchover: of both sites, or of one beside another that is not asked."""
    if len(sites) == 1:
        server = PxcServer(sites[0], other, clusters[0])
        return [Side(site=sites[0], other=other, server=server, peer=Unasked())]
    return [
        Side(
            site=site,
            other=there,
            server=PxcServer(site, there, own),
            peer=PxcPeer(site, there, theirs, by_resource=True),
        )
        for site, there, own, theirs in zip(sites, sites[::-1], clusters, clusters[::-1], strict=True)
    ]
