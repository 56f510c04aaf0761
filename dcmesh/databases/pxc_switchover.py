"""The switchover of two XtraDB clusters: when the one that is to be the primary may be opened, and what is left then.

An operator opens every node of a cluster whose resource makes it a source, and closes every node of a replica, again
and again. So which of the two may write stands in their resources, and the order in which these change is what matters.
"""

import re
import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pulumi

from dcmesh.databases.replication import (
    GTIDS,
    Replica,
    ServerStatus,
    checked,
    is_settled,
    parse_lines,
    parse_server,
    read_server,
)
from dcmesh.kube.api import ERRORS, ApiClient, connect, custom_object, run_in, why
from dcmesh.model.printable import printable
from dcmesh.model.switchover import Switchover

CHANNEL_SECONDS = 30
"""How long is waited for a channel to run before what is wrong with it is told."""

PATIENCE = 120
"""Seconds that an `up` waits for the operators to do their part, and for rows that are under way."""

OPEN_SECONDS = 60
"""How long an `up` waits for the operator to open a primary."""

PASSWORDS = "/etc/mysql/mysql-users-secret"
"""Where the operator mounts the passwords of its users, a file each."""

MARK = "dcmesh_replica.key_buffer_size"
"""A number that a replica's servers have, where the other site's look for it: pxc_hold.sh sets it."""

REPLICA, PROMISED = 65536, 131072
"""What it is of a replica, and of one that is about to take over."""

EXECUTED = "REPLACE(@@GLOBAL.gtid_executed, CHAR(10), '')"
"""The GTIDs up to which a server has rows. Of several histories MySQL begins a line for each."""

QUESTION = rf"SHOW REPLICA STATUS\G SELECT {EXECUTED} AS Gtid_Position, @@GLOBAL.read_only AS Read_Only\G"
"""What a server is asked for itself and its channel."""


def client_command(statements: str, *, host: str, user: str = "monitor") -> tuple[str, ...]:
    r"""Return what runs statements, each of which ends in `\G`, from within a node's container.

    The password comes out of a file that only the client reads, for an argument is readable to others.
    """
    password = f"{PASSWORDS}/{user}"
    script = (
        f'mysql --defaults-extra-file=<(printf \'[client]\\npassword="%s"\\n\' "$(cat {password})") '
        f"--host={host} --user={user} --execute={shlex.quote(statements)}"
    )
    return ("bash", "-c", script)


def writer(*, namespace: str, name: str, pod: str) -> Replica:
    """Return where a cluster's writer, which has its channel, is asked: by way of the proxy, which knows it."""
    command = client_command(QUESTION, host=f"{name}-haproxy")
    return Replica(namespace=namespace, pod=pod, container="pxc", command=command)


@dataclass(frozen=True, kw_only=True)
class PxcEnd:
    """One of two clusters that can change roles, and where it can be asked.

    Attributes:
        site: its site.
        kubeconfig: contents of its Kubernetes cluster's kubeconfig. Secret.
        namespace: its namespace.
        name: name of its resource.
        pods: its nodes.
        channel: name of the channel by which it follows the other while it is the replica.
    """

    site: str
    kubeconfig: pulumi.Input[str]
    namespace: str
    name: str
    pods: tuple[str, ...]
    channel: str

    @property
    def writer(self) -> Replica:
        """Where the node that has the channel is asked."""
        return writer(namespace=self.namespace, name=self.name, pod=self.pods[0])


class PxcClient:
    """A cluster that is asked, and told."""

    def __init__(self, end: PxcEnd, api: ApiClient) -> None:
        self.end = end
        self._api = api

    def resource(self) -> dict[str, Any] | None:
        """Return its `PerconaXtraDBCluster`; None if there is none."""
        place = ("pxc.percona.com", "v1", self.end.namespace, "perconaxtradbclusters", self.end.name)
        return custom_object(self._api, *place)

    def run(self, statements: str, *, pod: str = "", user: str = "monitor") -> str:
        """Run statements on a node, by default on the writer, and return what is printed."""
        host = "127.0.0.1" if pod else f"{self.end.name}-haproxy"
        command = client_command(statements, host=host, user=user)
        inside = pod or self.end.pods[0]
        return run_in(self._api, namespace=self.end.namespace, pod=inside, container="pxc", command=command)

    def value(self, expression: str, source: str = "") -> str:
        """Return what an expression is on the writer; nothing where there is no row."""
        return parse_lines(self.run(rf"SELECT {expression} AS Value {source}\G")).get("Value", "")

    def gtids(self, expression: str) -> str:
        """Return GTIDs that the writer names; they may be another site's, and go into SQL."""
        return checked("its GTIDs", self.value(expression), GTIDS)

    def server(self, pod: str) -> ServerStatus:
        """Return what a node says of itself."""
        return parse_server(self.run(QUESTION, pod=pod))

    def number(self, expression: str, source: str = "", *, pod: str = "") -> int | None:
        """Return the number that an expression is on a node, by default on the writer; None if it is none."""
        said = parse_lines(self.run(rf"SELECT {expression} AS Value {source}\G", pod=pod)).get("Value", "")
        return int(said) if re.fullmatch(r"\d{1,10}", said) else None


