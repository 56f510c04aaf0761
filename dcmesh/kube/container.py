"""A container of a pod: for commands, and for conversations with a program that keeps running."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from kubernetes import client
from kubernetes.stream import stream
from kubernetes.stream.ws_client import STDERR_CHANNEL, STDIN_CHANNEL, STDOUT_CHANNEL
from websocket import ABNF, WebSocket, WebSocketTimeoutException

from dcmesh.kube.api import SECONDS, ApiClient, run_in


class Conversation(Protocol):
    """A program that takes texts and answers them."""

    def ask(self, text: str, end: str) -> str:
        """Write a text, and return what is printed before the line `end`.

        Raises:
            TimeoutError: that line does not come in time. The conversation cannot be used any more, because a late
                answer would be taken for the next text's.
            ChildProcessError: the program has ended; the message is what it printed. containerd ends a program that
                closes its standard error.
            OSError, WebSocketException: the connection has failed.
        """

    def close(self) -> None:
        """End it. The program's standard input ends."""


class Place(Protocol):
    """Where commands are run."""

    def run(self, command: Sequence[str]) -> str:
        """Run a command and return what it prints, as `kube.api.run_in` does."""

    def begin(self, command: Sequence[str]) -> Conversation:
        """Run a command that keeps running."""


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container.

    Attributes:
        api: its cluster. Each thread needs its own.
        namespace: the pod's namespace.
        pod: the pod.
        name: the container's name.
    """

    api: ApiClient
    namespace: str
    pod: str
    name: str

    def run(self, command: Sequence[str]) -> str:
        """Run a command and return what it prints: `kube.api.run_in`."""
        return run_in(self.api, namespace=self.namespace, pod=self.pod, container=self.name, command=command)

    def begin(self, command: Sequence[str]) -> Conversation:
        """Run a command that keeps running.

        Raises:
            ApiException, WebSocketException, OSError: the container cannot be reached.
        """
        running = stream(
            client.CoreV1Api(self.api).connect_get_namespaced_pod_exec,
            self.pod,
            self.namespace,
            container=self.name,
            command=list(command),
            stdout=True,
            stderr=True,
            stdin=True,
            tty=False,
            _preload_content=False,
        )
        return _Exec(running.sock)


class _Exec:
    """A conversation over a websocket: each message begins with the number of its channel.

    The client's own way of reading may wait for the network although TLS already has more data.
    """

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    def ask(self, text: str, end: str) -> str:
        deadline, last = time.monotonic() + SECONDS, f"{end}\n".encode()
        said = {STDOUT_CHANNEL: b"", STDERR_CHANNEL: b""}
        self._socket.settimeout(SECONDS)
        self._socket.send_binary(bytes([STDIN_CHANNEL]) + text.encode())
        while not said[STDOUT_CHANNEL].endswith(last):
            message = self._receive(deadline)
            if message is None:
                ended = said[STDERR_CHANNEL] or said[STDOUT_CHANNEL] or b"the connection has ended"
                raise ChildProcessError(ended.decode(errors="replace"))
            if message and message[0] in said:
                said[message[0]] += message[1:]
        return said[STDOUT_CHANNEL].removesuffix(last).decode(errors="replace")

    def _receive(self, deadline: float) -> bytes | None:
        """Return the next message; None when there is none any more."""
        left = deadline - time.monotonic()
        try:
            self._socket.settimeout(max(left, 0.001))
            kind, frame = self._socket.recv_data_frame(control_frame=True)
        except WebSocketTimeoutException:
            raise TimeoutError(f"no answer within {SECONDS} seconds") from None
        if kind == ABNF.OPCODE_CLOSE:
            return None
        return bytes(frame.data) if kind in (ABNF.OPCODE_BINARY, ABNF.OPCODE_TEXT) else b""

    def close(self) -> None:
        self._socket.close(timeout=0)  # without it, it would wait until the other end closes too
