"""Replication channels: what servers say of theirs, and how long one is waited for."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes import client
from urllib3.exceptions import MaxRetryError, ReadTimeoutError
from websocket import WebSocketTimeoutException

from dcmesh.databases import replication
from dcmesh.databases.replication import ChannelStatus, Replica, ServerStatus, parse_server, parse_status, read_server
from dcmesh.kube.api import why
from tests.unit.servers import kubeconfig

HOST = "db-0.db.wookie.svc.cluster.local"
REPLICA = Replica(namespace="wookie-dr", pod="db-0", container="mariadb", command=("ask",))


def mariadb(**changes: str) -> str:
    """Return what MariaDB 10.11 prints for `SHOW ALL SLAVES STATUS\\G`, with changes."""
    status = {
        "Connection_name": "",
        "Slave_SQL_State": "Slave has read all relay log; waiting for more updates",
        "Slave_IO_State": "Waiting for master to send event",
        "Master_Host": HOST,
        "Master_User": "replication",
        "Master_Port": "3306",
        "Connect_Retry": "1",
        "Master_Log_File": "binlog.000002",
        "Relay_Master_Log_File": "binlog.000002",
        "Slave_IO_Running": "Yes",
        "Slave_SQL_Running": "Yes",
        "Last_Errno": "0",
        "Last_Error": "",
        "Seconds_Behind_Master": "0",
        "Master_SSL_Verify_Server_Cert": "No",
        "Last_IO_Errno": "0",
        "Last_IO_Error": "",
        "Last_SQL_Errno": "0",
        "Last_SQL_Error": "",
        "Master_Server_Id": "1",
        "Using_Gtid": "Slave_Pos",
        "Gtid_IO_Pos": "0-1-8",
        "SQL_Delay": "0",
        "Slave_SQL_Running_State": "Slave has read all relay log; waiting for more updates",
        "Slave_heartbeat_period": "2.000",
        "Gtid_Slave_Pos": "0-1-7",
    }
    return as_rows(status | changes)


def mysql(**changes: str) -> str:
    """Return what MySQL 8 prints for `SHOW REPLICA STATUS\\G`, with changes."""
    status = {
        "Replica_IO_State": "Waiting for source to send event",
        "Source_Host": HOST,
        "Source_User": "replication",
        "Source_Port": "3306",
        "Source_Log_File": "binlog.000002",
        "Replica_IO_Running": "Yes",
        "Replica_SQL_Running": "Yes",
        "Last_Error": "",
        "Seconds_Behind_Source": "0",
        "Last_IO_Error": "",
        "Last_SQL_Error": "",
        "Source_UUID": "3e11fa47-71ca-11e1-9e33-c80aa9429562",
        "Source_Info_File": "mysql.slave_master_info",
        "Replica_SQL_Running_State": "Replica has read all relay log; waiting for more updates",
        "Retrieved_Gtid_Set": "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-8",
        "Executed_Gtid_Set": "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-7",
    }
    return as_rows(status | changes)


def as_rows(status: dict[str, str]) -> str:
    title = "*************************** 1. row ***************************\n"
    return title + "".join(f"{key:>30}: {value}\n" for key, value in status.items())


# --- what a server says ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "position"),
    [(mariadb(), "0-1-7"), (mysql(), "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-7")],
    ids=["MariaDB", "MySQL"],
)
def test_a_channel_that_runs(text: str, position: str) -> None:
    running = ChannelStatus(source=HOST, running=True, seconds_behind=0, last_error="", position=position)
    assert parse_status(text) == running


@pytest.mark.parametrize(
    "text", [mariadb(Seconds_Behind_Master="42"), mysql(Seconds_Behind_Source="42")], ids=["MariaDB", "MySQL"]
)
def test_a_channel_that_is_late_runs(text: str) -> None:
    assert (parse_status(text).running, parse_status(text).seconds_behind) == (True, 42)


BROKEN = "error connecting to master 'replication@db-0:3306' - retry-time: 1  maximum-retries: 100000"
DUPLICATE = "Error 'Duplicate entry '1' for key 'PRIMARY'' on query. Default database: 'shop'"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (mariadb(Slave_IO_Running="Connecting", Seconds_Behind_Master="NULL"), ""),
        (mariadb(Slave_IO_Running="Preparing", Seconds_Behind_Master="NULL"), ""),
        (mariadb(Seconds_Behind_Master="NULL"), ""),
        (mariadb(Slave_IO_Running="Connecting", Seconds_Behind_Master="NULL", Last_IO_Error=BROKEN), BROKEN),
        (mariadb(Slave_SQL_Running="No", Seconds_Behind_Master="NULL", Last_SQL_Error=DUPLICATE), DUPLICATE),
        (mariadb(Slave_IO_Running="No", Slave_SQL_Running="No", Seconds_Behind_Master="NULL"), ""),
        (mysql(Replica_IO_Running="Connecting", Seconds_Behind_Source="NULL", Last_IO_Error=BROKEN), BROKEN),
        (mysql(Replica_SQL_Running="No", Seconds_Behind_Source="NULL", Last_SQL_Error=DUPLICATE), DUPLICATE),
        (
            mysql(Seconds_Behind_Source="NULL", Last_IO_Error=BROKEN, Last_SQL_Error=DUPLICATE),
            f"{BROKEN}; {DUPLICATE}",
        ),
    ],
    ids=[
        "connecting",
        "preparing",
        "not yet connected",
        "IO error",
        "SQL error",
        "stopped",
        "MySQL, IO error",
        "MySQL, SQL error",
        "MySQL, both errors",
    ],
)
def test_a_channel_that_does_not_run_says_why(text: str, error: str) -> None:
    channel = parse_status(text)
    assert (channel.source, channel.running, channel.seconds_behind, channel.last_error) == (HOST, False, None, error)
    assert channel.position


@pytest.mark.parametrize("thread", ["IO", "SQL"])
def test_both_threads_must_run(thread: str) -> None:
    assert not parse_status(mariadb(**{f"Slave_{thread}_Running": "No"})).running
    assert not parse_status(mysql(**{f"Replica_{thread}_Running": "No"})).running


@pytest.mark.parametrize("text", ["", "\n", "*** 1. row ***\nGtid_Position: 0-1-7\n    Read_Only: 0\n"])
def test_a_server_without_channel(text: str) -> None:
    wanted = ChannelStatus(source="", running=False, seconds_behind=None, last_error="there is no channel")
    assert parse_status(text) == wanted


@pytest.mark.parametrize(
    ("written", "read_only"), [*dict.fromkeys(("1", "ON", "NO_LOCK"), True).items(), ("0", False), ("OFF", False)]
)
def test_a_server_says_what_it_is_beside_its_channel(written: str, read_only: bool) -> None:
    server = parse_server(f"{mariadb()}*** 1. row ***\nGtid_Position: 0-1-7,1-1-2\n    Read_Only: {written}\n")
    assert server == ServerStatus(channel=parse_status(mariadb()), position="0-1-7,1-1-2", read_only=read_only)


@pytest.mark.parametrize(("written", "extra"), [("0-1-8 to 0-1-9", "0-1-8 to 0-1-9"), ("", ""), ("NULL", "")])
def test_a_server_says_what_its_source_has_not(written: str, extra: str) -> None:
    assert parse_server(f"    Read_Only: 1\nExtra_Transactions: {written}\n").extra == extra


def test_a_server_that_does_not_say_whether_it_takes_writes_is_not_believed_to() -> None:
    assert parse_server(mariadb()).read_only is None


@pytest.mark.parametrize(("said", "used"), [("Volume_Used: 45\n", 45), ("Volume_Used: \n", None), ("", None)])
def test_a_server_says_how_full_its_volume_is(said: str, used: int | None) -> None:
    assert parse_server(mariadb() + said).volume_used == used


@given(st.text())
def test_whatever_is_printed_nothing_runs_without_a_source(text: str) -> None:
    assert not parse_status(text).running


# --- asking ----------------------------------------------------------------------------------------------------------


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.passed = 0.0

    def monotonic(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        self.passed += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(replication, "time", clock)
    return clock


Ask = Callable[..., ChannelStatus]


@pytest.fixture
def ask(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Read the channel of a replica that answers in turn, the last answer for ever."""

    def read(*answers: str | Exception, patience: float = 0) -> ChannelStatus:
        left = list(answers)

        def run_in(api: client.ApiClient, **where: Any) -> str:
            assert api.configuration.host == "http://dc2.example.com"
            assert Replica(**where) == REPLICA
            answer = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(replication, "run_in", run_in)
        return read_server(kubeconfig({"dc2": "http://dc2.example.com"}), REPLICA, patience).channel

    return read


