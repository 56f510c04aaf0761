"""EastWestGateway: Helm values, and the addresses of its Service. test_program.py tests its wiring."""

import socket
from collections.abc import Callable, Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest

from components.mesh.gateway import (
    GATEWAY_LABELS,
    EastWestGateway,
    EastWestGatewayArgs,
    gateway_values,
    give_up,
    labels_in,
)
from components.mesh.gateway_exposure import ExposureArgs, service_annotations
from components.mesh.istio import Charts
from dcmesh.model.gateway import GATEWAY_NAMESPACE
from tests.unit.engine import Engine


def values_of(*, replicas: int = 1, revision: str | None = None, pull_secrets: Sequence[str] = ()) -> dict[str, Any]:
    return gateway_values(labels=GATEWAY_LABELS, replicas=replicas, revision=revision, pull_secrets=pull_secrets)


@pytest.mark.parametrize(("replicas", "disruption_budget"), [(1, None), (2, {"minAvailable": 1})])
def test_gateway_has_a_disruption_budget_if_it_can_keep_one(
    replicas: int, disruption_budget: dict[str, int] | None
) -> None:
    values = values_of(replicas=replicas)
    assert values["replicaCount"] == replicas
    assert values["autoscaling"] == {"enabled": False}
    assert values.get("podDisruptionBudget") == disruption_budget


def test_gateways_stand_apart_from_their_like() -> None:
    constraints = values_of(replicas=2)["topologySpreadConstraints"]
    assert {constraint["topologyKey"] for constraint in constraints} == {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    }
    assert all(constraint["labelSelector"] == {"matchLabels": GATEWAY_LABELS} for constraint in constraints)


@pytest.mark.parametrize(
    ("wish", "values"),
    [
        ({"revision": "stable"}, {"revision": "stable"}),
        ({"pull_secrets": ["one", "two"]}, {"imagePullSecrets": [{"name": "one"}, {"name": "two"}]}),
    ],
)
def test_what_is_wished_reaches_the_chart_and_nothing_else_does(wish: dict[str, Any], values: dict[str, Any]) -> None:
    assert values_of(**wish) == values_of() | values
    assert not values.keys() & values_of().keys()


def test_chart_opens_nothing_of_its_own() -> None:
    """The chart's Service is left out, and so is `networkGateway`, which would expose istiod."""
    values = values_of()
    assert values["service"] == {"type": "None"}
    assert "networkGateway" not in values


def program(namespace: str = GATEWAY_NAMESPACE, **wishes: Any) -> Callable[[], None]:
    def create() -> None:
        istiod = k8s.apps.v1.Deployment("istiod")
        gateway = EastWestGateway(
            "dc1-gateway",
            EastWestGatewayArgs(
                charts=Charts(version="1.31.0", repository="./charts"),
                namespace=namespace,
                nodes=["node-1"],
                after=[istiod],
                values={"replicaCount": 7},
                **wishes,
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
        ([{}, {"ip": "192.0.2.1"}], ["192.0.2.1"]),
    ],
)
def test_addresses_are_those_of_the_service(ingress: list[dict[str, str]], addresses: list[str]) -> None:
    assert Engine(ingress).run(program()).outputs == {"addresses": addresses}


@pytest.mark.parametrize("ingress", [[], [{}]], ids=["none", "one that says nothing"])
def test_a_service_without_address_fails_with_what_to_do(ingress: list[dict[str, str]]) -> None:
    with pytest.raises(pulumi.RunError, match=r"istio-eastwestgateway has no external address.*set gateway\.advertise"):
        Engine(ingress).run(program())


def test_advertised_addresses_replace_those_of_the_service() -> None:
    advertised = program(advertise=["203.0.113.5"])
    assert Engine(ingress=[]).run(advertised).outputs == {"addresses": ["203.0.113.5"]}


def test_pulumi_waits_for_no_address_that_nobody_is_told_of() -> None:
    """There may be no load balancer to assign one."""
    engine = Engine(ingress=[]).run(program(advertise=["203.0.113.5"]))
    assert engine.one("Service").inputs["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true"}


def test_a_node_port_has_no_address_to_find_out() -> None:
    exposure = ExposureArgs(exposure="nodeport", node_port=31443)
    with pytest.raises(pulumi.RunError, match=r"set gateway\.advertise"):
        Engine().run(program(exposure=exposure))
    engine = Engine().run(program(exposure=exposure, advertise=["192.0.2.1", "192.0.2.2"]))
    assert engine.outputs == {"addresses": ["192.0.2.1", "192.0.2.2"]}
    assert not engine.one("Service").inputs["metadata"].get("annotations")


def test_exposure_reaches_the_service(engine: Engine) -> None:
    exposure = ExposureArgs(
        exposure="aws-nlb-internal", annotations={"team": "data"}, source_ranges=("192.0.2.0/24", "198.51.100.0/24")
    )
    service = engine.run(program(exposure=exposure)).one("Service")
    assert service_annotations(exposure).items() <= service.inputs["metadata"]["annotations"].items()
    assert service.spec["loadBalancerSourceRanges"] == ["192.0.2.0/24", "198.51.100.0/24"]
    assert service.spec["externalTrafficPolicy"] == "Local"


