"""The life of the pair's stack: interrupted, resumed, a cluster lost, destroyed. Nothing may be left of it."""

import json
import signal
from typing import Any

from .conftest import Project, eventually, leftovers, run


def site_states(project: Project) -> dict[str, Any]:
    """Return the lab's view of each site that it has begun to make."""
    return {site["site"]: site for site in json.loads(project.lab("status", "--json"))["sites"]}


def test_an_interrupted_up_is_resumed_by_the_next(project: Project) -> None:
    up = project.start("up", "--yes")
    eventually("both clusters are under way", lambda: {"dc1", "dc2"} <= set(site_states(project)), within=120)
    up.send_signal(signal.SIGINT)
    output, _ = up.communicate(timeout=120)
    assert up.returncode != 0, output
    project.pulumi("up", "--yes")
    assert len(project.output("hosts")["dc2"]) == 3


def test_a_crashed_site_is_repaired_and_keeps_its_cluster(project: Project) -> None:
    before = project.output("kubeconfigs")["dc1"]
    run("kill", "-9", str(site_states(project)["dc1"]["pid"]))
    project.lab("create", "dc1", "--reachable-from", "dc2")
    assert project.lab("kubeconfig", "dc1").strip() == before.strip()
    project.pulumi("up", "--yes", "--expect-no-changes")


def test_destroy_works_when_a_cluster_is_gone(project: Project) -> None:
    project.lab("delete", "dc1")
    assert any("dc2" in entry for entry in leftovers()["namespaces"])
    project.pulumi("destroy", "--yes")
    assert leftovers() == {}
