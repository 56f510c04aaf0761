"""The channel: the consumer's database, if dcmesh knows it, follows the host."""

from collections.abc import Iterator
from functools import partial

from dcmesh.doctor.findings import FindingKind, HopFinding
from dcmesh.doctor.hop import Hop
from dcmesh.doctor.walked_link import WalkedLink
from dcmesh.model.facts import MAX_LAG
from dcmesh.status.databases import DatabaseServer, ask_server

DOWN = FindingKind("replica-down", "the consumer's database does not answer")
ASTRAY = FindingKind("channel-astray", "the consumer's database follows another host, or none")
STOPPED = FindingKind("channel-stopped", "the consumer's database does not replicate, though the host answers")


def judge(link: WalkedLink, server: DatabaseServer) -> Iterator[HopFinding]:
    """Yield what is wrong with a server that should follow the host, or one of several hosts."""
    where = f"{server.namespace}/{server.pod}"
    if server.down:
        yield DOWN(f"{where} {server.down}", f"Read `kubectl logs -n {server.namespace} {server.pod}`.")
    elif server.source not in server.follows:
        yield ASTRAY(
            f"{where} follows {server.source or 'nobody'} instead of {' or '.join(server.follows)}",
            "Set up the channel again: docs/mariadb.md, docs/pxc.md.",
        )
    elif server.source == link.host and not server.running:
        yield STOPPED(
            f"{where}: {server.last_error or 'it was stopped'}",
            f"Mend what the error says, then start the channel at {link.consumer_site}: `START REPLICA` in {where}.",
        )


def _look(link: WalkedLink) -> Iterator[HopFinding]:
    side = link.consumer
    for expected in side.site.servers:
        # With an egress gateway any pod may follow the host, so all databases of the site are looked at.
        own = link.egress == "gateway" or expected.replica.namespace == link.account.namespace
        if own and link.host in expected.follows:
            ask = partial(ask_server, site=side.site.name, expected=expected, max_lag=MAX_LAG)
            (server,) = side.ask(f"server {expected.replica.namespace}/{expected.replica.pod}", ask)
            if server.unknown:
                raise ConnectionError(server.unknown)
            yield from judge(link, server)


HOP = Hop(
    name="channel",
    about="a database of the consumer that dcmesh set up to follow the host does",
    side="consumer",
    kinds=(DOWN, ASTRAY, STOPPED),
    look=_look,
)
