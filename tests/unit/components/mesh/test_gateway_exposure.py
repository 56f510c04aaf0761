"""What each platform is told about the gateway's Service. test_gateway.py tests that the Service gets it."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest

from components.mesh.gateway_exposure import PLATFORMS, ExposureArgs, service_annotations, service_spec
from dcmesh.model.gateway import Exposure

SELECTOR = {"app": "gateway"}
EXPOSURES = get_args(Exposure)
BALANCED = [exposure for exposure in EXPOSURES if exposure != "nodeport"]

AWS, GCP, AZURE = "service.beta.kubernetes.io/aws-", ".gke.io/", "service.beta.kubernetes.io/azure-"

# The annotation that keeps a load balancer off the internet, from each platform's documentation.
INTERNAL = {
    "aws-nlb-internal": ("service.beta.kubernetes.io/aws-load-balancer-scheme", "internal"),
    "gcp-internal": ("networking.gke.io/load-balancer-type", "Internal"),
    "azure-internal": ("service.beta.kubernetes.io/azure-load-balancer-internal", "true"),
}


def spec(exposure: Exposure = "load-balancer", **wishes: Any) -> dict[str, Any]:
    return service_spec(ExposureArgs(exposure=exposure, **wishes), SELECTOR)


def annotations(exposure: Exposure, **wishes: Any) -> dict[str, str]:
    return service_annotations(ExposureArgs(exposure=exposure, **wishes))


def values_in(tree: Any) -> Iterator[Any]:
    """Yield every scalar value in a tree."""
    if isinstance(tree, dict | list):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from values_in(part)
    else:
        yield tree


def test_every_exposure_has_a_platform_and_names_its_source() -> None:
    assert set(PLATFORMS) == set(EXPOSURES)
    assert all(platform.source.startswith("https://") for platform in PLATFORMS.values())


def test_every_internal_variant_is_looked_at() -> None:
    assert set(INTERNAL) == {exposure for exposure in EXPOSURES if exposure.endswith("-internal")}


@pytest.mark.parametrize("exposure", INTERNAL)
def test_internal_variant_says_so_in_its_platforms_words_and_the_other_does_not(exposure: Exposure) -> None:
    key, value = INTERNAL[exposure]
    public: Any = exposure.removesuffix("-internal")
    assert annotations(exposure)[key] == value
    assert annotations(public).get(key) != value


@pytest.mark.parametrize("exposure", [exposure for exposure in EXPOSURES if exposure not in INTERNAL])
def test_nothing_else_is_internal(exposure: Exposure) -> None:
    said = annotations(exposure)
    assert not [key for key, value in INTERNAL.values() if said.get(key) == value]


@pytest.mark.parametrize(
    ("exposures", "domains"),
    [
        (("aws-nlb", "aws-nlb-internal"), (AWS,)),
        (("gcp", "gcp-internal"), (GCP, "cloud.google.com/")),
        (("azure", "azure-internal"), (AZURE,)),
        (("load-balancer", "metallb", "nodeport"), ()),
    ],
)
def test_each_platform_is_spoken_to_in_its_own_words(exposures: list[Exposure], domains: tuple[str, ...]) -> None:
    for exposure in exposures:
        assert not [key for key in annotations(exposure) if not any(domain in key for domain in domains)]
        assert bool(annotations(exposure)) is bool(domains)


@pytest.mark.parametrize("exposure", EXPOSURES)
def test_annotations_are_text(exposure: Exposure) -> None:
    """Kubernetes refuses a bool or a number there."""
    assert {type(value) for value in annotations(exposure).values()} <= {str}


@pytest.mark.parametrize("exposure", ["aws-nlb", "aws-nlb-internal"])
def test_aws_makes_an_nlb_by_its_controller(exposure: Exposure) -> None:
    """`nlb` would select the in-tree controller, which knows none of the other annotations.

    An NLB does not touch TLS.
    """
    assert annotations(exposure)["service.beta.kubernetes.io/aws-load-balancer-type"] == "external"


def test_other_regions_reach_an_internal_gateway_of_gcp() -> None:
    said = annotations("gcp-internal")
    assert said["networking.gke.io/internal-load-balancer-allow-global-access"] == "true"


@pytest.mark.parametrize("exposure", ["azure", "azure-internal"])
def test_azure_keeps_a_quiet_connection_longer_than_by_default(exposure: Exposure) -> None:
    """Azure's default is 4 minutes."""
    assert int(annotations(exposure)["service.beta.kubernetes.io/azure-load-balancer-tcp-idle-timeout"]) > 4


