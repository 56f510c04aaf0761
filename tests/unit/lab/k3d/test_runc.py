"""The wrapper of runc removes a capability that the machine lacks from what Docker tells runc to run."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.paths import REPOSITORY

PROCESS = {
    "args": ["sh"],
    "capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE", "CAP_KILL"], "permitted": ["CAP_SYS_RESOURCE"]},
}
LESS = {"args": ["sh"], "capabilities": {"bounding": ["CAP_CHOWN", "CAP_KILL"], "permitted": []}}


@pytest.fixture
def runc(executable: Callable[[str, str], Path]) -> Callable[..., str]:
    """Run the wrapper as Docker does, and return what the real runc is called with."""
    executable("runc", 'echo "$*"')

    def run(*arguments: str) -> str:
        command = [REPOSITORY / "lab" / "k3d" / "runc", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    return run


@pytest.mark.parametrize("capable", [PROCESS, LESS])
def test_a_container_is_made_without_it(runc: Callable[..., str], tmp_path: Path, capable: Any) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"hostname": "node", "process": capable}))
    called = ("--log", "file", "create", "--bundle", str(tmp_path), "--pid-file", "pid", "name")
    assert runc(*called) == " ".join(called)
    assert json.loads(config.read_text()) == {"hostname": "node", "process": LESS}


def test_a_command_in_a_container_runs_without_it(runc: Callable[..., str], tmp_path: Path) -> None:
    process = tmp_path / "process"
    process.write_text(json.dumps(PROCESS))
    runc("exec", "--process", str(process), "--detach", "name")
    assert json.loads(process.read_text()) == LESS


def test_what_asks_for_none_is_left_alone(runc: Callable[..., str], tmp_path: Path) -> None:
    process = tmp_path / "process"
    process.write_text('{"args": ["true"]}')
    runc("exec", "--process", str(process), "name")
    assert json.loads(process.read_text()) == {"args": ["true"]}
    assert runc("delete", "--force", "name") == "delete --force name"
