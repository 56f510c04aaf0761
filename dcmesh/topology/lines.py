"""The lines of the picture: which sites are linked, and what follows what across the links."""

from collections.abc import Iterator
from dataclasses import dataclass

from dcmesh.model.facts import State, worst
from dcmesh.status.databases import DatabaseServer
from dcmesh.status.exports import Export
from dcmesh.status.gateways import GatewayStatus
from dcmesh.status.hosts import Host
from dcmesh.status.sites import Status, of_kind


@dataclass(frozen=True, kw_only=True)
class Line:
    """What a consumer of one site reaches in another.

    Attributes:
        source: the exporting site.
        site: the importing one.
        consumer: the consumer: namespace and service account.
        gateways: the addresses that lead to the exporting site.
        hosts: the hosts, as the consumer sees them; none if it was not asked.
        replicas: the databases that follow one of them.
    """

    source: str
    site: str
    consumer: str
    gateways: tuple[str, ...]
    hosts: tuple[Host, ...] = ()
    replicas: tuple[DatabaseServer, ...] = ()

    @property
    def state(self) -> State | None:
        """The worst of its hosts; None if it was not asked."""
        return worst(host.state for host in self.hosts) if self.hosts else None


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two sites that are linked.

    Attributes:
        left: the one that is drawn on the left, or above.
        right: the other.
        lines: the lines between them: those to the left one first.
    """

    left: str
    right: str
    lines: tuple[Line, ...]


def pairs_of(status: Status) -> tuple[Pair, ...]:
    """Return the linked pairs of a stack's sites, and of these with sites of other stacks."""
    lines = [*_asked(status), *_not_asked(status)]
    known = [site.name for site in status.sites]
    order = list(dict.fromkeys([*known, *(end for line in lines for end in (line.source, line.site))]))
    pairs = dict[tuple[str, ...], list[Line]]()
    for line in lines:
        ends = sorted((line.source, line.site), key=order.index)
        pairs.setdefault(tuple(ends), []).append(line)
    return tuple(
        Pair(left=left, right=right, lines=tuple(sorted(between, key=lambda line: line.source == right)))
        for (left, right), between in pairs.items()
    )


def _asked(status: Status) -> Iterator[Line]:
    """Yield a line for each consumer of each site that was asked."""
    for site in status.sites:
        followers = [server for server in of_kind(DatabaseServer, site.facts) if server.source]
        groups = dict[tuple[str, str, tuple[str, ...]], list[Host]]()
        for host in of_kind(Host, site.facts):
            groups.setdefault((host.source, host.consumer, host.gateways), []).append(host)
        for (source, consumer, gateways), hosts in groups.items():
            reached = {host.host for host in hosts}
            replicas = tuple(server for server in followers if server.source in reached)
            followers = [server for server in followers if server not in replicas]  # each is drawn once
            yield Line(
                source=source,
                site=site.name,
                consumer=consumer,
                gateways=gateways,
                hosts=tuple(hosts),
                replicas=replicas,
            )


def _not_asked(status: Status) -> Iterator[Line]:
    """Yield a line for each consumer, as exports name them, whose site was not asked."""
    asked = {site.name for site in status.sites if not site.unreachable and not site.lost}
    for site in status.sites:
        addresses = tuple(
            f"{address}:{gateway.told_port}"
            for gateway in of_kind(GatewayStatus, site.facts)
            for address in gateway.told_addresses
        )
        consumers = (consumer for export in of_kind(Export, site.facts) for consumer in export.consumers)
        for consumer in dict.fromkeys(consumers):
            if consumer.site not in asked:
                yield Line(source=site.name, site=consumer.site, consumer=consumer.account, gateways=addresses)
