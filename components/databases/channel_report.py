"""How a server that replicates between sites, and its channel, were when an `up` was done, as a stack output."""

from typing import Any

import pulumi

from dcmesh.databases.replication import CHANNEL_SECONDS, Replica, ServerStatus, read_server
from dcmesh.model.printable import printable


def as_output(replica: Replica, server: ServerStatus, *, primary: bool) -> dict[str, Any]:
    """Return what a server has said as a stack output, and warn of what it has and its source has not."""
    if server.extra:
        pulumi.log.warn(
            f"{replica.namespace}/{replica.pod} has transactions that its source has not: {printable(server.extra)}. "
            "docs/switchover.md says what to do"
        )
    if primary:
        return {"role": "primary", "readOnly": server.read_only, "position": server.position}
    return {"role": "replica", "readOnly": server.read_only, **server.channel.as_output(), "extra": server.extra}


def channel_report(
    kubeconfig: pulumi.Input[str], replica: Replica, settled: pulumi.Output[Any], *, primary: bool = False
) -> pulumi.Output[dict[str, Any]]:
    """Return what a server says of itself and its channel. What it has and its source has not is warned of as well.

    Args:
        kubeconfig: contents of its cluster's kubeconfig. Secret; the report is not.
        replica: where to ask.
        settled: something that is known only when the replica can be asked.
        primary: whether it is the primary at present, and so has no channel.
    """

    def report(known: list[Any]) -> dict[str, Any]:
        server = read_server(known[0], replica, patience=0 if primary else CHANNEL_SECONDS)
        return as_output(replica, server, primary=primary)

    return pulumi.Output.unsecret(pulumi.Output.all(kubeconfig, settled).apply(report))
