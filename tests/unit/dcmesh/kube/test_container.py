"""A container: a conversation with a program in it, over a websocket that only seems to be there."""

from typing import Any

import pytest

from dcmesh.kube import container
from dcmesh.kube.container import Container


class Websocket:
    """Prints its parts one after the other; then it is closed, or says nothing more."""

    def __init__(self, *parts: str, closes: bool = False) -> None:
        self.parts, self.closes, self.written, self.open = [*parts], closes, list[str](), True

    def write_stdin(self, text: str) -> None:
        self.written.append(text)

    def is_open(self) -> bool:
        return self.open and not (self.closes and not self.parts)

    def read_stdout(self, timeout: float) -> str:
        assert timeout > 0
        return self.parts.pop(0) if self.parts else ""

    def close(self) -> None:
        self.open = False


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a command was begun with. `websocket` is what it prints to."""
    known: dict[str, Any] = {}

    def stream(_: Any, *place: str, **options: Any) -> Any:
        known.update(options, place=place)
        return known["websocket"]

    monkeypatch.setattr(container, "stream", stream)
    return known


def talk(begun: dict[str, Any], *parts: str, closes: bool = False) -> Any:
    begun["websocket"] = Websocket(*parts, closes=closes)
    place = Container(api=None, namespace="wookie", pod="db-0", name="mariadb")  # type: ignore[arg-type]
    return place.begin(("cat", "-"))


def test_what_is_printed_before_the_end_is_the_answer(begun: dict[str, Any]) -> None:
    conversation = talk(begun, "on", "e\ntwo\nen", "d\n", "three\nend\n")
    assert conversation.ask("first\n", "end") == "one\ntwo\n"
    assert conversation.ask("second\n", "end") == "three\n"
    assert begun["websocket"].written == ["first\n", "second\n"]
    assert (begun["place"], begun["container"], begun["command"]) == (("db-0", "wookie"), "mariadb", ["cat", "-"])
    assert begun["stdin"], "which is how a program learns that nobody asks any more"
    conversation.close()
    assert not begun["websocket"].open


def test_a_program_that_has_ended_gives_no_answer(begun: dict[str, Any]) -> None:
    with pytest.raises(ChildProcessError, match=r"^ERROR 1205$"):
        talk(begun, "ERROR 1205", closes=True).ask("first\n", "end")
    with pytest.raises(ChildProcessError, match="ended"):
        talk(begun, closes=True).ask("first\n", "end")


def test_a_program_that_is_silent_is_not_waited_for(begun: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "SECONDS", 0.02)
    with pytest.raises(TimeoutError, match=r"no answer within 0\.02 seconds"):
        talk(begun, "one\n").ask("first\n", "end")
