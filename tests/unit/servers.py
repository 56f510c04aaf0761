"""Servers on 127.0.0.1 that stand in for those that the program talks to."""

import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from io import BytesIO
from typing import Any
from urllib.parse import unquote

import pytest
from urllib3.util import connection


@contextmanager
def listening(server: socketserver.BaseServer) -> Iterator[int]:
    """Serve while the block runs, and yield the port."""
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@contextmanager
def nobody() -> Iterator[int]:
    """Yield a port that is in use but on which nothing listens."""
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler, bind_and_activate=False) as server:
        server.server_bind()
        yield server.server_address[1]


class _Connection:
    """A connection to a fake API server, used instead of a socket."""

    def __init__(self, server: "KubernetesAPI") -> None:
        self.server = server
        self.request = b""

    def sendall(self, part: bytes) -> None:
        self.request += part

    def makefile(self, *_: object) -> BytesIO:
        first, _, rest = self.request.partition(b"\r\n")
        status, kind, body = self.server.answer(first.decode(), rest.partition(b"\r\n\r\n")[2])
        self.request = b""
        content = body.encode()
        head = (
            f"HTTP/1.1 {status} {status.phrase}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(content)}",
            "\r\n",
        )
        return BytesIO("\r\n".join(head).encode() + content)

    def fileno(self) -> int:
        return self.server.silence

    def settimeout(self, _: float | None) -> None:
        pass

    def close(self) -> None:
        pass


class KubernetesAPI:
    """A Kubernetes API server without TLS. It knows GET, and a POST that makes nothing.

    It answers in the thread that asks, since threads of its own, and sockets, took most of the time.

    Attributes:
        server_port: its port, on which nothing else listens.
        silence: a file descriptor that has nothing to read, as an idle connection.
        objects: its objects by path, with a query or for all queries. Each is an object, a text, or the status of an
            error, alone or with a message. Every other path is 404. Answers to a POST are at `POST PATH`. Such an
            answer may be a function of the body, which may raise a connection's errors.
        asked: the paths of all requests that read.
        connections: how many connections there have been.
    """

    def __init__(self, port: int, silence: int) -> None:
        self.server_port = port
        self.silence = silence
        self.objects: dict[str, Any] = {}
        self.asked: list[str] = []
        self.connections = 0

    def connect(self) -> _Connection:
        self.connections += 1
        return _Connection(self)

    def answer(self, request: str, sent: bytes = b"") -> tuple[HTTPStatus, str, str]:
        """Return status, type and body of the answer, from a request's first line and its body."""
        method, target, _ = request.split()
        path, _, query = unquote(target).partition("?")
        if method == "GET":
            self.asked.append(path)
        else:
            assert (method, query) == ("POST", "dryRun=All"), f"{method} {target}"
            path = f"POST {path}"
        found = self.objects.get(f"{path}?{query}", self.objects.get(path, 404))
        if callable(found):
            found = found(json.loads(sent))
        if isinstance(found, int):
            return HTTPStatus(found), "text/plain", ""
        if isinstance(found, tuple):
            status, message = found
            return HTTPStatus(status), "application/json", json.dumps({"message": message})
        if isinstance(found, str):
            return HTTPStatus.OK, "text/plain", found
        return HTTPStatus.OK, "application/json", json.dumps(found)

    def kubeconfig(self, token: str = "t") -> str:  # noqa: S107
        """Return a kubeconfig whose context `there` is this server. Its current context leads nowhere."""
        return kubeconfig({"nowhere": "http://127.0.0.1:1", "there": f"http://127.0.0.1:{self.server_port}"}, token)


def kubeconfig(contexts: dict[str, str], token: str = "t") -> str:  # noqa: S107
    """Return a kubeconfig with contexts and their servers. The first context is the current one."""
    return json.dumps(  # JSON is YAML too, and is written faster.
        {
            "current-context": next(iter(contexts)),
            "contexts": [{"name": name, "context": {"cluster": name, "user": "u"}} for name in contexts],
            "clusters": [{"name": name, "cluster": {"server": server}} for name, server in contexts.items()],
            "users": [{"name": "u", "user": {"token": token}}],
        }
    )


@contextmanager
def kubernetes_api() -> Iterator[KubernetesAPI]:
    """Run a fake Kubernetes API server while the block runs."""
    with nobody() as port, socket.socket(type=socket.SOCK_DGRAM) as silence, pytest.MonkeyPatch.context() as patch:
        server, elsewhere = KubernetesAPI(port, silence.fileno()), connection.create_connection

        def connect(address: tuple[str, int], *args: Any, **kwargs: Any) -> Any:
            return server.connect() if address == ("127.0.0.1", port) else elsewhere(address, *args, **kwargs)

        patch.setattr(connection, "create_connection", connect)
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield server


VERSION = {
    "major": "1",
    "minor": "34+",  # EKS writes it in this form.
    "gitVersion": "v1.34.1-eks-1",
    **dict.fromkeys(("gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"), ""),
}
"""The answer at `/version/`."""

KUBE_SYSTEM = {"/api/v1/namespaces/kube-system": {"metadata": {"uid": "6b0ff1ea-0000-0000-0000-000000000001"}}}
"""The namespace by which a cluster is recognized."""
