"""mariadb_switchover.sh, run for real by bash against two servers that only seem to be MariaDB's; and its Job."""

import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from components.confined import RESTRICTED
from components.databases.mariadb_switchover import (
    JOB_SECONDS,
    MYSQL_USER,
    PATIENCE,
    SCRIPT,
    MariadbSwitchoverArgs,
    job,
    role,
)
from dcmesh.model.link import ExportedService
from dcmesh.model.switchover import Switchover
from tests.unit.scripts import Programs

MARKS = "!#$%&()*+,-./:;<=>?@[]^_`{|}~"
PASSWORDS = {"switchover": MARKS, "replication": f"`{MARKS}`"}
"""With every mark that dcmesh.model.value_types.Password takes."""

# A server is a directory of files below `$state`. What is done to it, and what it waits for, is in `$events` there.
MARIADB = r"""
    sql=$(</dev/stdin) who=$1
    who=${who##*/} who=${who%.cnf}
    printf '%s\n' "$sql" >>"$state/sql"
    cd "$state/$who" || exit 9
    did() { echo "$who: $*" >>"$state/events"; }
    if [ -e "$state/dies" ]; then
      case "$sql" in *"$(<"$state/dies")"*) echo "ERROR 2013: Lost connection" >&2; exit 1 ;; esac
    fi
    [ ! -e gone ] || { echo "ERROR 2003: no route to host" >&2; exit 1; }
    [ ! -e hangs ] || exec /bin/sleep 60
    case "$sql" in
      "DO 0") ;;
      "SELECT GET_LOCK('dcmesh.watch."*) ;;
      "SELECT IS_USED_LOCK('dcmesh.watch."*) echo 1 ;;
      *"SET site = 'dc2', term = "*" - ('"*"WHERE server_id = @@server_id AND site = 'dc1' AND term < "*"@locked = 1")
        term=${sql##*term < } && term=${term%% *}
        case "$sql" in *"('dc1' = 'dc1')"*) term=$((term - 1)) ;; esac
        echo dc2 >site && echo "$term" >term && did "row dc2 $term" ;;
      "EXECUTE IMMEDIATE IF(@@event_scheduler = 'DISABLED', 'DO 0', 'SET GLOBAL event_scheduler = OFF')")
        did "runs no events" ;;
      "SELECT COUNT(*) FROM information_schema.processlist WHERE command = 'Connect' AND user NOT IN "*)
        if [ -e event ]; then /bin/cat event; else echo 0; fi ;;
      *"FROM mysql.event WHERE status = 'DISABLED'") /bin/cat disabled ;;
      *"SELECT HEX(CONCAT('ALTER DEFINER"*)
        given=${sql#* IN (}; printf '%s\n' "${given%%)*}" >given; /bin/cat events ;;
      "SET sql_mode = '', sql_log_bin = 0; EXECUTE IMMEDIATE CONVERT(UNHEX("*) did "${sql#*; }" ;;
      *"SELECT site, term, @@read_only FROM"*)
        printf '%s\t%s\t%s\n' "$(<site)" "$(<term)" "$(<read_only)" ;;
      "SET sql_log_bin = 0; UPDATE dcmesh.primary_site SET extra"*)
        extra=${sql#*extra = \'} && echo "${extra%%\'*}" >extra ;;
      *"UPDATE dcmesh.primary_site"*)
        [ ! -e rival ] || . ./rival
        site=${sql#*SET site = \'} && site=${site%%\'*}
        term=${sql#*, term = } && term=${term%%[!0-9]*}
        case "$sql" in
          *"GET_LOCK"*"INTO @locked;"*"SET sql_log_bin = 0;"*"AND term < $term AND @locked = 1;"*) ;;
          *) exit 8 ;;
        esac
        if [ "$(<term)" -lt "$term" ]; then
          echo "$site" >site && echo "$term" >term && did "row $site $term" && echo 1
          [ ! -e afterwards ] || . ./afterwards
        else
          echo 0
        fi ;;
      "SET lock_wait_timeout = 1; SET GLOBAL read_only = 1")
        if [ -e locked ]; then /bin/rm locked; echo "ERROR 1205: Lock wait timeout exceeded" >&2; exit 1; fi
        echo 1 >read_only && did read-only ;;
      "SELECT id FROM"*"WHERE command = 'Connect'"*) /bin/rm event; did "ends its event" ;;
      "SELECT id FROM"*) /bin/cat clients ;;
      KILL*) did "$sql"; case "$sql" in *404*) echo "ERROR 1094: Unknown thread id" >&2; exit 1 ;; esac ;;
      "SHOW SLAVE STATUS")
        case "$*" in
          *--skip-column-names*) /bin/cat follows ;;
          *) # a table, in which the fields of a file of lines stand side by side
            [ ! -e table ] || exec /bin/cat table
            names='' values=''
            while IFS= read -r line || [ "$line" ]; do
              name=${line%%: *} && names+=$'\t'${name##* } values+=$'\t'${line#*: }
            done <channel
            printf '%s\n' "${names#?}" "${values#?}" ;;
        esac ;;
      "CHANGE MASTER TO "*"START SLAVE;")
        host=${sql#*MASTER_HOST=\'} && host=${host%%\'*} && echo "$host" >follows && did "follows $host" ;;
      "START SLAVE") did "goes on" ;;
      "DO MASTER_GTID_WAIT("*"SELECT @@GLOBAL.gtid_slave_pos")
        at=${sql#*\'} && did "waits for ${at%%\'*}" && /bin/cat applied ;;
      "SELECT MASTER_GTID_WAIT("*)
        at=${sql#*\'} && did "waits for ${at%%\'*}" && /bin/cat waited ;;
      "SELECT @@GLOBAL.gtid_binlog_pos") /bin/cat position ;;
      *GET_LOCK*"INTO @locked;"*"INTO @site"*"@locked = 1"*"IS NOT NULL;"*STOP*RESET*"SET GLOBAL read_only = 0"*)
        case "$sql" in *"AND 'ON' <> ''"*) did "runs events" ;; esac
        if [ "$(<site)" = "$SITE" ]; then echo 0 >read_only && : >follows && did open; fi ;;
      "SELECT @@GLOBAL.read_only") /bin/cat read_only ;;
      "SELECT @@GLOBAL.gtid_binlog_state") /bin/cat state ;;
      *) echo "unknown: $sql" >&2; exit 7 ;;
    esac
"""
SLEEP = """
    [ ! -e "$state/meanwhile" ] || { . "$state/meanwhile"; /bin/rm "$state/meanwhile"; }
    read -rt 0.02 <>"$state/never"
    exit 0
"""
TIMEOUT = f"""
    [ ! -e "$state/other/hangs" ] || exec {shutil.which("timeout")} "$@"
    shift
    "$@"
"""


