"""Which package may import which: the contracts in pyproject.toml hold, and each detects a violation."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

OFFENDERS = {
    "Components create, by what dcmesh knows; never the other way": ("dcmesh/status/hosts.py", "components.site"),
    "The model is plain data": ("dcmesh/model/link.py", "pulumi"),
    "Inside dcmesh a module imports what stands below it": ("dcmesh/kube/pods.py", "dcmesh.sites_in_outputs"),
    "No circles": ("components/mesh/istio.py", "components.mesh.gateway"),
    "The Kubernetes client is dcmesh.kube's": ("dcmesh/config/environment.py", "kubernetes"),
    "Components use no client, socket, process or clock themselves": ("components/object_ownership.py", "time"),
    "The lab is for tests and bench": ("components/cluster.py", "lab.paths"),
}
"""For each contract, a module that breaks it, and what that imports."""


def lint(directory: Path) -> tuple[int, str]:
    """Return the exit code of import-linter, and what it says."""
    command = (sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()")
    environment = {**os.environ, "PYTHONPATH": str(directory), "COLUMNS": "200"}
    done = subprocess.run(
        [*command, "--no-cache", "--no-logo"],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What import-linter says of this repository with all violations in it."""
    copy = tmp_path_factory.mktemp("copy")
    for package in ("bench", "components", "dcmesh", "lab", "tests"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("go", "__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    for path, imported in OFFENDERS.values():
        with (copy / path).open("a") as module:
            module.write(f"\nimport {imported}\n")
    code, text = lint(copy)
    assert code == 1
    return text


def test_the_contracts_hold() -> None:
    code, text = lint(ROOT)
    assert code == 0, text


def test_each_contract_has_an_offender() -> None:
    assert re.findall(r'^name = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1:] == [*OFFENDERS]


@pytest.mark.parametrize("contract", OFFENDERS)
def test_each_offender_is_caught(said: str, contract: str) -> None:
    path, imported = OFFENDERS[contract]
    _, broken = said.split("Broken contracts")
    complaints = re.split(rf"^({'|'.join(map(re.escape, OFFENDERS))})$", broken, flags=re.MULTILINE)
    complaint = complaints[complaints.index(contract) + 1]
    module = path.removesuffix(".py").replace("/", ".")
    named = f"in {module.rpartition('.')[0]}." if contract == "No circles" else f"{module} -> {imported} "
    assert named in complaint
