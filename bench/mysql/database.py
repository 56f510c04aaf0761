"""A source and its replica, of MySQL: the server of both, a client's session, and what MySQL says otherwise."""

from typing import Any

from bench.data_path import direct
from bench.data_path.database import Pair
from components.databases.mariadb import first_server_id
from components.workloads.namespace_and_account import pod_labels
from lab.toolchain import MYSQL_DATA, PXC
from tests.faults.stage import Session

IMAGE = f"percona/percona-xtradb-cluster:{PXC}"
"""The lab's image of this name has Oracle's MySQL, without Galera."""

CONTAINER = "mysql"
MYSQL_USER = 1001
POD_USER = {"runAsUser": MYSQL_USER, "runAsGroup": MYSQL_USER, "fsGroup": MYSQL_USER}

HOME = "/var/lib/mysql"
DATA = f"{HOME}/data"
SOCKET = f"{HOME}/mysql.sock"

OPTIONS = {
    "datadir": DATA,
    "socket": SOCKET,
    "gtid_mode": "ON",
    "enforce_gtid_consistency": "ON",
    "log_bin": "bin",
    "relay_log": "relay",
    "skip_name_resolve": "ON",
    "mysqlx": "OFF",
    "secure_file_priv": "",  # its directory is not in the image
    "performance_schema": "OFF",
    "innodb_buffer_pool_size": "256M",
    "innodb_redo_log_capacity": "256M",
    **direct.TLS_OPTIONS,
}

BEGIN = f'[ -e {DATA} ] || cp --recursive {MYSQL_DATA} {DATA} && exec mysqld --no-defaults "$@"'

PROCEDURES = """
DELIMITER //
CREATE PROCEDURE bench.fill(IN megabytes INT)
BEGIN
  WHILE megabytes > 0 DO
    INSERT INTO bench.bulk (text)
      WITH RECURSIVE seq (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM seq WHERE n < 64)
      SELECT REPEAT(SHA2(n, 256), 256) FROM seq;
    SET megabytes = megabytes - 1;
  END WHILE;
END //
CREATE PROCEDURE bench.commits(IN count INT, IN pause DOUBLE)
BEGIN
  DECLARE i INT DEFAULT 0;
  SET @times = UNIX_TIMESTAMP(SYSDATE(6));
  WHILE i < count DO
    SET i = i + 1;
    INSERT INTO bench.small (text) VALUES (REPEAT(SHA2(i, 256), 3));
    SET @times = CONCAT(@times, ' ', UNIX_TIMESTAMP(SYSDATE(6)));
    DO SLEEP(pause);
  END WHILE;
  SELECT @times;
END //
CREATE PROCEDURE bench.arrivals(IN server VARCHAR(36), IN after BIGINT, IN count INT)
BEGIN
  DECLARE i INT DEFAULT 0;
  SET @times = '';
  WHILE i < count DO
    SET i = i + 1;
    DO WAIT_FOR_EXECUTED_GTID_SET(CONCAT(server, ':', after + i), 60);
    SET @times = CONCAT(@times, ' ', UNIX_TIMESTAMP(SYSDATE(6)));
  END WHILE;
  SELECT @times;
END //
DELIMITER ;
"""
"""The same as MariaDB's, with SHA2: this MySQL has MD5 only as a component."""


def servers(site: str, namespace: str) -> dict[str, Any]:
    """Return the spec of the StatefulSet. Its only pod has no volume that lasts."""
    options = {**OPTIONS, "server_id": first_server_id(site, namespace, direct.NAME)}
    ping = {"command": ["mysqladmin", "--no-defaults", "--user=root", f"--socket={SOCKET}", "ping"]}
    container = {
        "name": CONTAINER,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["bash", "-c", BEGIN, "mysqld", *(f"--{name}={value}" for name, value in options.items())],
        "readinessProbe": {"exec": ping, "periodSeconds": 10, "timeoutSeconds": 10},
        "volumeMounts": [{"name": "data", "mountPath": HOME}, {"name": "tls", "mountPath": direct.TLS}],
    }
    spec = {
        "serviceAccountName": direct.NAME,
        "securityContext": POD_USER,
        "terminationGracePeriodSeconds": 2,
        "containers": [container],
        "volumes": [{"name": "data", "emptyDir": {}}, direct.TLS_VOLUME],
    }
    labels = pod_labels(direct.NAME)
    template = {"metadata": {"labels": labels}, "spec": spec}
    return {"serviceName": direct.NAME, "replicas": 1, "selector": {"matchLabels": labels}, "template": template}


def objects(site: str, namespace: str, tls: tuple[str, str]) -> list[dict[str, Any]]:
    """Return one end's objects."""
    own = direct.made(namespace, "StatefulSet", direct.NAME, "apps/v1", spec=servers(site, namespace))
    return [*direct.around(namespace, tls), own]


class MySQLSession(Session):
    """A client's session on a server, as root."""

    CONTAINER = CONTAINER
    USER = MYSQL_USER
    # Without `--commands` it does not know `\G` in what it reads from a pipe.
    CLIENT = ("mysql", "--no-defaults", "--user=root", f"--socket={SOCKET}", "--commands")


class MySQLPair(Pair):
    """A MySQL in dc1, and its replica in dc2."""

    SESSION = MySQLSession
    SERVER = "mysqld"
    PROCEDURES = PROCEDURES
    STATUS = "SHOW REPLICA STATUS\\G"
    RECEIVES = "Replica_IO_Running"
    WRITTEN = "SHOW BINARY LOG STATUS;"
    EXECUTED = "SELECT @@GLOBAL.gtid_executed;"
    WAIT = "WAIT_FOR_EXECUTED_GTID_SET"

    def begin(self, password: str) -> None:
        """Make the user of replication at the source, and tell the replica of it."""
        user = "replication"
        self._source.ask(
            f"CREATE USER {user}@'%' IDENTIFIED BY '{password}'; GRANT REPLICATION SLAVE ON *.* TO {user}@'%';"
        )
        self._replica.ask(
            f"CHANGE REPLICATION SOURCE TO SOURCE_USER='{user}', SOURCE_PASSWORD='{password}', "
            # Without TLS it encrypts the password with the server's key.
            "GET_SOURCE_PUBLIC_KEY=1, SOURCE_AUTO_POSITION=1, SOURCE_CONNECT_RETRY=1, SOURCE_RETRY_COUNT=600;"
        )

    def follow(self, host: str, port: int, *, tls: bool) -> None:
        """Let the replica follow the source by a way, with or without the database's own TLS."""
        way = f"SOURCE_HOST='{host}', SOURCE_PORT={port}, SOURCE_SSL={int(tls)}"
        self._replica.ask(f"STOP REPLICA; CHANGE REPLICATION SOURCE TO {way}; START REPLICA;")

    def _last(self) -> tuple[str, int]:
        return last(self._position())

    def _has_received(self, position: str) -> bool:
        # What is in the relay log, and what has been applied before there was this relay log.
        both = f"CONCAT('{self._status('Retrieved_Gtid_Set')},', @@GLOBAL.gtid_executed)"
        return self._replica.ask(f"SELECT GTID_SUBSET('{position}', {both});")[1] == "1"

    def _forget_received(self) -> None:
        # With its relay log, MySQL would have only to apply it.
        self._replica.ask("STOP REPLICA; RESET REPLICA;")


def last(position: str) -> tuple[str, int]:
    """Return the server in a set of GTIDs that has only one, and the number of the last transaction."""
    server, _, numbers = position.partition(":")
    return server, int(numbers.rpartition("-")[2])
