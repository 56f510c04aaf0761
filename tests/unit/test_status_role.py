"""examples/permissions/status.yaml lets `status` and `doctor` read what they need, and nothing secret."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import yaml

from dcmesh.doctor.evidence import ISTIO, Evidence
from dcmesh.doctor.walk import examine
from dcmesh.kube.api import connect
from dcmesh.model.certificates import Bundle
from dcmesh.status.exports import ask_exports
from dcmesh.status.sites import Status, ask_all
from tests.unit import doctors, statuses
from tests.unit.certificates import authority, root
from tests.unit.configurations import ROOT
from tests.unit.engine import Engine
from tests.unit.program import Config, run_program
from tests.unit.servers import KubernetesAPI, kubeconfig, kubernetes_api

LONG = timedelta(days=400)
OBJECTS = [*yaml.safe_load_all((ROOT / "examples/permissions/status.yaml").read_text())]
CACERTS = "/api/v1/namespaces/istio-system/secrets/cacerts"
MESH_ROOT = "/api/v1/namespaces/istio-system/configmaps/istio-ca-root-cert"
PATH = re.compile(
    r"/apis?(?:/(?P<group>[^/]+\.[^/]+|apps))?/v\w+(?:/namespaces/(?P<namespace>[^/]+)(?=/\w))?"
    r"/(?P<resource>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>\w+))?"
)


def rules(namespace: str) -> Iterator[dict[str, Any]]:
    """Yield the rules for a namespace, without those of `dcmesh-ask`, which the user binds."""
    for found in OBJECTS:
        if found["kind"].endswith("Role") and found["metadata"].get("namespace", namespace) == namespace:
            yield from found["rules"] if found["metadata"]["name"] == "dcmesh-status" else ()


def may_read(path: str) -> bool:
    if path.startswith("/version"):
        return True
    match = PATH.fullmatch(path)
    assert match, path
    what = "/".join(part for part in (match["resource"], match["sub"]) if part)
    return any(
        (match["group"] or "") in rule["apiGroups"]
        and what in rule["resources"]
        and ("get" if match["name"] else "list") in rule["verbs"]
        for rule in rules(match["namespace"] or "")
    )


def refused(server: KubernetesAPI) -> set[str]:
    """Return what a server was asked for and the role does not allow."""
    return {path for path in server.asked if not may_read(path)}


@pytest.fixture
def cluster() -> Iterator[KubernetesAPI]:
    with kubernetes_api() as server:
        server.objects = statuses.objects()
        yield server


@pytest.fixture
def ask(cluster: KubernetesAPI, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Ask both sites of what the stack says of their certificates."""
    played = statuses.Containers()
    for module in ("kube.pods", "status.hosts", "status.databases"):
        monkeypatch.setattr(f"dcmesh.{module}.run_in", played)
    reached = kubeconfig({"there": f"http://127.0.0.1:{cluster.server_port}"})

    def ask(told: Bundle | None) -> Status:
        sites = (statuses.exporter(reached), statuses.importer(reached))
        return ask_all([replace(site, certificates=told) for site in sites], 60)

    return ask


def test_the_role_reads_and_knows_no_secret() -> None:
    for found in OBJECTS:
        for rule in found.get("rules", ()):
            verbs = {"get", "list"} | ({"create"} if rule["resources"] == ["pods/exec"] else set())
            assert set(rule["verbs"]) <= verbs
            assert not {"secrets", "*"} & {*rule["resources"], *rule["apiGroups"]}


def test_status_is_well_for_who_may_not_read_the_key(ask: Any, cluster: KubernetesAPI) -> None:
    cluster.objects[CACERTS] = 403
    cluster.objects[MESH_ROOT] = {"metadata": {}, "data": {"root-cert.pem": authority("Root CA", until=LONG).pem}}
    intermediate = authority("Intermediate CA dc1", root(), until=LONG)
    status = ask(Bundle(chain=intermediate.pem, root=root().pem))
    assert status.problems == ()
    subjects = {(of["kind"], of["subject"]) for of in status.as_json()["sites"]["dc1"]["certificates"]}
    assert {("root", "Root CA"), ("intermediate", "Intermediate CA dc1")} <= subjects
    assert refused(cluster) == {CACERTS}


