"""What is done before and after Helm works on a release."""

from contextlib import suppress

import pulumi

from dcmesh.kube.api import ERRORS, connect, why
from dcmesh.kube.pending_releases import TIMEOUT, Release, begin

from .hook_thread_pool import in_hook_thread


def release_hooks(site: str, kubeconfig: pulumi.Output[str], stack: str) -> pulumi.ResourceHookBinding:
    """Return what is to be done before and after Helm works on a release.

    Args:
        site: the site.
        kubeconfig: contents of its cluster's kubeconfig.
        stack: this stack, by its whole name.
    """

    def around(args: pulumi.ResourceHookArgs, known: str, *, after: bool) -> None:
        inputs = args.new_inputs or {}
        with connect(known) as api:
            release = Release(api, inputs["namespace"], inputs["name"])
            if after:
                with suppress(*ERRORS):  # the next run finds that nobody is at work
                    release.give_up()
                return
            try:
                begin(release, stack, known=bool(args.old_inputs), timeout=int(inputs.get("timeout") or TIMEOUT))
            except ERRORS as error:
                raise pulumi.RunError(f"the Helm release {release} cannot be looked at: {why(error)}") from None

    async def before(args: pulumi.ResourceHookArgs) -> None:
        await in_hook_thread(around, args, await kubeconfig.future() or "", after=False)

    async def after(args: pulumi.ResourceHookArgs) -> None:
        await in_hook_thread(around, args, await kubeconfig.future() or "", after=True)

    begun, done = pulumi.ResourceHook(f"{site}-helm-before", before), pulumi.ResourceHook(f"{site}-helm-after", after)
    return pulumi.ResourceHookBinding(
        before_create=[begun], before_update=[begun], after_create=[done], after_update=[done]
    )
