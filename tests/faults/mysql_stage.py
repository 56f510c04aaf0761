"""The scene of MySQL's faults: two clusters of Percona's operator, with gateways at both ends. They have no Galera."""

import secrets
import subprocess
import time
from pathlib import Path
from typing import Any

from lab.toolchain import PXC
from tests.e2e.test_pxc import LITTLE, PODS
from tests.e2e.toolbox import Kubectl, Lab, Project, eventually, example, start

from .figures import Sample
from .stage import (
    GATEWAY,
    INTERVAL,
    REPLICA,
    SOURCE,
    WRITER,
    GoneError,
    Observer,
    Session,
    Site,
    Stage,
    Writer,
)

FIRST, SECOND, _ = PODS
"""The source that the channel has first, and the one that it goes to next: there the writer writes."""

NODES = "app.kubernetes.io/component=pxc"
UNHURRIED = {"sync_binlog": "0", "innodb_flush_log_at_trx_commit": "2"}
"""The kernel decides when rows get to the disk, which six servers share. One that is killed loses nothing by that."""

REST = 0.05
"""Seconds between two commits. Six servers on two cores take over each row, and need time for what a fault asks."""

CLIENT = ("mysql", "--user=root", "--socket=/var/lib/mysql/mysql.sock", "--batch")


def configuration() -> dict[str, Any]:
    """Return examples/pxc-gateways.yaml for the lab, with two gateway pods."""
    config = example("pxc-gateways")
    dc1, dc2 = config["dcmesh:sites"]
    for site in dc1, dc2:
        site["cluster"] = "k3d"  # which a lab's project makes in its own way
        site["workloads"][0] |= {"storage": {"size": "2Gi"}, "settings": UNHURRIED, "spec": LITTLE}
    dc1["gateway"] = {"replicas": 2}
    return config


class MySQLSite(Site):
    """One site, whose database is a cluster of Percona's operator."""

    def sql(self, statement: str, pod: str = FIRST) -> str:
        """Run a statement on a node as root. Return lines of columns."""
        client = f"MYSQL_PWD=$MYSQL_ROOT_PASSWORD exec {' '.join(CLIENT)} --skip-column-names"
        return self.exec(pod, "pxc", "bash", "-c", client, stdin=statement)


class MySQLWriter(Writer):
    """The pod that commits numbered rows, on the node that the channel goes to when its first source is gone."""

    _process: subprocess.Popen[bytes]

    def start(self) -> None:
        """Make the database, the user and the pod. From now on rows are written."""
        password = secrets.token_hex(16)
        self.site.sql(
            "CREATE DATABASE faults;"
            # There is no unique key, so a row that is applied twice exists twice.
            "CREATE TABLE faults.numbered (n BIGINT NOT NULL, KEY highest (n));"
            f"CREATE USER writer@'%' IDENTIFIED BY '{password}'; GRANT ALL PRIVILEGES ON faults.* TO writer@'%';",
            SECOND,
        )
        image = f"percona/percona-xtradb-cluster:{PXC}"
        inside = start(self.site.kubectl, "writer", self.site.namespace, "default", image=image)
        settings = (
            f"export CLIENT=mysql HOST={SECOND}.db-pxc USER=writer MYSQL_PWD={password} LOG=/dev/stdout REST={REST}\n"
        )
        with (self.directory / "writer").open("wb") as log:
            command = self.site.kubectl.command("exec", "--stdin", *inside, "--", "bash", "-s")
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log)
        assert self._process.stdin is not None
        with self._process.stdin as script:
            script.write((settings + WRITER.read_text()).encode())
        eventually("rows are committed", lambda: self.committed() > 0, within=60)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


class MySQLSession(Session):
    """A client's session on a node of the replica, as root."""

    POD = FIRST
    CONTAINER = "pxc"
    USER = 1001
    CLIENT = CLIENT

    @staticmethod
    def credentials(server: int) -> dict[str, str]:
        return {"MYSQL_PWD": root_password(server)}


