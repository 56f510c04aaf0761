"""A cluster comes after the operator has answered at its webhook."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pulumi
import pytest

from components.databases.pxc_operator_webhook import INTERVAL, LOOKS, webhook_hooks
from tests.unit.engine import Engine
from tests.unit.servers import KubernetesAPI, kubeconfig, kubernetes_api

PATH = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/percona-xtradbcluster-webhook"


def configuration(*authorities: str | None) -> dict[str, Any]:
    """Return the configuration with webhooks that have these authorities, or none."""
    more = {"name": "w", "sideEffects": "None", "admissionReviewVersions": ["v1"]}
    return {"webhooks": [{"clientConfig": {"caBundle": authority}, **more} for authority in authorities]}


def paused(monkeypatch: pytest.MonkeyPatch, api: KubernetesAPI, after: dict[int, Any]) -> int:
    """Run the wait, and return how often it paused. After so many pauses the API has such a configuration."""
    pauses = 0

    async def sleep(seconds: float, pulumis: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        nonlocal pauses
        if seconds != INTERVAL:
            await pulumis(seconds)
            return
        pauses += 1
        if pauses in after:
            api.objects[PATH] = after[pauses]

    monkeypatch.setattr("components.databases.pxc_operator_webhook.asyncio.sleep", sleep)

    async def wait() -> None:
        known = pulumi.Output.from_input(kubeconfig({"there": f"http://127.0.0.1:{api.server_port}"}))
        before = pulumi.ResourceHook("before", lambda _: None)
        hooks = webhook_hooks("served", known, pulumi.ResourceHookBinding(after_create=[before]))
        first, hook = hooks.after_create or ()
        assert first is before
        assert isinstance(hook, pulumi.ResourceHook)
        done = hook.callback(pulumi.ResourceHookArgs("urn", "", "name", "type"))
        assert done is not None
        await done

    def program() -> None:
        pulumi.export("done", pulumi.Output.from_input(wait()))

    Engine().run(program)
    return pauses


def test_the_authority_of_the_operators_certificate_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with kubernetes_api() as api:
        api.objects[PATH] = configuration(None)
        assert paused(monkeypatch, api, {2: 500, 3: configuration("YQ==", None), 4: configuration("YQ==", "YQ==")}) == 4


def test_an_operator_that_never_serves_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    with kubernetes_api() as api:
        assert paused(monkeypatch, api, {}) == LOOKS
