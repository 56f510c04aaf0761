"""Helpers of the end-to-end tests: a stack, a lab, kubectl, client pods, and waiting for a condition."""

import base64
import copy
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Any, TypeVar

import pytest
import yaml

from lab.toolchain import ISTIOS, Istio

ROOT = Path(__file__).parents[2]
AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:2.53"
MARIADB = "mariadb:10.11"
PROGRAM = ("Pulumi.yaml", "__main__.py", "components", "dcmesh")
"""What of the repository is the program and its commands."""

CLIENT = ("--namespace", "demo-dr", "deployment/client", "--container", "agnhost")
"""The arguments of `kubectl exec` for the demo's consumer."""

NO_ANSWER = ("", "000")
DENIED = ("RBAC: access denied", "403")

T = TypeVar("T")


def run(*command: str, check: bool = True, timeout: float = 600, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command. If it fails or takes too long, show what it printed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **options)
    except subprocess.TimeoutExpired as late:
        said = "\n".join(
            part.decode() if isinstance(part, bytes) else part or "" for part in (late.stdout, late.stderr)
        )
        pytest.fail(f"{' '.join(command)} took more than {timeout} s\n{said}", pytrace=False)
    if check and done.returncode:
        said = f"{why_failed(done.stdout)}\n{done.stderr}"
        pytest.fail(f"{' '.join(command)} exited {done.returncode}\n{said}", pytrace=False)
    return done


def why_failed(printed: str) -> str:
    """Return the part of Pulumi's output that says why it failed, or the whole text if it is not Pulumi's.

    CI cuts long outputs, and would cut the reason.
    """
    _, reasons, rest = printed.rpartition("\nDiagnostics:\n")
    return reasons + rest


def eventually(what: str, probe: Callable[[], T], *, within: float = 30) -> T:
    """Ask until the answer is true, and return it. Later questions come less often, as most of them run kubectl."""
    begun = time.monotonic()
    while not (answer := probe()):
        waited = time.monotonic() - begun
        if waited > within:
            pytest.fail(f"after {within} s still not: {what}")
        time.sleep(min(0.5, max(0.2, waited / 10)))
    return answer


def lab_config() -> dict[str, Any]:
    """Return the configuration of the stack `lab` in the repository.

    The environment variable LAB_ISTIO chooses another line of the lab's Istios, such as `1.30`.
    """
    config: dict[str, Any] = yaml.safe_load((ROOT / "Pulumi.lab.yaml").read_text())["config"]
    line = os.environ.get("LAB_ISTIO")
    return on_istio(config, next(istio for istio in ISTIOS if istio.line == line)) if line else config


DRAIN = 5
"""Seconds after which proxies close what a change has them drain, on Istio's settings by `draining_soon`."""

DRAINED = DRAIN + 5
"""Seconds after which they have surely closed it."""