CONNECTING = mariadb(Slave_IO_Running="Connecting", Seconds_Behind_Master="NULL", Last_IO_Error=BROKEN)
GONE = client.ApiException(status=0, reason="Handshake status 404 Not Found")


def test_a_channel_that_runs_is_not_waited_for(ask: Ask, clock: Clock) -> None:
    assert ask(mariadb(), patience=30).running
    assert clock.passed == 0


def test_a_channel_that_connects_is_waited_for(ask: Ask, clock: Clock) -> None:
    assert ask("", GONE, CONNECTING, mariadb(), patience=30).running
    assert 0 < clock.passed < 10


@pytest.mark.parametrize("patience", [0, 30])
def test_patience_ends(ask: Ask, clock: Clock, patience: float) -> None:
    channel = ask(CONNECTING, patience=patience)
    assert (channel.running, channel.last_error) == (False, BROKEN)
    assert patience <= clock.passed <= patience + 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (GONE, "cannot ask: Handshake status 404 Not Found"),
        (client.ApiException(status=403, reason="Forbidden"), "cannot ask: 403 Forbidden"),
        (WebSocketTimeoutException("timed\nout"), "timed out"),
        (ChildProcessError("ERROR 2002 (HY000): Can't connect\n to local server"), "Can't connect to local server"),
        (ConnectionRefusedError(111, "Connection refused"), "[Errno 111] Connection refused"),
        (ReadTimeoutError(None, "/", "Read timed out."), "Read timed out."),  # type: ignore[arg-type]
        (MaxRetryError(None, "/", ConnectionError("no route")), "no route"),  # type: ignore[arg-type]
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_replica_that_cannot_be_asked_is_not_running_and_stops_nothing(
    ask: Ask, error: Exception, reason: str
) -> None:
    channel = ask(error)
    assert (channel.source, channel.running, channel.seconds_behind) == ("", False, None)
    assert channel.last_error.startswith("cannot ask: ")
    assert reason in channel.last_error
    assert "\n" not in channel.last_error


UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"


@pytest.mark.parametrize(
    "said",
    [
        mysql(Last_IO_Error="no\nReplica_IO_Running: No"),
        mariadb(Slave_IO_Running="No", Last_IO_Error="no\n Slave_IO_Running: Yes"),
        mariadb(Master_Host="x\x1b[2J"),
        mariadb(Gtid_Slave_Pos="0-1-7'); DROP"),
        mariadb(Gtid_Slave_Pos="x[$(touch ran)]"),
        mysql(Executed_Gtid_Set="%n"),
        as_rows({"Gtid_Position": "0-1-7 "}) + as_rows({"Gtid_Position": "0-1-8"}),
        as_rows({"Gtid_Position": "9" * 3_000_000}),
        as_rows({"Extra_Transactions": "0-1-7; \x1b"}),
    ],
    ids=range(9),
)
def test_what_cannot_be_is_refused(said: str) -> None:
    """Another site's words may stand in it, in an error for example."""
    with pytest.raises(ChildProcessError) as refused:
        parse_server(said)
    assert why(refused.value).startswith(("it says what cannot be: ", "it contradicts itself: "))
    assert why(refused.value).isprintable()
    assert len(why(refused.value)) < 600


def test_an_error_is_fit_for_a_terminal() -> None:
    channel = parse_status(mariadb(Slave_IO_Running="No", Last_IO_Error="no\x1b]0;x\x07 \x9b2J" + "x" * 9999))
    assert channel.last_error.startswith("no\\x1b]0;x\\x07 \\x9b2Jxxx")
    assert channel.last_error.isprintable()
    assert len(channel.last_error) < 2100


@pytest.mark.parametrize("value", ["9" * 5000, "²", "-1", "x"])
def test_a_number_that_is_none_is_unknown(value: str) -> None:
    server = parse_server(mariadb(Seconds_Behind_Master=value) + f"Volume_Used: {value}\n")
    assert (server.channel.seconds_behind, server.channel.running, server.volume_used) == (None, False, None)


@pytest.mark.parametrize(
    "position", ["", "0-1-7,1-2-18446744073709551615", f"{UUID}:1-7:9,{UUID}:x:1-3", f"{UUID}:1, {UUID}:4-5"]
)
def test_gtids_of_both_kinds_are_taken(position: str) -> None:
    assert parse_server(f"Gtid_Position: {position}\n").position == position


def test_gtids_that_mysql_prints_on_several_lines_are_taken() -> None:
    """It does so as soon as two servers have written: two clusters have after a switchover."""
    sets = f"{UUID}:1-5:7,\n{UUID.replace('3', '4')}:1-9"
    channel = parse_status(mysql(Retrieved_Gtid_Set=sets, Executed_Gtid_Set=sets))
    assert channel.running
    assert channel.position == sets.replace("\n", "")
