"""LinkProbe: the Job's pod, its script (really run), and what is known once it has succeeded."""

import os
import socketserver
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from shutil import which
from threading import Barrier, BrokenBarrierError
from typing import Any, get_args

import pytest

from components.mesh.link_probe import pod_template, probe_lines
from dcmesh.model.link import HTTP_PROBES, ExportedPort, ExportedService, ProbeKind
from dcmesh.status.hosts import parse_answers
from tests.unit.conftest import ROOT
from tests.unit.servers import listening, nobody

HANDSHAKE = b"J\x00\x00\x00\n11.4.2-MariaDB\x00\x08\x00\x00\x00"


def template(lines: str = "", **changes: Any) -> dict[str, Any]:
    arguments = {"service_account": "client", "image": "image", "path": [], "labels": {"app": "probe"}}
    return pod_template(lines=lines, **arguments | changes)


def test_a_line_a_host_and_port(database: ExportedService) -> None:
    web = (ExportedPort(port=80, probe="http"), ExportedPort(port=8080, probe="tcp"))
    other = database.model_copy(update={"hosts": ("web-0.web.shop.svc.cluster.local",), "ports": web})
    assert probe_lines([database, other]).splitlines() == [
        "db-pxc-0.db.shop.svc.cluster.local 3306 greeting",
        "db-pxc-1.db.shop.svc.cluster.local 3306 greeting",
        "web-0.web.shop.svc.cluster.local 80 http",
        "web-0.web.shop.svc.cluster.local 8080 tcp",
    ]


def test_probe_connects_as_the_consumer_with_a_sidecar_that_ends_when_it_does() -> None:
    pod = template(service_account="replica")
    assert pod["spec"]["serviceAccountName"] == "replica"
    assert pod["metadata"]["labels"] == {"app": "probe", "sidecar.istio.io/inject": "true"}
    assert pod["metadata"]["annotations"]["sidecar.istio.io/nativeSidecar"] == "true"


def test_failure_leaves_its_reason_in_the_pods_status() -> None:
    (container,) = template()["spec"]["containers"]
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_a_quota_of_processors_or_memory_lets_it_in() -> None:
    (container,) = template()["spec"]["containers"]
    assert {kind: {*of} for kind, of in container["resources"].items()} == {
        "requests": {"cpu", "memory"},
        "limits": {"cpu", "memory"},
    }


@pytest.mark.parametrize("changes", [{"path": ["192.0.2.2"]}, {"lines": "other 80 http\n"}])
def test_probe_runs_again_when_what_it_proves_has_changed(changes: dict[str, Any]) -> None:
    """A Job is replaced when its template differs."""
    assert template(**changes) != template()


# --- the script --------------------------------------------------------------------------------------------------


class Web(BaseHTTPRequestHandler):
    """Sends the server's answers in turn, and repeats the last one."""

    def do_GET(self) -> None:
        together, answers = self.server.together, self.server.answers  # type: ignore[attr-defined]
        try:
            together.wait(1)
            status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        except BrokenBarrierError:
            together.reset()
            status, body = 503, b"alone"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Greeter(socketserver.BaseRequestHandler):
    """Sends the server's greeting, then waits for the client to go."""

    def handle(self) -> None:
        greeting = self.server.greeting  # type: ignore[attr-defined]
        if greeting is None:
            return
        self.request.sendall(greeting)
        self.request.recv(1)


class TCPServer(socketserver.ThreadingTCPServer):
    daemon_threads = True


