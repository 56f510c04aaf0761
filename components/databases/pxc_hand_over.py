"""How the program waits for one of two XtraDB clusters to hand over to the other, and sees a switchover to its end."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pulumi

from dcmesh.databases.pxc_switchover import PxcClient, PxcEnd, finish, hand_over, refusal
from dcmesh.kube.api import ERRORS, connect, why
from dcmesh.model.printable import printable
from dcmesh.model.switchover import Switchover


def handed_over(own: PxcEnd, other: PxcEnd, switchover: Switchover, closed: pulumi.Output[Any]) -> pulumi.Output[None]:
    """Return something that is known only when a cluster may become the primary.

    Args:
        own: the cluster.
        other: the other.
        switchover: which is to be the primary.
        closed: known only when the other's resource makes it a replica.
    """

    def ask(kubeconfigs: Sequence[str]) -> None:
        with connect(kubeconfigs[0]) as here, connect(kubeconfigs[1]) as there:
            try:
                hand_over(PxcClient(own, here), PxcClient(other, there), switchover)
            except ERRORS as error:
                reason = f"a server cannot be asked ({why(error)}): nothing is promoted, run `pulumi up` again"
                raise refusal(own, reason) from None

    async def look(known: Sequence[Any]) -> None:
        if not pulumi.runtime.is_dry_run():
            await asyncio.to_thread(ask, known)  # it takes long, and others go on

    looked: pulumi.Output[None] = pulumi.Output.all(own.kubeconfig, other.kubeconfig, closed).apply(look)
    return pulumi.Output.unsecret(looked)


def finished(primary: PxcEnd, replica: PxcEnd, opened: pulumi.Output[Any]) -> None:
    """Bring a switchover to its end, and warn of what the replica has and the primary has not.

    Args:
        primary: the primary.
        replica: the other.
        opened: known only when the primary's resource makes it that.
    """

    def see_to_it(kubeconfigs: Sequence[str]) -> None:
        with connect(kubeconfigs[0]) as here, connect(kubeconfigs[1]) as there:
            _, follower = finish(PxcClient(primary, here), PxcClient(replica, there), kubeconfigs, act=True)
        if follower.extra:
            pulumi.log.warn(
                f"{replica.namespace}/{replica.writer.pod} has transactions that its source has not: "
                f"{printable(follower.extra)}. docs/switchover.md says what to do"
            )

    async def look(known: Sequence[Any]) -> None:
        if not pulumi.runtime.is_dry_run():
            await asyncio.to_thread(see_to_it, known)

    done: pulumi.Output[None] = pulumi.Output.all(primary.kubeconfig, replica.kubeconfig, opened).apply(look)
    pulumi.Output.unsecret(done)
