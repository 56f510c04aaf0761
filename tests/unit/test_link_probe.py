"""LinkProbe: the Job's pod, its script run for real, and the reading of its report."""

import json
import os
import socketserver
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from shutil import which
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from components.link import ExportedService
from components.link_probe import parse_report, pod_template, probe_lines, read_report

HANDSHAKE = b"J\x00\x00\x00\n11.4.2-MariaDB\x00\x08\x00\x00\x00"


def template(lines: str = "", **changes: Any) -> dict[str, Any]:
    arguments = {"service_account": "client", "image": "image", "path": [], "labels": {"app": "probe"}}
    return pod_template(lines=lines, **arguments | changes)


def test_a_line_a_host(database: ExportedService) -> None:
    other = replace(database, hosts=("web-0.web.shop.svc.cluster.local",), port=80, probe="http")
    assert probe_lines([database, other]).splitlines() == [
        "db-pxc-0.db.shop.svc.cluster.local 3306 greeting",
        "db-pxc-1.db.shop.svc.cluster.local 3306 greeting",
        "web-0.web.shop.svc.cluster.local 80 http",
    ]


def test_probe_connects_as_the_consumer_with_a_sidecar_that_ends_when_it_does() -> None:
    pod = template(service_account="replica")
    assert pod["spec"]["serviceAccountName"] == "replica"
    assert pod["metadata"]["labels"] == {"app": "probe", "sidecar.istio.io/inject": "true"}
    assert pod["metadata"]["annotations"]["sidecar.istio.io/nativeSidecar"] == "true"


def test_failure_leaves_its_reason_in_the_pods_status() -> None:
    (container,) = template()["spec"]["containers"]
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


@pytest.mark.parametrize("changes", [{"path": ["192.0.2.2"]}, {"lines": "other 80 http\n"}])
def test_probe_runs_again_when_what_it_proves_has_changed(changes: dict[str, Any]) -> None:
    """A Job is made anew when its template differs."""
    assert template(**changes) != template()


# --- the script --------------------------------------------------------------------------------------------------


class Web(BaseHTTPRequestHandler):
    """Gives the server's answers in turn, the last one for ever."""

    def do_GET(self) -> None:
        answers = self.server.answers  # type: ignore[attr-defined]
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
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
def listening(server: socketserver.BaseServer) -> Iterator[int]:
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@contextmanager
def web(*answers: tuple[int, str]) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    server.answers = [(status, body.encode()) for status, body in answers]  # type: ignore[attr-defined]
    with listening(server) as port:
        yield port


@contextmanager
def greeter(greeting: bytes | None) -> Iterator[int]:
    server = TCPServer(("127.0.0.1", 0), Greeter)
    server.greeting = greeting  # type: ignore[attr-defined]
    with listening(server) as port:
        yield port


@contextmanager
def nobody() -> Iterator[int]:
    with TCPServer(("127.0.0.1", 0), Greeter, bind_and_activate=False) as server:
        server.server_bind()  # the port is taken and nothing listens
        yield server.server_address[1]


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
    "no pod": Case("pod-name", lambda: web((200, "")), "failed HOST answered by '' instead of hello-0"),
    "gateway says 503": Case(
        "pod-name", lambda: web((503, "upstream error")), "failed HOST HTTP status 503: upstream error"
    ),
    "503, then right": Case(
        "pod-name", lambda: web((503, "not yet"), (200, "hello-1"), (200, "hello-0")), "ok HOST hello-0"
    ),
    "refused": Case("pod-name", nobody, "failed HOST HTTP status 000: curl: (7) "),
    "any answer": Case("http", lambda: web((200, "welcome")), "ok HOST hello-0"),
    "login wanted": Case("http", lambda: web((401, "who?")), "ok HOST hello-0"),
    "http says 503": Case("http", lambda: web((503, "upstream error")), "failed HOST HTTP status 503: upstream error"),
    "http refused": Case("http", nobody, "failed HOST HTTP status 000: curl: (7) "),
    "greeting": Case("greeting", lambda: greeter(HANDSHAKE), "ok HOST hello-0"),
    "silence": Case("greeting", lambda: greeter(b""), "failed HOST no greeting from the server"),
    "hung up": Case("greeting", lambda: greeter(None), "failed HOST no greeting from the server"),
    "greeting refused": Case("greeting", nobody, "failed HOST no greeting from the server"),
}
TOGETHER = {
    ("right pod", "any answer", "login wanted"): 0,
    ("wrong pod", "right pod", "refused", "any answer"): 1,
}
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
    """What the probe says in each case, and in some together. All run at once: failure takes patience."""
    with ExitStack() as servers:
        ports = {name: servers.enter_context(case.server()) for name, case in CASES.items()}
        running = {}
        for names in [*((name,) for name in CASES), *TOGETHER]:
            fails = any(CASES[name].says.startswith("failed") for name in names)
            lines = "".join(f"{HOST} {ports[name]} {CASES[name].kind}\n" for name in names)
            running[names] = start(lines, patience=1 if fails else 30)
        yield {names: said(process) for names, process in running.items()}


