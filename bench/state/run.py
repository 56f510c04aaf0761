"""The part's measurements: ten more exports, on a state in a file, with each of Pulumi's options."""

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

FEW = 10
"""Up to this many exports there are as many rounds as asked for. With more there is one, which takes minutes."""

PROGRAM = Path(__file__).with_name("program.py")


def run(record: Recorder, rounds: int) -> None:
    """Measure."""
    for stack, (resources, size) in STACKS.items():
        for before in BEFORE:
            with TemporaryDirectory(prefix="state-") as name:
                project = Project(Path(name), resources, size)
                project.up(before, ONCE)
                project.keep()
                for number in range(1, (rounds if before <= FEW else 1) + 1):
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
    """A stack of the program, whose state can be restored."""

    def __init__(self, directory: Path, resources: int, size: int) -> None:
        """Make it.

        Args:
            directory: an empty directory for this stack alone.
            resources: the number of resources of each export.
            size: the bytes of each resource in the state.
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
        """Run `up` with this many exports. Return the seconds that it takes, and its CPU seconds."""
        environment = self._environment | SETTINGS[way] | {"BENCH_COMPONENTS": str(exports)}
        begun, before = time.monotonic(), spent()
        arguments = ("up", "--yes", "--skip-preview", "--suppress-outputs", "--non-interactive")
        command("pulumi", *arguments, cwd=self._directory, env=environment, timeout=1800)
        return time.monotonic() - begun, spent() - before

    def keep(self) -> None:
        """Save the present state."""
        shutil.copytree(self._state, self._kept)

    def take_back(self) -> None:
        """Restore the saved state."""
        shutil.rmtree(self._state)
        shutil.copytree(self._kept, self._state)


def spent() -> float:
    """Return the CPU seconds of all processes that were started here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
