"""Questions to egress gateways: with a fake API server, and fakes of commands in containers."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from dcmesh.foreign.consumer import at_consumer
from dcmesh.foreign.objects import IstioObjects
from dcmesh.model.egress import name_for
from dcmesh.model.link import ServiceAccount, server_name
from dcmesh.sites_in_outputs import DeployedSite, parse_outputs
from dcmesh.status.hosts import clusters_path
from dcmesh.status.screen import text
from dcmesh.status.sites import Status, ask_all
from tests.unit import doctors, statuses
from tests.unit.configurations import stack
from tests.unit.engine import Engine
from tests.unit.program import run_program
from tests.unit.servers import KubernetesAPI, kubeconfig, kubernetes_api
from tests.unit.statuses import DB0, DB_EXPORT, IDENTITY

EGRESS = ServiceAccount("out", "egress")
LABELS = {"app": "dcmesh-egress", "istio": "dcmesh-egress"}
EXPORT = DB_EXPORT.model_copy(update={"hosts": (DB0,), "by_gateway": True})
DEPLOYMENT, JOB = (
    "/apis/apps/v1/namespaces/out/deployments/dcmesh-egress",
    "/apis/batch/v1/namespaces/out/jobs/dcmesh-stranger",
)
PODS = "/api/v1/namespaces/out/pods"


def gateway_pod() -> dict[str, Any]:
    found = statuses.pod("out", "egress-1")
    running = {"name": "istio-proxy", "state": {"running": {}}}
    return {
        "metadata": {**found["metadata"], "labels": LABELS},
        "spec": {"containers": [{"name": "istio-proxy"}], "serviceAccountName": "egress"},
        "status": {"phase": "Running", "containerStatuses": [running]},
    }


def ended(kind: str, reason: str = "") -> dict[str, Any]:
    return {"metadata": {}, "status": {"conditions": [{"type": kind, "status": "True", "reason": reason}]}}


class Containers:
    """Stands in for the commands in the egress gateway's container."""

    def __init__(self) -> None:
        self.counts = doctors.counts()
        self.said = f"ok {DB0} 3306 greeting\n"

    def __call__(self, _: Any, *, namespace: str, pod: str, container: str, command: tuple[str, ...]) -> str:
        assert (namespace, pod, container) == ("out", "egress-1", "istio-proxy")
        if command[0] != "pilot-agent":
            return self.said
        if command[3].startswith("stats"):
            return json.dumps(self.counts)
        if "dynamic_listeners" in command[3]:
            return json.dumps({"configs": [{"error_state": {"details": "no such filter"}}]})
        if command[3].startswith("certs"):
            return json.dumps(statuses.proxy_certs())
        return json.dumps(statuses.clusters(IDENTITY)).replace(DB0, server_name(DB0, "dc1"))


@pytest.fixture
def containers(monkeypatch: pytest.MonkeyPatch) -> Containers:
    played = Containers()
    for module in ("kube.pods", "status.hosts"):
        monkeypatch.setattr(f"dcmesh.{module}.run_in", played)
    return played


@pytest.fixture
def cluster(containers: Containers) -> Iterator[KubernetesAPI]:
    with kubernetes_api() as server:
        template = {"metadata": {"labels": LABELS}}
        server.objects = {
            **statuses.objects(),
            DEPLOYMENT: {
                "spec": {"replicas": 2, "selector": {"matchLabels": LABELS}, "template": template},
                "status": {"readyReplicas": 2},
            },
            JOB: ended("Complete"),
            PODS: {"items": [gateway_pod()]},
        }
        yield server


def ask(cluster: KubernetesAPI) -> Status:
    site = DeployedSite(
        name="dc2",
        cluster=kubeconfig({"there": f"http://127.0.0.1:{cluster.server_port}"}),
        gateway=None,
        exports=(),
        accounts={EGRESS: (EXPORT,)},
        pending=(),
        servers=(),
        egress_gateways=(EGRESS,),
    )
    return ask_all([site], 60)


def texts(status: Status) -> list[str]:
    return [f"{problem.state.name} {problem.text}" for problem in status.problems]


