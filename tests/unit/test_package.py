"""The packages that pip installs, and the template of a project that uses them."""

import os
import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.unit.configurations import ROOT

TREES = {"dcmesh": ROOT / "dcmesh", "dcmesh_components": ROOT / "components"}
SETUP = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def files(*suffixes: str) -> dict[str, list[Path]]:
    """Return the files with these suffixes, by the installed package that contains them."""
    found = dict[str, list[Path]]()
    for name, tree in TREES.items():
        for path in tree.rglob("*"):
            if path.is_file() and path.suffix in suffixes:
                found.setdefault(".".join([name, *path.parent.relative_to(tree).parts]), []).append(path)
    return found


def test_every_package_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    given = dict[str, Any]()
    monkeypatch.setattr("setuptools.setup", given.update)
    monkeypatch.chdir(ROOT)
    runpy.run_path("setup.py")
    assert sorted(given["packages"]) == sorted(files(".py"))


def test_every_file_beside_the_modules_is_installed() -> None:
    beside = {path.suffix for tree in TREES.values() for path in tree.rglob("*") if path.is_file()} - {".py", ".pyc"}
    assert {f"*{suffix}" for suffix in beside} == set(SETUP["package-data"]["*"])


def test_installed_components_need_no_package_of_that_name(tmp_path: Path) -> None:
    """Others have packages of that name, too."""
    for name, tree in TREES.items():
        (tmp_path / name).symlink_to(tree)
    modules = [f"{package}.{path.stem}" for package, paths in files(".py").items() for path in paths]
    own = [module for module in modules if module.startswith("dcmesh_components")]
    program = f"import sys, {', '.join(own)}; sys.exit('components' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0


def test_the_templates_program_is_this_repositorys() -> None:
    def code(path: str) -> str:
        return (ROOT / path).read_text().split('"""')[2]

    assert code("template/__main__.py") == code("__main__.py").replace("components", "dcmesh_components")


# --- what is installed beside it: the versions that CI runs ------------------------------------------------------


def requirements(file: str) -> list[str]:
    """Return the lines of a list of requirements."""
    lines = (ROOT / file).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


PINNED = dict(re.fullmatch(r"(\S+)==(\S+)", line).groups() for line in requirements("constraints.txt"))  # type: ignore[union-attr]


def needed(lines: list[str], extras: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the names of all packages that are installed along with these."""
    for requirement in map(Requirement, lines):
        chosen = [{"extra": extra} for extra in ("", *extras)]
        if requirement.marker and not any(requirement.marker.evaluate(of) for of in chosen):
            continue
        yield requirement.name
        yield from needed(requires(requirement.name) or [], frozenset(requirement.extras))


def test_what_comes_with_dcmesh_is_pinned_at_what_is_tested_here() -> None:
    """Otherwise `pulumi install` would get another version than CI ran."""
    names = {canonicalize_name(name) for name in needed(requirements("dependencies.txt"))}
    assert len(names) > 20
    pinned = {canonicalize_name(name): of for name, of in PINNED.items()}
    assert {name: pinned.get(name) for name in names} == {name: version(name) for name in names}


@pytest.mark.parametrize("directory", [".", "template", "package"])
def test_what_pulumi_install_reads_goes_by_the_pins(directory: str) -> None:
    first, *_ = requirements(f"{directory}/requirements.txt")
    option, path = first.split()
    assert option == "--constraint"
    assert (ROOT / directory / path).read_text() == (ROOT / "constraints.txt").read_text()


# --- the program, as Pulumi runs it ------------------------------------------------------------------------------


@pytest.mark.parametrize("project", ["Pulumi.yaml", "template/Pulumi.yaml"])
def test_the_clusters_of_no_kubeconfig_that_happens_to_be_there(project: str) -> None:
    """A resource without an explicit provider would go to the cluster that kubectl has chosen."""
    config = yaml.safe_load((ROOT / project).read_text())["config"]
    assert config["pulumi:disable-default-providers"] == ["kubernetes"]


def test_the_templates_program_is_checked_by_what_it_installs() -> None:
    """Pulumi refuses to run a program whose typechecker is not installed."""
    options = yaml.safe_load((ROOT / "template/Pulumi.yaml").read_text())["runtime"]["options"]
    assert options["typechecker"] == "mypy"
    assert "mypy" in {
        Requirement(line.partition(" #")[0]).name for line in requirements("template/requirements.txt")[1:]
    }
    names = {canonicalize_name(name) for name in needed(["mypy"])}
    assert names <= {canonicalize_name(name) for name in PINNED}
    for tree in TREES.values():
        assert (tree / "py.typed").exists()
