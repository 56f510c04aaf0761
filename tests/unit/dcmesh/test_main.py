"""The command line: its help, and the messages for wrong ones."""

import re
import subprocess
import sys

import pytest

from dcmesh.__main__ import app
from dcmesh.model.facts import State
from tests.unit.conftest import ROOT
from tests.unit.dcmesh.status.test_command import run

VERBS = [command.callback.__name__.replace("_", "-") for command in app.registered_commands if command.callback]


def test_the_verbs_are_listed_each_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    shown = capsys.readouterr().out
    for verb in VERBS:
        assert re.search(rf"^  {verb} +[A-Z].*\w\.$", shown, re.MULTILINE), verb
        assert "..." not in re.search(rf"^  {verb} .*$", shown, re.MULTILINE)[0]  # type: ignore[index]


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_has_an_example_and_its_exit_codes(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(verb, "--help") == 0
    shown = capsys.readouterr().out
    assert re.search(rf"^ +python -m dcmesh {verb}\b", shown, re.MULTILINE)
    assert f"  {int(State.OK)}  {State.OK.name}" in shown
    assert "CRITICAL" in shown or "UNKNOWN" in shown


def python(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, because it matters what is imported when."""
    command = (sys.executable, "-c", script)
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=60, env=environment)


HELPS = f"""
import sys
from contextlib import suppress
from dcmesh.__main__ import main
for verb in {["", *VERBS]}:
    sys.argv = ["dcmesh", *verb.split(), "--help"]
    with suppress(SystemExit):
        main()
    print(end="\\f")
"""
"""Prints the help of all verbs, with a form feed after each."""


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    """All help, for a terminal that has colours and eighty columns."""
    shown = python(HELPS, FORCE_COLOR="1", TERM="xterm-256color", COLUMNS="80").stdout
    return dict(zip(["", *VERBS, "after"], shown.split("\f"), strict=True))


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_is_plain_text_for_eighty_columns(verb: str, helps: dict[str, str]) -> None:
    assert helps[verb]
    assert all(line.isprintable() and line.isascii() and len(line) <= 80 for line in helps[verb].splitlines())


def test_help_is_there_at_once() -> None:
    """These modules take a second to import, and help needs none of them."""
    slow = ("cryptography", "grpc", "kubernetes", "pulumi", "pydantic", "rich", "yaml")
    script = (
        "import sys; from dcmesh.__main__ import main; sys.argv = ['dcmesh', '--help']\n"
        f"try: main()\nfinally: print([name for name in {slow} if name in sys.modules], file=sys.stderr)"
    )
    assert python(script).stderr == "[]\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Missing command (see `python -m dcmesh --help`)"),
        (("stats",), "No such command 'stats'. Did you mean 'status'? (see `python -m dcmesh --help`)"),
        (("status", "--colour"), "No such option: --colour (see `python -m dcmesh status --help`)"),
        (
            ("status", "--jsn"),
            "No such option: --jsn (Possible options: --json) (see `python -m dcmesh status --help`)",
        ),
        (("status", "--max-lag", "x"), "Invalid value for '--max-lag': "),
        (("status", "--max-lag", "-1"), "Invalid value for '--max-lag': "),
        (("status", "--stack"), "Option '--stack' requires an argument"),
        (("status", "dc1"), "Got unexpected extra argument(s) (dc1) (see `python -m dcmesh status --help`)"),
        (("status", "--\x1b[2J"), "No such option: --\\x1b[2J"),
        (("status", "--interval", "5"), "Invalid value: --interval is for --watch"),
        (("status", "--watch"), "Invalid value: --watch is for a terminal, and not for --json: run `status` each time"),
        (
            ("topology", "a.json", "--stack", "x"),
            "Invalid value: a FILE says what was asked: leave out --stack, --max-lag and --kubeconfig",
        ),
        (("topology", "a.json", "--max-lag", "0"), "Invalid value: a FILE says what was asked: "),
        (("\x1b[2J\nOK: all is well",), "No such command "),
    ],
)
def test_a_wrong_command_line_is_one_line_and_not_critical(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The customary exit code of a wrong command line is 2, which is CRITICAL to a monitoring system."""
    assert run(*words) == State.UNKNOWN
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"dcmesh: {said}")
    assert err.rstrip("\n").isprintable()
    assert err.rstrip().endswith("--help`)")
