"""Parts made of files from Debian packages. The packages are not installed, so no service of theirs starts."""

from dataclasses import dataclass
from pathlib import Path

from lab import packages
from lab.parts import Recipe, Workplace


@dataclass(frozen=True)
class DebianFiles(Recipe):
    """Files that a Debian package of this machine's own release carries.

    Attributes:
        package: the package.
        paths: the files' paths in the package.
    """

    package: str
    paths: tuple[str, ...]

    def make(self, work: Workplace) -> None:
        """Unpack the package aside and keep the files."""
        packages.apt_sources()  # This reads the lists of packages if there are none yet.
        work.run("apt-get", "download", self.package)
        (archive,) = work.scratch.glob("*.deb")
        work.run("dpkg-deb", "--extract", archive, work.scratch / "unpacked")
        for path in self.paths:
            (work.scratch / "unpacked" / path).rename(work.out / Path(path).name)
