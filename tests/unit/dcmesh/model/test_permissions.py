"""The rights that dcmesh needs."""

import pytest

from dcmesh.model.permissions import ANY_ISTIO, OWN_ISTIO, Right, Rule, rights


@pytest.mark.parametrize("rules", [ANY_ISTIO, [*ANY_ISTIO, *OWN_ISTIO]], ids=["any Istio", "its own Istio"])
def test_what_is_applied_may_be_created(rules: list[Rule]) -> None:
    """A server-side apply that makes an object is authorised for `create`, too. An audit log shows `patch` alone."""
    given = rights(rules)
    applied = {right for right in given if right.verb == "patch"}
    assert applied
    assert {Right(of.group, of.resource, "create") for of in applied} <= given
