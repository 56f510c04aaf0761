"""A rollout has not ended before Kubernetes' controller has seen the change, whatever else the status says."""

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest

from dcmesh.kube import rollout
from dcmesh.kube.rollout import missing, wait_for
from tests.unit.servers import VERSION, KubernetesAPI, kubeconfig, kubernetes_api

PATH = "/apis/apps/v1/namespaces/wookie/statefulsets/db"
PODS = "/api/v1/namespaces/wookie/pods"


def stateful_set(*, observed: int = 7, updated: int = 3) -> dict[str, Any]:
    return {
        "metadata": {"generation": 7},
        "spec": {"replicas": 3},
        "status": {"observedGeneration": observed, "updatedReplicas": updated},
    }


def pod(ordinal: int = 0, *, ready: str = "True", **state: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "wookie", "name": f"db-{ordinal}"},
        "spec": {"containers": [{"name": "mariadb"}]},
        "status": {
            "phase": "Pending",
            "conditions": [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": ready}],
            "containerStatuses": [{"name": "mariadb", "state": state}] if state else [],
        },
    }


@pytest.mark.parametrize(
    ("found", "first", "reason"),
    [
        (stateful_set(), pod(), ""),
        (stateful_set(observed=6), pod(), "its controller has not seen the change yet"),
        (stateful_set(updated=1), pod(), "1 of 3 pods are new"),
        (stateful_set(), pod(ready="False"), "pod 0 is not ready"),
        (stateful_set(), None, "pod 0 is not ready"),
        ({**stateful_set(), "status": {}}, pod(), "its controller has not seen the change yet"),
        ({**stateful_set(), "status": {"observedGeneration": 8}}, pod(), "0 of 3 pods are new"),
    ],
)
def test_what_is_missing(found: dict[str, Any], first: dict[str, Any] | None, reason: str) -> None:
    assert missing(found, first) == reason


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesAPI]:
    monkeypatch.setattr(rollout, "INTERVAL", 0.01)
    with kubernetes_api() as server:
        server.objects["/version/"] = VERSION
        yield server


def wait(server: KubernetesAPI, seconds: float, say: Callable[[str], None] = lambda _: None) -> None:
    wait_for("dc1", kubeconfig({"there": f"http://127.0.0.1:{server.server_port}"}), "wookie", "db", seconds, say)


def test_it_is_waited_for_through_whatever_comes_before(cluster: KubernetesAPI) -> None:
    """The second and third states, and a busy cluster, make Pulumi's own wait end too early."""
    cluster.objects[PATH] = stateful_set(observed=6)
    said = list[str]()
    waiting = threading.Thread(target=wait, args=(cluster, 30, said.append))
    waiting.start()
    for step in (503, stateful_set(updated=2), stateful_set()):
        asked = len(cluster.asked)
        cluster.objects[PATH] = step
        while len(cluster.asked) < asked + 2:
            pass
        assert waiting.is_alive()
    cluster.objects[f"{PODS}/db-0"] = pod()
    waiting.join(10)
    assert not waiting.is_alive()
    assert cluster.asked.count("/version/") == 1, "a user's own command may fetch the credentials"
    assert [line.removeprefix("dc1: the StatefulSet wookie/db: ").partition(" (")[0] for line in said[-3:]] == [
        "its cluster cannot be asked",
        "2 of 3 pods are new",
        "pod 0 is not ready",
    ]


def test_one_that_stands_still_says_how_its_pods_are(cluster: KubernetesAPI) -> None:
    cluster.objects[PATH] = stateful_set(updated=2)
    cluster.objects[f"{PODS}/db-0"] = pod(running={})
    cluster.objects[f"{PODS}/db-1"] = pod(1, waiting={"reason": "CrashLoopBackOff"})
    cluster.objects[f"{PODS}/db-0/log"] = "dcmesh: of this one nothing is said\n"
    cluster.objects[f"{PODS}/db-1/log"] = "dcmesh: read-only until dc2 answers\n"
    cluster.objects[f"{PODS}/db-2"] = pod(2)  # No node has room for this pod.
    with pytest.raises(pulumi.RunError) as error:
        wait(cluster, 0)
    assert str(error.value) == (
        "dc1: the StatefulSet wookie/db is not rolled out, and nothing has changed for 0 s: 2 of 3 pods are new\n"
        "  wookie/db-1: read-only until dc2 answers\n"
        "  wookie/db-2: Pending"
    )


def test_as_long_as_it_gets_on_it_is_waited_for(cluster: KubernetesAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """The total time does not matter."""
    clock = [0.0]
    monkeypatch.setattr(rollout, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=time.sleep))
    waiting = threading.Thread(target=wait, args=(cluster, 0.5))
    cluster.objects[PATH] = stateful_set(updated=0)
    waiting.start()
    for updated in (0, 1, 2, 1):  # A node may fail meanwhile.
        cluster.objects[PATH] = stateful_set(updated=updated)
        asked = cluster.asked.count(PATH)
        while cluster.asked.count(PATH) < asked + 3:  # The second of three has been seen whole.
            assert waiting.is_alive()
        clock[0] += 0.3
    assert waiting.is_alive()
    cluster.objects[PATH] = stateful_set()
    cluster.objects[f"{PODS}/db-0"] = pod()
    waiting.join(10)
    assert not waiting.is_alive()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (404, "dc1: the StatefulSet wookie/db is not there"),
        (403, "dc1: the StatefulSet wookie/db cannot be asked for: 403"),
        (
            503,
            "dc1: the StatefulSet wookie/db is not rolled out, and nothing has changed for 0 s: its cluster cannot be",
        ),
    ],
)
def test_one_that_cannot_be_asked_for_is_no_success(cluster: KubernetesAPI, answer: int, reason: str) -> None:
    cluster.objects[PATH] = answer
    with pytest.raises(pulumi.RunError) as error:
        wait(cluster, 0)
    assert str(error.value).startswith(reason)