def root_password(pid: int) -> str:
    """Return root's password, which a node's processes have in their environment.

    Raises:
        GoneError: the process has ended.
    """
    try:
        variables = Path(f"/proc/{pid}/environ").read_text().split("\0")
    except OSError:
        raise GoneError from None
    return next(
        (value for name, _, value in (v.partition("=") for v in variables) if name == "MYSQL_ROOT_PASSWORD"), ""
    )


class MySQLObserver(Observer):
    """Looks at the replica ten times a second: at its highest row, and at the state of its channel."""

    SESSION = MySQLSession
    LOOK = (
        "SELECT COALESCE(MAX(n), 0) AS highest FROM faults.numbered;"
        "SELECT SERVICE_STATE AS receives FROM performance_schema.replication_connection_status;"
    )

    def follow(self, session: Session) -> None:
        while not self._stop_it.wait(INTERVAL):
            answer = session.ask(self.LOOK)
            if answer[:1] != ["highest"]:
                raise GoneError
            connected = answer[2:] == ["receives", "ON"]  # nothing while the channel is on another node
            self.samples.append(Sample(time.time(), int(answer[1]), connected))


class MySQLStage(Stage):
    """The whole scene: both clusters, the writer and the observer."""

    writer: MySQLWriter

    def __init__(self, project: Project, lab: Lab, kubectl: dict[str, Kubectl], directory: Path) -> None:
        super().__init__(project, lab, kubectl, directory)
        self.source = MySQLSite("dc1", SOURCE, lab, kubectl["dc1"])
        self.replica = MySQLSite("dc2", REPLICA, lab, kubectl["dc2"])
        self.writer = MySQLWriter(self.source, directory)
        self.observer = MySQLObserver(self.replica)

    def start(self) -> None:
        eventually("the channel runs", self.receives, within=75)  # three tries, 10 s apart, then the next source
        self.writer.start()
        for site in self.source, self.replica:
            for pod in PODS:
                # The stand-in for Galera gives up a connection between two nodes after 30 s, and then makes another.
                eventually(f"{pod} of {site.name} has rows", lambda s=site, p=pod: self.has_rows(s, p), within=60)
        self.observer.start()
        eventually("the observer sees rows", lambda: bool(self.observer.samples) and bool(self.observer.last.highest))

    @staticmethod
    def has_rows(site: Site, pod: str) -> bool:
        """Tell whether a node has a row of the writer's."""
        asked = (
            "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'faults' AND table_name = 'numbered'"
        )
        return site.sql(asked, pod) == "1" and site.sql("SELECT COUNT(*) > 0 FROM faults.numbered", pod) == "1"

    def receives(self) -> bool:
        """Tell whether a node of the replica has the channel, and receives."""
        asked = "SELECT SERVICE_STATE FROM performance_schema.replication_connection_status"
        return any(self.replica.sql(asked, pod) == "ON" for pod in PODS)

    def fill_the_way(self) -> None:
        """Commit more than the buffers on the way hold. Unless that gets through, the source waits in a write."""
        # A transaction for each: a node takes over no larger ones than a client of MySQL's sends in one piece.
        self.source.sql(
            "DROP TABLE IF EXISTS faults.filler; CREATE TABLE faults.filler (bytes MEDIUMBLOB NOT NULL);"
            + 48 * "INSERT INTO faults.filler VALUES (REPEAT('x', 1048576));",
            SECOND,
        )

    def channels(self) -> set[str]:
        """Return the source's connections to the replica. Those between nodes stand in for Galera, and do not count."""
        dumps = (
            "SELECT id FROM information_schema.processlist WHERE user = 'replication' AND command LIKE 'Binlog Dump%'"
        )
        return {f"{pod} {number}" for pod in PODS for number in self.source.sql(dumps, pod).split()}

    def well(self) -> bool:
        """Tell whether all nodes and dc1's gateways are ready, the channel runs and rows are committed."""
        return (
            self.observer.last.connected
            and self.source.well(SOURCE, NODES, len(PODS))
            and self.source.well(*GATEWAY, 2)
            and self.replica.well(REPLICA, NODES, len(PODS))
            and len(self.channels()) == 1
            and self.writer.writes()
        )
