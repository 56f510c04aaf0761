"""The part's measurements: a table is copied to the other site by each way, way after way in each round."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.clusters import clusters
from bench.data_path import direct
from bench.data_path.run import Keep, keeper
from bench.first_copy.figures import BACKUP, CASES, COPIED, DUMP, PLAIN_BACKUP, PLAIN_BYTES, PREPARED
from bench.samples import Recorder
from dcmesh.model.gateway import GATEWAY_PORT
from dcmesh.model.mariadb import COPY_PORT
from lab.wan import impair
from tests.e2e import test_first_copy
from tests.e2e.toolbox import Database, Kubectl, Lab, eventually, initialised

LAB = "first-copies"
MOST_ROUNDS = 3
"""A round copies the table twelve times and takes about five minutes."""

HOST = "db-0.db.wookie.svc.cluster.local"

STATEMENTS = 12
FILL = "INSERT INTO shop.filled SELECT @first + seq, REPEAT(MD5(@first + seq), 32) FROM shop.seq_1_to_65536"
"""Rows of 1 KiB, 64 MiB of them. With so many statements its file has 1 GB."""

FILE = "/var/lib/mysql/data/shop/filled.ibd"
"""The table's file, in the source's pod."""

FILE_PORT = 4445
"""The port of the source's pod that gives its bytes."""

SERVE = f"setsid socat -U -b 262144 TCP-LISTEN:{FILE_PORT},reuseaddr,fork OPEN:{FILE},rdonly </dev/null &>/dev/null &"

FETCH = r"""
set -o pipefail
to=$(mktemp -d)
trap 'rm -r "$to"' EXIT
came='echo "came $(stat --format=%.9Y "$received/$COMPLETE")"'
changes="s#/incoming#$to#g; s#/var/lib/mysql/prepared#/nowhere#; s#^restore\$#$came; restore#"
sed "$changes" /etc/dcmesh/settings/fetch.sh >"$to/fetch.sh"
bash "$to/fetch.sh" | while read -r line; do echo "$EPOCHREALTIME $line"; done
"""
"""Fetches a backup as `fetch` does. Prints what that says behind the time, and when the backup's last file had come."""

READ = r"""
to=$(mktemp)
trap 'rm "$to"' EXIT
begun=$EPOCHREALTIME
exec 3<>"/dev/tcp/$0/$1"
cat <&3 >"$to"
echo "$begun $EPOCHREALTIME $(stat --format=%s "$to")"
"""
"""Writes what comes from a host's port to a file."""

TAKE_DUMP = """
set -o errexit -o pipefail
as="--defaults-file=/run/mysqld/source.cnf --max-allowed-packet=1G --quick --single-transaction --skip-lock-tables"
begun=$EPOCHREALTIME
{ echo "SET sql_log_bin = 0; CREATE DATABASE dumped; USE dumped;"; mariadb-dump $as shop filled; } |
  mariadb --socket=/run/mysqld/mysqld.sock --max-allowed-packet=1G --binary-mode
echo "$begun $EPOCHREALTIME"
mariadb --socket=/run/mysqld/mysqld.sock --execute="SET sql_log_bin = 0; DROP DATABASE dumped"
"""
"""Takes a dump as a first copy does, into a database of its own. Prints when it begins and ends."""


def run(record: Recorder, rounds: int) -> None:
    """Measure."""
    with TemporaryDirectory(prefix="first-copy-") as name, clusters(LAB, Path(name)) as sites:
        initialised(Lab(LAB), Path(name), configuration(sites)).up("--skip-preview")
        source, replica = Database(sites["dc1"], "wookie", "db-0"), Database(sites["dc2"], "wookie-dr", "db-0")
        size = filled(source)
        ways = ways_of(source, replica, size)
        for number in range(1, min(rounds, MOST_ROUNDS) + 1):
            for case in CASES:
                impair(LAB, delay=case.delay)
                eventually("the replica follows again", replica.follows, within=60)
                for way, copy in ways.items():
                    copy(keeper(record, way, case.name, number))


def configuration(sites: Mapping[str, Kubectl]) -> dict[str, Any]:
    """Return the configuration of the end-to-end test, with one pod a site and the server's own settings."""
    config = test_first_copy.config()
    for site in config["dcmesh:sites"]:
        site["cluster"] = {"kubeconfig": str(sites[site["name"]].path)}
        for workload in site["workloads"]:
            workload |= {"replicas": 1, "settings": {}}
    return config | {"dcmesh:protect": False}


def filled(source: Database) -> int:
    """Make the table, which the replica does not get. Return the bytes of its file."""
    source("CREATE DATABASE shop; CREATE TABLE shop.filled (a INT PRIMARY KEY, b VARCHAR(1024))")
    for number in range(STATEMENTS):
        source(f"SET sql_log_bin = 0, @first = {number} << 16; {FILL}")
    source("FLUSH TABLES shop.filled FOR EXPORT")  # until its file has all of it
    return int(in_copies(source, "stat", "--format=%s", FILE))


def ways_of(source: Database, replica: Database, size: int) -> dict[str, Callable[[Keep], None]]:
    """Return what copies the table, and keeps its figures, by the name of the way."""
    backups, files = (direct.expose(source.site, source.namespace, port) for port in (COPY_PORT, FILE_PORT))
    in_copies(source, "bash", "-c", SERVE)

    def copied(keep: Keep, seconds: float) -> None:
        keep(COPIED, "GB/min", size / 1e9 / seconds * 60)

    def backup(host: str, port: int) -> Callable[[Keep], None]:
        def fetch(keep: Keep) -> None:
            variables = (f"SOURCE_HOST={host}", f"SOURCE_COPY_PORT={port}")
            came, prepared = times(in_copies(replica, "env", *variables, "bash", "-c", FETCH))
            copied(keep, came)
            keep(PREPARED, "s", prepared)

        return fetch

    def read(keep: Keep) -> None:
        begun, done, came = in_copies(replica, "bash", "-c", READ, files, str(GATEWAY_PORT)).split()
        if int(came) != size:
            raise RuntimeError(f"of {size} bytes {came} came")
        copied(keep, float(done) - float(begun))

    return {
        BACKUP: backup(HOST, COPY_PORT),
        PLAIN_BACKUP: backup(backups, GATEWAY_PORT),
        PLAIN_BYTES: read,
        DUMP: lambda keep: copied(keep, dumped(replica)),
    }


def dumped(replica: Database) -> float:
    """Take a dump of the table as a first copy does; return how many seconds it took."""
    begun, done = replica.site("exec", *replica.inside, "--", "bash", "-c", TAKE_DUMP).split()
    return float(done) - float(begun)


def in_copies(database: Database, *command: str) -> str:
    """Run a command in the container that serves a pod's backups, which reads the data and has the passwords."""
    return database.site(
        "exec", "--namespace", database.namespace, database.pod, "--container", "copies", "--", *command
    )


def times(said: str) -> tuple[float, float]:
    """Return for how many seconds a backup came, and for how many it was prepared, from what FETCH has printed."""

    def last(words: str) -> tuple[str, str]:
        found: list[tuple[str, str]] = re.findall(rf"^(\S+) {words}(.*)", said, re.MULTILINE)
        if not found:
            raise RuntimeError(f"a backup was not fetched:\n{said}")
        return found[-1]

    begun, _ = last(r"dcmesh: copies \S+: about ")
    waiting, came = last("came ")
    done, _ = last("dcmesh: has copied ")
    return float(came) - float(begun), float(done) - float(waiting)
