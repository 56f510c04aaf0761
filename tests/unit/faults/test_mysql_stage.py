"""What is read out of MySQL's answer about its channel."""

import subprocess
from typing import Any, cast

import pytest

from tests.faults.mysql_stage import MySQLObserver
from tests.faults.stage import GoneError, Session


class Answer(Session):
    """A client that answers once."""

    def __init__(self, *lines: str) -> None:
        self.process = subprocess.Popen(
            ["sh", "-c", 'read -r asked; printf "%s\\n" "$@"', "sh", *lines, "end", "end"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )


@pytest.mark.parametrize(
    ("shown", "connected"),
    [
        pytest.param(["receives", "ON"], True, id="it runs"),
        pytest.param(["receives", "CONNECTING"], False, id="it tries a source"),
        pytest.param(["receives", "OFF"], False, id="its receiver is stopped"),
        pytest.param([], False, id="another node has it"),
    ],
)
def test_a_channel_is_connected_only_while_it_receives(shown: list[str], *, connected: bool) -> None:
    observer, session = MySQLObserver(cast(Any, None)), Answer("highest", "7", *shown)
    with pytest.raises(GoneError):
        observer.follow(session)
    session.close()
    assert [(sample.highest, sample.connected) for sample in observer.samples] == [(7, connected)]
