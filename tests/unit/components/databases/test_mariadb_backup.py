"""mariadb_fetch.sh and mariadb_copies.sh, run for real by bash: over a socket, or its two ends as files."""

import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from threading import Thread
from types import MappingProxyType

import pytest

from components.databases.mariadb import BACKUP_SCRIPTS, SCRIPTS
from tests.unit.scripts import Programs

PASSWORDS = {"replication": "of both ends", "replication_local": "of this site"}
NUMBER = "0123456789abcdef" * 4
GREETING = f"dcmesh-copy 1 10.11 {NUMBER}\n"

PROGRAMS = {
    "mariadbd": 'echo "mariadbd  Ver 10.11.19-MariaDB for Linux"',
    "mariadb-backup": """
        case $1 in
          --prepare)
            /bin/cp "${2#*=}/backup-my.cnf" "$state/form"
            [ ! -e "$state/unusable" ] || { echo "[ERROR] of InnoDB"; exit 1; }
            exit ;;
        esac
        echo THE-BACKUP
        [ ! -e "$state/slow" ] || /bin/sleep 30
        [ ! -e "$state/fails" ]""",
    # What comes is a line for each file: its name, and what is in it.
    "mbstream": """
        case $1 in
          --extract)
            while read -r name text; do
              case $name in */*) /bin/mkdir -p "${2#*=}/${name%/*}" ;; esac
              [ -z "$name" ] || printf "$text" >"${2#*=}/$name"
            done ;;
          --create) [ ! -e "$state/late" ] || /bin/sleep 0.5; echo "$2" ;;
        esac""",
    "mariadb": '[ ! -e "$state/silent" ] && /bin/cat "$state/waiting"',
    "flock": '[ ! -e "$state/locked" ]',
    "du": "printf '5242880\\t%s\\n' the-data",
    "sleep": """
        [ ! -e "$state/asleep" ] || exec /bin/sleep 20 >/dev/null 2>&1
        /bin/sleep 0.01""",
    "sync": "",
    "df": """echo Avail; if [ -e "$state/full" ]; then echo 12; else echo 1048576; fi""",
    "timeout": 'shift; "$@"',
}


def proof(user: str, number: str = NUMBER) -> str:
    return sha256(f"{number}{PASSWORDS[user]}".encode()).hexdigest()


@dataclass
class Pod:
    """A pod's volumes below a directory of their own, where the scripts find them by substitution."""

    directory: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.incoming, self.copy = self.directory / "incoming", self.directory / "incoming/copy"
        self.state = self.directory / "state"
        for directory in ("incoming", "mysql", "mysqld", "state", "dcmesh/passwords", "dcmesh/role", "dcmesh/settings"):
            (self.directory / directory).mkdir(parents=True)
        for name, script in SCRIPTS.items():
            (self.directory / "dcmesh/settings" / name).write_text(self._here(script))
        for name, password in PASSWORDS.items():
            (self.directory / "dcmesh/passwords" / name).write_text(password)
        (self.state / "waiting").write_text("0\n")
        self._programs = Programs(
            self.state,
            {name: f"state='{self.state}'\n{script}" for name, script in PROGRAMS.items()},
            real=("cat", "find", "head", "mkdir", "mv", "rm", "sed", "sha256sum", "tail", "tee"),
        )

    def _here(self, script: str) -> str:
        for path in ("/var/lib/mysql", "/run/mysqld", "/etc/dcmesh", "/incoming"):
            script = script.replace(path, str(self.directory / Path(path).name))
        return script.replace("/dev/termination-log", str(self.state / "last-words"))

    def run(
        self,
        script: str,
        before: str = "",
        changes: Mapping[str, str] = MappingProxyType({}),
        *,
        alone: bool = False,
    ) -> tuple[int, str]:
        """Run a script after something else, and with parts of it replaced; `alone` is that of Programs.run."""
        text = self._here(BACKUP_SCRIPTS[script])
        for part, other in changes.items():
            assert part in text
            text = text.replace(part, other)
        return self._programs.run(before + text, self.environment, alone=alone)

    @property
    def calls(self) -> list[str]:
        return self._programs.calls