@dataclass(frozen=True)
class Done:
    status: int
    said: list[str]
    events: list[str]
    """What was done to the servers, in order."""


class Sites:
    """dc1, whose Job runs, and dc2. At first dc1 is the primary."""

    def __init__(self, directory: Path) -> None:
        self.directory, self._state = directory, directory / "state"
        for name in ("passwords", "dcmesh", "state"):
            (directory / name).mkdir()
        for name, password in PASSWORDS.items():
            (directory / "passwords" / name).write_text(password)
        self.put("own", site="dc1", term=4, read_only=0, position="0-1-70", clients="12\n404\n15\n16; DROP")
        self.put("other", site="dc1", term=4, read_only=1, position="0-1-70", follows="dc1")
        os.mkfifo(self._state / "never")
        fakes = {"mariadb": MARIADB, "sleep": SLEEP, "timeout": TIMEOUT}
        self._programs = Programs(
            self._state,
            {name: f"state='{self._state}'\n{script}" for name, script in fakes.items()},
            real=("cat",),
            last=("head", "tr"),
            files=("mariadb",),
        )

    def put(self, server: str, **files: Any) -> None:
        """Say what a server has. None: no such file."""
        directory = self._state / server
        if not directory.exists():
            directory.mkdir()
            connected = "   Slave_IO_Running: Yes\n      Last_IO_Errno: 0\n        Gtid_IO_Pos: 0-1-70\n"
            files = {
                "follows": "",
                "channel": connected,
                "waited": 0,
                "applied": "0-1-70",
                "clients": "",
                "disabled": "",
                "events": "",
                **files,
            }
            files = {"state": "0-1-70,0-2-80", **files}
        for name, value in files.items():
            path = directory / name
            path.unlink(missing_ok=True)
            if value is not None:
                path.write_text(f"{value}\n" if value != "" else "")

    def read(self, server: str, *names: str) -> tuple[str, ...]:
        return tuple((self._state / server / name).read_text().strip() for name in names)

    def meanwhile(self, script: str) -> None:
        """Have something done while the Job waits for the first time, in the directory of both servers."""
        (self._state / "meanwhile").write_text(f"cd '{self._state}'\n{script}\n")

    def dies(self, at: str) -> None:
        """Have every statement fail that has this in it; nothing: none."""
        (self._state / "dies").unlink(missing_ok=True)
        if at:
            (self._state / "dies").write_text(at)

    @property
    def calls(self) -> list[str]:
        """What was called, with arguments."""
        return self._programs.calls

    @property
    def sql(self) -> str:
        return (self._state / "sql").read_text()

    def run(self, wanted: str, *, without: str = "", at: str = "", patience: int = 0, events: str = "") -> Done:
        """Run dc1's Job."""
        script = SCRIPT
        for path, place in (("/etc/dcmesh/passwords", "passwords"), ("/run/dcmesh", "dcmesh")):
            assert path in script
            script = script.replace(path, str(self.directory / place))
        for name in ("events", "sql"):
            (self._state / name).write_text("")
        environment = {
            "SITE": "dc1",
            "OWN_HOST": "db-0.here",
            "OTHER": "dc2",
            "OTHER_HOST": "db-0.there",
            "OTHER_PORT": "3307",
            "WANTED": wanted,
            "WITHOUT": without,
            "AT": at,
            "EVENTS": events,
            "PATIENCE": str(patience),
        }
        status, said = self._programs.run(script, environment)
        return Done(status, said.splitlines(), (self._state / "events").read_text().splitlines())


@pytest.fixture
def primary(tmp_path: Path) -> Sites:
    """dc1 is the primary, dc2 follows it."""
    return Sites(tmp_path)


