"""What `firstCopy: backup` adds to pods that run, where a quota has no room for it."""

from typing import Any

import pytest

from components.databases.mariadb import copies
from dcmesh.config.errors import Finding, Remark
from dcmesh.kube.api import ApiClient
from dcmesh.kube.read_rights import Allowed
from dcmesh.model.settings import Settings
from dcmesh.preflight import added_containers
from tests.unit.configurations import stack
from tests.unit.servers import KubernetesAPI

SERVERS = "/apis/apps/v1/namespaces/wookie-dr/statefulsets/db"
PODS = "POST /api/v1/namespaces/wookie-dr/pods"
WHY = 'pods "dcmesh-would-be" is forbidden: '


def found(api: ApiClient, first_copy: str = "backup", times: int = 1) -> list[Finding]:
    """Return the findings of the replica's site, whose database is there so many times."""
    raw = stack("mariadb-gateways")
    site = raw["sites"][1]
    site["workloads"] = [one | {"firstCopy": first_copy, "replicas": 2} for one in site["workloads"]] * times
    return list(added_containers.outgrown(Allowed(api), Settings.model_validate(raw).sites[1], "s"))


def run(server: KubernetesAPI, *containers: str) -> None:
    """Have the database's pods run with these containers."""
    server.objects[SERVERS] = {"spec": {"template": {"spec": {"containers": [{"name": one} for one in containers]}}}}


@pytest.mark.parametrize(
    ("message", "cure"),
    [
        (f"{WHY}failed quota: q: must specify limits.cpu for: c0,c1", "give the namespace a LimitRange"),
        (
            f"{WHY}exceeded quota: q, requested: pods=1,requests.memory=256Mi, used: pods=4,requests.memory=9Gi, "
            "limited: pods=4,requests.memory=9Gi",
            "raise the quota",
        ),
    ],
)
def test_pods_that_run_are_not_changed_if_a_quota_would_keep_them_out(
    server: KubernetesAPI, api: ApiClient, message: str, cure: str
) -> None:
    run(server, "mariadb")
    server.objects[PODS] = (403, message)
    (finding,) = found(api)
    assert type(finding) is Finding
    adds = 's.workloads[0].firstCopy: "backup" adds a container to the pods of wookie-dr/db, and dc2'
    assert finding.line() == f"{adds} would not let them in again ({message}): {finding.line().rpartition('): ')[2]}"
    assert f"): {cure}" in finding.line()
    assert finding.line().endswith(", or leave `firstCopy` as it was")


@pytest.mark.parametrize(
    "message",
    [
        f"{WHY}exceeded quota: q, requested: pods=1, used: pods=4, limited: pods=4",
        f"{WHY}[maximum cpu usage per Pod is 1, but limit is 2, a]",
        'admission webhook "k" denied the request: exceeded quota: q, requested: requests.cpu=1, used: a',
        'pods is forbidden: User "u" cannot create resource "pods"',
    ],
)
def test_what_may_be_said_of_the_sample_alone_is_a_warning(server: KubernetesAPI, api: ApiClient, message: str) -> None:
    """The pods are as many as before, and each of them gets one of the containers."""
    run(server, "mariadb")
    server.objects[PODS] = (403, message)
    (remark,) = found(api)
    assert isinstance(remark, Remark)
    assert f"may not let them in again; a dry run of a pod with it ended so: {message}" in remark.line()


def test_what_is_added_to_all_pods_is_asked_about_and_nothing_else(server: KubernetesAPI, api: ApiClient) -> None:
    asked = list[dict[str, Any]]()

    def answer(pod: dict[str, Any]) -> dict[str, Any]:
        asked.append(pod)
        return {}

    run(server, "mariadb")
    server.objects[PODS] = answer
    assert found(api) == []
    (pod,) = asked
    assert pod["spec"]["initContainers"] == []
    assert [one["resources"] for one in pod["spec"]["containers"]] == [copies({}, [])["resources"]] * 2
    assert pod["metadata"]["labels"] == {"sidecar.istio.io/inject": "false"}


def test_nothing_is_asked_where_nothing_is_added(server: KubernetesAPI, api: ApiClient) -> None:
    server.objects[PODS] = (403, f"{WHY}failed quota: q: must specify limits.cpu for: c0")
    assert found(api) == [], "pods that are not there yet are asked about as a whole"
    run(server, "mariadb", "copies")
    assert found(api) == []
    run(server, "mariadb")
    assert found(api, "dump") == []
    assert found(api) != []


def test_who_does_not_answer_is_asked_once(server: KubernetesAPI, api: ApiClient) -> None:
    run(server, "mariadb")
    server.objects[PODS] = (500, "Internal error occurred: failed calling webhook: deadline")
    (remark,) = found(api, times=2)
    assert isinstance(remark, Remark)
