"""Parts built from Go modules. Each module under `lab/go` pins what it builds by its go.mod and go.sum."""

import json
import shlex
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.parts import Recipe, Workplace
from lab.paths import REPOSITORY

_QUICKLY = {"GOGC": "off", "GOMEMLIMIT": "1GiB"}
"""Compilers are short-lived: each collects garbage when it holds this much, not whenever its heap has doubled."""

_NO_DEBUGGING = "-gcflags=all=-dwarf=false"
"""The linker leaves out what debuggers need: the compiler need not write it. In a small program that is a fifth."""


@dataclass(frozen=True)
class GoPrograms(Recipe):
    """Static programs, each named as the go command names it: by the last element of its package's path.

    What the module's `//go:generate` directives make is made first.

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
        """What is built, and what the go command is told, but for what changes nothing in the programs."""
        return repr((self.packages, self._environment))

    @property
    def sources(self) -> Iterable[Path]:
        """The module."""
        return (module(self.module),)

    @property
    def turn(self) -> str:
        """The module: its programs share packages, which would be compiled twice."""
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
        """Settings of the go command: the same for generating as for building, so that both share its cache."""
        link = " ".join(("-s", "-w", *(f"-X {name}={value}" for name, value in self.variables.items())))
        flags = ("-trimpath", "-buildvcs=false", f"-tags={','.join(self.tags)}", f"-ldflags={link}")
        return {"CGO_ENABLED": "0", "GOFLAGS": shlex.join(flags)}


@dataclass(frozen=True)
class GoModuleFiles(Recipe):
    """Files out of the source of a Go module.

    Attributes:
        module: the module under `lab/go` that pins the other one.
        dependency: the module that has the files.
        paths: where in it.
        mode: the files' permissions.
    """

    module: str
    dependency: str
    paths: tuple[str, ...]
    mode: int = 0o644

    @property
    def sources(self) -> Iterable[Path]:
        """The module that pins the other one."""
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
    """Return a copy of one of the modules under `lab/go`, for the go command to work in."""
    return shutil.copytree(module(name), work.scratch / name)


def dependency_source(name: str, dependency: str, work: Workplace) -> Path:
    """Return the directory with the source of a module that one under `lab/go` depends on."""
    found = work.run("go", "mod", "download", "-json", dependency, cwd=module_copy(name, work))
    return Path(json.loads(found)["Dir"])
