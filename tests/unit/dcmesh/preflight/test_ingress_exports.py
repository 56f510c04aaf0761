"""Preflight of exports with termination at ingress ports, against a fake of the cluster's API."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dcmesh.kube.api import connect
from dcmesh.kube.kubeconfig import read_kubeconfig
from dcmesh.model.capture import PORTS_IN, RANGES_OUT
from dcmesh.model.settings import Settings
from dcmesh.preflight.local_clients import abandoned
from dcmesh.preflight.missing_rights import Allowed
from dcmesh.sites_in_state import SiteInState
from tests.unit.configurations import put
from tests.unit.dcmesh.preflight.test_gateway_exports import (
    AT,
    NETWORKS,
    PODS,
    POLICIES,
    SHOP,
    STATEFUL_SET,
    THERE,
    items,
    pod,
    policy,
)
from tests.unit.dcmesh.preflight.test_readiness import UID, checked, look, outside
from tests.unit.servers import KubernetesAPI, kubernetes_api

SIDECARS, RULES = (f"/apis/networking.istio.io/v1/{kind}" for kind in ("sidecars", "destinationrules"))
PEERS, SERVICES = "/apis/security.istio.io/v1/peerauthentications", "/api/v1/namespaces/shop/services"
CHOSEN = {"matchLabels": {"app": "db"}}


def bare(*containers: str) -> dict[str, Any]:
    """Return a pod of the StatefulSet."""
    found = pod("db-0", *containers)
    found["metadata"]["ownerReferences"] = [{"controller": True, "kind": "StatefulSet", "name": "db"}]
    found["spec"]["serviceAccountName"] = "mysql"
    return found


def with_sidecar(ports: str = "13306", out: str = "") -> dict[str, Any]:
    """Return a pod whose sidecar captures these inbound ports and these outbound ranges."""
    found = bare("istio-proxy")
    found["metadata"]["annotations"] = {PORTS_IN.annotation: ports, RANGES_OUT.annotation: out}
    found["metadata"]["labels"]["dcmesh/ingress"] = "db"
    return found


@pytest.fixture
def cluster() -> Iterator[KubernetesAPI]:
    with kubernetes_api() as server:
        account = {"/api/v1/namespaces/shop/serviceaccounts/mysql": {"metadata": {}}}
        server.objects = THERE | account | {PODS: items(with_sidecar())}
        yield server


@pytest.fixture
def raw(cluster: KubernetesAPI, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "dc1").write_text(cluster.kubeconfig())
    export = {
        "name": "db",
        "termination": "ingress",
        "namespace": "shop",
        "replicas": 2,
        "ports": [{"port": 3306}],
        "serviceAccount": "mysql",
        "selector": {"app": "db"},
        "consumers": [{"site": "dc2", "namespace": "dr", "serviceAccount": "reader"}],
    }
    return {
        "trust": {"source": "existing"},
        "istio": {"existing": {"revision": "stable"}},
        "sites": [
            {"name": "dc1", "cluster": {"kubeconfig": f"{tmp_path}/dc1", "context": "there"}, "exports": [export]}
        ],
    }


def remarks(raw: dict[str, Any]) -> list[str]:
    return checked(raw, {}, outside(), {})[0]


def test_nothing_is_found_where_all_is_there(raw: dict[str, Any], cluster: KubernetesAPI) -> None:
    assert remarks(raw) == []
    assert {PODS, STATEFUL_SET, POLICIES, NETWORKS} <= set(cluster.asked)


def test_pods_without_a_sidecar_are_to_get_one_after_the_up(raw: dict[str, Any], cluster: KubernetesAPI) -> None:
    """If they got one before, clients in the site's mesh would speak TLS with the server itself."""
    cluster.objects[PODS] = items(bare())
    (line,) = remarks(raw)
    assert line.startswith(f'{AT}.name: "db" has pods in dc1 that do not take part with all its ingress ports, 13306')
    assert "after this `up` give their template" in line
    assert f'{PORTS_IN.annotation}: "13306", {RANGES_OUT.annotation}: ""' in line


