"""Waits until Percona's operator has answered at its webhook, which is there before the operator."""

import asyncio
import copy

import pulumi

from dcmesh.kube.api import ERRORS, connect
from dcmesh.kube.webhooks import has_authority

from ..hook_thread_pool import in_hook_thread

WEBHOOK = "percona-xtradbcluster-webhook"
"""The name that the operator's source has (pkg/webhook/hook.go)."""

LOOKS, INTERVAL = 120, 0.5
"""How often the webhook is looked at, and seconds between. The operator serves a few seconds after its pod is ready."""


def webhook_hooks(
    name: str, kubeconfig: pulumi.Output[str], of_releases: pulumi.ResourceHookBinding | None
) -> pulumi.ResourceHookBinding:
    """Return what surrounds Helm's work on the operator: once that is installed, its webhook is waited for.

    The operator adds the authority of its certificate to the webhook when it serves there. Until then the API server
    refuses every cluster.

    Args:
        name: a name for the hook.
        kubeconfig: contents of the cluster's kubeconfig.
        of_releases: what surrounds Helm's work on any release.
    """

    def served(known: str) -> bool:
        try:
            with connect(known) as api:
                return has_authority(api, WEBHOOK)
        except ERRORS:
            return False

    async def wait(_args: pulumi.ResourceHookArgs) -> None:
        known = await kubeconfig.future() or ""
        for _ in range(LOOKS):
            if await in_hook_thread(served, known):
                return
            await asyncio.sleep(INTERVAL)

    hooks = copy.copy(of_releases or pulumi.ResourceHookBinding())
    hooks.after_create = [*(hooks.after_create or ()), pulumi.ResourceHook(name, wait)]
    return hooks
