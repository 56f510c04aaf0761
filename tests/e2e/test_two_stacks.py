"""Two databases that change roles. Each is in a stack of its own, as in production."""

from collections.abc import Iterator

import pytest

from lab import cgroup
from lab.paths import LabPaths

from .site_stack import SiteStack
from .toolbox import Database, Lab, Project, eventually, example, lab_for_a_while, switch
from .writers import SHOP, Writers, assert_nothing_is_lost

pytestmark = pytest.mark.soak(
    proves=(
        "dcmesh/databases/switchover.py",
        "dcmesh/databases/mariadb_server.py",
        "components/databases/mariadb_switchover_command.py",
    )
)

NAMESPACES = {"dc1": "wookie", "dc2": "wookie-dr"}
TOKEN = (
    "SELECT CONCAT(site, IF(@@read_only, ' closed', ' open')) FROM dcmesh.primary_site WHERE server_id = @@server_id"
)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    for lab in lab_for_a_while("two-stacks"):
        lab.create({"dc1": ["dc2"], "dc2": ["dc1"]})
        yield lab


@pytest.fixture(scope="module")
def stacks(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, SiteStack]:
    """The sites of examples/mariadb-switchover.yaml, each in its own stack, and a stack that holds the trust."""
    directory = tmp_path_factory.mktemp("two-stacks")
    state = directory / "state"
    trust = {"dcmesh:trust": {"source": "generated", "issueFor": [*NAMESPACES]}}
    holder = Project(directory / "trust", stack="trust", config=trust, state=state)
    holder.init()
    holder.up("--skip-preview")
    found = {}
    for site in example("mariadb-switchover")["dcmesh:sites"]:
        del site["cluster"]
        (other,) = NAMESPACES.keys() - {site["name"]}
        found[site["name"]] = stack = SiteStack(
            directory / site["name"], lab=lab, state=state, site=site, peers=[{"name": other}], primary="dc1"
        )
        stack.init()
        place = "dcmesh:sites[0].workloads[0].replicationPassword"
        stack.pulumi("config", "set", "--secret", "--path", place, "of-both-sites-1")
    for name in ("dc1", "dc2", "dc1"):  # What dc2 does not export yet is imported by the second `up` of dc1.
        found[name].follow()
    return found


@pytest.fixture(scope="module")
def dc1(stacks: dict[str, SiteStack]) -> SiteStack:
    return stacks["dc1"]


@pytest.fixture(scope="module")
def dc2(stacks: dict[str, SiteStack]) -> SiteStack:
    return stacks["dc2"]


@pytest.fixture(scope="module")
def databases(stacks: dict[str, SiteStack]) -> dict[str, Database]:
    return {name: Database(stack.kubectl, NAMESPACES[name], "db-0") for name, stack in stacks.items()}


@pytest.fixture(scope="module")
def writers(dc1: SiteStack, dc2: SiteStack, databases: dict[str, Database]) -> Writers:
    databases["dc1"](SHOP)
    writers = Writers({site.stack: site.kubectl for site in (dc1, dc2)}, NAMESPACES)
    writers.write("dc1")
    return writers


def both_up(*stacks: SiteStack) -> None:
    """Update stacks at the same time, each by its own run. One run waits for what the other does."""
    runs = [stack.start("up", "--yes", "--skip-preview", "--suppress-outputs") for stack in stacks]
    said = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0] * len(runs), "\n".join(said)


def test_a_switchover_there_and_back(
    dc1: SiteStack, dc2: SiteStack, databases: dict[str, Database], writers: Writers
) -> None:
    assert [databases[name](TOKEN) for name in NAMESPACES] == ["dc1 open", "dc1 closed"]
    for before, primary in (("dc1", "dc2"), ("dc2", "dc1")):
        turns = writers.turns()
        for stack in (dc1, dc2):
            switch(stack, primary)
        both_up(dc1, dc2)
        assert {name: databases[name](TOKEN) for name in NAMESPACES} == {
            before: f"{primary} closed",
            primary: f"{primary} open",
        }
        writers.write(primary)
        assert writers.turns() == [*turns, primary]
        print(f"from {before} to {primary}: no writer for {writers.gap(before, primary):.2f} s")
        assert_nothing_is_lost(writers, databases)


def test_a_site_that_is_gone_and_returns(
    lab: Lab, dc1: SiteStack, dc2: SiteStack, databases: dict[str, Database], writers: Writers
) -> None:
    """None of its rows is lost, since dc2 had them all. So dc1 follows, and takes over again."""
    turns = writers.turns()
    writers.end("dc1")
    assert_nothing_is_lost(writers, databases)
    end = databases["dc2"]("SELECT @@GLOBAL.gtid_slave_pos")
    cgroup.kill(LabPaths(lab.name).site("dc1"))
    switch(dc2, "dc2", without="dc1", at=end)
    dc2.follow()
    writers.write("dc2")
    lab("create", "dc1", "--reachable-from", "dc2")
    eventually("dc1 is dc2's replica", lambda: databases["dc1"](TOKEN, check=False) == "dc2 closed", within=180)
    switch(dc2, "dc2")
    switch(dc1, "dc2")
    both_up(dc1, dc2)
    assert_nothing_is_lost(writers, databases)
    writers.begin("dc1", first=10**6)
    for stack in (dc1, dc2):
        switch(stack, "dc1")
    both_up(dc2, dc1)
    writers.write("dc1")
    assert writers.turns() == [*turns, "dc2", "dc1"]
    assert_nothing_is_lost(writers, databases)
