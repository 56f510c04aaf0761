"""Image archives: their content. Equal inputs give equal archives."""

import hashlib
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab import packages
from lab.images import ARCHIVE, BaseLayer, Image, User
from lab.parts import Workplace

IMAGE = Image(
    "docker.io/example/server:1", {"/usr/bin/server": "server/server"}, ("/usr/bin/server",), user="7", base="base"
)


OWN_SOURCES = (
    "deb https://example.com/debian bookworm main",
    "deb https://example.com/security bookworm-security main",
)


@pytest.fixture
def stored(tmp_path: Path) -> dict[str, Path]:
    places = {name: tmp_path / name for name in ("base", "server")}
    for place in places.values():
        place.mkdir()
    (places["base"] / "layer.tar").write_bytes(b"base layer")
    (places["server"] / "server").write_text("program")
    (places["server"] / "server").chmod(0o755)
    return places


def archive(image: Image, places: dict[str, Path], where: Path) -> Path:
    work = Workplace(where / "out", where / "scratch", places, where / "log")
    work.out.mkdir(parents=True)
    work.scratch.mkdir()
    image.make(work)
    return work.out / ARCHIVE


def member(tar: tarfile.TarFile, name: str) -> bytes:
    content = tar.extractfile(name)
    assert content is not None
    return content.read()


def described(tar: tarfile.TarFile) -> tuple[dict[str, Any], dict[str, Any]]:
    (manifest,) = json.loads(member(tar, "manifest.json"))
    return manifest, json.loads(member(tar, manifest["Config"]))


def test_equal_inputs_give_equal_archives(stored: dict[str, Path], tmp_path: Path) -> None:
    first = archive(IMAGE, stored, tmp_path / "1")
    (stored["server"] / "server").touch()
    assert archive(IMAGE, stored, tmp_path / "2").read_bytes() == first.read_bytes()


def test_the_layers_are_what_the_configuration_says(stored: dict[str, Path], tmp_path: Path) -> None:
    with tarfile.open(archive(IMAGE, stored, tmp_path / "1")) as tar:
        manifest, config = described(tar)
        layers = [member(tar, layer) for layer in manifest["Layers"]]
    assert manifest["RepoTags"] == ["docker.io/example/server:1"]
    assert layers[0] == b"base layer"
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    assert config["config"]["Entrypoint"] == ["/usr/bin/server"]
    assert config["config"]["User"] == "7"


def test_the_own_layer_holds_the_program(stored: dict[str, Path], tmp_path: Path) -> None:
    with tarfile.open(archive(IMAGE, stored, tmp_path / "1")) as tar:
        layer = tar.extractfile(described(tar)[0]["Layers"][-1])
        with tarfile.open(fileobj=layer) as own:
            (program,) = own.getmembers()
            assert member(own, program.name) == b"program"
    assert (program.name, program.mode, program.uid, program.mtime) == ("usr/bin/server", 0o755, 0, 0)


def test_an_image_needs_its_base_and_the_parts_of_its_files() -> None:
    assert IMAGE.needs == ("base", "server")
    assert Image("x", {"/a": "one/a", "/b": "one/b", "/c": "two/c"}, ("/a",)).needs == ("one", "two")


def test_a_user_of_a_base_layer_is_there_before_its_packages() -> None:
    layer = BaseLayer(
        ("server",), users=(User("db", 999, ("/var/lib/db", "/run/db")),), left_out=("/usr/share/perl/*",)
    )
    assert "--essential-hook=useradd" in layer.settings
    assert '"$1"/var/lib/db "$1"/run/db' in layer.settings
    assert "--dpkgopt=path-exclude=/usr/share/perl/*" in layer.settings
    assert layer.settings != BaseLayer(("server",)).settings


@pytest.mark.parametrize(
    ("release", "wanted"),
    [
        ("bookworm", OWN_SOURCES),
        ("trixie", ("deb [check-valid-until=no] https://example.com/debian trixie main",)),
    ],
)
def test_a_layer_may_be_of_another_release_than_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str, wanted: tuple[str, ...]
) -> None:
    monkeypatch.setattr(packages, "apt_sources", lambda: OWN_SOURCES)
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: {"VERSION_CODENAME": "bookworm"})
    told = list[Any]()

    @dataclass(frozen=True)
    class Place(Workplace):
        def run(self, *command: str | Path, stdin: str = "", **_: Any) -> str:
            told.extend([command[-3], tuple(stdin.splitlines())])
            return ""

    BaseLayer(("server",), release=release).make(Place(tmp_path, tmp_path, {}, tmp_path / "log"))
    assert told == [release, wanted]


def test_a_base_layer_runs_its_commands_at_the_end() -> None:
    assert "'--customize-hook=touch \"$1\"/x'" in BaseLayer(("server",), commands=('touch "$1"/x',)).settings
