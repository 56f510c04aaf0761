"""Scripts that bash really runs, with fakes of the programs that they call.

The fakes are functions of the same shell, because a process for each call would take most of a test's time.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

BASH = str(shutil.which("bash"))

# It runs in a shell of its own, as a program does.
FAKE = """\
{name}() (
  set +eu +o pipefail
  printf '%s\\n' "{name} $*" >>{directory}/calls
{script}
)
"""
# In a pipeline it replaces the shell that runs it, because nothing comes after it there.
REAL = """\
{name}() {{
  printf '%s\\n' "{name} $*" >>{directory}/calls
  {exec}{path} "$@"
}}
"""


def _end(group: int) -> None:
    """End a process, and all processes that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


@dataclass(frozen=True)
class Programs:
    """All programs that a script finds.

    Args:
        directory: the directory in which `calls` records names and arguments.
        fakes: the fakes, by name, as shell code.
        real: the names of real programs.
        last: the names of real programs after which nothing comes in their shell.
        files: the names of fakes that are files as well, for `exec` and `timeout`.
    """

    directory: Path
    fakes: Mapping[str, str]
    real: Iterable[str] = ()
    last: Iterable[str] = ()
    files: Iterable[str] = ()

    def __post_init__(self) -> None:
        (self.directory / "bin").mkdir()
        found = [FAKE.format(name=n, script=s, directory=self.directory) for n, s in self.fakes.items()]
        for names, how in ((self.real, ""), (self.last, "exec ")):
            found += [REAL.format(name=n, path=shutil.which(n), exec=how, directory=self.directory) for n in names]
        (self.directory / "functions").write_text("".join(found))
        for name in self.files:
            path = self.directory / "bin" / name
            path.write_text(f'#!{BASH}\n{name} "$@"\n')
            path.chmod(0o755)

    def run(self, script: str, environment: Mapping[str, str], *, alone: bool = False) -> tuple[int, str]:
        """Run a script until it and all processes that it has started have ended. Return its status and output.

        Args:
            script: the script for bash.
            environment: all of its variables, except PATH.
            alone: whether processes that it leaves behind are ended with it, as in a container.
        """
        (self.directory / "calls").write_text("")
        process = subprocess.Popen(
            [BASH, "-c", script],
            env={
                **environment,
                "PATH": str(self.directory / "bin"),
                "BASH_ENV": str(self.directory / "functions"),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        # A timeout is not used: with one, Popen.wait() polls in growing intervals, which takes longer than most
        # scripts.
        overdue = Timer(60, _end, (process.pid,))
        overdue.start()
        try:
            if alone:
                process.wait()
                _end(process.pid)
            said, _ = process.communicate()
        finally:
            overdue.cancel()
            _end(process.pid)
        return process.returncode, said

    @property
    def calls(self) -> list[str]:
        """The programs that the last run called, with their arguments."""
        return (self.directory / "calls").read_text().splitlines()
