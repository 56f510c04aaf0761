"""MariaDB's side of a switchover: questions and statements for its servers, and what counts as an answer."""

import re
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dcmesh.databases import mariadb_server
from dcmesh.databases.mariadb_server import (
    CLIENTS,
    CLOSED,
    OVER_THE_LINK,
    SESSION,
    MariadbPeer,
    MariadbServer,
    number_of,
    sides_of,
)
from dcmesh.databases.switchover import Channel, End, NoAnswer, NotSilent, Own, Token
from dcmesh.kube.container import Container
from tests.unit.conftest import ROOT
from tests.unit.scripts import Programs

# ruff: noqa: S608 - SQL is the test's own

SEEN = Token(site="dc1", term=4)
SLAVE = {
    "Slave_IO_Running": "Yes",
    "Slave_SQL_Running": "Yes",
    "Last_IO_Errno": "0",
    "Last_IO_Error": "",
    "Last_SQL_Errno": "0",
    "Gtid_IO_Pos": "0-1-70",
}
ROW = {
    "watched": "1",
    "site": "dc1",
    "term": "4",
    "closed": "0",
    "extra": "",
    "scheduler": "0",
    "running": "0",
    "idle_events": "0",
}


def table(*rows: dict[str, str]) -> str:
    return "".join(f"{chr(9).join(line)}\n" for line in ([*rows[0]], *(row.values() for row in rows))) if rows else ""


class Pod:
    """A container with a server. It answers each question with the first entry of `answers` whose key is part of it."""

    def __init__(self) -> None:
        self.answers: dict[str, str | Exception] = {
            "SELECT IFNULL": table(ROW),
            "gtid_binlog_pos": table({"position": "0-1-70", "state": "0-2-60,0-1-70"}),
            "SHOW SLAVE STATUS": "",
            "gtid_slave_pos": table({"applied": "0-2-60"}),
            "@go AS go": table({"go": "1"}),
            "AS altered": table({"name": "73.41", "altered": "414C"}, {"name": "73.42", "altered": "4242"}),
            "SELECT name": table({"name": "tick"}),
            "processlist": "",
        }
        self.begun = list[Sequence[str]]()
        self.asked = list[str]()
        self.run_in = list[Sequence[str]]()
        self.closed = 0
        self.over_the_link: str | Exception = ""

    def begin(self, command: Sequence[str]) -> "Pod":
        self.begun.append(command)
        return self

    def ask(self, text: str, end: str) -> str:
        marked = f"SELECT '{end.partition(chr(10))[0]}' AS `{end.partition(chr(10))[0]}`;\n"
        assert text.endswith(marked), "otherwise nobody knows where the answer ends"
        text = text.removesuffix(marked)
        self.asked.append(text)
        answer = next((answer for part, answer in self.answers.items() if part in text), "")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self.closed += 1

    def run(self, command: Sequence[str]) -> str:
        self.run_in.append(command)
        if isinstance(self.over_the_link, Exception):
            raise self.over_the_link
        return self.over_the_link

    @property
    def changes(self) -> list[str]:
        """The statements that changed the server, in order."""
        return [text for text in self.asked if "GET_LOCK" in text or "KILL" in text]


@pytest.fixture
def pod() -> Pod:
    return Pod()


@pytest.fixture
def server(pod: Pod) -> MariadbServer:
    return MariadbServer("dc1", "dc2", pod)


# --- its own server --------------------------------------------------------------------------------------------------


def test_what_a_server_says_of_itself(server: MariadbServer, pod: Pod) -> None:
    seen = server.look()
    assert (seen.token, seen.read_only, str(seen.rows), seen.applied) == (SEEN, False, "0-1-70", "0-2-60")
    assert (seen.watched, seen.channel, seen.scheduler, seen.running, seen.idle_events) == (True, None, False, 0, False)
    assert [text.split()[1][:6] for text in pod.asked[1:]] == ["@@GLOB", "SLAVE", "@@GLOB"], "its rows after its row"