def test_exports_are_asked_by_what_the_role_allows(cluster: KubernetesAPI) -> None:
    """An ingress port's guard, and the pods behind any other port."""
    there = kubeconfig({"there": f"http://127.0.0.1:{cluster.server_port}"})
    ingress = statuses.DB_EXPORT.model_copy(update={"ingress": True, "ingress_ports": {3306: 13306}})
    site = replace(statuses.exporter(there), exports=(ingress, statuses.DB_EXPORT))
    ask_exports(lambda: connect(there), site)
    assert len(cluster.asked) == 2
    assert refused(cluster) == set()


def test_an_intermediate_that_nobody_tells_of_is_unknown(ask: Any, cluster: KubernetesAPI) -> None:
    """The Secret was there before the stack."""
    cluster.objects[CACERTS] = 403
    problems = [problem.text for problem in ask(None).problems]
    reason = "the Secret istio-system/cacerts cannot be read: 403 Forbidden"
    assert problems == [f"{site} certificate of intermediate of {site}: {reason}" for site in ("dc1", "dc2")]


def test_roots_that_may_not_be_read_either_are_unknown(ask: Any, cluster: KubernetesAPI) -> None:
    cluster.objects |= {CACERTS: 403, MESH_ROOT: 403}
    told = Bundle(chain=root().pem, root=root().pem)
    problems = [problem.text for problem in ask(told).problems]
    assert [text.rpartition(": ")[2] for text in problems] == ["403 Forbidden"] * 2


def test_the_doctor_reads_what_the_role_allows() -> None:
    with doctors.playing() as pair:
        pair.played.silent()
        examine(pair.sites)
        for server in (pair.importer, pair.exporter):
            assert server.asked
            assert refused(server) == set()


def test_all_that_the_doctor_can_ask_for_is_allowed(cluster: KubernetesAPI) -> None:
    """A walk asks for no more than what it comes to."""
    side = Evidence(statuses.exporter(kubeconfig({"there": f"http://127.0.0.1:{cluster.server_port}"})))
    asked = len(cluster.asked)
    side.namespace("wookie")
    side.pods("wookie")
    side.service("wookie", "db")
    side.services("wookie")
    side.endpoint_slices("wookie")
    side.stateful_set("wookie", "db")
    side.config_map("istio-system", "istio-sidecar-injector")
    side.listed("/apis/networking.k8s.io/v1/namespaces/wookie/networkpolicies")
    for kind in ISTIO:
        side.istio(kind)
    for kind in ("StatefulSet", "ReplicaSet", "Deployment", "DaemonSet"):
        owner = {"controller": True, "apiVersion": "apps/v1", "kind": kind, "name": "of"}
        side.owner({"metadata": {"namespace": "wookie", "ownerReferences": [owner]}})
    assert side.cluster
    assert len(cluster.asked) - asked > 20
    assert refused(cluster) == set()


def test_what_is_read_of_a_stack_is_no_secret(engine: Engine, dev: Config) -> None:
    """Pulumi shows it without the passphrase: all but the kubeconfigs of clusters that the stack has made."""
    dev["sites"][0]["workloads"].append({"kind": "mariadb", "namespace": "wookie", "replicas": 2})
    run_program(engine, dev)
    assert {"sites", "certificates"} <= set(engine.outputs)
    assert engine.secret_outputs & {"sites", "certificates", "kubeconfigs"} == {"kubeconfigs"}


def test_what_the_role_does_not_name_is_refused() -> None:
    """The test itself can fail."""
    assert not may_read(CACERTS)
    assert not may_read("/api/v1/namespaces/wookie/configmaps/of-the-database")
    assert not may_read("/api/v1/namespaces/wookie/pods/db-0/exec")
    assert not may_read("/apis/apps/v1/namespaces/wookie/controllerrevisions/db")
    assert may_read("/api/v1/namespaces/kube-system")
    assert may_read(MESH_ROOT)
    assert may_read("/api/v1/namespaces/wookie/pods/db-0/log")
