"""A stack of the last release is updated by the present program's `up`: links work, and no data is lost.

The tests form one course of events.
"""

import json
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from .toolbox import (
    PROGRAM,
    ROOT,
    Database,
    Kubectl,
    Lab,
    Project,
    eventually,
    lab_config,
    lab_for_a_while,
    run,
    standing,
)
from .tries import Tries, watched

COMMIT: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["dcmesh"]["release"]["commit"]

Resource = tuple[str, str]
"""Type and name."""

UPDATED: set[Resource] = {
    # The names of the ConfigMaps with their options and scripts.
    ("kubernetes:apps/v1:StatefulSet", "dc1.wookie-statefulset"),
    ("kubernetes:apps/v1:StatefulSet", "dc2.wookie-dr-statefulset"),
}
"""The resources that the present program updates in place. If one is a StatefulSet, `RESTARTED` has its pods."""

CREATED = set[Resource]()
"""What the present program has and the release has not."""

REPLACED: set[Resource] = {
    # Immutable: another one stands beside it until the pods have left it.
    ("kubernetes:core/v1:ConfigMap", "dc1.wookie-settings"),
    ("kubernetes:core/v1:ConfigMap", "dc2.wookie-dr-settings"),
    # What waits until the pods have left it.
    ("command:local:Command", "dc1.wookie-rolled-out"),
    ("command:local:Command", "dc2.wookie-dr-rolled-out"),
    # Its script names another file, in a comment.
    ("kubernetes:batch/v1:Job", "dc2-imports.wookie-dr.db-job"),
}
"""What it makes anew, such as options and scripts, and nothing that holds data."""

RESTARTED: set[str] = {"dc1 wookie/db-0", "dc1 wookie/db-1", "dc1 wookie/db-2", "dc2 wookie-dr/db-0"}
"""The pods of StatefulSets that restart, each as `SITE NAMESPACE/POD`."""

SHOWN = "SELECT GROUP_CONCAT(text ORDER BY text) FROM kept.notes"


def of_release(path: str, commit: str = COMMIT) -> Any:
    """Return the configuration in one of a release's stack files."""
    return yaml.safe_load(run("git", "show", f"{commit}:{path}", cwd=ROOT).stdout)["config"]


def unpack(directory: Path, commit: str = COMMIT, paths: Sequence[str] = PROGRAM) -> None:
    """Write a release's program into a directory."""
    there = run("git", "cat-file", "-e", f"{commit}^{{commit}}", check=False, cwd=ROOT)
    if there.returncode:
        fetch = f"`git fetch origin {commit}` brings it"
        pytest.fail(f"the release's commit is not in this clone: {fetch}\n{there.stderr}", pytrace=False)
    archive = ("git", "archive", commit, "--", *paths)
    with subprocess.Popen(archive, cwd=ROOT, stdout=subprocess.PIPE) as packing:
        run("tar", "--extract", "--directory", str(directory), stdin=packing.stdout)
    assert packing.returncode == 0


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    yield from lab_for_a_while("release")


Pair = tuple[Project, dict[str, Kubectl]]
"""A stack after an `up`, and its clusters."""


@contextmanager
def released(lab: Lab, directory: Path, example: str, peers: dict[str, list[str]]) -> Iterator[Pair]:
    """Have an example up by the release, on the lab's Istio; destroyed by the program that is the project's by then.

    Its clusters exist before, as most users' clusters do.

    Args:
        lab: the lab in which they are made.
        directory: a directory for their kubeconfigs and the release's program.
        example: the name of the release's file.
        peers: the sites, each with those that it serves.
    """
    lab.create(peers)
    files = {site: directory / site for site in lab.sites()}
    for site, file in files.items():
        file.touch(mode=0o600)
        file.write_text(lab("kubeconfig", site))
    program = directory / "program"
    program.mkdir()
    unpack(program)
    config = of_release(f"examples/{example}.yaml")
    config |= {"dcmesh:istio": lab_config()["dcmesh:istio"], "dcmesh:protect": False}
    for site in config["dcmesh:sites"]:
        site["cluster"] = {"kubeconfig": str(files[site["name"]])}
    with standing(lab, directory / lab.name, config, program) as project:
        yield project, {site: Kubectl(file.read_text(), file) for site, file in files.items()}


