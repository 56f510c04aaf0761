"""Servers on 127.0.0.1 that stand in for what the program talks to."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import pytest
import yaml


@contextmanager
def listening(server: socketserver.BaseServer) -> Iterator[int]:
    """Serve for a while, and give the port."""
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@contextmanager
def nobody() -> Iterator[int]:
    """Give a port that is taken and where nothing listens."""
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler, bind_and_activate=False) as server:
        server.server_bind()
        yield server.server_address[1]


class _Answer(BaseHTTPRequestHandler):
    server: "KubernetesAPI"
    protocol_version = "HTTP/1.1"  # a connection stays: one for each answer takes most of the time
    wbufsize = -1

    def do_GET(self) -> None:
        path, _, query = unquote(self.path).partition("?")
        self.server.asked.append(path)
        objects = self.server.objects
        found = objects.get(f"{path}?{query}", objects.get(path, 404))
        if isinstance(found, int):
            self._say(found, "text/plain", "")
        elif isinstance(found, str):
            self._say(200, "text/plain", found)
        else:
            self._say(200, "application/json", json.dumps(found))

    def _say(self, status: int, kind: str, body: str) -> None:
        content = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


class KubernetesAPI(ThreadingHTTPServer):
    """A Kubernetes API server: no TLS, nothing but GET.

    Attributes:
        objects: what is there, by path, with a query or for all queries: an object, a text, or the status of an
            error. All else is 404.
        asked: the paths of all requests.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.objects: dict[str, Any] = {}
        self.asked: list[str] = []

    def kubeconfig(self, token: str = "t") -> str:  # noqa: S107
        """Return a kubeconfig whose context `there` is this server; its current one leads nowhere."""
        return kubeconfig({"nowhere": "http://127.0.0.1:1", "there": f"http://127.0.0.1:{self.server_port}"}, token)


def kubeconfig(contexts: dict[str, str], token: str = "t") -> str:  # noqa: S107
    """Return a kubeconfig with contexts and the servers that they lead to; the first is the current one."""
    return yaml.safe_dump(
        {
            "current-context": next(iter(contexts)),
            "contexts": [{"name": name, "context": {"cluster": name, "user": "u"}} for name in contexts],
            "clusters": [{"name": name, "cluster": {"server": server}} for name, server in contexts.items()],
            "users": [{"name": "u", "user": {"token": token}}],
        }
    )


@contextmanager
def kubernetes_api() -> Iterator[KubernetesAPI]:
    """Run a Kubernetes API server."""
    server = KubernetesAPI()
    with listening(server), pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield server


VERSION = {
    "major": "1",
    "minor": "34+",  # as EKS writes it
    "gitVersion": "v1.34.1-eks-1",
    **dict.fromkeys(("gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"), ""),
}
"""What `/version/` says."""

KUBE_SYSTEM = {"/api/v1/namespaces/kube-system": {"metadata": {"uid": "6b0ff1ea-0000-0000-0000-000000000001"}}}
"""The namespace by which a cluster is known again."""
