"""A pair of the last release is updated to the present program, and taken back: no data is lost, and the link works."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .test_release import SHOWN, pods, released, watched_hosts
from .toolbox import ROOT, Database, Lab, eventually, lab_for_a_while

HOLDS_DATA = {"kubernetes:apps/v1:StatefulSet", "kubernetes:core/v1:Namespace"}
"""The types of resources with which data would be deleted."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    yield from lab_for_a_while("release-back")


@pytest.mark.soak(proves=("components/databases/mariadb*", "components/cluster.py"))
def test_the_last_release_takes_its_stack_back(lab: Lab, tmp_path: Path) -> None:
    with released(lab, tmp_path, "mariadb", {"dc1": ["dc2"], "dc2": []}) as (pair, sites):
        source, copy = Database(sites["dc1"], "wookie", "db-0"), Database(sites["dc2"], "wookie-dr", "db-0")
        source("CREATE DATABASE kept; CREATE TABLE kept.notes (text VARCHAR(50) PRIMARY KEY)")
        for by, program in (("the next", ROOT), ("the release", tmp_path / "program")):
            pair.use(program)
            found = pair.changes()
            print(by, found, flush=True)
            gone = found.get("replace", set()) | found.get("delete", set())
            assert not [resource for resource in gone if resource[0] in HOLDS_DATA]
            before = pods(sites)
            with watched_hosts(sites["dc2"]) as tries:
                pair.up("--skip-preview")
            after = pods(sites)
            restarted = [pod for pod, uid in after.items() if uid != before.get(pod)]
            print(f"by {by}: {restarted} restarted, none answered for {tries.longest_pause:.1f} s", flush=True)
            assert tries.longest_pause < 10
            source(f"INSERT INTO kept.notes VALUES ('by {by}')")  # noqa: S608
            shown = source(SHOWN)
            eventually("dc2 has the rows", lambda shown=shown: copy(SHOWN, check=False) == shown, within=60)
            pair.up("--expect-no-changes")
        assert shown == "by the next,by the release"