@pytest.fixture(scope="module")
def released_pair(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """The pair with databases, brought up by the release."""
    with released(lab, tmp_path_factory.mktemp("released"), "mariadb", {"dc1": ["dc2"], "dc2": []}) as pair:
        yield pair


@pytest.fixture(scope="module")
def pair(released_pair: Pair) -> Project:
    return released_pair[0]


@pytest.fixture(scope="module")
def sites(released_pair: Pair) -> dict[str, Kubectl]:
    return released_pair[1]


@pytest.fixture(scope="module")
def primary(sites: dict[str, Kubectl]) -> Database:
    return Database(sites["dc1"], "wookie", "db-0")


@pytest.fixture(scope="module")
def replica(sites: dict[str, Kubectl]) -> Database:
    return Database(sites["dc2"], "wookie-dr", "db-0")


def watched_hosts(site: Kubectl) -> AbstractContextManager[Tries]:
    """Let two clients of a consumer connect to each host, together more than ten times a second."""
    hosts = [f"db-{n}.db.wookie.svc.cluster.local" for n in range(3)]
    return watched(site, "wookie-dr", "db", hosts * 2)


def pods(sites: dict[str, Kubectl]) -> dict[str, str]:
    """Return the UIDs of the pods of all StatefulSets, each by `SITE NAMESPACE/POD`."""
    found = {}
    for name, site in sites.items():
        for pod in json.loads(site("get", "pods", "--all-namespaces", "--output", "json"))["items"]:
            metadata = pod["metadata"]
            if any(owner["kind"] == "StatefulSet" for owner in metadata.get("ownerReferences", [])):
                found[f"{name} {metadata['namespace']}/{metadata['name']}"] = metadata["uid"]
    return found


def listed(resources: set[Resource]) -> str:
    """Return resources as they are written in this file."""
    return "".join(f'    ("{kind}", "{name}"),\n' for kind, name in sorted(resources))


def test_the_release_replicates(primary: Database, replica: Database) -> None:
    primary("CREATE DATABASE kept; CREATE TABLE kept.notes (text VARCHAR(50) PRIMARY KEY)")
    primary("INSERT INTO kept.notes VALUES ('by the release')")
    eventually("dc2 has the row", lambda: replica(SHOWN, check=False) == "by the release", within=60)


def test_nothing_that_holds_data_is_replaced_or_deleted(pair: Project) -> None:
    pair.use(ROOT)
    found = pair.changes()
    text = "\n".join(f"{operation}:\n{listed(resources)}" for operation, resources in found.items())
    assert found.keys() <= {"update", "create", "replace"}, f"nothing may be deleted:\n{text}"
    assert found.get("update", set()) == UPDATED, text
    assert found.get("create", set()) == CREATED, text
    assert found.get("replace", set()) == REPLACED, text


def test_the_links_work_afterwards(
    pair: Project, sites: dict[str, Kubectl], primary: Database, replica: Database
) -> None:
    before = pods(sites)
    link = pair.output("link")
    with watched_hosts(sites["dc2"]) as tries:
        pair.up("--skip-preview")
    # If pods start anew, of the gateway or of the database, it is one after another: there is always one that answers.
    assert tries.longest_pause < 10
    assert pair.output("link") == link, "nobody has asked for another"
    after = pods(sites)
    assert after.keys() == before.keys()
    assert {pod for pod, uid in after.items() if uid != before[pod]} == RESTARTED
    assert replica(SHOWN) == "by the release"
    primary("INSERT INTO kept.notes VALUES ('by the next')")
    eventually("dc2 has the new row", lambda: replica(SHOWN, check=False) == "by the next,by the release", within=60)
    eventually("all is well", lambda: pair.dcmesh("status").returncode == 0, within=120)


def test_a_second_up_changes_nothing(pair: Project) -> None:
    pair.up("--expect-no-changes")
