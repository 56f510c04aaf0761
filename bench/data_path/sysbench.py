"""sysbench, from Debian's packages, run in a pod's network. It times queries on one connection, and new connections."""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.data_path.figures import PERCENTILES
from lab import parts
from lab.debian import DebianFiles
from lab.parts import Part
from lab.paths import TOOLCHAIN

LIBRARIES = "x86_64-linux-gnu"
SCRIPTS = tuple(f"usr/share/sysbench/{name}.lua" for name in ("oltp_common", "oltp_point_select"))
PARTS = (
    Part("sysbench", 1, DebianFiles("sysbench", ("usr/bin/sysbench", *SCRIPTS))),
    *(
        Part(package, 1, DebianFiles(package, (f"usr/lib/{LIBRARIES}",)))
        for package in ("libaio1", "libluajit-5.1-2", "libmariadb3")
    ),
)

CONNECTIONS = """
function event()
  sysbench.sql.driver():connect():disconnect()
end
"""

BUCKET = re.compile(r" *([\d.]+) \|\** +(\d+)")


@dataclass(frozen=True, kw_only=True)
class Target:
    """A database as a client reaches it.

    Attributes:
        process: a process of the pod whose network the client uses.
        host: address.
        port: port.
        tls: whether the client asks for the database's own TLS.
    """

    process: int
    host: str
    port: int
    tls: bool = False


class Sysbench:
    """The client. It logs in to the database `bench` as `bench`, or as `bench_tls` where it asks for TLS."""

    def __init__(self, directory: Path, *, password: str, tls: tuple[str, str]) -> None:
        """Make the client ready.

        Args:
            directory: an empty directory of its own.
            password: the password of its users.
            tls: the certificate and key that it shows to a server with TLS. It trusts the same certificate.
        """
        made = parts.provide(PARTS, TOOLCHAIN)
        self._program = made["sysbench"].path
        self._directory = directory
        self._environment = os.environ | {
            "LUA_PATH": f"{self._program}/?.lua",
            "LD_LIBRARY_PATH": ":".join(f"{made[part.name].path}/{LIBRARIES}" for part in PARTS[1:]),
            # MySQL's way to log in is a plugin of MariaDB's library.
            "MARIADB_PLUGIN_DIR": f"{made['libmariadb3'].path}/{LIBRARIES}/libmariadb3/plugin",
        }
        # sysbench looks for files with these names in its working directory.
        for name, text in (("client-cert.pem", tls[0]), ("cacert.pem", tls[0]), ("client-key.pem", tls[1])):
            _private(directory / name, text)
        _private(directory / "options", f"mysql-password={password}\nmysql-db=bench\n")
        (directory / "connections.lua").write_text(CONNECTIONS)

    def prepare(self, target: Target) -> None:
        """Make the table that is queried."""
        self._run(target, self._program / "oltp_point_select.lua", "prepare")

    def queries(self, target: Target, *, seconds: float) -> Mapping[int, float]:
        """Select single rows by their key, one after another. Return percentiles in milliseconds."""
        return self._times(target, self._program / "oltp_point_select.lua", f"--time={seconds}")

    def connections(self, target: Target, *, count: int) -> Mapping[int, float]:
        """Connect, log in and leave, again and again. Return percentiles in milliseconds."""
        return self._times(target, self._directory / "connections.lua", "--time=0", f"--events={count}")

    def _times(self, target: Target, script: Path, *options: str) -> Mapping[int, float]:
        times = histogram(self._run(target, script, "run", "--histogram=on", *options))
        return {percent: percentile(times, percent) for percent in PERCENTILES}

    def _run(self, target: Target, script: Path, command: str, *options: str) -> str:
        user = "bench_tls" if target.tls else "bench"
        done = subprocess.run(
            [
                *("nsenter", f"--target={target.process}", "--net", "--"),
                *(self._program / "sysbench", script, "--config-file=options", "--table-size=10000"),
                *(f"--mysql-host={target.host}", f"--mysql-port={target.port}", f"--mysql-user={user}"),
                *(f"--mysql-ssl={'on' if target.tls else 'off'}", *options, command),
            ],
            cwd=self._directory,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"sysbench has failed:\n{done.stdout}\n{done.stderr}")
        return done.stdout


def histogram(report: str) -> list[tuple[float, int]]:
    """Return the times in sysbench's report, each with its count. The times are 1.8 % apart."""
    return [(float(time), int(count)) for time, count in (m.groups() for m in BUCKET.finditer(report))]


def percentile(times: list[tuple[float, int]], percent: int) -> float:
    """Return the time that this many percent do not exceed."""
    left = sum(count for _, count in times) * percent / 100
    for time, count in times:
        left -= count
        if left <= 0:
            return time
    raise ValueError("nothing was measured")


def _private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