@pytest.mark.parametrize(
    ("ports", "out", "said"),
    [
        ("*", "", "take in more than its ingress ports"),
        ("3306,13306", "", "take in more than its ingress ports"),
        ("13306", "*", "take out more than what is for other sites"),
        ("13306", "241.0.0.0/8", "take out more than what is for other sites"),
    ],
)
def test_sidecars_that_are_there_for_others_are_sent_to_the_gateway(
    raw: dict[str, Any], cluster: KubernetesAPI, ports: str, out: str, said: str
) -> None:
    cluster.objects[PODS] = items(with_sidecar(ports, out))
    (line,) = look(raw, None)
    assert line.startswith(f'{AT}.name: "db" has pods whose sidecars in dc1 {said}')
    assert line.endswith("use `termination: gateway`, which leaves the pods as they are")


def test_pods_without_annotations_take_in_all(raw: dict[str, Any], cluster: KubernetesAPI) -> None:
    cluster.objects[PODS] = items(bare("istio-proxy"))
    assert [("take in more" in line, "take out more" in line) for line in look(raw, None)] == [
        (True, False),
        (False, True),
    ]


def test_a_port_that_a_container_listens_on_is_named(raw: dict[str, Any], cluster: KubernetesAPI) -> None:
    found = with_sidecar()
    found["spec"]["containers"][0]["ports"] = [{"containerPort": 13306}]
    cluster.objects[PODS] = items(found)
    assert look(raw, None) == [
        f"{AT}.ports[0].ingressPort: 13306 is a port of the container db in dc1: set one that is free"
    ]
    put(raw, f"{AT}.ports[0].ingressPort", 23306)
    cluster.objects[PODS]["items"][0]["metadata"]["annotations"][PORTS_IN.annotation] = "23306"
    assert look(raw, None) == []


Part = tuple[str, dict[str, Any], str]

IN_THE_WAY: dict[str, Part] = {
    "sidecar": (
        SIDECARS,
        policy("own", "shop", workloadSelector={"labels": {"app": "db"}}),
        "has pods for which the Sidecar shop/own in dc1 holds: use `termination: gateway`",
    ),
    "peers": (
        PEERS,
        policy("own", "shop", selector=CHOSEN, mtls={"mode": "PERMISSIVE"}),
        'PeerAuthentication shop/own in dc1 holds: add `portLevelMtls: {"13306": {mode: STRICT}}` to it',
    ),
    "peers of other ports": (
        PEERS,
        policy("own", "shop", selector=CHOSEN, portLevelMtls={"3306": {"mode": "DISABLE"}}),
        "PeerAuthentication shop/own in dc1 holds: add",
    ),
    "denied": (
        POLICIES,
        policy("own", "shop", action="DENY", rules=[{"from": [{"source": {"namespaces": ["dr"]}}]}]),
        "whom AuthorizationPolicy shop/own in dc1 would refuse at the pods: exempt the principal",
    ),
    "networks": (
        NETWORKS,
        policy("shut", "shop", podSelector={}, policyTypes=["Ingress"], ingress=[]),
        "would keep the gateway out: add to its `ingress` the rule",
    ),
    "rules": (
        RULES,
        policy("own", "shop", host="db", trafficPolicy={"tls": {"mode": "ISTIO_MUTUAL"}}),
        "set `tls: {mode: DISABLE}` in one for db.shop.svc.cluster.local alone",
    ),
}


@pytest.mark.parametrize("what", IN_THE_WAY)
def test_what_is_in_the_way_is_named_with_what_to_do(raw: dict[str, Any], cluster: KubernetesAPI, what: str) -> None:
    path, found, said = IN_THE_WAY[what]
    cluster.objects[path] = items(found)
    (line,) = look(raw, None)
    assert line.startswith(f'{AT}.name: "db" has ')
    assert said in line


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (SIDECARS, policy("default", "shop", egress=[{"hosts": ["./*"]}])),  # dcmesh's own is narrower
        (SIDECARS, policy("db-ingress", "shop", workloadSelector={"labels": {"app": "db"}})),
        (PEERS, policy("default", "shop", mtls={"mode": "DISABLE"})),
        (PEERS, policy("own", "shop", selector=CHOSEN, portLevelMtls={"13306": {"mode": "STRICT"}})),
        (POLICIES, policy("allow-nothing", "istio-system")),  # dcmesh's own lets the consumers in
        (RULES, policy("own", "shop", host="db", trafficPolicy={"tls": {"mode": "DISABLE"}})),
    ],
)
def test_what_is_not_in_the_way_is_let_be(
    raw: dict[str, Any], cluster: KubernetesAPI, path: str, found: dict[str, Any]
) -> None:
    cluster.objects[path] = items(found)
    assert look(raw, None) == []