@pytest.fixture
def replica(tmp_path: Path) -> Sites:
    """dc1 follows dc2, the primary."""
    sites = Sites(tmp_path)
    sites.put("own", site="dc2", term=4, read_only=1, follows="dc2")
    sites.put("other", site="dc2", term=4, read_only=0, follows="", position="0-2-80")
    return sites


@pytest.fixture
def offered(replica: Sites) -> Sites:
    """The same, but dc2 has given the token away."""
    replica.put("other", site="dc1", term=5, read_only=1)
    return replica


# --- the primary to be -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", [None, ""], ids=["the other is there", "the other is gone"])
def test_the_primary_stays_open_whatever_the_other_does(primary: Sites, gone: str | None) -> None:
    primary.put("other", gone=gone)
    done = primary.run("dc1")
    assert (done.status, done.said, done.events) == (0, ["dc1: is the primary, at 0-1-70"], ["own: open"])
    assert primary.read("own", "site", "term", "read_only") == ("dc1", "4", "0")


@pytest.mark.parametrize("without", ["", "dc2"])
def test_a_primary_that_was_interrupted_before_it_was_open_is_opened_once_the_other_is_asked(
    primary: Sites, without: str
) -> None:
    primary.put("own", read_only=1)
    assert primary.run("dc1").events == ["own: open"]
    primary.put("own", read_only=1)
    primary.put("other", gone="")
    done = primary.run("dc1", without=without)
    assert (done.status, done.events) == ((0, ["own: open"]) if without else (1, []))
    assert without or "dc1: dc2 does not say whether it is the primary (ERROR 2003" in done.said[0]


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        ("echo dc2 >site; echo 6 >term", "dc2 was made the primary meanwhile: run again"),
        ("echo 6 >term", "dc2 was made the primary meanwhile: run again"),
        ("echo dc2 >site; echo 0 >read_only", "dc2 takes writes: make its server read-only, then run again"),
        ("echo 0 >read_only", "dc2 takes writes: make its server read-only, then run again"),
    ],
)
def test_nothing_is_opened_that_the_other_was_made_meanwhile(offered: Sites, then: str, reason: str) -> None:
    """Between the taking of the token and the opening the other site has taken over without this one."""
    offered.put("own", afterwards=f"cd ../other; {then}")
    done = offered.run("dc1")
    assert (done.status, done.said[-1]) == (1, f"dc1: {reason}")
    assert offered.read("own", "read_only") == ("1",)


def test_only_the_server_that_was_there_before_the_look_is_opened(offered: Sites) -> None:
    """One that has started since asks for itself."""
    offered.run("dc1")
    watched = re.findall(r"GET_LOCK\('(dcmesh.watch.\d+.\d+)'", offered.sql)
    asked = re.findall(r"AND IS_USED_LOCK\('(.*)'\) IS NOT NULL;\n *EXECUTE", offered.sql)
    assert len(set(watched)) == 1
    assert watched == asked


def test_a_claim_that_is_stale_ends_and_the_token_that_is_held_out_can_be_taken(primary: Sites) -> None:
    primary.put("own", read_only=1)
    primary.put("other", site="dc1", term=7)
    done = primary.run("dc1")
    assert done.events[0] == "own: row dc2 6"
    assert (done.status, done.events[-2:]) == (0, ["own: row dc1 7", "own: open"])


def test_what_was_given_away_is_taken_with_all_rows(offered: Sites) -> None:
    done = offered.run("dc1")
    assert (done.status, done.said[-1]) == (0, "dc1: is the primary, at 0-1-70")
    assert done.events == ["own: goes on", "own: waits for 0-2-80", "own: row dc1 5", "own: open"]
    assert offered.read("own", "site", "term", "read_only", "follows") == ("dc1", "5", "0", "")


def test_a_server_that_follows_nobody_follows_first(offered: Sites) -> None:
    offered.put("own", follows="")
    done = offered.run("dc1")
    assert done.events[:2] == ["own: follows db-0.there", "own: waits for 0-2-80"]
    assert done.said[0] == "dc1: follows dc2"


def test_nothing_is_taken_before_the_giver_is_read_only(offered: Sites) -> None:
    offered.put("other", read_only=0)
    done = offered.run("dc1")
    assert (done.status, done.events) == (1, ["own: goes on"])
    assert offered.read("own", "site", "read_only") == ("dc2", "1")


def test_the_giver_is_waited_for(replica: Sites) -> None:
    replica.meanwhile("echo dc1 >other/site; echo 5 >other/term; echo 1 >other/read_only")
    done = replica.run("dc1", patience=50)
    assert (done.status, done.events[-1]) == (0, "own: open")


def test_nothing_is_taken_while_the_other_is_the_primary(replica: Sites) -> None:
    done = replica.run("dc1")
    assert done.status == 1
    assert done.said == [
        "dc1: dc2 is the primary still: run `pulumi up` in the stack that has it, then here again",
    ]
    assert done.events == ["own: goes on"]
    assert replica.read("own", "site", "term", "read_only") == ("dc2", "4", "1")


def test_a_token_is_taken_once(offered: Sites) -> None:
    """What was given away under an older term was taken already."""
    offered.put("own", term=5)
    assert offered.run("dc1").status == 1
    assert offered.read("own", "site", "term", "read_only") == ("dc2", "5", "1")


