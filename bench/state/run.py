"""The part's measurements: ten exports more, on a state that is a file, with each of Pulumi's options."""

import os
import resource
import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from bench.samples import Recorder, Sample
from bench.state.figures import BEFORE, CPU, ONCE, SETTINGS, STACKS, TEN_MORE, case_of
from tests.e2e.toolbox import ROOT
from tests.e2e.toolbox import run as command

MOST = 3
"""Rounds, at most: the largest state takes minutes."""

PROGRAM = Path(__file__).with_name("program.py")


def run(record: Recorder, rounds: int) -> None:
    """Measure."""
    for stack, (resources, size) in STACKS.items():
        for before in BEFORE:
            with TemporaryDirectory(prefix="state-") as name:
                project = Project(Path(name), resources, size)
                project.up(before, ONCE)
                project.keep()
                for number in range(1, min(rounds, MOST) + 1):
                    for way in SETTINGS:
                        project.take_back()
                        for metric, seconds in zip((TEN_MORE, CPU), project.up(before + 10, way), strict=True):
                            record(
                                Sample(
                                    metric=metric,
                                    unit="s",
                                    way=way,
                                    case=case_of(stack, before),
                                    round=number,
                                    value=seconds,
                                )
                            )


class Project:
    """A stack of the program, whose state can be taken back."""

    def __init__(self, directory: Path, resources: int, size: int) -> None:
        """Make it.

        Args:
            directory: an empty directory of its own.
            resources: of each export.
            size: bytes of each in the state.
        """
        self._directory = directory
        self._state, self._kept = directory / "state", directory / "kept"
        self._state.mkdir()
        runtime = {"name": "python", "options": {"virtualenv": str(ROOT / "venv")}}
        (directory / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "state", "runtime": runtime}))
        shutil.copy(PROGRAM, directory / "__main__.py")
        self._environment = os.environ | {
            "PULUMI_BACKEND_URL": f"file://{self._state}",
            "PULUMI_CONFIG_PASSPHRASE": "bench",
            "BENCH_RESOURCES": str(resources),
            "BENCH_BYTES": str(size),
        }
        command("pulumi", "stack", "init", "state", cwd=directory, env=self._environment)

    def up(self, exports: int, way: str) -> tuple[float, float]:
        """Have so many exports; return the seconds that this takes, and those of a core."""
        settings, options = SETTINGS[way]
        environment = self._environment | settings | {"BENCH_COMPONENTS": str(exports)}
        begun, before = time.monotonic(), spent()
        arguments = ("up", "--yes", "--skip-preview", "--suppress-outputs", "--non-interactive", *options)
        command("pulumi", *arguments, cwd=self._directory, env=environment, timeout=1800)
        return time.monotonic() - begun, spent() - before

    def keep(self) -> None:
        """Keep the state as it is."""
        shutil.copytree(self._state, self._kept)

    def take_back(self) -> None:
        """Have the state again that was kept."""
        shutil.rmtree(self._state)
        shutil.copytree(self._kept, self._state)


def spent() -> float:
    """Return the seconds of a core that all processes had that were started here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