def draining_soon(istio: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of Istio by which nobody waits for the 45 seconds that are the default."""
    changed = copy.deepcopy(dict(istio))
    mesh = changed["values"]["istiod"].setdefault("meshConfig", {})
    mesh.setdefault("defaultConfig", {})["drainDuration"] = f"{DRAIN}s"
    return changed


def drain_seconds(site: "Kubectl", *pod: str) -> str:
    """Return after how long a proxy closes what it drains, as it says itself."""
    info = site("exec", *pod, "--", "pilot-agent", "request", "GET", "server_info")
    return str(json.loads(info)["command_line_options"]["drain_time"])


def example(name: str) -> dict[str, Any]:
    """Return the configuration of an example, with the lab's Istio and operator."""
    config: dict[str, Any] = yaml.safe_load((ROOT / f"examples/{name}.yaml").read_text())["config"]
    return config | {key: value for key, value in lab_config().items() if key != "dcmesh:sites"}


def made_by_lab(config: Mapping[str, Any], lab: str) -> dict[str, Any]:
    """Return a configuration whose sites are made by a lab with this name, except those on existing clusters.

    Each site's gateway is reachable from its consumers' sites.
    """
    changed = copy.deepcopy(dict(config))
    for site in changed.get("dcmesh:sites", ()):
        if site["cluster"] == "k3d" or "create" in site["cluster"]:
            site["cluster"] = lab_cluster(lab, site)
    return changed


def lab_cluster(lab: str, site: Mapping[str, Any]) -> dict[str, Any]:
    """Return the commands with which a lab makes a site's cluster."""
    python = "venv/bin/python -m lab"
    consumers = {consumer["site"] for export in site.get("exports", ()) for consumer in export.get("consumers", ())}
    reachable = "".join(f" --reachable-from {other}" for other in sorted(consumers))
    return {
        "create": f"{python} create {site['name']} --lab {lab}{reachable}",
        "kubeconfig": f"{python} kubeconfig {site['name']} --lab {lab}",
        "delete": f"{python} delete {site['name']} --lab {lab}",
        "throwAway": True,
    }


def joined(config: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration whose sites also have the workloads, exports and imports of another one's sites."""
    whole = copy.deepcopy(dict(config))
    for site, more in zip(whole["dcmesh:sites"], other["dcmesh:sites"], strict=True):
        for key in ("workloads", "exports", "imports"):
            site[key] = [*site.get(key, ()), *more.get(key, ())]
    return whole


def demo_with_databases() -> dict[str, Any]:
    """Return the configuration of the demo with the databases of examples/mariadb.yaml in the same sites."""
    return joined(lab_config(), example("mariadb"))


def on_istio(config: Mapping[str, Any], istio: Istio) -> dict[str, Any]:
    """Return a configuration for the lab with this version of Istio."""
    changed = copy.deepcopy(dict(config))
    settings = changed["dcmesh:istio"]
    settings.update(version=istio.version, charts=f"./.lab/{istio.charts}")
    istiod = settings["values"]["istiod"]
    istiod["tag"] = istiod["global"]["tag"] = istio.version
    return changed


def name_on(what: str, istio: Istio) -> str:
    """Return a name for a lab, and so for its stack, that exists once for each version of Istio."""
    return f"{what}-{istio.line.replace('.', '-')}"


class Lab:
    """One lab. Its methods are the verbs of `python -m lab VERB`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, verb: str, *arguments: str) -> str:
        return run(*self._command(verb, *arguments), cwd=ROOT).stdout

    def start(self, verb: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a verb, with a pipe as standard output."""
        return subprocess.Popen(self._command(verb, *arguments), stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def _command(self, verb: str, *arguments: str) -> tuple[str, ...]:
        return ("venv/bin/python", "-m", "lab", verb, "--lab", self.name, *arguments)

    def create(self, sites: Mapping[str, Sequence[str]]) -> None:
        """Make sites at the same time, each with the names of the sites that may reach it.

        Raises:
            RuntimeError: a site was not made.
        """
        commands = [
            self._command("create", site, *(word for other in others for word in ("--reachable-from", other)))
            for site, others in sites.items()
        ]
        makers = [subprocess.Popen(command, cwd=ROOT) for command in commands]
        if any([maker.wait() for maker in makers]):  # noqa: C419 — each is waited for
            raise RuntimeError("the lab's sites were not made")

    def sites(self) -> dict[str, Any]:
        """Return the lab's view of each of its sites, complete or not."""
        return {site["site"]: site for site in json.loads(self("status", "--json"))["sites"]}

    def leftovers(self) -> dict[str, list[str]]:
        """Return what is left of the lab on the machine: processes, mounts and so on that contain its name."""

        def naming_it(text: str) -> list[str]:
            mark = re.compile(rf"dcmesh-{self.name}-|dcmesh-lab/{self.name}(?![\w-])")
            return [line for line in text.splitlines() if mark.search(line)]

        # `find` tolerates that other labs' directories come and go while it looks.
        own = ("-path", f"*/dcmesh-lab/{self.name}", "-prune", "-print")
        places = ("/sys/fs/cgroup", "/var/lib/dcmesh-lab")
        directories = run("find", *places, *own, check=False).stdout.splitlines()
        found = {
            "namespaces": naming_it(run("ip", "netns", "list").stdout),
            "interfaces": naming_it(run("ip", "-details", "link", "show").stdout),
            "mounts": naming_it(Path("/proc/self/mountinfo").read_text()),
            "processes": naming_it(run("ps", "-eo", "pid,args").stdout),
            "nftables": [line for line in run("nft", "list", "tables").stdout.splitlines() if "dcmesh" in line],
            "directories": directories,
        }
        return {kind: entries for kind, entries in found.items() if entries}


def lab_for_a_while(name: str) -> Iterator[Lab]:
    """Yield a lab. Afterwards delete what a failed test has left of it; after a destroy nothing is left.

    Refuse a lab that another run uses, because both runs would delete it.
    """
    with Path(gettempdir(), f"dcmesh-lab-{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.fail(f"another run has the lab {name}")
        lab = Lab(name)
        try:
            yield lab
        finally:
            lab("delete", "--all")


class Project:
    """A program with one stack. The stack file lies outside the checkout, which stays clean."""

    def __init__(
        self, directory: Path, *, stack: str, config: Mapping[str, Any], state: Path, program: Path = ROOT
    ) -> None:
        """Make the project; the stack is not initialised.

        Args:
            directory: an empty directory for this project alone.
            stack: the name of the stack.
            config: the content of its stack file.
            state: the directory of the state. Stacks that refer to one another share it.
            program: the directory of the program. Default: the checkout. The lab is always the checkout's.
        """
        self.directory = directory
        self.stack = stack
        directory.mkdir(parents=True, exist_ok=True)
        for name in ("lab", "venv", ".lab"):
            (directory / name).symlink_to(ROOT / name)
        self.use(program)
        self.stack_file = directory / f"Pulumi.{stack}.yaml"
        self.stack_file.write_text(yaml.safe_dump({"config": made_by_lab(config, stack)}))
        state.mkdir(exist_ok=True)
        temporary = directory / "tmp"
        temporary.mkdir(exist_ok=True)
        self.environment = os.environ | {
            # The Kubernetes plugin leaves each cluster's kubeconfig in this directory, with its key.
            "TMPDIR": str(temporary),
            "PULUMI_BACKEND_URL": f"file://{state}",
            "PULUMI_CONFIG_PASSPHRASE": "e2e",
            "PULUMI_STACK": stack,
        }

    def use(self, program: Path) -> None:
        """Use the program of this directory from now on."""
        for name in PROGRAM:
            (self.directory / name).unlink(missing_ok=True)
            if (program / name).exists():
                (self.directory / name).symlink_to(program / name)

    @contextmanager
    def edit(self) -> Iterator[dict[str, Any]]:
        """Edit the configuration in the stack file. Its keys are `dcmesh:sites` and so on."""
        file = yaml.safe_load(self.stack_file.read_text())
        yield file["config"]
        self.stack_file.write_text(yaml.safe_dump({**file, "config": made_by_lab(file["config"], self.stack)}))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def killed(self, *arguments: str, when: Callable[[], bool], alone: bool = False) -> str:
        """Run pulumi, and kill it when a condition holds, unless it has ended. Return what it printed.

        Args:
            arguments: pulumi's arguments.
            when: the condition.
            alone: whether only pulumi is killed, while its plugins, the program and their commands live on.
        """
        command = ("pulumi", *arguments, "--non-interactive")
        with (self.directory / "killed.log").open("w+") as log:
            running = subprocess.Popen(
                command, cwd=self.directory, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
            while running.poll() is None and not when():
                time.sleep(0.1)
            session = run("ps", "-o", "pid=", "-s", str(running.pid), check=False).stdout.split()
            for pid in [str(running.pid)] if alone else session:
                run("kill", "-9", pid, check=False)
            running.wait()
            log.seek(0)
            return log.read()

    def processes(self, wanted: Callable[[Path], bool]) -> list[int]:
        """Return the PIDs of this project's runs, which are recognized by its TMPDIR.

        Args:
            wanted: tells from a process's directory in /proc whether it is meant.
        """
        mark, found = f"TMPDIR={self.environment['TMPDIR']}".encode(), list[int]()
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if wanted(process) and mark in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
        return found

    def verbs(self, verb: str) -> list[int]:
        """Return the PIDs of the processes that run `python -m dcmesh VERB`."""
        words = b"\0".join([b"-m", b"dcmesh", verb.encode(), b""])
        return self.processes(lambda process: words in (process / "cmdline").read_bytes())

    def end_plugins(self) -> None:
        """End the plugins of runs of which only pulumi was killed."""
        for pid in self.processes(lambda process: (process / "exe").readlink().name.startswith("pulumi-")):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def pulumi(self, *arguments: str, stdin: str | None = None) -> str:
        command = ("pulumi", *arguments, "--non-interactive")
        return run(*command, cwd=self.directory, env=self.environment, input=stdin).stdout

    def init(self) -> None:
        self.pulumi("stack", "init", self.stack, "--no-select")

    def up(self, *options: str) -> str:
        """Run `pulumi up`. Its output names the resources that change.

        With --expect-no-changes it also shows how they change, and leaves out the preview, which would say the same.
        """
        shown = ("--diff", "--skip-preview") if "--expect-no-changes" in options else ()
        return self.pulumi("up", "--yes", "--suppress-outputs", *shown, *options)

    def refused(self, *arguments: str) -> str:
        """Run a command that must fail. Return everything that it printed, except the long outputs."""
        short = ("--suppress-outputs",) if arguments[0] == "up" else ()
        command = ("pulumi", *arguments, *short, "--non-interactive")
        done = run(*command, check=False, cwd=self.directory, env=self.environment)
        assert done.returncode != 0, f"{' '.join(command)} succeeded:\n{done.stdout}"
        return done.stdout + done.stderr

    def dcmesh(self, verb: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m dcmesh VERB` on the stack, and accept any exit code."""
        command = ("venv/bin/python", "-m", "dcmesh", verb, *options)
        return run(*command, check=False, timeout=60, cwd=self.directory, env=self.environment | environment)

    def status(self) -> Any:
        """Return what `python -m dcmesh status` says of the stack, whatever it finds."""
        return json.loads(self.dcmesh("status", "--json").stdout)

    def output(self, name: str) -> Any:
        return json.loads(self.pulumi("stack", "output", name, "--json", "--show-secrets"))

    def imported(self) -> dict[str, set[str]]:
        """Return the hosts that each site imports, by the output `sites`. `up` has asked all of them at its end."""
        found = dict[str, set[str]]()
        for site, known in self.output("sites").items():
            exports = {
                (source, export["name"]): export["hosts"]
                for source, link in known["links"].items()
                for export in link["exports"]
            }
            for one in known["imports"]:
                found.setdefault(site, set()).update(exports.get((one["from"], one["export"]), ()))
        return found

    def changes(self) -> dict[str, set[tuple[str, str]]]:
        """Return what the next `up` would do: the types and names of resources, by operation."""
        found: dict[str, set[tuple[str, str]]] = {}
        for step in json.loads(self.pulumi("preview", "--json"))["steps"]:
            if step["op"] not in ("same", "read"):
                _, _, kinds, name = step["urn"].split("::", 3)
                found.setdefault(step["op"], set()).add((kinds.rpartition("$")[2], name))
        return found

    def resources(self) -> list[dict[str, Any]]:
        """Return the stack's resources, without the stack itself."""
        deployment = json.loads(self.pulumi("stack", "export"))["deployment"]
        return [part for part in deployment.get("resources", []) if part["type"] != "pulumi:pulumi:Stack"]

    def changed_in(self, site: str) -> dict[str, Any]:
        """Return when the state of each object in a site's cluster changed last."""
        objects = [part for part in self.resources() if f"::{site}-cluster-kubernetes::" in part.get("provider", "")]
        return {one["urn"]: one["modified"] for one in objects}


class Kubectl:
    """kubectl against one site."""

    def __init__(self, kubeconfig: str, path: Path) -> None:
        path.touch(mode=0o600)
        path.write_text(kubeconfig)
        self.path = path

    def command(self, *arguments: str) -> tuple[str, ...]:
        return ("kubectl", "--kubeconfig", str(self.path), *arguments)

    def __call__(self, *arguments: str, check: bool = True, stdin: str | None = None) -> str:
        return run(*self.command(*arguments), check=check, input=stdin).stdout.strip()

    def apply(self, *objects: dict[str, Any]) -> None:
        self("apply", "--filename", "-", stdin=yaml.safe_dump_all(objects))

    def get(self, kind: str, name: str, namespace: str) -> Any:
        return json.loads(self("get", kind, name, "--namespace", namespace, "--output", "json"))

    def names(self, kind: str, *scope: str) -> list[str]:
        """Return the names of all objects of a kind. `scope` is `--namespace` and so on; default: the whole cluster."""
        listed = self("get", kind, *(scope or ("--all-namespaces",)), "--output", "json")
        return sorted(item["metadata"]["name"] for item in json.loads(listed)["items"])


def kubectl_of(project: Project, directory: Path) -> dict[str, Kubectl]:
    """Return kubectl for each site of a stack, from the stack's own output."""
    return {name: Kubectl(text, directory / name) for name, text in project.output("kubeconfigs").items()}


def initialised(lab: Lab, directory: Path, config: Mapping[str, Any], program: Path = ROOT) -> Project:
    """Make a project with a lab's stack, named after the lab, and initialise the stack."""
    project = Project(directory / "project", stack=lab.name, config=config, state=directory / "state", program=program)
    project.init()
    return project


@contextmanager
def standing(lab: Lab, directory: Path, config: Mapping[str, Any], program: Path = ROOT) -> Iterator[Project]:
    """Run `up` of a stack with this configuration, and destroy it after the block. Nothing of it may be left.

    Sites that the lab had before stay.
    """
    sites = lab.sites()
    project = initialised(lab, directory, config, program)
    project.up("--skip-preview")
    yield project
    project.pulumi("destroy", "--yes", "--skip-preview")
    assert project.resources() == []
    if not sites:
        assert lab.leftovers() == {}


def curl(site: Kubectl, host: str, *options: str, pod: tuple[str, ...] = CLIENT) -> tuple[str, str]:
    """Return the answer's body and HTTP status."""
    how = ("--silent", "--max-time", "5", "--write-out", "\n%{http_code}", *options)
    answer = site("exec", *pod, "--", "curl", *how, f"http://{host}:8080", check=False)
    body, _, status = answer.rpartition("\n")
    return body, status


def start(site: Kubectl, name: str, namespace: str, service_account: str, *, image: str = AGNHOST) -> tuple[str, ...]:
    """Start a client pod. Return the arguments of `kubectl exec` for it."""
    container = {"name": "client", "image": image, "command": ["sleep", "infinity"]}
    spec = {"serviceAccountName": service_account, "terminationGracePeriodSeconds": 1, "containers": [container]}
    site.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec})
    site("wait", "--for=condition=Ready", f"pod/{name}", "--namespace", namespace, "--timeout=60s")
    return ("--namespace", namespace, name, "--container", "client")


def account(site: Kubectl, name: str, namespace: str) -> None:
    site("create", "serviceaccount", name, "--namespace", namespace)


@dataclass(frozen=True)
class Database:
    """A MariaDB pod of a site."""

    site: Kubectl
    namespace: str
    pod: str

    @property
    def inside(self) -> tuple[str, ...]:
        """The arguments of `kubectl exec` for the server's container."""
        return ("--namespace", self.namespace, self.pod, "--container", "mariadb")

    def __call__(self, sql: str, *, check: bool = True) -> str:
        """Run SQL as the server's administrator, who needs no password. Return nothing if it fails and may fail."""
        vertical = sql.endswith("\\G")
        names = "--column-names" if vertical else "--skip-column-names"
        client = ("mariadb", "--socket=/run/mysqld/mysqld.sock", "--batch", names, f"--execute={sql}")
        return self.site("exec", *self.inside, "--", "timeout", "60", *client, check=check)

    def channel(self) -> dict[str, str]:
        """Return what the server says of its channel; empty if there is no channel, or no answer."""
        shown = self("SHOW ALL SLAVES STATUS\\G", check=False)
        return dict(line.strip().partition(": ")[::2] for line in shown.splitlines() if ":" in line)

    def follows(self) -> bool:
        """Tell whether the server is connected to its source and applies what comes."""
        channel = self.channel()
        return [channel.get(f"Slave_{part}_Running") for part in ("IO", "SQL")] == ["Yes", "Yes"]

    def ready(self) -> bool:
        shown = self.site("get", "pod", self.pod, "--namespace", self.namespace, "--output", "json", check=False)
        status = json.loads(shown)["status"] if shown else {}
        return any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))


def log_in(
    site: Kubectl,
    pod: tuple[str, ...],
    host: str,
    user: str,
    password: str,
    *,
    sql: str = "SELECT @@hostname",
    port: int = 3306,
    program: str = "mariadb",
) -> str:
    """Query a database over TCP, from a pod that has the client. Return its answer, or the reason why there is none."""
    client = f"{program} --batch --skip-column-names --connect-timeout=5 --port={port}"
    # Passwords go by standard input, since others can read a command line.
    script = f'read -r MYSQL_PWD; export MYSQL_PWD; timeout 20 {client} --host="$0" --user="$1" --execute="$2" 2>&1'
    command = ("bash", "-c", script, host, user, sql)
    return site("exec", "--stdin", *pod, "--", *command, check=False, stdin=f"{password}\n")


def database_passwords(site: Kubectl, namespace: str) -> dict[str, str]:
    """Return a database's passwords from its newest Secret, by user."""
    found = json.loads(site("get", "secrets", "--namespace", namespace, "--output", "json"))["items"]
    newest = max((s for s in found if "replication" in s["data"]), key=lambda s: s["metadata"]["creationTimestamp"])
    return {user: base64.b64decode(value).decode() for user, value in newest["data"].items()}


def open_ports(lab: Lab, site: str, *targets: str) -> list[str]:
    """Return the ports that accept connections from a site's node, each as `ADDRESS PORT`.

    scan.py explains `targets`.
    """
    scan = Path(__file__).with_name("scan.py")
    return lab("enter", site, "--", sys.executable, str(scan), *targets).splitlines()


@contextmanager
def captured(lab: Lab, file: Path) -> Iterator[Callable[[], bytes]]:
    """Capture what crosses the lab's WAN. After the block, the yielded function returns it."""
    command = ("ip", "netns", "exec", f"dcmesh-{lab.name}-wan", "tcpdump", "-i", "any", "--immediate-mode", "-U", "-w")
    tcpdump = subprocess.Popen([*command, str(file)], stderr=subprocess.PIPE, text=True)
    assert tcpdump.stderr is not None
    while "listening" not in (line := tcpdump.stderr.readline()):
        assert line, "tcpdump has ended"
    try:
        yield file.read_bytes
    finally:
        tcpdump.terminate()
        tcpdump.wait()


def switch(project: Project, primary: str, **failover: str) -> None:
    """Configure a site as the primary for the next `up`, with `failover.without` and so on if they are given."""
    with project.edit() as config:
        config["dcmesh:primary"] = primary
        config.pop("dcmesh:failover", None)
        if failover:
            config["dcmesh:failover"] = failover
