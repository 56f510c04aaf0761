"""mariadb_prepare.sh and mariadb_start.sh, really run by bash, with fakes of MariaDB's programs."""

# ruff: noqa: S608 - SQL is the test's own

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from components.databases.mariadb import SCRIPTS
from tests.unit.scripts import Programs

MARKS = "!#$%&()*+,-./:;<=>?@[]^_`{|}~"
PASSWORDS = {
    "root": MARKS,
    "replication": f"`{MARKS}`",
    "replication_local": f"({MARKS})",
}
"""Passwords with every punctuation mark that dcmesh.model.value_types.Password accepts."""

DOMAIN = "db.wookie-dr.svc.cluster.local"
SOURCE = "db-0.db.wookie.svc.cluster.local"

SESSION = "SET sql_mode = '', autocommit = 1, max_statement_time = 0; SET SESSION TRANSACTION READ WRITE;"
"""The statement that precedes each of dcmesh's own."""

CLOSED = "CONCAT(@@GLOBAL.read_only) IN ('1', 'ON', 'NO_LOCK', 'NO_LOCK_NO_ADMIN')"
"""An expression that tells whether a server of any version is closed: 1 or 0."""

ROW = "INTO dcmesh.primary_site (server_id, site, term) VALUES"

# The fakes keep their state in `$state`. `$FAILS` names the step that fails.
FAKES = {
    "mariadb-install-db": """
        [ ! -e "$data" ] || { echo "$data is there"; exit 1; }
        /bin/mkdir "$data" && : >"$data/ibdata1" && /bin/cp "$state/version" "$data/mysql_upgrade_info"
        [ "$FAILS" != install ] || { echo "no space left"; exit 1; }""",
    "mariadbd": """
        case "$*" in
          --version) echo "mariadbd  Ver $(/bin/cat "$state/version")-MariaDB for Linux"; exit ;;
          *--skip-networking*) ;;
          *) : >"$state/serves"; exit ;; # and is there until nobody asks any more
        esac
        [ -e "$data/ibdata1" ] && [ "$FAILS" != server ] || { echo "[ERROR] Aborting"; exit 1; }
        : >"$state/runs" >"$state/serves"
        while [ -e "$state/serves" ]; do read -rt 0.005 <>"$state/never"; done
        read -rt 0.03 <>"$state/never"
        /bin/rm "$state"/runs""",
    "mariadb-admin": """
        case "$*" in
          *ping) [ -e "$state/serves" ] ;;
          *shutdown) /bin/rm "$state/serves" ;;
        esac""",
    "mariadb-upgrade": """
        [ -e "$state/serves" ] && /bin/rm "$data/mysql_upgrade_info"; : >"$data/mariadb_upgrade_info"
        [ "$FAILS" != upgrade ] && /bin/cp "$state/version" "$data/mariadb_upgrade_info" """,
    "mariadb-dump": """
        case "$*" in --help) exec /bin/cat "$state/dump-options" ;; esac
        case "$*" in *--all-databases*) echo "SET GLOBAL gtid_slave_pos='0-1-7';" ;; esac
        [ "$FAILS" != dump ] || { /bin/cat "$state/complaint" >&2; exit 2; }""",
    "mariadb": f'session="{SESSION}"'
    + """
        case "$*" in
          *source.cnf* | *--skip-ssl*) ;;
          *) [ ! -e "$state/newer" ] || echo "WARNING: option --ssl-verify-server-cert is disabled" >&2 ;;
        esac
        case "$*" in
          *source.cnf*)
            /bin/cat "$run/source.cnf" >"$state/source.cnf"
            [ ! -e "$state/unreachable" ] || { /bin/rm "$state/unreachable"; echo "ERROR 2002: no answer"; exit 1; }
            [ ! -e "$state/gone" ] || { echo "ERROR 2003: gone"; exit 1; }
            case "$*" in
              *"VERSION()"*) exec /bin/cat "$state/source-version" ;;
              *"SELECT site, term +"*) printf 'dc2\t6\t1\n' ;;
              *"CALL dcmesh.definitions()"*)
                [ ! -e "$state/older" ] || { echo "ERROR 1305 (42000) at line 1: PROCEDURE" >&2; exit 1; }
                /bin/cat "$state/definitions" ;;
              *"SELECT site, term"*) exec /bin/cat "$state/their-row" ;;
            esac ;;
          *--execute="$session SELECT site, term"*) [ -e "$state/serves" ] && exec /bin/cat "$state/own-row" ;;
          *--execute="$session DO 0") [ -e "$state/serves" ] ;;
          *--execute=*GET_LOCK*UPDATE*)
            [ -e "$state/serves" ] && echo $* >>"$state/updates" && /bin/cp "$state/meanwhile" "$state/own-row" ;;
          *--execute="$session SHOW SLAVE STATUS") ;;
          *--execute=*GET_LOCK*) : >"$state/opened" && /bin/sed -i 's/1$/0/' "$state/own-row" ;;
          *--execute=*) echo 0-1-7 ;;
          *)
            [ "$FAILS" != apply ] || { /bin/cat "$state/complaint"; exit 1; }
            /bin/cat >>"$data/applied.sql" ;;
        esac""",
    "sleep": """
        [ "$1" != 1 ] || [ ! -e "$state/next-row" ] || /bin/cp "$state/next-row" "$state/their-row"
        [ "$1" != 1 ] || [ ! -e "$state/operator" ] || /bin/cp "$state/operator" "$state/../dcmesh/role/without"
        exit 0""",
    "touch": """
        [ ! -e "$state/runs" ] || : >"$state/left"
        exec /bin/touch "$@" """,
    "timeout": """
        shift
        "$@" """,
    "sync": """[ ! -e "$state/../mysql/prepared" ] || : >"$state/synced-too-late" """,
}
WAITS = '"$silent" -gt 30'
"""How often mariadb_start.sh asks the other site before an operator's `failover.without` counts."""


@dataclass(frozen=True)
class Done:
    status: int
    said: str


