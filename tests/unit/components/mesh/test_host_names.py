"""HostNames: names for pods of another site, in a namespace where nothing may run."""

import pulumi
import pulumi_kubernetes as k8s
import pytest

from components.mesh.host_names import HostNames, HostNamesArgs, NamedHost, headless, slice_of
from dcmesh.model.egress import name_for
from tests.unit.engine import Engine

DB = [f"db-{n}.db.wookie.svc.cluster.local" for n in range(2)]
WEB = "web-0.web.wookie.svc.cluster.local"


@pytest.mark.parametrize(("address", "kind"), [("10.43.0.9", "IPv4"), ("fd00::9", "IPv6")])
def test_a_host_has_the_address_of_its_service(address: str, kind: str) -> None:
    part = slice_of(DB[0], [3306, 33060], address)
    assert [port["port"] for port in part["ports"]] == [3306, 33060]
    assert part["addressType"] == kind
    assert part["endpoints"] == [{"addresses": [address], "hostname": "db-0", "conditions": {"ready": True}}]


def test_a_preview_does_not_know_the_address(engine: Engine) -> None:
    """Kubernetes assigns the Service's address. In a preview `clusterIP` is missing, and not an unknown value."""

    def program() -> None:
        host = NamedHost(host=DB[0], ports=[3306], address=pulumi.Output.from_input(None))
        HostNames(
            "dc2-hosts.wookie",
            HostNamesArgs(namespace="wookie", hosts=[host]),
            pulumi.ResourceOptions(provider=k8s.Provider("dc2")),
        )

    engine.run(program)
    assert engine.one("EndpointSlice").inputs["endpoints"] == []


def test_a_service_of_several_ports_has_each_once() -> None:
    spec = headless([3306, 33060, 3306])
    assert spec["clusterIP"] == "None"
    assert [port["port"] for port in spec["ports"]] == [3306, 33060]
    assert "selector" not in spec


def test_objects(engine: Engine) -> None:
    def program() -> None:
        hosts = [
            NamedHost(host=host, ports=[3306], address=pulumi.Output.from_input(f"10.43.0.{n}"))
            for n, host in enumerate([*DB, WEB])
        ]
        HostNames(
            "dc2-hosts.wookie",
            HostNamesArgs(namespace="wookie", hosts=hosts),
            pulumi.ResourceOptions(provider=k8s.Provider("dc2")),
        )

    engine.run(program)
    assert {service.object for service in engine.kind("Service")} == {("wookie", "db"), ("wookie", "web")}
    slices = {part.object[1]: part.inputs for part in engine.kind("EndpointSlice")}
    assert set(slices) == {name_for(host) for host in (*DB, WEB)}
    assert slices[name_for(WEB)]["metadata"]["labels"] == {
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "dcmesh",
    }
    assert slices[name_for(DB[1])]["endpoints"][0]["addresses"] == ["10.43.0.1"]
    quota = engine.one("ResourceQuota")
    assert quota.spec == {"hard": {"pods": "0", "persistentvolumeclaims": "0"}}
    for one in engine.kind("Service", "EndpointSlice"):
        assert {quota.name, "dc2-hosts.wookie-namespace"} <= engine.before(one.name)