def test_one_that_is_well(cluster: KubernetesAPI) -> None:
    status = ask(cluster)
    assert texts(status) == []
    (gateway,) = status.as_json()["sites"]["dc2"]["egressGateways"]
    assert (gateway["account"], gateway["ready"], gateway["open"]) == ("out/egress", 2, False)
    (host,) = status.as_json()["sites"]["dc2"]["hosts"]
    assert (host["host"], host["answer"]["text"], host["accepted"]) == (DB0, "greeting", [IDENTITY])
    assert "Egress gateways" in text(status)


@pytest.mark.parametrize(
    ("path", "found", "said"),
    [
        (DEPLOYMENT, 404, "CRITICAL dc2 egress gateway out/egress: no pod is ready, 0 wanted"),
        (DEPLOYMENT, 403, "UNKNOWN dc2 egress gateway out/egress: 403 Forbidden"),
        (
            JOB,
            ended("Failed", "PodFailurePolicy"),
            "WARNING dc2 egress gateway out/egress: a pod that is none of its clients was answered: nothing in this",
        ),
    ],
)
def test_what_is_wrong(cluster: KubernetesAPI, path: str, found: Any, said: str) -> None:
    cluster.objects[path] = found
    assert [line for line in texts(ask(cluster)) if line.startswith(said)]


def test_a_pod_is_lacking(cluster: KubernetesAPI) -> None:
    cluster.objects[DEPLOYMENT]["status"] = {"readyReplicas": 1}
    assert texts(ask(cluster)) == ["WARNING dc2 egress gateway out/egress: 1 of 2 pods are ready"]


@pytest.mark.parametrize(
    "job",
    [
        404,
        {"metadata": {}},
        {"metadata": {}, "status": {"active": 1}},
        ended("Failed", "DeadlineExceeded"),  # Its image is missing.
        ended("Failed", "BackoffLimitExceeded"),
    ],
)
def test_a_stranger_who_has_not_asked_says_nothing(cluster: KubernetesAPI, job: Any) -> None:
    cluster.objects[JOB] = job
    assert texts(ask(cluster)) == []
    assert ask(cluster).as_json()["sites"]["dc2"]["egressGateways"][0]["open"] is None


def test_what_its_envoy_refuses_is_critical(cluster: KubernetesAPI, containers: Containers) -> None:
    containers.counts = doctors.counts(listeners=(1, "2026-11-23T08:00:00Z/7"))
    (said,) = texts(ask(cluster))
    assert said.startswith("CRITICAL dc2 egress gateway out/egress: the Envoy of out/egress-1 refuses the listeners")
    assert "no such filter" in said


def test_a_host_that_does_not_answer_is_critical(cluster: KubernetesAPI, containers: Containers) -> None:
    containers.said = f"failed {DB0} 3306 closed without answer\n"
    assert texts(ask(cluster)) == [f"CRITICAL dc2 out/egress to {DB0}:3306: closed without answer"]


def test_its_envoy_knows_a_host_by_the_links_name() -> None:
    assert "db%5C-0%5C.db%5C.wookie%5C.dc1%5C.dcmesh" in clusters_path((EXPORT,))


def test_what_others_write_for_the_links_name_is_named() -> None:
    name = server_name(DB0, "dc1")
    own = doctors.istio(name_for(DB0), "out", {"hosts": [name]})
    foreign = doctors.istio("other", "out", {"hosts": [name]})
    rule = doctors.istio("wide", "out", {"host": "*.dcmesh", "trafficPolicy": {}})
    ours = doctors.istio(name_for(DB0), "out", {"host": name})
    objects = IstioObjects(entries=[own, foreign], rules=[rule], gateway_labels={})
    assert [(one.name, one.hosts) for one in at_consumer("dc2", EGRESS, EXPORT, objects)] == [
        ("out/other", (DB0,)),
        ("out/wide", (DB0,)),
    ]
    assert [*at_consumer("dc2", EGRESS, EXPORT, replace(objects, entries=[own], rules=[rule, ours]))] == []


def test_the_stacks_outputs_tell_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = run_program(Engine(), stack("mariadb-egress"))
    sites = {site.name: site for site in parse_outputs(engine.outputs)}
    account = ServiceAccount("dcmesh-egress", "egress")
    assert sites["dc2"].egress_gateways == (account,)
    assert [export.by_gateway for export in sites["dc2"].accounts[account]] == [True]
    assert sites["dc1"].egress_gateways == ()