def test_nothing_is_taken_without_all_rows(offered: Sites) -> None:
    offered.put("own", waited=-1)
    done = offered.run("dc1")
    assert done.status == 1
    assert done.said == [
        "dc1: has rows up to 0-1-70, and dc2 up to 0-2-80: nothing is promoted. Mend the replication, then run again"
    ]
    assert offered.read("own", "site", "read_only") == ("dc2", "1")


def test_somebody_else_may_change_the_primary_meanwhile(offered: Sites) -> None:
    """Between the look at the row and the change of it."""
    offered.put("own", rival="echo 9 >term")
    done = offered.run("dc1")
    assert (done.status, done.said[-1]) == (1, "dc1: the primary was changed by somebody else: run again")
    assert offered.read("own", "site", "term", "read_only") == ("dc2", "9", "1")


def test_somebody_else_may_change_the_primary_before_it_is_opened(offered: Sites) -> None:
    """An old Job gives it away again: what is opened is decided by the row alone."""
    offered.put("own", afterwards="echo dc2 >site")
    done = offered.run("dc1")
    assert (done.status, done.said[-1]) == (1, "dc1: the primary was changed by somebody else: run again")
    assert offered.read("own", "read_only") == ("1",)


def test_a_giver_that_goes_away_is_named(offered: Sites) -> None:
    offered.dies("SELECT @@GLOBAL.gtid_binlog_pos")
    done = offered.run("dc1")
    assert (done.status, done.said) == (
        1,
        ["dc1: dc2 does not answer any more (ERROR 2013: Lost connection): run again"],
    )


# --- events ----------------------------------------------------------------------------------------------------------


ALTER = b"ALTER DEFINER = 'a'@'%' EVENT `shop`.`tick` ENABLE".hex().upper()
ENABLED = f"EXECUTE IMMEDIATE CONVERT(UNHEX('{ALTER}') USING utf8mb4)"


@pytest.mark.parametrize("events", ["", "ON"])
def test_the_primary_runs_events_if_the_configuration_says_so(offered: Sites, events: str) -> None:
    done = offered.run("dc1", events=events)
    assert ("own: runs events" in done.events) is bool(events)


def test_events_that_a_replica_was_given_run_on_the_new_primary_unless_the_old_one_has_disabled_them(
    offered: Sites,
) -> None:
    offered.put("own", events=f"{ALTER}\nDROP DATABASE shop; -- ` ENABLE")
    offered.put("other", disabled="73686F70.6F6666\n73686F70.74\n'); DROP\n73686F70")
    done = offered.run("dc1")
    assert done.events[-2:] == [f"own: {ENABLED}", "own: open"], "and no line of a name"
    assert offered.read("own", "given") == ("'73686F70.6F6666', '73686F70.74', ''",), "and nothing else that it says"


def test_events_run_after_a_failover_too(left: Sites) -> None:
    left.put("own", events=ALTER)
    done = left.run("dc1", without="dc2", at=AT)
    assert done.events[-2:] == [f"own: {ENABLED}", "own: open"]
    assert left.read("own", "given") == ("''",)


def test_an_event_that_runs_is_ended_before_the_old_primary_is_read_only(primary: Sites) -> None:
    """Its definer may be one who can write all the same."""
    primary.put("own", event=1)
    done = primary.run("dc2", patience=50)
    assert done.events[2:5] == ["own: runs no events", "own: ends its event", "own: read-only"]


def test_an_event_that_does_not_end_is_named(primary: Sites) -> None:
    primary.put("own", event=1)
    done = primary.run("dc2")
    assert (done.status, done.said) == (1, ["dc1: has an event that does not end: run again"])
    assert primary.read("own", "read_only") == ("0",)


RUNS = "x[$(echo >ran)]"
ATTACKS = [
    ("site", "dc2'; x"),
    ("site", RUNS),
    ("site", "dc1\x1b[2J"),
    ("site", "x" * 300_000),
    ("term", "6; x"),
    ("term", "-1"),
    ("term", "08"),
    ("term", "9999999999999999999"),
    ("term", RUNS),
    ("term", "5\n6"),
    ("term", "%n%s"),
    ("read_only", "2"),
    ("read_only", RUNS),
]


@pytest.mark.parametrize(("what", "value"), ATTACKS, ids=range(len(ATTACKS)))
@pytest.mark.parametrize("wanted", ["dc1", "dc2"])
def test_what_is_no_token_is_not_taken_for_one(replica: Sites, wanted: str, what: str, value: str) -> None:
    """Neither as a word of the other site, nor, by its replication, of this one's own server."""
    replica.put("other", **{"site": "dc1", "term": 5, "read_only": 1, what: value})
    done = replica.run(wanted)
    assert done.events[:1] == ["own: goes on"]
    assert done.status == (wanted == "dc1")
    assert replica.read("own", "site", "term", "read_only") == ("dc2", "4", "1")
    replica.put("own", **{"site": "dc2", what: value})
    done = replica.run(wanted)
    assert (done.status, done.events) == (1, [])
    assert done.said[-1].startswith("dc1: its own server does not say who is the primary (says what cannot be: ")
    assert_harmless(replica, done)


def assert_harmless(sites: Sites, done: Done) -> None:
    """What was said is fit for a terminal, and nothing of an answer was run."""
    assert all(line.isprintable() and len(line) < 700 for line in done.said)
    assert not [*sites.directory.rglob("ran"), *Path().glob("ran")]


