"""EastWestGateway: Helm values, and the addresses that its Service is given. How it is wired: test_program.py."""

from collections.abc import Callable, Sequence

import pulumi
import pulumi_kubernetes as k8s
import pytest

from components.gateway import EastWestGateway, EastWestGatewayArgs, gateway_values
from components.istio import Charts
from tests.unit.engine import Engine


@pytest.mark.parametrize(("replicas", "disruption_budget"), [(1, {}), (2, {"minAvailable": 1})])
def test_gateway_has_a_disruption_budget_if_it_can_keep_one(replicas: int, disruption_budget: dict[str, int]) -> None:
    values = gateway_values(replicas=replicas)
    assert values["replicaCount"] == replicas
    assert values["autoscaling"] == {"enabled": False}
    assert values["podDisruptionBudget"] == disruption_budget


def test_chart_opens_nothing_of_its_own() -> None:
    """Its Service is left out, and `networkGateway`, which would expose istiod."""
    values = gateway_values(replicas=1)
    assert values["service"] == {"type": "None"}
    assert "networkGateway" not in values


def program(advertise: Sequence[str] = ()) -> Callable[[], None]:
    def create() -> None:
        istiod = pulumi.ComponentResource("dcmesh:test:Istiod", "istiod")
        gateway = EastWestGateway(
            "dc1-gateway",
            EastWestGatewayArgs(
                charts=Charts(version="1.29.1", repository="./charts"),
                namespace="istio-system",
                control_plane=istiod,
                advertise=advertise,
                values={"replicaCount": 7},
            ),
            pulumi.ResourceOptions(provider=k8s.Provider("dc1")),
        )
        pulumi.export("addresses", gateway.addresses)

    return create


@pytest.mark.parametrize(
    ("ingress", "addresses"),
    [
        ([{"ip": "192.0.2.1"}], ["192.0.2.1"]),
        ([{"hostname": "lb.example.com"}], ["lb.example.com"]),
        ([{"ip": "192.0.2.1", "hostname": "lb.example.com"}], ["192.0.2.1"]),
        ([{"ip": "192.0.2.1"}, {"ip": "192.0.2.2"}], ["192.0.2.1", "192.0.2.2"]),
        ([{"ip": "192.0.2.1"}, {"hostname": "lb.example.com"}], ["192.0.2.1", "lb.example.com"]),
    ],
)
def test_addresses_are_those_of_the_service(ingress: list[dict[str, str]], addresses: list[str]) -> None:
    assert Engine(ingress).run(program()).outputs == {"addresses": addresses}


def test_a_service_without_address_fails_with_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"istio-eastwestgateway has no external address.*set gateway\.advertise"):
        Engine(ingress=[]).run(program())


def test_advertised_addresses_replace_those_of_the_service() -> None:
    assert Engine(ingress=[]).run(program(["203.0.113.5"])).outputs == {"addresses": ["203.0.113.5"]}


def test_values_of_the_configuration_come_last(engine: Engine) -> None:
    values = engine.run(program()).one("Release").inputs["values"]
    assert values["replicaCount"] == 7
    assert values["service"] == {"type": "None"}


def test_service_and_release_have_one_name_and_the_service_selects_by_it(engine: Engine) -> None:
    """The chart labels the pods with the release's name."""
    engine.run(program())
    release, service = engine.one("Release"), engine.one("Service")
    assert release.object == service.object == ("istio-system", "istio-eastwestgateway")
    assert service.spec["selector"] == {
        "app": release.inputs["name"],
        "istio": release.inputs["name"].removeprefix("istio-"),
    }
