"""How one of two XtraDB clusters becomes the primary: not before the other hands over, and to the switchover's end."""

import pulumi

from components.hook_thread import in_hook_thread
from components.verb_command import run_verb
from dcmesh.databases.pxc_switchover import PxcClient, PxcEnd, hand_over, refusal
from dcmesh.kube.api import ERRORS, connect, why
from dcmesh.model.switchover import Switchover
from dcmesh.verbs import PRIMARY_KUBECONFIG, REPLICA_KUBECONFIG


def hand_over_hook(name: str, own: PxcEnd, other: PxcEnd, switchover: Switchover) -> pulumi.ResourceHookBinding:
    """Return what waits, before the resource that makes a cluster the primary is created or updated, until it may be.

    A hook, and no Command: since one succeeded the other may have been opened again, and `--target` leaves it out.

    Args:
        name: prefix of the hook's name.
        own: the cluster.
        other: the other.
        switchover: which is to be the primary.
    """
    kubeconfigs = pulumi.Output.all(own.kubeconfig, other.kubeconfig)

    def ask(here: str, there: str) -> None:
        with connect(here) as own_api, connect(there) as other_api:
            try:
                hand_over(PxcClient(own, own_api), PxcClient(other, other_api), switchover)
            except ERRORS as error:
                reason = f"a server cannot be asked ({why(error)}): nothing is promoted, run `pulumi up` again"
                raise refusal(own, reason) from None

    async def wait(_: pulumi.ResourceHookArgs) -> None:
        here, there = await kubeconfigs.future() or ("", "")
        await in_hook_thread(ask, here, there)  # it takes long, and others go on

    hook = pulumi.ResourceHook(f"{name}-handed-over", wait)
    return pulumi.ResourceHookBinding(before_create=[hook], before_update=[hook])


def finish_command(
    name: str,
    primary: PxcEnd,
    replica: PxcEnd,
    switchover: Switchover,
    begun: pulumi.CustomResource,
    opts: pulumi.ResourceOptions,
) -> pulumi.Resource:
    """Create the Command that brings a switchover to its end, when both resources say who is the primary.

    Args:
        name: prefix of the resource's name.
        primary: the primary.
        replica: the other.
        switchover: which is the primary.
        begun: what is made anew whenever that changes, or what is said of a site that is gone. Then it runs again.
        opts: options of the resource.
    """
    words = ["--without", switchover.without] if switchover.without else []
    return run_verb(
        f"{name}-switchover",
        "finish-switchover",
        *("--primary", *_words(primary)),
        *("--replica", *_words(replica)),
        *words,
        environment={PRIMARY_KUBECONFIG: primary.kubeconfig, REPLICA_KUBECONFIG: replica.kubeconfig},
        triggers=[begun.id],
        opts=opts,
    )


def _words(end: PxcEnd) -> tuple[str, ...]:
    return (end.site, end.namespace, end.name, str(len(end.pods)), end.channel)