@pytest.mark.parametrize(
    ("said", "channel"),
    [
        ({}, Channel(receives=True, applies=True, idle=False)),
        ({"Gtid_IO_Pos": "0-2-60"}, Channel(receives=True, applies=True, idle=True)),
        (
            {"Slave_IO_Running": "Connecting", "Last_IO_Errno": "2003"},
            Channel(receives=False, applies=True, error=2003, idle=False),
        ),
        (
            {"Slave_SQL_Running": "No", "Last_SQL_Errno": "1062"},
            Channel(receives=True, applies=False, error=1062, idle=False),
        ),
    ],
)
def test_what_a_channel_is(server: MariadbServer, pod: Pod, said: dict[str, str], channel: Channel) -> None:
    pod.answers["SHOW SLAVE STATUS"] = table({**SLAVE, **said})
    assert server.look().channel == channel


@pytest.mark.parametrize(
    ("part", "answer"),
    [
        ("SELECT IFNULL", table({**ROW, "site": "dc1'; DROP"})),
        ("SELECT IFNULL", table({**ROW, "term": "1e9"})),
        ("SELECT IFNULL", table({**ROW, "term": "9999999999999999999"})),
        ("SELECT IFNULL", table({**ROW, "extra": "'"})),
        ("SELECT IFNULL", ""),
        ("gtid_binlog_pos", table({"position": "0-1", "state": ""})),
        ("gtid_binlog_pos", table({"position": "", "state": "0-1-x"})),
        ("gtid_slave_pos", table({"applied": "0-1-7; DROP"})),
        ("SHOW SLAVE STATUS", table({**SLAVE, "Gtid_IO_Pos": "\x1b[2J"})),
        ("SHOW SLAVE STATUS", table({**SLAVE, "Last_SQL_Errno": "x"})),
    ],
)
def test_what_cannot_be_is_no_answer(server: MariadbServer, pod: Pod, part: str, answer: str) -> None:
    pod.answers[part] = answer
    with pytest.raises(NoAnswer) as raised:
        server.look()
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ChildProcessError("ERROR 1064 (42000) at line 3: near 'MASTER_PASSWORD='of both''\n"), "error 1064"),
        (ChildProcessError("of both"), "its client has ended"),
        (TimeoutError("no answer within 10 seconds"), "no answer within 10 seconds"),
    ],
)
def test_of_an_error_the_number_is_told_and_the_session_is_begun_anew(
    server: MariadbServer, pod: Pod, error: Exception, said: str
) -> None:
    """The client's output may contain a password.

    And in the old session, a late answer would be taken for the next one.
    """
    pod.answers["gtid_slave_pos"] = error
    with pytest.raises(NoAnswer, match=f"^{said}$"):
        server.look()
    assert pod.closed == 1
    server.watch()
    assert len(pod.begun) == 2


def test_one_session_asks_and_tells_and_no_setting_of_a_user_reaches_it(server: MariadbServer, pod: Pod) -> None:
    """A lock of the session identifies the server. And a limit of connections may allow only one."""
    server.watch()
    server.look()
    server.fence(SEEN)
    (command,) = pod.begun
    assert command == ("bash", "-c", SESSION, "dc1 dc2")
    assert pod.asked[0].startswith("SET SESSION TRANSACTION READ WRITE;\n")
    for setting in ("sql_mode = ''", "autocommit = 1", "max_statement_time = 0", "sql_log_bin = 0"):
        assert setting in SESSION


