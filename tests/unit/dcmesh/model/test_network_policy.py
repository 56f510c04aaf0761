"""NetworkPolicies: who is let in, for each form that a rule can have."""

from typing import Any

import pytest

from dcmesh.model.network_policy import Caller, shutting_out

POD: dict[str, Any] = {
    "metadata": {"namespace": "shop", "name": "db-0", "labels": {"app": "db", "tier": "data"}},
    "spec": {"containers": [{"name": "db", "ports": [{"name": "mysql", "containerPort": 3306}]}]},
}
CALLER = Caller(namespace="gw", namespace_labels={"kubernetes.io/metadata.name": "gw"}, labels={"app": "gateway"})
GW = {"matchLabels": {"kubernetes.io/metadata.name": "gw"}}


def policy(*ingress: dict[str, Any], **spec: Any) -> dict[str, Any]:
    spec = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": list(ingress)} | spec
    return {"metadata": {"namespace": "shop", "name": "one"}, "spec": spec}


def expression(operator: str, *values: str, key: str = "tier") -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"from": [{"namespaceSelector": {}}]},
        {"from": [{"namespaceSelector": GW}], "ports": [{"port": 3306}]},
        {"from": [{"namespaceSelector": GW, "podSelector": {"matchLabels": {"app": "gateway"}}}]},
        {"from": [{"podSelector": {}}, {"namespaceSelector": GW}]},
        {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
        {"ports": [{"port": "mysql"}]},
        {"ports": [{"port": 3000, "endPort": 4000}]},
        {"ports": [{"port": 1}, {}]},
        {"from": [{"namespaceSelector": expression("In", "gw", key="kubernetes.io/metadata.name")}]},
        {"from": [{"namespaceSelector": expression("NotIn", "other", key="team")}]},
        {"from": [{"namespaceSelector": expression("DoesNotExist", key="team")}]},
    ],
)
def test_a_rule_lets_in(rule: dict[str, Any]) -> None:
    assert shutting_out([policy(), policy(rule)], POD, CALLER, 3306) == []


@pytest.mark.parametrize(
    "rule",
    [
        {"from": [{"podSelector": {}}]},
        {"from": [{"namespaceSelector": {"matchLabels": {"team": "x"}}}]},
        {"from": [{"namespaceSelector": GW, "podSelector": {"matchLabels": {"app": "other"}}}]},
        {"ports": [{"port": 3307}]},
        {"ports": [{"port": "other"}]},
        {"ports": [{"port": 3306, "protocol": "UDP"}]},
        {"ports": [{"port": 3000, "endPort": 3305}]},
        {"from": [{"namespaceSelector": expression("Exists", key="team")}]},
    ],
)
def test_a_rule_does_not_let_in(rule: dict[str, Any]) -> None:
    assert shutting_out([policy(rule)], POD, CALLER, 3306) == ["shop/one"]


@pytest.mark.parametrize(
    "other",
    [
        policy(podSelector={"matchLabels": {"app": "web"}}),
        policy(podSelector=expression("NotIn", "data")),
        policy(policyTypes=["Egress"]),
    ],
)
def test_a_policy_that_does_not_hold_for_the_pod_shuts_nobody_out(other: dict[str, Any]) -> None:
    assert shutting_out([other], POD, CALLER, 3306) == []
