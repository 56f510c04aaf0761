"""`python -m dcmesh unlock` removes the lock of a dead run, and no other lock."""

import json
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dcmesh.model.facts import State
from dcmesh.pulumi_processes import Process, age, helm_may_be_at_work, parse, plugins
from dcmesh.unlock import Lock, is_dead, unlock
from dcmesh.unlock import parse as parse_lock
from tests.unit.dcmesh.status.test_command import run as typed

Executable = Callable[[str, str], Path]

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
NOBODY = 2**22 + 1
"""A PID that Linux never assigns."""

LOCK = Lock(pid=42, host="here", user="root", since=NOON)


def process(program: str = "pulumi", *, pid: int = 42, began: timedelta = timedelta(seconds=-1)) -> Process:
    return Process(pid=pid, program=program, began=NOON + began)


@pytest.mark.parametrize(
    ("running", "dead"),
    [
        ([], True),
        ([process()], False),
        ([process(pid=43)], True),
        ([process("postgres")], True),  # Its PID went to another program.
        ([process(began=timedelta(minutes=1))], False),  # Somebody may have set the clock.
        ([process(pid=1, program="init"), process()], False),
    ],
)
def test_a_lock_is_dead_when_its_process_is(running: list[Process], dead: bool) -> None:
    assert is_dead(LOCK, "here", running) is dead


def test_another_machines_lock_is_never_dead() -> None:
    assert not is_dead(LOCK, "elsewhere", [])


def test_a_lock_as_pulumi_writes_it() -> None:
    text = '{"pid":42,"username":"root","hostname":"here","timestamp":"2026-11-28T13:00:00.727378295+01:00"}'
    assert parse_lock(text) == Lock(**{**vars(LOCK), "since": NOON + timedelta(microseconds=727378)})


@pytest.mark.parametrize(
    ("etime", "wanted"),
    [
        ("00:07", timedelta(seconds=7)),
        ("12:30", timedelta(minutes=12, seconds=30)),
        ("01:00:01", timedelta(hours=1, seconds=1)),
        ("3-02:00:00", timedelta(days=3, hours=2)),
        ("213503982-07:30:08", timedelta(0)),
    ],
)
def test_ages_of_processes(etime: str, wanted: timedelta) -> None:
    assert age(etime) == wanted


def test_processes_as_ps_shows_them() -> None:
    shown = "    1 1-00:00:00 /sbin/init splash\n   42       00:01 pulumi up --yes\n    9 00:05 [kworker/0:1]\n"
    assert parse(shown, NOON) == (
        process("init", pid=1, began=timedelta(days=-1)),
        process(),
        process("0:1]", pid=9, began=timedelta(seconds=-5)),
    )


def test_plugins_of_an_earlier_run() -> None:
    earlier = process("pulumi-resource-kubernetes")
    later = process("pulumi-resource-kubernetes", began=timedelta(minutes=1))
    assert plugins([process(), earlier, later, process("pulumi-resource-tls")], NOON) == [earlier]


@pytest.mark.parametrize(
    ("host", "session", "began", "at_work"),
    [
        ("", 0, 0, True),
        ("", 1, 0, False),  # This lock is another run's. That run may have been killed too.
        ("", 0, 60, False),  # This lock is a later run's.
        ("elsewhere", 1, 60, True),  # It is the run's own, as far as one can tell.
    ],
)
def test_helm_may_be_at_work_where_the_runs_plugin_lives(
    monkeypatch: pytest.MonkeyPatch, host: str, session: int, began: int, at_work: bool
) -> None:
    plugin = process("pulumi-resource-kubernetes", pid=os.getpid(), began=timedelta(seconds=began))
    monkeypatch.setattr("dcmesh.pulumi_processes.processes", lambda: (plugin, replace(plugin, pid=NOBODY)))
    host, session = host or socket.gethostname(), session or os.getsid(0)
    assert helm_may_be_at_work(host, session, NOON) is at_work


# --- the verb --------------------------------------------------------------------------------------------------------