CHANGES: dict[str, Callable[[MariadbServer], None]] = {
    "write": lambda server: server.write(SEEN, Token(site="dc2", term=5)),
    "stop_events": lambda server: server.stop_events(SEEN),
    "fence": lambda server: server.fence(SEEN),
    "follow": lambda server: server.follow(SEEN),
    "note": lambda server: server.note(SEEN, "0-1-5 to 0-1-9"),
    "open": lambda server: server.open(SEEN),
    "run_events": lambda server: server.run_events(SEEN, alone=False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_server_that_is_not_what_was_seen_is_not_changed(server: MariadbServer, pod: Pod, change: str) -> None:
    """It is not changed if its row differs, if it has restarted, or while somebody else changes it."""
    server.watch()
    (lock,) = re.findall(r"GET_LOCK\(('dcmesh\.watch\.[0-9a-f]{16}'), 0\)", pod.changes[0])
    CHANGES[change](server)
    told = pod.changes[-1]
    off, locked, looked, *statements, released, said = [line for line in told.splitlines() if "source" not in line]
    assert off == "SET @go = 0;"
    assert locked == "SELECT GET_LOCK('dcmesh.primary_site', 5) INTO @locked;"
    assert looked == (
        "SELECT COUNT(*) INTO @go FROM dcmesh.primary_site WHERE server_id = @@server_id AND site = 'dc1' AND term = 4"
        f" AND @locked = 1 AND IS_USED_LOCK({lock}) = CONNECTION_ID();"
    )
    assert (released, said) == ("DO RELEASE_LOCK('dcmesh.primary_site');", "SELECT @go AS go;")
    assert statements
    for statement in statements:
        assert "IF(@go = 1" in statement or statement.endswith(" AND @go = 1;")


@pytest.mark.parametrize("go", ["0", "1"])
def test_clients_are_sent_away_where_the_server_is_what_was_seen(server: MariadbServer, pod: Pod, go: str) -> None:
    pod.answers |= {"@go AS go": table({"go": go}), "processlist": table({"id": "12"}, {"id": "404"})}
    server.fence(SEEN)
    killed = "KILL 12; KILL 404;" in pod.asked[-1]
    assert killed == (go == "1")
    assert not killed or f"WHERE {CLIENTS};" in pod.asked[-2]


def test_clients_are_sent_away_too_where_they_keep_the_server_open(server: MariadbServer, pod: Pod) -> None:
    """Otherwise the server would wait for a client that has locked tables."""
    pod.answers |= {
        "@go AS go": ChildProcessError("ERROR 1205 (HY000): Lock wait timeout"),
        "processlist": table({"id": "12"}),
    }
    with pytest.raises(NoAnswer, match="1205"):
        server.fence(SEEN)
    assert "KILL 12;" in pod.asked[-1]


@pytest.mark.parametrize("end", ["ERROR 2013 (HY000): Lost connection", "ERROR 1317 (70100): interrupted", ""])
def test_nobody_is_sent_away_by_a_run_that_may_have_seen_another_server(
    server: MariadbServer, pod: Pod, end: str
) -> None:
    pod.answers |= {"@go AS go": ChildProcessError(end), "processlist": table({"id": "12"})}
    with pytest.raises(NoAnswer):
        server.fence(SEEN)
    assert not [asked for asked in pod.asked if "KILL" in asked]


def test_no_word_of_a_server_gets_into_a_statement(server: MariadbServer, pod: Pod) -> None:
    pod.answers["processlist"] = table({"id": "12; DROP"})
    with pytest.raises(NoAnswer):
        server.fence(SEEN)
    with pytest.raises(ValueError, match="told to no server"):
        server.note(SEEN, "'")


def test_an_event_that_runs_is_ended(server: MariadbServer, pod: Pod) -> None:
    pod.answers["processlist"] = table({"id": "7"})
    server.stop_events(SEEN)
    assert "@@GLOBAL.event_scheduler <> 'DISABLED'" in pod.changes[0]
    assert "KILL 7;" in pod.changes[1]


def test_a_channel_is_set_up_by_what_the_pod_has(server: MariadbServer, pod: Pod) -> None:
    """Its password is in no argument, and in no statement that is sent from here."""
    server.follow(SEEN)
    (told,) = pod.changes
    assert "source /run/mysqld/channel.sql\nEXECUTE IMMEDIATE IF(@go = 1, @channel, 'DO 0');\n" in told
    assert (
        'SET @channel = \\"$follow\\";" >"$run/channel.sql"'
        in (ROOT / "components/databases/mariadb_prepare.sh").read_text()
    )
    pod.answers["SHOW SLAVE STATUS"] = table(SLAVE)
    server.follow(SEEN)
    assert "@channel" not in pod.changes[-1], "it belongs to the start, and goes on"
    assert "START SLAVE" in pod.changes[-1]


def test_a_server_is_opened_when_it_follows_nobody_any_more(server: MariadbServer, pod: Pod) -> None:
    server.open(SEEN)
    found = re.findall("STOP SLAVE|RESET SLAVE ALL|SET GLOBAL read_only = 0", pod.changes[0])
    assert found == ["STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = 0"]


@pytest.mark.parametrize(
    ("said", "alone", "given"),
    [
        ("73686F70.6F6666\n", False, "'73686F70.6F6666', ''"),
        ("73686F70.6F6666\n", True, "'73686F70.6F6666', ''"),
        ("", False, "''"),
        (ChildProcessError("ERROR 2003 (HY000)"), True, "''"),
    ],
)
def test_events_that_the_other_site_has_disabled_stay_so(
    server: MariadbServer, pod: Pod, said: str | Exception, given: str, *, alone: bool
) -> None:
    """A silent site counts as one without events, since failover.without says that it is gone."""
    pod.over_the_link = said
    server.run_events(SEEN, alone=alone)
    (asked,) = [text for text in pod.asked if "AS altered" in text]
    assert f"IN ({given}), 'DISABLE', 'ENABLE'" in asked
    scheduler, first, second = pod.changes
    assert "UNHEX('414C')" in first
    assert "UNHEX('4242')" in second
    assert "IF(@go = 1 AND @events <> '', 'SET GLOBAL event_scheduler = ON', 'DO 0')" in scheduler


def test_the_scheduler_runs_whatever_becomes_of_events_that_came_by_replication(
    server: MariadbServer, pod: Pod
) -> None:
    pod.answers = {"UNHEX('414C')": ChildProcessError("ERROR 1544 (HY000): in the past"), **pod.answers}
    with pytest.raises(NoAnswer, match="1544"):
        server.run_events(SEEN, alone=False)
    assert "SET GLOBAL event_scheduler = ON" in pod.changes[0]
    pod.answers["SELECT name"] = ""
    pod.run_in.clear()
    server.run_events(SEEN, alone=False)
    assert not pod.run_in, "without one, the other site is not asked"


def test_an_event_that_is_refused_is_told_and_not_tried_again(server: MariadbServer, pod: Pod) -> None:
    pod.answers = {"UNHEX('414C')": ChildProcessError("ERROR 1544 (HY000): in the past"), **pod.answers}
    with pytest.raises(NoAnswer, match="1544"):
        server.run_events(SEEN, alone=False)
    assert server.look().refused_events == "s.A (error 1544)"
    pod.answers.pop("UNHEX('414C')")
    (looked,) = [text for text in pod.asked if "AS idle_events" in text]
    assert "status = 'SLAVESIDE_DISABLED' AND CONCAT(HEX(db), '.', HEX(name)) NOT IN ('73.41', '')) AS" in looked
    server.run_events(SEEN, alone=False)
    assert "NOT IN ('73.41', '')" in [text for text in pod.asked if "AS altered" in text][-1]


@pytest.mark.parametrize("error", ["ERROR 1205 (HY000)", "ERROR 2013 (HY000)", "ERROR 1927 (70100)", ""])
def test_an_event_that_may_be_altered_the_next_time_is_tried_again(server: MariadbServer, pod: Pod, error: str) -> None:
    pod.answers = {"UNHEX('414C')": ChildProcessError(error), **pod.answers}
    with pytest.raises(NoAnswer):
        server.run_events(SEEN, alone=False)
    assert not server.look().refused_events


@pytest.mark.parametrize(
    ("said", "alone"),
    [
        (ChildProcessError("ERROR 2003 (HY000)"), False),
        (ChildProcessError("ERROR 1040 (08004)"), True),
        (ChildProcessError("73686F70.6F6666\n"), True),
        ("73686F70.6F6666\nx' OR 1\n", True),
        ("73686F70.6F6666\n7368", False),
    ],
)
def test_no_event_is_enabled_while_the_other_site_does_not_say_which_are_disabled(
    server: MariadbServer, pod: Pod, said: str | Exception, *, alone: bool
) -> None:
    """Otherwise all events would be enabled, including those that are off."""
    pod.over_the_link = said
    with pytest.raises(NoAnswer, match=r"does not say which of them are off|its events"):
        server.run_events(SEEN, alone=alone)
    assert "UNHEX" not in "".join(pod.changes)
    assert pod.run_in[0][-1] == str(2**20), "names of hundreds of events"


# --- the other site's ------------------------------------------------------------------------------------------------


def test_what_the_other_server_says(pod: Pod) -> None:
    pod.over_the_link = "dc2\t7\t1\n0-2-90\t0-1-70,0-2-90\n"
    theirs = MariadbPeer("dc1", "dc2", pod).look()
    assert (theirs.token, theirs.read_only, str(theirs.rows)) == (Token(site="dc2", term=7), True, "0-2-90")
    (command,) = pod.run_in
    assert command[:4] == ("bash", "-c", OVER_THE_LINK, "dc1 dc2")
    assert "@@GLOBAL.event_scheduler <> 'ON'" in command[4], "an event may write what a client may not"
    assert not isinstance(theirs, Own)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "dc2\t7\t1\n",
        "dc2\t7\t1\n0-2-90\t0-2-90\nmore\n",
        "dc2\t7\t2\n0-2-90\t0-2-90\n",
        "dc2\t07\t1\n0-2-90\t0-2-90\n",
        "dc2\t\u0667\t1\n0-2-90\t0-2-90\n",
        "dc2\t9999999999999999\t1\n0-2-90\t0-2-90\n",
        "DC2' --\t7\t1\n0-2-90\t0-2-90\n",
        "dc2\t7\t1\n0-2-90;\t0-2-90\n",
        "\x1b[2Jdc2\t7\t1\n0-2-90\t0-2-90\n",
        f"dc2\t7\t1\n{'0-2-90,' * 5000}0-2-90\t\n"[:16384],
    ],
)
def test_what_the_other_site_cannot_say_is_no_answer(pod: Pod, said: str) -> None:
    pod.over_the_link = said
    with pytest.raises(NotSilent) as raised:
        MariadbPeer("dc1", "dc2", pod).look()
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    ("error", "told", "silent"),
    [
        (ChildProcessError("ERROR 2003 (HY000): no route, and words \x1b[2J\n"), "error 2003", True),
        (ChildProcessError("ERROR 2013 (no answer within 8 seconds)\n"), "error 2013", True),
        (ChildProcessError("ERROR 1040 (08004): Too many connections\n"), "error 1040", False),
        (ChildProcessError("ERROR 1045 (28000): Access denied for user 'replication'\n"), "error 1045", False),
        (ChildProcessError("its pod is another site's, or follows another site\n"), "its pod is another site's", False),
        (ChildProcessError("dc2\t7\t1\n0-2-90"), "its client has ended", False),
        (ConnectionRefusedError("Connection refused"), "it could not be asked: Connection refused", False),
        (TimeoutError("no answer within 10 seconds"), "it could not be asked: no answer", False),
    ],
)
def test_only_who_cannot_be_reached_is_silent(pod: Pod, error: Exception, told: str, silent: bool) -> None:
    """A server that refuses connections exists, and may take writes.

    If the own pod cannot be asked, nobody counts as silent.
    """
    pod.over_the_link = error
    with pytest.raises(NoAnswer, match=f"^{told}") as raised:
        MariadbPeer("dc1", "dc2", pod).look()
    assert isinstance(raised.value, NotSilent) != silent


