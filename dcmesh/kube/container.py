"""A container of a pod: commands are run in it, and conversations held with a program that goes on."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from kubernetes import client
from kubernetes.stream import stream
from kubernetes.stream.ws_client import WSClient

from dcmesh.kube.api import SECONDS, ApiClient, run_in


class Conversation(Protocol):
    """A program that is written to, and answers."""

    def ask(self, text: str, end: str) -> str:
        """Write a text, and return what is printed before the line `end`.

        Raises:
            TimeoutError: that line does not come in time. What comes later belongs to this text: the conversation is
                of no use any more.
            ChildProcessError: the program has ended; the message is what it printed.
            OSError, WebSocketException: the connection has failed.
        """

    def close(self) -> None:
        """End it. The program's standard input ends."""


class Place(Protocol):
    """Where commands are run."""

    def run(self, command: Sequence[str]) -> str:
        """Run a command and return what it prints, as `kube.api.run_in` does."""

    def begin(self, command: Sequence[str]) -> Conversation:
        """Run a command that is to go on."""


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
        """Run a command that is to go on.

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
            stderr=False,
            stdin=True,
            tty=False,
            _preload_content=False,
        )
        return _Exec(running)


class _Exec:
    """A conversation over a websocket."""

    def __init__(self, running: WSClient) -> None:
        self._running = running

    def ask(self, text: str, end: str) -> str:
        deadline, printed = time.monotonic() + SECONDS, ""
        self._running.write_stdin(text)
        while not printed.endswith(f"{end}\n"):
            if not self._running.is_open():
                raise ChildProcessError(printed or "the connection has ended")
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no answer within {SECONDS} seconds")
            printed += self._running.read_stdout(timeout=left)
        return printed.removesuffix(f"{end}\n")

    def close(self) -> None:
        self._running.close()