# --- who fetches -----------------------------------------------------------------------------------------------------


@dataclass
class Source:
    """A source's port for backups: what it sends on each connection, before and after it is told a proof.

    Args:
        sends: on one connection after the other; the last one's again for all further ones.
    """

    sends: Sequence[tuple[str, str]]
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = str(self._listener.getsockname()[1])
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        for number in range(1000):
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            before, after = self.sends[min(number, len(self.sends) - 1)]
            with connection, connection.makefile("rw") as peer:
                peer.write(before)
                peer.flush()
                if after:
                    self.told.append(peer.readline().rstrip("\n"))
                    peer.write(after)

    def close(self) -> None:
        self._listener.close()


MakeSource = Callable[..., Source]


@pytest.fixture
def source() -> Iterator[MakeSource]:
    made = list[Source]()

    def make(*sends: tuple[str, str]) -> Source:
        made.append(Source(sends))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    environment = {
        "SITE": "dc2",
        "PRIMARY": "dc1",
        "SOURCE_SITE": "dc1",
        "POD": "db-0",
        "DOMAIN": "db.wookie-dr.svc.cluster.local",
        "COPY_PORT": "4444",
        "SOURCE_HOST": "127.0.0.1",
        "SOURCE_PORT": "1",
        "SOURCE_COPY_PORT": "1",
    }
    return Pod(tmp_path / "pod", environment)


FILES = (
    "ibdata1\nxtrabackup_info\ndcmesh-prepared evil\nxtrabackup_binlog_info binlog.000003\\t77\\t0-1-7,2-5-9\\n\n"
    "backup-my.cnf # of the source\\n[mysqld]\\ninnodb_page_size=16384\\n"
    "innodb_data_file_path=ibdata1:12M:autoextend\\n"
    "innodb_undo_directory=/etc/evil\\nplugin_load=evil=evil.so\\nplugin_dir=/incoming/copy\\n"
    "!include /incoming/copy/evil.cnf\\n\n"
)
"""A backup, which says of its files also what none must say."""

WHOLE = (GREETING, f"bytes 5242880\n{FILES}dcmesh-complete\n")


def fetch(pod: Pod, source: Source) -> tuple[int, str]:
    pod.environment["SOURCE_COPY_PORT"] = source.port
    return pod.run("fetch.sh")


def test_a_backup_is_fetched_by_who_proves_that_it_knows_the_password(pod: Pod, source: MakeSource) -> None:
    served = source(WHOLE)
    status, said = fetch(pod, served)
    assert status == 0, said
    assert said.splitlines() == [
        "dcmesh: copies 127.0.0.1: about 5 MiB",
        "dcmesh: prepares the copy of 127.0.0.1",
        "dcmesh: has copied 127.0.0.1",
    ]
    assert served.told == [proof("replication")]
    assert sorted(path.name for path in pod.copy.iterdir()) == ["dcmesh-prepared", "ibdata1", "mysql_upgrade_info"]
    assert (pod.copy / "dcmesh-prepared").read_text() == "0-1-7,2-5-9\n"
    assert (pod.copy / "mysql_upgrade_info").read_text() == "10.11.0-MariaDB\n"
    assert not [call for call in pod.calls if PASSWORDS["replication"] in call]


