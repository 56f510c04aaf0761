"""Commands in containers, with a client whose connection is a fake."""

from collections.abc import Callable
from typing import Any

import pytest
from kubernetes import client

from dcmesh.kube import api as kubernetes_api
from dcmesh.kube.api import run_in, why

WHERE = {"namespace": "wookie-dr", "pod": "db-0", "container": "mariadb", "command": ("ask", "it")}
SUCCESS = "{'metadata': {}, 'status': 'Success'}"
FAILED = "{'metadata': {}, 'status': 'Failure', 'message': 'command terminated with exit code 1'}"


class Connection:
    """The object that kubernetes.stream returns for a running command."""

    def __init__(self, printed: str, complaint: str, end: str, *, ends: bool = True) -> None:
        self.printed, self.complaint, self.end, self.ends = printed, complaint, end, ends
        self.closed = False

    def run_forever(self, timeout: float) -> None:
        assert timeout == kubernetes_api.SECONDS

    def is_open(self) -> bool:
        return not self.ends

    def read_stdout(self, _: float) -> str:
        return self.printed

    def read_stderr(self, _: float) -> str:
        return self.complaint

    def read_channel(self, channel: int) -> str:
        assert channel == 3
        return self.end

    def close(self) -> None:
        self.closed = True


Play = Callable[[Connection], dict[str, Any]]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    """Fake a connection, and return what it was asked for."""

    def play(connection: Connection) -> dict[str, Any]:
        asked: dict[str, Any] = {}

        def stream(method: Any, pod: str, namespace: str, **options: Any) -> Connection:
            asked.update(options, method=method.__name__, pod=pod, namespace=namespace)
            return connection

        monkeypatch.setattr(kubernetes_api, "stream", stream)
        return asked

    return play


def test_a_command_runs_in_its_container(play: Play) -> None:
    connection = Connection("answer\n", "a warning", SUCCESS)
    asked = play(connection)
    assert run_in(client.ApiClient(), **WHERE) == "answer\n"  # type: ignore[arg-type]
    assert connection.closed
    wanted = {**WHERE, "command": ["ask", "it"], "method": "connect_get_namespaced_pod_exec", "tty": False}
    assert {key: asked[key] for key in wanted} == wanted


@pytest.mark.parametrize(
    ("connection", "error", "message"),
    [
        (Connection("", "ERROR 2002: no socket", FAILED), ChildProcessError, "ERROR 2002: no socket"),
        (Connection("no such table", "", FAILED), ChildProcessError, "no such table"),
        (Connection("", "", FAILED), ChildProcessError, "exit code 1"),
        (Connection("half an ans", "", ""), ChildProcessError, "half an ans"),
        (Connection("", "", ""), ChildProcessError, "the connection broke"),
        (Connection("half", "", SUCCESS, ends=False), TimeoutError, "no answer within 10 seconds"),
    ],
)
def test_a_command_that_fails_says_why(
    play: Play, connection: Connection, error: type[Exception], message: str
) -> None:
    play(connection)
    with pytest.raises(error, match=message):
        run_in(client.ApiClient(), **WHERE)  # type: ignore[arg-type]
    assert connection.closed


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (client.ApiException(status=403, reason="Forbidden"), "403 Forbidden"),
        (client.ApiException(status=0, reason="Handshake\n failed"), "Handshake failed"),
        (
            client.ApiException(
                status=0, reason="Handshake status 403 Forbidden -+-+- {'audit-id': 'a'} -+-+- b'{\n}'"
            ),
            "403 Forbidden",
        ),
        (OSError(111, "Connection refused"), "[Errno 111] Connection refused"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_reasons_are_one_line(error: Exception, reason: str) -> None:
    assert why(error) == reason
