"""Hooks of resources, run as Pulumi runs them."""

import pulumi


async def refusal(binding: pulumi.ResourceHookBinding, *, on_dry_run: bool) -> str:
    """Run the hook that runs before a creation and before an update. Return why it refuses, if it does.

    Args:
        binding: the binding with the hook.
        on_dry_run: whether the hook must run in a preview as well.
    """
    (hook,), (the_same,) = binding.before_create or (), binding.before_update or ()
    assert hook is the_same
    assert isinstance(hook, pulumi.ResourceHook)
    if on_dry_run:
        assert hook.opts
        assert hook.opts.on_dry_run, "a preview refuses too"
    else:
        assert hook.opts is None, "a preview does not wait"
    done = hook(pulumi.ResourceHookArgs("urn", "", "name", "type"))
    assert done is not None
    try:
        await done
    except pulumi.RunError as error:
        return str(error)
    return ""
