"""Replication channels: what a database says of the one through which it follows another."""

import re
import time
from dataclasses import asdict, dataclass
from typing import Any

from kubernetes import client
from kubernetes.stream import stream
from urllib3.exceptions import HTTPError
from websocket import WebSocketException

from components.kubernetes_api import connect

SECONDS = 10
"""How long a database may take for an answer."""


@dataclass(frozen=True, kw_only=True)
class Replica:
    """Where a channel can be asked for.

    Attributes:
        namespace: the replica's namespace.
        pod: name of the pod.
        container: its container that has the client.
        command: prints `SHOW REPLICA STATUS` as lines of `Key: value`.
    """

    namespace: str
    pod: str
    container: str
    command: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Channel:
    """What is known of a replication channel.

    Attributes:
        source: the host that is followed; empty if there is no channel.
        running: whether the source is connected, and rows are taken over and applied.
        seconds_behind: how old what is being applied is; None while not running.
        last_error: the last error, empty if there is none.
        position: the GTIDs up to which rows have been applied.
    """

    source: str
    running: bool
    seconds_behind: int | None
    last_error: str
    position: str = ""

    def as_output(self) -> dict[str, Any]:
        """Return the channel as a stack output, in the camel case of Kubernetes."""
        return {re.sub("_(.)", lambda part: part[1].upper(), key): value for key, value in asdict(self).items()}


def parse_status(text: str) -> Channel:
    """Return what the lines of a `SHOW REPLICA STATUS` say, MariaDB's or MySQL's."""
    lines = re.findall(r"^ *(\w+): ?(.*)$", text, re.MULTILINE)
    status = {key.replace("Master", "Source").replace("Slave", "Replica"): value.strip() for key, value in lines}
    if "Source_Host" not in status:  # nothing, or why the server could not be asked
        reason = " ".join(text.split()) or "there is no channel"
        return Channel(source="", running=False, seconds_behind=None, last_error=reason)
    behind = status.get("Seconds_Behind_Source", "")
    errors = [status.get(key, "") for key in ("Last_IO_Error", "Last_SQL_Error")]
    return Channel(
        source=status["Source_Host"],
        # Both threads say Yes before the first connection too; how far behind is known only after it.
        running=behind.isdigit() and all(status.get(f"Replica_{thread}_Running") == "Yes" for thread in ("IO", "SQL")),
        seconds_behind=int(behind) if behind.isdigit() else None,
        last_error="; ".join(error for error in errors if error),
        position=status.get("Gtid_Replica_Pos") or status.get("Executed_Gtid_Set", ""),
    )


def run_in(api: client.ApiClient, replica: Replica) -> str:
    """Run a replica's command in its container and return what it prints.

    Raises:
        client.ApiException, WebSocketException, OSError: the pod cannot be reached.
    """
    printed: str = stream(
        client.CoreV1Api(api).connect_get_namespaced_pod_exec,
        replica.pod,
        replica.namespace,
        container=replica.container,
        command=list(replica.command),
        stdout=True,
        stderr=True,
        stdin=False,
        tty=False,
        _request_timeout=SECONDS,
    )
    return printed


def read_channel(kubeconfig: str, replica: Replica, patience: float = 0) -> Channel:
    """Ask a replica for its channel.

    Args:
        kubeconfig: contents of its cluster's kubeconfig.
        replica: where to ask.
        patience: seconds to wait for it to run; one that has just been set up connects first.

    Returns:
        The channel. One that cannot be asked for is not running, with the reason as its last error.
    """
    deadline = time.monotonic() + patience
    with connect(kubeconfig) as api:
        while True:
            try:
                channel = parse_status(run_in(api, replica))
            except (client.ApiException, HTTPError, WebSocketException, OSError) as error:
                reason = " ".join(str(error).split())
                channel = Channel(source="", running=False, seconds_behind=None, last_error=f"cannot ask: {reason}")
            if channel.running or time.monotonic() >= deadline:
                return channel
            time.sleep(0.5)