@dataclass
class Pod:
    """A pod's volumes in a directory. The script's absolute paths are replaced by paths in it.

    The PATH has only the fakes, and each fake records its arguments.

    Args:
        directory: the pod's directory.
        environment: the environment of its containers.
        patience: how often its server asks the other site's before an operator's `failover.without` counts.
    """

    directory: Path
    environment: dict[str, str] = field(default_factory=dict)
    patience: int = 3

    def __post_init__(self) -> None:
        self.data, self.run = self.directory / "mysql/data", self.directory / "mysqld"
        self.marker = self.directory / "mysql/prepared"
        self._state = self.directory / "state"
        for directory in ("mysql", "mysqld", "state", "dcmesh/passwords", "dcmesh/role", "dcmesh/settings"):
            (self.directory / directory).mkdir(parents=True)
        for name in ("token.sh", "server.sh", "source.sh", "backup.sh"):
            (self.directory / "dcmesh/settings" / name).write_text(self._here(SCRIPTS[name]))
        self.has_version("10.11.19")
        self.follows("10.11")
        self.dumps_with("  -H, --dump-history  Dump")
        self.complains("")
        self.defines("")
        self.was_opened_meanwhile(False)
        self.give(PASSWORDS)
        os.mkfifo(self._state / "never")
        volumes = f"data='{self.data}' run='{self.run}' state='{self._state}'\n"
        self._programs = Programs(
            self._state,
            {name: volumes + script for name, script in FAKES.items()},
            real=("cat", "mv", "rm"),
            last=("head", "sed", "sort", "tee", "tr"),
            files=("mariadbd",),
        )

    def _here(self, script: str) -> str:
        """Return a script with its absolute paths in the pod's directory."""
        for path in ("/var/lib/mysql", "/run/mysqld", "/etc/dcmesh"):
            script = script.replace(path, str(self.directory / Path(path).name))
        script = script.replace(WAITS, WAITS.replace("30", str(self.patience)))
        return script.replace("/dev/termination-log", str(self._state / "last-words"))

    def has_version(self, image: str, data: str = "") -> None:
        """Set the version of the image, and that of the data."""
        (self._state / "version").write_text(image)
        if data:
            (self.data / "mysql_upgrade_info").write_text(f"{data}-MariaDB")

    def follows(self, series: str) -> None:
        """Say which series of MariaDB the source is."""
        (self._state / "source-version").write_text(f"{series}\n")

    def dumps_with(self, options: str) -> None:
        """Say what the image's mariadb-dump says of its options."""
        (self._state / "dump-options").write_text(options)

    def was_opened_meanwhile(self, opened: bool) -> None:
        """Set whether a Job has opened the server since it asked. If so, its row is not changed."""
        (self._state / "meanwhile").write_text("dc2\t4\t0\n" if opened else "dc1\t9\t1\n")

    def complains(self, words: str) -> None:
        """Set what MariaDB's clients print when they fail."""
        (self._state / "complaint").write_text(words)

    def defines(self, printed: str) -> None:
        """Set what the source prints as its definitions."""
        (self._state / "definitions").write_text(printed)

    def has_a_newer_client(self) -> None:
        """Let the client warn of a login without a password, as MariaDB 11.4 does unless it skips TLS."""
        (self._state / "newer").touch()

    def follows_an_older_dcmesh(self) -> None:
        """Let the source refuse to show definitions."""
        (self._state / "older").touch()

    @property
    def last_words(self) -> str:
        """The message in the pod's status after its container has failed."""
        return (self._state / "last-words").read_text()

    def give(self, passwords: dict[str, str]) -> None:
        for name, password in passwords.items():
            (self.directory / "dcmesh/passwords" / name).write_text(password)

    def fetched(self, position: str = "0-1-7,2-5-9") -> None:
        """Have fetched a backup, and made data of it."""
        copy = self.directory / "mysql/incoming/copy"
        copy.mkdir(parents=True)
        (copy / "ibdata1").touch()
        (copy / "dcmesh-prepared").write_text(f"{position}\n")
        (copy / "mysql_upgrade_info").write_text("10.11.0-MariaDB\n")

    def role(self, primary: str, without: str = "") -> None:
        """Set in the ConfigMap which of two sites is the primary."""
        self.environment["PRIMARY"] = ""
        (self.directory / "dcmesh/role/primary").write_text(primary)
        (self.directory / "dcmesh/role/without").write_text(without)

    def begun(self) -> None:
        """Let the pod have data from before."""
        (self.directory / "dcmesh/role/begun").touch()

    def rows(self, own: str, theirs: str) -> None:
        """Set both servers' rows (site and term), and whether the other server is `open` or read-only.

        If the other row is empty, that server cannot be asked.
        """
        (self._state / "own-row").write_text(self._row(own) + "\n" * bool(own))
        (self._state / "their-row").write_text(self._row(theirs) + "\n")
        (self._state / "gone").unlink(missing_ok=True)
        if not theirs:
            (self._state / "gone").touch()

    def rows_at_next_wait(self, theirs: str) -> None:
        """Set the other server's row for the time after the pod has waited once."""
        (self._state / "next-row").write_text(self._row(theirs) + "\n")

    @staticmethod
    def _row(words: str) -> str:
        return (f"{words} 1" if not words.endswith(" open") else words.replace(" open", " 0")).replace(" ", "\t")

    def operator_gives_up(self, site: str) -> None:
        """Let somebody set `failover.without` while the pod waits."""
        (self._state / "operator").write_text(site)

    @property
    def updates(self) -> list[str]:
        """The changes of the pod's own row."""
        path = self._state / "updates"
        return re.findall("UPDATE .*", path.read_text()) if path.exists() else []

    @property
    def opened(self) -> bool:
        """Whether the last start opened the server, once its row said so."""
        return (self._state / "opened").exists()

    def serve(self) -> Done:
        """Start the container with the server."""
        (self._state / "opened").unlink(missing_ok=True)
        return self.start("start.sh")

    def start(self, script: str = "prepare.sh", *, fails: str = "") -> Done:
        """Run a script, with one of its steps failing or none."""
        alone = script == "prepare.sh"
        status, said = self._programs.run(
            self._here(SCRIPTS[script]), {**self.environment, "FAILS": fails}, alone=alone
        )
        self.done_too_early = (self._state / "left").exists()
        for name in ("serves", "runs", "left"):
            (self._state / name).unlink(missing_ok=True)
        return Done(status, said)

    def prepare(self) -> None:
        """Run the script to its end."""
        done = self.start()
        assert done.status == 0, done.said

    def served(self) -> None:
        """Start the server's container, and let it serve."""
        done = self.serve()
        assert done.status == 0, done.said
        assert f"mariadbd --defaults-file={self.run}/server.cnf" in self.calls

    def unreachable(self) -> None:
        """Let the source refuse the next connection."""
        (self._state / "unreachable").touch()

    @property
    def calls(self) -> list[str]:
        """The programs that the last run called, with their arguments."""
        return self._programs.calls

    def called(self, program: str) -> list[str]:
        """Return how a program was called, but for questions about itself."""
        calls = [call.split() for call in self.calls]
        return [" ".join(call) for call in calls if call[0] == program and call[1:] not in (["--help"], ["--version"])]

    @property
    def options(self) -> dict[str, str]:
        """The server's own options."""
        include, *lines = (self.run / "server.cnf").read_text().splitlines()
        assert include == f"!include {self.directory}/dcmesh/settings/server.cnf"
        assert lines.pop(0) == "[mariadbd]"
        return dict(line.split("=") for line in lines)

    @property
    def start_sql(self) -> list[str]:
        return (self.run / "start.sql").read_text().splitlines()

    @property
    def change_master(self) -> list[str]:
        """The statement that makes it follow, if start.sql finds that it is no primary."""
        found = [
            re.fullmatch(r"EXECUTE IMMEDIATE IF\((.*?), '(.*?)', \"(CHANGE MASTER .*)\"\);", s) for s in self.start_sql
        ]
        (decision,) = [match for match in found if match]
        assert decision.group(1, 2) == (f"@primary = '{self.environment['SITE']}'", "DO 0")
        assert (self.run / "channel.sql").read_text() == f'{SESSION} SET @channel = "{decision[3]}";\n'
        then = f"EXECUTE IMMEDIATE IF({decision[1]}, 'DO 0', 'START SLAVE');"
        assert self.start_sql[-1] == then
        return [decision[3]] if self.primary != self.environment["SITE"] else []

    @property
    def switchable(self) -> bool:
        """Whether it can change roles."""
        return not self.environment["PRIMARY"]

    @property
    def opens(self) -> bool:
        """Whether start.sql opens the server, if it finds that it is the primary."""
        return (
            f"EXECUTE IMMEDIATE IF(@primary = '{self.environment['SITE']}', 'SET GLOBAL read_only = 0', 'DO 0');"
            in (self.start_sql)
        )

    @property
    def token(self) -> str:
        """The statement that makes the row, if there is none."""
        (line,) = [line for line in self.start_sql if "INTO dcmesh.primary_site" in line]
        return line

    @property
    def primary(self) -> str:
        """The primary in the row that this start writes, if it writes one."""
        (site,) = re.findall(r"VALUES \(@@server_id, '(.*)', 0\);", self.token)
        return str(site)

    @property
    def applied(self) -> list[str]:
        """The statements that were run in the pod's own server."""
        path = self.data / "applied.sql"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def client_file(self) -> str:
        """The client's options file for the source."""
        return (self._state / "source.cnf").read_text()


