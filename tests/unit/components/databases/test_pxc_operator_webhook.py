"""A cluster comes after the operator has answered at its webhook."""

from typing import Any

import pulumi
import pytest

from components.databases.pxc_operator_webhook import INTERVAL, LOOKS, webhook_hooks
from tests.unit.hooks import pauses
from tests.unit.servers import KubernetesAPI, kubeconfig, kubernetes_api

PATH = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/percona-xtradbcluster-webhook"


def configuration(*authorities: str | None) -> dict[str, Any]:
    """Return the configuration with webhooks that have these authorities, or none."""
    more = {"name": "w", "sideEffects": "None", "admissionReviewVersions": ["v1"]}
    return {"webhooks": [{"clientConfig": {"caBundle": authority}, **more} for authority in authorities]}


def paused(monkeypatch: pytest.MonkeyPatch, api: KubernetesAPI, after: dict[int, Any]) -> int:
    """Run the wait, and return how often it paused. After so many pauses the API has such a configuration."""

    def made() -> pulumi.ResourceHook:
        known = pulumi.Output.from_input(kubeconfig({"there": f"http://127.0.0.1:{api.server_port}"}))
        before = pulumi.ResourceHook("before", lambda _: None)
        hooks = webhook_hooks("served", known, pulumi.ResourceHookBinding(after_create=[before]))
        first, hook = hooks.after_create or ()
        assert first is before
        assert isinstance(hook, pulumi.ResourceHook)
        return hook

    def then(number: int) -> None:
        if number in after:
            api.objects[PATH] = after[number]

    return pauses(monkeypatch, made, interval=INTERVAL, then=then)


def test_the_authority_of_the_operators_certificate_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with kubernetes_api() as api:
        api.objects[PATH] = configuration(None)
        assert paused(monkeypatch, api, {2: 500, 3: configuration("YQ==", None), 4: configuration("YQ==", "YQ==")}) == 4


def test_an_operator_that_never_serves_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    with kubernetes_api() as api:
        assert paused(monkeypatch, api, {}) == LOOKS
