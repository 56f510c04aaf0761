"""Databases that lose their sidecars: not in the `up` that changes their exports and imports."""

import pytest

from dcmesh.kube.api import ApiClient
from dcmesh.kube.read_rights import Allowed
from dcmesh.model.istio_objects import Object
from dcmesh.model.plan import plan_of
from dcmesh.model.settings import Settings
from dcmesh.preflight.removed_sidecars import INJECTED, kept, shut_out
from tests.unit.configurations import changed


def lines(example: str, meshed: set[str]) -> list[str]:
    settings = Settings.model_validate(changed(example, {}))
    plan = plan_of(settings, {}, None, {"dc1": meshed})
    return [remark.line() for remark in kept(settings.sites[0], "sites[0]", plan.site("dc1"))]


def test_it_is_said_that_the_next_up_restarts_them() -> None:
    (line,) = lines("mariadb-gateways", {"wookie"})
    assert line.startswith(
        "sites[0].workloads[0].sidecar: false takes effect with the next `pulumi up`, which restarts "
    )


def test_nothing_is_said_of_those_that_need_them_or_have_none() -> None:
    assert lines("mariadb-gateways", set()) == []
    assert lines("mariadb", {"wookie"}) == []


STRICT = {
    "metadata": {"namespace": "istio-system", "name": "all", "creationTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {"mtls": {"mode": "STRICT"}},
}
PERMISSIVE = {**STRICT, "metadata": {"namespace": "wookie", "name": "own"}, "spec": {"mtls": {"mode": "PERMISSIVE"}}}
MESHED = {"namespace": "wookie", "name": "db-2", "labels": {"app": "db"}, "annotations": {INJECTED: "{}"}}


@pytest.mark.parametrize(
    ("example", "policies", "pod", "refused"),
    [
        ("mariadb-gateways", [STRICT], MESHED, True),
        ("mariadb-gateways", [STRICT, PERMISSIVE], MESHED, False),
        ("mariadb-gateways", [], MESHED, False),
        ("mariadb-gateways", [STRICT], {**MESHED, "annotations": {}}, False),  # It has no sidecar any more.
        ("mariadb", [STRICT], MESHED, False),
    ],
)
def test_nobody_loses_a_sidecar_where_the_mesh_refuses_pods_without(
    monkeypatch: pytest.MonkeyPatch, example: str, policies: list[Object], pod: Object, refused: bool
) -> None:
    there = {
        "/apis/security.istio.io/v1/peerauthentications": policies,
        "/api/v1/namespaces/wookie/pods": [{"metadata": pod}],
    }
    monkeypatch.setattr("dcmesh.kube.read_rights.Allowed.list", lambda _, path: there[path])
    settings = Settings.model_validate(changed(example, {}))
    found = [*shut_out(Allowed(ApiClient()), settings.sites[0], "sites[0]", plan_of(settings, {}).site("dc1"))]
    advice = "is for pods that istio-system/all makes STRICT in dc1: while they lose their sidecars one after the "
    assert [line.line().startswith(f"sites[0].workloads[0].sidecar: false {advice}") for line in found] == (
        [True] if refused else []
    )
