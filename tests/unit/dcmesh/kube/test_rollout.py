"""A rollout has not ended before Kubernetes' controller has seen the change, whatever else the status says."""

import threading
from collections.abc import Iterator
from typing import Any

import pulumi
import pytest

from dcmesh.kube import rollout
from dcmesh.kube.rollout import missing, wait_for
from tests.unit.servers import KubernetesAPI, kubeconfig, kubernetes_api

PATH = "/apis/apps/v1/namespaces/wookie/statefulsets/db"


def stateful_set(*, observed: int = 7, updated: int = 3, ready: int = 3) -> dict[str, Any]:
    return {
        "metadata": {"generation": 7},
        "spec": {"replicas": 3},
        "status": {"observedGeneration": observed, "updatedReplicas": updated, "readyReplicas": ready},
    }


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (stateful_set(), ""),
        (stateful_set(observed=6), "its controller has not seen the change yet"),
        (stateful_set(updated=1), "1 of 3 pods are new"),
        (stateful_set(ready=2), "2 of 3 pods are ready"),
        ({**stateful_set(), "status": {}}, "its controller has not seen the change yet"),
        ({**stateful_set(), "status": {"observedGeneration": 8}}, "0 of 3 pods are new"),
    ],
)
def test_what_is_missing(found: dict[str, Any], reason: str) -> None:
    assert missing(found) == reason


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesAPI]:
    monkeypatch.setattr(rollout, "INTERVAL", 0.01)
    with kubernetes_api() as server:
        yield server


def wait(server: KubernetesAPI, seconds: float) -> None:
    wait_for("dc1", kubeconfig({"there": f"http://127.0.0.1:{server.server_port}"}), "wookie", "db", seconds)


def test_it_is_waited_for_through_whatever_comes_before(cluster: KubernetesAPI) -> None:
    """The second and third are what makes Pulumi's own wait end too early, and a cluster that is busy."""
    cluster.objects[PATH] = stateful_set(observed=6)
    waiting = threading.Thread(target=wait, args=(cluster, 30))
    waiting.start()
    for step in (503, stateful_set(updated=2), stateful_set(ready=2)):
        asked = len(cluster.asked)
        cluster.objects[PATH] = step
        while len(cluster.asked) < asked + 2:
            pass
        assert waiting.is_alive()
    cluster.objects[PATH] = stateful_set()
    waiting.join(10)
    assert not waiting.is_alive()


def test_one_that_does_not_end_says_what_its_pods_say(cluster: KubernetesAPI) -> None:
    cluster.objects[PATH] = stateful_set(ready=2)
    pods = "/api/v1/namespaces/wookie/pods"
    cluster.objects[f"{pods}/db-0"] = {
        "metadata": {"namespace": "wookie", "name": "db-0"},
        "spec": {"containers": [{"name": "mariadb"}]},
        "status": {"containerStatuses": [{"name": "mariadb", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]},
    }
    cluster.objects[f"{pods}/db-0/log"] = "dcmesh: read-only until dc2 answers\n"
    with pytest.raises(pulumi.RunError) as error:
        wait(cluster, 0)
    assert str(error.value) == (
        "dc1: the StatefulSet wookie/db is not rolled out after 0 s: 2 of 3 pods are ready\n"
        "  wookie/db-0: read-only until dc2 answers"
    )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (404, "dc1: the StatefulSet wookie/db is not there"),
        (403, "dc1: the StatefulSet wookie/db is not rolled out after 0 s: its cluster cannot be asked (403"),
    ],
)
def test_one_that_cannot_be_asked_for_is_no_success(cluster: KubernetesAPI, answer: int, reason: str) -> None:
    cluster.objects[PATH] = answer
    with pytest.raises(pulumi.RunError) as error:
        wait(cluster, 0)
    assert str(error.value).startswith(reason)
