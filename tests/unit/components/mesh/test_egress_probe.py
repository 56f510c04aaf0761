"""EgressProbe: who asks, from where, and what counts as a failure."""

import os
import socketserver
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from itertools import product
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


class GivesUp(socketserver.BaseRequestHandler):
    """A gateway that lets the stranger in, and cannot reach the other site."""

    def handle(self) -> None:
        self.request.settimeout(4)
        with suppress(OSError):
            self.request.recv(1)


class SpeaksLater(socketserver.BaseRequestHandler):
    """Is silent the first time that it is asked, as if a gateway's pod had just ended."""

    def handle(self) -> None:
        self.server.asked = asked = getattr(self.server, "asked", 0) + 1  # type: ignore[attr-defined]
        if asked > 1:
            self.request.sendall(HANDSHAKE)
            self.request.recv(1)


def played(handler: type[socketserver.BaseRequestHandler]) -> AbstractContextManager[int]:
    return listening(TCPServer(("127.0.0.1", 0), handler))


@dataclass(frozen=True)
class Case:
    """A server, how the stranger asks it, and what the stranger says of it."""

    server: Callable[[], AbstractContextManager[int]]
    kind: str
    seconds: int
    status: int
    says: str


CASES = {
    "what answers": Case(lambda: greeter(HANDSHAKE), "greeting", 0, 1, "open 127.0.0.1 greeting\n"),
    "what refuses": Case(nobody, "greeting", 0, 0, "closed 127.0.0.1\n"),
    "what says nothing": Case(lambda: greeter(None), "greeting", 5, 0, "closed 127.0.0.1\n"),
    "what refuses and is asked nothing": Case(nobody, "none", 0, 0, "closed 127.0.0.1\n"),
    "what answers and is asked nothing": Case(lambda: greeter(HANDSHAKE), "none", 0, 1, "open 127.0.0.1 stays open\n"),
    "a connection that is closed later": Case(lambda: played(GivesUp), "tcp", 0, 1, "open 127.0.0.1 stays open\n"),
    "one answer that is missing": Case(lambda: played(SpeaksLater), "greeting", 1, 1, "open 127.0.0.1 greeting\n"),
}
SHELLS = ("bash", "dash")


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str], tuple[int, str]]]:
    """What the stranger's script says in each shell and case. All run at once, because each takes some seconds.

    The script's pauses of one and five seconds are shortened here.
    """
    sleep = tmp_path_factory.mktemp("bin") / "sleep"
    sleep.write_text(f"#!/bin/sh\nexec {which('sleep')} 0.05\n")
    sleep.chmod(0o755)
    path = f"{sleep.parent}:{os.environ['PATH']}"
    with ExitStack() as servers:
        running = {}
        for shell, (name, case) in product(filter(which, SHELLS), CASES.items()):
            port = servers.enter_context(case.server())
            command = (shell, "-c", STRANGER_SCRIPT, "probe", "127.0.0.1", str(port), case.kind)
            environment = os.environ | {"PATH": path, "PROBE_SECONDS": str(case.seconds)}
            running[shell, name] = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        said = {key: process.communicate(timeout=40)[0] for key, process in running.items()}
        yield {key: (process.returncode, said[key]) for key, process in running.items()}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", CASES)
def test_what_the_stranger_says(heard: dict[tuple[str, str], tuple[int, str]], shell: str, name: str) -> None:
    if not which(shell):
        pytest.skip(f"no {shell}")
    assert heard[shell, name] == (CASES[name].status, CASES[name].says)


def test_an_answer_is_told_from_an_eviction(probes: Engine) -> None:
    probe, stranger = probes.kind("Job")
    assert "podFailurePolicy" not in probe.spec
    failed, evicted = stranger.spec["podFailurePolicy"]["rules"]
    assert (failed["action"], failed["onExitCodes"]["values"]) == ("FailJob", [123])
    assert evicted["action"] == "Ignore"
    script = ("-c", "echo a | xargs -n 1 /bin/sh -c 'exit 1' probe")
    assert subprocess.run(("/bin/sh", *script), check=False).returncode == 123