MakePod = Callable[..., Pod]


def make(directory: Path, name: str, source: str = SOURCE) -> Pod:
    environment = {
        "SITE": "dc2",
        "PRIMARY": "dc1" if source else "dc2",
        "SOURCE_SITE": "dc1" if source else "",
        "POD": name,
        "DOMAIN": DOMAIN,
        "SERVER_IDS": "1281",
        "SOURCE_HOST": source,
        "SOURCE_PORT": "3307" if source else "",
        "EVENTS": "",
    }
    return Pod(directory / name, environment)


@pytest.fixture
def pod(tmp_path: Path) -> MakePod:
    return partial(make, tmp_path)


@pytest.fixture
def primary(pod: MakePod) -> Pod:
    return pod("db-0", source="")


@pytest.fixture
def replica(pod: MakePod) -> Pod:
    return pod("db-0")


# --- who follows whom ------------------------------------------------------------------------------------------------


def test_a_primary_follows_nobody_copies_nothing_and_is_written_to(primary: Pod) -> None:
    primary.prepare()
    assert not primary.change_master
    assert primary.token == f"REPLACE {ROW} (@@server_id, 'dc2', 0);"
    assert primary.primary == primary.environment["SITE"]
    assert primary.opens
    assert primary.options["read_only"] == "1", "until then"
    assert not [call for name in ("mariadbd", "mariadb-dump", "mariadb") for call in primary.called(name)]
    assert primary.marker.exists()
    assert primary.data.exists()


def test_pod_0_of_a_replica_follows_its_source(replica: Pod) -> None:
    replica.prepare()
    (line,) = replica.change_master
    given = dict(part.split("=", 1) for part in line.removeprefix("CHANGE MASTER TO ").split(", "))
    assert given == {
        "MASTER_HOST": f"'{SOURCE}'",
        "MASTER_PORT": "3307",
        "MASTER_USER": "'replication'",
        "MASTER_PASSWORD": f"'{PASSWORDS['replication']}'",
        "MASTER_USE_GTID": "slave_pos",
        "MASTER_DEMOTE_TO_SLAVE": "1",
        "MASTER_SSL": "0",
        "MASTER_HEARTBEAT_PERIOD": "2",
        "MASTER_CONNECT_RETRY": "1",
    }
    assert replica.token == f"REPLACE {ROW} (@@server_id, 'dc1', 0);"
    assert replica.options["read_only"] == "1"


@pytest.mark.parametrize("source", [SOURCE, ""], ids=["in a replica", "in a primary"])
@pytest.mark.parametrize("name", ["db-1", "db-12"])
def test_other_pods_follow_pod_0_of_their_own_site(pod: MakePod, name: str, source: str) -> None:
    follower = pod(name, source=source)
    follower.prepare()
    (line,) = follower.change_master
    assert f"MASTER_HOST='db-0.{DOMAIN}', MASTER_PORT=3306, MASTER_USER='replication_local'," in line
    assert f"MASTER_PASSWORD='{PASSWORDS['replication_local']}'" in line
    assert follower.options["read_only"] == "1"
    wanted = f'host=db-0.{DOMAIN}\nport=3306\nuser=replication_local\npassword="{PASSWORDS["replication_local"]}"\n'
    assert wanted in follower.client_file


def test_pod_0_is_that_of_the_same_stateful_set(pod: MakePod) -> None:
    follower = pod("my-db-2", source="")
    follower.prepare()
    assert f"MASTER_HOST='my-db-0.{DOMAIN}'" in follower.change_master[0]


@pytest.mark.parametrize(("name", "server_id"), [("db-0", "1281"), ("db-1", "1282"), ("db-8", "1289")])
def test_each_pod_has_an_id_and_a_name_of_its_own(pod: MakePod, name: str, server_id: str) -> None:
    one = pod(name)
    one.prepare()
    assert (one.options["server_id"], one.options["report_host"]) == (server_id, f"{name}.{DOMAIN}")


# --- the first copy --------------------------------------------------------------------------------------------------


def test_a_copy_leaves_a_server_that_can_be_followed_itself(replica: Pod) -> None:
    """The copy is not in the server's binary log, which begins at the source's position."""
    replica.prepare()
    assert replica.applied == [
        "SET sql_log_bin = 0;",
        "USE mysql;",
        "SET GLOBAL gtid_slave_pos='0-1-7';",
        "SET sql_mode = '';",
        "SET sql_mode = '';",
        "RESET MASTER;",
        "SELECT @@GLOBAL.gtid_slave_pos INTO @position;",
        "SET GLOBAL gtid_binlog_state = @position;",
    ]


def test_a_copy_is_of_everything_at_one_position_and_locks_nobody(replica: Pod) -> None:
    replica.prepare()
    accounts, dump = replica.called("mariadb-dump")
    wanted = {"--all-databases", "--single-transaction", "--master-data=1", "--gtid"}
    assert {*wanted, "--routines", "--ignore-database=mysql", "--skip-triggers"} <= {*dump.split()}
    assert "--skip-lock-tables" in accounts.split()
    assert not {"global_priv", "user", "servers"} & {*accounts.split()}, "nobody reads their passwords"


def test_a_copy_of_an_older_dcmesh_is_made_as_that_made_it(replica: Pod) -> None:
    """The user of an older dcmesh has other rights.

    Otherwise a pod that copies before its source restarts blocks the rollout.
    """
    replica.follows_an_older_dcmesh()
    replica.prepare()
    (dump,) = replica.called("mariadb-dump")
    assert {"--all-databases", "--events", "--triggers"} <= {*dump.split()}
    assert "--ignore-database=mysql" not in dump.split()
    assert replica.applied[:2] == ["SET sql_log_bin = 0;", "SET GLOBAL gtid_slave_pos='0-1-7';"]


