"""The command `python -m dcmesh status`: what it prints, and its exit codes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dcmesh import __main__ as cli
from dcmesh.model.facts import State
from dcmesh.model.settings import ExistingCluster
from dcmesh.sites_in_outputs import parse_outputs
from dcmesh.status.sites import SiteStatus, Status
from tests.unit.conftest import ROOT
from tests.unit.servers import kubeconfig
from tests.unit.statuses import gateway, replica

Executable = Callable[[str, str], Path]
OUTPUTS: dict[str, Any] = {
    "sites": {"dc1": {"gateway": None, "links": {}, "imports": [], "servers": []}},
    "kubeconfigs": {"dc1": "k"},
}


def run(*words: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["dcmesh", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
    return int(end.value.code or 0)


@pytest.fixture
def pulumi(executable: Executable) -> Callable[[Any], Path]:
    """Put a fake pulumi on the PATH that prints these outputs, and records how it was called."""
    return lambda outputs: executable("pulumi", f'echo "$@" > "$0.asked"\ncat <<"E"\n{json.dumps(outputs)}\nE\n')


@pytest.fixture
def found(pulumi: Callable[[Any], Path], monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Fake a stack with one site in this state."""
    pulumi(OUTPUTS)

    def found(*facts: Any) -> list[Any]:
        asked: list[Any] = []

        def ask_all(sites: Any, max_lag: int) -> Status:
            asked.extend((sites, max_lag))
            return Status(sites=(SiteStatus(name="dc1", facts=facts),))

        monkeypatch.setattr("dcmesh.status.sites.ask_all", ask_all)
        return asked

    return found


@pytest.mark.parametrize(
    ("facts", "code", "verdict"),
    [
        ([gateway()], 0, "OK: all is well"),
        ([gateway(ready=1)], 1, "WARNING: dc1 gateway: 1 of 2 pods are ready"),
        (
            [gateway(ready=0), replica(seconds_behind=61)],
            2,
            "CRITICAL: dc1 gateway: no pod is ready, 2 wanted (and 1 more)",
        ),
        ([gateway(unknown="403 Forbidden")], 3, "UNKNOWN: dc1 gateway: 403 Forbidden"),
    ],
)
def test_exit_codes(
    found: Callable[..., list[Any]], capsys: pytest.CaptureFixture[str], facts: list[Any], code: int, verdict: str
) -> None:
    found(*facts)
    assert run("status") == code
    assert capsys.readouterr().out.splitlines()[0] == verdict
    assert run("status", "--json") == code
    out, err = capsys.readouterr()
    shown = json.loads(out)
    assert (State[shown["state"].upper()], err) == (code, "")
    assert len(shown["problems"]) == len([fact for fact in facts if fact.problems])


def test_limits_are_passed_on(found: Callable[..., list[Any]]) -> None:
    asked = found()
    run("status")
    run("status", "--max-lag", "5")
    assert [lag for lag in asked if isinstance(lag, int)] == [60, 5]


@pytest.mark.parametrize(("words", "passed"), [((), ""), (("--stack", "org/p/dc1"), " --stack org/p/dc1")])
def test_the_stack_is_the_one_that_pulumi_has_selected_or_that_is_named(
    pulumi: Callable[[Any], Path], found: Callable[..., list[Any]], words: tuple[str, ...], passed: str
) -> None:
    called = pulumi(OUTPUTS).with_name("pulumi.asked")
    found()
    assert run("status", *words) == 0
    assert called.read_text() == f"stack output --json --show-secrets{passed} --non-interactive\n"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "echo 'error: no stack selected; please use `pulumi stack select`' >&2; exit 255",
            "pulumi stack output: no stack selected; please use `pulumi stack select`",
        ),
        ("printf 'error: first\\nsecond\\n' >&2; exit 1", "pulumi stack output: first"),
        ("exit 7", "pulumi stack output: it exited 7"),
        ("echo '{}'", "the stack has no output `sites`: run `pulumi up` first"),
        ("echo '{\"sites\": {}}'", "the stack has no sites"),
    ],
)
def test_a_stack_that_cannot_be_read(
    executable: Executable, capsys: pytest.CaptureFixture[str], script: str, reason: str
) -> None:
    executable("pulumi", script)
    assert run("status") == 3
    assert capsys.readouterr() == (f"UNKNOWN: {reason}\n", "")
    assert run("status", "--json") == 3
    out, err = capsys.readouterr()
    assert (json.loads(out)["problems"], err) == ([{"state": "unknown", "text": reason}], "")


