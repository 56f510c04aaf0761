"""`python -m dcmesh status` on the pair with databases: all is well, and what it says when something is not."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.toolbox import ROOT, Database, Kubectl, Project, eventually

HOSTS = [f"db-{ordinal}.db.wookie.svc.cluster.local" for ordinal in range(3)]
GATEWAY = ("deployment/istio-eastwestgateway", "--namespace", "dcmesh-gateway")


def found(pair: Project, **environment: str) -> tuple[int, Any]:
    """Return the exit code and the output of --json."""
    done = pair.dcmesh("status", "--json", **environment)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def problems(status: Any) -> list[str]:
    return [f"{problem['state']} {problem['text']}" for problem in status["problems"]]


def well(pair: Project) -> Any:
    """Wait until all is well, since another test may just have finished, and return the status."""

    def status() -> Any:
        code, status = found(pair)
        return status if code == 0 else None

    return eventually("all is well", status, within=120)


@pytest.fixture(scope="module")
def status(pair: Project, sites: dict[str, Kubectl]) -> Any:
    """The status while all is well and there is something to replicate. It is for tests that only read."""
    Database(sites["dc1"], "wookie", "db-0")("CREATE DATABASE IF NOT EXISTS watched")
    return well(pair)


@pytest.fixture
def mended(pair: Project, status: Any) -> Iterator[None]:
    """Waits after a test until what it broke is well again."""
    yield
    well(pair)


def test_a_pair_in_which_all_is_well(status: Any) -> None:
    assert (status["state"], status["problems"], list(status["sites"])) == ("ok", [], ["dc1", "dc2"])
    dc1, dc2 = status["sites"]["dc1"], status["sites"]["dc2"]
    assert (dc1["gateway"]["ready"], dc1["gateway"]["wanted"], dc2["gateway"]) == (1, 1, None)
    assert dc1["gateway"]["addresses"] == dc1["gateway"]["toldAddresses"]
    assert [host["host"] for host in dc2["hosts"]] == HOSTS
    identity = "spiffe://cluster.local/ns/wookie/sa/db"
    for host in dc2["hosts"]:
        assert host["answer"] == {"ok": True, "text": "greeting"}
        assert (host["identity"], host["accepted"]) == (identity, [identity])
    primary, *others = dc1["databases"]
    first, *more = dc2["databases"]  # Another test may have added more.
    assert (primary["follows"], primary["source"], primary["readOnly"]) == ([], "", False)
    assert primary["position"]
    assert [(server["namespace"], server["pod"]) for server in (*others, first)] == [
        ("wookie", "db-1"),
        ("wookie", "db-2"),
        ("wookie-dr", "db-0"),
    ]
    for server in (*others, first):
        assert (server["source"], server["running"], server["readOnly"]) == (HOSTS[0], True, True)
    for server in more:
        assert (server["source"], server["running"]) == ("db-0.db.wookie-dr.svc.cluster.local", True)


def test_certificates_are_those_in_use(status: Any) -> None:
    sites = status["sites"]
    kinds = {site: [certificate["kind"] for certificate in sites[site]["certificates"]] for site in sites}
    assert kinds == {site: ["root", "intermediate", "pod"] for site in ("dc1", "dc2")}
    (root,) = {sites[site]["certificates"][0]["fingerprint"] for site in sites}
    assert root
    assert sites["dc1"]["certificates"][0]["daysLeft"] > 3600
    assert 0 < sites["dc2"]["certificates"][2]["daysLeft"] <= 1.01


@pytest.mark.usefixtures("status")
def test_the_screen_has_the_verdict_first_and_fits(pair: Project) -> None:
    done = pair.dcmesh("status")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "OK: all is well"
    assert max(len(line.rstrip()) for line in lines) <= 100
    assert "Link dc1 to dc2 by" in done.stdout


@pytest.mark.usefixtures("status")
def test_asking_creates_nothing(pair: Project, sites: dict[str, Kubectl]) -> None:
    def pods() -> dict[str, list[str]]:
        return {name: site.names("pods") for name, site in sites.items()}

    before = pods()
    pair.dcmesh("status")
    assert pods() == before


@pytest.mark.usefixtures("mended")
def test_a_gateway_without_pods_is_critical(pair: Project, sites: dict[str, Kubectl]) -> None:
    def named() -> list[str]:
        code, status = found(pair)
        lines = problems(status)
        return lines if code == 2 and all(any(host in line for line in lines) for host in HOSTS) else []

    try:
        sites["dc1"]("scale", *GATEWAY, "--replicas=0")
        first, *others = eventually("the hosts do not answer", named, within=60)
    finally:
        sites["dc1"]("scale", *GATEWAY, "--replicas=1")
    assert first == "critical dc1 gateway: no pod is ready, 0 wanted"
    assert all(line.startswith("critical dc2 ") for line in others)


@pytest.mark.usefixtures("mended")
def test_a_stopped_channel_is_critical(pair: Project, sites: dict[str, Kubectl]) -> None:
    replica = Database(sites["dc2"], "wookie-dr", "db-0")
    try:
        replica("STOP SLAVE")
        code, status = found(pair)
    finally:
        replica("START SLAVE")
    text = f"dc2 database wookie-dr/db-0: does not replicate from {HOSTS[0]}: it was stopped"
    assert (code, problems(status)) == (2, [f"critical {text}"])
    assert status["sites"]["dc1"]["state"] == "ok"


@pytest.mark.usefixtures("mended")
def test_live_it_shows_what_changes_and_ends_as_it_was_at_the_last_look(
    pair: Project, sites: dict[str, Kubectl]
) -> None:
    """The command runs on a terminal of its own, until Ctrl-C."""
    screen, terminal = pty.openpty()
    os.set_blocking(screen, False)
    # A process that is started in the background ignores Ctrl-C, and its children inherit that.
    command = ("env", "--default-signal=INT", "venv/bin/python", "-m", "dcmesh", "status", "--watch", "--interval", "1")
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
    environment = pair.environment | {"TERM": "xterm-256color"}
    # It has a session of its own, so that its children get Ctrl-C as well, as on a terminal.
    running = subprocess.Popen(command, cwd=pair.directory, env=environment, start_new_session=True, **streams)
    os.close(terminal)
    shown = b""

    def sees(words: bytes) -> bool:
        nonlocal shown
        try:
            while part := os.read(screen, 65536):
                shown += part
        except BlockingIOError:
            pass
        return words in shown

    replica = Database(sites["dc2"], "wookie-dr", "db-0")
    try:
        eventually("all is well", lambda: sees(b"all is well"), within=30)
        assert b"asking the sites" in shown
        replica("STOP SLAVE")
        eventually("the channel is stopped", lambda: sees(b"CRITICAL"), within=30)
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(30) == 2
    finally:
        replica("START SLAVE")
        running.kill()
        running.wait()
        os.close(screen)


@pytest.mark.usefixtures("status")
def test_the_page_shows_the_pair(pair: Project) -> None:
    done = pair.dcmesh("topology")
    assert (done.returncode, done.stderr) == (0, "")
    for shown in (*HOSTS, "wookie/db-0", "wookie-dr/db-0", "wookie-dr/db", "3 of 3 hosts answer", "0 s behind"):
        assert shown in done.stdout.replace("<wbr>", "")


@pytest.mark.usefixtures("mended")
def test_a_primary_that_takes_no_writes_is_critical(pair: Project, sites: dict[str, Kubectl]) -> None:
    primary = Database(sites["dc1"], "wookie", "db-0")
    try:
        primary("SET GLOBAL read_only = 1")
        code, status = found(pair)
    finally:
        primary("SET GLOBAL read_only = 0")
    text = "dc1 database wookie/db-0: is read-only, and should be the primary"
    assert (code, problems(status)) == (2, [f"critical {text}"])


@pytest.fixture
def without_dc2(pair: Project, tmp_path: Path) -> dict[str, str]:
    """An environment with a pulumi that shows this stack, but with an unreachable API of dc2."""
    outputs = json.loads(pair.pulumi("stack", "output", "--json", "--show-secrets"))
    kubeconfig = yaml.safe_load(outputs["kubeconfigs"]["dc2"])
    kubeconfig["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    outputs["kubeconfigs"]["dc2"] = yaml.safe_dump(kubeconfig)
    (tmp_path / "outputs.json").touch(mode=0o600)
    (tmp_path / "outputs.json").write_text(json.dumps(outputs))
    pulumi = tmp_path / "pulumi"
    pulumi.write_text(f"#!/bin/sh\ncat {tmp_path}/outputs.json\n")
    pulumi.chmod(0o755)
    return {"PATH": f"{tmp_path}:{pair.environment['PATH']}"}


@pytest.mark.usefixtures("status")
def test_a_site_that_cannot_be_reached_is_unknown_and_the_other_is_reported(
    pair: Project, without_dc2: dict[str, str]
) -> None:
    code, status = found(pair, **without_dc2)
    assert (code, status["state"]) == (3, "unknown")
    (problem,) = problems(status)
    assert problem.startswith("unknown dc2: cannot be asked: ")
    assert "Connection refused" in problem
    dc1, dc2 = status["sites"]["dc1"], status["sites"]["dc2"]
    assert (dc1["state"], len(dc1["databases"]), dc1["gateway"]["ready"]) == ("ok", 3, 1)
    assert (dc2["state"], dc2["databases"], dc2["hosts"]) == ("unknown", [], [])


ASKED = {"dc1": ("dcmesh-gateway", "wookie"), "dc2": ("wookie-dr",)}
"""By site, the namespaces in whose pods commands are run."""


@pytest.fixture
def looking(sites: dict[str, Kubectl], tmp_path: Path) -> Path:
    """A kubeconfig of the account that only looks, made as docs/credentials.md says."""
    objects = [*yaml.safe_load_all((ROOT / "examples/permissions/status.yaml").read_text())]
    account = ("--serviceaccount", "dcmesh-status:dcmesh-status")
    kubeconfig: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "contexts": [], "clusters": [], "users": []}
    for name, site in sites.items():
        site.apply(*objects)
        for namespace in ASKED[name]:
            site("create", "rolebinding", "dcmesh-ask", "--clusterrole=dcmesh-ask", *account, "--namespace", namespace)
        token = site("create", "token", "dcmesh-status", "--namespace", "dcmesh-status")
        (cluster,) = yaml.safe_load(site.path.read_text())["clusters"]
        kubeconfig["clusters"].append({"name": name, "cluster": cluster["cluster"]})
        kubeconfig["users"].append({"name": name, "user": {"token": token}})
        kubeconfig["contexts"].append({"name": name, "context": {"cluster": name, "user": name}})
    path = tmp_path / "looking.yaml"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(kubeconfig))
    return path


def test_who_only_looks_needs_neither_the_passphrase_nor_a_secret(
    pair: Project, sites: dict[str, Kubectl], status: Any, looking: Path
) -> None:
    def found(verb: str) -> tuple[int, Any]:
        done = pair.dcmesh(verb, "--json", "--kubeconfig", str(looking), PULUMI_CONFIG_PASSPHRASE="wrong")
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout)

    code, seen = found("status")
    assert (code, problems(seen)) == (0, [])
    for name, site in seen["sites"].items():
        known = [of["fingerprint"] for of in status["sites"][name]["certificates"] if of["kind"] != "pod"]
        assert [of["fingerprint"] for of in site["certificates"] if of["kind"] != "pod"] == known
    code, report = found("doctor")
    assert (code, report["state"]) == (0, "ok")
    # It names the pods in which it may not run commands, and shows the rest.
    sites["dc2"]("delete", "rolebinding", "dcmesh-ask", "--namespace", "wookie-dr")
    _, seen = eventually(
        "what was not asked is told", lambda: next((of for of in [found("status")] if of[0] == 3), None)
    )
    assert all("403 Forbidden" in line for line in problems(seen))
    assert seen["sites"]["dc1"]["state"] == "ok"


def test_without_the_passphrase_nothing_is_told(pair: Project) -> None:
    done = pair.dcmesh("status", PULUMI_CONFIG_PASSPHRASE="wrong")
    assert (done.returncode, done.stderr) == (3, "")
    (line,) = done.stdout.splitlines()
    assert line.startswith("UNKNOWN: pulumi stack output: ")
    assert "passphrase" in line