TRIGGER = (
    r"od\td"
    + "\tANSI_QUOTES,STRICT_ALL_TABLES\tCREATE TRIGGER x SET @y = '%s\\\\\\na;'\tlatin1\tlatin1_german1_ci\tx\t1\n"
)


def test_accounts_events_and_triggers_are_copied(replica: Pod) -> None:
    """mariadb-dump would read these only with the right to change them."""
    replica.defines(f"{b'REPLACE a'.hex().upper()}\n{TRIGGER}")
    replica.prepare()
    begin = replica.applied.index("SET sql_mode = '';")
    end = replica.applied.index("SET sql_mode = '';", begin + 1)
    account, mode, delimiter, *trigger, back = replica.applied[begin + 1 : end]
    statement = f"CONVERT(UNHEX('{b'REPLACE a'.hex().upper()}') USING utf8mb4)"
    assert account == f"SET character_set_client = utf8mb4; EXECUTE IMMEDIATE {statement};"
    assert mode == (
        "SET sql_mode = 'ANSI_QUOTES,STRICT_ALL_TABLES', character_set_client = latin1, "
        "collation_connection = latin1_german1_ci;"
    )
    assert trigger == ["CREATE TRIGGER x SET @y = '%s\\", "a;'", delimiter.removeprefix("DELIMITER ")]
    assert back == "DELIMITER ;"
    assert len(delimiter.removeprefix("DELIMITER ")) < 16, "the client would cut it"


def test_each_trigger_is_made_in_its_own_database(primary: Pod) -> None:
    """SHOW CREATE TRIGGER does not name the database, and the statements before it may end in another one."""
    primary.prepare()
    (procedure,) = [line for line in primary.start_sql if "PROCEDURE dcmesh.definitions()" in line]
    (loop,) = re.findall(r" DO (.*) END FOR", procedure)
    use, show, end = re.split(r"; *", loop)
    assert use.strip() == "SELECT HEX(CONCAT('USE `', REPLACE(t.TRIGGER_SCHEMA, '`', '``'), '`'))"
    assert "SHOW CREATE TRIGGER" in show
    assert not end


@pytest.mark.parametrize(
    "printed",
    [
        "DROP DATABASE x\n",
        "41'\n",
        "41;\n",
        TRIGGER.replace("latin1\t", "latin1; DROP\t"),
        TRIGGER.replace("ANSI", "a'"),
    ],
)
def test_definitions_that_are_none_are_not_taken_for_some(replica: Pod, printed: str) -> None:
    replica.defines(printed)
    assert replica.start().status == 1
    assert not replica.marker.exists()


def test_what_is_copied_starts_no_program(replica: Pod) -> None:
    r"""The client would take `\!` for a command of its own."""
    replica.prepare()
    (apply,) = [call for call in replica.called("mariadb") if "--max-allowed-packet" in call]
    assert "--binary-mode" in apply.split()


def test_a_copy_is_made_before_anybody_can_connect_and_its_server_ends(replica: Pod) -> None:
    replica.prepare()
    (server,) = replica.called("mariadbd")
    assert {"--skip-networking", "--init-file=", "--read-only=0"} <= {*server.split()}
    assert not replica.done_too_early, "the next container finds its data unlocked"


def test_a_source_that_does_not_answer_is_waited_for(replica: Pod) -> None:
    replica.unreachable()
    done = replica.start()
    assert done.status == 0
    assert done.said.splitlines() == [
        f"dcmesh: waits for {SOURCE}, to copy it: ERROR 2002: no answer",
        f"dcmesh: copies {SOURCE}",
        "dcmesh: copied up to 0-1-7",
    ]


@pytest.mark.parametrize("fails", ["install", "server", "dump", "apply"])
def test_what_is_interrupted_is_begun_again(replica: Pod, fails: str) -> None:
    assert replica.start(fails=fails).status != 0
    assert not replica.marker.exists()
    (replica.data / "half").touch()
    replica.prepare()
    assert replica.marker.exists()
    assert not (replica.data / "half").exists()
    assert len(replica.called("mariadb-dump")) == 2
    assert replica.applied.count("RESET MASTER;") == 1


@pytest.mark.parametrize(("fails", "reason"), [("install", "no space left"), ("server", "[ERROR] Aborting")])
def test_what_fails_says_why(replica: Pod, fails: str, reason: str) -> None:
    assert reason in replica.start(fails=fails).said


SECRET_ROW = """--------------
INSERT INTO `people` VALUES (1,'Grace Hopper
ERROR 99 (XX000) a line of hers')
--------------

ERROR %s (HY000) at line 45: %s near 'Grace Hopper'
"""


@pytest.mark.parametrize(
    ("number", "meaning"),
    [
        ("2006", "a row there takes more than 1 GiB as a statement: make it smaller"),
        ("1114", "the volume here is full: it needs a larger storage.size"),
        ("1062", "the connection or a server has failed, and the copy is begun again"),
    ],
)
def test_what_cannot_be_written_here_is_said_without_what_rows_hold(replica: Pod, number: str, meaning: str) -> None:
    replica.complains(SECRET_ROW.replace("ERROR 99 (XX000)", "") % (number, "Server has gone away"))
    done = replica.start(fails="apply")
    reason = f"dcmesh: cannot copy {SOURCE}: {meaning} (error {number})"
    assert done.said.splitlines()[-1] == reason
    assert replica.last_words.strip() == reason
    kept = [path.read_text() for path in replica.directory.rglob("*") if path.is_file() and path.name != "complaint"]
    assert not [text for text in [done.said, *kept] if "Hopper" in text], "not in memory either"


@pytest.mark.parametrize(
    ("words", "number", "meaning"),
    [
        (
            "mariadb-dump: Got error: 1356: \"View 'shop.\x1b[2J' references invalid table(s)\" when using LOCK TABLES",
            "1356",
            "its view 'shop.?[2J' refers to what is gone: DROP or mend it",
        ),
        ("mariadb-dump: Error 2013: Lost connection to server when dumping t", "2013", "the copy is begun again"),
        ("mariadb-dump: Couldn't execute 'show create table t': changed (1412)", "1412", "the copy is begun again"),
        ("mariadb-dump: Got errno 32 on write", "unknown", "the copy is begun again"),
    ],
)
def test_what_cannot_be_read_there_is_named(replica: Pod, words: str, number: str, meaning: str) -> None:
    replica.complains(words)
    done = replica.start(fails="dump")
    assert done.status == 1
    assert meaning in done.said.splitlines()[-1]
    assert done.said.splitlines()[-1].endswith(f"(error {number})")


def test_a_copy_takes_any_row_and_runs_no_event(replica: Pod) -> None:
    replica.prepare()
    (server,), dumps = replica.called("mariadbd"), replica.called("mariadb-dump")
    (apply,) = [call for call in replica.called("mariadb") if "--max-allowed-packet" in call]
    assert all("--max-allowed-packet=1G" in call.split() for call in (server, *dumps, apply))
    assert "--event-scheduler=OFF" in server.split()


