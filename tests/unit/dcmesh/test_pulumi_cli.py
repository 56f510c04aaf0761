"""A stack's state is read completely, even while a run writes it.

An unreadable state is never taken for an empty one.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dcmesh import pulumi_cli
from dcmesh.config.environment import Environment
from dcmesh.config.errors import ConfigError
from dcmesh.pulumi_cli import PulumiError, pulumi, read_state
from dcmesh.sites_in_outputs import read_stack
from dcmesh.stacks import NoStackError
from dcmesh.user_files import read_file
from tests.unit.dcmesh.status.test_command import OUTPUTS

Executable = Callable[[str, str], Path]

EMPTIED = "echo 'error: failed to load checkpoint: EOF' >&2; exit 255"
"""Pulumi's message for a state that was read between two writes."""


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi_cli, "PAUSE", 0)


def test_a_state_that_is_being_written_is_read_again(executable: Executable) -> None:
    first = f'[ -e "$0.asked" ] || {{ touch "$0.asked"; {EMPTIED}; }}\n'
    executable("pulumi", f"{first}cat <<'E'\n{json.dumps(OUTPUTS)}\nE\n")
    assert [site.name for site in read_stack(None)] == ["dc1"]


def test_one_that_stays_empty_is_an_error(executable: Executable) -> None:
    called = executable("pulumi", f'echo >> "$0.asked"; {EMPTIED}').with_name("pulumi.asked")
    with pytest.raises(PulumiError, match=r"^pulumi stack output: failed to load checkpoint: EOF$"):
        read_state(lambda: pulumi("stack", "output", "--json"))
    assert called.read_text().count("\n") == pulumi_cli.READS


def test_another_error_is_told_at_once(executable: Executable) -> None:
    called = executable("pulumi", 'echo >> "$0.asked"; echo "error: no passphrase" >&2; exit 255')
    with pytest.raises(PulumiError, match=r"^pulumi stack export: no passphrase$"):
        read_state(lambda: pulumi("stack", "export"))
    assert called.with_name("pulumi.asked").read_text() == "\n"


def test_one_that_is_silent_is_an_error(executable: Executable, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend may take a connection and never answer."""
    monkeypatch.setattr(pulumi_cli, "LONGEST", 0.2)
    executable("pulumi", "exec sleep 60")
    with pytest.raises(PulumiError, match=r"^pulumi stack export: no answer within 0.2 seconds: check its backend$"):
        read_state(lambda: pulumi("stack", "export", "--stack", "dc1"))


@pytest.mark.parametrize(
    ("said", "step"),
    [
        ("no stack named 'dc9' found", "`pulumi stack ls`"),
        ("PULUMI_ACCESS_TOKEN must be set for login during non-interactive CLI sessions", "`pulumi login`"),
    ],
)
def test_a_mistake_is_told_with_the_next_step(executable: Executable, said: str, step: str) -> None:
    executable("pulumi", f'echo "error: {said}" >&2; exit 255')
    with pytest.raises(PulumiError, match=f"^pulumi stack output: {re.escape(said)}: .*{step}"):
        pulumi("stack", "output", "--json")


def test_a_pulumi_that_is_not_there_is_told_with_the_next_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PulumiError, match=r"^pulumi cannot be run: No such file or directory: .*scripts/env"):
        pulumi("stack", "output", "--json")


def outside(error: LookupError | None) -> Environment:
    def read(_: str) -> Mapping[str, Any]:
        if error:
            raise error
        return {"sites": {}}

    return Environment("dcmesh", "test", read, read_file)


def test_own_outputs_that_cannot_be_read_are_not_taken_for_those_of_a_new_stack() -> None:
    assert outside(None).own_outputs() == {"sites": {}}
    assert outside(NoStackError("unknown stack")).own_outputs() == {}
    with pytest.raises(ConfigError, match="sites: the state of organization/dcmesh/test cannot be read: no passphrase"):
        outside(LookupError("no passphrase")).own_outputs()