needs_curl = pytest.mark.skipif(which("curl") is None, reason="the probe asks with curl, which is not here")


@needs_curl
@pytest.mark.parametrize("name", CASES)
def test_probe_says(answers: dict[tuple[str, ...], Said], name: str) -> None:
    expected, heard = CASES[name].says.replace("HOST", HOST), answers[name,]
    (line,) = heard.lines
    assert line.startswith(expected) if expected.endswith(" ") else line == expected
    assert heard.status == (1 if expected.startswith("failed") else 0)
    assert heard.errors == ""


@needs_curl
@pytest.mark.parametrize(("names", "status"), TOGETHER.items())
def test_every_host_is_reported_and_all_must_be_reached(
    answers: dict[tuple[str, ...], Said], names: tuple[str, ...], status: int
) -> None:
    heard = answers[names]
    assert [line.split()[0] for line in heard.lines] == [CASES[name].says.split()[0] for name in names]
    assert heard.status == status


# --- the report --------------------------------------------------------------------------------------------------


def test_report_is_host_and_pod() -> None:
    log = "ok a.b.svc pod-a\nok c.d.svc pod-c\n"
    assert parse_report(log) == {"a.b.svc": "pod-a", "c.d.svc": "pod-c"}


@pytest.mark.parametrize("log", ["", "failed a.b.svc no greeting from the server\n", "\n  \nwarning: something ok\n"])
def test_report_holds_nothing_else(log: str) -> None:
    assert parse_report(log) == {}


class API(BaseHTTPRequestHandler):
    """A Kubernetes API server with one pod, `probe-xyz`, of Job `dr/probe`."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        if url.path == "/api/v1/namespaces/dr/pods":
            there = query["labelSelector"] == ["batch.kubernetes.io/job-name=probe"]
            pods = [{"metadata": {"name": "probe-xyz"}}] if there else []
            self.answer("application/json", json.dumps({"kind": "PodList", "items": pods}))
        elif url.path == "/api/v1/namespaces/dr/pods/probe-xyz/log" and query["container"] == ["probe"]:
            self.answer("text/plain", "ok a.b.svc pod-a\n")
        else:
            self.send_error(404)

    def answer(self, content_type: str, body: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def kubeconfig(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A kubeconfig whose context `there` is the API server; its current one leads nowhere."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with listening(ThreadingHTTPServer(("127.0.0.1", 0), API)) as port, nobody() as dead:
        yield yaml.safe_dump(
            {
                "current-context": "nowhere",
                "contexts": [{"name": n, "context": {"cluster": n, "user": "u"}} for n in ("there", "nowhere")],
                "clusters": [
                    {"name": "there", "cluster": {"server": f"http://127.0.0.1:{port}"}},
                    {"name": "nowhere", "cluster": {"server": f"http://127.0.0.1:{dead}"}},
                ],
                "users": [{"name": "u", "user": {"token": "t"}}],
            }
        )


def test_report_is_read_from_the_jobs_pod(kubeconfig: str) -> None:
    assert read_report(kubeconfig, "there", "dr", "probe") == {"a.b.svc": "pod-a"}


def test_report_of_a_pod_that_is_gone_says_what_to_do(kubeconfig: str) -> None:
    with pytest.raises(LookupError, match=r"the pod of Job dr/other is gone; delete the Job"):
        read_report(kubeconfig, "there", "dr", "other")
