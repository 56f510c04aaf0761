"""Replication between the sites: what is written in dc1 is in dc2, whatever happens to pods, volumes and passwords."""
# ruff: noqa: S608 - the SQL is the tests' own

import base64
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.lost_data import lose
from tests.e2e.toolbox import Database, Kubectl, Project, database_passwords, eventually, log_in

HOST = "db-0.db.wookie.svc.cluster.local"
NAMESPACES = {"dc1": "wookie", "dc2": "wookie-dr"}

PATIENCE = 120
"""Seconds for a pod to start on a busy machine."""


@pytest.fixture(scope="module")
def primary(sites: dict[str, Kubectl]) -> Database:
    database = Database(sites["dc1"], "wookie", "db-0")
    database("CREATE DATABASE shop; CREATE TABLE shop.notes (text VARCHAR(50) PRIMARY KEY)")
    return database


@pytest.fixture(scope="module")
def remote(sites: dict[str, Kubectl]) -> Database:
    """The replica in dc2."""
    return Database(sites["dc2"], "wookie-dr", "db-0")


@pytest.fixture(scope="module")
def replicas(sites: dict[str, Kubectl], remote: Database) -> tuple[Database, ...]:
    return remote, *(Database(sites["dc1"], "wookie", f"db-{n}") for n in (1, 2))


def write(primary: Database, text: str) -> None:
    primary(f"INSERT INTO shop.notes VALUES ('{text}')")


def has(database: Database, text: str) -> bool:
    return database(f"SELECT text FROM shop.notes WHERE text = '{text}'", check=False) == text


def uid(database: Database) -> str:
    """Return the UID of the pod with this name; empty if there is none."""
    which = ("get", "pod", database.pod, "--namespace", database.namespace)
    return database.site(*which, "--ignore-not-found", "--output", "jsonpath={.metadata.uid}")


def follows_again(database: Database) -> bool:
    return database.ready() and database.follows()


# The channel


def test_rows_of_the_primary_arrive_at_every_replica(primary: Database, replicas: tuple[Database, ...]) -> None:
    write(primary, "to all")
    for replica in replicas:
        eventually(f"{replica.pod} of {replica.namespace} has the row", lambda r=replica: has(r, "to all"))


def test_the_other_site_follows_the_imported_name_by_gtid(primary: Database, remote: Database) -> None:
    channel = remote.channel()
    assert channel["Master_Host"] == HOST
    assert channel["Using_Gtid"] == "Slave_Pos"
    write(primary, "counted")
    written = primary("SELECT @@GLOBAL.gtid_binlog_pos")
    eventually("dc2 has applied it", lambda: remote("SELECT @@GLOBAL.gtid_slave_pos") == written)


def test_an_ordinary_user_can_write_to_the_primary_alone(primary: Database, replicas: tuple[Database, ...]) -> None:
    primary("CREATE USER shopper@'%' IDENTIFIED BY 'ordinary'; GRANT ALL PRIVILEGES ON shop.* TO shopper@'%'")

    def attempt(database: Database) -> str:
        sql = f"INSERT INTO shop.notes VALUES ('by a shopper, at {database.namespace} {database.pod}')"
        return log_in(database.site, database.inside, "127.0.0.1", "shopper", "ordinary", sql=sql)

    assert attempt(primary) == ""
    for replica in replicas:
        assert "--read-only" in eventually(
            "the user is there", lambda r=replica: (a := attempt(r)) * ("denied" not in a)
        )


def test_a_channel_without_traffic_is_known_to_live(remote: Database) -> None:
    """Heartbeats tell. Without them, a cut that nobody reports would look like a source without new transactions."""

    def beats() -> int:
        return int(remote.channel()["Slave_received_heartbeats"])

    before = beats()
    eventually("heartbeats arrive", lambda: beats() > before + 1)
    assert int(remote("SELECT @@GLOBAL.slave_net_timeout")) <= 10


def test_a_second_up_changes_nothing(pair: Project) -> None:
    pair.up("--expect-no-changes")


def test_a_refresh_finds_no_drift(pair: Project) -> None:
    pair.pulumi("refresh", "--yes", "--expect-no-changes")


# Pods and volumes that are lost


def test_a_restarted_primary_keeps_its_data_and_is_followed_on(
    primary: Database, replicas: tuple[Database, ...]
) -> None:
    write(primary, "before the restart")
    before = uid(primary)
    primary.site("delete", "pod", primary.pod, "--namespace", primary.namespace)
    eventually("there is a new pod", lambda: uid(primary) not in ("", before) and primary.ready(), within=PATIENCE)
    assert has(primary, "before the restart")
    write(primary, "after the restart")
    for replica in replicas:
        eventually(f"{replica.pod} follows on", lambda r=replica: has(r, "after the restart"), within=60)


