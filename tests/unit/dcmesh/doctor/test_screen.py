"""The doctor's command: the screen, --json and the exit codes."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dcmesh import __main__ as cli
from dcmesh.doctor import screen
from dcmesh.doctor.findings import Diagnosis, FindingKind, Outcome, Report, Step
from dcmesh.model.facts import State
from tests.unit.statuses import DB0, DB1

BROKEN = FindingKind("tls-off", "the consumer's sidecar speaks no TLS to the host")(
    "outbound: no TLS", "Delete the rule."
)
WARNING = FindingKind("istiod-down", "no istiod is ready", State.WARNING)("no endpoint", "Bring it back.")


def step(hop: str, outcome: Outcome = "passed", **changes: Any) -> Step:
    return Step(**{"hop": hop, "site": "dc2", "outcome": outcome, **changes})


def diagnosis(*steps: Step, host: str = DB0) -> Diagnosis:
    return Diagnosis(host=host, port=3306, source="dc1", consumer="dc2 wookie-dr/db", steps=steps)


WELL = diagnosis(step("name"), step("TLS"), host=DB1)
ILL = diagnosis(
    step("consumer's istiod", findings=(WARNING,)),
    step("TLS", "broken", findings=(BROKEN,)),
    step("gateway", "not reached", site="dc1"),
)
WARNED = diagnosis(step("consumer's istiod", findings=(WARNING,)))
UNSEEN = diagnosis(step("gateway", "unseen", site="dc1", why="403 Forbidden"))
HALF = diagnosis(step("name"), step("gateway", "elsewhere", site="dc1", why="ask dc1"))


def shown(*diagnoses: Diagnosis, width: int = 100) -> list[str]:
    out = io.StringIO()
    screen.show(Report(diagnoses=diagnoses), Console(file=out, width=width, highlight=False))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_host_in_which_all_is_well_is_a_line() -> None:
    lines = shown(WELL, WELL)
    assert lines[0] == "OK: 2 hosts: nothing is wrong with their links"
    assert lines[2:4] == [f"{DB1}:3306  dc1 to dc2 wookie-dr/db", "ok  all hops"]


def test_a_broken_link_is_shown_hop_by_hop() -> None:
    lines = shown(WELL, ILL)
    assert lines[0] == (
        f"CRITICAL: {DB0} for dc2 wookie-dr/db: dc2 TLS: the consumer's sidecar speaks no TLS to the host"
    )
    assert lines[lines.index(f"{DB0}:3306  dc1 to dc2 wookie-dr/db") + 1 :] == [
        "        site  hop",
        "ok      dc2   consumer's istiod  WARNING istiod-down",
        "broken  dc2   TLS                CRITICAL tls-off",
        "-       dc1   gateway",
        "",
        "dc2 consumer's istiod: WARNING istiod-down: no istiod is ready",
        "  seen: no endpoint",
        "  fix:  Bring it back.",
        "",
        "dc2 TLS: CRITICAL tls-off: the consumer's sidecar speaks no TLS to the host",
        "  seen: outbound: no TLS",
        "  fix:  Delete the rule.",
    ]


def test_columns_are_aligned_whatever_sites_are_called() -> None:
    lines = shown(diagnosis(step("name"), step("gateway", "broken", site="frankfurt-am-main")))
    assert {lines[lines.index(line)].find(hop) for line in lines[3:] for hop in ("name", "gateway") if hop in line} == {
        27
    }


def test_what_is_to_be_typed_is_never_folded() -> None:
    fix = f"Run `kubectl {'x' * 200}`."
    kind = FindingKind("tls-off", "no TLS")
    lines = shown(diagnosis(step("TLS", "broken", findings=(kind("seen " * 50, fix),))), width=80)
    assert f"  fix:  {fix}" in lines


@pytest.mark.parametrize(
    ("diagnoses", "state", "verdict"),
    [
        ([WELL], State.OK, "1 host: nothing is wrong with its link"),
        ([WARNED, WELL], State.WARNING, f"{DB0} for dc2 wookie-dr/db: dc2 consumer's istiod: no istiod is ready"),
        (
            [WARNED, ILL],
            State.CRITICAL,
            f"{DB0} for dc2 wookie-dr/db: dc2 TLS: the consumer's sidecar speaks no TLS to the host (and 1 more)",
        ),
        ([UNSEEN], State.UNKNOWN, f"{DB0} for dc2 wookie-dr/db: dc1 gateway: cannot be looked at: 403 Forbidden"),
        (
            [HALF],
            State.OK,
            "1 host: nothing is wrong with its link, as far as this stack sees; "
            "the rest: `python -m dcmesh doctor` at dc1",
        ),
    ],
)
def test_the_verdict(diagnoses: list[Diagnosis], state: State, verdict: str) -> None:
    report = Report(diagnoses=tuple(diagnoses))
    assert (report.state, screen.verdict(report)) == (state, verdict)


def test_what_is_for_the_other_side_is_said_where_it_comes() -> None:
    assert "elsewhere  dc1   gateway  ask dc1" in shown(HALF)
    assert "unseen  dc1   gateway  403 Forbidden" in shown(UNSEEN)


def test_outcomes_have_marks() -> None:
    assert set(screen.MARKS) == set(Outcome.__args__)  # type: ignore[attr-defined]


# --- the command -------------------------------------------------------------------------------------------------

Executable = Callable[[str, str], Path]
OUTPUTS = {"sites": {"dc1": {"gateway": None, "links": {}, "imports": [], "servers": []}}, "kubeconfigs": {"dc1": "k"}}


def run(*words: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["dcmesh", "doctor", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
    return int(end.value.code or 0)


@pytest.mark.parametrize("found", [WELL, WARNED, ILL, UNSEEN], ids=["well", "warned", "ill", "unseen"])
def test_exit_codes(
    executable: Executable, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], found: Diagnosis
) -> None:
    executable("pulumi", f"cat <<'E'\n{json.dumps(OUTPUTS)}\nE\n")
    asked = []

    def examine(sites: Any, host: str | None) -> Report:
        asked.append(([site.name for site in sites], host))
        return Report(diagnoses=(found,))

    monkeypatch.setattr("dcmesh.doctor.walk.examine", examine)
    assert run(DB0) == found.state
    assert capsys.readouterr().out.startswith(f"{found.state.name}: ")
    assert run("--json") == found.state
    out, err = capsys.readouterr()
    (host,) = json.loads(out)["hosts"]
    assert (host["state"], host["host"], err) == (found.state.name.lower(), found.host, "")
    assert [set(part) for part in host["steps"]] == [{"hop", "site", "outcome", "findings", "why"}] * len(found.steps)
    assert asked == [(["dc1"], DB0), (["dc1"], None)]


def test_a_stack_that_cannot_be_read(executable: Executable, capsys: pytest.CaptureFixture[str]) -> None:
    executable("pulumi", "echo 'error: no stack selected' >&2; exit 255")
    assert run() == 3
    assert capsys.readouterr() == ("UNKNOWN: pulumi stack output: no stack selected\n", "")
    assert run("--json") == 3
    assert json.loads(capsys.readouterr().out) == {
        "state": "unknown",
        "unreadable": "pulumi stack output: no stack selected",
        "hosts": [],
    }
