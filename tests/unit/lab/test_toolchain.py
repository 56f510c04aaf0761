"""The toolchain: what a part's name depends on, what an interruption leaves, and that versions agree."""

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from lab import golang, lock, packages, parts, progress, toolchain
from lab.errors import LabError
from lab.images import Image
from lab.parts import Part, Recipe, Workplace
from lab.paths import REPOSITORY


@dataclass(frozen=True)
class Text(Recipe):
    """A part that contains a text."""

    text: str
    source: Path | None = None
    need: str = ""

    @property
    def needs(self) -> Iterable[str]:
        return (self.need,) if self.need else ()

    @property
    def sources(self) -> Iterable[Path]:
        return (self.source,) if self.source else ()

    def make(self, work: Workplace) -> None:
        assert not list(work.out.iterdir())
        assert not list(work.scratch.iterdir())
        (work.out / "text").write_text(self.text)


@dataclass(frozen=True)
class Broken(Recipe):
    """A part that fails while it is made."""

    error: BaseException
    needs: Iterable[str] = ()

    def make(self, work: Workplace) -> None:
        (work.out / "half").touch()
        raise self.error


@dataclass(frozen=True)
class Command(Recipe):
    """A part that a shell command makes."""

    command: str

    def make(self, work: Workplace) -> None:
        (work.out / "output").write_text(work.run("sh", "-c", self.command))


@dataclass(frozen=True)
class InTurn(Command):
    """A part that takes turns with others, or needs one."""

    queue: str = ""
    need: str = ""

    @property
    def turn(self) -> str:
        return self.queue

    @property
    def needs(self) -> Iterable[str]:
        return (self.need,) if self.need else ()


def key(recipe: Recipe, *before: Part, seconds: float = 1) -> str:
    return parts.places_of([*before, Part("part", seconds, recipe)], Path("store"))["part"].name


