"""`status --watch`: what it shows, and how it ends. tests/e2e/databases/test_status.py runs it on real sites."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from select import select
from types import SimpleNamespace

import pytest

from dcmesh.model.facts import State
from dcmesh.status import watch as watching
from dcmesh.status.sites import SiteStatus, Status
from tests.unit.conftest import ROOT
from tests.unit.dcmesh.status.test_command import OUTPUTS
from tests.unit.statuses import gateway


def status(ready: int) -> Status:
    return Status(sites=(SiteStatus(name="dc1", facts=(gateway(ready=ready),)),))


def watched(monkeypatch: pytest.MonkeyPatch, *seen: Status | type[KeyboardInterrupt]) -> tuple[State, list[float]]:
    """Watch while these states come one after the other, and then press Ctrl-C. Return the exit code and the pauses."""
    left, pauses = [*seen], list[float]()

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if not left:
            raise KeyboardInterrupt

    def look() -> Status:
        found = left.pop(0)
        if isinstance(found, Status):
            return found
        raise found

    monkeypatch.setattr(watching, "time", SimpleNamespace(sleep=sleep))
    return watching.watch(look, 7), pauses


def test_it_ends_as_it_was_at_the_last_look(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert watched(monkeypatch, status(2), status(1), status(0)) == (State.CRITICAL, [7, 7, 7])
    shown, err = capsys.readouterr()
    assert shown.startswith("CRITICAL: dc1 gateway: no pod is ready, 2 wanted\n")
    assert shown.rstrip().endswith("and again every 7 s. Ctrl-C ends it.")
    assert err == ""


def test_a_look_that_is_interrupted_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert watched(monkeypatch, status(1), KeyboardInterrupt)[0] == State.WARNING


def test_before_the_first_look_is_over_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        watched(monkeypatch, KeyboardInterrupt)


def test_on_a_terminal_it_goes_on_until_ctrl_c(executable: Callable[[str, str], Path]) -> None:
    executable("pulumi", f"cat <<'E'\n{json.dumps(OUTPUTS)}\nE\n")
    screen, terminal = pty.openpty()
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
    environment = os.environ | {"TERM": "xterm-256color"}
    # A process that is started in the background ignores Ctrl-C, and its children inherit that.
    command = ("env", "--default-signal=INT", sys.executable, "-m", "dcmesh", "status", "--watch", "--interval", "1")
    running = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True, **streams)
    os.close(terminal)
    try:
        shown = b""
        while shown.count(b"again every 1 s") < 2:
            assert select([screen], [], [], 60)[0], shown
            shown += os.read(screen, 65536)
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(60) == State.UNKNOWN
    finally:
        running.kill()
        running.wait()
        os.close(screen)
    assert b"asking the sites" in shown
    assert b"dc1: cannot be asked" in shown