def is_replica(resource: dict[str, Any]) -> bool:
    """Tell whether the operator has a cluster follow another, and so keeps it read-only."""
    channels = resource["spec"]["pxc"].get("replicationChannels") or [{"isSource": True}]
    return not channels[0].get("isSource", False)


def common(position: str, *others: str) -> str:
    """Return of a position the histories that the others have as well.

    A history is what one cluster or server has written. Some are a server's own, and never reach another site: those of
    a node that wrote outside the cluster, and of a replica whose operator made its users.
    """
    shared = set.intersection(*({part.partition(":")[0] for part in one.split(",")} for one in (position, *others)))
    return ",".join(part for part in position.split(",") if part.partition(":")[0] in shared)


def extra_to(source: PxcClient, position: str, its: str) -> str:
    """Return what of a position a source has not executed, in the histories that it has.

    Args:
        source: the source.
        position: what another cluster has executed.
        its: what the source has.
    """
    return source.gtids(f"REPLACE(GTID_SUBTRACT('{common(position, its)}', @@GLOBAL.gtid_executed), CHAR(10), '')")


# --- before the new primary is opened --------------------------------------------------------------------------------


def refusal(end: PxcEnd, reason: str) -> pulumi.RunError:
    """Return the error that ends an `up` before a cluster is opened."""
    return pulumi.RunError(f"{end.site}/{end.namespace}: {reason}")


def open_still(other: PxcClient) -> str:
    """Return why a cluster may still take writes; nothing if it takes none, and its operator will not change that."""
    resource = other.resource()
    if resource is None:
        return "has no cluster yet"
    if not is_replica(resource):
        return "is the primary by its resource: run `pulumi refresh`, then `pulumi up` with both sites"
    # Older ones are over by then: what the operator does to one cluster it does in turn.
    if resource.get("status", {}).get("observedGeneration") != resource["metadata"]["generation"]:
        return "has an operator that has not made it a replica yet"
    writable = [pod for pod in other.end.pods if not other.server(pod).read_only]
    if writable:
        return f"takes writes on {', '.join(writable)}"
    # An event of a user with SUPER writes to what is read-only.
    busy = [pod for pod in other.end.pods if other.number("@@GLOBAL.event_scheduler = 'ON'", pod=pod)]
    return f"still runs events on {', '.join(busy)}" if busy else ""


def hand_over(own: PxcClient, other: PxcClient, switchover: Switchover, patience: float = PATIENCE) -> None:
    """Return when a cluster may become the primary: the other takes no writes, and this one has all of its rows.

    Raises:
        pulumi.RunError: it must not.
        ERRORS: a server cannot be asked.
    """
    resource = own.resource()
    if resource and not is_replica(resource):
        return  # it is that already, and the other's turn would have come first
    deadline = time.monotonic() + patience
    promised = False
    while True:
        silence = ""
        try:
            reason = open_still(other)
        except ERRORS as error:
            reason = silence = f"cannot be asked ({why(error)})"
        if not reason:
            break
        if silence and switchover.without == other.end.site:
            if promised:
                return
            go_without(own, other, switchover, deadline)
            promise(own)
            promised = True
            continue  # it may have returned meanwhile, and have been told that this one is a replica
        if time.monotonic() >= deadline:
            if silence and resource:
                end = applied(own, deadline)
                raise refusal(
                    own.end,
                    f"{other.end.site} {reason}: nothing is promoted. What it committed after {end} would be lost. If "
                    f"it is gone for good, or surely stopped, set failover to {{without: {other.end.site}, at: {end}}}",
                )
            raise refusal(own.end, f"{other.end.site} {reason}: nothing is promoted")
        time.sleep(1)
    if not resource:
        return  # it begins with nothing
    # Asked again, for the nodes were closed one after the other.
    positions = [other.server(pod).position for pod in other.end.pods]
    wanted = ",".join(filter(None, (common(position, *positions) for position in positions)))
    if any(positions) and not wanted:
        raise refusal(own.end, f"{other.end.site} has nodes without a common history: nothing is promoted")
    deadline = time.monotonic() + patience
    while own.value(f"WAIT_FOR_EXECUTED_GTID_SET('{wanted}', 5)") != "0":
        if time.monotonic() >= deadline:
            have = own.gtids(EXECUTED)
            raise refusal(own.end, f"has rows up to {have}, and {other.end.site} up to {wanted}: nothing is promoted")
    extra = extra_to(other, own.gtids(EXECUTED), wanted)
    if extra:  # the other would take them over as soon as it follows
        raise refusal(
            own.end,
            f"has transactions that {other.end.site} has not ({extra}): nothing is promoted. docs/switchover.md says "
            "what to do",
        )


