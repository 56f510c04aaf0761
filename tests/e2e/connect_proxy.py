"""A small proxy for HTTPS on 127.0.0.1. It knows hosts by names that nobody else can resolve."""

import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress


class ConnectProxy(socketserver.ThreadingTCPServer):
    """A proxy that takes CONNECT requests, and connects to these hosts only."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, hosts: Mapping[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.hosts = hosts

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Tunnel(socketserver.StreamRequestHandler):
    server: ConnectProxy

    def handle(self) -> None:
        words = self.rfile.readline().decode().split()
        while self.rfile.readline().strip():
            pass
        host, _, port = words[1].rpartition(":") if len(words) > 1 else ("", "", "")
        if words[:1] != ["CONNECT"] or host not in self.server.hosts:
            self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection((self.server.hosts[host], int(port))) as there:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pass_on, args=(there, self.connection), daemon=True)
            back.start()
            _pass_on(self.connection, there)
            back.join()


def _pass_on(source: socket.socket, to: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            to.sendall(part)
    with suppress(OSError):
        to.shutdown(socket.SHUT_WR)


@contextmanager
def connect_proxy(hosts: Mapping[str, str]) -> Iterator[str]:
    """Run a proxy while the block runs, and yield its URL.

    Args:
        hosts: the address of each host that may be reached, by name.
    """
    with ConnectProxy(hosts) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.url
        server.shutdown()
