"""EgressGateway: only probes get in, until an import lets clients in."""

import pulumi
import pulumi_kubernetes as k8s

from components.mesh.egress_gateway import (
    EgressGateway,
    EgressGatewayArgs,
    closed,
    connections,
    egress_values,
    whoever_comes,
)
from components.mesh.istio import Charts
from tests.unit.engine import Engine

LABELS = {"app": "dcmesh-egress", "istio": "dcmesh-egress"}


def test_it_is_closed_but_for_health_statistics_and_its_own_namespaces_probes() -> None:
    spec = closed()
    assert (spec["podSelector"], spec["policyTypes"]) == ({"matchLabels": LABELS}, ["Ingress"])
    everybody, own = spec["ingress"]
    assert {part["port"] for part in everybody["ports"]} == {15020, 15021, 15090}
    assert "from" not in everybody
    assert own == {
        "from": [{"podSelector": {"matchLabels": LABELS}}, {"podSelector": {"matchLabels": {"app": "dcmesh-probe"}}}]
    }


def test_a_mesh_that_allows_nothing_lets_its_clients_in_and_no_import_changes_that() -> None:
    """Envoy closes all connections of a workload whose policies change.

    So no policy may name things that come and go.
    """
    assert whoever_comes() == {"selector": {"matchLabels": LABELS}, "action": "ALLOW", "rules": [{}]}


def test_a_client_that_has_gone_silent_is_given_up_at_every_port() -> None:
    (patch,) = [one for one in connections()["configPatches"] if one["applyTo"] == "LISTENER"]
    assert patch["match"] == {"context": "GATEWAY"}
    options = {(one["level"], one["name"]): one["int_value"] for one in patch["patch"]["value"]["socket_options"]}
    assert options[1, 9] == 1, "SO_KEEPALIVE"
    assert options[6, 4] + options[6, 5] * options[6, 6] <= 60
    assert set(patch["patch"]["value"]) == {"socket_options"}


def test_two_pods_one_of_which_stays() -> None:
    values = egress_values(account="egress", revision=None, pull_secrets=[])
    assert (values["replicaCount"], values["podDisruptionBudget"]) == (2, {"minAvailable": 1})
    assert values["labels"] == LABELS
    assert values["serviceAccount"] == {"name": "egress"}
    assert values["service"] == {"type": "None"}
    assert values["env"] == {"ISTIO_META_IDLE_TIMEOUT": "0s"}


def test_its_fence_comes_before_its_pods(engine: Engine) -> None:
    def program() -> None:
        args = EgressGatewayArgs(
            charts=Charts(version="1.31.0", repository="./charts"),
            namespace="out",
            account="egress",
            after=[k8s.apps.v1.Deployment("istiod")],
            revision="stable",
            values={"resources": {"limits": {"memory": "1Gi"}}},
        )
        EgressGateway("dc2-egress.out", args, pulumi.ResourceOptions(provider=k8s.Provider("dc2")))

    engine.run(program)
    release = engine.one("Release")
    assert release.object == ("out", "dcmesh-egress")
    assert (release.inputs["values"]["revision"], release.inputs["values"]["replicaCount"]) == ("stable", 2)
    assert release.inputs["values"]["resources"] == {"limits": {"memory": "1Gi"}}
    fence = engine.kind("NetworkPolicy", "AuthorizationPolicy", "EnvoyFilter")
    assert len(fence) == 3
    assert {part.object for part in fence} == {("out", "dcmesh-egress")}
    assert {"istiod", "dc2-egress.out-namespace", *(part.name for part in fence)} <= engine.before(release.name)
