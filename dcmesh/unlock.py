"""The lock of a stack whose run is dead: a state in a directory keeps it for ever, and nobody can run the stack."""

import json
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from dcmesh.model.facts import State
from dcmesh.pulumi_cli import pulumi
from dcmesh.pulumi_processes import Process, processes

FILE = "file://"


@dataclass(frozen=True, kw_only=True)
class Lock:
    """A lock as Pulumi writes it: the process that holds it, on which host, whose, and since when."""

    pid: int
    host: str
    user: str
    since: datetime

    def __str__(self) -> str:
        """Return it as it is shown."""
        return f"process {self.pid} of {self.user} on {self.host}, since {self.since:%Y-%m-%d %H:%M:%S %Z}"


class UnlockError(Exception):
    """A stack's locks cannot be looked at; the message is for the user."""


def parse(text: str) -> Lock:
    """Return what a lock's file says."""
    said: dict[str, Any] = json.loads(text)
    since = datetime.fromisoformat(said["timestamp"])
    return Lock(pid=said["pid"], host=said["hostname"], user=said["username"], since=since)


def is_dead(lock: Lock, host: str, running: Iterable[Process]) -> bool:
    """Tell whether a lock is of this host, and its process is not there any more.

    Args:
        lock: the lock.
        host: this host's name.
        running: its processes.
    """
    alive = (p for p in running if p.pid == lock.pid and p.program.startswith("pulumi"))  # a clock may have been set
    return lock.host == host and not any(alive)


def verdict(dead: Sequence[Lock], others: Sequence[Lock], stack: str) -> tuple[State, str]:
    """Return whether a stack can be run, and what to say.

    Args:
        dead: the locks that were removed.
        others: those that stay.
        stack: its name.
    """
    lines = [f"removed the lock of a run that is dead: {lock}" for lock in dead]
    lines += [f"the stack {stack} is locked by {lock}" for lock in others]
    if others:
        lines.append(f"Wait for that run. If you know that it is dead: `pulumi cancel --stack {stack}`")
    return State.CRITICAL if others else State.OK, "\n".join(lines)


def unlock(stack: str | None) -> tuple[State, str]:
    """Remove the locks of a stack whose processes are dead.

    Args:
        stack: its name. Default: the one that is selected.

    Returns:
        Whether it can be run, and what to say.

    Raises:
        UnlockError: it cannot be told.
    """
    url = json.loads(pulumi("whoami", "--json"))["url"]
    if not url.startswith(FILE):
        return State.OK, ""  # Pulumi's service ends a dead run's lock by itself; a bucket's may be any machine's
    stack = (stack or pulumi("stack", "--show-name").strip()).rpartition("/")[2]
    project = yaml.safe_load(Path("Pulumi.yaml").read_text())["name"]
    state = Path(url.removeprefix(FILE).partition("?")[0]).expanduser()
    files = sorted((state / ".pulumi/locks/organization" / project / stack).glob("*.json"))
    locks = {file: parse(file.read_text()) for file in files}
    try:
        running = processes() if locks else ()
    except OSError as error:
        raise UnlockError(f"ps cannot be run: {error.strerror}") from None
    dead = {file: lock for file, lock in locks.items() if is_dead(lock, socket.gethostname(), running)}
    for file in dead:  # not `pulumi cancel`, which removes the lock of a run that begins just now as well
        file.unlink()
        file.with_name(f"{file.name}.attrs").unlink(missing_ok=True)
    return verdict(list(dead.values()), [lock for file, lock in locks.items() if file not in dead], stack)
