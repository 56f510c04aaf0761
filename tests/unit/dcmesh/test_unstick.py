"""Taking a stuck replacement out of a state."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.unit.conftest import ROOT

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
"""A state after two attempts: the release could not be installed twice."""


def typed(stdin: str) -> subprocess.CompletedProcess[str]:
    """Run the verb as a user does."""
    command = [sys.executable, "-m", "dcmesh", "unstick"]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.fixture(scope="module")
def left() -> list[dict[str, Any]]:
    done = typed(json.dumps({"version": 3, "deployment": {"manifest": {}, "resources": STUCK}}))
    assert (done.returncode, done.stderr) == (0, "")
    state = json.loads(done.stdout)
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
def test_what_is_no_state_is_one_line_and_leaves_no_state(text: str) -> None:
    done = typed(text)
    said = "dcmesh: standard input is not the state of a stack: give it what `pulumi stack export` prints\n"
    assert (done.returncode, done.stdout, done.stderr) == (3, "", said)
