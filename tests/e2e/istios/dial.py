"""Dials a MariaDB server with any credentials: `python dial.py FILE`, run inside a site.

FILE holds JSON: `address`, `user` and `password`, and `attempts`, by name. Each has `port`, and for TLS `server_name`
and perhaps the paths `certificate` and `key`. The script prints as JSON how far each attempt came: `in`, `greeted` by
the server but not let in, or `refused` without a byte of the server.
"""

import hashlib
import json
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

SECONDS = 5

PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH = 0x200, 0x8000, 0x80000
PLUGIN = b"mysql_native_password"


def connect(address: str, attempt: dict[str, Any]) -> socket.socket:
    plain = socket.create_connection((address, attempt["port"]), SECONDS)
    if "server_name" not in attempt:
        return plain
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # This client does not check who answers.
    context.set_alpn_protocols(["istio"])  # Sidecars send this, and a gateway requires it.
    if "certificate" in attempt:
        context.load_cert_chain(attempt["certificate"], attempt["key"])
    return context.wrap_socket(plain, server_hostname=attempt["server_name"])


def packet(connection: socket.socket) -> bytes:
    """Read one packet of the protocol. Return nothing if the connection ends first."""

    def exactly(length: int) -> bytes:
        data = b""
        while len(data) < length and (part := connection.recv(length - len(data))):
            data += part
        return data

    header = exactly(4)
    return exactly(int.from_bytes(header[:3], "little")) if header else b""


def reply(greeting: bytes, user: str, password: str) -> bytes:
    """Return the packet that answers the server's greeting with user and password."""
    _, _, rest = greeting[1:].partition(b"\0")  # The protocol's version is followed by the server's.
    nonce = rest[4:12] + rest[31:43]
    once = hashlib.sha1(password.encode()).digest()  # noqa: S324 - the protocol's
    mask = hashlib.sha1(nonce + hashlib.sha1(once).digest()).digest()  # noqa: S324
    proof = bytes(a ^ b for a, b in zip(once, mask, strict=True))
    flags = (PROTOCOL_41 | SECURE_CONNECTION | PLUGIN_AUTH).to_bytes(4, "little")
    body = flags + (1 << 24).to_bytes(4, "little") + bytes([45]) + bytes(23)
    body += user.encode() + b"\0" + bytes([len(proof)]) + proof + PLUGIN + b"\0"
    return len(body).to_bytes(3, "little") + b"\x01" + body


def outcome(address: str, attempt: dict[str, Any], user: str, password: str) -> str:
    """Tell how far an attempt comes."""
    reached = "refused"
    try:
        with connect(address, attempt) as connection:
            if greeting := packet(connection):
                reached = "greeted"
                connection.sendall(reply(greeting, user, password))
                if packet(connection)[:1] == b"\0":
                    reached = "in"
    except OSError:  # TLS's errors are OSErrors too.
        pass
    return reached


def main() -> None:
    asked = json.loads(Path(sys.argv[1]).read_text())
    user, password = asked["user"], asked["password"]
    found = {name: outcome(asked["address"], how, user, password) for name, how in asked["attempts"].items()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
