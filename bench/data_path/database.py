"""A source and its replica, of MariaDB: what is written, and what arrives when.

All times are the servers' own. Both servers run on one machine, so they have the same clock.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

from tests.faults.stage import Session, Site

TABLES = """
CREATE DATABASE bench;
CREATE TABLE bench.bulk (id INT PRIMARY KEY AUTO_INCREMENT, text MEDIUMTEXT NOT NULL);
CREATE TABLE bench.small (id INT PRIMARY KEY AUTO_INCREMENT, text VARCHAR(200) NOT NULL);
"""
PROCEDURES = """
DELIMITER //
CREATE PROCEDURE bench.fill(IN megabytes INT)
BEGIN
  FOR i IN 1..megabytes DO
    INSERT INTO bench.bulk (text) SELECT REPEAT(MD5(seq), 512) FROM seq_1_to_64;
  END FOR;
END //
CREATE PROCEDURE bench.commits(IN count INT, IN pause DOUBLE)
BEGIN
  SET @times = UNIX_TIMESTAMP(SYSDATE(6));
  FOR i IN 1..count DO
    INSERT INTO bench.small (text) VALUES (REPEAT(MD5(i), 6));
    SET @times = CONCAT(@times, ' ', UNIX_TIMESTAMP(SYSDATE(6)));
    DO SLEEP(pause);
  END FOR;
  SELECT @times;
END //
CREATE PROCEDURE bench.arrivals(IN server VARCHAR(30), IN after BIGINT, IN count INT)
BEGIN
  SET @times = '';
  FOR i IN 1..count DO
    DO MASTER_GTID_WAIT(CONCAT(server, '-', after + i), 60);
    SET @times = CONCAT(@times, ' ', UNIX_TIMESTAMP(SYSDATE(6)));
  END FOR;
  SELECT @times;
