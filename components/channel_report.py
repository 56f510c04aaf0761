"""How a replication channel was when an `up` was done, as a stack output."""

from typing import Any

import pulumi

from components.replication import Replica, read_channel

CHANNEL_SECONDS = 30
"""How long an `up` waits for a channel to run before it reports what is wrong with it."""


def channel_report(
    kubeconfig: pulumi.Input[str], replica: Replica, settled: pulumi.Output[Any]
) -> pulumi.Output[dict[str, Any]]:
    """Return what a replica says of its channel.

    Args:
        kubeconfig: contents of its cluster's kubeconfig. Secret; the report is not.
        replica: where to ask.
        settled: something that is known only when the replica can be asked.
    """
    asked = pulumi.Output.all(kubeconfig, settled).apply(
        lambda known: read_channel(known[0], replica, patience=CHANNEL_SECONDS).as_output()
    )
    return pulumi.Output.unsecret(asked)
