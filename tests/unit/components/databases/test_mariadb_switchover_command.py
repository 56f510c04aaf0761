"""The Command that gives MariaDBs their roles.

In a stack with both sites one run does both; otherwise each does its own.
"""

from typing import Any

import pytest

from tests.unit.configurations import stack
from tests.unit.engine import Engine, Resource, readable_strings
from tests.unit.program import program_of, run_apart

COMMAND = "dc1.wookie-dc2.wookie-dr-switchover"
PASSWORD = "secret-of-both-1"


def pair(**settings: Any) -> dict[str, Any]:
    raw = {**stack("mariadb-switchover"), **settings}
    for site in raw["sites"]:
        site["cluster"] = "k3d"
    return raw


def apart(**settings: Any) -> dict[str, Engine]:
    """Run a stack for each site. dc1's runs again after dc2's: before that, dc1 follows nobody."""
    stacks = [("trust", {"trust": {"issueFor": ["dc1", "dc2"]}})]
    trust = {"source": "stack", "stack": "organization/dcmesh/trust"}
    for name, other in (("dc1", "dc2"), ("dc2", "dc1")):
        raw = pair(peers=[{"name": other}], trust=trust, **settings)
        raw["sites"] = [site for site in raw["sites"] if site["name"] == name]
        raw["sites"][0]["workloads"][0]["replicationPassword"] = PASSWORD
        raw["sites"][0]["gateway"]["advertise"] = ["203.0.113.7"]
        stacks.append((name, raw))
    first = run_apart(stacks)
    return {**first, "alone": first["dc1"], **run_apart(stacks[1:2], first)}


def verb(command: Resource) -> str:
    return str(command.inputs["create"].partition(" -m dcmesh ")[2])


def test_one_command_brings_both_databases_of_a_stack_to_their_roles() -> None:
    """With `--parallel 1`, two Commands that wait for each other would never end."""
    engine = program_of(pair(primary="dc2"))
    (command,) = [one for one in engine.kind("Command") if one.name.endswith("-switchover")]
    assert command.name == COMMAND
    assert verb(command) == "switchover --site dc1/wookie/db --site dc2/wookie-dr/db --primary dc2"
    kubeconfigs = command.inputs["environment"]
    assert "of dc1" in kubeconfigs["DCMESH_KUBECONFIG"]
    assert "of dc2" in kubeconfigs["DCMESH_OTHER_KUBECONFIG"]


def test_it_comes_after_all_pods_are_new_and_before_what_counts_on_the_roles() -> None:
    engine = program_of(pair())
    before = engine.before(COMMAND)
    assert {"dc1.wookie-rolled-out", "dc2.wookie-dr-rolled-out"} <= before, "else it may ask pods that are still to go"
    for name in ("dc1.wookie-begun", "dc2.wookie-dr-begun"):
        assert COMMAND in engine.before(name), "until then, a primary without data never had any"


def test_it_runs_again_whenever_something_else_was_wanted_meanwhile() -> None:
    """Also if the other role failed and was taken back: then the other triggers in the state are unchanged."""
    engine = program_of(pair(primary="dc2"))
    command, begun = engine.asked[COMMAND], engine.asked[f"{COMMAND}-begun"]
    assert f"id of {begun.name}" in command.inputs["triggers"]
    assert begun.inputs["triggers"] == ["dc2", "", ""]
    failover = {"without": "dc1", "at": "0-1-7"}
    begun = program_of(pair(primary="dc2", failover=failover)).asked[begun.name]
    assert begun.inputs["triggers"] == ["dc2", "dc1", "0-1-7"]


def test_a_stack_of_one_site_brings_its_own_database_to_its_role() -> None:
    engines = apart(primary="dc2")
    wanted = {"dc1": "--site dc1/wookie/db --other dc2", "dc2": "--site dc2/wookie-dr/db --other dc1"}
    for (name, words), prefix in zip(wanted.items(), ("dc1.wookie", "dc2.wookie-dr"), strict=True):
        (command,) = [one for one in engines[name].kind("Command") if one.name.endswith("-switchover")]
        assert command.name == f"{prefix}-switchover"
        assert verb(command) == f"switchover {words} --primary dc2"
        assert command.inputs["environment"].keys() == {"DCMESH_KUBECONFIG"}
        assert command.name in engines[name].before(f"{prefix}-begun")


def test_a_site_whose_other_is_still_to_come_has_its_role_when_its_pods_run() -> None:
    engine = apart()["alone"]
    assert not [one for one in engine.kind("Command") if "-switchover" in one.name]
    assert "dc1.wookie-rolled-out" in engine.before("dc1.wookie-begun")


@pytest.mark.parametrize("primary", ["dc1", "dc2"])
def test_no_secret_is_readable(primary: str) -> None:
    command = program_of(pair(primary=primary)).asked[COMMAND]
    assert not [text for text in readable_strings(command.raw) if "secret " in text]


def test_there_is_none_where_roles_are_settled() -> None:
    engine = program_of(stack("mariadb"))
    assert not [name for name in engine.asked if "switchover" in name]
