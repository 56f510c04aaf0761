"""Parts of a toolchain. A part is described, made once, and kept under the hash of everything that it depends on."""

import hashlib
import json
import os
import shutil
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory

from lab import lock
from lab.errors import LabError
from lab.progress import Steps, duration, note

_PARTIAL = "partial-"
"""The beginning of the names of directories in which parts are being made. They lie beside the finished ones."""

_LONG = 10.0
"""A part that takes more seconds than this is announced with the time that it takes."""

_AT_ONCE = 2
"""How many parts are made side by side. While one is downloaded or linked, another is compiled."""

_END_WITH_US = ("setpriv", "--pdeathsig", "TERM")
"""Ends a command when this process ends or is killed, so that nothing goes on writing to the part's files."""


@dataclass(frozen=True)
class Workplace:
    """What a recipe works with.

    Attributes:
        out: an empty directory; what the recipe leaves in it is the part.
        scratch: an empty directory that is deleted afterwards.
        parts: the directory of each part that was made before, by name.
        log: the file that takes the output of the commands.
    """

    out: Path
    scratch: Path
    parts: Mapping[str, Path]
    log: Path

    def file(self, name: str) -> Path:
        """Return the file that `PART/PATH` names: PATH in the directory of PART."""
        part, _, path = name.partition("/")
        return self.parts[part] / path

    def run(
        self,
        *command: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
    ) -> str:
        """Run a command, write its output to the log, and return its standard output.

        Args:
            command: the program and its arguments.
            cwd: where to run it; in `scratch` if not given.
            env: environment variables on top of this process's own.
            stdin: what the command reads.

        Raises:
            LabError: the command does not exist, or it failed.
        """
        if not shutil.which(command[0]):
            raise LabError(f"{command[0]} is not on this machine")
        with self.log.open("a") as log:
            print("$", *command, file=log, flush=True)
            result = subprocess.run(
                (*_END_WITH_US, *command),
                cwd=cwd or self.scratch,
                env={**os.environ, **(env or {})},
                input=stdin,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                check=False,
            )
            log.write(result.stdout)
        if result.returncode != 0:
            raise LabError(f"{' '.join(map(str, command[:2]))} failed", self.log)
        return result.stdout


class Recipe(ABC):
    """The way in which a part is made."""

    @property
    def settings(self) -> str:
        """Everything that the result depends on, besides `needs` and `sources`."""
        return repr(self)

    @property
    def needs(self) -> Iterable[str]:
        """The parts of which this one is made."""
        return ()

    @property
    def sources(self) -> Iterable[Path]:
        """The files and directories of the repository of which the part is made."""
        return ()

    @property
    def turn(self) -> str:
        """What parts take turns for. An example is a module: its first part compiles packages for the others."""
        return ""

    @abstractmethod
    def make(self, work: Workplace) -> None:
        """Make the part.

        Raises:
            LabError: the part cannot be made.
        """


@dataclass(frozen=True)
class Part:
    """One part of a toolchain.

    Attributes:
        name: its name, unique in a toolchain.
        seconds: roughly how long it takes to make on two cores, beside another part and with nothing cached.
        recipe: how it is made.
        optional: whether a toolchain is of use without it, and without what needs it.
    """

    name: str
    seconds: float
    recipe: Recipe
    optional: bool = False


@dataclass(frozen=True)
class Made:
    """A part that has been made.

    Attributes:
        name: the part's name.
        path: its directory.
        seconds: how long it took to make.
        reused: whether an earlier run had made it.
    """

    name: str
    path: Path
    seconds: float = field(compare=False)
    reused: bool = field(compare=False)

    @property
    def size(self) -> int:
        """The size of the part's files in bytes."""
        files = (file for file in self.path.rglob("*") if file.is_file() and not file.is_symlink())
        return sum(file.stat().st_size for file in files)


def provide(parts: Sequence[Part], store: Path) -> dict[str, Made]:
    """Make those parts that are not in the store, two at a time.

    A part that was being made when this process or an earlier one ended is made again from its beginning.
    Finished parts stay.

    Args:
        parts: the parts, each after those that it needs.
        store: the directory that keeps them.

    Returns:
        Every part by its name, in the given order, but for optional ones that cannot be made and what needs them.

    Raises:
        LabError: another part cannot be made.
    """
    places = places_of(parts, store)
    fresh: set[str] = set()
    if not all(place.is_dir() for place in places.values()):
        with lock.held(store, when_waiting=lambda: note("another process builds the toolchain: waiting for it")):
            absent = [part for part in parts if not places[part.name].is_dir()]
            fresh = {part.name for part in absent}
            _make_all(absent, places, store)
    return {
        name: Made(name, place, json.loads(_record(place).read_text())["seconds"], reused=name not in fresh)
        for name, place in places.items()
        if place.is_dir()
    }


