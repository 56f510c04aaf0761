"""An import in use whose export changes its termination, judged by the stack's state."""

from typing import Any

import pytest

from dcmesh.model.plan import Plan, plan_of
from dcmesh.model.settings import Settings
from dcmesh.preflight.termination_changes import changed, replaced
from dcmesh.sites_in_state import SiteInState
from tests.unit.conftest import stack_dev
from tests.unit.engine import Engine
from tests.unit.program import imported, run_program
from tests.unit.test_gateway_stacks import stack as by_gateway
from tests.unit.test_ingress_stacks import stack as at_ingress


def state_of(raw: dict[str, Any]) -> SiteInState:
    """Return dc2's part of the state after an `up`."""
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


# --- exports ---------------------------------------------------------------------------------------------------------

STACKS = {"pod": stack_dev, "gateway": by_gateway, "ingress": at_ingress}


@pytest.fixture(scope="module")
def exporters() -> dict[str, SiteInState]:
    """dc1's part of the state after an `up`, by termination."""
    found = dict[str, SiteInState]()
    for termination, stack in STACKS.items():
        engine = run_program(Engine(), stack())
        objects = {f"urn:pulumi:s::p::t::{of.name}": of.object for of in engine.in_kubernetes()}
        found[termination] = SiteInState(identity="uid", kubeconfig="", objects=objects)
    return found


@pytest.mark.parametrize(("before", "now"), [(a, b) for a in STACKS for b in STACKS])
def test_an_export_neither_goes_to_ingress_ports_nor_leaves_them_in_one_step(
    exporters: dict[str, SiteInState], before: str, now: str
) -> None:
    """Its pods would have sidecars for one termination and policies for the other. Other changes work as before."""
    found = [of.line() for of in replaced("sites[0]", planned(STACKS[now]()).site("dc1"), exporters[before])]
    if before == now or "ingress" not in (before, now):
        assert found == []
    else:
        (line,) = found
        assert line.startswith(f'sites[0].exports[0].termination: "{now}" had its TLS end otherwise')
        assert f"(termination: {before})" in line


def test_a_site_that_was_never_there_has_no_former_objects() -> None:
    assert list(replaced("sites[0]", planned(at_ingress()).site("dc1"), None)) == []