# --- in the pod: run for real by bash --------------------------------------------------------------------------------

SCRIPTS = pytest.mark.parametrize("script", [SESSION, OVER_THE_LINK], ids=["session", "over the link"])
PRINT = "printf '%s\\n' \"$@\""


def run(directory: Path, script: str, sites: str, client: str, **environment: str) -> tuple[int, str]:
    """Run one of the scripts as a pod of dc1 does, with a fake client."""
    fakes = {"mariadb": client, "timeout": 'shift\n"$@"'}
    programs = Programs(directory, fakes, last=("head",), files=("mariadb",))
    for word, given in (("exec mariadb", "mariadb"), ('"$0"', f"'{sites}'"), ('"$2"', "16384")):
        script = script.replace(word, given)
    return programs.run(script, {"SITE": "dc1", "SOURCE_SITE": "dc2", "EVENTS": "", **environment})


@SCRIPTS
@pytest.mark.parametrize("sites", ["dc2 dc1", "dc1 dc3", "dc3 dc2"])
def test_a_pod_of_other_sites_is_told_nothing(tmp_path: Path, script: str, sites: str) -> None:
    """A wrong name is easily typed by hand. It would give a server the role of another site, or none."""
    status, said = run(tmp_path, script, sites, "echo reached")
    assert status != 0
    assert "reached" not in said
    assert number_of(said) == "its pod is another site's, or follows another site"