@pytest.mark.parametrize(
    ("client", "options"),
    [
        ("  -h, --host=name", set()),
        ("  -H, --dump-history  Dump", {"--dump-history"}),
        ("  -H, --dump-history  Dump\n  --update-history    Update", {"--dump-history", "--update-history"}),
    ],
    ids=["before 10.11", "10.11", "11.8"],
)
def test_a_copy_has_the_times_of_versioned_rows(replica: Pod, client: str, options: set[str]) -> None:
    replica.dumps_with(client)
    replica.prepare()
    _, dump = replica.called("mariadb-dump")
    assert {word for word in dump.split() if "history" in word} == options


def test_an_older_server_is_copied(replica: Pod) -> None:
    replica.has_version("11.8.9")
    replica.prepare()
    assert replica.marker.exists()


@pytest.mark.parametrize("series", ["10.12", "11.8", "12.0"])
def test_a_newer_server_is_not_copied(replica: Pod, series: str) -> None:
    """Of 11.8, 10.11 takes accounts that may do all, and has them do nothing."""
    replica.follows(series)
    done = replica.start()
    assert (done.status, replica.marker.exists(), replica.called("mariadb-dump")) == (1, False, [])
    why = f"it is MariaDB {series}, and the image has 10.11: set an image of {series} or newer"
    assert replica.last_words == f"dcmesh: cannot copy {SOURCE}: {why}\n"


@pytest.mark.parametrize("data", ["10.6.22", "10.5.1"])
def test_data_of_an_older_version_are_brought_to_the_images(replica: Pod, data: str) -> None:
    replica.prepare()
    replica.has_version("10.11.19", data)
    done = replica.start()
    assert (done.status, done.said.splitlines()) == (0, ["dcmesh: brings its data to MariaDB 10.11"])
    (call,) = replica.called("mariadb-upgrade")
    assert "--upgrade-system-tables" not in call, "a newer server would show no versioned row"
    replica.prepare()
    assert not replica.called("mariadb-upgrade")


def test_data_that_do_not_say_their_version_are_brought_to_the_images(replica: Pod) -> None:
    replica.prepare()
    (replica.data / "mysql_upgrade_info").unlink()
    replica.prepare()
    assert replica.called("mariadb-upgrade")
    replica.prepare()
    assert not replica.called("mariadb-upgrade")


def test_a_newer_server_that_does_not_start_is_no_upgrade(replica: Pod) -> None:
    """It may lack an option of the user's: the older image is the way back."""
    replica.prepare()
    replica.has_version("11.8.9")
    assert replica.start(fails="server").status != 0
    replica.has_version("10.11.19")
    replica.prepare()
    assert not replica.called("mariadb-upgrade")


def test_an_upgrade_that_was_cut_short_is_done_again(replica: Pod) -> None:
    """MariaDB's own note is empty then."""
    replica.prepare()
    replica.has_version("11.8.9")
    assert replica.start(fails="upgrade").status != 0
    assert (replica.data / "mariadb_upgrade_info").read_text() == ""
    replica.has_version("10.11.19")
    assert "its data are MariaDB 11.8's, and the image has 10.11" in replica.start().said
    assert not replica.called("mariadb-upgrade")
    replica.has_version("11.8.9")
    replica.prepare()
    assert replica.called("mariadb-upgrade")
    replica.prepare()
    assert not replica.called("mariadb-upgrade")


@pytest.mark.parametrize("data", ["11.8.2", "10.12.0"])
def test_data_of_a_newer_version_are_left_alone(replica: Pod, data: str) -> None:
    replica.prepare()
    replica.has_version("10.11.19", data)
    done = replica.start()
    newer = data.rpartition(".")[0]
    assert done.status == 1
    assert f"its data are MariaDB {newer}'s, and the image has 10.11" in done.said
    assert not replica.called("mariadb-upgrade")


@pytest.mark.parametrize("data", ["10.11.2", "10.11.19"])
def test_data_of_the_images_version_stay_as_they_are(replica: Pod, data: str) -> None:
    replica.prepare()
    replica.has_version("10.11.19", data)
    replica.prepare()
    assert not replica.called("mariadb-upgrade")


def test_events_run_on_the_primary_alone(pod: MakePod) -> None:
    for one in (pod("db-0", source=""), pod("db-1"), pod("db-2", source="")):
        one.prepare()
        assert "event_scheduler" not in "".join(one.start_sql)
        one.environment["EVENTS"] = "ON"
        one.prepare()
        decision = "EXECUTE IMMEDIATE IF(@primary = 'dc2', 'SET GLOBAL event_scheduler = ON', 'DO 0');"
        assert decision in one.start_sql


# --- later starts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "source"), [("db-0", ""), ("db-0", SOURCE), ("db-1", SOURCE)])
def test_later_starts_make_and_copy_nothing(pod: MakePod, name: str, source: str) -> None:
    one = pod(name, source=source)
    one.prepare()
    (one.data / "rows").touch()
    one.prepare()
    assert (one.data / "rows").exists()
    assert {call.split()[0] for call in one.calls} == {"cat", "mariadbd"}
    assert not one.called("mariadbd"), "it was asked for its version alone"
    assert one.serve().said == ""


def test_later_starts_take_over_what_has_changed(replica: Pod) -> None:
    replica.prepare()
    replica.give({"root": "another-root-1", "replication": "another-repl-1", "replication_local": "another-local"})
    replica.environment |= {"SOURCE_HOST": "db-0.db.other.svc.cluster.local", "SERVER_IDS": "2561"}
    replica.prepare()
    text = "\n".join(replica.start_sql)
    assert not [password for password in PASSWORDS.values() if password in text]
    assert "CREATE OR REPLACE USER root@'%' IDENTIFIED BY 'another-root-1';" in replica.start_sql
    assert "CREATE OR REPLACE USER replication@'%' IDENTIFIED BY 'another-repl-1';" in replica.start_sql
    assert "MASTER_HOST='db-0.db.other.svc.cluster.local'" in replica.change_master[0]
    assert "MASTER_PASSWORD='another-repl-1'" in replica.change_master[0]
    assert replica.options["server_id"] == "2561"


def test_a_pod_that_lost_its_data_copies_again(replica: Pod) -> None:
    replica.prepare()
    shutil.rmtree(replica.data.parent)
    replica.data.parent.mkdir()
    replica.prepare()
    assert replica.applied
    assert replica.marker.exists()


# --- sites that can change roles -------------------------------------------------------------------------------------


@pytest.fixture
def switchable(pod: MakePod) -> Pod:
    """Pod 0 of dc2, which can be the primary, or follow dc1."""
    one = pod("db-0")
    one.role("dc2")
    one.rows(own="dc2 4", theirs="")
    return one


