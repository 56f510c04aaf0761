"""Scripts run for real by bash, among programs that only seem to be there.

These are functions of the same shell: a process for each call takes most of a test's time.
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

# In a shell of its own, as a program is.
FAKE = """\
{name}() (
  set +eu +o pipefail
  printf '%s\\n' "{name} $*" >>{directory}/calls
{script}
)
"""
# In a pipeline it takes the place of the shell that runs it: nothing comes after it there.
REAL = """\
{name}() {{
  printf '%s\\n' "{name} $*" >>{directory}/calls
  {exec}{path} "$@"
}}
"""


def _end(group: int) -> None:
    """End a process, and all that it has begun."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


@dataclass(frozen=True)
class Programs:
    """All programs that a script finds.

    Args:
        directory: where `calls` has their names and arguments.
        fakes: what those do that only seem to be there, by name: shell.
        real: the names of those that are.
        last: the names of those that are, and that a script has only where nothing comes after them in their shell.
        files: the names of fakes that are files, too: what `exec` and `timeout` run.
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
        """Run a script to its end, and to that of all that it has begun; return its status and what was printed.

        Args:
            script: for bash.
            environment: all of its variables, but PATH.
            alone: what it has begun and left behind is ended with it, as a container does.
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
        # Not by a timeout: Popen.wait() looks in growing intervals then, and that takes longer than most scripts.
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
        """What the last run called, with arguments."""
        return (self.directory / "calls").read_text().splitlines()