@pytest.fixture
def lock(tmp_path: Path, executable: Executable, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make a state in a directory, with the given locks in it."""
    executable("pulumi", f'echo \'{{"url": "file://{tmp_path}/state?no_tmp_dir=true"}}\'')
    (tmp_path / "Pulumi.yaml").write_text("name: dcmesh\n")
    monkeypatch.chdir(tmp_path)

    def write(name: str, *, pid: int, host: str | None = None, stack: str = "dev") -> Path:
        file = tmp_path / f"state/.pulumi/locks/organization/dcmesh/{stack}/{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        said = {"pid": pid, "hostname": host or socket.gethostname(), "username": "root", "timestamp": NOON.isoformat()}
        file.write_text(json.dumps(said))
        file.with_name(f"{name}.json.attrs").write_text("{}")
        return file

    return write


def test_the_lock_of_a_dead_run_is_removed(lock: Callable[..., Path]) -> None:
    file, other = lock("a", pid=NOBODY), lock("b", pid=NOBODY, stack="other")
    state, said = unlock("dev")
    assert state is State.OK
    assert said.startswith(f"removed the lock of a run that is dead: process {NOBODY} of root on ")
    assert list(file.parent.iterdir()) == []
    assert other.exists()


def test_what_may_live_stays_locked_and_the_user_is_told_what_to_do(lock: Callable[..., Path]) -> None:
    dead, elsewhere = lock("a", pid=NOBODY), lock("b", pid=NOBODY, host="elsewhere")
    state, said = unlock("organization/dcmesh/dev")
    assert state is State.CRITICAL
    assert "the stack dev is locked by process 4194305 of root on elsewhere, since 2026-11-28 12:00:00" in said
    assert said.endswith("`pulumi cancel --stack dev`")
    assert (dead.exists(), elsewhere.exists()) == (False, True)


def test_the_lock_of_a_run_that_lives_stays(lock: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    file = lock("a", pid=os.getpid())
    running = Process(pid=os.getpid(), program="pulumi", began=NOON)
    monkeypatch.setattr("dcmesh.unlock.processes", lambda: (running,))
    assert unlock("dev")[0] is State.CRITICAL
    assert file.exists()


def test_the_verb_says_so_and_its_exit_code_is_what_make_asks_for(
    lock: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    lock("a", pid=NOBODY, host="elsewhere")
    assert typed("unlock", "--stack", "dev") == State.CRITICAL
    assert "is locked by process" in capsys.readouterr().out
    assert typed("unlock", "--stack", "other") == State.OK
    assert capsys.readouterr().out == ""


def test_on_a_terminal_it_is_shown_that_the_backend_is_asked(lock: Callable[..., Path], waited_for: list[str]) -> None:
    lock("a", pid=NOBODY)
    assert typed("unlock", "--stack", "dev") == State.OK
    assert waited_for == ["looking for a lock"]


def test_pulumis_own_error_is_shown(executable: Executable, capsys: pytest.CaptureFixture[str]) -> None:
    executable("pulumi", "echo 'error: no passphrase' >&2; exit 255")
    assert typed("unlock", "--stack", "dev") == State.UNKNOWN
    assert capsys.readouterr().out == "pulumi whoami: no passphrase\n"


def test_beside_the_project_the_user_is_told_where_to_run_it(
    lock: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = lock("a", pid=NOBODY)
    (tmp_path / "Pulumi.yaml").unlink()
    assert typed("unlock", "--stack", "dev") == State.UNKNOWN
    assert capsys.readouterr() == ("there is no Pulumi.yaml here: run it in the project's directory\n", "")
    assert file.exists()


def test_no_lock_no_word(lock: Callable[..., Path]) -> None:
    lock("b", pid=NOBODY, stack="other")
    assert unlock("dev") == (State.OK, "")


def test_of_a_state_elsewhere_nothing_is_said(executable: Executable) -> None:
    executable("pulumi", """echo '{"url": "s3://bucket"}'""")
    assert unlock("dev") == (State.OK, "")
