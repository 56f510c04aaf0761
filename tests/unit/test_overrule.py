"""Overrule: whatever the program makes in a cluster can be taken back from who changed it."""

import pytest

from tests.unit.configurations import stack
from tests.unit.engine import Engine
from tests.unit.program import run_program

FORCE = {"pulumi.com/patchForce": "true"}


@pytest.fixture(scope="module", params=["dev", "mariadb-switchover", "pxc-switchover"])
def engine(request: pytest.FixtureRequest) -> Engine:
    raw = stack(request.param)
    for site in raw["sites"]:
        site["cluster"] = "auto"
    return run_program(Engine(), {**raw, "monitoring": {"prometheus": "operator"}})


def test_every_object_is_taken_back(engine: Engine) -> None:
    objects = [resource for resource in engine.in_kubernetes() if resource.kind != "Release"]
    assert len(objects) > 20
    for resource in objects:
        assert resource.inputs["metadata"]["annotations"].items() >= FORCE.items(), resource.name


def test_what_an_object_says_to_pulumi_besides_is_kept(engine: Engine) -> None:
    job = next(job for job in engine.kind("Job") if "LinkProbe" in {part.kind for part in engine.parents(job.name)})
    assert job.inputs["metadata"]["annotations"] == {**FORCE, "pulumi.com/replaceUnready": "true"}


def test_pods_do_not_know(engine: Engine) -> None:
    """A change of their template would start all of them anew."""
    for resource in engine.kind("StatefulSet", "Deployment", "Job"):
        annotations = resource.spec["template"].get("metadata", {}).get("annotations", {})
        assert not annotations.keys() & FORCE.keys(), resource.name
