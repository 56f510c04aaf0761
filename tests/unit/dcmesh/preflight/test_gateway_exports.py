"""Preflight of exports with termination at the gateway, against a fake of the cluster's API."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.mesh.gateway import labels_in
from dcmesh.model.gateway import GATEWAY_NAMESPACE
from dcmesh.model.istio import ISTIO_NAMESPACE
from dcmesh.preflight.gateway_exports import pod_labels
from dcmesh.preflight.selectors import POD_NAME
from dcmesh.sites_in_state import SiteInState
from tests.unit.configurations import put
from tests.unit.dcmesh.preflight.test_readiness import GOOD, MESH, UID, checked, look, mesh, outside
from tests.unit.servers import KubernetesAPI, kubernetes_api

SHOP = "/api/v1/namespaces/shop"
PODS, SERVICE = f"{SHOP}/pods", f"{SHOP}/services/db"
STATEFUL_SET = "/apis/apps/v1/namespaces/shop/statefulsets/db"
POLICIES = "/apis/security.istio.io/v1/authorizationpolicies"
NETWORKS = "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies"
GATEWAY = "cluster.local/ns/dcmesh-gateway/sa/istio-eastwestgateway"
AT = "sites[0].exports[0]"


def pod(name: str, *containers: str) -> dict[str, Any]:
    of = {"name": name, "namespace": "shop", "labels": {"app": "db", "pod": name, POD_NAME: name}}
    return {"metadata": of, "spec": {"containers": [{"name": container} for container in ("db", *containers)]}}


def policy(name: str, namespace: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def items(*of: dict[str, Any]) -> dict[str, Any]:
    return {"items": list(of)}


THERE: dict[str, Any] = {
    **GOOD,
    SHOP: {"metadata": {"labels": {}}},
    SERVICE: {"spec": {"clusterIP": "None", "selector": {"app": "db"}, "ports": [{"port": 3306}]}},
    STATEFUL_SET: {"spec": {"serviceName": "db", "replicas": 2}},
    PODS: items(pod("db-0"), pod("db-1"), pod("other-0", "istio-proxy")),
    POLICIES: items(),
    NETWORKS: items(),
}
"""A cluster with a database that has no sidecars, in a namespace that asks for none."""


@pytest.fixture
def cluster() -> Iterator[KubernetesAPI]:
    with kubernetes_api() as server:
        server.objects = dict(THERE)
        yield server


@pytest.fixture
def raw(cluster: KubernetesAPI, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "dc1").write_text(cluster.kubeconfig())
    export = {
        "name": "db",
        "termination": "gateway",
        "namespace": "shop",
        "replicas": 2,
        "port": 3306,
        "consumers": [{"site": "dc2", "namespace": "dr", "serviceAccount": "reader"}],
    }
    return {
        "trust": {"source": "existing"},
        "istio": {"existing": {"revision": "stable"}},
        "sites": [
            {"name": "dc1", "cluster": {"kubeconfig": f"{tmp_path}/dc1", "context": "there"}, "exports": [export]}
        ],
    }


def whole(raw: dict[str, Any]) -> None:
    """Make it an export of the Service as a whole."""
    del raw["sites"][0]["exports"][0]["replicas"]
    put(raw, f"{AT}.whole", True)


def test_nothing_is_found_where_all_is_there(raw: dict[str, Any], cluster: KubernetesAPI) -> None:
    """It needs neither a sidecar nor a service account nor a label."""
    assert look(raw, None) == []
    assert {SERVICE, STATEFUL_SET, PODS, POLICIES, NETWORKS} <= set(cluster.asked)


@pytest.mark.parametrize("namespace", [GATEWAY_NAMESPACE, ISTIO_NAMESPACE])
def test_the_gateways_pods_are_known_by_the_labels_that_they_get(namespace: str) -> None:
    assert pod_labels(namespace) == labels_in(namespace)


@pytest.mark.parametrize(
    ("path", "found", "line"),
    [
        (SHOP, 404, f'{AT}.namespace: "shop" does not exist in dc1: export what runs already'),
        (SERVICE, 404, f'{AT}.service: "db" does not exist in namespace shop of dc1: name the Service of the pods'),
        (
            STATEFUL_SET,
            404,
            f'{AT}.statefulSet: "db" is no StatefulSet in namespace shop of dc1: name the one that has the pods',
        ),
        (
            STATEFUL_SET,
            {"spec": {"serviceName": "database", "replicas": 2}},
            f'{AT}.service: "db" is not the Service from which the pods have their DNS names, which is database: use '
            "that",
        ),
        (
            STATEFUL_SET,
            {"spec": {"serviceName": "db", "replicas": 1}},
            f"{AT}.replicas: 2 is more than the 1 pods that the StatefulSet has: lower it",
        ),
    ],
)
def test_what_is_not_there_is_named(
    raw: dict[str, Any], cluster: KubernetesAPI, path: str, found: object, line: str
) -> None:
    cluster.objects[path] = found
    assert look(raw, None) == [line]


@pytest.mark.parametrize(("label", "lines"), [("mesh", 0), ("other", 1)])
def test_a_namespace_that_istiod_does_not_look_at_is_named(
    raw: dict[str, Any], cluster: KubernetesAPI, label: str, lines: int
) -> None:
    cluster.objects[MESH] = mesh(discoverySelectors=[{"matchLabels": {"seen-by": "mesh"}}])
    cluster.objects[SHOP] = {"metadata": {"labels": {"seen-by": label}}}
    found = look(raw, None)
    assert len(found) == lines
    assert all(
        line.startswith(f'{AT}.namespace: "shop" is a namespace that istiod in dc1 does not look at') for line in found
    )


def test_a_headless_service_is_not_exported_as_a_whole(raw: dict[str, Any], cluster: KubernetesAPI) -> None:
    """The gateway would lead to any of its pods."""
    whole(raw)
    (line,) = look(raw, None)
    assert line.startswith(f'{AT}.service: "db" has no address of its own, so its pods are to be exported one by one')
    cluster.objects[SERVICE] = {"spec": {"clusterIP": "10.43.0.9", "ports": [{"port": 5432}]}}
    (line,) = look(raw, None)
    assert line == f"{AT}.port: 3306 is no port of the Service db, which has 5432: use one of them"


SHUT = {
    "NetworkPolicy that lets in nobody": (
        NETWORKS,
        policy("closed", "shop", podSelector={"matchLabels": {"app": "db"}}),
        [],
        'db" has pods whose NetworkPolicy shop/closed in dc1 would keep the gateway out: add to its `ingress` the rule '
        "`from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: dcmesh-gateway}}}], ports: [{port: "
        "3306}]`",
    ),
    "allow-nothing of the mesh": (
        POLICIES,
        policy("allow-nothing", "istio-system"),
        ["istio-proxy"],
        'db" has pods whose AuthorizationPolicy istio-system/allow-nothing in dc1 would refuse the gateway: add the '
        f'rule `from: [{{source: {{principals: ["{GATEWAY}"]}}}}], to: [{{operation: {{ports: ["3306"]}}}}]` to it',
    ),
    "policy of the namespace": (
        POLICIES,
        policy("own", "shop", rules=[{"from": [{"source": {"namespaces": ["shop"]}}]}]),
        ["istio-proxy"],
        'db" has pods whose AuthorizationPolicy shop/own in dc1 would refuse the gateway: add the rule `from: ',
    ),
    "policy of the workload that denies": (
        POLICIES,
        policy(
            "denies",
            "shop",
            action="DENY",
            selector={"matchLabels": {"pod": "db-1"}},
            rules=[{"from": [{"source": {"notNamespaces": ["shop"]}}]}],
        ),
        ["istio-proxy"],
        f'db" has pods whose AuthorizationPolicy shop/denies in dc1 would refuse the gateway: exempt the principal '
        f"{GATEWAY} from it",
    ),
    "policy that denies the consumer at the gateway": (
        POLICIES,
        policy("no-dr", "istio-system", action="DENY", rules=[{"from": [{"source": {"namespaces": ["dr"]}}]}]),
        [],
        'db" has the consumer dr/reader, whom AuthorizationPolicy istio-system/no-dr in dc1 would refuse at the '
        "gateway: exempt the principal cluster.local/ns/dr/sa/reader from it",
    ),
}


@pytest.mark.parametrize("case", SHUT)
def test_what_would_shut_the_gateway_out_is_named_with_what_to_add(
    raw: dict[str, Any], cluster: KubernetesAPI, case: str
) -> None:
    path, found, sidecar, line = SHUT[case]
    cluster.objects |= {path: items(found), PODS: items(pod("db-0", *sidecar), pod("db-1", *sidecar))}
    (said,) = look(raw, None)
    assert line in said
    assert said.startswith(f'{AT}.name: "db" has')


@pytest.mark.parametrize(
    "found",
    [
        policy("allow-nothing", "istio-system"),
        policy("own", "shop", rules=[{"from": [{"source": {"namespaces": ["shop"]}}]}]),
    ],
)
def test_policies_do_not_hold_for_pods_without_sidecars(
    raw: dict[str, Any], cluster: KubernetesAPI, found: dict[str, Any]
) -> None:
    cluster.objects[POLICIES] = items(found)
    assert look(raw, None) == []


def test_a_policy_that_lets_the_gateway_in_is_none_that_shuts(raw: dict[str, Any], cluster: KubernetesAPI) -> None:
    let_in = {"from": [{"source": {"principals": [GATEWAY]}}], "to": [{"operation": {"ports": ["3306"]}}]}
    cluster.objects |= {
        POLICIES: items(policy("allow-nothing", "istio-system"), policy("own", "shop", rules=[let_in])),
        PODS: items(pod("db-0", "istio-proxy"), pod("db-1", "istio-proxy")),
    }
    assert look(raw, None) == []


def test_pods_of_a_whole_service_are_those_that_it_leads_to(raw: dict[str, Any], cluster: KubernetesAPI) -> None:
    whole(raw)
    service = {"clusterIP": "10.43.0.9", "selector": {"pod": "db-1"}, "ports": [{"port": 3306}]}
    closed = policy("closed", "shop", podSelector={"matchLabels": {"pod": "db-0"}})
    cluster.objects |= {SERVICE: {"spec": service}, NETWORKS: items(closed)}
    assert look(raw, None) == []
    closed["spec"]["podSelector"] = {"matchLabels": {"pod": "db-1"}}
    assert "NetworkPolicy shop/closed in dc1 would keep the gateway out" in look(raw, None)[0]


def test_in_istios_namespace_the_gateway_has_no_policy_of_its_own(raw: dict[str, Any], cluster: KubernetesAPI) -> None:
    put(raw, "sites[0].gateway", {"namespace": "istio-system"})
    cluster.objects[POLICIES] = items(policy("allow-nothing", "istio-system"))
    (line,) = look(raw, None)
    assert (
        "whom AuthorizationPolicy istio-system/allow-nothing in dc1 would refuse at the gateway: add the rule" in line
    )


@pytest.mark.parametrize("target", [3309, "mysql"])
def test_policies_see_the_port_of_the_pod_and_not_the_services(
    raw: dict[str, Any], cluster: KubernetesAPI, target: object
) -> None:
    whole(raw)
    ports = [{"port": 3306, "targetPort": target}]
    there = pod("db-0", "istio-proxy")
    there["spec"]["containers"][0]["ports"] = [{"name": "mysql", "containerPort": 3309}]
    networks = policy("own", "shop", podSelector={}, ingress=[{"ports": [{"port": 3309}]}])
    sidecars = policy("own", "shop", rules=[{"to": [{"operation": {"ports": ["3309"]}}]}])
    cluster.objects |= {
        SERVICE: {"spec": {"clusterIP": "10.43.0.9", "selector": {"app": "db"}, "ports": ports}},
        PODS: items(there),
        NETWORKS: items(networks),
        POLICIES: items(sidecars),
    }
    assert look(raw, None) == []
    networks["spec"]["ingress"] = [{"ports": [{"port": 3306}]}]
    assert "ports: [{port: 3309}]`" in look(raw, None)[0]


def test_an_export_that_stands_is_warned_of_and_goes_on(raw: dict[str, Any], cluster: KubernetesAPI) -> None:
    """Otherwise anybody in the cluster could block every `up`, even a failover."""
    cluster.objects[STATEFUL_SET] = 404
    urn = "urn:pulumi:s::p::t::dc1.db-0.db.shop.dc1.dcmesh-gateway.dcmesh-gateway"
    held = {
        "dc1": SiteInState(identity=UID, kubeconfig="", objects={urn: ("dcmesh-gateway", "db-0.db.shop.dc1.dcmesh")})
    }
    (warning,), _ = checked(raw, {}, outside(["dc1"]), held)
    assert warning.startswith(f'{AT}.statefulSet: "db" is no StatefulSet in namespace shop of dc1')


def test_somebody_elses_claim_to_a_name_at_the_gateway_is_named(raw: dict[str, Any], cluster: KubernetesAPI) -> None:
    claim = policy("claim", "tenant", hosts=["db-0.db.shop.dc1.dcmesh"])
    cluster.objects["/apis/networking.istio.io/v1/serviceentries"] = items(claim)
    (line,) = look(raw, None)
    assert line.startswith(f'{AT}.name: "db" has the host db-0.db.shop.dc1.dcmesh, which the ServiceEntry tenant/claim')


def test_a_port_that_is_led_past_a_sidecar_is_named(raw: dict[str, Any], cluster: KubernetesAPI) -> None:
    """The gateway believes that a pod with a sidecar takes TLS, whatever its ports do."""
    there = pod("db-0", "istio-proxy")
    there["metadata"]["annotations"] = {"traffic.sidecar.istio.io/excludeInboundPorts": "3306"}
    cluster.objects[PODS] = items(there)
    (line,) = look(raw, None)
    assert "has pods that lead port 3306 past their sidecar in dc1 (`traffic.sidecar.istio.io/excludeInbound" in line
    assert "with `portLevelMtls: {3306: {mode: DISABLE}}`" in line
    peers = {"selector": {"matchLabels": {"app": "db"}}, "portLevelMtls": {"3306": {"mode": "DISABLE"}}}
    cluster.objects["/apis/security.istio.io/v1/peerauthentications"] = items(policy("plain", "shop", **peers))
    assert look(raw, None) == []


def test_a_service_that_may_not_be_read_hides_no_other_export(raw: dict[str, Any], cluster: KubernetesAPI) -> None:
    other = {**raw["sites"][0]["exports"][0], "name": "other", "service": "other"}
    raw["sites"][0]["exports"].append(other)
    cluster.objects |= {SERVICE: 403, SERVICE.replace("/db", "/other"): 404}
    refused, missing = look(raw, None)
    assert refused.startswith(f'{AT}.name: "db" cannot be looked at (403')
    assert missing.startswith('sites[0].exports[1].service: "other" does not exist')
