"""While istiod is being replaced, nothing that it validates begins too early, and what failed is tried again."""

import asyncio
from typing import Any

import pulumi
import pytest

from components.mesh.istiod_unavailable import INTERVAL, LOOKS, TRIES, istio_hooks, try_again
from tests.unit.hooks import pauses
from tests.unit.servers import KubernetesAPI, kubeconfig, kubernetes_api, nobody

UNREACHABLE = (
    'Internal error occurred: failed calling webhook "rev.validation.istio.io": failed to call webhook: Post '
    '"https://istiod.istio-system.svc:443/validate?timeout=10s": dial tcp: connect: network is unreachable'
)


@pytest.mark.parametrize(
    ("errors", "again"),
    [
        ([UNREACHABLE], True),
        ([UNREACHABLE] * TRIES, True),
        ([UNREACHABLE] * (TRIES + 1), False),
        (['admission webhook "rev.validation.istio.io" denied the request: unknown field'], False),
        (['failed calling webhook "validationwebhook.pxc.percona.com": connection refused', UNREACHABLE], False),
    ],
)
def test_an_object_is_tried_again_while_istiod_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, errors: list[str], again: bool
) -> None:
    monkeypatch.setattr("components.mesh.istiod_unavailable.PAUSE", 0)
    args = pulumi.ErrorHookArgs("urn", "", "name", "type", failed_operation="update", errors=errors)
    assert asyncio.run(try_again(args)) is again


# --- what waits for istiod -------------------------------------------------------------------------------------------

PODS = "/api/v1/namespaces/istio-system/pods?labelSelector=app=istiod"


def pods(*, old: bool) -> dict[str, Any]:
    """Return istiod's pods as the API shows them: the new one, and the one that it replaces."""
    found = [{"name": "new"}, {"name": "old", "deletionTimestamp": "now"}] if old else [{"name": "new"}]
    spec = {"containers": [{"name": "discovery"}]}
    return {"items": [{"metadata": {"namespace": "istio-system", **metadata}, "spec": spec} for metadata in found]}


def exchanged(monkeypatch: pytest.MonkeyPatch, port: int, after: dict[int, KubernetesAPI]) -> int:
    """Run the wait, and return how often it paused. After this many pauses a cluster's old pod is gone."""

    def made() -> pulumi.ResourceHook:
        known = pulumi.Output.from_input(kubeconfig({"there": f"http://127.0.0.1:{port}"}))
        hooks = istio_hooks("dc1", known, pulumi.ResourceHookBinding())
        (hook,) = hooks.after_update or ()
        assert isinstance(hook, pulumi.ResourceHook)
        return hook

    def then(number: int) -> None:
        if number in after:
            after[number].objects[PODS] = pods(old=False)

    return pauses(monkeypatch, made, interval=INTERVAL, then=then)


@pytest.mark.parametrize("after", [0, 1, 5])
def test_an_exchange_is_over_when_the_old_pods_are_gone(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    with kubernetes_api() as cluster:
        cluster.objects[PODS] = pods(old=after > 0)
        assert exchanged(monkeypatch, cluster.server_port, {after: cluster}) == after


def test_an_old_pod_that_does_not_go_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    with kubernetes_api() as cluster:
        cluster.objects[PODS] = pods(old=True)
        assert exchanged(monkeypatch, cluster.server_port, {}) == LOOKS


def test_a_cluster_that_does_not_say_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with nobody() as port:
        assert exchanged(monkeypatch, port, {}) == 0
