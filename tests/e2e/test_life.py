"""The life of the pair's stack: interrupted, resumed, a cluster lost, destroyed. Nothing may be left of it."""

import signal
from collections.abc import Iterator

import pytest

from .toolbox import Lab, Project, dev_config, eventually, lab_for_a_while, run


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    yield from lab_for_a_while("life")


@pytest.fixture(scope="module")
def project(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Project:
    directory = tmp_path_factory.mktemp(lab.name)
    project = Project(directory / "project", stack=lab.name, config=dev_config(), state=directory / "state")
    project.init()
    return project


def test_an_interrupted_up_is_resumed_by_the_next(project: Project, lab: Lab) -> None:
    up = project.start("up", "--yes")
    eventually("both clusters are under way", lambda: {"dc1", "dc2"} <= set(lab.sites()), within=120)
    up.send_signal(signal.SIGINT)
    output, _ = up.communicate(timeout=120)
    assert up.returncode != 0, output
    project.up()
    assert len(project.output("hosts")["dc2"]) == 3


def test_a_crashed_site_is_repaired_and_keeps_its_cluster(project: Project, lab: Lab) -> None:
    before = project.output("kubeconfigs")["dc1"]
    run("kill", "-9", str(lab.sites()["dc1"]["pid"]))
    lab("create", "dc1", "--reachable-from", "dc2")
    assert lab("kubeconfig", "dc1").strip() == before.strip()
    project.up("--expect-no-changes")


def test_destroy_works_when_a_cluster_is_gone(project: Project, lab: Lab) -> None:
    lab("delete", "dc1")
    assert any("dc2" in entry for entry in lab.leftovers()["namespaces"])
    project.pulumi("destroy", "--yes")
    assert lab.leftovers() == {}
