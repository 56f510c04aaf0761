"""How two XtraDB clusters change roles: what each resource waits for before it changes, and what is left afterwards."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pulumi

from dcmesh.databases.pxc_cluster import PxcCluster
from dcmesh.databases.pxc_server import hand_over
from dcmesh.databases.switchover import End
from dcmesh.kube.api import connect
from dcmesh.model.plan import DatabasePlan
from dcmesh.model.switchover import Switchover
from dcmesh.verbs import KUBECONFIGS

from ..databases.mariadb_switchover_command import words
from ..hook_thread_pool import in_hook_thread
from ..verb_command import run_verb


@dataclass(frozen=True, kw_only=True)
class Switched:
    """One of two clusters that can change roles.

    Attributes:
        plan: its part of the plan.
        kubeconfig: contents of its Kubernetes cluster's kubeconfig. Secret.
    """

    plan: DatabasePlan
    kubeconfig: pulumi.Input[str]

    async def end(self) -> End:
        """Return where it can be asked."""
        kubeconfig = await pulumi.Output.from_input(self.kubeconfig).future()
        plan = self.plan
        return End(site=plan.site, namespace=plan.namespace, name=plan.name, kubeconfig=kubeconfig or "")


def hand_over_hook(
    name: str, own: Switched, other: Callable[[], Switched], switchover: Switchover
) -> pulumi.ResourceHookBinding:
    """Return what waits, before a cluster's resource is created or updated, until it may say what the cluster is to be.

    A hook, and no Command: after a Command has succeeded, the other cluster may have been opened again; and `--target`
    leaves a Command out.

    Args:
        name: prefix of the hook's name.
        own: the cluster.
        other: returns the other, when all is registered.
        switchover: which is to be the primary.
    """

    def ask(here: End, there: End) -> None:
        with connect(here.kubeconfig) as own_api, connect(there.kubeconfig) as other_api:
            clusters = PxcCluster(here, own_api), PxcCluster(there, other_api)
            hand_over(switchover, here.site, there.site, clusters)

    async def wait(_: pulumi.ResourceHookArgs) -> None:
        await in_hook_thread(ask, await own.end(), await other().end())  # it takes long, and others go on

    hook = pulumi.ResourceHook(f"{name}-handed-over", wait)
    return pulumi.ResourceHookBinding(before_create=[hook], before_update=[hook])


def finish_command(
    name: str,
    clusters: Sequence[Switched],
    other: str,
    switchover: Switchover,
    begun: pulumi.CustomResource,
    opts: pulumi.ResourceOptions,
) -> pulumi.Resource:
    """Create the Command that brings a switchover to its end, when both resources say who is the primary.

    Args:
        name: prefix of the resource's name.
        clusters: the primary and the other, or the primary alone where the other's site is gone.
        other: the other's site.
        switchover: which is the primary.
        begun: what is made anew whenever the primary changes, or what the configuration says of a site that is gone.
            Then the Command runs again.
        opts: options of the resource.
    """
    plans = [cluster.plan for cluster in clusters]
    ends = [word for plan in plans for word in ("--site", f"{plan.site}/{plan.namespace}/{plan.name}")]
    alone = ["--other", other] if len(plans) == 1 else []
    return run_verb(
        f"{name}-switchover",
        *("switchover", "--kind", "pxc", *ends, *alone, *words(switchover)),
        environment=dict(zip(KUBECONFIGS, (cluster.kubeconfig for cluster in clusters), strict=False)),
        triggers=[begun.id],
        opts=opts,
    )
