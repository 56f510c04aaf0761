"""mariadb_prepare.sh, run for real by bash, among programs that only seem to be MariaDB's."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from components.workloads.mariadb import PREPARE

MARKS = "!#$%&()*+,-./:;<=>?@[]^_`{|}~"
PASSWORDS = {"root": MARKS, "replication": f"`{MARKS}`"}
"""With every mark that config.kinds.Password takes."""

DOMAIN = "db.wookie-dr.svc.cluster.local"
SOURCE = "db-0.db.wookie.svc.cluster.local"

# `$state` is where they keep what they know, and `$FAILS` is the step that fails.
FAKES = {
    "mariadb-install-db": """
        [ ! -e "$data" ] || { echo "$data is there"; exit 1; }
        /bin/mkdir "$data" && : >"$data/ibdata1"
        [ "$FAILS" != install ] || { echo "no space left"; exit 1; }""",
    "mariadbd": """
        [ -e "$data/ibdata1" ] && [ "$FAILS" != server ] || { echo "[ERROR] Aborting"; exit 1; }
        : >"$state/runs" >"$state/serves"
        while [ -e "$state/serves" ]; do /bin/sleep 0.01; done
        /bin/sleep 0.03 && /bin/rm "$state"/runs""",
    "mariadb-admin": """
        case "$*" in
          *ping) [ -e "$state/serves" ] ;;
          *shutdown) /bin/rm "$state/serves" ;;
        esac""",
    "mariadb-dump": """
        echo "SET GLOBAL gtid_slave_pos='0-1-7';"
        [ "$FAILS" != dump ] || { echo "Lost connection" >&2; exit 2; }""",
    "mariadb": """
        case "$*" in
          *source.cnf*)
            /bin/cat "$run/source.cnf" >"$state/source.cnf"
            [ ! -e "$state/unreachable" ] || { /bin/rm "$state/unreachable"; echo "ERROR 2002: no answer"; exit 1; } ;;
          *--execute=*) echo 0-1-7 ;;
          *)
            [ "$FAILS" != apply ] || exit 1
            /bin/cat >>"$data/applied.sql" ;;
        esac""",
    "sleep": "exit 0",
    "touch": f"""
        [ ! -e "$state/runs" ] || : >"$state/left"
        exec {shutil.which("touch")} "$@" """,
    **{name: f'exec {shutil.which(name)} "$@"' for name in ("cat", "rm")},
}


@dataclass(frozen=True)
class Done:
    status: int
    said: str


@dataclass
class Pod:
    """A pod's volumes below a directory of their own: the script's absolute paths are put there by substitution.

    The PATH has no program but the fakes, each of which keeps its arguments.
    """

    directory: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.data, self.run = self.directory / "mysql/data", self.directory / "mysqld"
        self.marker = self.directory / "mysql/prepared"
        self._state = self.directory / "state"
        for directory in ("mysql", "mysqld", "state", "bin", "dcmesh/passwords"):
            (self.directory / directory).mkdir(parents=True)
        self.give(PASSWORDS)
        head = f"""#!/bin/sh
            data='{self.data}' run='{self.run}' state='{self._state}'
            printf '%s\\n' "${{0##*/}} $*" >>"$state/calls"
            """
        for name, script in FAKES.items():
            path = self.directory / "bin" / name
            path.write_text(head + script)
            path.chmod(0o755)

    def give(self, passwords: dict[str, str]) -> None:
        for name, password in passwords.items():
            (self.directory / "dcmesh/passwords" / name).write_text(password)

    def start(self, *, fails: str = "") -> Done:
        """Run the script, with one of its steps failing or none."""
        script = PREPARE
        for path in ("/var/lib/mysql", "/run/mysqld", "/etc/dcmesh"):
            assert path in script
            script = script.replace(path, str(self.directory / Path(path).name))
        (self._state / "calls").write_text("")
        said = self._state / "said"
        with said.open("w") as output:
            process = subprocess.Popen(
                [str(shutil.which("bash")), "-c", script],
                env={**self.environment, "PATH": str(self.directory / "bin"), "FAILS": fails},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                status = process.wait(30)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # with the container ends what it has left behind
        self.done_too_early = (self._state / "left").exists()
        for name in ("serves", "runs", "left"):
            (self._state / name).unlink(missing_ok=True)
        return Done(status, said.read_text())

    def prepare(self) -> None:
        """Run the script to its end."""
        done = self.start()
        assert done.status == 0, done.said

    def unreachable(self) -> None:
        """Have the source refuse the next connection."""
        (self._state / "unreachable").touch()

    @property
    def calls(self) -> list[str]:
        """What the last run called, with arguments."""
        return (self._state / "calls").read_text().splitlines()

    def called(self, program: str) -> list[str]:
        return [call for call in self.calls if call.split()[0] == program]

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
        return [line for line in self.start_sql if "CHANGE MASTER" in line]

    @property
    def applied(self) -> list[str]:
        """What was run in the pod's own server."""
        path = self.data / "applied.sql"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def client_file(self) -> str:
        """With what the source was asked."""
        return (self._state / "source.cnf").read_text()


