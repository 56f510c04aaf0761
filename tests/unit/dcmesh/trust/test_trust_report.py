"""`python -m dcmesh trust`: its conclusions from what the proxies show."""

import json

import pytest

from dcmesh import __main__ as cli
from dcmesh.model.certificates import CertificateHolder
from dcmesh.model.facts import State
from dcmesh.sites_in_outputs import StackError
from dcmesh.status import screen
from dcmesh.trust.trust_report import TrustReport
from tests.unit.dcmesh.trust.test_rotation import NEW, OLD, PROXIES

SILENT = CertificateHolder(where="dc1 a/b", unknown="no answer")
WHERE = PROXIES["old"].where


@pytest.mark.parametrize(
    ("holders", "state", "said"),
    [
        (["old", "old"], State.OK, []),
        (["trusted", "issuing"], State.OK, []),
        (["issuing", "new"], State.WARNING, [f"Root CA is not trusted by {WHERE}: it must not issue yet"]),
        (["old", "trusted"], State.WARNING, [f"Root CA 2 is not trusted by {WHERE}: it must not issue yet"]),
        (["old", "issuing"], State.CRITICAL, [f"{WHERE}: refuse {WHERE}, whose certificate is under Root CA 2"]),
    ],
)
def test_judgement(holders: list[str], state: State, said: list[str]) -> None:
    trust = TrustReport(holders=tuple(PROXIES[name] for name in holders))
    assert trust.state == state
    assert [problem.text for problem in trust.problems][:1] == said


def test_roots() -> None:
    old, new = TrustReport(holders=(PROXIES["trusted"], PROXIES["old"], SILENT)).roots
    assert (old.subject, old.trusted_by, len(old.used_by), old.may_issue, old.may_go) == ("Root CA", 2, 2, True, False)
    assert (new.subject, new.trusted_by, len(new.used_by), new.may_issue, new.may_go) == (
        "Root CA 2",
        1,
        0,
        False,
        True,
    )
    assert OLD.certificate != NEW.certificate


def test_who_cannot_be_asked() -> None:
    trust = TrustReport(holders=(PROXIES["old"], SILENT))
    assert trust.state == State.UNKNOWN
    assert [problem.text for problem in trust.problems] == ["dc1 a/b: cannot be asked: no answer"]


def test_screen() -> None:
    shown = screen.text(TrustReport(holders=(PROXIES["trusted"],)))
    assert shown.splitlines()[0] == "OK: all is well"
    assert "Root CA 2" in shown
    assert "1 of 1" in shown


def test_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def no_stack(*_: str | None) -> None:
        raise StackError("no such stack")

    monkeypatch.setattr("dcmesh.sites_in_outputs.read_stack", no_stack)
    monkeypatch.setattr("sys.argv", ["dcmesh", "trust", "--json"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == State.UNKNOWN
    assert json.loads(capsys.readouterr().out)["problems"] == [{"state": "unknown", "text": "no such stack"}]
