"""While a single istiod is replaced, nobody checks Istio's objects, and the API server refuses them for a moment.

Helm is done when the new pods are ready. Until the old ones are gone the API server may still call one of them (a tenth
of a second was seen). What waits for the release waits for that too. An update that fails is tried again, but Pulumi
keeps the first try's error in its state and repeats the update in the next `up` (seen with 3.276: `InitErrors`).
"""

import asyncio
import copy
import re

import pulumi

from dcmesh.kube.api import ERRORS, connect
from dcmesh.kube.pods import read_pods
from dcmesh.model.istio import ISTIO_NAMESPACE

from ..hook_thread_pool import in_hook_thread

TRIES, PAUSE = 15, 2
"""How often an object is tried again, and seconds before each time."""

LOOKS, INTERVAL = 60, 0.5
"""How often old pods are looked for, and seconds between: together the grace that Kubernetes gives a pod."""

LABELS = {"app": "istiod"}
"""What istiod's pods have, by Istio's chart."""

AWAY = re.compile(r'failed calling webhook "[a-z.-]*validation\.istio\.io"')
"""What the API server says when it cannot reach istiod. When istiod refuses an object, it says `denied the request`."""


async def try_again(args: pulumi.ErrorHookArgs) -> bool:
    """Tell whether an object is to be tried again, after a pause."""
    if len(args.errors) > TRIES or not AWAY.search(args.errors[0]):
        return False
    await asyncio.sleep(PAUSE)
    return True


def istio_hooks(
    site: str, kubeconfig: pulumi.Output[str], of_releases: pulumi.ResourceHookBinding
) -> pulumi.ResourceHookBinding:
    """Return what surrounds Helm's work on Istio's releases: after an update it waits until old pods are gone.

    Args:
        site: the site.
        kubeconfig: contents of its cluster's kubeconfig.
        of_releases: what surrounds Helm's work on any release.
    """

    def old_there(known: str) -> bool:
        try:
            with connect(known) as api:
                return any(pod.leaving for pod in read_pods(api, ISTIO_NAMESPACE, LABELS))
        except ERRORS:  # what comes next asks the same cluster, and says so
            return False

    async def wait(_args: pulumi.ResourceHookArgs) -> None:
        known = await kubeconfig.future() or ""
        for _ in range(LOOKS):
            if not await in_hook_thread(old_there, known):
                return
            await asyncio.sleep(INTERVAL)

    exchanged = pulumi.ResourceHook(f"{site}-istiod-exchanged", wait)
    hooks = copy.copy(of_releases)
    hooks.after_update = [*(of_releases.after_update or ()), exchanged]
    return hooks