MakePod = Callable[..., Pod]


def make(directory: Path, name: str, source: str = SOURCE) -> Pod:
    environment = {
        "POD": name,
        "DOMAIN": DOMAIN,
        "SERVER_IDS": "1281",
        "SOURCE_HOST": source,
        "SOURCE_PORT": "3307" if source else "",
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
    assert "START SLAVE;" not in primary.start_sql
    assert "read_only" not in primary.options
    assert not [call for name in ("mariadbd", "mariadb-dump", "mariadb") for call in primary.called(name)]
    assert primary.marker.exists()
    assert primary.data.exists()


def test_pod_0_of_a_replica_follows_its_source(replica: Pod) -> None:
    replica.prepare()
    (line,) = replica.change_master
    given = dict(part.split("=", 1) for part in line.removeprefix("CHANGE MASTER TO ").rstrip(";").split(", "))
    assert given == {
        "MASTER_HOST": f"'{SOURCE}'",
        "MASTER_PORT": "3307",
        "MASTER_USER": "'replication'",
        "MASTER_PASSWORD": f"'{PASSWORDS['replication']}'",
        "MASTER_USE_GTID": "slave_pos",
        "MASTER_HEARTBEAT_PERIOD": "2",
        "MASTER_CONNECT_RETRY": "1",
    }
    assert replica.start_sql[-1] == "START SLAVE;"
    assert replica.options["read_only"] == "1"


@pytest.mark.parametrize("source", [SOURCE, ""], ids=["in a replica", "in a primary"])
@pytest.mark.parametrize("name", ["db-1", "db-12"])
def test_other_pods_follow_pod_0_of_their_own_site(pod: MakePod, name: str, source: str) -> None:
    follower = pod(name, source=source)
    follower.prepare()
    (line,) = follower.change_master
    assert f"MASTER_HOST='db-0.{DOMAIN}', MASTER_PORT=3306," in line
    assert follower.options["read_only"] == "1"
    assert f"host=db-0.{DOMAIN}\nport=3306\n" in follower.client_file


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
    """Nothing of it is in the binary log, which begins where the source's was."""
    replica.prepare()
    assert replica.applied == [
        "SET sql_log_bin = 0;",
        "SET GLOBAL gtid_slave_pos='0-1-7';",
        "RESET MASTER;",
        "SELECT @@GLOBAL.gtid_slave_pos INTO @position;",
        "SET GLOBAL gtid_binlog_state = @position;",
    ]


def test_a_copy_is_of_everything_at_one_position_and_locks_nobody(replica: Pod) -> None:
    replica.prepare()
    (dump,) = replica.called("mariadb-dump")
    wanted = {"--all-databases", "--single-transaction", "--master-data=1", "--gtid"}
    assert {*wanted, "--routines", "--events", "--triggers"} <= {*dump.split()}


def test_a_copy_is_made_before_anybody_can_connect_and_its_server_ends(replica: Pod) -> None:
    replica.prepare()
    (server,) = replica.called("mariadbd")
    assert {"--skip-networking", "--init-file=", "--read-only=0"} <= {*server.split()}
    assert not replica.done_too_early, "the next one finds its data free"


def test_a_source_that_does_not_answer_is_waited_for(replica: Pod) -> None:
    replica.unreachable()
    done = replica.start()
    assert done.status == 0
    assert done.said.splitlines() == [
        f"waiting for {SOURCE}: ERROR 2002: no answer",
        f"copying from {SOURCE}",
        "copied up to 0-1-7",
    ]


@pytest.mark.parametrize("fails", ["install", "server", "dump", "apply"])
def test_what_is_interrupted_is_begun_again(replica: Pod, fails: str) -> None:
    assert replica.start(fails=fails).status != 0
    assert not replica.marker.exists()
    (replica.data / "half").touch()
    replica.prepare()
    assert replica.marker.exists()
    assert not (replica.data / "half").exists()
    assert len(replica.called("mariadb-dump")) == 1
    assert replica.applied.count("RESET MASTER;") == 1


@pytest.mark.parametrize(
    ("fails", "reason"), [("install", "no space left"), ("dump", "Lost connection"), ("server", "[ERROR] Aborting")]
)
def test_what_fails_says_why(replica: Pod, fails: str, reason: str) -> None:
    assert reason in replica.start(fails=fails).said


# --- later starts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "source"), [("db-0", ""), ("db-0", SOURCE), ("db-1", SOURCE)])
def test_later_starts_make_and_copy_nothing(pod: MakePod, name: str, source: str) -> None:
    one = pod(name, source=source)
    one.prepare()
    (one.data / "rows").touch()
    one.prepare()
    assert (one.data / "rows").exists()
    assert {call.split()[0] for call in one.calls} == {"cat"}


def test_later_starts_take_over_what_has_changed(replica: Pod) -> None:
    replica.prepare()
    replica.give({"root": "another-root-1", "replication": "another-repl-1"})
    replica.environment |= {"SOURCE_HOST": "db-0.db.other.svc.cluster.local", "SERVER_IDS": "2561"}
    replica.prepare()
    text = "\n".join(replica.start_sql)
    assert not [password for password in PASSWORDS.values() if password in text]
    assert "ALTER USER root@'%' IDENTIFIED BY 'another-root-1';" in replica.start_sql
    assert "ALTER USER replication@'%' IDENTIFIED BY 'another-repl-1';" in replica.start_sql
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


# --- passwords -------------------------------------------------------------------------------------------------------


@pytest.fixture(
    scope="module", params=[("db-0", ""), ("db-0", SOURCE), ("db-1", SOURCE)], ids=["primary", "replica", "follower"]
)
def prepared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pod:
    """A pod that has been prepared, for tests that only look at it."""
    one = make(tmp_path_factory.mktemp("prepared"), *request.param)
    one.prepare()
    return one


def test_passwords_are_set_at_each_start_and_stay_out_of_the_binary_log(prepared: Pod) -> None:
    assert prepared.start_sql[0] == "SET sql_log_bin = 0;"
    for user, password in PASSWORDS.items():
        assert f"ALTER USER {user}@'%' IDENTIFIED BY '{password}';" in prepared.start_sql


def test_each_line_is_a_statement(prepared: Pod) -> None:
    """So the server reads its init file."""
    assert all(line.endswith(";") for line in prepared.start_sql)


def test_no_program_is_given_a_password_as_argument(prepared: Pod) -> None:
    """Arguments are seen by all who may list processes."""
    assert prepared.called("cat"), "else nothing was recorded"
    assert not [call for call in prepared.calls for password in PASSWORDS.values() if password in call]


def test_the_source_is_asked_with_the_password_as_it_is(replica: Pod) -> None:
    replica.prepare()
    assert f'\npassword="{PASSWORDS["replication"]}"\n' in replica.client_file
    asked = [call for call in replica.calls if f"--defaults-file={replica.run}/source.cnf" in call]
    assert [call.split()[0] for call in asked] == ["mariadb", "mariadb-dump"]


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
