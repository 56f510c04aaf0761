"""What pip installs, and the template of a project that uses it."""

import os
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import setuptools

from tests.unit.configurations import ROOT

TREES = {"dcmesh": ROOT / "dcmesh", "dcmesh_components": ROOT / "components"}
SETUP = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def files(*suffixes: str) -> dict[str, list[Path]]:
    """Return the files with these suffixes, by the package that they are in when it is installed."""
    found = dict[str, list[Path]]()
    for name, tree in TREES.items():
        for path in tree.rglob("*"):
            if path.is_file() and path.suffix in suffixes:
                found.setdefault(".".join([name, *path.parent.relative_to(tree).parts]), []).append(path)
    return found


def test_every_package_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    given = dict[str, Any]()
    monkeypatch.setattr(setuptools, "setup", given.update)
    monkeypatch.chdir(ROOT)
    runpy.run_path("setup.py")
    assert sorted(given["packages"]) == sorted(files(".py"))


def test_every_file_beside_the_modules_is_installed() -> None:
    beside = {path.suffix for tree in TREES.values() for path in tree.rglob("*") if path.is_file()} - {".py", ".pyc"}
    assert {f"*{suffix}" for suffix in beside} == set(SETUP["package-data"]["*"])


def test_installed_components_need_no_package_of_that_name(tmp_path: Path) -> None:
    """Their name is one that others have, too."""
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