def applied(own: PxcClient, deadline: float) -> str:
    """Return up to where there are rows, once all that has arrived of the other site's is applied."""
    received = f"FROM performance_schema.replication_connection_status WHERE CHANNEL_NAME = '{own.end.channel}'"
    while own.value("WAIT_FOR_EXECUTED_GTID_SET(RECEIVED_TRANSACTION_SET, 5)", received) not in ("0", ""):
        if time.monotonic() >= deadline:
            raise refusal(own.end, "does not apply what has arrived: nothing is promoted. Mend the replication")
    return own.gtids(EXECUTED)


def go_without(own: PxcClient, other: PxcClient, switchover: Switchover, deadline: float) -> None:
    """Return if the configuration says where this cluster's rows end: what the other committed later may be lost."""
    end = applied(own, deadline)
    if switchover.at != end:
        raise refusal(
            own.end,
            f"{other.end.site} does not answer, and the rows here end at {end}, not at the failover.at of the "
            f"configuration, {switchover.at or 'which is not set'}. Set it to {end} if all that {other.end.site} "
            "committed after that may be lost",
        )


def promise(own: PxcClient) -> None:
    """Have most nodes of a cluster say, from now on, that it is no replica.

    Else the other site, if it returns before they are open, could take their word that they are.
    """
    told = 0
    for pod in own.end.pods:
        with suppress(*ERRORS):
            own.run(rf"SET GLOBAL {MARK} = {PROMISED}\G", pod=pod, user="operator")
            told += 1
    if 2 * told <= len(own.end.pods):
        raise refusal(own.end, "most of its nodes do not answer: nothing is promoted, run `pulumi up` again")


def take_back(own: PxcClient) -> bool:
    """Have a replica's closed nodes say that they are a replica's, if they were to take over and never did.

    Returns:
        Whether most of them do not say any more that they are to.
    """
    free = 0
    for pod in own.end.pods:
        with suppress(*ERRORS):
            if own.number(f"@@GLOBAL.{MARK}", pod=pod) == PROMISED:
                if not own.server(pod).read_only:
                    continue
                own.run(rf"SET GLOBAL {MARK} = {REPLICA}\G", pod=pod, user="operator")
            free += 1
    return 2 * free > len(own.end.pods)


# --- when it is the primary ------------------------------------------------------------------------------------------


def idle_events(primary: PxcClient) -> int:
    """Return how many events were made in another site, and so do not run on the writer."""
    nodes = {primary.number("@@server_id", pod=pod) for pod in primary.end.pods}
    own = ", ".join(str(node) for node in sorted(filter(None, nodes)))
    made_elsewhere = f"STATUS IN ('REPLICA_SIDE_DISABLED', 'SLAVESIDE_DISABLED') AND ORIGINATOR NOT IN ({own or 0})"
    return primary.number("COUNT(*)", f"FROM information_schema.EVENTS WHERE {made_elsewhere}") or 0


def require_roles(primary: PxcClient, replica: PxcClient, *, without: str) -> None:
    """Look whether the clusters' resources say that one is the primary and the other follows it.

    Raises:
        pulumi.RunError: they do not.
        ERRORS: a cluster cannot be asked.
    """
    cure = "nothing was done. `pulumi up` brings about what the configuration says"
    resource = primary.resource()
    if resource is None or is_replica(resource):
        raise refusal(primary.end, f"is not the primary by its resource: {cure}")
    if replica.end.site != without and not ((other := replica.resource()) and is_replica(other)):
        raise refusal(replica.end, f"is no replica by its resource: {cure}")


