"""Commands that run a verb of dcmesh's: when they run, and with which command line."""

import sys
from pathlib import Path

import pulumi
import pytest

from components.verb_command import interpreter, run_verb
from tests.unit.conftest import ROOT
from tests.unit.engine import Engine, readable_strings


def test_it_runs_again_for_its_triggers_alone_and_never_on_destroy(engine: Engine) -> None:
    def program() -> None:
        secret = pulumi.Output.secret("secret kubeconfig")
        run_verb("work", "verb", "dc1; id", environment={"K": secret}, triggers=["a"], opts=pulumi.ResourceOptions())

    (work,) = engine.run(program).kind("Command")
    assert work.inputs["create"].endswith(" -m dcmesh verb 'dc1; id'"), "each of its words is one argument"
    assert (work.inputs["triggers"], work.inputs["update"]) == (["a"], ":"), "other changes run nothing"
    assert "delete" not in work.inputs
    assert work.inputs["environment"] == {"K": "secret kubeconfig"}
    assert "secret kubeconfig" not in readable_strings(work.raw)


def test_the_interpreter_is_the_programs_and_has_one_name_wherever_the_project_lies(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Otherwise each machine's preview would show a change since another machine's `up`."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "executable", str(Path.cwd() / "venv/bin/python"))
    assert interpreter() == "venv/bin/python"
    monkeypatch.chdir(tmp_path)
    assert interpreter() == str(ROOT / "venv/bin/python")