@pytest.mark.parametrize(
    ("exposure", "awaited"),
    [
        (ExposureArgs(), "{.status.loadBalancer.ingress[0]}"),
        (ExposureArgs(load_balancer_ip="192.0.2.5"), "{.status.loadBalancer.ingress[0].ip}=192.0.2.5"),
    ],
)
def test_pulumi_waits_for_the_address_alone_and_for_the_one_that_is_asked_for(
    engine: Engine, exposure: ExposureArgs, awaited: str
) -> None:
    """Otherwise it would wait for endpoints too, and accept the old address while that is still being changed."""
    service = engine.run(program(exposure=exposure)).one("Service")
    assert service.inputs["metadata"]["annotations"] == {"pulumi.com/waitFor": f"jsonpath={awaited}"}


def test_wishes_reach_the_release(engine: Engine) -> None:
    values = engine.run(program(replicas=2, revision="stable", pull_secrets=["one"])).one("Release").inputs["values"]
    assert (values["revision"], values["imagePullSecrets"]) == ("stable", [{"name": "one"}])
    assert values["podDisruptionBudget"] == {"minAvailable": 1}


def test_release_waits_for_istiod(engine: Engine) -> None:
    assert "istiod" in engine.run(program()).before("dc1-gateway-release")


def test_values_of_the_configuration_come_last(engine: Engine) -> None:
    values = engine.run(program()).one("Release").inputs["values"]
    assert values["replicaCount"] == 7
    assert values["service"] == {"type": "None"}


@pytest.mark.parametrize(
    ("namespace", "istio"),
    [(GATEWAY_NAMESPACE, "dcmesh-gateway"), ("infra", "dcmesh-gateway"), ("istio-system", "eastwestgateway")],
)
def test_service_and_gateways_select_the_pods_that_the_chart_makes(engine: Engine, namespace: str, istio: str) -> None:
    """In Istio's namespace the selector is that of dcmesh 0.1.0, because a Deployment's selector cannot change."""
    engine.run(program(namespace))
    release, service = engine.one("Release"), engine.one("Service")
    assert release.object == service.object == (namespace, "istio-eastwestgateway")
    expected = {"app": "istio-eastwestgateway", "istio": istio}
    assert service.spec["selector"] == release.inputs["values"]["labels"] == labels_in(namespace) == expected


def test_it_has_a_namespace_of_its_own(engine: Engine) -> None:
    engine.run(program())
    assert engine.one("Namespace").object[1] == GATEWAY_NAMESPACE
    for part in ("release", "service", "give-up-silent-peers"):
        assert "dc1-gateway-namespace" in engine.before(f"dc1-gateway-{part}")


def test_istios_namespace_is_not_its_own(engine: Engine) -> None:
    assert engine.run(program("istio-system")).kind("Namespace") == []


def options_of(patch: dict[str, Any]) -> dict[tuple[int, int], int]:
    """Return the socket options of a patch, by level and name."""
    assert (patch["applyTo"], patch["match"]["listener"]) == ("LISTENER", {"portNumber": 15443})
    return {
        (option["level"], option["name"]): option["int_value"] for option in patch["patch"]["value"]["socket_options"]
    }


def test_silent_peers_are_given_up_where_other_sites_connect(engine: Engine) -> None:
    spec = engine.run(program()).one("EnvoyFilter").spec
    assert spec["workloadSelector"] == {"labels": GATEWAY_LABELS}
    everywhere, where_it_can = spec["configPatches"]
    assert options_of(everywhere)[socket.SOL_SOCKET, socket.SO_KEEPALIVE] == 1
    assert options_of(everywhere)[socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT] == 300_000
    assert options_of(where_it_can) == {
        (socket.IPPROTO_TCP, 44): 1000,
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT): 0,
    }
    assert where_it_can["match"]["proxy"] == {"metadata": {"NODE_NAME": "node-1"}}


def test_no_option_that_a_kernel_may_not_have_is_set_on_a_node_that_is_not_known() -> None:
    (everywhere,) = give_up(GATEWAY_LABELS, nodes=[])["configPatches"]
    assert (socket.IPPROTO_TCP, 44) not in options_of(everywhere)


def test_who_answers_is_not_given_up() -> None:
    """TCP_USER_TIMEOUT ends a connection whose other end accepts no data, even if it answers.

    So it is off where possible.
    """
    everywhere, where_it_can = map(options_of, give_up(GATEWAY_LABELS, nodes=["node-1"])["configPatches"])
    assert {**everywhere, **where_it_can}[socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT] == 0


def test_who_does_not_begin_tls_is_given_up() -> None:
    everywhere = give_up(GATEWAY_LABELS, nodes=[])["configPatches"][0]
    assert everywhere["patch"]["value"]["listener_filters_timeout"] == "5s"


def test_a_former_gateway_keeps_its_service_as_it_is(engine: Engine) -> None:
    """The gateway that replaces it may need its port or address."""
    assert list(engine.run(program(former=True)).one("Service").request.ignoreChanges) == ["metadata", "spec"]
