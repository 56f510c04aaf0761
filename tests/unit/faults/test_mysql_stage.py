"""What is read out of MySQL's answer about its channel, which has its columns between tabs."""

import subprocess
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.faults.mysql_faults import followed
from tests.faults.mysql_stage import MySQLObserver
from tests.faults.stage import GoneError, Session

NAMES = "Replica_IO_State\tSource_Host\tSource_User\tReplica_IO_Running\tReplica_SQL_Running\tLast_IO_Error"
HOST = "db-pxc-0.db-pxc.wookie.svc.cluster.local"
RUNS = f"Waiting for source to send event\t{HOST}\treplication\tYes\tYes\t"
STOPPED = f"\t{HOST}\treplication\tNo\tYes\terror connecting to source 'replication@{HOST}:3306'"
"""As between two sources: the state of a thread that is stopped is empty, and so the line begins with a tab."""


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
        pytest.param([NAMES, RUNS], True, id="it runs"),
        pytest.param([NAMES, STOPPED], False, id="its receiver is stopped"),
        pytest.param([], False, id="another node has it"),
    ],
)
def test_a_channel_is_connected_only_while_it_receives(shown: list[str], *, connected: bool) -> None:
    observer, session = MySQLObserver(cast(Any, None)), Answer("highest", "7", *shown)
    with pytest.raises(GoneError):
        observer.follow(session)
    session.close()
    assert [(sample.highest, sample.connected) for sample in observer.samples] == [(7, connected)]


@pytest.mark.parametrize(("shown", "source"), [(RUNS, "db-pxc-0"), (STOPPED, "db-pxc-0"), ("", "")])
def test_the_source_that_is_followed(shown: str, source: str) -> None:
    """kubectl's output comes without spaces and tabs at its ends."""
    stage = SimpleNamespace(replica=SimpleNamespace(sql=lambda *_: shown.strip()))
    assert followed(cast(Any, stage)) == source
