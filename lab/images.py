"""Container images: archives that `ctr images import` takes."""

import hashlib
import json
import platform
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab import packages
from lab.parts import Recipe, Workplace

ARCHIVE = "image.tar"
"""The archive in an image's part."""

_LAYER = "layer.tar"
"""The layer in a base layer's part."""

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_LEFT_OUT = (
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
    "/usr/lib/*/gconv/*",
)
_MERGED_USR = "/usr/share/mmdebstrap/hooks/merged-usr"


def _own_release() -> str:
    return platform.freedesktop_os_release()["VERSION_CODENAME"]


@dataclass(frozen=True)
class User:
    """A user of an image, with a group of the same name and number.

    Attributes:
        name: the user's name.
        number: the ID of the user and of the group.
        directories: the directories that the user owns; the first one is its home.
    """

    name: str
    number: int
    directories: tuple[str, ...]


@dataclass(frozen=True)
class BaseLayer(Recipe):
    """The first layer of images: a small Debian.

    Attributes:
        packages: the Debian packages in it, besides the essential ones.
        users: the users that are created before the packages are installed.
        left_out: patterns of the packages' files that are not needed.
        release: which Debian. Default: this machine's own.
        commands: the commands that are run at the end, with the Debian's directory as "$1".
    """

    packages: tuple[str, ...]
    users: tuple[User, ...] = ()
    left_out: tuple[str, ...] = ()
    release: str = field(default_factory=_own_release)
    commands: tuple[str, ...] = ()

    @property
    def settings(self) -> str:
        """The command that installs them."""
        return repr(self._command)

    def make(self, work: Workplace) -> None:
        """Install the packages into an archive."""
        sources = packages.apt_sources()
        if self.release != _own_release():
            sources = (packages.of_release(sources, self.release),)
        target = (work.out / _LAYER, "-")  # "-" means that the sources are on standard input.
        work.run(*self._command, *target, env={"SOURCE_DATE_EPOCH": "0"}, stdin="\n".join(sources))

    @property
    def _command(self) -> tuple[str, ...]:
        """The command, up to the file that it writes."""
        return (
            "mmdebstrap",
            "--mode=root",
            "--variant=essential",
            f"--hook-dir={_MERGED_USR}",  # This makes /bin a link. The package that does it would bring Perl in.
            '--aptopt=APT::Install-Recommends "false"',
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in (*_LEFT_OUT, *self.left_out)),
            *(f"--essential-hook={command}" for user in self.users for command in _commands_that_add(user)),
            *(f"--customize-hook={command}" for command in self.commands),
            "--skip=output/dev",
            "--skip=cleanup/run",  # Users own directories in /run.
            f"--include={','.join(('usr-is-merged', *self.packages))}",
            self.release,
        )


@dataclass(frozen=True)
class Image(Recipe):
    """An image made of files from other parts. It has the name of the official image that it stands in for.

    Attributes:
        name: the name that pods use, with its tag.
        files: where each file comes from. The key is its path in the image, the value is `PART/PATH`.
        entrypoint: what a container runs.
        user: the user that the container runs as; root if empty.
        base: the part with the first layer, if the image has one.
    """

    name: str
    files: Mapping[str, str]
    entrypoint: tuple[str, ...]
    user: str = ""
    base: str = ""

    @property
    def needs(self) -> Iterable[str]:
        """The parts from which the files and the first layer come."""
        parts = [source.partition("/")[0] for source in self.files.values()]
        return tuple(dict.fromkeys([self.base, *parts] if self.base else parts))

    @property
    def sources(self) -> Iterable[Path]:
        """This file, since it says what an archive looks like."""
        return (Path(__file__),)

    def make(self, work: Workplace) -> None:
        """Write the archive as `docker save` does. Layers are not compressed, since then the import is fastest."""
        own = work.scratch / _LAYER
        _write_tar(own, {path: work.file(source) for path, source in self.files.items()})
        layers = {f"{_digest(layer)}.tar": layer for layer in (*self._base_layers(work), own)}
        config = {
            "architecture": work.run("dpkg", "--print-architecture").strip(),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {"Entrypoint": self.entrypoint, "User": self.user, "Env": [_PATH]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{Path(name).stem}" for name in layers]},
        }
        manifest = [{"Config": "config.json", "RepoTags": [self.name], "Layers": [*layers]}]
        descriptions = {"config.json": config, "manifest.json": manifest}
        for name, description in descriptions.items():
            (work.scratch / name).write_text(json.dumps(description))
        _write_tar(work.out / ARCHIVE, layers | {name: work.scratch / name for name in descriptions})

    def _base_layers(self, work: Workplace) -> tuple[Path, ...]:
        return (work.parts[self.base] / _LAYER,) if self.base else ()


def _commands_that_add(user: User) -> tuple[str, str]:
    """Return the commands that add a user to the Debian at "$1"."""
    new = f"--system --uid {user.number} --user-group --home-dir {user.directories[0]} {user.name}"
    directories = " ".join(f'"$1"{directory}' for directory in user.directories)
    return (
        f'useradd --prefix "$1" {new}',
        f"install --directory --owner={user.number} --group={user.number} {directories}",
    )


def _write_tar(archive: Path, members: Mapping[str, Path]) -> None:
    """Write a tar archive that depends on nothing but the contents and the permissions of its files.

    Args:
        archive: the file to write.
        members: each file, by its path in the archive.
    """
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for path, file in members.items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size = file.stat().st_size
            member.mode = 0o755 if file.stat().st_mode & 0o100 else 0o644
            with file.open("rb") as content:
                tar.addfile(member, content)


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