@pytest.mark.parametrize("exposure", EXPOSURES)
def test_type(exposure: Exposure) -> None:
    assert spec(exposure)["type"] == ("NodePort" if exposure == "nodeport" else "LoadBalancer")


@pytest.mark.parametrize("exposure", EXPOSURES)
def test_service_selects_the_gateway(exposure: Exposure) -> None:
    assert spec(exposure)["selector"] == SELECTOR


@pytest.mark.parametrize("exposure", EXPOSURES)
def test_traffic_goes_straight_to_a_node_with_a_gateway_where_a_balancer_knows_which(exposure: Exposure) -> None:
    """Whether an unknown load balancer knows is unknown. A client of a node port has chosen its node itself."""
    policy = "Cluster" if exposure in ("load-balancer", "nodeport") else "Local"
    assert spec(exposure)["externalTrafficPolicy"] == policy


@pytest.mark.parametrize("exposure", BALANCED)
def test_a_balancer_has_the_port_and_its_health_and_takes_no_port_of_the_nodes(exposure: Exposure) -> None:
    ports = spec(exposure, node_port=31443)["ports"]
    assert {port["port"] for port in ports} == {15443, 15021}
    assert all(port["targetPort"] == port["port"] and "nodePort" not in port for port in ports)


@pytest.mark.parametrize(("wish", "node_port"), [({"node_port": 31443}, {"nodePort": 31443}), ({}, {})])
def test_a_node_port_leads_to_the_gateway_alone(wish: dict[str, int], node_port: dict[str, int]) -> None:
    """Only a load balancer needs the port for health checks."""
    (port,) = spec("nodeport", **wish)["ports"]
    assert port == {"name": "tls", "port": 15443, "targetPort": 15443, **node_port}


@pytest.mark.parametrize("exposure", EXPOSURES)
def test_what_is_not_wished_leaves_no_key(exposure: Exposure) -> None:
    assert spec(exposure).keys() == {"selector", "externalTrafficPolicy", "type", "ports"}
    assert None not in values_in(spec(exposure))


@pytest.mark.parametrize("exposure", BALANCED)
@pytest.mark.parametrize(
    ("wish", "key", "value"),
    [
        ({"load_balancer_ip": "192.0.2.1"}, "loadBalancerIP", "192.0.2.1"),
        ({"load_balancer_class": "example.com/lb"}, "loadBalancerClass", "example.com/lb"),
        (
            {"source_ranges": ("192.0.2.0/24", "198.51.100.0/24")},
            "loadBalancerSourceRanges",
            ["192.0.2.0/24", "198.51.100.0/24"],
        ),
    ],
)
def test_a_wish_arrives_and_changes_nothing_else(
    exposure: Exposure, wish: dict[str, Any], key: str, value: object
) -> None:
    assert spec(exposure, **wish) == spec(exposure) | {key: value}


@pytest.mark.parametrize("exposure", EXPOSURES)
def test_annotations_of_the_user_win_and_take_no_other_away(exposure: Exposure) -> None:
    own = annotations(exposure)
    wished = {"example.com/team": "data", **dict.fromkeys(list(own)[:1], "mine")}
    assert annotations(exposure, annotations=wished) == own | wished
    assert annotations(exposure) == own
