"""Dials a gateway again and again: `python flood.py FILE`, run inside a site.

FILE holds JSON: `address`, `port`, `kind`, `rate` in dials a second, `seconds`, `server_name`, and, for `stranger`, the
paths `certificate` and `key`. Connections are kept open. The kinds:

- `silent`: connects, and sends nothing.
- `hello`: sends a ClientHello, and nothing more.
- `stranger`: completes the TLS handshake with the certificate, and sends nothing more.

The script prints as JSON how many dials there were, how many were open at the same time at most, and how many got a
byte of the server.
"""

import asyncio
import contextlib
import json
import ssl
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any


def context(asked: dict[str, Any]) -> ssl.SSLContext:
    """Return TLS settings like a sidecar's."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE  # This client does not check who answers.
    made.set_alpn_protocols(["istio"])
    if "certificate" in asked:
        made.load_cert_chain(asked["certificate"], asked["key"])
    return made


def hello(server_name: str) -> bytes:
    """Return a ClientHello."""
    sent = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context({}).wrap_bio(ssl.MemoryBIO(), sent, server_hostname=server_name).do_handshake()
    return sent.read()


async def dial(asked: dict[str, Any], tls: ssl.SSLContext, first: bytes, counted: Counter[str]) -> None:
    stranger = asked["kind"] == "stranger"
    how = {"ssl": tls, "server_hostname": asked["server_name"]} if stranger else {}
    counted["dials"] += 1
    try:
        reader, writer = await asyncio.open_connection(asked["address"], asked["port"], **how)
        counted["open"] += 1
        counted["most"] = max(counted["most"], counted["open"])
        try:
            writer.write(first)
            while got := await reader.read(4096):
                counted["answered"] += stranger and bool(got)
        finally:
            counted["open"] -= 1
            writer.close()
    except OSError:  # TLS's errors are OSErrors too.
        counted["refused"] += 1


async def flood(asked: dict[str, Any]) -> Counter[str]:
    counted = Counter[str]()
    tls, first = context(asked), hello(asked["server_name"]) if asked["kind"] == "hello" else b""
    began, dials = time.monotonic(), set[asyncio.Task[None]]()
    for number in range(int(asked["rate"] * asked["seconds"])):
        await asyncio.sleep(max(0, began + number / asked["rate"] - time.monotonic()))
        dials.add(asyncio.create_task(dial(asked, tls, first, counted)))
    for task in dials:
        task.cancel()
    await asyncio.gather(*dials, return_exceptions=True)
    return counted


def main() -> None:
    counted = asyncio.run(flood(json.loads(Path(sys.argv[1]).read_text())))
    print(json.dumps({key: counted[key] for key in ("dials", "most", "refused", "answered")}))


if __name__ == "__main__":
    main()
