"""The front door: make, scripts/env and `python -m dcmesh`, as somebody uses them who has just cloned this."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.unit.configurations import ROOT

PRINT = """sh -c 'echo "$$PULUMI_BACKEND_URL $${PULUMI_CONFIG_PASSPHRASE-unset}"' --"""


def clean() -> dict[str, str]:
    """Return the environment without what pulumi or another make goes by."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "MAKE"))}


def given(*arguments: str, **environment: str) -> set[str]:
    """Return the backend and the passphrase with which make runs pulumi."""
    command = ["make", "--silent", "--old-file=venv/installed", "down", f"RUN={PRINT}", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=clean() | environment, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines())


def test_dev_stays_on_this_machine_with_the_passphrase_that_it_is_committed_with() -> None:
    assert given() == {"file://~ "}
    assert given(PULUMI_CONFIG_PASSPHRASE="of another stack") == {"file://~ "}
    assert given(PULUMI_BACKEND_URL="s3://team") == {"s3://team "}


@pytest.mark.parametrize("how", [("STACK=dc1",), ()], ids=["argument", "environment"])
def test_any_other_stack_has_its_own(how: tuple[str, ...]) -> None:
    assert given(*how, **({} if how else {"STACK": "dc1"})) == {" unset"}
    assert given("STACK=dc1", PULUMI_CONFIG_PASSPHRASE="its own") == {" its own"}


def test_the_project_says_nothing_of_it() -> None:
    """A backend in Pulumi.yaml would override `pulumi login`."""
    assert "backend" not in yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    assert "PULUMI_" not in (ROOT / "scripts/env").read_text()


def refusal(*command: str, directory: Path = ROOT, **environment: str) -> str:
    """Return what a command says that fails, and does no more than that."""
    done = subprocess.run(
        command, cwd=directory, env=clean() | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_misspelt_stack_is_not_made() -> None:
    said = refusal("make", "up", "STACK=misspelt", "--old-file=venv/installed", "RUN=echo")
    assert "there is no Pulumi.misspelt.yaml here: copy a file of examples/ to it" in said


def test_a_stack_of_an_organization_has_the_file_of_its_last_name() -> None:
    command = ("make", "--just-print", "up", "STACK=organization/dcmesh/lab", "--old-file=venv/installed")
    done = subprocess.run(command, cwd=ROOT, env=clean(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_python_that_is_too_old_makes_no_virtual_environment(executable: Callable[[str, str], Path]) -> None:
    real = f'exec {sys.executable} -c "import sys; sys.version_info = (3, 10, 13); $2"\n'
    old = executable("python3", f'[ "$1" = -c ] || exit 64\n{real}')
    said = refusal("make", "venv", "--always-make", f"PYTHON={old}")
    assert f"{old} is 3.10, and 3.11 or newer is needed: name it" in said


def test_without_a_virtual_environment_a_shell_is_told_how_to_make_it(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    for command in (("scripts/env",), ("scripts/env", "exec", "true")):
        said = refusal(*command, directory=tmp_path, PATH="/usr/bin:/bin")
        assert said == "scripts/env: there is no virtual environment here: run `make venv` first\n"


def test_another_python_is_told_which_is_the_right_one() -> None:
    """Its own exit code, 1, would be a WARNING to a monitor."""
    run = "import runpy, sys; sys.modules['typer'] = None; runpy.run_module('dcmesh', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", run], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(f"dcmesh: {sys.executable} has no module typer: run ")


def test_a_python_that_is_too_old_is_told_to_be() -> None:
    run = "import sys; sys.version_info = (3, 10, 13); import dcmesh.model.facts"
    done = subprocess.run([sys.executable, "-c", run], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("dcmesh: needs Python 3.11 or newer, and ")


FAKE_K3D = """
case "$1 $2" in
"cluster list") sleep "${HANGS-0}"; printf '%s\\n' "${CLUSTERS?no Docker answers}" ;;
"kubeconfig merge") [ "$4" = --overwrite ]; [ -e "$HOME/$3" ] || exit 1; echo "$HOME/$3"
  printf 'name: k3d-%s\\nuser: admin@k3d-%s\\n' "$3" "$3" >"$HOME/$3" ;;
esac
"""
"""A fake k3d. Like the real one it prints a line for each cluster, and the path of the file that it writes."""


@pytest.fixture
def contexts(
    executable: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[], str]:
    """Return the KUBECONFIG from scripts/env on a machine with k3d and Pulumi, whose clusters have files in HOME."""
    executable("k3d", FAKE_K3D)
    executable("pulumi", "exit 64")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", "the user's")

    def of() -> str:
        shell = ["sh", "-euc", 'eval "$(scripts/env)"; printf %s "$KUBECONFIG"']
        inside = subprocess.run(shell, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        command = ["scripts/env", "exec", "sh", "-c", 'printf %s "$KUBECONFIG"']
        assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == inside
        return inside

    return of


def test_with_k3d_a_shell_gets_a_context_for_each_cluster_that_a_stack_has_made(
    contexts: Callable[[], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLUSTERS", "dcmesh-dev-dc1 1/1 0/0 true\ndcmesh-dev-dc2 1/1 0/0 true\nother-dcmesh- 1/1")
    for name in ("dcmesh-dev-dc1", "dcmesh-dev-dc2", "other-dcmesh-"):
        (tmp_path / name).touch()
    assert contexts() == f"{tmp_path}/dcmesh-dev-dc1:{tmp_path}/dcmesh-dev-dc2"
    assert (tmp_path / "dcmesh-dev-dc2").read_text() == "name: dev-dc2\nuser: admin@dev-dc2\n"


def test_a_cluster_that_has_no_kubeconfig_yet_is_left_out(
    contexts: Callable[[], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLUSTERS", "dcmesh-dev-dc1 0/1\ndcmesh-dev-dc2 1/1")
    (tmp_path / "dcmesh-dev-dc2").touch()
    assert contexts() == f"{tmp_path}/dcmesh-dev-dc2"


def test_a_docker_that_hangs_stops_nobody(
    contexts: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    executable: Callable[[str, str], Path],
    tmp_path: Path,
) -> None:
    executable("timeout", 'shift; exec /usr/bin/timeout 0.2 "$@"')
    monkeypatch.setenv("HANGS", "2")
    monkeypatch.setenv("CLUSTERS", "dcmesh-dev-dc1 1/1")
    (tmp_path / "dcmesh-dev-dc1").touch()
    assert contexts() == "the user's"


@pytest.mark.parametrize("clusters", ["", "other 1/1 0/0 true", None])
def test_without_such_a_cluster_or_docker_the_users_contexts_stay(
    contexts: Callable[[], str], monkeypatch: pytest.MonkeyPatch, clusters: str | None
) -> None:
    if clusters is not None:
        monkeypatch.setenv("CLUSTERS", clusters)
    assert contexts() == "the user's"