def test_another_service_of_the_pods_is_to_be_named(raw: dict[str, Any], cluster: KubernetesAPI) -> None:
    cluster.objects[SERVICES] = items(
        *(policy(name, "shop", selector={"app": of}) for name, of in (("db", "db"), ("db-all", "db"), ("web", "web")))
    )
    (line,) = remarks(raw)
    assert line.startswith(f'{AT}.services: "none" has pods behind the Service db-all in dc1 too')
    put(raw, f"{AT}.services", ["db-all"])
    assert remarks(raw) == []


def test_another_service_account_of_the_pods_is_named(raw: dict[str, Any], cluster: KubernetesAPI) -> None:
    del cluster.objects[PODS]["items"][0]["spec"]["serviceAccountName"]
    assert look(raw, None) == [f'{AT}.serviceAccount: "mysql" is not that of all pods, of which is default']


RULE = "urn:pulumi:s::p::dcmesh:components:IngressExport$t::dc1.export.db-destinationrule-db-ingress.db"


@pytest.mark.parametrize(("ports", "refused"), [("13306", True), ("*", False), ("3306", False)])
def test_no_service_is_left_out_before_the_sidecars_that_are_there_for_it(
    raw: dict[str, Any], cluster: KubernetesAPI, ports: str, refused: bool
) -> None:
    """If the state does not know of a Service, there is none to be deleted."""
    cluster.objects[PODS] = items(with_sidecar(ports))
    known = SiteInState(identity=UID, kubeconfig="", objects={RULE: ("shop", "db-ingress.db")})
    used = read_kubeconfig(raw["sites"][0]["cluster"]["kubeconfig"]).only("there")
    with connect(used) as api:

        def found(state: SiteInState | None) -> list[str]:
            site = Settings.model_validate(raw).sites[0]
            return [of.line() for of in abandoned(Allowed(api), site, "sites[0]", state)]

        assert found(known) == [], "it stays"
        raw["sites"][0]["exports"] = []
        assert found(None) == []
        lines = found(known)
    assert len(lines) == refused
    said = "sites[0].exports: leave out the Service db of shop in dc1, and pod shop/db-0 still has the sidecar for it"
    assert all(line.startswith(said) for line in lines)


@pytest.mark.parametrize("path", [PODS, SIDECARS, PEERS, RULES, NETWORKS])
def test_what_may_not_be_read_is_not_taken_for_nothing(raw: dict[str, Any], cluster: KubernetesAPI, path: str) -> None:
    cluster.objects[path] = 403
    assert any(line.startswith(f'{AT}.name: "db" cannot be looked at') for line in look(raw, None))


def test_a_second_port_that_the_sidecars_do_not_take_in_yet_is_told(raw: dict[str, Any]) -> None:
    put(raw, f"{AT}.ports[1]", {"port": 4444})
    (line,) = remarks(raw)
    assert "do not take part with all its ingress ports, 13306, 14444" in line


def test_pods_without_the_label_that_has_them_take_part_are_told(raw: dict[str, Any], cluster: KubernetesAPI) -> None:
    del cluster.objects[PODS]["items"][0]["metadata"]["labels"]["dcmesh/ingress"]
    (line,) = remarks(raw)
    assert "do not take part" in line


@pytest.mark.parametrize("where", ["namespace", "pod"])
def test_pods_of_an_ambient_mesh_are_sent_to_the_gateway(
    raw: dict[str, Any], cluster: KubernetesAPI, where: str
) -> None:
    """In an ambient mesh, ztunnel would enforce at once the policies that are meant for a sidecar."""
    found = bare()
    of = cluster.objects[SHOP] = {"metadata": {"labels": {}}}
    (found if where == "pod" else of)["metadata"]["labels"]["istio.io/dataplane-mode"] = "ambient"
    cluster.objects[PODS] = items(found)
    (line,) = look(raw, None)
    assert "ambient mesh: use `termination: gateway`" in line


def test_pods_in_the_network_of_their_nodes_are_sent_to_the_gateway(
    raw: dict[str, Any], cluster: KubernetesAPI
) -> None:
    found = bare()
    found["spec"]["hostNetwork"] = True
    cluster.objects[PODS] = items(found)
    (line,) = look(raw, None)
    assert "which get no sidecars: use `termination: gateway`" in line


