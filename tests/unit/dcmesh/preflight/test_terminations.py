"""An import in use whose export changes its termination, by what the stack's state has."""

from typing import Any

import pytest

from dcmesh.model.plan import Plan, plan_of
from dcmesh.model.settings import Settings
from dcmesh.preflight.terminations import changed
from dcmesh.sites_in_state import SiteInState
from tests.unit.conftest import stack_dev
from tests.unit.engine import Engine
from tests.unit.program import imported, run_program
from tests.unit.test_gateway_stacks import stack as by_gateway


def state_of(raw: dict[str, Any]) -> SiteInState:
    """Return what the state has of dc2 after an `up`."""
    engine = run_program(Engine(), raw)
    made = [*imported(engine, "ServiceEntry"), *imported(engine, "DestinationRule")]
    objects = {f"urn:pulumi:s::p::t::{of.name}": of.object for of in made}
    return SiteInState(identity="uid", kubeconfig="", objects=objects)


def planned(raw: dict[str, Any]) -> Plan:
    return plan_of(Settings.model_validate(raw), {})


@pytest.fixture(scope="module")
def states() -> dict[str, SiteInState]:
    return {"pod": state_of(stack_dev()), "gateway": state_of(by_gateway())}


@pytest.mark.parametrize(("before", "now"), [("pod", "gateway"), ("gateway", "pod")])
def test_a_change_is_told_either_way(states: dict[str, SiteInState], before: str, now: str) -> None:
    plan = planned(stack_dev() if now == "pod" else by_gateway()).site("dc2")
    (found,) = changed("sites[1]", plan, states[before])
    assert found.line().startswith('sites[1].imports[0].export: "hello" has another termination than at the last')
    assert list(changed("sites[1]", plan, states[now])) == []
    assert list(changed("sites[1]", plan, None)) == []


def test_a_change_is_told_whatever_the_export_was_called(states: dict[str, SiteInState]) -> None:
    renamed = by_gateway("greetings")
    (found,) = changed("sites[1]", planned(renamed).site("dc2"), states["pod"])
    assert found.line().startswith('sites[1].imports[0].export: "greetings" has another termination')
    assert list(changed("sites[1]", planned(renamed).site("dc2"), states["gateway"])) == []