END //
DELIMITER ;
"""
"""Rows of 16 KiB, 64 to a transaction, and rows of 200 bytes, one to a transaction."""

LOOK = 0.01
"""Seconds between two checks of how much has been streamed."""


@dataclass(frozen=True, kw_only=True)
class Commits:
    """Small transactions.

    Attributes:
        seconds: the time from the beginning of the first one until the replica had the last one.
        lags: for each one, the milliseconds from its commit until the replica had it.
    """

    seconds: float
    lags: list[float]


class Pair:
    """A database in dc1, and its replica in dc2.

    Attributes:
        SESSION: a client's session on one of them.
        SERVER: the server's program.
        PROCEDURES: what makes the procedures that write, and watch.
        STATUS: asks the replica for the state of its channel.
        RECEIVES: the field of it that tells whether the replica is connected.
        WRITTEN: asks the source for its binary log's name and size.
        EXECUTED: asks the source what it has committed.
        WAIT: the function that waits until a replica has applied that, and returns 0.
    """

    SESSION: ClassVar[type[Session]] = Session
    SERVER: ClassVar = "mariadbd"
    PROCEDURES: ClassVar = PROCEDURES
    STATUS: ClassVar = "SHOW SLAVE STATUS\\G"
    RECEIVES: ClassVar = "Slave_IO_Running"
    WRITTEN: ClassVar = "SHOW MASTER STATUS;"
    EXECUTED: ClassVar = "SELECT @@GLOBAL.gtid_binlog_pos;"
    WAIT: ClassVar = "MASTER_GTID_WAIT"

    def __init__(self, source: Site, replica: Site) -> None:
        """Open a session with each database."""
        self.source = source
        self.replica = replica
        self._source = self.SESSION(source)
        self._replica = self.SESSION(replica)

    def prepare(self, password: str) -> None:
        """Make tables, procedures and the client's users at the source. The replica receives them by replication."""
        users = "".join(
            f"CREATE USER {name}@'%' IDENTIFIED BY '{password}'{how}; GRANT ALL PRIVILEGES ON bench.* TO {name}@'%';\n"
            for name, how in (("bench", ""), ("bench_tls", " REQUIRE SSL"))
        )
        self._source.ask(TABLES + self.PROCEDURES + users)
        self.applied()

    def follows(self) -> bool:
        """Tell whether the replica is connected."""
        return self._status(self.RECEIVES) == "Yes"

    def follow(self, host: str, port: int, *, tls: bool) -> None:
        """Let the replica follow the source by a way, with or without the database's own TLS."""
        way = f"MASTER_HOST='{host}', MASTER_PORT={port}, MASTER_SSL={int(tls)}"
        self._replica.ask(f"STOP SLAVE; CHANGE MASTER TO {way}; START SLAVE;")

    def pause(self) -> None:
        """Stop the replica, until it is to apply something."""
        self._replica.ask("STOP REPLICA;")

    def write(self, megabytes: int) -> float:
        """Write bulk while the replica is stopped. Return the megabytes of binary log that this made."""
        self.applied()
        self.pause()
        self._source.ask(f"FLUSH BINARY LOGS; CALL bench.fill({megabytes});")
        return int(self._source.ask(self.WRITTEN)[1].split("\t")[1]) / 1e6

    def streamed(self) -> float:
        """Return the seconds until the replica has as relay log what was written.

        The relay log is deleted afterwards.
        """
        position = self._position()
        begun = time.perf_counter()
        self._replica.ask("START REPLICA IO_THREAD;")
        while not self._has_received(position):
            time.sleep(LOOK)
        taken = time.perf_counter() - begun
        self._forget_received()
        return taken

    def applied(self) -> float:
        """Return the seconds until the replica has applied what was written. Start the replica if necessary."""
        position = self._position()
        begun = time.perf_counter()
        self._replica.ask("START REPLICA;")
        if self._replica.ask(f"SELECT {self.WAIT}('{position}', 120);")[1] != "0":
            raise RuntimeError(f"the replica does not get to {position}: {self._replica.ask(self.STATUS)}")
        return time.perf_counter() - begun

    def commits(self, count: int, *, pause: float = 0) -> Commits:
        """Commit rows one by one, with this many seconds between them, and watch them arrive."""
        server, number = self._last()
        with ThreadPoolExecutor() as pool:
            arrivals = pool.submit(self._replica.ask, f"CALL bench.arrivals('{server}', {number}, {count});")
            written = self._source.ask(f"CALL bench.commits({count}, {pause});")
            begun, *committed = (float(at) for at in written[1].split())
            arrived = [float(at) for at in arrivals.result()[1].split()]
        lags = [1000 * (there - here) for here, there in zip(committed, arrived, strict=True)]
        return Commits(seconds=arrived[-1] - begun, lags=lags)

    def clear(self) -> None:
        """Remove the rows that were written, and their logs."""
        self._source.ask("TRUNCATE bench.bulk; TRUNCATE bench.small;")
        self.applied()
        for session in (self._source, self._replica):
            session.ask("FLUSH BINARY LOGS; PURGE BINARY LOGS BEFORE NOW();")

    def close(self) -> None:
        """End the sessions."""
        self._source.close()
        self._replica.close()

    def _position(self) -> str:
        return self._source.ask(self.EXECUTED)[1]

    def _last(self) -> tuple[str, int]:
        """Return the source's name in the GTIDs of what it commits, and the number of the last one."""
        server, _, number = self._position().rpartition("-")
        return server, int(number)

    def _has_received(self, position: str) -> bool:
        """Tell whether the replica has everything up to a position as relay log."""
        return self._status("Gtid_IO_Pos") == position

    def _forget_received(self) -> None:
        # Both threads are stopped. The next start begins after the last applied row.
        self._replica.ask("STOP REPLICA;")

    def _status(self, key: str) -> str:
        lines = (line.partition(":") for line in self._replica.ask(self.STATUS))
        return next(value.strip() for name, _, value in lines if name == key)
