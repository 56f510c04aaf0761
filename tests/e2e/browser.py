"""A real browser without a screen: Debian's Chromium, driven by its own DevTools protocol."""

import base64
import json
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from websocket import WebSocket, create_connection

from lab import packages

PACKAGES = ("chromium", "fonts-dejavu-core")
"""Debian's package of the browser, and one with a font, so that text has a width."""

START = 30
"""Seconds that the browser may take to start."""

HEIGHT = 8000
"""The height of the screen in pixels: enough for the whole page."""

FLAGS = (
    "--headless",
    "--no-sandbox",  # It runs as root, and shows only a file of our own.
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


Scheme = Literal["light", "dark"]
"""The colour scheme to which the reader's system is set."""


class Tab:
    """A tab of the browser."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._asked = 0

    def __call__(self, method: str, **parameters: Any) -> Any:
        """Send the browser a command, and return its answer."""
        self._asked += 1
        self._socket.send(json.dumps({"id": self._asked, "method": method, "params": parameters}))
        while (said := json.loads(self._socket.recv())).get("id") != self._asked:
            pass  # Messages without our number are events of the page.
        assert "error" not in said, said
        return said["result"]

    def show(self, page: Path, *, width: int, scheme: Scheme) -> None:
        """Show a page on a screen of this width, and wait until it is loaded."""
        how = {"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": width < 600}
        self("Emulation.setDeviceMetricsOverride", **how)
        self("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self("Page.navigate", url=page.as_uri())
        until = time.monotonic() + START
        while self.run("document.readyState + location.href") != f"complete{page.as_uri()}":
            assert time.monotonic() < until, "the page does not exist"
            time.sleep(0.05)

    def run(self, script: str) -> Any:
        """Run a script in the page, and return its result."""
        said = self("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def picture(self, file: Path) -> None:
        """Take a picture of the whole page."""
        width, height = self.run("[document.documentElement.clientWidth, document.body.scrollHeight]")
        part = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        file.write_bytes(base64.b64decode(self("Page.captureScreenshot", clip=part)["data"]))


@contextmanager
def browser() -> Iterator[Tab]:
    """Run a browser while the block runs. It is installed if it is missing."""
    packages.ensure(PACKAGES)
    with tempfile.TemporaryDirectory(prefix="dcmesh-browser-", ignore_cleanup_errors=True) as home:
        command = ("chromium", *FLAGS, f"--user-data-dir={home}", "about:blank")
        with (Path(home) / "log").open("wb") as log:
            running = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            socket = create_connection(_address(Path(home)), timeout=START, suppress_origin=True)
            yield Tab(socket)
            socket.close()
        finally:
            running.terminate()
            running.wait(START)


def _address(home: Path) -> str:
    """Return the address of the first tab's DevTools, once the browser has printed the port."""
    port = home / "DevToolsActivePort"
    until = time.monotonic() + START
    while not (port.exists() and port.read_text().strip()):
        assert time.monotonic() < until, (home / "log").read_text()
        time.sleep(0.1)
    with urllib.request.urlopen(f"http://127.0.0.1:{port.read_text().split()[0]}/json/list") as answer:
        tabs = json.load(answer)
    return next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