def test_a_replica_that_lost_its_data_copies_them_again(primary: Database, remote: Database) -> None:
    primary(
        "USE shop; CREATE TABLE counted (number INT);"
        " CREATE TRIGGER doubled BEFORE INSERT ON counted FOR EACH ROW SET NEW.number = 2 * NEW.number"
    )
    write(primary, "before the copy")
    eventually("the row has arrived", lambda: has(remote, "before the copy"))
    lose(remote, "--force", "--grace-period=0")
    write(primary, "since")
    eventually("dc2 follows again", lambda: follows_again(remote), within=PATIENCE)
    eventually("dc2 has caught up", lambda: has(remote, "since"))
    assert has(remote, "before the copy")
    assert remote("SELECT TRIGGER_SCHEMA FROM information_schema.TRIGGERS WHERE TRIGGER_NAME = 'doubled'") == "shop"
    assert f"copies {HOST}" in remote.site("logs", *remote.inside[:3], "--container", "prepare")


BIG = "/var/lib/mysql/data/shop/big.ibd"
FREEZE_HALF_WAY = f"""
until [ "$(stat --format=%s {BIG} 2>/dev/null || echo 0)" -gt 5000000 ]; do :; done
kill -STOP $(pidof mariadb-dump) && stat --format=%s {BIG}
"""


def test_a_copy_that_was_interrupted_is_begun_again(primary: Database, remote: Database) -> None:
    primary("CREATE TABLE shop.big SELECT seq, REPEAT(MD5(seq), 30) AS text FROM shop.seq_1_to_40000")
    lose(remote, "--force", "--grace-period=0")
    prepare = (*remote.inside[:3], "--container", "prepare")
    freeze = ("timeout", "30", "bash", "-c", FREEZE_HALF_WAY)
    copied = eventually(
        "the copy is half-way", lambda: remote.site("exec", *prepare, "--", *freeze, check=False), within=PATIENCE
    )
    assert int(copied) < int(primary.site("exec", *primary.inside, "--", "stat", "--format=%s", BIG))
    before = uid(remote)
    remote.site("delete", "pod", remote.pod, "--namespace", remote.namespace, "--force", "--grace-period=0")
    eventually("there is a new pod", lambda: uid(remote) not in ("", before), within=PATIENCE)
    eventually("dc2 follows again", lambda: follows_again(remote), within=PATIENCE)
    checksum = "SELECT COUNT(*), SUM(CRC32(text)) FROM shop.big"
    assert remote(checksum) == primary(checksum)


# Passwords and growth


@pytest.fixture(scope="module")
def command_lines() -> Iterator[set[str]]:
    """The command lines of all processes of the machine, and so of all pods, collected from here on."""
    seen: set[str] = set()
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.2):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):  # The process has ended.
                    seen.add(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))

    thread = threading.Thread(target=look)
    thread.start()
    yield seen
    done.set()
    thread.join()


Passwords = dict[str, dict[str, dict[str, str]]]
"""By `old` and `new`, site and user."""


@pytest.fixture(scope="module")
def passwords(pair: Project, sites: dict[str, Kubectl], primary: Database, command_lines: set[str]) -> Passwords:
    """The passwords that the stack made, and those that replaced them by configuration.

    The same `up` adds a replica, which has to copy from one that does not know the new passwords yet.
    """

    def current() -> dict[str, dict[str, str]]:
        return {site: database_passwords(sites[site], namespace) for site, namespace in NAMESPACES.items()}

    old = current()
    for path in (
        "dcmesh:sites[0].workloads[0].rootPassword",
        "dcmesh:sites[1].workloads[0].rootPassword",
        "dcmesh:sites[0].workloads[0].replicationPassword",  # dc2 uses the password of the database that it follows.
    ):
        pair.pulumi("config", "set", "--secret", "--path", path, stdin=secrets.token_hex(12))
    write(primary, "before the second")
    with pair.edit() as config:
        config["dcmesh:sites"][1]["workloads"][0]["replicas"] = 2
    pair.up("--skip-preview")
    return {"old": old, "new": current()}


def test_a_changed_root_password_is_the_only_one_that_counts(
    passwords: Passwords, primary: Database, replicas: tuple[Database, ...]
) -> None:
    for database in (primary, *replicas):
        (site,) = (site for site, namespace in NAMESPACES.items() if namespace == database.namespace)
        answers = [
            log_in(database.site, database.inside, "127.0.0.1", "root", passwords[age][site]["root"])
            for age in ("old", "new")
        ]
        assert "ERROR 1045" in answers[0], "and there was none"
        assert answers[1] == database.pod


