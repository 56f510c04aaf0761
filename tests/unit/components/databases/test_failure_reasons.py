"""When an `up` gives up waiting for a database, it shows what the database's pods said."""

from collections.abc import Iterator
from typing import Any

import pulumi
import pytest

from components.databases.failure_reasons import tell_reasons
from tests.unit.engine import Engine
from tests.unit.servers import KubernetesAPI, kubeconfig, kubernetes_api

INPUTS = {"metadata": {"namespace": "dr", "name": "db"}, "spec": {"replicas": 2}}
SAID = "cannot copy db-0.db.shop.svc.cluster.local: its view 'shop.v' refers to what is gone: DROP or mend it"


def pod(name: str, *, prepared: bool) -> dict[str, Any]:
    state = {"terminated": {"exitCode": 0 if prepared else 1}}
    running = {"name": "mariadb", "state": {"running": {}} if prepared else {"waiting": {"reason": "PodInitializing"}}}
    return {
        "metadata": {"namespace": "dr", "name": name},
        "spec": {"containers": [{"name": "mariadb"}]},
        "status": {"initContainerStatuses": [{"name": "prepare", "state": state}], "containerStatuses": [running]},
    }


@pytest.fixture
def cluster() -> Iterator[KubernetesAPI]:
    with kubernetes_api() as server:
        server.objects["/api/v1/namespaces/dr/pods/db-0"] = pod("db-0", prepared=False)
        server.objects["/api/v1/namespaces/dr/pods/db-0/log"] = f"something else\ndcmesh: {SAID}\nmore\n"
        server.objects["/api/v1/namespaces/dr/pods/db-1"] = pod("db-1", prepared=True)
        yield server


def fail(server: str, monkeypatch: pytest.MonkeyPatch, operation: str = "create", *, secret: bool = False) -> list[str]:
    """Let an operation fail, and return what is shown."""
    shown = list[str]()
    monkeypatch.setattr("pulumi.log.error", shown.append)

    async def ask() -> bool:
        inputs = {**INPUTS, "spec": pulumi.Output.secret(INPUTS["spec"])} if secret else INPUTS
        args = pulumi.ErrorHookArgs(
            "urn", "", "name", "type", new_inputs=inputs, failed_operation=operation, errors=["x"]
        )
        (hook,) = tell_reasons("dc2.dr", kubeconfig({"there": server})).on_error or []
        answer: Any = hook.callback(args)
        return bool(await answer)

    again = Engine().run(lambda: pulumi.export("again", pulumi.Output.from_input(ask()))).outputs["again"]
    assert again is False, "a second try waits as long again"
    return shown


def test_what_a_pod_has_said_is_told(cluster: KubernetesAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fail(f"http://127.0.0.1:{cluster.server_port}", monkeypatch) == [f"dr/db-0: {SAID}"]


def test_it_is_told_where_the_specification_holds_a_secret(
    cluster: KubernetesAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In that case Pulumi passes the whole specification as a secret."""
    assert fail(f"http://127.0.0.1:{cluster.server_port}", monkeypatch, secret=True) == [f"dr/db-0: {SAID}"]


def test_of_a_deletion_there_is_nothing_to_tell(cluster: KubernetesAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fail(f"http://127.0.0.1:{cluster.server_port}", monkeypatch, "delete") == []


def test_a_cluster_that_does_not_answer_adds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fail("http://127.0.0.1:1", monkeypatch) == []