GTID_ATTACKS = [
    RUNS,
    f"0-2-{RUNS}",
    "0-2-80'); DROP DATABASE x; --",
    "0-2-80\n0-2-81",
    "0-2-9999999999999999999",
    "\x1b[2J",
]


@pytest.mark.parametrize("value", GTID_ATTACKS)
def test_what_are_no_gtids_are_not_taken_for_some(offered: Sites, value: str) -> None:
    offered.put("other", position=value)
    done = offered.run("dc1")
    assert (done.status, done.events) == (1, ["own: goes on"])
    assert done.said[-1].startswith("dc1: dc2 does not answer any more (says what cannot be: ")
    assert_harmless(offered, done)
    offered.put("own", channel=REFUSED, state="0-1-73")
    offered.put("other", site="dc2", term=4, state=value)
    done = offered.run("dc2")
    assert done.status == 1
    assert done.said[-1].startswith("dc1: dc2 does not answer any more (says what cannot be: ")
    assert_harmless(offered, done)


@pytest.mark.parametrize("value", GTID_ATTACKS)
def test_where_a_channel_has_arrived_is_said_by_gtids(left: Sites, value: str) -> None:
    """The other site has named them, and they go into a statement."""
    left.put("own", table="Gtid_IO_Pos\n" + value.replace("\n", "\\n"))
    done = left.run("dc1", without="dc2", at=AT)
    assert (done.status, done.events) == (1, ["own: goes on"])
    assert done.said[-1].startswith("dc1: its channel does not say what has arrived (says what cannot be: ")
    assert_harmless(left, done)


def test_an_error_in_a_channel_passes_for_no_field_of_it(left: Sites) -> None:
    """MariaDB's client writes a line's end within a table's field as `\\n`."""
    left.put("own", channel=f"Last_IO_Error: no\\n Gtid_IO_Pos: 0-2-99\nGtid_IO_Pos: {AT}")
    done = left.run("dc1", without="dc2", at=AT)
    assert (done.status, done.events[1]) == (0, f"own: waits for {AT}")


# --- without the other site ------------------------------------------------------------------------------------------

AT = "0-2-75"


@pytest.fixture
def left(replica: Sites) -> Sites:
    """dc2, the primary, is gone. Up to 0-2-75 its rows are here."""
    replica.put("other", gone="")
    replica.put("own", channel="   Slave_IO_Running: Connecting\n  Gtid_IO_Pos: 0-2-75", applied=AT)
    return replica


def test_nothing_is_taken_from_a_site_that_does_not_answer_and_what_that_would_mean_is_said(left: Sites) -> None:
    done = left.run("dc1")
    assert done.status == 1
    assert done.said == [
        "dc1: dc2 does not answer (ERROR 2003: no route to host). What it committed after 0-2-75 would be lost. If it "
        "is gone for good, or surely stopped, set failover to {without: dc2, at: 0-2-75}"
    ]
    assert set(done.events) == {"own: goes on", f"own: waits for {AT}"}
    assert left.read("own", "site", "term", "read_only") == ("dc2", "4", "1")


def test_a_forced_takeover_takes_what_has_arrived(left: Sites) -> None:
    done = left.run("dc1", without="dc2", at=AT)
    assert done.status == 0
    assert done.events == ["own: goes on", f"own: waits for {AT}", "own: row dc1 6", "own: open"]
    lost = "dc1: takes over without dc2: what that committed after 0-2-75 is lost, or to be fetched by hand"
    assert done.said == [lost, "dc1: is the primary, at 0-1-70"]


@pytest.mark.parametrize(("at", "named"), [("0-2-74", "0-2-74"), ("", "which is not set")])
def test_a_forced_takeover_needs_the_word_on_what_is_lost(left: Sites, at: str, named: str) -> None:
    done = left.run("dc1", without="dc2", at=at)
    assert done.status == 1
    assert done.said == [
        f"dc1: dc2 does not answer, and what arrived of it ends at {AT}, not at the failover.at of the configuration, "
        f"{named}. Set it to {AT} if all that dc2 committed after that may be lost"
    ]
    assert left.read("own", "site", "term", "read_only") == ("dc2", "4", "1")


def test_a_forced_takeover_is_of_the_site_that_is_named(left: Sites) -> None:
    assert left.run("dc1", without="dc3", at=AT).status == 1
    assert left.read("own", "site", "read_only") == ("dc2", "1")


def test_nothing_is_forced_while_the_other_answers(replica: Sites) -> None:
    replica.put("own", applied=AT)
    done = replica.run("dc1", without="dc2", at=AT)
    assert (done.status, done.events) == (1, ["own: goes on"])
    assert replica.read("own", "site", "read_only") == ("dc2", "1")


def test_what_is_forced_may_have_been_changed_by_somebody_else(left: Sites) -> None:
    left.put("own", rival="echo 6 >term")
    done = left.run("dc1", without="dc2", at=AT)
    assert (done.status, done.said[-1]) == (1, "dc1: the primary was changed by somebody else: run again")
    assert left.read("own", "site", "read_only") == ("dc2", "1")


# --- the replica to be -----------------------------------------------------------------------------------------------

