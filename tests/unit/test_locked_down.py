"""The NetworkPolicies of docs/locked-down.md: they admit what a link needs, and refuse the rest."""

import re
from typing import Any

import pytest
import yaml

from components.mesh.egress_gateway import LABELS, closed
from dcmesh.model.network_policy import NAMESPACE_NAME, OUTSIDE, Caller, keeping_in, shutting_out
from tests.unit.configurations import ROOT

FENCES = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/locked-down.md").read_text(), re.DOTALL)
POLICIES: list[dict[str, Any]] = [of for text in FENCES if (of := yaml.safe_load(text))["kind"] == "NetworkPolicy"]
OWN = {"metadata": {"name": "dcmesh-egress-own", "namespace": "dcmesh-egress"}, "spec": closed()}
"""The policy that dcmesh itself makes for an egress gateway without clients."""


def pods_of(namespace: str, app: str) -> Caller:
    """Return pods of a namespace. Those of an egress gateway have the gateway's labels."""
    pod_labels = LABELS if namespace == "dcmesh-egress" else {"app": app}
    return Caller(namespace=namespace, namespace_labels={NAMESPACE_NAME: namespace}, labels=pod_labels)


def closing(source: str, target: str, port: int, app: str = "db") -> list[str]:
    """Return the policies that separate the pods of a namespace from those of another. Empty means the other site."""
    caller = pods_of(source, app) if source else OUTSIDE
    there = pods_of(target, app) if target else OUTSIDE
    of = {name: [one for one in [*POLICIES, OWN] if one["metadata"]["namespace"] == name] for name in (source, target)}
    pod = {"metadata": {"namespace": target, "labels": dict(there.labels)}, "spec": {"containers": []}}
    shut = keeping_in(of[source], caller, there, port) if source else []
    return shut + (shutting_out(of[target], pod, caller, port) if target else [])


@pytest.mark.parametrize(
    ("source", "target", "port"),
    [
        ("", "dcmesh-gateway", 15443),
        ("dcmesh-gateway", "wookie", 3306),
        ("dcmesh-gateway", "istio-system", 15012),
        ("dcmesh-gateway", "kube-system", 53),
        ("dcmesh-egress", "", 15443),
        ("dcmesh-egress", "dcmesh-egress", 20000),
        ("dcmesh-egress", "istio-system", 15012),
        ("dcmesh-egress", "kube-system", 53),
        ("wookie-dr", "kube-system", 53),
    ],
)
def test_what_a_link_needs_is_let_through(source: str, target: str, port: int) -> None:
    assert closing(source, target, port) == []


@pytest.mark.parametrize(
    ("source", "target", "port"),
    [
        ("", "dcmesh-gateway", 22),
        ("dcmesh-gateway", "wookie", 22),
        ("other", "wookie", 3306),
        ("dcmesh-gateway", "other", 3306),
        ("dcmesh-egress", "", 443),
        ("wookie-dr", "other", 3306),
    ],
)
def test_all_else_is_shut(source: str, target: str, port: int) -> None:
    assert closing(source, target, port) != []


def test_others_in_a_databases_namespace_are_left_alone() -> None:
    """Copying the policy into a namespace that had none must not cut off an operator or an application."""
    assert closing("other", "wookie", 8080, app="another") == []
    assert closing("wookie-dr", "other", 8080, app="another") == []


def test_clients_are_let_out_to_the_egress_gateway_and_in_by_dcmeshs_own_policy_alone() -> None:
    assert closing("wookie-dr", "dcmesh-egress", 20000) == ["dcmesh-egress/dcmesh-egress-own"]
