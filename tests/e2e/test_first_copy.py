"""A replica's first copy by mariadb-backup, of 4 GiB: under a writer, cut off, held up. bench/first_copy times it."""
# ruff: noqa: S608 - SQL is the tests' own

import re
import time
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

import pytest

from .lost_data import has_copied, lose, words
from .toolbox import (
    MARIADB,
    Database,
    Kubectl,
    Lab,
    Project,
    eventually,
    lab_config,
    lab_for_a_while,
    standing,
)
from .writers import SHOP, begin, pause

pytestmark = pytest.mark.soak(
    proves=(
        "components/databases/mariadb.py",
        "components/databases/mariadb_backup.sh",
        "components/databases/mariadb_copies.sh",
        "components/databases/mariadb_fetch.sh",
        "components/databases/mariadb_prepare.sh",
        "components/databases/mariadb_server.sh",
        "components/databases/mariadb_source.sh",
        "components/databases/mariadb_token.sh",
    )
)

ROWS = 3840
"""Rows of a MiB each, which do not compress. With another of 256 they are 4 GiB."""

PROGRESS = re.compile(r"copies \S+ \d+ of about \d+ MiB, \d+ MiB/s, about \d+ s left")

EGRESS = {"namespace": "dcmesh-egress", "serviceAccount": "egress"}


def config() -> dict[str, Any]:
    """Return a source and a replica, with gateways at both ends, whose first copies are backups."""
    database = {"kind": "mariadb", "image": MARIADB, "replicas": 1, "sidecar": False, "firstCopy": "backup"}
    database |= {"storage": {"size": "8Gi"}, "settings": {"max_allowed_packet": "1G", "innodb_log_file_size": "1G"}}
    source = {
        "name": "dc1",
        "cluster": "k3d",
        "gateway": {"replicas": 1},
        "workloads": [{**database, "namespace": "wookie"}],
        "exports": [
            {
                "name": "db",
                "termination": "gateway",
                "namespace": "wookie",
                "replicas": 1,
                "ports": [{"port": 3306}, {"port": 4444}],
                "consumers": [{"site": "dc2", **EGRESS}],
            }
        ],
    }
    follows = {"from": "dc1", "export": "db"}
    way = {"egress": "gateway", "hostNamespace": "wookie", "clients": [{"namespace": "wookie-dr"}]}
    replica = {
        "name": "dc2",
        "cluster": "k3d",
        "workloads": [{**database, "namespace": "wookie-dr", "replicas": 2, "replicates": follows}],
        "imports": [{**follows, **EGRESS, **way}],
    }
    return lab_config() | {"dcmesh:sites": [source, replica]}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    yield from lab_for_a_while("first-copy")


