"""Asks a web server over TLS with any certificates: `python -m tests.e2e.answered FILE`, run inside a site.

FILE holds JSON: `address`, `port`, `server_name`, and `attempts`, by name: each with the paths `certificate` and `key`.
The script prints as JSON what became of each attempt: `answered`, or `refused` without a byte.
"""

import json
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SECONDS = 5

ASKING = b"GET /hostname HTTP/1.1\r\nHost: hello\r\n\r\n"


@contextmanager
def connected(asked: dict[str, Any], certificate: str, key: str) -> Iterator[ssl.SSLSocket]:
    """Connect as the owner of a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # This client does not check who answers.
    context.set_alpn_protocols(["istio"])
    context.load_cert_chain(certificate, key)
    with (
        socket.create_connection((asked["address"], asked["port"]), SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=asked["server_name"]) as connection,
    ):
        yield connection


def outcome(asked: dict[str, Any], certificate: str, key: str) -> str:
    """Tell whether an attempt gets anything."""
    try:
        with connected(asked, certificate, key) as connection:
            connection.sendall(ASKING)
            return "answered" if connection.recv(1) else "refused"
    except OSError:  # TLS's errors are OSErrors too.
        return "refused"


def main() -> None:
    asked = json.loads(Path(sys.argv[1]).read_text())
    print(json.dumps({name: outcome(asked, **how) for name, how in asked["attempts"].items()}))


if __name__ == "__main__":
    main()