def test_no_plugin_and_no_path_of_the_source_is_taken(pod: Pod, source: MakeSource) -> None:
    assert fetch(pod, source(WHOLE))[0] == 0
    assert (pod.state / "form").read_text().splitlines() == [
        "[mysqld]",
        "innodb_page_size=16384",
        "innodb_data_file_path=ibdata1:12M:autoextend",
    ]


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (FILES.replace("0-1-7,2-5-9", "0-1-7'; DROP"), "does not say up to where it is"),
        (FILES.replace("xtrabackup_binlog_info", "other"), "does not say up to where it is"),
        (f"{FILES}rows.isl\n", "has a DATA DIRECTORY"),
    ],
)
def test_a_backup_that_says_what_cannot_be_is_refused(pod: Pod, source: MakeSource, other: str, why: str) -> None:
    status, said = fetch(pod, source((GREETING, f"bytes 5242880\n{other}dcmesh-complete\n")))
    assert status == 1
    assert why in said
    assert why in (pod.state / "last-words").read_text()
    assert not pod.copy.exists()


def test_a_backup_of_which_no_data_can_be_made_is_fetched_again(pod: Pod, source: MakeSource) -> None:
    (pod.state / "unusable").touch()
    status, said = fetch(pod, source(WHOLE))
    assert (status, "[ERROR] of InnoDB\ndcmesh: cannot prepare the copy of 127.0.0.1" in said) == (1, True)
    (pod.state / "unusable").unlink()
    assert fetch(pod, source(WHOLE))[0] == 0
    assert pod.copy.exists()


def test_databases_may_have_the_names_of_what_a_backup_has_beside_them(pod: Pod, source: MakeSource) -> None:
    databases = ("log", "mariadb_backup_jobs", "xtrabackup_jobs")
    rows = "".join(f"{database}/rows.ibd\n" for database in databases)
    status, said = fetch(pod, source((GREETING, f"bytes 5242880\n{FILES}{rows}dcmesh-complete\n")))
    assert status == 0, said
    assert all((pod.copy / database / "rows.ibd").exists() for database in databases)
    assert [path.name for path in pod.incoming.iterdir()] == ["copy"]


def test_what_cannot_be_thrown_away_is_no_backup(pod: Pod, source: MakeSource) -> None:
    (pod.state / "unusable").touch()
    assert fetch(pod, source(WHOLE))[0] == 1
    (pod.state / "unusable").unlink()
    assert pod.run("fetch.sh", "rm() { return 1; }\n")[0] == 1
    assert not pod.copy.exists()


def test_other_pods_fetch_it_from_pod_0_by_the_password_of_their_site(pod: Pod, source: MakeSource) -> None:
    served = source(WHOLE)
    pod.environment |= {"POD": "db-1", "COPY_PORT": served.port}
    status, said = pod.run(
        "fetch.sh", changes={"\nsaid=": "\n[ $SOURCE_HOST = db-0.$DOMAIN ] && SOURCE_HOST=127.0.0.1\nsaid="}
    )
    assert status == 0, said
    assert served.told == [proof("replication_local")]


@pytest.mark.parametrize(
    ("first", "why"),
    [
        ((GREETING, f"bytes 5242880\n{FILES}"), "what came was cut off, and is begun again; so far 1 times. If the"),
        ((GREETING, "busy\n"), "it serves another one"),
        ((GREETING, "refused\n"), "it does not know the password of replication"),
        ((GREETING, "bytes 0x7;rm\n"), "it says what cannot be"),
        ((GREETING, "bytes $(id)\n"), "it says what cannot be"),
        (("5.5.5-10.11.19-MariaDB\n", ""), "no backup is served there: is its firstCopy: backup?"),
        (("", ""), "no backup is served there: is its firstCopy: backup?"),
    ],
)
def test_what_is_no_whole_backup_is_begun_again(pod: Pod, source: MakeSource, first: tuple[str, str], why: str) -> None:
    (pod.incoming / "received").mkdir()
    (pod.incoming / "received/of-an-older-one").touch()
    status, said = fetch(pod, source(first, WHOLE))
    assert status == 0
    assert f"dcmesh: waits for a backup of 127.0.0.1: {why}" in said
    assert sorted(path.name for path in pod.copy.iterdir()) == ["dcmesh-prepared", "ibdata1", "mysql_upgrade_info"]
    assert not (pod.incoming / "received").exists()


