"""Runs of a stack are killed at random moments. The next `up` continues without help."""

import random
import time
from collections.abc import Iterator

import pytest

from .toolbox import Lab, Project, initialised, lab_config, lab_for_a_while

KILLS = 5
FIRST, CHANGING = 20.0, 8.0
"""The most seconds after its start at which a run is killed. Each run continues where the one before it was."""

proves = (
    "dcmesh/kube/pending_releases.py",
    "components/helm_release_hooks.py",
    "components/mesh/link_probe.*",
    "components/object_ownership.py",
    "dcmesh/kube/lookup.py",
    "dcmesh/pulumi_processes.py",
    "dcmesh/unlock.py",
)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    yield from lab_for_a_while("kills")


@pytest.fixture(scope="module")
def project(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = initialised(lab, tmp_path_factory.mktemp(lab.name), lab_config())
    yield project
    project.end_plugins()


@pytest.fixture
def moments() -> random.Random:
    """The random generator that chooses the moments. Its seed is printed when a test fails."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    return random.Random(seed)  # noqa: S311 - no secret


def kill(project: Project, after: float, *, alone: bool) -> None:
    deadline = time.monotonic() + after
    said = project.killed("up", "--yes", "--skip-preview", when=lambda: time.monotonic() > deadline, alone=alone)
    print(f"killed{' alone' if alone else ''} after {after:.1f} s: {said.strip().splitlines()[-1:]}")
    done = project.dcmesh("unlock")
    assert done.returncode == 0, done.stdout


def goes_on(project: Project, pods: int) -> None:
    project.up("--skip-preview")
    assert len(project.imported()["dc2"]) == pods
    project.pulumi("refresh", "--yes", "--clear-pending-creates")  # Otherwise Pulumi warns of pending creates for ever.
    assert "pending operations" not in project.up("--expect-no-changes")


@pytest.mark.soak(proves=proves)
def test_a_first_up_goes_on_after_kills(project: Project, moments: random.Random) -> None:
    for number in range(KILLS):
        kill(project, moments.uniform(0.5, FIRST), alone=bool(number % 2))
    goes_on(project, 3)


@pytest.mark.soak(proves=proves)
def test_a_changing_up_goes_on_after_kills(project: Project, moments: random.Random) -> None:
    for number in range(KILLS):
        with project.edit() as config:
            source, _ = config["dcmesh:sites"]
            source["workloads"][0]["replicas"] = source["exports"][0]["replicas"] = 4 - number % 2
            config["dcmesh:istio"]["replicas"] = 2 - number % 2
        kill(project, moments.uniform(0.5, CHANGING), alone=bool(number % 2))
    goes_on(project, 4)
