"""Pulumi's processes on this machine: whether what a killed run left is still at work."""

import os
import socket
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

SLACK = timedelta(seconds=2)
"""By how much the begin of a process may seem later than it was: `ps` tells seconds."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process: its id, the name of its program, and when it began."""

    pid: int
    program: str
    began: datetime

    def before(self, moment: datetime) -> bool:
        """Tell whether it was there at a moment: else it got the id of one that has ended."""
        return self.began <= moment + SLACK


def processes() -> tuple[Process, ...]:
    """Return the processes of this machine, by `ps`.

    Raises:
        OSError: there is no `ps`.
    """
    now = datetime.now(UTC)
    shown = subprocess.run(["ps", "-eo", "pid=,etime=,args="], capture_output=True, text=True, check=True).stdout
    return parse(shown, now)


def parse(shown: str, now: datetime) -> tuple[Process, ...]:
    """Return the processes of which `ps` tells: id, age as `[[days-]hours:]minutes:seconds`, command line."""
    lines = (line.split(None, 2) for line in shown.splitlines())
    return tuple(
        Process(pid=int(pid), program=command.split()[0].rpartition("/")[2], began=now - age(etime))
        for pid, etime, command in lines
    )


def age(etime: str) -> timedelta:
    """Return how long ago something was, from what `ps` writes: millions of years of what begins at that moment."""
    days, _, clock = etime.rpartition("-")
    if len(days) > 5:
        return timedelta(0)
    hours, minutes, seconds = ("0", *clock.split(":"))[-3:]
    return timedelta(days=int(days or 0), hours=int(hours), minutes=int(minutes), seconds=int(seconds))


def helm_may_be_at_work(host: str, session: int, since: datetime) -> bool:
    """Tell whether a run on a host may still install or upgrade by Helm, be it only by what its death left behind.

    Pulumi's plugin for Kubernetes does that, and goes on when a kill meets pulumi alone.

    Args:
        host: the host's name.
        session: the session of processes that the run and its plugins are in.
        since: when the run was at work.
    """
    if host != socket.gethostname():
        return True
    try:
        return any(session_of(plugin) == session for plugin in plugins(processes(), since))
    except OSError:
        return True


def session_of(process: Process) -> int:
    """Return the session that a process is in; 0 if it has ended."""
    try:
        return os.getsid(process.pid)
    except ProcessLookupError:
        return 0


def plugins(found: Iterable[Process], since: datetime) -> list[Process]:
    """Return the plugins for Kubernetes among processes that were there at a moment."""
    return [p for p in found if p.program == "pulumi-resource-kubernetes" and p.before(since)]
