"""Where a stack's state is, and what protects it: make says so for the throw-away stack, nothing for any other."""

import os
import subprocess

import pytest
import yaml

from tests.unit.configurations import ROOT

PRINT = """sh -c 'echo "$$PULUMI_BACKEND_URL $${PULUMI_CONFIG_PASSPHRASE-unset}"' --"""


def given(*arguments: str, **environment: str) -> set[str]:
    """Return with which backend and passphrase make runs pulumi."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "MAKE"))}
    command = ["make", "--silent", "--old-file=venv/installed", "down", f"RUN={PRINT}", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=clean | environment, capture_output=True, text=True, check=True)
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
    """A backend in Pulumi.yaml counts before `pulumi login`."""
    assert "backend" not in yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    assert "PULUMI_" not in (ROOT / "scripts/env").read_text()
