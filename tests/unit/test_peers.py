"""The links of peers: where they are read, and what is said of those that cannot be."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import config
from components.link import ExportedService, Link
from config.model import PeerLink
from config.outside import NoStackError
from config.peers import read_stack
from tests.unit.engine import Engine

STACK = "organization/shop/dc1"
OTHER = {"site": "dc0", "gateway": {"addresses": ["192.0.2.9"]}, "exports": []}


@pytest.fixture
def link(database: ExportedService) -> Link:
    return Link(site="dc1", addresses=["192.0.2.1"], port=15444, exports=(database,))


def resolve(
    raw: dict[str, Any], stacks: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[Link | None, list[str]]:
    """Return the link of a peer as importers take it, or the errors, a line each; with these stacks beside."""

    def read(name: str) -> Mapping[str, Any]:
        if name not in (stacks or {}):
            raise NoStackError(f"unknown stack '{name}'\nand more of this")
        return (stacks or {})[name]

    peers = [{"name": "dc0", "link": OTHER}, {"name": "dc1"} | raw]
    try:
        _, links = config.parse({"trust": {"issueFor": ["dc9"]}, "peers": peers}, project="shop", read=read)
    except config.ConfigError as error:
        heading, *lines = str(error).splitlines()
        assert heading == "the configuration is wrong, nothing was changed:"
        return None, [line.removeprefix("  ") for line in lines]
    assert links.pop("dc0").site == "dc0"
    assert links.keys() <= {"dc1"}
    return links.get("dc1"), []


def taken(raw: dict[str, Any], stacks: Mapping[str, Mapping[str, Any]] | None = None) -> Link | None:
    link, errors = resolve(raw, stacks)
    assert errors == []
    return link


def refusal(raw: dict[str, Any], stacks: Mapping[str, Mapping[str, Any]] | None = None) -> list[str]:
    link, errors = resolve(raw, stacks)
    assert link is None
    assert errors
    return errors


def test_literal_link(link: Link) -> None:
    assert taken({"link": link.as_output()}) == link


@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump])
@pytest.mark.parametrize("path", ["{home}/dc1.link", "~/dc1.link"])
@pytest.mark.parametrize("whole", [False, True])
def test_link_of_a_file(
    link: Link, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Any, path: str, whole: bool
) -> None:
    """Of one link, or of all that a stack shows as its output `link`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    raw = link.as_output()
    (tmp_path / "dc1.link").write_text(write({"dc0": OTHER, "dc1": raw} if whole else raw))
    assert taken({"linkFile": path.format(home=tmp_path)}) == link


@pytest.mark.parametrize(("raw", "stack"), [({}, STACK), ({"stack": "organization/net/one"}, "organization/net/one")])
def test_link_of_a_stack(link: Link, raw: dict[str, str], stack: str) -> None:
    """Which may export from other sites too."""
    assert taken(raw, {stack: {"link": {"dc0": {}, "dc1": link.as_output()}, "hosts": {}}}) == link


@pytest.mark.parametrize(
    "outputs",
    [{}, {"link": {}}, {"link": {"dc0": {}}}],
    ids=["never up", "exports nothing", "of another site"],
)
def test_stack_that_exports_nothing_yet_has_no_link(outputs: dict[str, Any]) -> None:
    assert taken({}, {STACK: outputs}) is None


def test_a_stack_that_is_not_there() -> None:
    (line,) = refusal({"stack": "organization/shop/dc9"})
    assert line.startswith('peers[1].stack: "organization/shop/dc9" cannot be read (unknown stack ')
    assert "`pulumi stack init`" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("contents", "advice"),
    [
        (None, "cannot be read: no such file"),
        (b"\xff", "cannot be read: "),
        (b"{site: dc1", "is neither JSON nor YAML"),
    ],
)
def test_a_file_that_holds_no_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, contents: bytes | None, advice: str
) -> None:
    monkeypatch.setenv("LINKS", str(tmp_path))
    if contents is not None:
        (tmp_path / "f").write_bytes(contents)
    (line,) = refusal({"linkFile": "$LINKS/f"})
    assert line.lower().startswith(f'peers[1].linkfile: "$links/f" {advice}'.lower())


@pytest.mark.parametrize("contents", ["", "dc1", "[]", "7", "{dc0: {}, dc2: {}}"])
def test_a_file_with_something_else(tmp_path: Path, contents: str) -> None:
    (tmp_path / "f").write_text(contents)
    assert all(line.startswith("peers[1].linkFile") for line in refusal({"linkFile": f"{tmp_path}/f"}))


@pytest.mark.parametrize("place", ["link", "stack", "linkFile"])
def test_link_of_another_site(link: Link, tmp_path: Path, place: str) -> None:
    raw = link.as_output() | {"site": "dc2"}
    (tmp_path / "f").write_text(json.dumps(raw))
    peer = {"link": {"link": raw}, "stack": {"stack": STACK}, "linkFile": {"linkFile": f"{tmp_path}/f"}}[place]
    (line,) = refusal(peer, {STACK: {"link": {"dc1": raw}}})
    where = "link.site" if place == "link" else f"{place} → site"
    assert line == f'peers[1].{where}: "dc2" is another site than dc1: name the peer after its site'


BROKEN = [
    ("gateway.addresses", []),
    ("gateway.port", 0),
    ("exports[0].hosts", []),
    ("exports[0].port", 65536),
    ("exports[0].protocol", "UDP"),
    ("exports[0].identity", "cluster.local/ns/shop/sa/mysql"),
    ("exports[0].probe", "ping"),
    ("exports[0].colour", "blue"),
]


def broken(link: Link, path: str, value: object) -> dict[str, Any]:
    raw = link.as_output()
    *way, last = path.replace("[0]", "").split(".")
    part: Any = raw
    for step in way:
        part = part[step][0] if step == "exports" else part[step]
    part[last] = value
    return raw


@pytest.mark.parametrize(("path", "value"), BROKEN)
def test_what_is_no_link_is_named_with_where_it_was_read(link: Link, path: str, value: object, tmp_path: Path) -> None:
    raw = broken(link, path, value)
    (tmp_path / "f").write_text(json.dumps(raw))
    (of_stack,) = refusal({}, {STACK: {"link": {"dc1": raw}}})
    (of_file,) = refusal({"linkFile": f"{tmp_path}/f"})
    assert of_stack.startswith(f"peers[1].stack → {path}: ")
    assert of_file == of_stack.replace("peers[1].stack", "peers[1].linkFile")


def test_all_errors_of_a_link_come_at_once(link: Link) -> None:
    raw = broken(link, "gateway.port", 0) | {"site": "DC1"}
    assert len(refusal({}, {STACK: {"link": {"dc1": raw}}})) == 2


# --- by the engine -----------------------------------------------------------------------------------------------


def read_by_the_engine(stacks: Mapping[str, Mapping[str, Any]], name: str) -> Any:
    found: list[Any] = []
    Engine(stacks=stacks).run(lambda: found.append(read_stack(name)))
    return found[0]


def test_outputs_of_another_stack_are_plain_data(link: Link) -> None:
    outputs = {"link": {"dc1": link.as_output()}, "hosts": {}}
    read = read_by_the_engine({STACK: outputs}, STACK)
    assert read["hosts"] == {}
    assert PeerLink.model_validate(read["link"]["dc1"]).for_import() == link


def test_outputs_of_a_stack_that_is_not_there() -> None:
    with pytest.raises(NoStackError, match="unknown stack 'organization/shop/dc9'"):
        read_by_the_engine({STACK: {}}, "organization/shop/dc9")
