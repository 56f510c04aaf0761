"""Removing a stuck replacement from a state."""

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest

from tests.unit.dcmesh.status.test_command import run

PROVIDER = "urn:pulumi:dc1::dcmesh::pulumi:providers:kubernetes::dc1-cluster-kubernetes"
OTHERS = "urn:pulumi:dc1::dcmesh::pulumi:providers:tls::default"
NAMESPACE = "urn:pulumi:dc1::dcmesh::kubernetes:core/v1:Namespace::demo"
JOB = "urn:pulumi:dc1::dcmesh::kubernetes:batch/v1:Job::probe"
RELEASE = "urn:pulumi:dc1::dcmesh::kubernetes:helm.sh/v3:Release::base"


def resource(urn: str, id_: str, provider: str = "", **rest: Any) -> dict[str, Any]:
    by = {"provider": provider} if provider else {}
    return {"urn": urn, "type": urn.split("::")[2], "id": id_, **by, **rest}


STUCK = [
    {"urn": "urn:pulumi:dc1::dcmesh::pulumi:pulumi:Stack::dcmesh-dc1", "type": "pulumi:pulumi:Stack"},
    resource(OTHERS, "tls"),
    resource("urn:pulumi:dc1::dcmesh::tls:index/privateKey:PrivateKey::key", "k", f"{OTHERS}::tls"),
    resource(PROVIDER, "three"),
    resource(NAMESPACE, "demo", f"{PROVIDER}::three"),
    resource(JOB, "probe-new", f"{PROVIDER}::three"),
    resource(PROVIDER, "two", delete=True),
    resource(NAMESPACE, "demo", f"{PROVIDER}::two", delete=True),
    resource(PROVIDER, "one", delete=True),
    resource(NAMESPACE, "demo", f"{PROVIDER}::one", delete=True),
    resource(JOB, "probe-old", f"{PROVIDER}::one", delete=True),
    resource(RELEASE, "istio-base", f"{PROVIDER}::one"),
]
"""A state after two attempts, in both of which the release could not be installed."""


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str], tuple[int, str, str]]:
    """Run the verb on a text. Return its status, its output and its complaints."""

    def typed(text: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", StringIO(text))
        return run("unstick"), *capsys.readouterr()

    return typed


@pytest.fixture
def left(typed: Callable[[str], tuple[int, str, str]]) -> list[dict[str, Any]]:
    status, out, err = typed(json.dumps({"version": 3, "deployment": {"manifest": {}, "resources": STUCK}}))
    assert (status, err) == (0, "")
    state = json.loads(out)
    assert (state["version"], state["deployment"]["manifest"]) == (3, {})
    resources: list[dict[str, Any]] = state["deployment"]["resources"]
    return resources


def test_each_object_is_left_once(left: list[dict[str, Any]]) -> None:
    assert [(r["urn"], r.get("id"), r.get("delete", False)) for r in left] == [
        (r["urn"], r.get("id"), r.get("delete", False)) for r in [*STUCK[:6], *STUCK[10:]]
    ]


def test_everything_is_by_the_provider_that_is_there(left: list[dict[str, Any]]) -> None:
    by = {r["urn"]: r["provider"] for r in left if "provider" in r and "kubernetes" in r["type"]}
    assert by == dict.fromkeys((NAMESPACE, JOB, RELEASE), f"{PROVIDER}::three")
    assert left[2] == STUCK[2]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", "null", "{}", '{"deployment": null}', '{"deployment": {"resources": null}}', '"\x1b[2J"'],
)
def test_what_is_no_state_is_one_line_and_leaves_no_state(
    text: str, typed: Callable[[str], tuple[int, str, str]]
) -> None:
    said = "dcmesh: standard input is not the state of a stack: give it what `pulumi stack export` prints\n"
    assert typed(text) == (3, "", said)
