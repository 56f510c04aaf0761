"""Preflight of egress gateways: what would be deleted with the names, and what keeps clients away."""

from collections.abc import Iterator
from typing import Any

import pytest

from dcmesh.config.errors import Finding, Remark
from dcmesh.kube.api import ApiClient
from dcmesh.kube.cluster_reader import ClusterReader
from dcmesh.model.egress import LABELS
from dcmesh.model.ownership_marks import MADE_BY
from dcmesh.model.plan import plan_of
from dcmesh.model.settings import Settings, Site
from dcmesh.preflight import egress, hosts, mesh, taken_names
from dcmesh.sites_in_state import SiteInState
from tests.unit.configurations import changed
from tests.unit.servers import KubernetesAPI

STACK = "organization/dcmesh/test"
CORE = "/api/v1/namespaces"
POLICIES = "/apis/security.istio.io/v1/authorizationpolicies"
AT = "sites[1].imports[0]"

Objects = dict[str, Any]


def settings(changes: Objects | None = None) -> Settings:
    return Settings.model_validate(changed("mariadb-egress", changes or {}))


def site(changes: Objects | None = None) -> Site:
    return settings(changes).sites[1]


@pytest.fixture
def cluster(api: ApiClient) -> ClusterReader:
    return reader(api)


def reader(api: ApiClient) -> ClusterReader:
    """Return a cluster from which nothing has been read yet."""
    return ClusterReader.of(api, frozenset({STACK}))


def lines(found: Iterator[Finding]) -> list[tuple[bool, str]]:
    """Return the findings: whether each stops an `up`, and its line."""
    return [(not isinstance(one, Remark), one.line()) for one in found]


def named(name: str, namespace: str, **more: Any) -> Objects:
    return {"metadata": {"name": name, "namespace": namespace}, **more}


# --- what is somebody else's, or holds data --------------------------------------------------------------------------


@pytest.mark.parametrize(("namespace", "key"), [("dcmesh-egress", "namespace"), ("wookie", "hostNamespace")])
def test_a_namespace_of_somebody_elses_is_refused(
    server: KubernetesAPI, cluster: ClusterReader, namespace: str, key: str
) -> None:
    server.objects[f"{CORE}/{namespace}"] = {"metadata": {"name": namespace}}
    ((stops, line),) = lines(taken_names.taken(cluster, settings(), site(), "sites[1]", "dcmesh-gateway"))
    assert stops
    assert f'{AT}.{key}: "{namespace}" exists already in dc2, and this stack has not made it' in line
    server.objects[f"{CORE}/{namespace}"] = {"metadata": {"name": namespace, "annotations": {MADE_BY: STACK}}}
    assert lines(taken_names.taken(cluster, settings(), site(), "sites[1]", "dcmesh-gateway")) == []


@pytest.mark.parametrize(("namespace", "key"), [("wookie", "hostNamespace"), ("dcmesh-egress", "namespace")])
@pytest.mark.parametrize(
    ("kind", "shown"), [("pods", "the pod db-0"), ("persistentvolumeclaims", "the PersistentVolumeClaim db-0")]
)
def test_a_namespace_that_was_handed_over_with_something_in_it_is_refused(
    server: KubernetesAPI, api: ApiClient, namespace: str, key: str, kind: str, shown: str
) -> None:
    """Its content would be deleted with the import. The quota comes too late for it."""
    assert lines(egress.occupied(reader(api), site(), "sites[1]", None)) == []
    server.objects[f"{CORE}/{namespace}/{kind}"] = {"items": [named("db-0", namespace)]}
    ((stops, line),) = lines(egress.occupied(reader(api), site(), "sites[1]", None))
    assert stops
    assert f'{AT}.{key}: "{namespace}" has {shown} in dc2, and is deleted, with all that is in it' in line


def made(component: str) -> SiteInState:
    """Return the state after a namespace was made for an egress gateway, or for its hosts."""
    urn = f"urn:pulumi:s::dcmesh::kubernetes:core/v1:Namespace::{component}-namespace"
    return SiteInState(identity="", kubeconfig="", objects={urn: ("", component.rpartition(".")[2])})


