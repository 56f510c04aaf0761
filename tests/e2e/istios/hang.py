"""Begins TLS and never finishes: `python hang.py ADDRESS PORT SERVER_NAME COUNT`, run inside a site.

The script opens COUNT connections. Each sends a ClientHello and waits for the first byte of the answer, which shows
that TLS's other end was reached. The script prints how many got one; the others were refused. It ends when the other
side has closed all of them.
"""

import contextlib
import socket
import ssl
import sys

SECONDS = 30


def hello(server_name: str) -> bytes:
    """Return a ClientHello like a sidecar's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["istio"])
    sent = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=server_name).do_handshake()
    return sent.read()


def answered(connection: socket.socket) -> bool:
    """Tell whether TLS's other end was reached. If not, the connection was refused before."""
    try:
        return bool(connection.recv(1))
    except ConnectionResetError:
        return False


def main() -> None:
    address, port, server_name, count = sys.argv[1:]
    connections = []
    for _ in range(int(count)):
        connections.append(socket.create_connection((address, int(port)), SECONDS))
        connections[-1].sendall(hello(server_name))
    begun = [connection for connection in connections if answered(connection)]
    print(len(begun), flush=True)
    for connection in begun:
        while connection.recv(4096):
            pass


if __name__ == "__main__":
    main()
