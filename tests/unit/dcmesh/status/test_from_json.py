"""A status is printed, and read back."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dcmesh.foreign.objects import Foreign
from dcmesh.model.facts import State
from dcmesh.status.exports import Export
from dcmesh.status.from_json import read_status
from dcmesh.status.gateways import Refusal
from dcmesh.status.sites import SiteStatus, Status, of_kind
from tests.unit.statuses import gateway, host, two_sites


def everything() -> Status:
    """Return a status with each kind of fact, and with many problems."""
    dc1, dc2 = two_sites(broken=True).sites
    refusal = Refusal(pod="dcmesh-gateway/gateway-1", of="listeners", details="duplicate")
    facts = (
        gateway(refusals=(refusal,), unasked="403"),
        *dc1.facts[1:],
        Foreign(
            site="dc1",
            kind="Gateway",
            name="a/b",
            hosts=("h",),
            does="opens",
            cure="Delete it",
            severity=State.CRITICAL,
        ),
        host(site="dc1", source="dc2", unknown="no pod", answer=None, accepted=None),
    )
    return Status(
        sites=(
            replace(dc1, facts=facts, pending=("dc3",), without="dc9"),
            dc2,
            SiteStatus(name="dc3", unreachable="refused"),
            SiteStatus(name="dc4", lost=True),
        ),
        asked=two_sites().asked,
    )


def test_it_is_the_same(tmp_path: Path) -> None:
    status = everything()
    file = tmp_path / "status.json"
    file.write_text(json.dumps(status.as_json()))
    read = read_status(str(file))
    assert read.as_json() == status.as_json()
    assert (read.problems, read.state, read.asked) == (status.problems, status.state, status.asked)
    assert {type(fact) for fact in read.facts} == {type(fact) for fact in status.facts}


def test_it_is_read_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(two_sites().as_json())))
    assert [site.name for site in read_status("-").sites] == ["dc1", "dc2"]


def test_one_of_an_older_dcmesh_lacks_something(tmp_path: Path) -> None:
    printed = two_sites().as_json()
    del printed["asked"]
    for site in printed["sites"].values():
        for key in ("exports", "lost", "without"):
            del site[key]
    (tmp_path / "old.json").write_text(json.dumps(printed))
    read = read_status(str(tmp_path / "old.json"))
    assert (read.asked, of_kind(Export, read.facts), read.state) == (None, [], State.OK)


def changed(*path: str, to: Any) -> str:
    """Return the printed status with another value at some place."""
    printed = two_sites().as_json()
    place: Any = printed
    *before, last = path
    for key in before:
        place = place[int(key) if isinstance(place, list) else key]
    place[last] = to
    return json.dumps(printed)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not JSON"),
        ("OK: all is well", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("9" * 5000, "is not JSON"),
        (changed("sites", "dc1", "certificates", "0", "daysLeft", to=float("nan")), "is not JSON"),
        ("[]", "is not what `status --json` prints: : Input should be "),
        ("{}", "is not what `status --json` prints: sites: Field required"),
        (json.dumps(Status(unreadable="no stack selected").as_json()), "tells of no site: no stack selected"),
        (json.dumps({"sites": {}}), "tells of no site"),
        (
            changed("sites", "dc2", "hosts", "0", "port", to="x"),
            "is not what `status --json` prints: sites.dc2.hosts.0.port: ",
        ),
        (changed("sites", "dc2", "hosts", to={}), "is not what `status --json` prints: sites.dc2.hosts: "),
        (changed("sites", "<b>", to={}), "is not what `status --json` prints: sites.<b>.[key]: "),
        (
            changed("sites", "dc1", "certificates", "0", "expires", to="2026-11-23T09:00:00"),
            "sites.dc1.certificates.0.expires",
        ),
        (changed("sites", "dc1", "foreign", to=[{"site": "dc1", "severity": "bad"}]), "sites.dc1.foreign.0.severity"),
    ],
)
def test_what_it_is_not_is_told_in_a_line(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    said = read_status(str(tmp_path / "x.json"))
    assert said.sites == ()
    assert said.unreadable.startswith(f"{tmp_path}/x.json: ")
    assert reason in said.unreadable


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert read_status(str(tmp_path / "none")).unreadable == f"{tmp_path}/none: No such file or directory"
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert read_status(str(tmp_path / "binary")).unreadable == f"{tmp_path}/binary: is not JSON"
