"""Hooks of resources, run as Pulumi runs them."""

import asyncio
from collections.abc import Awaitable, Callable

import pulumi
import pytest

from tests.unit.engine import Engine


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


def pauses(
    monkeypatch: pytest.MonkeyPatch,
    hook: Callable[[], pulumi.ResourceHook],
    *,
    interval: float,
    then: Callable[[int], object],
) -> int:
    """Run a hook that waits. Return how often it paused.

    Args:
        monkeypatch: pytest's.
        hook: makes the hook.
        interval: how long it pauses each time, in seconds. Pulumi's own pauses are others.
        then: is told at each pause how many there have been.
    """
    paused = 0

    async def sleep(seconds: float, pulumis: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        nonlocal paused
        if seconds != interval:
            await pulumis(seconds)
            return
        paused += 1
        then(paused)

    monkeypatch.setattr(asyncio, "sleep", sleep)

    async def wait() -> None:
        done = hook().callback(pulumi.ResourceHookArgs("urn", "", "name", "type"))
        assert done is not None
        await done

    def program() -> None:
        pulumi.export("done", pulumi.Output.from_input(wait()))

    Engine().run(program)
    return paused
