"""What stands in for Galera, so that MySQL can be a node of an XtraDB cluster."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.parts import Recipe, Workplace
from lab.paths import REPOSITORY

STANDIN = REPOSITORY / "lab" / "pxc_standin"
"""The source: a plugin of mysqld in C, and scripts in place of Percona's."""


@dataclass(frozen=True)
class PxcStandin(Recipe):
    """The plugin `wsrep.so`, and the scripts."""

    @property
    def sources(self) -> Iterable[Path]:
        """The source, and this file."""
        return (STANDIN, Path(__file__))

    def make(self, work: Workplace) -> None:
        """Compile the one, and copy the others."""
        plugin = ("-shared", "-fPIC", "-nostdlib", "-O1", "-Wall", "-o", work.out / "wsrep.so", STANDIN / "wsrep.c")
        work.run("gcc", *plugin)
        for file in STANDIN.glob("*.sh"):
            shutil.copy(file, work.out)
