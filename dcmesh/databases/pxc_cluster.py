"""An XtraDB cluster: what its resource and its nodes are asked and told.

A node is asked in its pod by the client, for the cluster's users are reached from there alone.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from dcmesh.databases.mysql_gtids import MysqlRows
from dcmesh.databases.replication import READ_ONLY, Replica, checked, parse_lines
from dcmesh.databases.switchover import Channel, End, NoAnswer, NotSilent, understood
from dcmesh.kube.api import ERRORS, ApiClient, custom_object, run_in, why
from dcmesh.kube.pods import is_ready
from dcmesh.model.printable import printable
from dcmesh.model.pxc import stateful_set_name

PASSWORDS = "/etc/mysql/mysql-users-secret"
"""Where the operator mounts the passwords of its users, a file each."""

MARK = "dcmesh_replica.key_buffer_size"
"""A number that a replica's servers have, where the other site's look for it: pxc_hold.sh sets it."""

REPLICA, PROMISED = 65536, 131072
"""What it is of a replica, and at least of one that is about to take over."""

QUESTION = (
    "SHOW REPLICA STATUS; "
    "SELECT REPLACE(@@GLOBAL.gtid_executed, CHAR(10), '') AS Gtid_Position, @@GLOBAL.read_only AS Read_Only"
)
"""What a server is asked for itself and its channel. Of several histories MySQL begins a line for each."""

NODE_QUESTION = (
    f"SELECT @@GLOBAL.read_only AS Read_Only, @@GLOBAL.event_scheduler AS Events, @@GLOBAL.{MARK} AS Mark; {QUESTION}"
)
"""The same in a switchover: its rows after the rest."""


def client_command(statements: str, *, host: str, user: str = "monitor") -> tuple[str, ...]:
    """Return what runs statements from within a node's container, and prints each value on a line.

    The password comes out of a file that only the client reads, for an argument is readable to others.
    """
    password = f"{PASSWORDS}/{user}"
    script = (
        f'mysql --defaults-extra-file=<(printf \'[client]\\npassword="%s"\\n\' "$(cat {password})") '
        f"--vertical --host={host} --user={user} --execute={shlex.quote(statements)}"
    )
    return ("bash", "-c", script)


def writer(*, namespace: str, name: str, pod: str) -> Replica:
    """Return where a cluster's writer, which has its channel, is asked: by way of the proxy, which knows it."""
    command = client_command(QUESTION, host=f"{name}-haproxy")
    return Replica(namespace=namespace, pod=pod, container="pxc", command=command)


@dataclass(frozen=True, kw_only=True)
class Resource:
    """What a `PerconaXtraDBCluster` says.

    Attributes:
        source: whether it makes the cluster a source.
        observed: whether its operator has noted it as it is.
        nodes: how many nodes it has.
        channel: name of its channel.
    """

    source: bool
    observed: bool
    nodes: int
    channel: str

    @classmethod
    def parse(cls, found: Mapping[str, Any]) -> "Resource":
        """Make one of an object of the API. One without channels opens its nodes as a source does."""
        nodes = found["spec"]["pxc"]
        channels = nodes.get("replicationChannels") or [{"isSource": True}]
        return cls(
            source=bool(channels[0].get("isSource", False)),
            observed=found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"],
            nodes=nodes.get("size", 0),
            channel=channels[0].get("name", ""),
        )


@dataclass(frozen=True, kw_only=True)
class Node:
    """What a node says.

    Attributes:
        read_only: whether it takes no writes of clients.
        events: whether it begins events.
        mark: its mark.
        rows: what it has executed.
        channel: its channel; None if there is none.
    """

    read_only: bool
    events: bool
    mark: int
    rows: MysqlRows
    channel: Channel | None

    @property
    def closed(self) -> bool:
        """Whether nothing is written there: an event of a user with SUPER writes to what is read-only."""
        return self.read_only and not self.events

    @classmethod
    def parse(cls, text: str) -> "Node":
        """Make one of what a server answers to NODE_QUESTION.

        Raises:
            ChildProcessError, ValueError: that cannot be.
        """
        said = parse_lines(text)
        rows = MysqlRows.parse(said.get("Gtid_Position", ""))
        channel = None
        if said.get("Source_Host"):
            errors = [int(checked(key, said.get(key, "0"), r"\d{1,5}")) for key in ("Last_SQL_Errno", "Last_IO_Errno")]
            channel = Channel(
                receives=said.get("Replica_IO_Running") == "Yes",
                applies=said.get("Replica_SQL_Running") == "Yes",
                error=errors[0] or errors[1],
                idle=not rows.lacking(MysqlRows.parse(said.get("Retrieved_Gtid_Set", ""))),
            )
        return cls(
            # One that does not say so is taken for one that is open.
            read_only=READ_ONLY.get(said.get("Read_Only", ""), False),
            events=said.get("Events") not in ("OFF", "DISABLED"),
            mark=int(checked("Mark", said.get("Mark", ""), r"\d{1,19}")),
            rows=rows,
            channel=channel,
        )


