"""A Docker apart from the machine's own: Debian's dockerd in network, mount and PID namespaces of its own.

When the namespaces end, everything that this Docker has ends with them.
"""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.paths import REPOSITORY

_CGROUPS = Path("/sys/fs/cgroup")
_PATIENCE = 30
"""Seconds that dockerd may take until it answers."""


@dataclass(frozen=True)
class Docker:
    """A Docker that runs.

    Attributes:
        process: the PID of its namespaces' first process, dockerd.
        programs: the directory with its programs.
    """

    process: int
    programs: Path

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment, with the programs on the path."""
        return os.environ | {"PATH": f"{self.programs}:{os.environ['PATH']}"}

    def command(self, *command: str, directory: Path = REPOSITORY) -> tuple[str, ...]:
        """Return a command that runs another one in Docker's namespaces, as on a machine that has Docker installed."""
        enter = ("nsenter", f"--target={self.process}", "--net", "--mount", "--pid", "--")
        return (*enter, "env", f"--chdir={directory}", *command)

    def run(self, *command: str, stdin: bytes = b"") -> str:
        """Run a command in Docker's namespaces, and return what it prints.

        Raises:
            LabError: it failed.
        """
        whole = self.command(*command)
        done = subprocess.run(whole, input=stdin, env=self.environment, capture_output=True, check=False)
        if done.returncode:
            raise LabError(f"`{shlex.join(command)}` failed: {done.stderr.decode().strip()}")
        return done.stdout.decode()


@contextlib.contextmanager
def running(programs: Path, directory: Path) -> Iterator[Docker]:
    """Run a Docker without images while the block runs. Nothing of it is left afterwards.

    Args:
        programs: the directory with dockerd and the programs that it runs.
        directory: an empty directory for this Docker alone. The cgroup of its containers has the directory's name.

    Raises:
        LabError: it does not start.
    """
    log = directory / "dockerd.log"
    alone = ("setpriv", "--pdeathsig=KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child")
    with log.open("wb") as output:
        parent = subprocess.Popen(
            [*alone, "--mount-proc", "sh", "-ec", _script(directory)],
            env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield _answering(parent, programs, log)
    finally:
        for child in _children(parent):
            # The kernel ends all other processes of the namespace before this one has ended.
            os.kill(child, signal.SIGKILL)
        parent.wait()
        _remove_cgroups(directory.name)
        shutil.rmtree(directory / "data", ignore_errors=True)


def _script(directory: Path) -> str:
    """Return the script with which dockerd's namespaces begin.

    What dockerd writes below /run and /etc stays within them.
    """
    runc = REPOSITORY / "lab" / "k3d" / "runc"
    dockerd = (
        "dockerd",
        f"--data-root={directory / 'data'}",
        "--storage-driver=overlay2",
        "--exec-opt=native.cgroupdriver=cgroupfs",
        f"--cgroup-parent=/{directory.name}",
        f"--add-runtime=less={runc}",
        "--default-runtime=less",
    )
    return f"""mount -t tmpfs tmpfs /run
mkdir /run/etc /run/etc.work
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/etc.work overlay /etc
ip link set lo up
exec {shlex.join(dockerd)}"""


def _children(parent: subprocess.Popen[bytes]) -> list[int]:
    if parent.poll() is not None:
        return []
    return [int(child) for child in Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()]


def _answering(parent: subprocess.Popen[bytes], programs: Path, log: Path) -> Docker:
    """Return the Docker when it answers.

    Ask only after its first process has become dockerd: before, another could answer.
    """
    deadline = time.monotonic() + _PATIENCE
    while parent.poll() is None and time.monotonic() < deadline:
        for child in _children(parent):
            docker = Docker(child, programs)
            with contextlib.suppress(LabError, FileNotFoundError):
                if Path(f"/proc/{child}/comm").read_text().strip() == "dockerd":
                    docker.run("docker", "info")
                    return docker
        time.sleep(0.1)
    raise LabError("dockerd does not start", log)


def _remove_cgroups(name: str) -> None:
    """Remove what is left of the containers' cgroup. Their processes have ended with dockerd's first one."""
    # The machine has one hierarchy of cgroups, or several.
    for group in (_CGROUPS / name, *_CGROUPS.glob(f"*/{name}")):
        for directory, _, _ in os.walk(group, topdown=False):
            Path(directory).rmdir()
