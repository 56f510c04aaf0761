"""Printable: no text of somebody else's controls the terminal, whichever command shows it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes import client

from dcmesh import __main__ as cli
from dcmesh.config.errors import ConfigError, Finding
from dcmesh.doctor import screen as doctor_screen
from dcmesh.doctor.findings import Diagnosis, FindingKind, Report, Step
from dcmesh.kube.api import why
from dcmesh.kube.proxies import parse_secrets
from dcmesh.model.certificates import CertificateHolder
from dcmesh.model.printable import printable
from dcmesh.sites_in_outputs import StackError, parse_outputs
from dcmesh.status import screen
from dcmesh.status.certificates import Certificate
from dcmesh.status.hosts import Answer, parse_answers
from dcmesh.status.sites import SiteStatus, Status
from dcmesh.trust.trust_report import TrustReport
from tests.unit.statuses import certificate, gateway, host, primary, replica

ATTACKS = [
    "\x1b[2J\x1b[1;1HOK: all is well",
    "\x1b]0;title\x07",
    "\x9b31m",
    "x\nOK: all is well",
    "x\r\nOK: all is well",
    "x\u2028OK: all is well",
    "[bold red]x[/]",
    "[link=https://example.com]x[/link]",
    "[/nothing]",
    ":skull:",
    "\u202etxt.exe",
    "\u200bnone",
    "\ud800",
    "\x00",
    "y" * 10_000,
]


@given(st.text() | st.sampled_from(ATTACKS))
def test_a_text_is_one_line_of_what_can_be_seen(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert shown.splitlines() in ([], [shown])
    assert len(shown) <= 10 * 2000 + 1
    if text.isprintable() and len(text) <= 2000 and "<{%" not in text:
        assert shown == text


def test_a_text_has_an_end_and_is_readable() -> None:
    assert printable("a\x1b[2Jb\n", 6) == "a\\x1b[2Jb…"
    assert printable("größer → 1") == "größer → 1"
    assert "<{%" not in printable("<{%fg 1%}>")


@pytest.mark.parametrize("text", ATTACKS)
def test_an_error_of_the_configuration_is_a_line(text: str) -> None:
    findings = [Finding(f"peers[0].link.{text}", text, f"is wrong: {text}"), Finding("a", {text: text}, text)]
    lines = str(ConfigError(findings)).split("\n")
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("text", ATTACKS)
def test_why_a_cluster_cannot_be_asked_is_a_line(text: str) -> None:
    for error in (client.ApiException(status=500, reason=text), OSError(text), ChildProcessError(text)):
        assert why(error).isprintable()
        assert len(why(error)) < 4100


def statuses(text: str) -> Status:
    """Return a status in which this text stands for everything that a cluster, a proxy or a server said."""
    facts = (
        gateway(addresses=(text,), told_addresses=(text,)),
        certificate(subject=text),
        Certificate(site="dc1", kind="pod", subject="a/b", unknown=text),
        host(answer=Answer(ok=False, text=text), accepted=(text,), gateways=(text,)),
        primary(position=text, read_only=True, waits_for=text),
        replica(source=text, last_error=text, running=False),
        replica(extra=text, down=text),
    )
    return Status(sites=(SiteStatus(name="dc1", facts=facts, unreachable=text, pending=(text,)),))


def reports(text: str) -> Report:
    """Return a report of the doctor with the same text."""
    finding = FindingKind("tls-off", text)(text, text)
    steps = (Step(hop="TLS", site="dc2", outcome="broken", findings=(finding,), why=text),)
    return Report(diagnoses=(Diagnosis(host=text, port=1, source="dc1", consumer=text, steps=steps),))


SHOWN: list[Any] = [
    lambda text: screen.text(statuses(text)),
    lambda text: screen.text(Status(unreadable=text)),
    lambda text: screen.text(TrustReport(holders=(CertificateHolder(where=text, unknown=text),))),
    lambda text: screen.text(TrustReport(unreadable=text)),
    lambda text: doctor_screen.text(reports(text)),
    lambda text: doctor_screen.text(Report(unreadable=text)),
]


@pytest.mark.parametrize("text", ATTACKS)
@pytest.mark.parametrize("show", SHOWN, ids=["status", "no status", "trust", "no trust", "doctor", "no doctor"])
@pytest.mark.parametrize("terminal", [False, True])
def test_what_others_say_stays_a_text_on_every_screen(
    show: Any, text: str, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This also holds on a terminal, where dcmesh's own output has colours."""
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm-256color")
    whole = show(text)
    sane = show("harmless")
    assert not any(line.startswith("OK") for line in whole.split("\n"))
    bare = whole
    for style in set(sane.split("\x1b")[1:]):
        code = style[: style.find("m") + 1]
        bare = bare.replace(f"\x1b{code}", "")
    assert all(line.isprintable() for line in bare.split("\n")), ascii(bare)
    if text.startswith(("[", ":")):
        assert text in whole, "markup is shown as it is"


@pytest.mark.parametrize("text", ATTACKS)
def test_json_is_data(text: str) -> None:
    for found in (statuses(text), reports(text)):
        written = json.dumps(found.as_json())
        assert written.isprintable()


@pytest.mark.parametrize(
    ("said", "ok"),
    [
        ("HTTP 200", True),
        ("HTTP 404", True),
        ("HTTP 500", False),
        (f"HTTP {'9' * 5000}", False),
        ("HTTP \u0662\u0660\u0660", False),
        ("HTTP 20", False),
        ("HTTP \x1b[2J", False),
        ("HTTP", False),
        ("greeting", True),
    ],
)
def test_an_answer_is_parsed(said: str, ok: bool) -> None:
    probe = "greeting" if said == "greeting" else "http"
    (answer,) = parse_answers(f"ok h 1 {said}\n", {("h", 1): probe}, "client").values()
    assert answer.ok is ok
    assert answer.text.isprintable()
    assert len(answer.text) < 300


@pytest.mark.parametrize(
    "dump",
    ["", "[]", "7", "null", "{", '{"configs": 7}', '{"configs": [7]}', '{"configs": [{"secret": []}]}', "[" * 90_000],
)
def test_a_proxy_that_answers_something_else_has_no_certificates(dump: str) -> None:
    holder = parse_secrets("dc1 a/b", dump)
    assert holder.unknown in ("its certificates cannot be read", "it has no certificate yet")


@pytest.mark.parametrize("address", ["192.0.2.1\n", "\x1b[2J", "a b", "$(id)", "::1%x"])
def test_a_link_in_the_outputs_is_parsed(address: str) -> None:
    """The link is another stack's, and becomes part of a pod's command."""
    link = {"site": "dc1", "gateway": {"addresses": [address], "port": 1}, "exports": []}
    site = {"links": {"dc1": link}, "imports": [], "servers": [], "gateway": None}
    with pytest.raises(StackError, match="the stack has a link that must not be used") as error:
        parse_outputs({"sites": {"dc2": site}, "kubeconfigs": {"dc2": ""}})
    assert str(error.value).isprintable()


def test_a_lock_is_shown_as_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("dcmesh.unlock.unlock", lambda _: (cli.State.CRITICAL, "locked by \x1b[2J\nwait"))
    monkeypatch.setattr("sys.argv", ["dcmesh", "unlock"])
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().out == "locked by \\x1b[2J\nwait\n"