def finish(
    primary: PxcClient, replica: PxcClient, kubeconfigs: Sequence[str], *, without: str
) -> tuple[ServerStatus, ServerStatus | None]:
    """Bring a switchover to its end, and return what the primary and the replica say then.

    What the replica has promised and did not do is taken back: until then the primary's nodes may be held. The
    primary's old channel is dropped, for its operator has stopped it and leaves it there. The replica's is started
    again if it has given up, which its operator leaves as well. A replica whose site is gone is left alone.

    Args:
        primary: the primary.
        replica: the other.
        kubeconfigs: theirs.
        without: the site that is gone; empty if none is.

    Raises:
        pulumi.RunError: it is not at its end, or the clusters' roles are others.
        ERRORS: a cluster cannot be asked.
    """
    require_roles(primary, replica, without=without)
    gone = replica.end.site == without
    if not gone:
        take_back(replica)
    leader = read_server(kubeconfigs[0], primary.end.writer, OPEN_SECONDS, until=lambda said: said.read_only is False)
    if leader.read_only is not False:
        reason = "is still read-only" if leader.read_only else leader.channel.last_error
        raise refusal(primary.end, f"{reason}: see to it, then run `pulumi up` again")
    for pod in primary.end.pods:
        with suppress(*ERRORS):  # one that is away does no harm: a channel does not start with its server
            if primary.server(pod).channel.source:
                channel = f"FOR CHANNEL '{primary.end.channel}'"
                primary.run(rf"STOP REPLICA {channel}\G RESET REPLICA ALL {channel}\G", pod=pod, user="operator")
    with suppress(*ERRORS):
        if idle := idle_events(primary):
            where = f"{primary.end.site}/{primary.end.namespace}"
            pulumi.log.warn(
                f"{where}: {idle} events that were made in {replica.end.site} do not run. "
                "docs/switchover.md says how to enable them"
            )
    return leader, None if gone else _followed(primary, leader, replica, kubeconfigs[1])


def _followed(primary: PxcClient, leader: ServerStatus, replica: PxcClient, kubeconfig: str) -> ServerStatus:
    """Have a replica follow, and return what it says then.

    Raises:
        pulumi.RunError: it says nothing, takes writes, or is still to take over.
    """
    again = "see to it, then run `pulumi up` again"
    follower = read_server(
        kubeconfig, replica.end.writer, CHANNEL_SECONDS, until=lambda said: bool(said.read_only) and is_settled(said)
    )
    if follower.read_only is False:
        raise refusal(replica.end, f"still takes writes: {again}")
    if follower.channel.source and not follower.channel.running:
        with suppress(*ERRORS):
            replica.run(rf"START REPLICA FOR CHANNEL '{replica.end.channel}'\G", user="operator")
        follower = read_server(kubeconfig, replica.end.writer, CHANNEL_SECONDS)
    if follower.read_only is None:
        raise refusal(replica.end, f"{follower.channel.last_error}: {again}")
    if not take_back(replica):
        raise refusal(replica.end, f"most of its nodes do not say that they are a replica's: {again}")
    extra = ""
    with suppress(*ERRORS):
        extra = extra_to(primary, follower.position, leader.position)
    return replace(follower, extra=extra)


def see_through(primary: PxcEnd, replica: PxcEnd, kubeconfigs: Sequence[str], *, without: str) -> None:
    """Bring a switchover to its end, and warn of what is left to do.

    Args:
        primary: the primary.
        replica: the other.
        kubeconfigs: theirs.
        without: the site that is gone; empty if none is.

    Raises:
        pulumi.RunError: it is not at its end.
        ERRORS: a cluster cannot be asked.
    """
    with connect(kubeconfigs[0]) as here, connect(kubeconfigs[1]) as there:
        ends = PxcClient(primary, here), PxcClient(replica, there)
        _, follower = finish(*ends, kubeconfigs, without=without)
    if follower and follower.extra:
        pulumi.log.warn(
            f"{replica.namespace}/{replica.writer.pod} has transactions that its source has not: "
            f"{printable(follower.extra)}. docs/switchover.md says what to do"
        )