@pytest.mark.parametrize("source", [SOURCE, ""], ids=["the other site is there", "the other site is to come"])
def test_the_first_start_of_the_site_that_is_to_be_the_primary(pod: MakePod, source: str) -> None:
    """This also holds while nothing is known of the other site yet."""
    one = pod("db-0", source=source)
    one.role("dc2")
    one.rows(own="", theirs="")
    one.prepare()
    assert one.token == f"INSERT IGNORE {ROW} (@@server_id, 'dc2', 0);"
    assert not one.change_master
    assert not one.called("mariadbd")
    assert bool([call for call in one.called("mariadb") if "source.cnf" in call]) is bool(source)
    assert one.opens is not bool(source)
    one.rows(own="dc2 0", theirs="")
    one.served()
    assert one.opened is bool(source)


def test_the_first_start_of_the_site_that_is_to_be_the_replica(switchable: Pod) -> None:
    """It copies the token, but starts as a replica, even if the other one gives the token away at this moment."""
    switchable.role("dc1")
    switchable.rows(own="", theirs="dc1 5")
    switchable.prepare()
    assert switchable.token == f"INSERT IGNORE {ROW} (@@server_id, 'dc1', 0);"
    assert f"MASTER_HOST='{SOURCE}'" in switchable.change_master[0]
    assert switchable.applied[-1] == f"REPLACE {ROW} (@@server_id, 'dc1', 6);"
    assert f"SELECT site, term + (site <> 'dc1'), {CLOSED} FROM dcmesh.primary_site" in "".join(switchable.calls)


def test_a_replica_that_never_changes_roles_copies_no_token(replica: Pod) -> None:
    replica.prepare()
    assert not [line for line in replica.applied if "primary_site" in line]


@pytest.mark.parametrize("name", ["db-1", "db-8"])
def test_other_pods_never_change_roles(pod: MakePod, name: str) -> None:
    follower = pod(name)
    follower.role("dc2")
    follower.prepare()
    assert follower.token == f"REPLACE {ROW} (@@server_id, 'db-0', 0);"
    assert f"MASTER_HOST='db-0.{DOMAIN}', MASTER_PORT=3306," in follower.change_master[0]
    follower.prepare()
    assert not follower.called("mariadbd"), "and ask nobody"


LOST = "dcmesh: this pod has lost its data, and does not begin anew: make dc1 the primary, if that has them"


def test_a_primary_that_lost_its_data_does_not_start_empty_while_the_other_site_has_them(switchable: Pod) -> None:
    switchable.rows(own="", theirs="dc2 5")
    done = switchable.start()
    assert done.status == 1
    assert done.said.splitlines() == [LOST]
    assert not switchable.called("mariadb-install-db")
    assert not switchable.marker.exists()
    switchable.role("dc1")
    switchable.prepare()
    assert switchable.applied, "in that case it copies them"


def test_a_primary_that_lost_its_data_does_not_start_empty_either_where_nobody_can_be_asked(switchable: Pod) -> None:
    switchable.rows(own="", theirs="")
    switchable.begun()
    done = switchable.start()
    assert (done.status, done.said.splitlines()) == (1, [LOST])
    assert not switchable.called("mariadb-install-db")


def test_that_there_have_been_data_stops_neither_a_replica_nor_a_primary_that_has_them(restarted: Pod) -> None:
    restarted.begun()
    restarted.rows(own="dc2 4", theirs="dc2 4")
    restarted.prepare()
    shutil.rmtree(restarted.data.parent)
    restarted.data.parent.mkdir()
    restarted.role("dc1")
    restarted.rows(own="", theirs="dc1 5")
    restarted.prepare()
    assert restarted.applied


@pytest.fixture
def restarted(switchable: Pod) -> Pod:
    """The same pod with its data. Its server's next start is not its first."""
    switchable.prepare()
    switchable.served()
    return switchable


@pytest.mark.parametrize("prepared_again", [False, True], ids=["container", "pod"])
def test_a_primary_asks_at_each_start_but_that_of_data_which_it_has_just_made(
    switchable: Pod, prepared_again: bool
) -> None:
    """A crash restarts only the container. That once led to a second writer."""
    switchable.rows(own="", theirs="")
    switchable.prepare()
    switchable.rows(own="dc2 0", theirs="")
    switchable.served()
    assert switchable.opened
    assert not [call for call in switchable.called("mariadb") if "source.cnf" in call], "it is still to come"
    if prepared_again:
        switchable.prepare()
    switchable.rows(own="dc2 4", theirs="dc1 6")
    switchable.served()
    assert (switchable.opened, len(switchable.updates)) == (False, 1)


def test_a_copy_that_is_promoted_asks_at_its_next_start(switchable: Pod) -> None:
    """The data were made in this pod, but they are old: another site may have taken over since."""
    switchable.role("dc1")
    switchable.rows(own="", theirs="dc1 5")
    switchable.prepare()
    switchable.rows(own="dc1 5", theirs="dc1 5")
    switchable.served()
    switchable.rows(own="dc2 6", theirs="dc1 8")
    switchable.served()
    assert (switchable.opened, len(switchable.updates)) == (False, 1)


def test_a_server_that_can_change_roles_is_not_opened_by_its_row_alone(restarted: Pod) -> None:
    restarted.prepare()
    assert not restarted.opens
    assert restarted.options["read_only"] == "1"
    restarted.environment["EVENTS"] = "ON"
    restarted.prepare()
    assert "event_scheduler" not in "".join(restarted.start_sql)


ATTACKS = [
    "dc1 6; rm",
    "dc1' 6",
    "dc1",
    "6",
    "dc1 6\ndc1 7",
    "dc1 term[$(touch\\ran)]",
    "dc1 $(touch\\ran)",
    "dc1 `touch\\ran`",
    "dc1 9999999999999999999",
    "dc1 08",
    "dc1 -1",
    "\x1b[2Jdc1 6",
    "dc1 6%n%s",
    "dc1\x006",
    "x" * 300_000,
]
"""Malicious answers of another site about its row."""


@pytest.mark.parametrize("answer", ATTACKS, ids=range(len(ATTACKS)))
def test_an_answer_that_is_none_is_not_taken_for_one(restarted: Pod, answer: str) -> None:
    """It does not count as silence either.

    A site that sends such an answer exists, so `failover.without` does not count.
    """
    restarted.rows(own="dc2 4", theirs=answer.replace("\\", "${IFS}"))
    restarted.role("dc2", without="dc1")
    restarted.patience = 0
    restarted.rows_at_next_wait(theirs="dc1 6")
    done = restarted.serve()
    assert (restarted.opened, len(restarted.updates)) == (False, 1)
    said, _ = done.said.splitlines()
    assert said.startswith("dcmesh: read-only until dc1 says that it is not the primary")
    assert said.isprintable()
    assert len(said) < 500
    assert not list(restarted.directory.rglob("ran"))


def test_a_primary_whose_pod_restarts_makes_sure_that_it_still_is(restarted: Pod) -> None:
    restarted.rows(own="dc2 4", theirs="dc2 4")
    restarted.served()
    assert (restarted.opened, restarted.updates) == (True, [])
    (asked,) = [call for call in restarted.called("mariadb") if "source.cnf" in call]
    assert asked.endswith(f"SELECT site, term, {CLOSED} FROM dcmesh.primary_site WHERE server_id = @@server_id")