@pytest.mark.parametrize(
    ("namespace", "key", "component"),
    [("wookie", "hostNamespace", "dc2-hosts.wookie"), ("dcmesh-egress", "namespace", "dc2-egress.dcmesh-egress")],
)
@pytest.mark.parametrize("kind", ["pods", "persistentvolumeclaims"])
def test_a_namespace_that_is_there_and_may_not_be_looked_into_is_refused_until_it_is_the_stacks(
    server: KubernetesAPI, api: ApiClient, namespace: str, key: str, component: str, kind: str
) -> None:
    """It may hold anything."""
    server.objects[f"{CORE}/{namespace}/{kind}"] = 403
    assert lines(egress.occupied(reader(api), site(), "sites[1]", None)) == [], "it does not exist"
    server.objects[f"{CORE}/{namespace}"] = {"metadata": {"name": namespace, "annotations": {MADE_BY: STACK}}}
    ((stops, line),) = lines(egress.occupied(reader(api), site(), "sites[1]", None))
    assert stops
    assert line.startswith(f'{AT}.{key}: "{namespace}" is there in dc2, and is deleted, with all that is in it')
    assert "What is in it may not be read (403 Forbidden): allow the kubeconfig's user to read it" in line
    assert lines(egress.occupied(reader(api), site(), "sites[1]", made(component))) == []


def test_its_own_pods_are_not_held_against_an_egress_gateway(server: KubernetesAPI, api: ApiClient) -> None:
    pod = {"metadata": {"name": "dcmesh-egress-1", "namespace": "dcmesh-egress", "labels": LABELS}}
    server.objects[f"{CORE}/dcmesh-egress/pods"] = {"items": [pod]}
    assert lines(egress.occupied(reader(api), site(), "sites[1]", None)) == []
    server.objects[f"{CORE}/dcmesh-egress/pods"] = {"items": [pod, named("dcmesh-probe-1", "dcmesh-egress")]}
    known = made("dc2-egress.dcmesh-egress")
    assert lines(egress.occupied(reader(api), site(), "sites[1]", known)) == []


def test_a_foreign_entry_of_the_links_name_is_refused(server: KubernetesAPI, cluster: ClusterReader) -> None:
    entry = named("squatter", "dcmesh-egress", spec={"hosts": ["db-0.db.wookie.dc1.dcmesh"]})
    server.objects["/apis/networking.istio.io/v1/serviceentries"] = {"items": [entry]}
    plan = plan_of(settings(), {}).site("dc2")
    ((stops, line),) = lines(hosts.claimed(cluster, "sites[1]", plan, "dcmesh-gateway", None))
    assert stops
    assert "db-0.db.wookie.dc1.dcmesh, which the ServiceEntry dcmesh-egress/squatter in dc2 has as well" in line


# --- what keeps clients away: told, and not refused ------------------------------------------------------------------


def test_a_client_namespace_that_is_not_there_is_told(server: KubernetesAPI, cluster: ClusterReader) -> None:
    assert lines(egress.absent_clients(cluster, site(), "sites[1]")) == [
        (False, f'{AT}.clients[0].namespace: "reports" does not exist in dc2: nobody connects from it yet')
    ]
    server.objects[f"{CORE}/reports"] = {"metadata": {"name": "reports"}}
    assert lines(egress.absent_clients(cluster, site(), "sites[1]")) == []


@pytest.mark.parametrize(
    ("namespace", "spec", "told"),
    [
        ("istio-system", {"action": "DENY", "rules": [{}]}, True),
        ("dcmesh-egress", {"action": "CUSTOM", "rules": [{}]}, True),
        ("istio-system", {"action": "DENY", "selector": {"matchLabels": {"istio": "dcmesh-egress"}}}, True),
        ("istio-system", {"action": "DENY", "selector": {"matchLabels": {"app": "other"}}}, False),
        ("istio-system", {}, False),  # This is allow-nothing, but the egress gateway's own policy allows.
        ("other", {"action": "DENY", "rules": [{}]}, False),
    ],
)
def test_a_policy_that_may_deny_is_named(
    server: KubernetesAPI, cluster: ClusterReader, namespace: str, spec: Objects, told: bool
) -> None:
    server.objects[POLICIES] = {"items": [named("strict", namespace, spec=spec)]}
    found = lines(egress.denied(cluster, site(), "sites[1]"))
    assert [(stops, f"AuthorizationPolicy {namespace}/strict" in line) for stops, line in found] == [
        (False, True)
    ] * told