def test_secrets_are_read_only_of_a_stack_that_has_made_a_cluster(
    pulumi: Callable[[Any], Path], found: Callable[..., list[Any]]
) -> None:
    """Otherwise nothing is secret, so an account that only looks needs no passphrase."""
    existing = {"kubeconfig": "~/.kube/config", "context": "there"}
    asked = found()
    called = pulumi({"sites": {"dc1": {**OUTPUTS["sites"]["dc1"], "cluster": existing}}, "kubeconfigs": {}})
    assert run("status") == 0
    assert called.with_name("pulumi.asked").read_text() == "stack output --json --non-interactive\n"
    (site,) = asked[0]
    assert site.cluster == ExistingCluster(**existing)


LOCKED = """case "$*" in *--show-secrets*) echo 'error: passphrase must be set' >&2; exit 1;; esac
echo '{"sites": %s, "kubeconfigs": "[secret]"}'"""


def test_without_passphrase_a_cluster_that_the_stack_has_made_is_reached_by_a_kubeconfig_that_is_given(
    executable: Executable, found: Callable[..., list[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = found()
    executable("pulumi", LOCKED % json.dumps(OUTPUTS["sites"]))
    assert run("status") == 3
    assert capsys.readouterr().out == (
        "UNKNOWN: pulumi stack output: passphrase must be set. The kubeconfigs of the clusters that it has made are "
        "secrets of the stack: without its passphrase give yours by --kubeconfig\n"
    )
    assert run("status", "--kubeconfig", "looking.yaml") == 0
    (site,) = asked[0]
    assert site.cluster == ExistingCluster(kubeconfig="looking.yaml", context="dc1")


def test_a_kubeconfig_without_a_context_of_the_sites_name(tmp_path: Path) -> None:
    (tmp_path / "looking.yaml").write_text(kubeconfig({"dc2": "http://127.0.0.1:1"}))
    (site,) = parse_outputs(OUTPUTS, str(tmp_path / "looking.yaml"))
    with pytest.raises(ConnectionError, match=r"looking\.yaml has no context dc1$"):
        site.reach()


def test_without_pulumi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run("status") == 3
    assert capsys.readouterr().out.startswith("UNKNOWN: pulumi cannot be run: No such file or directory: ")


@pytest.mark.parametrize(
    ("error", "said"),
    [(KeyboardInterrupt(), "interrupted"), (KeyError("secret"), "failed unexpectedly: KeyError")],
)
def test_whatever_happens_it_is_one_line_and_no_warning(
    pulumi: Callable[[Any], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    said: str,
) -> None:
    """Python's own exit code, 1, would be a WARNING to a monitoring system."""
    pulumi(OUTPUTS)

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr("dcmesh.status.sites.ask_all", fail)
    assert run("status") == 3
    assert capsys.readouterr() == ("", f"dcmesh: {said}\n")


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_the_exit_code_is_the_same_for_whoever_stops_reading(
    pulumi: Callable[[Any], Path], options: tuple[str, ...]
) -> None:
    """A monitoring system may read the first line and close the pipe."""
    pulumi({"sites": {}})
    reader, writer = os.pipe()
    os.close(reader)
    command = (sys.executable, "-m", "dcmesh", "status", *options)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False, cwd=ROOT, timeout=60)
    os.close(writer)
    assert (done.returncode, done.stderr) == (3, b"")


# --- the page, and the live status -----------------------------------------------------------------------------------


def test_the_page_is_of_what_is_found_or_was(
    found: Callable[..., list[Any]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The page is drawn whatever it shows, and the exit code is no verdict."""
    found(gateway(ready=0))
    assert run("topology") == 0
    page, err = capsys.readouterr()
    assert (page.startswith("<!DOCTYPE html>\n<html"), err) == (True, "")
    assert "no pod is ready, 2 wanted" in page
    assert run("status", "--json") == 2
    (tmp_path / "status.json").write_text(capsys.readouterr().out)
    assert run("topology", str(tmp_path / "status.json")) == 0
    assert capsys.readouterr() == (page, "")


def test_of_nothing_there_is_no_page(
    executable: Executable, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    executable("pulumi", "echo '{}'")
    assert run("topology") == 3
    assert capsys.readouterr() == ("", "dcmesh: the stack has no output `sites`: run `pulumi up` first\n")
    assert run("topology", str(tmp_path / "none.json")) == 3
    assert capsys.readouterr() == ("", f"dcmesh: {tmp_path}/none.json: No such file or directory\n")


def test_the_live_status_is_asked_anew_each_time(
    found: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = found(gateway(ready=1))
    pauses = list[float]()

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("dcmesh.status.watch.time", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert run("status", "--watch", "--interval", "2", "--max-lag", "9") == 1
    assert pauses == [2, 2, 2]
    assert [lag for lag in asked if isinstance(lag, int)] == [9, 9, 9]
    assert "dc1 gateway: 1 of 2 pods are ready" in capsys.readouterr().out