def test_the_source_is_asked_more_seldom_each_time_a_backup_is_cut_off(pod: Pod, source: MakeSource) -> None:
    cut = (GREETING, f"bytes 5242880\n{FILES}")
    assert fetch(pod, source(cut, cut, cut, WHOLE))[0] == 0
    assert [call for call in pod.calls if call.startswith("sleep ") and call != "sleep 1"] == [
        "sleep 2",
        "sleep 3",
        "sleep 4",
    ]


def test_what_was_received_is_on_the_disk_before_it_counts(pod: Pod, source: MakeSource) -> None:
    """Or a power failure may leave files without what they hold."""
    assert fetch(pod, source(WHOLE))[0] == 0
    received = pod.incoming / "received"
    last = [call for call in pod.calls if call.startswith(("sync", "mv", "mariadb-backup"))][-2:]
    assert last == [f"sync -f {received}", f"mv {received} {pod.copy}"]


@pytest.mark.parametrize(
    "moment",
    [
        'proof "${BASH',
        "mbstream --extract",
        "mariadb-backup --prepare",
        'echo "$position"',
        "sync -f",
        'mv "$received"',
    ],
)
def test_it_may_be_killed_at_any_moment(pod: Pod, source: MakeSource, moment: str) -> None:
    pod.environment["SOURCE_COPY_PORT"] = source(WHOLE).port
    assert pod.run("fetch.sh", changes={moment: f"kill -KILL $$; {moment}"})[0] == -signal.SIGKILL
    assert not pod.copy.exists()
    assert pod.run("fetch.sh")[0] == 0
    assert sorted(path.name for path in pod.copy.iterdir()) == ["dcmesh-prepared", "ibdata1", "mysql_upgrade_info"]
    assert [path.name for path in pod.incoming.iterdir()] == ["copy"]


FULL = "dcmesh: cannot copy 127.0.0.1: the volume here is full: it needs a larger storage.size\n"


@pytest.mark.parametrize("when", ["while it comes", "while it is prepared"])
def test_a_full_volume_is_said_and_the_source_not_asked_again_and_again(
    pod: Pod, source: MakeSource, when: str
) -> None:
    (pod.state / "full").touch()
    if when == "while it is prepared":
        (pod.state / "unusable").touch()
    served = source((GREETING, f"bytes 5242880\n{FILES}") if when == "while it comes" else WHOLE)
    status, said = fetch(pod, served)
    assert (status, said.endswith(FULL)) == (1, True), said
    assert (pod.state / "last-words").read_text() == FULL
    assert len(served.told) == 1
    assert not list(pod.incoming.iterdir()), "what else is on the disk has the room back"


def test_a_pod_that_is_deleted_does_not_wait_to_be_killed(pod: Pod, source: MakeSource) -> None:
    """As the first process of its container it ignores what it has no trap for."""
    pod.environment["SOURCE_COPY_PORT"] = source((GREETING, "busy\n")).port
    assert pod.run("fetch.sh", changes={"\nsaid=": "\nkill -TERM $$\nsaid="})[0] == 143


def test_nor_while_it_waits_before_it_asks_again(pod: Pod, source: MakeSource) -> None:
    (pod.state / "asleep").touch()
    pod.environment["SOURCE_COPY_PORT"] = source((GREETING, "busy\n")).port
    began = time.monotonic()
    assert pod.run("fetch.sh", "(/bin/sleep 1; kill -TERM $$) &\n", alone=True)[0] == 143
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("series", ["11.8", "10.6"])
def test_a_backup_of_another_series_is_not_fetched(pod: Pod, source: MakeSource, series: str) -> None:
    served = source((GREETING.replace("10.11", series), "bytes 1\n"))
    status, said = fetch(pod, served)
    assert status == 0
    assert f"takes a dump of 127.0.0.1: it is MariaDB {series}, and only {series} can read its backups\n" in said
    assert ([line for line in served.told if line], pod.copy.exists()) == ([], False)