@SCRIPTS
def test_a_pod_of_these_sites_is_asked(tmp_path: Path, script: str) -> None:
    assert run(tmp_path, script, "dc1 dc2", "echo reached") == (0, "reached\n")


@pytest.mark.parametrize("events", ["ON", ""])
def test_a_pod_says_whether_its_primary_runs_events(tmp_path: Path, events: str) -> None:
    status, said = run(tmp_path, SESSION, "dc1 dc2", PRINT, EVENTS=events)
    assert status == 0
    assert f"@events = '{events}'" in said
    assert "--socket=/run/mysqld/mysqld.sock" in said.splitlines()


def test_no_more_than_a_part_of_an_answer_over_the_link_is_read(tmp_path: Path) -> None:
    status, said = run(tmp_path, OVER_THE_LINK, "dc1 dc2", "while echo 0123456789abcdef; do :; done")
    assert status != 0
    assert len(said) == mariadb_server.LIMIT
    assert number_of(said) == "its client has ended"


def test_a_client_that_hangs_is_one_that_does_not_answer(tmp_path: Path) -> None:
    """`timeout` ends it."""
    status, said = run(tmp_path, OVER_THE_LINK, "dc1 dc2", "exit 124")
    assert status != 0
    assert number_of(said) == "error 2013"


