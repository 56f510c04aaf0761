"""Configurations for tests: the stack dev and the examples, the files they refer to, and the errors of wrong ones."""

import copy
import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dcmesh import config
from dcmesh.model.plan import SitePlan, plan_of
from dcmesh.model.settings import Settings
from dcmesh.stacks import NoStackError
from tests.unit.certificates import provided

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
PREFIX = "dcmesh:"
HEADING = "the configuration is wrong, nothing was changed:"

GONE = object()
"""Used instead of a value: the key is removed."""

_CONTEXTS = [{"name": "dc1-admin"}, {"name": "dc2-admin"}]
FILES = {
    "~/.kube/dc1": yaml.safe_dump({"contexts": _CONTEXTS, "current-context": "dc1-admin"}),
    "~/.kube/dc2": yaml.safe_dump({"contexts": _CONTEXTS, "current-context": "dc2-admin"}),
    "no-current-context": yaml.safe_dump({"contexts": _CONTEXTS}),
    "no-contexts": "contexts: []",
    "something-else": "a: 1",
    "no-yaml": "{a: ",
    "examples/links/dc1.json": (ROOT / "examples/links/dc1.json").read_text(),
}
LINK: dict[str, Any] = json.loads(FILES["examples/links/dc1.json"])
STACKS: dict[str, Mapping[str, Any]] = {
    "organization/dcmesh/dc1": {"link": LINK},
    "organization/dcmesh/dc2": {},
}


def read_file(path: str) -> str:
    """Read one of `FILES`."""
    if path not in FILES:
        raise FileNotFoundError(2, "No such file or directory")
    return FILES[path]


def read_stack(name: str) -> Mapping[str, Any]:
    """Read one of `STACKS`."""
    if name not in STACKS:
        raise NoStackError(f'unknown stack "{name}"')
    return STACKS[name]


@functools.cache
def _of_file(path: Path) -> dict[str, Any]:
    values = yaml.safe_load(path.read_text())["config"]
    return {key.removeprefix(PREFIX): value for key, value in values.items()}


def stack(name: str) -> dict[str, Any]:
    """Return the configuration of a stack file or an example, with sample values for encrypted ones."""
    raw = copy.deepcopy(
        _of_file(ROOT / f"Pulumi.{name}.yaml" if name in ("dev", "lab") else ROOT / "examples" / f"{name}.yaml")
    )
    if name == "provided-ca":
        raw["trust"] = provided()
    return raw


def put(tree: Any, path: str, value: Any) -> None:
    """Set or remove the value at a path such as `sites[0].exports[0].port`."""
    *way, last = [int(part) if part.isdigit() else part for part in re.findall(r"[^\[\].]+", path)]
    for step in way:
        tree = tree.setdefault(step, {}) if isinstance(tree, dict) else tree[step]
    if value is GONE:
        del tree[last]
    elif isinstance(tree, list) and last == len(tree):
        tree.append(value)
    else:
        tree[last] = value


def changed(name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with changes, by their paths."""
    raw = stack(name)
    for path, value in changes.items():
        put(raw, path, value)
    return raw


def parse(raw: Mapping[str, Any], stack_name: str = "test", read: config.ReadStack = read_stack) -> config.Settings:
    """Validate a configuration among `FILES` and `STACKS`."""
    return config.parse(raw, stack=stack_name, read=read, read_text=read_file)[0]


def errors(raw: Mapping[str, Any], stack_name: str = "test", read: config.ReadStack = read_stack) -> list[str]:
    """Return the errors of a configuration, as lines; none if it is right."""
    try:
        parse(raw, stack_name, read)
    except config.ConfigError as error:
        heading, *lines = str(error).splitlines()
        assert heading == HEADING
        assert all(line.startswith("  ") for line in lines)
        return [line[2:] for line in lines]
    return []


def planned(name: str, site: str) -> SitePlan:
    """Return a site's part of the plan of an example."""
    return plan_of(Settings.model_validate(stack(name)), {}).site(site)