READER = {"key": "app", "values": ["reader"]}
OTHER = [{"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}]}]
TO_EGRESS = [{"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "dcmesh-egress"}}}]}]


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"policyTypes": ["Egress"]}, True),
        ({"policyTypes": ["Egress"], "egress": OTHER}, True),
        ({"policyTypes": ["Egress"], "egress": [{"to": [{"podSelector": {}}]}]}, True),
        ({"policyTypes": ["Egress"], "podSelector": {"matchLabels": {"app": "reader"}}}, True),
        ({"policyTypes": ["Egress"], "podSelector": {"matchLabels": {"app": "other"}}}, False),
        ({"policyTypes": ["Egress"], "egress": [*OTHER, *TO_EGRESS]}, False),
        ({"policyTypes": ["Egress"], "egress": [{"ports": [{"port": 3306}]}]}, True),
        ({"policyTypes": ["Egress"], "egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}]}, True),
        ({"policyTypes": ["Egress"], "egress": [{"ports": [{"port": 20000, "endPort": 32767}]}]}, False),
        ({"policyTypes": ["Egress"], "podSelector": {"matchExpressions": [READER | {"operator": "NotIn"}]}}, False),
        ({"policyTypes": ["Egress"], "podSelector": {"matchExpressions": [READER | {"operator": "In"}]}}, True),
        ({"policyTypes": ["Egress"], "egress": [{"to": [{"namespaceSelector": {}}]}]}, False),
        ({"policyTypes": ["Ingress"]}, False),
    ],
)
def test_a_policy_that_keeps_clients_in_is_named_with_the_rule_to_add(
    server: KubernetesAPI, cluster: ClusterReader, spec: Objects, told: bool
) -> None:
    policy = named("strict", "reports", spec={"podSelector": {}, **spec})
    server.objects["/apis/networking.k8s.io/v1/namespaces/reports/networkpolicies"] = {"items": [policy]}
    found = lines(egress.kept_in(cluster, site(), "sites[1]", plan_of(settings(), {}).site("dc2")))
    rule = "to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: dcmesh-egress}}}]"
    assert [(stops, "reports/strict" in line, rule in line) for stops, line in found] == [(False, True, True)] * told


def test_a_policy_is_judged_by_the_pods_that_are_there(server: KubernetesAPI, api: ApiClient) -> None:
    """A client may have more labels than the import names."""
    policy = named("strict", "reports", spec={"podSelector": {"matchLabels": {"tier": "b"}}, "policyTypes": ["Egress"]})
    server.objects["/apis/networking.k8s.io/v1/namespaces/reports/networkpolicies"] = {"items": [policy]}
    plan = plan_of(settings(), {}).site("dc2")
    for labels, told in (({"app": "reader"}, 0), ({"app": "reader", "tier": "b"}, 1), ({"tier": "b"}, 0)):
        pod = {"metadata": {"name": "p", "namespace": "reports", "labels": labels}}
        server.objects[f"{CORE}/reports/pods"] = {"items": [pod]}
        assert len(lines(egress.kept_in(reader(api), site(), "sites[1]", plan))) == told


@pytest.mark.parametrize(
    "path", [POLICIES, "/apis/networking.k8s.io/v1/namespaces/reports/networkpolicies", f"{CORE}/reports/pods"]
)
def test_a_list_that_may_not_be_read_is_told(server: KubernetesAPI, cluster: ClusterReader, path: str) -> None:
    """Its objects may keep clients away."""
    server.objects[path] = 403
    plan = plan_of(settings(), {}).site("dc2")
    assert [
        *egress.denied(cluster, site(), "sites[1]"),
        *egress.kept_in(cluster, site(), "sites[1]", plan),
    ] == []
    assert list(cluster.allowed.refused) == [path]


# --- an Istio that is there ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "changes", "needed"),
    [
        (1, {}, False),
        (0, {}, True),
        (0, {"sites[0].exports[0]": {"termination": "gateway"}}, False),
        (1, {"sites[1].imports[0].egress": "sidecar"}, True),
    ],
)
def test_dns_capture_is_for_sidecars(
    server: KubernetesAPI, cluster: ClusterReader, index: int, changes: Objects, needed: bool
) -> None:
    raw = changed("mariadb-egress", {"istio.existing": {"revision": "default"}})
    for place, value in changes.items():
        export = place.startswith("sites[0].exports")
        (raw["sites"][0]["exports"][0] if export else raw["sites"][1]["imports"][0]).update(
            value if export else {"egress": value}
        )
    for key in ("serviceAccount", "selector") if "sites[0].exports[0]" in changes else ():
        del raw["sites"][0]["exports"][0][key]
    server.objects[f"{CORE}/istio-system/configmaps/istio"] = {"data": {"mesh": "{}"}}
    read = Settings.model_validate(raw)
    found = lines(mesh.existing_istio(cluster, read, read.sites[index], f"sites[{index}]"))
    assert [line for _, line in found if "does not capture DNS" in line] == [line for _, line in found] * needed
    assert bool(found) is needed


@pytest.mark.parametrize("labels", [{}, {"app": "client"}])
def test_a_mesh_need_not_capture_dns_for_consumers_whose_pods_labels_are_said(
    server: KubernetesAPI, cluster: ClusterReader, labels: dict[str, str]
) -> None:
    """Another's Sidecar `default` is no obstacle either, because the namespace gets none."""
    server.objects[f"{CORE}/istio-system/configmaps/istio"] = {"data": {"mesh": "{}"}}
    sidecar = {"metadata": {"name": "default", "namespace": "demo-dr"}, "spec": {}}
    server.objects["/apis/networking.istio.io/v1/namespaces/demo-dr/sidecars/default"] = sidecar
    changes = {"istio.existing": {"revision": "default"}, "sites[1].imports[0].selector": labels}
    read = Settings.model_validate(changed("pair", changes))
    found = [*mesh.existing_istio(cluster, read, read.sites[1], "sites[1]")]
    found += taken_names.taken(cluster, read, read.sites[1], "sites[1]", "dcmesh-gateway")
    said = [of.line() for of in found]
    assert ["or give each import the `selector`" in line for line in said] == ([] if labels else [True, False])
    assert ["has a Sidecar `default`" in line for line in said] == ([] if labels else [False, True])


@pytest.mark.parametrize(
    ("selectors", "told"),
    [
        ([], False),
        ([{"matchLabels": {"istio-injection": "enabled"}}], True),
        ([{"matchLabels": {"a": "b"}}, {"matchLabels": {"kubernetes.io/metadata.name": "dcmesh-egress"}}], False),
        ([{"matchExpressions": [{"key": "off", "operator": "DoesNotExist"}]}], False),
    ],
)
def test_a_namespace_that_istiod_leaves_out_is_named(
    server: KubernetesAPI, cluster: ClusterReader, selectors: list[Objects], told: bool
) -> None:
    found = lines(egress.unseen(cluster, {"discoverySelectors": selectors}, site(), "sites[1]"))
    said = f'{AT}.namespace: "dcmesh-egress" is a namespace that istiod in dc2 does not look at: add to '
    assert [line.startswith(said) for _, line in found] == [True] * told
    labels = {"istio-injection": "enabled", "a": "b"}
    server.objects[f"{CORE}/dcmesh-egress"] = {"metadata": {"name": "dcmesh-egress", "labels": labels}}
    assert lines(egress.unseen(cluster, {"discoverySelectors": selectors[:1]}, site(), "sites[1]")) == []


def test_an_import_is_known_again_by_its_hosts_whatever_export_they_are_of() -> None:
    """It may change from one export of the same pods to another. Otherwise others' objects would stop that."""

    def named(export: str) -> str:
        changes = {"sites[0].exports[0].name": export, "sites[0].exports[0].statefulSet": "db", f"{AT}.export": export}
        plan = plan_of(settings(changes), {}).site("dc2")
        return hosts.imported_name(plan, plan.imports[0])

    assert named("db") == named("db-by-gateway") == "dc2-egress.dcmesh-egress.db-0.db.wookie.svc.cluster.local"
