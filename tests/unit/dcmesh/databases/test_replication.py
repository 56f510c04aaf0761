"""Replication channels: what servers report of theirs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcmesh.databases.replication import ChannelStatus, ServerStatus, parse_server
from dcmesh.kube.api import why

HOST = "db-0.db.wookie.svc.cluster.local"


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
    assert parse_server(text).channel == running


@pytest.mark.parametrize(
    "text", [mariadb(Seconds_Behind_Master="42"), mysql(Seconds_Behind_Source="42")], ids=["MariaDB", "MySQL"]
)
def test_a_channel_that_is_late_runs(text: str) -> None:
    channel = parse_server(text).channel
    assert (channel.running, channel.seconds_behind) == (True, 42)


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
    channel = parse_server(text).channel
    assert (channel.source, channel.running, channel.seconds_behind, channel.last_error) == (HOST, False, None, error)
    assert channel.position


@pytest.mark.parametrize("thread", ["IO", "SQL"])
def test_both_threads_must_run(thread: str) -> None:
    assert not parse_server(mariadb(**{f"Slave_{thread}_Running": "No"})).channel.running
    assert not parse_server(mysql(**{f"Replica_{thread}_Running": "No"})).channel.running


@pytest.mark.parametrize("text", ["", "\n", "*** 1. row ***\nGtid_Position: 0-1-7\n    Read_Only: 0\n"])
def test_a_server_without_channel(text: str) -> None:
    wanted = ChannelStatus(source="", running=False, seconds_behind=None, last_error="there is no channel")
    assert parse_server(text).channel == wanted


@pytest.mark.parametrize(
    ("written", "read_only"), [*dict.fromkeys(("1", "ON", "NO_LOCK"), True).items(), ("0", False), ("OFF", False)]
)
def test_a_server_says_what_it_is_beside_its_channel(written: str, read_only: bool) -> None:
    server = parse_server(f"{mariadb()}*** 1. row ***\nGtid_Position: 0-1-7,1-1-2\n    Read_Only: {written}\n")
    assert server == ServerStatus(channel=parse_server(mariadb()).channel, position="0-1-7,1-1-2", read_only=read_only)


@pytest.mark.parametrize(("written", "extra"), [("0-1-8 to 0-1-9", "0-1-8 to 0-1-9"), ("", ""), ("NULL", "")])
def test_a_server_says_what_its_source_has_not(written: str, extra: str) -> None:
    assert parse_server(f"    Read_Only: 1\nExtra_Transactions: {written}\n").extra == extra


def test_a_server_that_does_not_say_whether_it_takes_writes_is_not_believed_to() -> None:
    assert parse_server(mariadb()).read_only is None


@pytest.mark.parametrize(("said", "used"), [("Volume_Used: 45\n", 45), ("Volume_Used: \n", None), ("", None)])
def test_a_server_says_how_full_its_volume_is(said: str, used: int | None) -> None:
    assert parse_server(mariadb() + said).volume_used == used


def test_a_server_says_its_version_and_that_of_its_source() -> None:
    said = parse_server(f"{mariadb()}Server_Version: 10.11\nSource_Version: 11.8\n")
    assert (said.version, said.source_version) == ("10.11", "11.8")
    said = parse_server(f"{mariadb()}Server_Version: 10.11\nSource_Version: \n")
    assert (said.version, said.source_version) == ("10.11", "")


@pytest.mark.parametrize("said", ["ours", "$(id)", "10.11.2"])
def test_a_version_of_other_words_is_none(said: str) -> None:
    """MariaDB's users may set it to what they like."""
    server = parse_server(f"{mariadb()}Server_Version: {said}\nSource_Version: {said}\n")
    assert (server.version, server.source_version) == ("", "")


@given(st.text())
def test_whatever_is_printed_nothing_runs_without_a_source(text: str) -> None:
    assert not parse_server(text).channel.running


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
    """The report may contain another site's texts, for example in an error."""
    with pytest.raises(ChildProcessError) as refused:
        parse_server(said)
    assert why(refused.value).startswith(("it says what cannot be: ", "it contradicts itself: "))
    assert why(refused.value).isprintable()
    assert len(why(refused.value)) < 600


def test_an_error_is_fit_for_a_terminal() -> None:
    channel = parse_server(mariadb(Slave_IO_Running="No", Last_IO_Error="no\x1b]0;x\x07 \x9b2J" + "x" * 9999)).channel
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
    """MySQL does so as soon as two servers have written, as after a switchover."""
    sets = f"{UUID}:1-5:7,\n{UUID.replace('3', '4')}:1-9"
    channel = parse_server(mysql(Retrieved_Gtid_Set=sets, Executed_Gtid_Set=sets)).channel
    assert channel.running
    assert channel.position == sets.replace("\n", "")
