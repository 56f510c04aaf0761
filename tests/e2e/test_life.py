"""The pair's stack is interrupted, killed and resumed, loses a cluster, and is destroyed. Nothing may be left of it."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from .toolbox import Kubectl, Lab, Project, eventually, initialised, kubectl_of, lab_config, lab_for_a_while, run


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    yield from lab_for_a_while("life")


@pytest.fixture(scope="module")
def project(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return initialised(lab, tmp_path_factory.mktemp(lab.name), lab_config())


def test_an_up_can_be_interrupted(project: Project, lab: Lab) -> None:
    up = project.start("up", "--yes")
    eventually("both clusters are under way", lambda: {"dc1", "dc2"} <= set(lab.sites()), within=120)
    up.send_signal(signal.SIGINT)
    output, _ = up.communicate(timeout=120)
    assert up.returncode != 0, output


def test_a_killed_up_is_resumed_by_the_next(project: Project, lab: Lab, tmp_path: Path) -> None:
    """Without dcmesh, Helm refuses a release that a killed run left half installed, and Pulumi a stack that is locked.

    With few parallel operations, more resources wait than the program has threads. So hooks must not need these
    threads.
    """

    nodes = ("--selector", "kubernetes.io/os=linux")
    releases = ("secrets", "--namespace", "istio-system", "--selector", "name=istiod,status=pending-install")

    def dc1() -> Kubectl:
        """A site that the interrupted run has made only in part is made anew, with another kubeconfig."""
        return Kubectl(lab("kubeconfig", "dc1"), tmp_path / "dc1")

    def helm_installs() -> bool:
        if lab.sites().get("dc1", {}).get("state") != "ready":
            return False
        site = dc1()
        site("cordon", *nodes, check=False)  # With this, Helm cannot finish before it is killed.
        return bool(site("get", *releases, "--output", "name", check=False))

    said = project.killed("up", "--yes", "--skip-preview", when=helm_installs)
    assert helm_installs(), said[-2000:]
    dc1()("uncordon", *nodes)
    done = project.dcmesh("unlock")
    assert (done.returncode, done.stdout[:41]) == (0, "removed the lock of a run that is dead: p"), done
    project.up("--parallel", "2")
    assert len(project.imported()["dc2"]) == 3
    project.up("--expect-no-changes")


def test_no_preview_needs_the_finished_probe(project: Project, tmp_path: Path) -> None:
    """The upgrade of a node pool deletes the probe's pod, and a controller for finished Jobs deletes its Job."""
    replica = kubectl_of(project, tmp_path)["dc2"]
    probe = ("--namespace", "demo-dr", "--selector", "app=dcmesh-probe")
    replica("delete", "pods", *probe)
    project.pulumi("preview", "--expect-no-changes")
    replica("delete", "jobs", *probe)
    project.up("--expect-no-changes")
    project.up("--refresh")  # The refresh finds that the Job is missing, and `up` runs it again.
    assert replica.names("jobs", *probe) == ["dcmesh-probe-client"]


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