GIVEN = [
    "other: waits for 0-1-70",
    "own: row dc2 5",
    "own: runs no events",
    "own: read-only",
    "own: KILL 12",
    "own: KILL 404",
    "own: KILL 15",
    "own: follows db-0.there",
]


def test_the_primary_gives_the_token_away_then_is_fenced_then_follows(primary: Sites) -> None:
    """A connection that is gone by itself stops nothing."""
    done = primary.run("dc2")
    assert (done.status, done.events) == (0, GIVEN)
    said = [line for line in done.said if not line.startswith("ERROR 1094")]
    assert said == ["dc1: is read-only, at 0-1-70", "dc1: follows dc2", "dc1: is a replica, at 0-1-70"]
    assert primary.read("own", "site", "term", "read_only", "follows") == ("dc2", "5", "1", "db-0.there")


def test_whoever_is_closed_is_no_channel_and_not_dcmeshs_own(primary: Sites) -> None:
    primary.run("dc2")
    users = "'root', 'mysql', 'dcmesh_switchover', 'replication', 'replication_local', 'system user', 'event_scheduler'"
    assert f"WHERE user NOT IN ({users})" in primary.sql


def test_who_has_locked_tables_is_closed_before_he_is_waited_for_again(primary: Sites) -> None:
    primary.put("own", locked="")
    done = primary.run("dc2", patience=50)
    assert done.events[:7] == [*GIVEN[:3], *GIVEN[4:7], "own: read-only"]
    assert done.status == 0


def test_who_cannot_be_fenced_says_so(primary: Sites) -> None:
    primary.put("own", locked="")
    done = primary.run("dc2")
    assert (done.status, done.said[-1]) == (1, "dc1: cannot be made read-only: run again")


def test_it_follows_from_where_its_own_rows_end(primary: Sites) -> None:
    primary.run("dc2")
    (change,) = primary.sql.split("CHANGE MASTER TO ")[1:]
    wanted = ["MASTER_HOST='db-0.there', MASTER_PORT=3307, MASTER_USER='replication'", "MASTER_DEMOTE_TO_SLAVE=1"]
    for part in (*wanted, f"MASTER_PASSWORD='{PASSWORDS['replication']}'", "MASTER_USE_GTID=slave_pos"):
        assert part in change


def test_the_term_is_new_to_both(primary: Sites) -> None:
    primary.put("other", term=8)
    primary.run("dc2")
    assert primary.read("own", "site", "term") == ("dc2", "9")


def test_nothing_is_given_to_a_site_that_does_not_answer(primary: Sites) -> None:
    primary.put("other", gone="")
    done = primary.run("dc2")
    assert (done.status, done.events) == (1, [])
    assert done.said == ["dc1: dc2 does not answer (ERROR 2003: no route to host): nothing is changed"]


