"""EgressProbe: who asks, from where, and what is a failure."""

import os
import socketserver
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from shutil import which

import pulumi
import pulumi_kubernetes as k8s
import pytest

from components.mesh.egress_gateway import PROBE_LABELS
from components.mesh.egress_probe import STRANGER_SCRIPT, EgressProbe, EgressProbeArgs
from components.mesh.link_probe import SCRIPT
from dcmesh.model.link import ExportedService, Link, LinkGateway
from tests.unit.components.mesh.test_link_probe import HANDSHAKE, TCPServer, greeter
from tests.unit.engine import Engine
from tests.unit.servers import listening, nobody


@pytest.fixture
def probes(engine: Engine, database: ExportedService) -> Engine:
    def program() -> None:
        link = Link(site="dc1", gateway=LinkGateway(addresses=("192.0.2.1",)), exports=(database,))
        args = EgressProbeArgs(namespace="out", imports=[(link, database)])
        EgressProbe("dc2-egress.out-probe", args, pulumi.ResourceOptions(provider=k8s.Provider("dc2")))

    return engine.run(program)


def environment(probes: Engine, name: str) -> Mapping[str, str]:
    (job,) = [job for job in probes.kind("Job") if job.object == ("out", name)]
    (container,) = job.spec["template"]["spec"]["containers"]
    return {variable["name"]: variable["value"] for variable in container["env"]}


def test_both_ask_all_hosts_as_pods_without_a_sidecar(probes: Engine) -> None:
    for job in probes.kind("Job"):
        metadata = job.spec["template"]["metadata"]
        assert metadata["labels"] == {"app": job.object[1], "sidecar.istio.io/inject": "false"}
        assert metadata["annotations"]["dcmesh/path"] == "192.0.2.1:15443 spiffe://cluster.local/ns/shop/sa/mysql"
        assert job.spec["template"]["spec"]["serviceAccountName"] == "default"
        hosts = environment(probes, job.object[1])["PROBE_HOSTS"]
        assert [line.split()[0][:8] for line in hosts.splitlines()] == ["db-pxc-0", "db-pxc-1"]


def test_the_one_is_let_in_and_the_other_is_not(probes: Engine) -> None:
    assert [job.object[1] for job in probes.kind("Job")] == [PROBE_LABELS["app"], "dcmesh-stranger"]
    assert environment(probes, "dcmesh-probe")["PROBE_SCRIPT"] == SCRIPT
    assert environment(probes, "dcmesh-stranger")["PROBE_SCRIPT"] == STRANGER_SCRIPT


def test_no_up_waits_for_the_stranger_who_comes_last_but_one_that_is_replaced_is_gone_before(probes: Engine) -> None:
    probe, stranger = probes.kind("Job")
    assert stranger.inputs["metadata"]["annotations"] == {"pulumi.com/waitFor": "jsonpath={.metadata.uid}"}
    assert probe.inputs["metadata"]["annotations"] == {"pulumi.com/replaceUnready": "true"}
    assert probe.name in probes.before(stranger.name)


# --- the stranger's script -------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def short_pauses(executable: Callable[[str, str], Path]) -> None:
    """Its pauses of one and five seconds are for gateways."""
    executable("sleep", f"exec {which('sleep')} 0.05")


def ask(shell: str, port: int, seconds: int, kind: str = "greeting") -> tuple[int, str]:
    command = (shell, "-c", STRANGER_SCRIPT, "probe", "127.0.0.1", str(port), kind)
    found = os.environ | {"PROBE_SECONDS": str(seconds)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=found, timeout=20)
    return done.returncode, done.stdout


@pytest.fixture(params=["bash", "dash"])
def shell(request: pytest.FixtureRequest) -> str:
    if not which(request.param):
        pytest.skip(f"no {request.param}")
    return str(request.param)


def test_an_answer_is_told_from_an_eviction(probes: Engine) -> None:
    probe, stranger = probes.kind("Job")
    assert "podFailurePolicy" not in probe.spec
    failed, evicted = stranger.spec["podFailurePolicy"]["rules"]
    assert (failed["action"], failed["onExitCodes"]["values"]) == ("FailJob", [123])
    assert evicted["action"] == "Ignore"
    script = ("-c", "echo a | xargs -n 1 /bin/sh -c 'exit 1' probe")
    assert subprocess.run(("/bin/sh", *script), check=False).returncode == 123


def test_what_answers_is_open(shell: str) -> None:
    with greeter(HANDSHAKE) as port:
        assert ask(shell, port, 0) == (1, "open 127.0.0.1 greeting\n")


def test_what_refuses_or_says_nothing_is_closed(shell: str) -> None:
    with nobody() as port:
        assert ask(shell, port, 0) == (0, "closed 127.0.0.1\n")
    with greeter(None) as port:
        assert ask(shell, port, 5) == (0, "closed 127.0.0.1\n")


def test_what_a_probe_asks_nothing_is_to_be_shut_all_the_same(shell: str) -> None:
    with nobody() as port:
        assert ask(shell, port, 0, "none") == (0, "closed 127.0.0.1\n")
    with greeter(HANDSHAKE) as port:
        assert ask(shell, port, 0, "none") == (1, "open 127.0.0.1 stays open\n")


def test_a_connection_that_is_closed_later_was_let_in(shell: str) -> None:
    """As by a gateway that lets the stranger in, and cannot reach the other site."""

    class GivesUp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(4)
            with suppress(OSError):
                self.request.recv(1)

    with listening(TCPServer(("127.0.0.1", 0), GivesUp)) as port:
        assert ask(shell, port, 0, "tcp") == (1, "open 127.0.0.1 stays open\n")


def test_one_answer_that_is_missing_closes_nothing(shell: str, tmp_path: Path) -> None:
    """A gateway's pod may have gone just then."""
    with greeter(None) as silent, greeter(HANDSHAKE) as speaks:
        script = STRANGER_SCRIPT.replace(
            "answered() {", f'answered() {{\n  [ -e "{tmp_path}/asked" ] && port={speaks} || : >"{tmp_path}/asked"'
        )
        command = (shell, "-c", script, "probe", "127.0.0.1", str(silent), "greeting")
        found = os.environ | {"PROBE_SECONDS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=found, timeout=40)
    assert (done.returncode, done.stdout) == (1, "open 127.0.0.1 greeting\n")
