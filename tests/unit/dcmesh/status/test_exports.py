"""Checks of exports at their own site, of what no importer can see."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from dcmesh.kube.api import connect
from dcmesh.model.facts import State
from dcmesh.model.ingress_port import guard
from dcmesh.model.link import POD_NAME
from dcmesh.sites_in_outputs import DeployedExport, DeployedSite
from dcmesh.status.exports import ask_exports
from tests.unit import statuses
from tests.unit.servers import KubernetesAPI, kubeconfig, kubernetes_api
from tests.unit.statuses import DB0, DB_EXPORT

PODS = "/api/v1/namespaces/wookie/pods"
FILTERS = "/apis/networking.istio.io/v1alpha3/namespaces/wookie/envoyfilters"
AT_INGRESS = DB_EXPORT.model_copy(
    update={"server_names": DB_EXPORT.hosts, "ingress": True, "ingress_ports": {3306: 13306}}
)
SPEC: dict[str, Any] = guard(AT_INGRESS, {3306: 13306}, {"dcmesh/ingress": "db"})


@pytest.fixture
def cluster() -> Iterator[KubernetesAPI]:
    with kubernetes_api() as server:
        yield server


def said(cluster: KubernetesAPI, export: DeployedExport) -> list[tuple[State, str]]:
    there = kubeconfig({"there": f"http://127.0.0.1:{cluster.server_port}"})
    site: DeployedSite = replace(statuses.exporter(there), exports=(export,))
    facts = ask_exports(lambda: connect(site.kubeconfig), site)
    return [(problem.state, problem.text) for fact in facts for problem in fact.problems]


def named(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec}


def pods(*names: str, phase: str = "Running", **port: Any) -> dict[str, Any]:
    """Return pods with one port each."""
    containers = [{"name": "db", "ports": [{"containerPort": 9104, **port}]}]
    return {
        "items": [
            {
                "metadata": {"name": name, "namespace": "wookie", "labels": {POD_NAME: name}},
                "spec": {"containers": containers},
                "status": {"phase": phase},
            }
            for name in names
        ]
    }


@pytest.mark.parametrize("server_names", [(), DB_EXPORT.hosts])
def test_a_port_that_is_called_like_the_exports_is_critical(
    cluster: KubernetesAPI, server_names: tuple[str, ...]
) -> None:
    """This holds for TLS that ends at the pod, and at the gateway."""
    export = DB_EXPORT.model_copy(update={"server_names": server_names})
    cluster.objects[PODS] = pods("db-0", name="tcp")
    led = "is led to port 9104 of pod wookie/db-0, which a container calls `tcp`"
    ((state, text),) = said(cluster, export)
    assert state == State.CRITICAL
    assert text.startswith(f"dc1 export db:3306: {led}")


@pytest.mark.parametrize(
    "found",
    [
        pods("db-0", name="metrics"),
        pods("db-0", name="tcp", protocol="UDP"),
        pods("db-0", name="tcp", containerPort=3306),
        pods("db-7", name="tcp"),  # not exported
        pods("db-0", name="tcp", phase="Failed"),
    ],
)
def test_what_leads_nobody_elsewhere(cluster: KubernetesAPI, found: dict[str, Any]) -> None:
    cluster.objects[PODS] = found
    assert said(cluster, DB_EXPORT) == []


def test_a_further_port_has_a_name_with_its_number(cluster: KubernetesAPI) -> None:
    cluster.objects[PODS] = pods("db-0", name="tcp-3306")
    assert len(said(cluster, DB_EXPORT.model_copy(update={"entry_port": "tcp-3306"}))) == 1
    assert said(cluster, DB_EXPORT) == []


def test_a_service_as_a_whole_is_not_led_by_names(cluster: KubernetesAPI) -> None:
    cluster.objects[PODS] = pods("db", name="tcp")
    assert said(cluster, DB_EXPORT.model_copy(update={"hosts": (DB0.partition(".")[2],)})) == []


def test_an_ingress_ports_filter_is_there_and_as_it_was_made(cluster: KubernetesAPI) -> None:
    another = named("another", {})
    cluster.objects |= {FILTERS: {"items": [another, named("db-ingress", SPEC)]}, PODS: pods("db-0", name="tcp")}
    assert said(cluster, AT_INGRESS) == []
    changed = {**SPEC, "configPatches": SPEC["configPatches"][:-1]}
    cluster.objects[FILTERS] = {"items": [another, named("db-ingress", changed)]}
    ((state, text),) = said(cluster, AT_INGRESS)
    assert state == State.CRITICAL
    assert (
        "its EnvoyFilter wookie/db-ingress is not as dcmesh makes it, so others than the consumers may get in" in text
    )
    cluster.objects[FILTERS] = {"items": [another]}
    ((state, text),) = said(cluster, AT_INGRESS)
    assert state == State.CRITICAL
    assert "its EnvoyFilter wookie/db-ingress is gone, so the ingress port is closed to everybody" in text


def test_what_may_not_be_read_is_unknown(cluster: KubernetesAPI) -> None:
    cluster.objects[PODS] = 403
    ((state, text),) = said(cluster, DB_EXPORT)
    assert state == State.UNKNOWN
    assert text.startswith("dc1 export db:3306: ")