def entries(directory: Path) -> set[str]:
    return {re.sub("-[0-9a-f]{16}", "", entry.name) for entry in directory.iterdir()}


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def alive(command_line: Path) -> bool:
    """Tell whether a process runs, by its command line in /proc. A zombie has an empty one."""
    try:
        return bool(command_line.read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a Go module, which is used instead of the repository's own."""
    copy = tmp_path / "go" / "pulumi"
    shutil.copytree(golang.module("pulumi"), copy)
    monkeypatch.setattr(golang, "module", lambda name: copy.with_name(name))
    return copy


@pytest.mark.parametrize("file", ["go.mod", "go.sum", "pulumi-language-python/main.go"])
def test_a_changed_source_changes_the_key(module: Path, file: str) -> None:
    recipe = golang.GoPrograms("pulumi")
    before = key(recipe)
    with (module / file).open("a") as source:
        source.write("\n")
    assert key(recipe) != before


def test_a_new_or_renamed_source_changes_the_key(module: Path) -> None:
    recipe = golang.GoPrograms("pulumi")
    before = key(recipe)
    added = module / "added.go"
    added.write_text("package main\n")
    after = key(recipe)
    added.rename(module / "other.go")
    assert len({before, after, key(recipe)}) == 3


@pytest.mark.parametrize("change", [{"packages": ("./x",)}, {"tags": ("x",)}, {"variables": {"main.Version": "2"}}])
def test_a_changed_flag_changes_the_key(module: Path, change: dict[str, Any]) -> None:
    recipe = golang.GoPrograms("pulumi", variables={"main.Version": "1"})
    assert key(replace(recipe, **change)) != key(recipe)


def test_a_changed_need_changes_the_key() -> None:
    recipe = Text("x", need="need")
    assert key(recipe, Part("need", 1, Text("a"))) != key(recipe, Part("need", 1, Text("b")))


def test_nothing_else_changes_the_key(module: Path) -> None:
    recipe = golang.GoPrograms("pulumi")
    before = key(recipe)
    os.utime(module / "go.mod", (0, 0))
    (module / "go.sum").chmod(0o600)
    shutil.copytree(module, module.with_name("tls"))
    assert key(recipe, Part("unrelated", 1, Text("x")), seconds=99) == before


def test_a_part_is_made_once(tmp_path: Path) -> None:
    table = [Part("one", 1, Text("1")), Part("two", 1, Text("2", need="one"))]
    first = parts.provide(table, tmp_path)
    second = parts.provide(table, tmp_path)
    assert first == second
    assert [made.reused for made in first.values()] == [False, False]
    assert [made.reused for made in second.values()] == [True, True]
    assert (second["two"].path / "text").read_text() == "2"
    assert second["two"].size == 1
    assert entries(tmp_path) == {"one", "one.json", "two", "two.json"}


@pytest.mark.parametrize("error", [LabError("full disk"), KeyboardInterrupt()])
def test_an_interrupted_build_leaves_no_half_part(tmp_path: Path, error: BaseException) -> None:
    one = Part("one", 1, Text("1"))
    with pytest.raises(type(error)):
        parts.provide([one, Part("two", 1, Broken(error, needs=("one",)))], tmp_path)
    assert entries(tmp_path) == {"one", "one.json"}
    made = parts.provide([one, Part("two", 1, Text("2"))], tmp_path)
    assert [part.reused for part in made.values()] == [True, False]
    assert entries(made["two"].path) == {"text"}


def test_an_optional_part_that_cannot_be_made_takes_what_needs_it_along_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking = Part("lacking", 1, Broken(LabError("not to be had")), optional=True)
    wanted = [lacking, Part("two", 1, Text("2", need="lacking")), Part("three", 1, Text("3", need="two"))]
    wanted.append(Part("four", 1, Text("4")))
    assert [*parts.provide(wanted, tmp_path)] == ["four"]
    assert "going on without lacking, two, three: not to be had" in capsys.readouterr().err
    made = parts.provide([Part("lacking", 1, Text("1"), optional=True), *wanted[1:]], tmp_path)
    assert [*made] == ["lacking", "two", "three", "four"], "tried again"


def test_an_optional_part_that_is_interrupted_ends_the_build(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        parts.provide([Part("part", 1, Broken(KeyboardInterrupt()), optional=True)], tmp_path)


def test_parts_are_made_side_by_side_but_for_those_of_one_turn_and_what_they_need(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def after(begun: int, name: str) -> str:
        """Return a command that ends when this many parts have begun."""
        wait = f"until [ $(grep -c begin {log}) -ge {begun} ]; do :; done"
        return f"echo begin {name} >> {log}; {wait}; echo end {name} >> {log}"

    table = [
        Part("a", 4, InTurn(after(2, "a"), queue="go")),
        Part("b", 3, InTurn(after(3, "b"), queue="go")),
        Part("c", 2, InTurn(after(2, "c"))),
        Part("d", 1, InTurn(after(4, "d"), need="b")),
    ]
    parts.provide(table, tmp_path / "store")
    said = log.read_text().splitlines()
    assert set(said[:2]) == {"begin a", "begin c"}
    assert said.index("end a") < said.index("begin b")
    assert said.index("end b") < said.index("begin d")


def test_what_a_killed_build_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "partial-x" / "out"
    left.mkdir(parents=True)
    (left / "half").touch()
    parts.provide([Part("part", 1, Text("x"))], tmp_path)
    assert entries(tmp_path) == {"part", "part.json"}


def test_a_failed_command_points_to_its_log(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="sh -c failed") as failure:
        parts.provide([Part("part", 1, Command("echo said; echo complained >&2; exit 3"))], tmp_path)
    log = failure.value.log
    assert log is not None
    assert log.parent == tmp_path
    assert log.read_text().splitlines()[-2:] == ["complained", "said"]


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    work = Workplace(tmp_path, tmp_path, {}, tmp_path / "log")
    with pytest.raises(LabError, match="no-such-program is not on this machine"):
        work.run("no-such-program")


@pytest.mark.parametrize(("version", "refused"), [("go1.19.8", True), ("go1.21.0", False), ("go1.26.2", False)])
def test_a_go_that_is_too_old_is_named(
    tmp_path: Path, executable: Callable[[str, str], Path], version: str, refused: bool
) -> None:
    """Debian's own takes the version in go.mod for a mistake."""
    executable("go", f"echo {version}")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    work = Workplace(tmp_path, scratch, {}, tmp_path / "log")
    with (
        pytest.raises(LabError, match=f"^Go 1.26 or newer is needed, and the first on PATH is {version}$")
        if refused
        else nullcontext()
    ):
        golang.module_copy("pause", work)
    assert (scratch / "pause/go.mod").exists() is not refused


def test_a_command_ends_with_the_process_that_runs_it(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path; from lab.parts import Workplace; here = Path.cwd();"
        "Workplace(here, here, {}, here / 'log').run('sh', '-c', 'echo $$ > pid; exec sleep 60')"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env=environment) as runner:
        assert eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
        child = Path("/proc", (tmp_path / "pid").read_text().strip(), "cmdline")
        runner.kill()
    assert eventually(lambda: not alive(child))


def test_a_second_build_waits_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made: list[object] = []
    other = threading.Thread(target=lambda: made.append(parts.provide([Part("part", 1, Text("x"))], tmp_path)))
    with lock.held(tmp_path):
        other.start()
        other.join(timeout=0.2)
        assert other.is_alive()
        assert not made
    other.join(timeout=10)
    assert made
    assert "waiting" in capsys.readouterr().err


def test_each_part_comes_after_those_that_it_needs() -> None:
    places = parts.places_of(toolchain.PARTS, Path("store"))
    assert len(places) == len(toolchain.PARTS)


def test_the_plugins_have_the_versions_of_their_sdks() -> None:
    pinned = (REPOSITORY / "constraints.txt").read_text()
    by_name = {part.name: part.recipe for part in toolchain.PARTS}
    for plugin in ("command", "kubernetes", "tls"):
        program = by_name[f"pulumi-resource-{plugin}"]
        assert isinstance(program, golang.GoPrograms)
        (version,) = program.variables.values()
        assert re.search(rf"^pulumi_{plugin}=={re.escape(version)}$", pinned, re.MULTILINE)


@pytest.mark.parametrize(
    ("module", "dependency", "version"),
    [
        ("kube", "k8s.io/kubernetes", toolchain.KUBERNETES),
        ("coredns", "github.com/coredns/coredns", toolchain.COREDNS),
        ("pxc-operator", "github.com/percona/percona-xtradb-cluster-operator", toolchain.PXC_OPERATOR),
        ("pulumi", "github.com/pulumi/pulumi/pkg/v3", toolchain.PULUMI),
        ("pulumi", "github.com/pulumi/pulumi/sdk/v3", toolchain.PULUMI),
    ],
)
def test_a_program_is_built_from_the_version_that_it_claims(module: str, dependency: str, version: str) -> None:
    required = (golang.module(module) / "go.mod").read_text()
    assert re.search(rf"\b{re.escape(dependency)} v{re.escape(version)}\b", required)


@pytest.mark.parametrize(
    ("module", "left_out"),
    [
        ("kubernetes", "github.com/pulumi/pulumi-kubernetes/sdk/v4"),
        ("tls", "github.com/hashicorp/go-getter"),
    ],
)
def test_what_a_plugin_does_not_use_and_takes_minutes_to_compile_has_a_stand_in(module: str, left_out: str) -> None:
    pinned = golang.module(module)
    (replaced,) = re.findall(
        rf"^replace {re.escape(left_out)} => (\./\S+)$", (pinned / "go.mod").read_text(), re.MULTILINE
    )
    assert f"module {left_out}\n" in (pinned / replaced / "go.mod").read_text()


def test_an_unpinned_package_is_an_error() -> None:
    with pytest.raises(ValueError, match="does not pin no-such-package"):
        toolchain.pinned("no-such-package")


def test_every_image_carries_the_official_name() -> None:
    names = [part.recipe.name for part in toolchain.PARTS if isinstance(part.recipe, Image)]
    assert names == [
        "registry.k8s.io/pause:3.10",
        "registry.k8s.io/coredns/coredns:v1.14.6",
        "docker.io/istio/pilot:1.31.0",
        "docker.io/istio/proxyv2:1.31.0",
        "docker.io/istio/pilot:1.30.4",
        "docker.io/istio/proxyv2:1.30.4",
        "registry.k8s.io/e2e-test-images/agnhost:2.53",
        "docker.io/library/mariadb:10.11",
        "docker.io/library/postgres:15",
        "docker.io/percona/percona-xtradb-cluster-operator:1.20.0",
        "docker.io/percona/percona-xtradb-cluster:8.4.8-8.1",
        "docker.io/percona/haproxy:2.8.18-1",
        "docker.io/prom/mysqld-exporter:v0.14.0",
    ]


def test_the_newer_mariadb_is_made_alone_and_for_who_wants_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Debian that has none fails its own tests and no others."""
    asked = list[tuple[Part, ...]]()

    def provide(wanted: tuple[Part, ...], _store: Path) -> dict[str, Any]:
        asked.append(wanted)
        return {part.name: parts.Made(part.name, tmp_path, 1, reused=True) for part in wanted}

    monkeypatch.setattr(parts, "provide", provide)
    assert toolchain.newer_mariadb() == tmp_path / "image.tar"
    ((base, image),) = asked
    assert isinstance(image.recipe, Image)
    assert (image.recipe.name, image.recipe.needs) == ("docker.io/library/mariadb:11.8", (base.name,))
    assert not {base.name, image.name} & {part.name for part in toolchain.PARTS}


def test_missing_packages_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = "".join(f"{name} installed\\n" for name in packages.PACKAGES if name not in ("runc", "tcpdump"))
    program(tmp_path, "dpkg-query", f"printf '{others}tcpdump config-files\\n'; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert packages.missing() == ("runc", "tcpdump")


def program(directory: Path, name: str, script: str) -> None:
    file = directory / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


@pytest.fixture
def fresh_debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the machine look like a Debian without etcd. The returned file records what was run."""
    others = "".join(f"{name} installed\\n" for name in packages.PACKAGES if name != "etcd-server")
    program(tmp_path, "dpkg-query", f"printf '{others}'")
    program(tmp_path, "apt-get", f'echo "apt-get $*" >> {tmp_path}/ran; cat {tmp_path}/policy >> {tmp_path}/ran; :')
    program(tmp_path, "systemctl", f'echo "systemctl $*" >> {tmp_path}/ran')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(packages, "_LOG", tmp_path / "log")
    monkeypatch.setattr(packages, "_POLICY", tmp_path / "policy")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path / "ran"


def test_packages_are_installed_without_starting_services(fresh_debian: Path) -> None:
    packages.ensure()
    assert fresh_debian.read_text().splitlines() == [
        "apt-get update",
        "apt-get install --yes --no-install-recommends etcd-server",
        "#!/bin/sh",
        "exit 101",
        "systemctl disable etcd",
    ]
    assert not (fresh_debian.parent / "policy").exists()


def test_a_failed_installation_points_to_its_log(fresh_debian: Path) -> None:
    program(fresh_debian.parent, "apt-get", "echo no network; exit 100")
    with pytest.raises(LabError, match="apt-get update failed") as failure:
        packages.ensure()
    assert failure.value.log is not None
    assert failure.value.log.read_text() == "no network\n"


def test_who_is_not_root_is_told_what_is_missing(fresh_debian: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match=r"not root.*etcd-server"):
        packages.ensure()
    assert not fresh_debian.exists()


def test_progress_is_plain_lines_without_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress.time, "monotonic", lambda: 7.0)
    steps = progress.Steps(2)
    with steps.step("first", "3 min"):
        pass
    with steps.step("second"):
        pass
    assert capsys.readouterr() == (
        "",
        "[1/2] first (about 3 min)\n[1/2] first: 0.0 s\n[2/2] second\n[2/2] second: 0.0 s\n",
    )


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.04, "0.0 s"), (9.96, "10 s"), (59.7, "1 min 0 s"), (200, "3 min 20 s")]
)
def test_durations(seconds: float, said: str) -> None:
    assert progress.duration(seconds) == said