def test_a_primary_that_has_been_replaced_comes_back_as_a_replica(restarted: Pod) -> None:
    restarted.rows(own="dc2 4", theirs="dc1 6")
    assert "dcmesh: dc1 has a later token: dc1 is the primary by now" in restarted.serve().said
    assert restarted.updates == [
        "UPDATE dcmesh.primary_site SET site = 'dc1', term = 6 - ('dc1' = 'dc2') WHERE server_id = @@server_id "
        f"AND site = 'dc2' AND term < 6 AND {CLOSED} AND @locked = 1"
    ]
    assert "sql_log_bin = 0" in "".join(call for call in restarted.calls if "UPDATE" in call or "sql_log" in call)
    assert not restarted.opened
    channel = (restarted.run / "channel.sql").read_text().splitlines()
    assert restarted.applied == [*channel, "EXECUTE IMMEDIATE @channel; START SLAVE;"]


def test_what_a_newer_client_warns_of_is_no_part_of_an_answer(restarted: Pod) -> None:
    restarted.has_a_newer_client()
    restarted.rows(own="dc2 4", theirs="dc2 4")
    restarted.served()
    assert restarted.opened


def test_a_server_that_a_job_has_opened_meanwhile_follows_nobody(restarted: Pod) -> None:
    restarted.rows(own="dc2 4", theirs="dc1 6")
    restarted.was_opened_meanwhile(True)
    restarted.served()
    assert (restarted.opened, restarted.applied) == (False, [])


def test_a_token_that_was_held_out_meanwhile_is_not_taken_by_a_start(restarted: Pod) -> None:
    """Only a switchover takes the token, with all rows. A start may take it only under the term before."""
    restarted.rows(own="dc2 4", theirs="dc2 7")
    restarted.served()
    (update,) = restarted.updates
    assert "SET site = 'dc1', term = 7 - ('dc2' = 'dc2') WHERE" in update
    assert not restarted.opened


@pytest.mark.parametrize("theirs", ["dc1 4", "dc1 3", "dc2 4", "dc2 3"])
def test_nothing_is_opened_while_the_other_server_takes_writes(restarted: Pod, theirs: str) -> None:
    restarted.rows(own="dc2 4", theirs=f"{theirs} open")
    restarted.operator_gives_up("dc1")
    restarted.rows_at_next_wait(theirs="dc2 4")
    done = restarted.serve()
    assert "(its server takes writes, or is about to)" in done.said, "this outweighs the operator's failover.without"
    assert (restarted.opened, restarted.updates) == (True, [])


def test_a_primary_that_cannot_ask_stays_read_only_until_it_can(restarted: Pod) -> None:
    restarted.rows(own="dc2 4", theirs="dc1 6")
    restarted.unreachable()
    done = restarted.serve()
    assert done.said.splitlines() == [
        "dcmesh: read-only until dc1 says that it is not the primary, which it does not while it is copied. If it is "
        "gone, set failover.without to dc1 and run `pulumi up` (ERROR 2002: no answer)",
        "dcmesh: dc1 has a later token: dc1 is the primary by now",
    ]
    assert len(restarted.updates) == 1


def test_an_operator_can_have_a_primary_opened_that_cannot_ask(restarted: Pod) -> None:
    restarted.rows(own="dc2 4", theirs="")
    restarted.role("dc2", without="dc1")
    restarted.patience = 30
    assert WAITS in SCRIPTS["start.sh"]
    done = restarted.serve()
    assert (done.status, restarted.opened, restarted.updates) == (0, True, [])
    asked = [call for call in restarted.called("mariadb") if "source.cnf" in call]
    assert len(asked) > 30, "a link that has just come up gets half a minute"


def test_an_operator_can_have_it_opened_while_it_waits(restarted: Pod) -> None:
    restarted.rows(own="dc2 4", theirs="")
    restarted.operator_gives_up("dc1")
    done = restarted.serve()
    assert (done.status, restarted.opened, restarted.updates) == (0, True, [])
    assert done.said.startswith("dcmesh: read-only until dc1 says")


def test_the_word_of_an_operator_is_not_stronger_than_the_other_sites(restarted: Pod) -> None:
    restarted.rows(own="dc2 4", theirs="dc1 6")
    restarted.role("dc2", without="dc1")
    restarted.served()
    assert (restarted.opened, len(restarted.updates)) == (False, 1)


def test_a_replica_asks_nobody_whether_it_is_the_primary(restarted: Pod) -> None:
    restarted.rows(own="dc1 4", theirs="")
    restarted.served()
    assert restarted.updates == []
    assert not [call for call in restarted.called("mariadb") if "source.cnf" in call]


@pytest.mark.parametrize(("channel", "was"), [("master.info", "dc1"), ("multi-master.info", "dc2")])
@pytest.mark.parametrize("wanted", ["dc1", "dc2"])
def test_a_server_without_a_row_is_what_it_was(restarted: Pod, channel: str, was: str, wanted: str) -> None:
    """An older version made it when roles could not change. Giving it a role is the switchover's part."""
    restarted.role(wanted)
    (restarted.data / channel).touch()
    restarted.prepare()
    assert restarted.token == f"INSERT IGNORE {ROW} (@@server_id, '{was}', 0);"


def test_a_primary_whose_other_site_is_to_come_asks_nobody(pod: MakePod) -> None:
    one = pod("db-0", source="")
    one.role("dc2")
    one.prepare()
    for _ in range(2):
        one.served()
        assert not one.called("mariadb")


def test_the_role_is_that_of_this_start_and_the_row_is_stronger(restarted: Pod) -> None:
    restarted.role("dc1")
    restarted.rows(own="dc2 4", theirs="dc2 4")
    restarted.prepare()
    restarted.served()
    assert restarted.token == f"INSERT IGNORE {ROW} (@@server_id, 'dc2', 0);"
    select = "SELECT site INTO @primary FROM dcmesh.primary_site WHERE server_id = @@server_id;"
    assert restarted.start_sql.index(select) == restarted.start_sql.index(restarted.token) + 1
    assert restarted.updates == []


# --- passwords -------------------------------------------------------------------------------------------------------


@pytest.fixture(
    scope="module", params=[("db-0", ""), ("db-0", SOURCE), ("db-1", SOURCE)], ids=["primary", "replica", "follower"]
)
def prepared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pod:
    """A prepared pod, for tests that only look at it."""
    one = make(tmp_path_factory.mktemp("prepared"), *request.param)
    one.prepare()
    return one


def test_passwords_are_set_at_each_start_and_stay_out_of_the_binary_log(prepared: Pod) -> None:
    assert prepared.start_sql[0] == "SET sql_log_bin = 0;"
    assert prepared.start_sql[1:3] == [f"{statement};" for statement in SESSION.removesuffix(";").split("; ")]
    accounts = {"root", "replication", "replication_local"}
    for user in accounts:
        password = PASSWORDS[user]
        assert f"CREATE OR REPLACE USER {user}@'%' IDENTIFIED BY '{password}';" in prepared.start_sql
    assert len([line for line in prepared.start_sql if " IDENTIFIED BY " in line]) == len(accounts)