class Cluster(Protocol):
    """A cluster that is asked, and told. Each method is one question, or one change. Each raises NoAnswer."""

    def resource(self) -> Resource | None:
        """Return its resource; None if there is none."""

    def node(self, ordinal: int) -> Node:
        """Return what a node says."""

    def writer(self) -> Node:
        """Return what the node says that takes the writes, and has the channel."""

    def ready(self, ordinal: int) -> bool:
        """Tell whether Kubernetes takes a node for ready."""

    def mark(self, ordinal: int, size: int) -> None:
        """Give a node's server another mark."""

    def unmark(self, ordinal: int, seen: int) -> None:
        """Give a node's server a replica's mark, if its mark is still as it was seen."""

    def start_channel(self, channel: str) -> None:
        """Start the writer's channel."""

    def drop_channel(self, ordinal: int, channel: str) -> None:
        """Drop a node's channel."""

    def idle_events(self, nodes: int) -> bool:
        """Tell whether events were made in another site, and so do not run on the writer."""


@contextmanager
def asked(whom: str) -> Iterator[None]:
    """Turn what goes wrong into no answer; what a server refuses into that of one that is there.

    An error of the client's own, from 2000 on, is that it does not reach the server.
    """
    try:
        yield
    except ChildProcessError as error:
        found = re.search(r"ERROR (\d{4,5})\b", str(error))
        if found and not 2000 <= int(found[1]) < 3000:
            raise NotSilent(f"{whom}: error {found[1]}") from None
        reason = f"error {found[1]}" if found else printable(str(error).strip(), 200)
        raise NoAnswer(f"{whom}: {reason}") from None
    except ERRORS as error:
        raise NoAnswer(f"{whom}: {why(error)}") from None


class PxcCluster:
    """A cluster, asked in its pods."""

    def __init__(self, end: End, api: ApiClient) -> None:
        self._end, self._api = end, api

    def resource(self) -> Resource | None:
        """Return its `PerconaXtraDBCluster`."""
        place = ("pxc.percona.com", "v1", self._end.namespace, "perconaxtradbclusters", self._end.name)
        with asked("its API"):
            found = custom_object(self._api, *place)
        return Resource.parse(found) if found else None

    def node(self, ordinal: int) -> Node:
        """Return what a node says."""
        return self._node(ordinal)

    def writer(self) -> Node:
        """Return what the writer says, by way of the proxy."""
        return self._node()

    def ready(self, ordinal: int) -> bool:
        """Tell whether the pod of a node is ready."""
        with asked("its API"):
            return is_ready(self._api, self._end.namespace, f"{stateful_set_name(self._end.name)}-{ordinal}")

    def mark(self, ordinal: int, size: int) -> None:
        """Give a node's server another mark."""
        self._tell(f"SET GLOBAL {MARK} = {size}", ordinal)

    def unmark(self, ordinal: int, seen: int) -> None:
        """Give a node's server a replica's mark, in one statement."""
        self._tell(f"SET GLOBAL {MARK} = IF(@@GLOBAL.{MARK} = {seen}, {REPLICA}, @@GLOBAL.{MARK})", ordinal)

    def start_channel(self, channel: str) -> None:
        """Start the writer's channel."""
        self._tell(f"START REPLICA FOR CHANNEL '{channel}'")

    def drop_channel(self, ordinal: int, channel: str) -> None:
        """Drop a node's channel."""
        self._tell(f"STOP REPLICA FOR CHANNEL '{channel}'; RESET REPLICA ALL FOR CHANNEL '{channel}'", ordinal)

    def idle_events(self, nodes: int) -> bool:
        """Tell whether events carry the id of no server of this cluster, and are disabled for that."""
        own = sorted(self._number("@@server_id", ordinal=ordinal) for ordinal in range(nodes))
        made_elsewhere = (
            "FROM information_schema.EVENTS WHERE STATUS IN ('REPLICA_SIDE_DISABLED', 'SLAVESIDE_DISABLED')"
            f" AND ORIGINATOR NOT IN ({', '.join(map(str, own))})"
        )
        return self._number("COUNT(*)", made_elsewhere) > 0

    def _node(self, ordinal: int | None = None) -> Node:
        said = self._run(NODE_QUESTION, ordinal)
        with understood(NotSilent):
            return Node.parse(said)

    def _number(self, expression: str, source: str = "", *, ordinal: int | None = None) -> int:
        said = self._run(f"SELECT {expression} AS Value {source}", ordinal)
        with understood(NotSilent):
            return int(checked("a number", parse_lines(said).get("Value", ""), r"\d{1,10}"))

    def _tell(self, statements: str, ordinal: int | None = None) -> None:
        self._run(statements, ordinal, user="operator")

    def _run(self, statements: str, ordinal: int | None = None, *, user: str = "monitor") -> str:
        """Run statements on a node, or on the writer, and return what is printed."""
        host = f"{self._end.name}-haproxy" if ordinal is None else "127.0.0.1"
        pod = f"{stateful_set_name(self._end.name)}-{ordinal or 0}"
        with asked(pod):
            return run_in(
                self._api,
                namespace=self._end.namespace,
                pod=pod,
                container="pxc",
                command=client_command(statements, host=host, user=user),
            )
