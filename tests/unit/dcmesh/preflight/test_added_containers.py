"""What `firstCopy: backup` adds to pods that run, where a quota or a LimitRange does not allow it."""

from collections.abc import Callable
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
SPECIFY = f"{WHY}failed quota: q: must specify limits.cpu for: i0,i1"
EXCEEDED = f"{WHY}exceeded quota: q, requested: requests.memory=256Mi, used: requests.memory=9Gi, limited: a"
OF_A_POD = f"{WHY}[maximum cpu usage per Pod is 1, but limit is 2]"
LIMITS = "change the namespace's LimitRange"
ROOM = "raise the quota"
RESOURCES = {"requests": {"cpu": "100m", "memory": "256Mi"}}

Pod = dict[str, Any]


def found(api: ApiClient, first_copy: str = "backup", times: int = 1, **database: Any) -> list[Finding]:
    """Return the findings of the replica's site, whose database is there so many times."""
    raw = stack("mariadb-gateways")
    site, given = raw["sites"][1], {"firstCopy": first_copy, "replicas": 2, **database}
    site["workloads"] = [one | given for one in site["workloads"]] * times
    return list(added_containers.outgrown(Allowed(api), Settings.model_validate(raw).sites[1], "s"))


def run(server: KubernetesAPI, *others: str, **resources: Any) -> None:
    """Have the database's pods run with a server of these resources, and with other containers."""
    containers = [{"name": "mariadb", "resources": resources or RESOURCES}, *({"name": one} for one in others)]
    server.objects[SERVERS] = {"spec": {"template": {"spec": {"containers": containers}}}}


def refuse(server: KubernetesAPI, message: str, which: Callable[[Pod], bool] = bool) -> list[Pod]:
    """Refuse the pods of which this is so. Return the specs that are asked about, once they are."""
    asked = list[Pod]()

    def answer(pod: Pod) -> Any:
        asked.append(pod)
        return (403, message) if which(pod["spec"]) else {}

    server.objects[PODS] = answer
    return asked


def whole(spec: Pod) -> bool:
    return bool(spec["initContainers"])


def added(spec: Pod) -> bool:
    return not whole(spec)


@pytest.mark.parametrize(
    ("message", "which", "cure"),
    [
        (SPECIFY, whole, "give the namespace a LimitRange with defaults for what is not specified"),
        (f"{WHY}minimum memory usage per Container is 200Mi, but request is 128Mi", whole, LIMITS),
        (f"{WHY}[cpu max limit to request ratio per Container is 2, but a]", whole, LIMITS),
        (f"{WHY}minimum memory usage per Container is 200Mi, but request is 128Mi", added, LIMITS),
        (OF_A_POD, whole, LIMITS),
        (EXCEEDED, added, ROOM),
        (f"{WHY}exceeded quota: q, requested: pods=1,limits.ephemeral-storage=1Gi, used: a", added, ROOM),
    ],
)
def test_pods_that_run_are_not_changed_if_they_would_be_kept_out(
    server: KubernetesAPI, api: ApiClient, message: str, which: Callable[[Pod], bool], cure: str
) -> None:
    run(server)
    refuse(server, message, which)
    (finding,) = found(api)
    assert type(finding) is Finding
    assert finding.line() == (
        's.workloads[0].firstCopy: "backup" adds a container to the pods of wookie-dr/db, and dc2 would not let them '
        f"in again ({message}): {cure}, or leave `firstCopy` as it was"
    )


@pytest.mark.parametrize(
    "message",
    [
        f"{WHY}exceeded quota: q, requested: pods=1, used: pods=4, limited: pods=4",
        f"{WHY}minimum memory usage per Pod is 1Gi, but request is 384Mi",
        'admission webhook "k" denied the request: exceeded quota: q, requested: requests.cpu=1, used: a',
        'pods is forbidden: User "u" cannot create resource "pods"',
    ],
)
def test_what_may_be_said_of_the_sample_alone_is_a_warning(server: KubernetesAPI, api: ApiClient, message: str) -> None:
    """The pods are as many as before, and may have an exporter beside the server."""
    run(server)
    refuse(server, message)
    (remark,) = found(api)
    assert isinstance(remark, Remark)
    assert f"may not let them in again; a dry run of a pod with it ended so: {message}" in remark.line()


def test_amounts_are_not_asked_for_by_the_whole_pod(server: KubernetesAPI, api: ApiClient) -> None:
    """What the pods have now is free before they come again."""
    run(server)
    refuse(server, EXCEEDED, whole)
    assert found(api) == []


def test_a_smaller_server_may_make_room(server: KubernetesAPI, api: ApiClient) -> None:
    run(server, requests={"cpu": "1", "memory": "4Gi"})
    refuse(server, EXCEEDED, added)
    (remark,) = found(api)
    assert isinstance(remark, Remark)
    (finding,) = found(api, resources={"requests": {"cpu": "1", "memory": "4Gi"}})
    assert type(finding) is Finding


def test_the_containers_of_all_pods_may_be_too_much_for_one(server: KubernetesAPI, api: ApiClient) -> None:
    def answer(pod: Pod) -> Any:
        if whole(pod["spec"]):
            return {}
        return (403, EXCEEDED if len(pod["spec"]["containers"]) == 1 else OF_A_POD)

    run(server)
    server.objects[PODS] = answer
    (finding,) = found(api)
    assert type(finding) is Finding
    assert EXCEEDED in finding.line()
    refuse(server, OF_A_POD, lambda spec: added(spec) and len(spec["containers"]) > 1)
    (remark,) = found(api)
    assert isinstance(remark, Remark), "whether the quota has room for all of them is not known"


@pytest.mark.parametrize("sidecar", [True, False])
def test_a_whole_pod_is_asked_about_and_what_is_added_to_all(
    server: KubernetesAPI, api: ApiClient, sidecar: bool
) -> None:
    run(server)
    asked = refuse(server, "", lambda _: False)
    assert found(api, sidecar=sidecar) == []
    pod, of_all = asked
    new = copies({}, [])["resources"]
    assert [one.get("resources") for one in pod["spec"]["initContainers"]] == [None, None]
    assert [one["resources"] for one in pod["spec"]["containers"]] == [RESOURCES, new]
    assert pod["metadata"]["labels"] == {"app": "db", "sidecar.istio.io/inject": str(sidecar).lower()}
    assert of_all["spec"]["initContainers"] == []
    assert [one["resources"] for one in of_all["spec"]["containers"]] == [new, new]
    assert of_all["metadata"]["labels"] == {"sidecar.istio.io/inject": "false"}


def test_nothing_is_asked_where_nothing_is_added(server: KubernetesAPI, api: ApiClient) -> None:
    asked = refuse(server, SPECIFY)
    assert found(api) == [], "pods that are not there yet are asked about as a whole"
    run(server, copies({}, [])["name"])
    assert found(api) == []
    run(server)
    assert found(api, "dump") == []
    assert asked == []
    assert found(api) != []


def test_who_does_not_answer_is_asked_once(server: KubernetesAPI, api: ApiClient) -> None:
    asked = list[Pod]()

    def silent(pod: Pod) -> Any:
        asked.append(pod)
        return 500, "Internal error occurred: failed calling webhook: deadline"

    run(server)
    server.objects[PODS] = silent
    (remark,) = found(api, times=2)
    assert isinstance(remark, Remark)
    assert len(asked) == 1