def test_what_follows_may_read_and_change_nothing(prepared: Pod) -> None:
    """It can neither stop its source's writes, nor read a password there."""
    for user in ("replication", "replication_local"):
        granted = [line.removeprefix("GRANT ") for line in prepared.start_sql if line.endswith(f" TO {user}@'%';")]
        rights = {right for line in granted for right in re.sub(r"\(.*?\)", "", line).partition(" ON ")[0].split(", ")}
        assert {right.strip() for right in rights} == {"REPLICATION SLAVE", "SELECT", "SHOW VIEW", "EXECUTE"}
        assert [line for line in granted if " ON *.* " in line] == [f"REPLICATION SLAVE ON *.* TO {user}@'%';"]
        # Rights on a database by its name replace the rights on all databases.
        assert f"EXECUTE ON mysql.* TO {user}@'%';" in granted
        assert not [line for line in granted if re.search(r"mysql\.(global_priv|user|servers)\b", line)]


def test_root_logs_in_from_elsewhere_with_a_password_that_was_given_alone(primary: Pod) -> None:
    primary.give({**PASSWORDS, "root": ""})
    primary.prepare()
    assert "CREATE OR REPLACE USER root@'%' IDENTIFIED VIA unix_socket ACCOUNT LOCK;" in primary.start_sql
    assert not [line for line in primary.start_sql if "root" in line and "IDENTIFIED BY" in line]


def test_each_line_is_a_statement(prepared: Pod) -> None:
    """The server reads its init file line by line."""
    assert all(line.endswith(";") for line in prepared.start_sql)


def test_no_program_is_given_a_password_as_argument(prepared: Pod) -> None:
    """Everybody who may list processes can see arguments."""
    assert prepared.called("cat"), "otherwise nothing was recorded"
    assert not [call for call in prepared.calls for password in PASSWORDS.values() if password in call]


def test_the_source_is_asked_with_the_password_as_it_is(replica: Pod) -> None:
    replica.prepare()
    assert f'\npassword="{PASSWORDS["replication"]}"\n' in replica.client_file
    asked = [call.split()[0] for call in replica.calls if f"--defaults-file={replica.run}/source.cnf" in call]
    assert [program for program in asked if program != "timeout"] == [*["mariadb"] * 2, *["mariadb-dump"] * 2]


def test_passwords_are_in_memory_alone_and_for_the_server_alone(prepared: Pod) -> None:
    holding = {
        path: path.stat().st_mode & 0o777
        for path in prepared.directory.rglob("*")
        if path.is_file() and path.is_relative_to(prepared.run)
    }
    assert prepared.run / "start.sql" in holding
    assert {mode for path, mode in holding.items() if path.name.endswith((".sql", ".cnf"))} == {0o600}
    on_disk = [path.read_text() for path in prepared.data.parent.rglob("*") if path.is_file()]
    assert not [text for text in on_disk for password in PASSWORDS.values() if password in text]


@pytest.mark.parametrize("name", sorted(PASSWORDS))
def test_no_server_starts_without_its_passwords(primary: Pod, name: str) -> None:
    (primary.directory / "dcmesh/passwords" / name).unlink()
    assert primary.start().status != 0
    assert not primary.marker.exists()


# --- exporter --------------------------------------------------------------------------------------------------------


def test_the_exporters_user_may_watch_and_nothing_else(primary: Pod) -> None:
    primary.environment["EXPORTER"] = "nobody"
    primary.prepare()
    assert [line for line in primary.start_sql if "nobody" in line] == [
        "CREATE USER IF NOT EXISTS nobody@localhost IDENTIFIED VIA unix_socket;",
        "GRANT SLAVE MONITOR ON *.* TO nobody@localhost;",
    ]


def test_without_an_exporter_it_has_no_user(primary: Pod) -> None:
    primary.prepare()
    assert "nobody" not in "".join(primary.start_sql)


# --- data of a backup ------------------------------------------------------------------------------------------------

ADOPTED = [
    "SET sql_log_bin = 0; RESET MASTER; SET GLOBAL gtid_slave_pos = '0-1-7,2-5-9';",
    "RESET MASTER;",
    "SELECT @@GLOBAL.gtid_slave_pos INTO @position;",
    "SET GLOBAL gtid_binlog_state = @position;",
]


def test_a_replica_is_made_of_the_data_of_a_backup(replica: Pod) -> None:
    replica.fetched()
    replica.prepare()
    assert not replica.called("mariadb-install-db")
    assert not replica.called("mariadb-dump")
    assert replica.applied == ADOPTED
    assert sorted(path.name for path in replica.data.iterdir()) == ["applied.sql", "ibdata1", "mysql_upgrade_info"]
    assert not replica.called("mariadb-upgrade")
    assert replica.marker.exists()
    assert not replica.done_too_early
    assert replica.called("sync") == [f"sync -f {replica.data}"], "or a power failure may leave files that are empty"
    assert not (replica.directory / "state/synced-too-late").exists()


def test_a_backup_that_an_older_image_has_fetched_is_brought_to_this_ones(replica: Pod) -> None:
    replica.fetched()
    replica.has_version("11.8.9")
    replica.prepare()
    assert replica.called("mariadb-upgrade")
    assert replica.applied == ADOPTED


def test_a_server_made_of_a_backup_comes_up_as_a_replica(replica: Pod) -> None:
    replica.role("dc1")
    replica.fetched()
    replica.prepare()
    assert replica.applied[-1] == f"REPLACE {ROW} (@@server_id, 'dc1', 6);"


@pytest.mark.parametrize("fails", ["server", "apply"])
def test_what_was_interrupted_goes_on_with_the_same_data(replica: Pod, fails: str) -> None:
    """The container that fetched them does not run again."""
    replica.fetched()
    replica.complains("ERROR 1030 (HY000) at line 1: Got error 28")
    assert replica.start(fails=fails).status != 0
    assert not replica.marker.exists()
    replica.prepare()
    assert replica.applied == ADOPTED
    assert replica.marker.exists()


def test_a_backup_does_not_take_the_place_of_data(replica: Pod) -> None:
    replica.prepare()
    before = replica.applied
    replica.fetched()
    replica.prepare()
    assert replica.applied == before


def test_a_primary_is_not_made_of_a_backup(primary: Pod) -> None:
    primary.fetched()
    primary.prepare()
    assert primary.called("mariadb-install-db")
    assert not primary.applied
    assert not (primary.directory / "mysql/incoming/copy").exists(), "it would take its room for ever"


def test_a_dump_has_the_room_of_a_backup_that_failed(replica: Pod) -> None:
    received = replica.directory / "mysql/incoming/received"
    received.mkdir(parents=True)
    (received / "ibdata1").touch()
    replica.prepare()
    assert replica.called("mariadb-dump")
    assert not received.exists()


def test_the_data_of_a_backup_wait_for_its_source(replica: Pod) -> None:
    """To end would do no harm, but Kubernetes would wait longer each time."""
    replica.fetched()
    replica.unreachable()
    replica.prepare()
    assert replica.called("sleep")
    assert replica.applied == ADOPTED
