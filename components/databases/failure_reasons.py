"""What a database's pods say of themselves, shown when an `up` gives up waiting for them.

Pulumi's own message names the containers that are not ready, and gives no reason.
"""

from collections.abc import Mapping
from typing import Any

import pulumi

from dcmesh.kube.api import ERRORS, connect
from dcmesh.kube.rollout import words

from ..hook_thread_pool import in_hook_thread


def tell_reasons(name: str, kubeconfig: pulumi.Input[str]) -> pulumi.ResourceHookBinding:
    """Return a hook that tells what a StatefulSet's pods have said, when its creation or update has failed.

    Args:
        name: prefix of the hook's name.
        kubeconfig: contents of the cluster's kubeconfig. Secret.
    """

    def tell(inputs: Mapping[str, Any], known: str) -> None:
        place, replicas = inputs["metadata"], int(inputs["spec"]["replicas"])
        try:
            with connect(known) as api:
                for line in words(api, place["namespace"], place["name"], replicas):
                    pulumi.log.error(line)
        except ERRORS:
            return  # Pulumi's own message says that something is wrong

    async def failed(args: pulumi.ErrorHookArgs) -> bool:
        if args.failed_operation != "delete":
            # What has something secret in it, as `resources` may, is a secret as a whole.
            inputs, known = await pulumi.Output.all(args.new_inputs, kubeconfig).future() or ({}, "")
            await in_hook_thread(tell, inputs, known)
        return False  # no second try: it would wait as long again

    return pulumi.ResourceHookBinding(on_error=[pulumi.ErrorHook(f"{name}-reasons", failed)])