def test_a_source_that_serves_none_is_dumped(pod: Pod, source: MakeSource) -> None:
    pod.environment["SOURCE_PORT"] = source(("a greeting", "")).port
    status, said = fetch(pod, source(("", "")))
    assert (status, said.splitlines()[-1]) == (
        0,
        "dcmesh: takes a dump of 127.0.0.1: no backup is served there: is its firstCopy: backup?",
    )


def test_a_source_that_exports_none_is_dumped(pod: Pod) -> None:
    pod.environment["SOURCE_COPY_PORT"] = ""
    assert pod.run("fetch.sh") == (0, "dcmesh: takes a dump of 127.0.0.1: its export has no port for backups\n")


@pytest.mark.parametrize("there", ["mysql/prepared", "mysql/data/dcmesh-prepared", "incoming/copy/dcmesh-prepared"])
def test_what_is_there_is_kept(pod: Pod, there: str) -> None:
    path = pod.directory / there
    path.parent.mkdir(exist_ok=True)
    path.write_text("kept")
    assert pod.run("fetch.sh") == (0, "")
    assert path.read_text() == "kept"


def test_a_primary_fetches_nothing(pod: Pod) -> None:
    pod.environment["PRIMARY"] = ""
    (pod.directory / "dcmesh/role/primary").write_text("dc2")
    assert pod.run("fetch.sh") == (0, "")


def test_a_primary_that_lost_its_data_fetches_them_once_the_other_is_the_primary(pod: Pod, source: MakeSource) -> None:
    """Had `fetch` ended, Kubernetes would run it no more, and `prepare` would take a dump."""
    pod.environment["PRIMARY"] = ""
    (pod.directory / "dcmesh/role/primary").write_text("dc2")
    (pod.directory / "dcmesh/role/begun").touch()
    served = source(WHOLE)
    lost = "dcmesh: this pod has lost its data, and does not begin anew: make dc1 the primary, if that has them\n"
    assert fetch(pod, served) == (1, lost)
    assert not served.told
    (pod.directory / "dcmesh/role/primary").write_text("dc1")
    assert fetch(pod, served)[0] == 0
    assert pod.copy.exists()


# --- who serves ------------------------------------------------------------------------------------------------------


def answer(pod: Pod, told: str, *, meanwhile: str = ":", alone: bool = False) -> tuple[int, str]:
    """Have it answer a connection, on which it is told something; return its status, and what it sends and says.

    Args:
        pod: the pod.
        told: the line.
        meanwhile: what happens when a backup is about to begin.
        alone: that of Programs.run.
    """
    (pod.state / "told").write_text(f"{told}\n")
    before = f"set -- answer\nexec <'{pod.state}/told'\n"
    changes = {"$(head -c 32 /dev/urandom | sha256sum)": NUMBER, 'echo "bytes': f'{meanwhile}\necho "bytes'}
    return pod.run("copies.sh", before, changes, alone=alone)


@pytest.mark.parametrize("user", PASSWORDS)
def test_a_backup_is_served_to_a_follower_and_ends_with_its_mark(pod: Pod, user: str) -> None:
    status, sent = answer(pod, proof(user))
    assert status == 0, sent
    lines = [line for line in sent.splitlines() if not line.startswith("dcmesh: ")]
    assert lines == [GREETING.rstrip(), "bytes 5242880", "THE-BACKUP", "dcmesh-complete"]
    assert not [call for call in [*pod.calls, sent] if any(password in call for password in PASSWORDS.values())]


def test_a_backup_is_whole_however_late_its_mark_is(pod: Pod) -> None:
    """By then what guards it has ended, and there is nothing left to be killed."""
    (pod.state / "late").touch()
    status, sent = answer(pod, proof("replication"))
    assert (status, "\ndcmesh-complete\n" in sent) == (0, True)


