"""Pods that take plaintext, and consumers of other trust domains."""

import pytest

from dcmesh.kube.api import ApiClient
from dcmesh.model.istio_objects import Object
from dcmesh.model.plan import plan_of
from dcmesh.preflight.missing_rights import Allowed
from dcmesh.preflight.plaintext import taken
from tests.unit.conftest import settings_of, stack_dev


def policy(mode: str, *, selector: bool = True, port: str = "") -> Object:
    spec: Object = {"portLevelMtls": {port: {"mode": mode}}} if port else {"mtls": {"mode": mode}}
    chosen = {"selector": {"matchLabels": {"app": "hello"}}} if selector else {}
    return {"metadata": {"namespace": "demo", "name": "own", "creationTimestamp": "2026-01-01"}, "spec": spec | chosen}


@pytest.mark.parametrize(
    ("domain", "policies", "refused"),
    [
        ("dc2.dcmesh", [policy("PERMISSIVE")], True),
        ("dc2.dcmesh", [policy("STRICT")], False),
        ("dc2.dcmesh", [policy("PERMISSIVE", selector=False)], False),  # dcmesh's own policy is more specific.
        # It does not mention the port, and no other policy applies.
        ("dc2.dcmesh", [policy("DISABLE", port="9090")], True),
        ("dc2.dcmesh", [policy("DISABLE", port="9090"), policy("STRICT", selector=False)], False),
        ("dc2.dcmesh", [], False),
        ("cluster.local", [policy("PERMISSIVE")], False),
    ],
)
def test_an_elder_policy_that_lets_pods_take_plaintext(
    monkeypatch: pytest.MonkeyPatch, domain: str, policies: list[Object], refused: bool
) -> None:
    pod = {"metadata": {"namespace": "demo", "name": "hello-0", "labels": {"app": "hello"}}}
    there = {
        "/apis/security.istio.io/v1/peerauthentications": policies,
        "/api/v1/namespaces/demo/pods": [pod],
    }
    monkeypatch.setattr("dcmesh.preflight.missing_rights.Allowed.list", lambda _, path: there[path])
    raw = stack_dev()
    raw["sites"][1]["trustDomain"] = domain
    settings = settings_of(raw)
    found = list(taken(Allowed(ApiClient()), settings.sites[0], "sites[0]", plan_of(settings, {}).site("dc1")))
    assert [line.line().startswith('sites[0].exports[0].name: "hello" is of pods that demo/own') for line in found] == (
        [True] if refused else []
    )