def test_a_site_that_hangs_after_the_login_is_one_that_does_not_answer(
    primary: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would keep this one from whatever it is to do: a failover without it, too."""
    assert "\nLIMIT=10 " in SCRIPT
    monkeypatch.setattr(
        "tests.unit.components.databases.test_mariadb_switchover.SCRIPT", SCRIPT.replace("LIMIT=10", "LIMIT=1")
    )
    primary.put("other", hangs="")
    done = primary.run("dc2")
    assert (done.status, done.events) == (1, [])
    assert done.said == ["dc1: dc2 does not answer (no answer within 1 s): nothing is changed"]
    primary.put("own", read_only=1)
    assert primary.run("dc1", without="dc2").events == ["own: open"]


def test_nothing_is_given_to_a_site_that_is_far_behind(primary: Sites) -> None:
    primary.put("other", waited=-1)
    done = primary.run("dc2")
    assert (done.status, done.events) == (1, GIVEN[:1])
    assert done.said == [
        "dc1: dc2 is more than 0 s behind: nothing is changed. Mend the replication, then run again",
    ]
    assert primary.read("own", "site", "read_only") == ("dc1", "0")


@pytest.mark.parametrize("at", ["SET GLOBAL read_only = 1", "SELECT id FROM", "CHANGE MASTER"])
def test_who_is_interrupted_goes_on_in_the_next_run(primary: Sites, at: str) -> None:
    primary.dies(at)
    assert primary.run("dc2").status != 0
    assert primary.read("own", "site", "term") == ("dc2", "5"), "a restart comes up read-only"
    primary.dies("")
    assert primary.run("dc2").status == 0
    assert primary.read("own", "site", "term", "read_only", "follows") == ("dc2", "5", "1", "db-0.there")


def test_who_gave_away_and_was_not_fenced_is_fenced_by_the_next_run(primary: Sites) -> None:
    primary.put("own", site="dc2", term=5)
    done = primary.run("dc2")
    assert (done.status, done.events) == (0, GIVEN[2:])


def test_a_token_that_is_meant_for_this_site_is_given_back(offered: Sites) -> None:
    done = offered.run("dc2")
    assert (done.status, done.events) == (0, ["own: row dc2 6", "own: goes on"])
    assert offered.read("own", "site", "term", "read_only") == ("dc2", "6", "1")


def test_a_replica_stays_one(replica: Sites) -> None:
    done = replica.run("dc2")
    assert (done.status, done.events) == (0, ["own: goes on"])
    assert done.said == ["dc1: is a replica, at 0-1-70"]


@pytest.mark.parametrize("wanted", ["dc1", "dc2"])
def test_a_primary_that_was_replaced_while_it_was_away_is_fenced(primary: Sites, wanted: str) -> None:
    """Whatever is wanted of it: the other one writes."""
    primary.put("other", site="dc2", term=6, read_only=0, follows="")
    done = primary.run(wanted)
    assert done.events == ["own: row dc2 6", *GIVEN[2:]]
    assert done.status == (0 if wanted == "dc2" else 1)
    assert primary.read("own", "site", "term", "read_only") == ("dc2", "6", "1")


def test_a_server_that_cannot_be_asked_is_not_taken_for_a_replica(primary: Sites) -> None:
    for wanted in ("dc1", "dc2"):
        primary.dies("SELECT site, term, @@read_only")
        assert primary.run(wanted).events == []
        assert primary.read("own", "read_only", "follows") == ("0", "")


# --- transactions that the other has not -----------------------------------------------------------------------------

REFUSED = "   Slave_IO_Running: No\n      Last_IO_Errno: 1236\n        Gtid_IO_Pos: 0-1-70"


@pytest.mark.parametrize(
    ("own", "theirs", "named"),
    [
        ("0-1-73", "0-1-70,0-2-90", "0-1-71 to 0-1-73"),
        ("0-1-73", "0-2-90", "0-1-1 to 0-1-73"),
        ("0-1-73,0-11-5", "0-1-73,0-11-4", "0-11-5 to 0-11-5"),
        ("0-1-73,0-2-80,1-2-7", "0-1-70,0-2-80,1-2-5", "0-1-71 to 0-1-73 1-2-6 to 1-2-7"),
        ("0-1-70", "0-1-70", "see the last error of its channel"),
    ],
)
def test_transactions_that_the_other_has_not_are_noted_and_nothing_follows(
    replica: Sites, own: str, theirs: str, named: str
) -> None:
    replica.put("own", channel=REFUSED, state=own)
    replica.put("other", state=theirs)
    done = replica.run("dc2")
    assert done.status == 0
    said = done.said[0].rstrip()
    assert said == f"dc1: has transactions that dc2 has not, and does not follow: {named}"
    assert replica.read("own", "read_only", "extra") == ("1", named)
    assert "sql_log_bin = 0; UPDATE dcmesh.primary_site SET extra" in replica.sql


def test_they_are_noted_while_the_other_has_not_written_as_much_and_its_channel_still_runs(replica: Sites) -> None:
    """It is refused only when the other's numbers have passed its own."""
    replica.put("own", state="0-1-73")
    replica.put("other", state="0-1-70,0-2-72")
    assert replica.run("dc2").status == 0
    assert replica.read("own", "read_only", "extra") == ("1", "0-1-71 to 0-1-73")


def test_what_was_noted_is_forgotten_once_it_follows(replica: Sites) -> None:
    replica.put("own", extra="0-1-71 to 0-1-73")
    assert replica.run("dc2").status == 0
    assert replica.read("own", "extra") == ("",)


def extra(sites: Sites) -> str:
    (noted,) = sites.read("own", "extra")
    return noted


def test_a_channel_that_is_refused_after_a_moment_is_refused(replica: Sites) -> None:
    """It says that it runs until the other site's answer is there."""
    replica.put("own", state="0-1-73")
    replica.put("other", state="0-1-70")
    replica.meanwhile(f"printf '{REFUSED}' >own/channel".replace("\n", "\\n"))
    replica.run("dc2")
    assert extra(replica) == "0-1-71 to 0-1-73"


def test_a_channel_is_waited_for(replica: Sites) -> None:
    replica.put("own", channel="   Slave_IO_Running: Connecting\n      Last_IO_Errno: 0", state="0-1-73")
    replica.put("other", state="0-1-70")
    replica.meanwhile(f"printf '{REFUSED}' >own/channel".replace("\n", "\\n"))
    replica.run("dc2", patience=50)
    assert extra(replica) == "0-1-71 to 0-1-73"


def test_who_has_rows_of_its_own_is_given_nothing(primary: Sites) -> None:
    """Their numbers may be higher: then the wait for this site's rows ends at once."""
    primary.put("other", state="0-1-69,0-2-90")
    done = primary.run("dc2")
    assert (done.status, done.events) == (1, GIVEN[:1])
    assert primary.read("own", "site", "read_only") == ("dc1", "0")


def test_who_has_rows_of_its_own_takes_nothing(offered: Sites) -> None:
    offered.put("own", state="0-1-90,0-2-79")
    assert offered.run("dc1").status == 1
    assert offered.read("own", "site", "read_only") == ("dc2", "1")


def test_a_server_that_has_just_started_is_waited_for(primary: Sites) -> None:
    primary.put("own", gone="")
    primary.meanwhile("/bin/rm own/gone")
    assert primary.run("dc1", patience=50).status == 0


def test_a_server_that_does_not_start_is_named(primary: Sites) -> None:
    primary.put("own", gone="")
    done = primary.run("dc1")
    assert done.said == ["dc1: its own server does not answer (ERROR 2003: no route to host): run again"]
    assert done.status == 1


# --- passwords -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", ["dc1", "dc2"])
def test_no_program_is_given_a_password_as_argument(primary: Sites, wanted: str) -> None:
    """Arguments are seen by all who may list processes."""
    primary.run(wanted)
    assert any(call.startswith("mariadb --defaults-file=") for call in primary.calls), "else nothing was recorded"
    assert not [call for call in primary.calls for password in PASSWORDS.values() if password in call]


def test_each_server_is_asked_by_its_own_user(primary: Sites) -> None:
    """The other site lets in nobody but the user of its channel."""
    primary.run("dc1")
    files = {path.name: path for path in (primary.directory / "dcmesh").iterdir()}
    assert {name: path.read_text() for name, path in files.items()} == {
        "own.cnf": "[client]\nhost=db-0.here\nport=3306\nuser=dcmesh_switchover\n"
        f'password="{PASSWORDS["switchover"]}"\nskip-ssl\n',
        "other.cnf": "[client]\nhost=db-0.there\nport=3307\nuser=replication\n"
        f'password="{PASSWORDS["replication"]}"\nskip-ssl\n',
    }
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o600}