def test_the_pods_scripts_know_whether_a_server_is_closed_by_the_same_words() -> None:
    assert f'CLOSED="{CLOSED}"' in (ROOT / "components/databases/mariadb_token.sh").read_text()


# --- both sites ------------------------------------------------------------------------------------------------------


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found = list[Any]()

    @contextmanager
    def connect(kubeconfig: str) -> Any:
        yield kubeconfig
        found.append(f"left {kubeconfig}")

    monkeypatch.setattr(mariadb_server, "connect", connect)
    return found


ENDS = [
    End(site=site, namespace=namespace, name="db", kubeconfig=f"of {site}")
    for site, namespace in (("dc1", "wookie"), ("dc2", "wookie-dr"))
]


def test_of_two_sites_each_is_asked_in_its_own_cluster(connected: list[Any]) -> None:
    with sides_of(ENDS, "") as (dc1, dc2):
        assert [(side.site, side.other) for side in (dc1, dc2)] == [("dc1", "dc2"), ("dc2", "dc1")]
        assert (dc1.peer, dc2.peer) == (dc2.server, dc1.server)
        assert vars(dc1.server)["_place"] == Container(api="of dc1", namespace="wookie", pod="db-0", name="mariadb")  # type: ignore[arg-type]
    assert connected == ["left of dc2", "left of dc1"]


def test_of_one_site_the_other_is_asked_over_the_link(connected: list[Any]) -> None:
    with sides_of(ENDS[1:], "dc1") as (side,):
        assert (side.site, side.other) == ("dc2", "dc1")
        assert isinstance(side.peer, MariadbPeer)
    assert connected == ["left of dc2"]