@pytest.mark.parametrize(
    ("injects", "strict", "template", "refused"),
    [
        (True, True, {}, True),
        (True, False, {}, False),
        (False, True, {}, False),
        (True, True, {"labels": {"sidecar.istio.io/inject": "false"}}, False),
        (True, True, {"annotations": {PORTS_IN.annotation: "13306"}}, False),
    ],
)
def test_pods_that_would_be_captured_whole_by_chance_are_kept_from_it(
    raw: dict[str, Any], cluster: KubernetesAPI, *, injects: bool, strict: bool, template: dict[str, Any], refused: bool
) -> None:
    """A drained node is enough to restart them.

    Then the site's clients would speak plaintext with pods that refuse it.
    """
    of = {"spec": {"serviceName": "db", "replicas": 2, "template": {"metadata": template}}}
    peers = [policy("default", "istio-system", mtls={"mode": "STRICT"})] if strict else []
    home = {"metadata": {"labels": {"istio-injection": "enabled"} if injects else {}}}
    cluster.objects |= {PODS: items(bare()), STATEFUL_SET: of, PEERS: items(*peers), SHOP: home}
    found = look(raw, None)
    assert ["would get whole sidecars" in line for line in found] == [True] * refused


@pytest.mark.parametrize(
    ("found", "refused"),
    [
        (policy("all", "istio-system", host="*.local", trafficPolicy={"tls": {"mode": "ISTIO_MUTUAL"}}), False),
        (policy("all", "shop", host="*.shop.svc.cluster.local", trafficPolicy={}), False),
        (policy("own", "app", host="db.shop.svc.cluster.local", trafficPolicy={"connectionPool": {}}), True),
        (policy("own", "app", host="*.local", trafficPolicy={"connectionPool": {}}), True),
        (policy("own", "app", host="web.shop.svc.cluster.local", trafficPolicy={}), False),
    ],
)
def test_rules_that_clients_go_by_in_place_of_dcmeshs_own(
    raw: dict[str, Any], cluster: KubernetesAPI, found: dict[str, Any], refused: bool
) -> None:
    """Istio looks in the client's namespace first, then the Service's, then its own, and uses the narrowest host."""
    cluster.objects[RULES] = items(found)
    lines = look(raw, None)
    assert ["set `tls: {mode: DISABLE}` in one for db.shop.svc.cluster.local alone" in line for line in lines] == (
        [True] * refused
    )


def test_a_service_of_other_pods_with_sidecars_is_neither_taken_nor_advised(
    raw: dict[str, Any], cluster: KubernetesAPI
) -> None:
    """The site's clients would speak plaintext with these pods."""
    other = pod("proxy-0", "istio-proxy")
    other["metadata"]["labels"] = {"tier": "db"}
    own = with_sidecar()
    own["metadata"]["labels"]["tier"] = "db"
    cluster.objects |= {
        PODS: items(own, other),
        SERVICES: items(policy("db-all", "shop", selector={"tier": "db"})),
        f"{SERVICES}/db-all": policy("db-all", "shop", selector={"tier": "db"}),
    }
    assert remarks(raw) == []
    put(raw, f"{AT}.services", ["db-all"])
    (line,) = look(raw, None)
    assert "names the Service db-all, which leads to pod shop/proxy-0 in dc1 as well" in line


@pytest.mark.parametrize("revision", ["stable", "default"])
def test_the_label_of_a_revision_is_told(raw: dict[str, Any], cluster: KubernetesAPI, revision: str) -> None:
    raw["istio"]["existing"]["revision"] = revision
    if revision == "default":
        moved = {path.replace("-stable", ""): of for path, of in cluster.objects.items() if path.endswith("-stable")}
        cluster.objects |= moved
    cluster.objects[PODS] = items(bare())
    (line,) = remarks(raw)
    assert ('istio.io/rev: "stable"' in line) is (revision == "stable")
    assert 'dcmesh/ingress: "db"' in line


def test_labels_of_other_pods_too_are_named(raw: dict[str, Any], cluster: KubernetesAPI) -> None:
    found = with_sidecar()
    found["metadata"]["ownerReferences"][0]["name"] = "other"
    cluster.objects[PODS] = items(found)
    (line,) = look(raw, None)
    assert line.startswith(f'{AT}.selector: "app: db" are labels of db-0 too')