@pytest.fixture(scope="module")
def pair(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with standing(lab, tmp_path_factory.mktemp(lab.name), config()) as project:
        yield project


@pytest.fixture(scope="module")
def source(sites: dict[str, Kubectl]) -> Database:
    """The source, with what a dump stumbles over, and a writer that never stops."""
    source = Database(sites["dc1"], "wookie", "db-0")
    source(SHOP)
    source(
        "CREATE TABLE shop.gone (a INT); CREATE VIEW shop.broken AS SELECT a FROM shop.gone; DROP TABLE shop.gone;"
        "CREATE TABLE shop.old (a INT) ENGINE = MyISAM; INSERT INTO shop.old VALUES (7);"
        "CREATE TABLE shop.large (a LONGBLOB); INSERT INTO shop.large VALUES (REPEAT('''', 256 << 20));"
        "CREATE TABLE shop.filled (a INT PRIMARY KEY, b MEDIUMBLOB)"
    )
    for first in range(0, ROWS, 60):
        # Not by replication: what copies them later is a first copy.
        some = f"SELECT seq, REPEAT(RANDOM_BYTES(1024), 1024) FROM shop.seq_{first}_to_{first + 59}"
        source(f"SET sql_log_bin = 0; INSERT INTO shop.filled {some}")
    return source


@pytest.fixture(scope="module")
def writer(source: Database) -> tuple[str, ...]:
    return begin(source.site, "writer", "wookie", "dc1", "db-0.db")


@pytest.fixture(scope="module")
def replica(sites: dict[str, Kubectl]) -> Database:
    return Database(sites["dc2"], "wookie-dr", "db-0")


FEW = "SELECT CRC32(a) FROM shop.large; SELECT a FROM shop.old"
ALL = f"SELECT COUNT(*) FROM shop.filled; SELECT SUM(CRC32(b)) FROM shop.filled WHERE a % 40 = 0; {FEW}"


def lasted(replica: Database) -> tuple[float, float]:
    """Return for how many seconds a backup came, and for how many it was prepared."""
    at = dict[str, datetime]()
    for when, said in re.findall(r"^(\S+) dcmesh: (\w+)", words(replica, "fetch", times=True), re.MULTILINE):
        at.setdefault(said, datetime.fromisoformat(when))
    return (at["prepares"] - at["copies"]).total_seconds(), (at["has"] - at["prepares"]).total_seconds()


def same(source: Database, replica: Database, checks: str = ALL) -> bool:
    """Tell whether the replica has all that the source had, and follows."""
    return replica.follows() and source(checks) == replica(checks, check=False)


def test_the_first_copy_of_all_was_a_backup(source: Database, replica: Database) -> None:
    follower = Database(replica.site, "wookie-dr", "db-1")
    for pod in (replica, follower):
        assert "dcmesh: has copied db-0.db.wookie" in words(pod, "fetch")
        assert has_copied(pod)
        eventually(f"{pod.pod} has what the source has", partial(same, source, pod, FEW), within=300)


def test_a_copy_under_a_writer(pair: Project, source: Database, replica: Database, writer: tuple[str, ...]) -> None:
    lose(replica)
    told = set[str]()

    def prepared() -> bool:
        found = [problem["text"] for problem in pair.status()["problems"]]
        told.update(text for text in found if PROGRESS.search(text))
        return replica.ready()

    began = time.monotonic()
    eventually("the replica is back", prepared, within=600)
    came, made = lasted(replica)
    print(f"{time.monotonic() - began:.0f} s until the replica was ready; status: {sorted(told)}")
    print(f"the backup came in {came:.0f} s, and was prepared in {made:.0f} s")
    assert told
    eventually("it has what the source has", lambda: same(source, replica), within=60)
    longest = pause(source.site, writer)
    assert longest < 6
    print(f"no row of the writer was committed for {longest:.2f} s at most")
    rows = "SELECT COUNT(*) FROM shop.written"
    eventually("it follows the writer", lambda: abs(int(source(rows)) - int(replica(rows))) < 100, within=60)


def test_a_copy_that_is_cut_off_or_held_up(source: Database, replica: Database, writer: tuple[str, ...]) -> None:
    lose(replica)
    copying = re.compile(r"copies .* [1-9]\d* of about")
    eventually("it copies", lambda: copying.search(words(replica, "fetch")), within=120)
    source.site(
        "exec", "--namespace", "wookie", "db-0", "--container", "copies", "--", "pkill", "-KILL", "mariadb-backup"
    )
    again = "is begun again"
    eventually("it begins again", lambda: again in words(replica, "fetch"), within=60)
    eventually("it copies again", lambda: copying.search(words(replica, "fetch").rpartition(again)[2]), within=120)
    fetch = ("exec", "--namespace", "wookie-dr", "db-0", "--container", "fetch", "--")
    replica.site(*fetch, "pkill", "-STOP", "mbstream")
    time.sleep(25)
    replica.site(*fetch, "pkill", "-CONT", "mbstream")
    eventually("the replica is back", replica.ready, within=600)
    eventually("it has what the source has", lambda: same(source, replica), within=60)
    assert pause(source.site, writer) < 6


def test_nobody_gets_a_backup_without_a_password(source: Database) -> None:
    script = "exec 3<>/dev/tcp/db-0.db/4444; read -r said <&3; echo ${said:0:13}; printf '%064d\\n' 0 >&3; cat <&3"
    said = source.site(
        "exec", "--namespace", "wookie", "writer", "--", "timeout", "20", "bash", "-c", script, check=False
    )
    assert said.split("\n") == ["dcmesh-copy 1", "refused"]
