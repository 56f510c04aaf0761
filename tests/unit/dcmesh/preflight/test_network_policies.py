"""NetworkPolicies that keep a gateway, or consumers, from the other end of a link."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from dcmesh.config.errors import Finding, Remark
from dcmesh.kube.api import ApiClient
from dcmesh.kube.read_rights import Allowed
from dcmesh.model.plan import GatewayPlan
from dcmesh.preflight import network_policies
from dcmesh.preflight.missing_rights import unseen
from tests.unit.configurations import planned
from tests.unit.servers import KubernetesAPI


def put(server: KubernetesAPI, namespace: str, **spec: Any) -> None:
    found = {"metadata": {"name": "closed", "namespace": namespace}, "spec": {"podSelector": {}, **spec}}
    server.objects[f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"] = {"items": [found]}


def lines(found: Iterator[Finding]) -> list[str]:
    return [one.line() for one in found]


BY_ADDRESS = GatewayPlan(advertised=True, port=15443, addresses=("192.0.2.1", "2001:db8::1", "gateway.example"))
ANYWHERE = {"ipBlock": {"cidr": "0.0.0.0/0"}}


@pytest.mark.parametrize(
    ("ingress", "shut"),
    [
        ([], True),
        ([{"from": [{"namespaceSelector": {}}]}], True),  # another site is in no namespace
        ([{"from": [ANYWHERE], "ports": [{"port": 15443}]}], False),
        ([{"ports": [{"port": 15443}]}], False),
        ([{"ports": [{"port": 15021}]}], True),
    ],
)
def test_what_keeps_other_sites_from_the_gateway(
    server: KubernetesAPI, api: ApiClient, ingress: list[Any], shut: bool
) -> None:
    plan = planned("existing-database", "dc1")
    assert lines(network_policies.shut_gateway(Allowed(api), "sites[0]", plan, "dcmesh-gateway")) == []
    put(server, "dcmesh-gateway", ingress=ingress)
    found = lines(network_policies.shut_gateway(Allowed(api), "sites[0]", plan, "dcmesh-gateway"))
    assert len(found) == shut
    said = "lets nobody of another site in there: add to its `ingress` the rule `ports: [{port: 15443}]`"
    assert all(said in line for line in found)


@pytest.mark.parametrize(("example", "namespace"), [("mariadb-egress", "dcmesh-egress"), ("mariadb", "wookie-dr")])
def test_what_keeps_consumers_from_the_other_sites_gateway(
    server: KubernetesAPI, api: ApiClient, example: str, namespace: str
) -> None:
    plan = planned(example, "dc2")
    assert lines(network_policies.shut_in(Allowed(api), "sites[1]", plan)) == []
    dns = {"to": [{"namespaceSelector": {}}], "ports": [{"port": 53, "protocol": "UDP"}]}
    put(server, namespace, policyTypes=["Egress"], egress=[dns])
    found = lines(network_policies.shut_in(Allowed(api), "sites[1]", plan))
    assert found
    assert "has the NetworkPolicy" in found[0]
    assert "ports: [{port: 15443}]`" in found[0]
    addressed = replace(plan, imports=tuple(replace(of, gateway=BY_ADDRESS) for of in plan.imports))
    (told, *_) = lines(network_policies.shut_in(Allowed(api), "sites[1]", addressed))
    blocks = "{ipBlock: {cidr: 192.0.2.1/32}}, {ipBlock: {cidr: 2001:db8::1/128}}"
    assert f"add to its egress `to: [{blocks}], ports: [{{port: 15443}}]`" in told
    put(server, namespace, policyTypes=["Egress"], egress=[dns, {"to": [ANYWHERE], "ports": [{"port": 15443}]}])
    assert lines(network_policies.shut_in(Allowed(api), "sites[1]", plan)) == []


def test_policies_that_may_not_be_read_are_told(server: KubernetesAPI, api: ApiClient) -> None:
    server.objects["/apis/networking.k8s.io/v1/namespaces/dcmesh-gateway/networkpolicies"] = 403
    allowed, plan = Allowed(api), planned("existing-database", "dc1")
    found = [
        *network_policies.shut_gateway(allowed, "sites[0]", plan, "dcmesh-gateway"),
        *unseen(allowed, "sites[0]", "dc1"),
    ]
    assert [(type(one), one.path) for one in found] == [(Remark, "sites[0].name")]
