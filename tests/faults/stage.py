"""The scene of the faults: the pair with its databases, a writer in dc1, and an observer of the replica in dc2."""

import json
import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, ClassVar

from tests.e2e.toolbox import Kubectl, Lab, Project, eventually, run

from .figures import VISIBLE, Commit, Sample

SOURCE, REPLICA = "wookie", "wookie-dr"
"""The databases' namespaces."""

HOST = "db-0.db.wookie.svc.cluster.local"
GATEWAY = ("dcmesh-gateway", "istio=dcmesh-gateway")
"""The namespace and the label of the gateway's pods."""

WRITER = Path(__file__).with_name("writer.sh")
SOCKET = "--socket=/run/mysqld/mysqld.sock"
INTERVAL = 0.1
"""Seconds between two looks at the replica."""


class Site:
    """One site: its API, and its containers as the machine sees them."""

    def __init__(self, name: str, namespace: str, lab: Lab, kubectl: Kubectl) -> None:
        self.name = name
        self.namespace = namespace
        self.lab = lab
        self.kubectl = kubectl

    def exec(self, pod: str, container: str, *command: str, namespace: str = "", stdin: str | None = None) -> str:
        """Run a command in a container. It may take half a minute at most."""
        where = ("--namespace", namespace or self.namespace, pod, "--container", container)
        options = ("exec", *(("--stdin",) if stdin is not None else ()), *where)
        return run(*self.kubectl.command(*options, "--", *command), input=stdin, timeout=30).stdout.strip()

    def sql(self, statement: str, pod: str = "db-0") -> str:
        """Run a statement on a database as the server's own user. Return lines of columns."""
        return self.exec(pod, "mariadb", "mariadb", SOCKET, "--batch", "--skip-column-names", stdin=statement)

    def pods(self, namespace: str, label: str) -> list[dict[str, Any]]:
        selection = ("--namespace", namespace, "--selector", label)
        pods: list[dict[str, Any]] = json.loads(self.kubectl("get", "pods", *selection, "--output", "json"))["items"]
        return pods

    def pod(self, name: str, namespace: str = "") -> Any:
        return self.kubectl.get("pod", name, namespace or self.namespace)

    def well(self, namespace: str, label: str, count: int) -> bool:
        """Tell whether there are this many pods, all of them ready, and none being deleted."""
        pods = self.pods(namespace, label)
        ready = [
            not pod["metadata"].get("deletionTimestamp")
            and any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
            for pod in pods
        ]
        return len(pods) == count and all(ready)

    def inside(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command inside the site's node."""
        enter = ("venv/bin/python", "-m", "lab", "enter", self.name, "--lab", self.lab.name, "--", *command)
        return run(*enter, check=check, timeout=60, cwd=Path(__file__).parents[2])

    def processes(self, pod: dict[str, Any]) -> list[int]:
        """Return the PIDs, as the machine counts them, of all processes in a pod's containers and sandbox."""
        mark = f'labels."io.kubernetes.pod.uid"=={pod["metadata"]["uid"]}'
        containers = self.inside("ctr", "containers", "ls", "--quiet", mark).stdout.split()
        assert containers, "containerd knows no container of the pod"
        return processes_of(containers)

    def supervised(self, program: str) -> str:
        """Return the PID, as the site counts it, of a program that supervisord runs; 0 if it does not run."""
        control = (sys.executable, "-m", "supervisor.supervisorctl", "--serverurl", "unix:///run/supervisor.sock")
        said = self.inside(*control, "pid", program, check=False).stdout.strip()
        return said if said.isdigit() else "0"


def processes_of(containers: Collection[str]) -> list[int]:
    """Return the PIDs, as the machine counts them, of all processes in these containers.

    Cgroups have the containers' names.
    """
    found = []
    for group in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            text = group.read_text()
        except OSError:  # The process has ended.
            continue
        if any(container in text for container in containers):
            found.append(int(group.parent.name))
    return found


def kill(pids: Sequence[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:  # It has ended together with its container's first process.
            continue


class Writer:
    """The pod that commits numbered rows. It writes its records to a directory of the machine."""

    def __init__(self, site: Site, directory: Path) -> None:
        self.site = site
        self.directory = directory
        self.commits: list[Commit] = []
        self.breaks: list[str] = []
        self.last_words = ""
        self._read = 0

    def start(self) -> None:
        """Make the database, the user and the pod. From now on rows are written."""
        password = secrets.token_hex(16)
        self.site.sql(
            "CREATE DATABASE faults;"
            # There is no unique key, so a row that is applied twice exists twice.
            "CREATE TABLE faults.numbered (n BIGINT NOT NULL, KEY highest (n));"
            f"CREATE USER writer@'%' IDENTIFIED BY '{password}'; GRANT ALL PRIVILEGES ON faults.* TO writer@'%';"
        )
        names = {"namespace": self.site.namespace, "name": "writer"}
        environment = [
            {"name": "HOST", "value": "db-0.db.wookie"},
            {"name": "USER", "value": "writer"},
            {"name": "MYSQL_PWD", "valueFrom": {"secretKeyRef": {"name": "writer", "key": "password"}}},
        ]
        container = {
            "name": "writer",
            "image": "mariadb:10.11",
            "command": ["bash", "/script/writer.sh"],
            "securityContext": {"runAsUser": 0},  # The directory belongs to this user.
            "env": environment,
            "volumeMounts": [{"name": "script", "mountPath": "/script"}, {"name": "log", "mountPath": "/log"}],
        }
        spec = {
            "serviceAccountName": "writer",
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
            "volumes": [
                {"name": "script", "configMap": {"name": "writer"}},
                {"name": "log", "hostPath": {"path": str(self.directory)}},
            ],
        }
        self.site.kubectl.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": names},
            {"apiVersion": "v1", "kind": "Secret", "metadata": names, "stringData": {"password": password}},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": names, "data": {"writer.sh": WRITER.read_text()}},
            {"apiVersion": "v1", "kind": "Pod", "metadata": names, "spec": spec},
        )
        eventually("rows are committed", lambda: self.committed() > 0, within=60)

    def update(self) -> None:
        """Read what the writer has recorded since the last time."""
        log = self.directory / "writer"
        if not log.exists():
            return
        with log.open() as file:
            file.seek(self._read)
            complete, _, _ = file.read().rpartition("\n")
        for line in complete.splitlines():
            time_of_it, _, what = line.partition(" ")
            if row := re.fullmatch(r"(?:connected )?(\d+)", what):
                self.commits.append(Commit(float(time_of_it), int(row[1])))
            if what.startswith("lost"):
                self.breaks.append(line)
            self.last_words = what
        self._read += len(complete.encode()) + (1 if complete else 0)

    def writes(self) -> bool:
        """Tell whether the writer has committed a row just now."""
        self.update()
        return bool(self.commits) and time.time() - self.commits[-1].at < VISIBLE

    def committed(self) -> int:
        """Return the highest row that is known to be committed."""
        self.update()
        return self.commits[-1].n if self.commits else 0

    def pause(self) -> None:
        """Stop the writer, and wait until it writes nothing."""
        (self.directory / "pause").touch()

        def paused() -> bool:
            self.update()
            return self.last_words == "paused"

        eventually("the writer pauses", paused)

    def resume(self) -> None:
        (self.directory / "pause").unlink()


class GoneError(Exception):
    """The replica's server cannot be asked."""


class Session:
    """A client's session on the replica, as the server's own user, started by the machine within the container.

    It does not use `kubectl exec`, which ends when kubelet or containerd ends. Some faults end these.

    Attributes:
        POD: the name of the server's pod.
        CONTAINER: the name of the server's container.
        USER: the number of the server's user and group.
        CLIENT: the client program, with the options that it needs to log in.
    """

    POD: ClassVar = "db-0"
    CONTAINER: ClassVar = "mariadb"
    USER: ClassVar = 999
    CLIENT: ClassVar[tuple[str, ...]] = ("mariadb", SOCKET)

    def __init__(self, site: Site) -> None:
        pod = json.loads(
            site.kubectl("get", "pod", self.POD, "--namespace", site.namespace, "--output=json", check=False) or "{}"
        )
        running = [
            status["containerID"].removeprefix("containerd://")
            for status in pod.get("status", {}).get("containerStatuses", [])
            if status["name"] == self.CONTAINER and "running" in status["state"]
        ]
        pids = processes_of(running) if running else []
        if not pids:
            raise GoneError
        enter = ("nsenter", f"--target={min(pids)}", "--mount", f"--setuid={self.USER}", f"--setgid={self.USER}")
        self.process = subprocess.Popen(
            [*enter, *self.CLIENT, "--batch", "--unbuffered", "--skip-reconnect"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.credentials(min(pids))},
        )

    @staticmethod
    def credentials(_server: int) -> dict[str, str]:
        """Return what the client's environment has for its login, given one of the server's processes."""
        return {}

    def ask(self, statement: str) -> list[str]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(f"{statement}\nSELECT 'end' AS 'end';\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._gone() from None
        lines: list[str] = []
        while lines[-2:] != ["end", "end"]:
            line = self.process.stdout.readline()
            if not line:
                raise self._gone()
            lines.append(line.strip())
        return lines[:-2]

    def _gone(self) -> GoneError:
        """Return the error with what the client has said. It ends at the first statement that fails."""
        return GoneError(self.process.stderr.read().strip() if self.process.stderr else "")

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


class Observer(threading.Thread):
    """Looks at the replica ten times a second: at its highest row, and at the state of its channel."""

    SESSION: ClassVar[type[Session]] = Session
    LOOK = "SELECT COALESCE(MAX(n), 0) AS highest FROM faults.numbered; SHOW SLAVE STATUS\\G"

    def __init__(self, site: Site) -> None:
        super().__init__(name="observer", daemon=True)
        self.site = site
        self.samples: list[Sample] = []
        self.errors: list[tuple[float, str]] = []
        """The channel's errors, each with the time at which it was first seen."""
        self.failed: BaseException | None = None
        self._stop_it = threading.Event()

    def run(self) -> None:
        try:
            while not self._stop_it.is_set():
                try:
                    session = self.SESSION(self.site)
                except GoneError:
                    self.gone()
                    continue
                try:
                    self.follow(session)
                except GoneError:
                    self.gone()
                finally:
                    session.close()
        except BaseException as error:
            self.failed = error
            raise

    def follow(self, session: Session) -> None:
        while not self._stop_it.wait(INTERVAL):
            answer = session.ask(self.LOOK)
            if answer[:1] != ["highest"]:
                raise GoneError
            status = {key: value.strip() for key, _, value in (line.partition(":") for line in answer[2:])}
            connected = status.get("Slave_IO_Running") == "Yes"
            self.samples.append(Sample(time.time(), int(answer[1]), connected))
            error = status.get("Last_IO_Error", "")
            if error and (not self.errors or self.errors[-1][1] != error):
                self.errors.append((time.time(), error))

    def gone(self) -> None:
        self.samples.append(Sample(time.time(), None, connected=False))
        self._stop_it.wait(INTERVAL)

    def stop(self) -> None:
        self._stop_it.set()
        self.join(30)

    @property
    def last(self) -> Sample:
        assert self.failed is None, f"the observer has failed: {self.failed!r}"
        return self.samples[-1]


class Stage:
    """The whole scene: both sites, the writer and the observer."""

    def __init__(self, project: Project, lab: Lab, kubectl: dict[str, Kubectl], directory: Path) -> None:
        self.project = project
        self.lab = lab
        self.source = Site("dc1", SOURCE, lab, kubectl["dc1"])
        self.replica = Site("dc2", REPLICA, lab, kubectl["dc2"])
        self.writer = Writer(self.source, directory)
        self.observer = Observer(self.replica)

    def start(self) -> None:
        self.writer.start()
        self.observer.start()
        eventually("the replica gets rows", lambda: bool(self.observer.samples) and bool(self.observer.last.highest))

    def fill_the_way(self) -> None:
        """Commit more than the buffers on the way hold. Unless that gets through, the source waits in a write."""
        self.source.sql(
            "CREATE OR REPLACE TABLE faults.filler (bytes MEDIUMBLOB NOT NULL);"
            "INSERT INTO faults.filler SELECT REPEAT('x', 1048576) FROM faults.seq_1_to_48;"
        )

    def gateway_address(self) -> str:
        (address,) = self.project.output("link")["dc1"]["gateway"]["addresses"]
        return str(address)

    def gateway_answers(self, address: str) -> int:
        """Connect to the gateway from the replica's node. Return 0 if that succeeds, and 124 if nothing answers."""
        connect = f"timeout 2 bash -c {shlex.quote(f'</dev/tcp/{address}/15443')} 2>/dev/null"
        return self.replica.inside("sh", "-c", connect, check=False).returncode

    def channels(self) -> set[str]:
        """Return the source's connections to its replicas: dc1's own two, and dc2's."""
        dumps = "SELECT id FROM information_schema.processlist WHERE command = 'Binlog Dump'"
        return set(self.source.sql(dumps).split())

    def well(self) -> bool:
        """Tell whether every pod is ready, every channel runs and rows are committed."""
        return (
            self.observer.last.connected
            and self.source.well(SOURCE, "app=db", 3)
            and self.source.well(*GATEWAY, 2)
            and self.source.well("istio-system", "app=istiod", 1)
            and self.replica.well(REPLICA, "app=db", 1)
            and self.replica.well("istio-system", "app=istiod", 1)
            and len(self.channels()) == 3
            # Sidecars learn a new pod's address only after it is ready, and later still if their istiod is being
            # replaced.
            and self.writer.writes()
        )

    def caught_up(self) -> float:
        """Wait until replication is well and the replica has what was committed by then.

        Return the time at which it had.
        """
        eventually("the replica says that it is connected", lambda: self.observer.last.connected, within=180)
        target = self.writer.committed() + 1  # This row is not committed yet, so it shows that rows flow again.
        eventually("the replica catches up", lambda: (self.observer.last.highest or 0) >= target, within=180)
        return time.time()

    def rows(self) -> list[int]:
        """Return all rows of the replica in the order in which they came. The hidden row ID keeps that order."""
        listed = self.replica.sql("SELECT n FROM faults.numbered IGNORE INDEX (highest)")
        return [int(n) for n in listed.split()]
