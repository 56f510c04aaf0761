"""A container: a conversation with a program in it, over a fake websocket."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from websocket import ABNF, WebSocketTimeoutException

from dcmesh.kube import container
from dcmesh.kube.container import Container

Message = tuple[int, bytes]
"""The number of the channel, and the text in it."""


class Websocket:
    """Sends its messages one after the other. Then it is closed, or sends nothing more."""

    def __init__(self, *messages: Message, closes: bool = False) -> None:
        self._frames = self._said(messages, closes)
        self.written, self.open = list[bytes](), True

    def _said(self, messages: tuple[Message, ...], closes: bool) -> Iterator[tuple[int, Any]]:
        for number, data in messages:
            yield ABNF.OPCODE_PING, SimpleNamespace(data=b"\x01no message")
            yield ABNF.OPCODE_BINARY, SimpleNamespace(data=bytes([number]) + data)
        if closes:
            yield ABNF.OPCODE_CLOSE, SimpleNamespace(data=b"")

    def send_binary(self, data: bytes) -> None:
        self.written.append(data)

    def settimeout(self, seconds: float) -> None:
        assert seconds > 0

    def recv_data_frame(self, control_frame: bool) -> tuple[int, Any]:
        assert control_frame
        for frame in self._frames:
            return frame
        raise WebSocketTimeoutException("timed out")

    def close(self, timeout: float) -> None:
        self.open = False


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The arguments with which a command was started. `websocket` has its output."""
    known: dict[str, Any] = {}

    def stream(_: Any, *place: str, **options: Any) -> Any:
        known.update(options, place=place)
        return SimpleNamespace(sock=known["websocket"])

    monkeypatch.setattr(container, "stream", stream)
    return known


def talk(begun: dict[str, Any], *messages: Message, closes: bool = False) -> Any:
    begun["websocket"] = Websocket(*messages, closes=closes)
    place = Container(api=None, namespace="wookie", pod="db-0", name="mariadb")  # type: ignore[arg-type]
    return place.begin(("cat", "-"))


def test_what_is_printed_before_the_end_is_the_answer(begun: dict[str, Any]) -> None:
    said = ((1, b"on"), (2, b"aside\n"), (1, b"e\n\xc3"), (1, b"\xa9\nen"), (1, b"d\n"), (1, b"three\nend\n"))
    conversation = talk(begun, *said)
    assert conversation.ask("first\n", "end") == "one\né\n"
    assert conversation.ask("second\n", "end") == "three\n"
    assert begun["websocket"].written == [b"\0first\n", b"\0second\n"]
    assert (begun["place"], begun["container"], begun["command"]) == (("db-0", "wookie"), "mariadb", ["cat", "-"])
    assert begun["stdin"], "this tells a program that nobody asks any more"
    conversation.close()
    assert not begun["websocket"].open


def test_a_program_that_has_ended_gives_no_answer(begun: dict[str, Any]) -> None:
    """The error has its last output, if there is any. Kubernetes' message about its end is not part of that."""
    for messages, said in (
        (((1, b"on"), (2, b"ERROR 1205"), (3, b"{}")), "ERROR 1205"),
        (((1, b"on"), (3, b"{}")), "on"),
        ((), "the connection has ended"),
    ):
        with pytest.raises(ChildProcessError, match=f"^{said}$"):
            talk(begun, *messages, closes=True).ask("first\n", "end")
    assert begun["stderr"], "containerd ends the standard input of a program that has no standard error"


def test_a_program_that_is_silent_is_not_waited_for(begun: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "SECONDS", 0.02)
    with pytest.raises(TimeoutError, match=r"no answer within 0\.02 seconds"):
        talk(begun, (1, b"one\n")).ask("first\n", "end")
