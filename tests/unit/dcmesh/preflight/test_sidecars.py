"""Databases that lose their sidecars: not in the `up` that changes their exports and imports."""

from dcmesh.model.plan import plan_of
from dcmesh.model.settings import Settings
from dcmesh.preflight.sidecars import kept
from tests.unit.configurations import changed


def lines(example: str, meshed: set[str]) -> list[str]:
    settings = Settings.model_validate(changed(example, {}))
    plan = plan_of(settings, {}, None, {"dc1": meshed})
    return [remark.line() for remark in kept(settings.sites[0], "sites[0]", plan.site("dc1"))]


def test_it_is_said_that_the_next_up_restarts_them() -> None:
    (line,) = lines("mariadb-gateways", {"wookie"})
    assert line.startswith("sites[0].workloads[0].sidecar: false holds from the next `pulumi up` on, which restarts ")


def test_nothing_is_said_of_those_that_need_them_or_have_none() -> None:
    assert lines("mariadb-gateways", set()) == []
    assert lines("mariadb", {"wookie"}) == []
