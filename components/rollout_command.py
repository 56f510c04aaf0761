"""The end of a StatefulSet's rollout, for whatever must wait for it.

pulumi-kubernetes before 4.26 can believe too early that all pods of a StatefulSet are new, just after it has changed
it: it reads the status before Kubernetes' controller has seen the change (its pull request 4094). An `up` then ended
with the pods still to be restarted (seen on the lab).
"""

import pulumi
import pulumi_kubernetes as k8s

from dcmesh.verbs import KUBECONFIG

from .verb_command import run_verb


def rolled_out(
    name: str,
    stateful_set: k8s.apps.v1.StatefulSet,
    *,
    site: str,
    kubeconfig: pulumi.Input[str],
    place: tuple[str, str],
    lost: bool,
    parent: pulumi.Resource,
) -> pulumi.Resource:
    """Create the Command that waits, after each change of a StatefulSet, until all its pods are new and pod 0 is ready.

    Args:
        name: prefix of the resource's name.
        stateful_set: what is waited for.
        site: the site, for messages.
        kubeconfig: contents of its kubeconfig. Secret.
        place: the StatefulSet's namespace and name.
        lost: whether the site is gone. Then nothing waits.
        parent: the component that it is a part of.
    """
    return run_verb(
        f"{name}-rolled-out",
        "wait-for-rollout",
        site,
        *place,
        environment={KUBECONFIG: kubeconfig},
        triggers=[stateful_set.metadata.uid, stateful_set.metadata.generation],
        idle=lost,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[stateful_set]),
    )