@pytest.mark.parametrize(
    "sql",
    [
        "FLUSH TABLES WITH READ LOCK",
        "LOCK TABLES dcmesh.primary_site WRITE",
        "SELECT * FROM mysql.global_priv",
        "SELECT * FROM mysql.user",
        "DROP EVENT IF EXISTS dcmesh.x",
        "UPDATE dcmesh.primary_site SET term = 9",
    ],
)
def test_the_user_of_the_channel_may_do_nothing_else(remote: Database, sql: str) -> None:
    password = database_passwords(remote.site, remote.namespace)["replication"]
    assert re.search(
        r"ERROR (1044|1142|1227) ", log_in(remote.site, remote.inside, HOST, "replication", password, sql=sql)
    )


def test_a_changed_replication_password_reaches_both_ends(
    passwords: Passwords, primary: Database, remote: Database, replicas: tuple[Database, ...]
) -> None:
    (old,), (new,) = ({site["replication"] for site in passwords[age].values()} for age in ("old", "new"))
    assert "ERROR 1045" in log_in(remote.site, remote.inside, HOST, "replication", old)
    assert log_in(remote.site, remote.inside, HOST, "replication", new) == "db-0"
    write(primary, "with another password")
    for replica in replicas:
        eventually(f"{replica.pod} follows", lambda r=replica: has(r, "with another password"), within=60)


@pytest.mark.usefixtures("passwords")
def test_a_second_replica_in_the_other_site_follows_the_first(primary: Database, remote: Database) -> None:
    second = Database(remote.site, remote.namespace, "db-1")
    eventually("the second follows", lambda: follows_again(second), within=PATIENCE)
    assert second.channel()["Master_Host"] == "db-0.db.wookie-dr.svc.cluster.local"
    assert has(second, "before the second")
    write(primary, "to the second, too")
    eventually("the row arrives", lambda: has(second, "to the second, too"))


@pytest.mark.usefixtures("passwords")
def test_a_channel_that_cannot_be_made_tells_no_password(sites: dict[str, Kubectl]) -> None:
    """Both a pod's start and a switchover make it.

    The client prints the statement that fails, here because the channel runs.
    """
    again = (
        '. /etc/dcmesh/settings/server.sh && echo "EXECUTE IMMEDIATE @channel;" | cat "$run/channel.sql" - |'
        ' mariadb --socket="$run/mysqld.sock" 2>&1'
    )
    pod = ("exec", "--namespace", NAMESPACES["dc2"], "db-0", "--container", "mariadb", "--", "bash", "-c")
    assert "MASTER_PASSWORD" in sites["dc2"](*pod, "cat /run/mysqld/channel.sql"), "otherwise there is nothing to keep"
    assert "MASTER_PASSWORD" not in sites["dc2"](*pod, f"{again}; true")
    assert sites["dc2"](*pod, f"({again} | only_error) 2>&1; true") == "ERROR 1198 (HY000)"


def test_no_password_can_be_read_but_in_the_secrets(
    pair: Project, sites: dict[str, Kubectl], passwords: Passwords, command_lines: set[str]
) -> None:
    """This test comes last, so that copies have been made and passwords changed by now."""
    plain = {word for age in passwords.values() for site in age.values() for word in site.values() if word}
    assert len(plain) == 6, "within each site there is one more, which no `up` changes"
    words = {form for word in plain for form in (word, base64.b64encode(word.encode()).decode())}
    places = {
        "command lines": "\n".join(command_lines),
        "outputs": pair.pulumi("stack", "output", "--json"),
        "state": pair.pulumi("stack", "export"),
        "stack file": pair.stack_file.read_text(),
    }
    for name, site in sites.items():
        scope = ("--namespace", NAMESPACES[name])
        for kind in ("pods", "statefulsets", "configmaps", "events"):
            places[f"{kind} of {name}"] = site("get", kind, *scope, "--output", "yaml")
        for container in ("prepare", "mariadb"):
            every = ("--selector", "app=db", "--tail=-1", "--container", container)
            places[f"logs of {container} of {name}"] = site("logs", *scope, *every)
    assert [place for place, text in places.items() if any(word in text for word in words)] == []
    # The search looked in the right places: each holds what was expected there.
    assert "mariadb-dump --defaults-file=" in places["command lines"]
    assert "copied up to" in places["logs of prepare of dc2"]
    for place in ("logs of mariadb of dc1", "logs of mariadb of dc2"):
        assert "ready for connections" in places[place]
    assert any(word in pair.pulumi("stack", "export", "--show-secrets") for word in words)