def places_of(parts: Sequence[Part], store: Path) -> dict[str, Path]:
    """Return the directory of each part, made or not.

    Its name is made of the part and everything that it depends on.
    """
    keys: dict[str, str] = {}
    for part in parts:
        inputs = [
            part.recipe.settings,
            *(f"{need} {keys[need]}" for need in part.recipe.needs),
            *(f"{name} {digest}" for name, digest in _digests(part.recipe.sources)),
        ]
        keys[part.name] = hashlib.sha256("\0".join(inputs).encode()).hexdigest()[:16]
    return {name: store / f"{name}-{key}" for name, key in keys.items()}


def _digests(sources: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """Yield each file's path, relative to the source that it belongs to, and the digest of its content."""
    for source in sources:
        for file in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if file.is_file():
                yield file.relative_to(source.parent), hashlib.sha256(file.read_bytes()).hexdigest()


def _make_all(absent: Sequence[Part], places: Mapping[str, Path], store: Path) -> None:
    if not absent:
        return
    for left in store.glob(f"{_PARTIAL}*"):
        shutil.rmtree(left)
    expected = duration(sum(part.seconds for part in absent) / _AT_ONCE)
    note(f"toolchain: {len(absent)} of {len(places)} parts are to be made, once; about {expected} on two cores")
    steps = Steps(len(absent))
    finished: SimpleQueue[tuple[Part, BaseException | None]] = SimpleQueue()

    def make(part: Part) -> None:
        hint = duration(part.seconds) if part.seconds >= _LONG else ""
        try:
            with steps.step(part.name, hint), TemporaryDirectory(prefix=_PARTIAL, dir=store) as partial:
                _make(part, places, Path(partial))
        except BaseException as error:
            finished.put((part, error))
        else:
            finished.put((part, None))

    waiting, running = list(absent), list[Part]()
    while waiting or running:
        while len(running) < _AT_ONCE and (ready := _ready(waiting, running)):
            # The longest parts begin first. Then all parts are finished as early as possible.
            part = max(ready, key=lambda part: part.seconds)
            waiting.remove(part)
            running.append(part)
            # A daemon thread does not keep an interrupted process alive. The commands end with that process.
            threading.Thread(target=make, args=(part,), daemon=True).start()
        part, error = finished.get()
        running.remove(part)
        if part.optional and isinstance(error, LabError):
            lacking = _with_what_needs(part, waiting)
            waiting = [part for part in waiting if part not in lacking]
            note(f"going on without {', '.join(part.name for part in lacking)}: {error}")
        elif error:
            for _ in running:  # Wait for the running parts: no other process may begin before they have ended.
                finished.get()
            raise error


def _ready(waiting: Sequence[Part], running: Sequence[Part]) -> list[Part]:
    """Return the parts that can be begun: all that they need is made, and no running part has the same turn."""
    unmade = {part.name for part in (*waiting, *running)}
    taken = {part.recipe.turn for part in running} - {""}
    return [part for part in waiting if unmade.isdisjoint(part.recipe.needs) and part.recipe.turn not in taken]


def _with_what_needs(part: Part, others: Sequence[Part]) -> list[Part]:
    """Return a part, and those of the others that need it; each of these comes after those that it needs."""
    found = [part]
    for other in others:
        if not {part.name for part in found}.isdisjoint(other.recipe.needs):
            found.append(other)
    return found


def _make(part: Part, places: Mapping[str, Path], partial: Path) -> None:
    """Make one part in a directory beside its final one, and then move it into place as a whole."""
    place = places[part.name]
    log = place.with_name(f"{place.name}.log")
    log.unlink(missing_ok=True)
    work = Workplace(partial / "out", partial / "scratch", places, log)
    work.out.mkdir()
    work.scratch.mkdir()
    started = time.monotonic()
    part.recipe.make(work)
    record = {"seconds": round(time.monotonic() - started, 1)}
    _record(place).write_text(json.dumps(record) + "\n")
    work.out.rename(place)


def _record(place: Path) -> Path:
    """The record of how a part was made. It lies beside the part's directory, which holds nothing but the part."""
    return place.with_name(f"{place.name}.json")