@contextmanager
def web(*answers: tuple[int, str], together: int = 1) -> Iterator[int]:
    """Answer this many requests if they come at the same time."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    server.together = Barrier(together)  # type: ignore[attr-defined]
    server.answers = [(status, body.encode()) for status, body in answers]  # type: ignore[attr-defined]
    with listening(server) as port:
        yield port


@contextmanager
def greeter(greeting: bytes | None) -> Iterator[int]:
    server = TCPServer(("127.0.0.1", 0), Greeter)
    server.greeting = greeting  # type: ignore[attr-defined]
    with listening(server) as port:
        yield port


@dataclass(frozen=True)
class Case:
    """What answers on a host `hello-0.…`, and what the probe says of it."""

    kind: str
    server: Callable[[], Any]
    says: str


CASES = {
    "right pod": Case("pod-name", lambda: web((200, "hello-0")), "ok HOST hello-0"),
    "wrong pod": Case(
        "pod-name", lambda: web((200, "hello-1")), "failed HOST answered by 'hello-1' instead of hello-0"
    ),
    "pod of a longer name": Case(
        "pod-name", lambda: web((200, "hello-01")), "failed HOST answered by 'hello-01' instead of hello-0"
    ),
    "no pod": Case("pod-name", lambda: web((200, "")), "failed HOST HTTP 200 without a name"),
    "gateway says 503": Case("pod-name", lambda: web((503, "upstream error")), "failed HOST HTTP 503 upstream error"),
    "503, then right": Case(
        "pod-name", lambda: web((503, "not yet"), (200, "hello-1"), (200, "hello-0")), "ok HOST hello-0"
    ),
    "refused": Case("pod-name", nobody, "failed HOST no such name, or refused"),
    "any answer": Case("http", lambda: web((200, "welcome")), "ok HOST hello-0"),
    "login wanted": Case("http", lambda: web((401, "who?")), "ok HOST hello-0"),
    "http says 503": Case("http", lambda: web((503, "upstream error")), "failed HOST HTTP 503 upstream error"),
    "several lines": Case("http", lambda: web((503, "no healthy\n* upstream *\n")), "failed HOST HTTP 503 no healthy"),
    "attacks": Case(
        "http",
        lambda: web((503, "\x1b[2J\\033[2J %n $(touch ran) `id`\x07")),
        r"failed HOST HTTP 503 [2J\033[2J %n $(touch ran) `id`",
    ),
    "http refused": Case("http", nobody, "failed HOST no such name, or refused"),
    "greeting": Case("greeting", lambda: greeter(HANDSHAKE), "ok HOST hello-0"),
    "silence": Case("greeting", lambda: greeter(b""), "failed HOST no greeting within 2 s"),
    "hung up": Case("greeting", lambda: greeter(None), "failed HOST no greeting within 2 s"),
    "greeting refused": Case("greeting", nobody, "failed HOST no greeting within 2 s"),
}
PAIR = Case("http", lambda: web((200, "welcome"), together=2), "ok HOST hello-0")
TOGETHER = [
    ("right pod", "any answer", "login wanted"),
    ("wrong pod", "right pod", "refused", "any answer"),
    ("pair", "pair"),
]
HOST = "hello-0.localhost"  # curl resolves names under localhost itself


def start(lines: str, *, patience: int) -> subprocess.Popen[str]:
    """Start the Job's container."""
    (container,) = template(lines)["spec"]["containers"]
    env = {variable["name"]: variable["value"] for variable in container["env"]}
    return subprocess.Popen(
        container["command"],
        env=env | {"PROBE_SECONDS": str(patience), "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@dataclass(frozen=True)
class Said:
    status: int
    lines: list[str]
    errors: str


def said(process: subprocess.Popen[str]) -> Said:
    out, errors = process.communicate(timeout=60)
    return Said(process.returncode, out.splitlines(), errors)


@pytest.fixture(scope="module")
def answers() -> Iterator[dict[tuple[str, ...], Said]]:
    """What the probe says in each case, and in some cases together.

    All run at once, because a failure takes its time.
    """
    with ExitStack() as servers:
        cases = CASES | {"pair": PAIR}
        ports = {name: servers.enter_context(case.server()) for name, case in cases.items()}
        running = {}
        for names in [*((name,) for name in CASES), *TOGETHER]:
            fails = any(cases[name].says.startswith("failed") for name in names)
            lines = "".join(f"{HOST} {ports[name]} {cases[name].kind}\n" for name in names)
            running[names] = start(lines, patience=1 if fails else 10)
        yield {names: said(process) for names, process in running.items()}


needs_curl = pytest.mark.skipif(which("curl") is None, reason="the probe asks with curl, which is not here")


@needs_curl
@pytest.mark.parametrize("name", CASES)
def test_probe_says(answers: dict[tuple[str, ...], Said], name: str) -> None:
    expected, heard = CASES[name].says.replace("HOST", HOST), answers[name,]
    (line,) = heard.lines
    assert line.startswith(expected) if expected.endswith(" ") else line == expected
    assert bool(heard.status) is expected.startswith("failed")
    assert heard.errors == ""


@needs_curl
@pytest.mark.parametrize("names", TOGETHER[:2])
def test_every_host_is_reported_and_all_must_be_reached(
    answers: dict[tuple[str, ...], Said], names: tuple[str, ...]
) -> None:
    heard = answers[names]
    expected = [CASES[name].says.split()[0] for name in names]
    assert sorted(line.split()[0] for line in heard.lines) == sorted(expected)
    assert bool(heard.status) is ("failed" in expected)


@needs_curl
def test_hosts_are_asked_at_the_same_time(answers: dict[tuple[str, ...], Said]) -> None:
    """The server of this pair answers only when both ask. Of many hosts, each may take its whole time."""
    assert answers["pair", "pair"] == Said(0, [f"ok {HOST} hello-0"] * 2, "")


# --- what is a right answer --------------------------------------------------------------------------------------

POD = "hello-0"
ONE_HOST = f"{POD}.hello.demo.svc.cluster.local"
ANSWERS = [
    "greeting",
    "no such name, or refused",
    "HTTP",
    *(
        f"HTTP {status}"
        for status in ("099", "100", "200", "204", "301", "404", "499", "500", "503", "600", "2000", "x")
    ),
    *(
        f"HTTP 200 {said}"
        for said in (POD, "hello-01", "hello", f"{POD} and more", "[h]ello-0", "*", "HTTP 200 hello-0")
    ),
    *(f"HTTP {status} {POD}" for status in ("201", "404", "2000")),
]
KINDS = get_args(ProbeKind)
JUDGED = f"""
probe=$1 hosts=$2
date() {{ echo 0; }}
tr() {{ IFS= read -rd '' text; printf '%s' "$text"; }}
pretend() {{ printf '%s' "$said"; }}
ask=pretend
while IFS= read -r said; do
  for kind in {" ".join(KINDS)}; do
    for script in "$probe" "$hosts"; do
      (set -- "$HOST" 1 "$kind" && eval "$script")
    done
  done
done
"""
"""Runs both scripts on each line, which is an answer in printable characters. It starts no other program."""


def test_the_status_takes_for_right_what_the_probe_takes() -> None:
    """The probe judges in its script, and the status in Python."""
    scripts = [(ROOT / name).read_text() for name in ("components/mesh/link_probe.sh", "dcmesh/status/hosts.sh")]
    printed = subprocess.run(
        ["bash", "-c", JUDGED, "judged", *scripts],
        env={"HOST": ONE_HOST, "PROBE_SECONDS": "0", "PATH": os.environ["PATH"]},
        input="".join(f"{said}\n" for said in ANSWERS),
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    said = iter(printed.splitlines())
    right = list[tuple[str, str]]()
    for answer, kind in product(ANSWERS, KINDS):
        by_probe = next(said).startswith("ok ")
        (by_status,) = parse_answers(next(said), {(ONE_HOST, 1): kind}, "client").values()
        assert by_status.ok is by_probe, (answer, kind)
        right += [(answer, kind)] if by_probe else []
    assert {("greeting", "greeting"), ("HTTP 404", "http"), (f"HTTP 200 {POD}", "pod-name")} <= set(right)
    assert {kind for answer, kind in right if answer.startswith(("HTTP 500", "HTTP 503"))}.isdisjoint(HTTP_PROBES)
