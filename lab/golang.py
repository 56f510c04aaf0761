"""Parts built from Go modules. Each module under `lab/go` pins its sources by its go.mod and go.sum."""

import json
import re
import shlex
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.errors import LabError
from lab.parts import Recipe, Workplace
from lab.paths import REPOSITORY

FETCHES_NEWER = [1, 21]
"""The first Go that gets by itself the version that a go.mod asks for."""

_QUICKLY = {"GOGC": "off", "GOMEMLIMIT": "1GiB"}
"""Compilers are short-lived. Each collects garbage when it holds this much, not whenever its heap has doubled."""

_NO_DEBUGGING = "-gcflags=all=-dwarf=false"
"""The linker drops what debuggers need, so the compiler need not write it. It is a fifth of a small program."""


@dataclass(frozen=True)
class GoPrograms(Recipe):
    """Static programs, each named as the go command names it: by the last element of its package's path.

    The module's `//go:generate` directives run first.

    Attributes:
        module: the module under `lab/go`.
        packages: the main packages, as seen from the module.
        tags: build tags.
        variables: string variables of the programs that the linker sets.
    """

    module: str
    packages: tuple[str, ...] = (".",)
    tags: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> str:
        """What is built, and the go command's settings, except those that change nothing in the programs."""
        return repr((self.packages, self._environment))

    @property
    def sources(self) -> Iterable[Path]:
        """The module."""
        return (module(self.module),)

    @property
    def turn(self) -> str:
        """The module. Its programs share packages, which would be compiled twice if two were built side by side."""
        return self.module

    def make(self, work: Workplace) -> None:
        """Build the programs."""
        copy = module_copy(self.module, work)
        flags = f"{self._environment['GOFLAGS']} {_NO_DEBUGGING}"
        environment = self._environment | _QUICKLY | {"GOFLAGS": flags}
        work.run("go", "generate", "./...", cwd=copy, env=environment)
        work.run("go", "build", "-o", f"{work.out}/", *self.packages, cwd=copy, env=environment)

    @property
    def _environment(self) -> dict[str, str]:
        """The go command's settings.

        They are the same for generating and for building, so that both share its cache.
        """
        link = " ".join(("-s", "-w", *(f"-X {name}={value}" for name, value in self.variables.items())))
        flags = ("-trimpath", "-buildvcs=false", f"-tags={','.join(self.tags)}", f"-ldflags={link}")
        return {"CGO_ENABLED": "0", "GOFLAGS": shlex.join(flags)}


@dataclass(frozen=True)
class GoModuleFiles(Recipe):
    """Files from the source of a Go module.

    Attributes:
        module: the module under `lab/go` that pins the dependency.
        dependency: the module that has the files.
        paths: the files' paths in the dependency.
        mode: the files' permissions.
    """

    module: str
    dependency: str
    paths: tuple[str, ...]
    mode: int = 0o644

    @property
    def sources(self) -> Iterable[Path]:
        """The module that pins the dependency."""
        return (module(self.module),)

    def make(self, work: Workplace) -> None:
        """Copy the files."""
        source = dependency_source(self.module, self.dependency, work)
        for path in self.paths:
            copied = work.out / Path(path).name
            shutil.copyfile(source / path, copied)
            copied.chmod(self.mode)


def module(name: str) -> Path:
    """Return the directory of one of the modules under `lab/go`."""
    return REPOSITORY / "lab" / "go" / name


def module_copy(name: str, work: Workplace) -> Path:
    """Return a copy of one of the modules under `lab/go`, for the go command to work in.

    Raises:
        LabError: the go command is too old. Debian's own is, and takes the version in go.mod for a mistake.
    """
    version = work.run("go", "env", "GOVERSION").strip()
    if [int(part) for part in re.findall(r"\d+", version)[:2]] < FETCHES_NEWER:
        raise LabError(f"Go 1.26 or newer is needed, and the first on PATH is {version}")
    return shutil.copytree(module(name), work.scratch / name)


def dependency_source(name: str, dependency: str, work: Workplace) -> Path:
    """Return the directory with the source of a module that one under `lab/go` depends on."""
    found = work.run("go", "mod", "download", "-json", dependency, cwd=module_copy(name, work))
    return Path(json.loads(found)["Dir"])