@pytest.mark.parametrize(
    "told", ["", "0" * 64, proof("replication", "1" * 64), "$(touch x)", f"{proof('replication')} x", "*"]
)
def test_nobody_else_is_served(pod: Pod, told: str) -> None:
    status, sent = answer(pod, told)
    assert status == 1
    assert sent.splitlines()[0::2] == [GREETING.rstrip(), "refused"]
    assert not [call for call in pod.calls if call.startswith("mariadb-backup")]


@pytest.mark.parametrize("told", [sha256(NUMBER.encode()).hexdigest(), proof("replication_local")])
def test_no_password_is_nobodys(pod: Pod, told: str) -> None:
    (pod.directory / "dcmesh/passwords/replication").write_text("")
    assert answer(pod, told)[0] == (told != proof("replication_local"))


@pytest.mark.parametrize("state", ["locked", "silent"])
def test_one_is_served_at_a_time_and_by_a_server_that_is_there(pod: Pod, state: str) -> None:
    (pod.state / state).touch()
    assert answer(pod, proof("replication")) == (0, f"{GREETING}busy\n")


def test_a_backup_that_fails_has_no_mark(pod: Pod) -> None:
    (pod.state / "fails").touch()
    status, sent = answer(pod, proof("replication"))
    assert status != 0
    assert "THE-BACKUP" in sent
    assert "dcmesh-complete" not in sent


@pytest.mark.parametrize("how", ["waits", "silent"])
def test_a_backup_that_writers_wait_for_is_ended(pod: Pod, how: str) -> None:
    (pod.state / "slow").touch()
    happens = f"echo 3 >{pod.state}/waiting" if how == "waits" else f": >{pod.state}/silent"
    status, sent = answer(pod, proof("replication"), meanwhile=happens, alone=True)
    assert status != 0
    assert "dcmesh: ends a backup: writers wait for it, or the server does not answer" in sent
    assert "dcmesh-complete" not in sent


@pytest.mark.parametrize(
    ("info", "waits"),
    [("INSERT INTO shop.rows VALUES (1)", 1), (None, 1), ("BACKUP STAGE BLOCK_COMMIT", 0)],
    ids=["a writer", "a channel", "the backup"],
)
def test_who_waits_for_a_backup(pod: Pod, info: str | None, waits: int) -> None:
    """A channel that waits has no statement. SQLite reads the question as MariaDB does."""
    assert answer(pod, proof("replication"))[0] == 0
    question = "\n".join(pod.calls).partition("SELECT COUNT(*)")[2].partition("BACKUP %'")[0]
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("ATTACH ':memory:' AS information_schema")
        database.execute("CREATE TABLE information_schema.PROCESSLIST (STATE TEXT, INFO TEXT)")
        database.execute("INSERT INTO PROCESSLIST VALUES ('Waiting for backup lock', ?), (NULL, NULL)", (info,))
        assert database.execute(f"SELECT COUNT(*) {question}BACKUP %'").fetchone() == (waits,)


def test_without_the_programs_it_serves_none_and_does_not_end_the_pod(pod: Pod) -> None:
    ended = "sleep() { exit 7; }\n"
    status, said = pod.run("copies.sh", ended)
    assert (status, said) == (7, "dcmesh: serves no backup: the image has no socat\n")


def test_nothing_is_left_of_who_served_and_was_killed(pod: Pod) -> None:
    """What is left would keep the lock, and no backup would be served any more."""
    (pod.state / "told").write_text(f"{proof('replication')}\n")
    before = f"set -- answer\nexec <'{pod.state}/told'\n"
    changes = {"$(head -c 32 /dev/urandom | sha256sum)": NUMBER, 'wait "$backup"': "kill -KILL $$"}
    began = time.monotonic()
    pod.run("copies.sh", before, changes)  # which ends with all that it has begun
    assert time.monotonic() - began < 30