# --- the Job ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def args(database: ExportedService) -> MariadbSwitchoverArgs:
    return MariadbSwitchoverArgs(
        namespace="dr",
        name="rows",
        image="example.com/mariadb:10.11",
        site="dc2",
        own_host="rows-0.rows.dr.svc.cluster.local",
        source_site="dc1",
        source=database.model_copy(update={"port": 3307}),
        switchover=Switchover(primary="dc2", without="dc1", at="0-1-7"),
        events=True,
        passwords="the-passwords",
    )


def test_the_job_gives_the_script_all_that_it_asks_for(args: MariadbSwitchoverArgs) -> None:
    (container,) = job(args, "the-passwords")["template"]["spec"]["containers"]
    assert {variable["name"]: variable["value"] for variable in container["env"]} == {
        "SITE": "dc2",
        "OWN_HOST": "rows-0.rows.dr.svc.cluster.local",
        "OTHER": "dc1",
        "OTHER_HOST": "db-pxc-0.db.shop.svc.cluster.local",
        "OTHER_PORT": "3307",
        "WANTED": "dc2",
        "WITHOUT": "dc1",
        "AT": "0-1-7",
        "EVENTS": "ON",
        "PATIENCE": str(PATIENCE),
    }
    assert container["command"] == ["bash", "-c", SCRIPT]
    assert {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]} == {
        "passwords": "/etc/dcmesh/passwords",
        "run": "/run/dcmesh",
    }


def test_what_the_job_writes_of_passwords_is_in_memory(args: MariadbSwitchoverArgs) -> None:
    volumes = {volume["name"]: volume for volume in job(args, "the-passwords")["template"]["spec"]["volumes"]}
    assert volumes["run"]["emptyDir"] == {"medium": "Memory"}
    assert volumes["passwords"]["secret"] == {"secretName": "the-passwords", "defaultMode": 0o440}


def test_the_job_runs_once_as_the_databases_account_and_says_why_it_failed(args: MariadbSwitchoverArgs) -> None:
    spec = job(args, "the-passwords")
    pod = spec["template"]["spec"]
    assert (spec["backoffLimit"], pod["restartPolicy"], pod["serviceAccountName"]) == (0, "Never", "rows")
    assert pod["containers"][0]["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert spec["activeDeadlineSeconds"] > 3 * PATIENCE
    assert spec["activeDeadlineSeconds"] == JOB_SECONDS


def test_the_job_runs_as_the_databases_user_without_a_token_or_a_privilege(args: MariadbSwitchoverArgs) -> None:
    pod = job(args, "the-passwords")["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"] == {"runAsUser": MYSQL_USER, "runAsGroup": MYSQL_USER, "fsGroup": MYSQL_USER}
    assert pod["containers"][0]["securityContext"] == RESTRICTED


def test_the_job_goes_through_a_sidecar_that_ends_with_it(args: MariadbSwitchoverArgs) -> None:
    metadata = job(args, "the-passwords")["template"]["metadata"]
    assert metadata["labels"]["sidecar.istio.io/inject"] == "true"
    assert metadata["annotations"] == {"sidecar.istio.io/nativeSidecar": "true"}
    assert metadata["labels"]["app"] != "rows", "the database's Service would take it for a server"


def test_the_job_runs_again_with_another_role_host_or_password(
    args: MariadbSwitchoverArgs, database: ExportedService
) -> None:
    templates = [
        job(args, "the-passwords"),
        job(args, "other-passwords"),
        job(replace(args, switchover=Switchover(primary="dc1")), "the-passwords"),
        job(replace(args, switchover=Switchover(primary="dc2")), "the-passwords"),
        job(replace(args, switchover=Switchover(primary="dc2", without="dc1", at="0-1-8")), "the-passwords"),
        job(replace(args, source=database), "the-passwords"),
        job(replace(args, image="mariadb:11"), "the-passwords"),
    ]
    assert len({str(spec["template"]) for spec in templates}) == len(templates)
    assert job(args, "the-passwords") == templates[0]


def test_pods_are_told_the_role() -> None:
    assert role(Switchover(primary="dc2")) == {"primary": "dc2", "without": ""}
    assert role(Switchover(primary="dc2", without="dc1", at="0-1-7")) == {"primary": "dc2", "without": "dc1"}
