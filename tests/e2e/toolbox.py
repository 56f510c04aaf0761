"""What the end-to-end tests share: a stack, a lab, kubectl, pods to ask from, and waiting for a condition."""

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
"""How to `kubectl exec` into the demo's consumer."""

NO_ANSWER = ("", "000")
DENIED = ("RBAC: access denied", "403")

T = TypeVar("T")


def run(*command: str, check: bool = True, timeout: float = 600, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command; when it fails, or takes too long, show what it printed."""
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
    """Return of what Pulumi printed what says why it failed; of any other text all.

    Where CI cuts a long output, the reason would be what is lost.
    """
    _, reasons, rest = printed.rpartition("\nDiagnostics:\n")
    return reasons + rest


def eventually(what: str, probe: Callable[[], T], *, within: float = 30) -> T:
    """Ask until the answer is true, and return it. What takes long is asked less often: most probes are a kubectl."""
    begun = time.monotonic()
    while not (answer := probe()):
        waited = time.monotonic() - begun
        if waited > within:
            pytest.fail(f"after {within} s still not: {what}")
        time.sleep(min(0.5, max(0.2, waited / 10)))
    return answer


def lab_config() -> dict[str, Any]:
    """Return the configuration of the stack `lab`, as it stands in the repository.

    The variable LAB_ISTIO of the environment names the line of another of the lab's Istios, such as `1.30`.
    """
    config: dict[str, Any] = yaml.safe_load((ROOT / "Pulumi.lab.yaml").read_text())["config"]
    line = os.environ.get("LAB_ISTIO")
    return on_istio(config, next(istio for istio in ISTIOS if istio.line == line)) if line else config


DRAIN = 5
"""Seconds after which proxies close what a change has them drain, on Istio's settings by `draining_soon`."""


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
    """Return a configuration whose sites, but for those on existing clusters, are made by a lab of that name.

    Each site's gateway is reachable from its consumers' sites.
    """
    changed = copy.deepcopy(dict(config))
    for site in changed.get("dcmesh:sites", ()):
        if site["cluster"] == "k3d" or "create" in site["cluster"]:
            site["cluster"] = lab_cluster(lab, site)
    return changed


def lab_cluster(lab: str, site: Mapping[str, Any]) -> dict[str, Any]:
    """Return the commands by which a lab makes a site's cluster."""
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
    """Return a configuration whose sites have the workloads, exports and imports of another's sites as well."""
    whole = copy.deepcopy(dict(config))
    for site, more in zip(whole["dcmesh:sites"], other["dcmesh:sites"], strict=True):
        for key in ("workloads", "exports", "imports"):
            site[key] = [*site.get(key, ()), *more.get(key, ())]
    return whole


def demo_with_databases() -> dict[str, Any]:
    """Return the configuration of the demo with the databases of examples/mariadb.yaml in the same sites."""
    return joined(lab_config(), example("mariadb"))


def on_istio(config: Mapping[str, Any], istio: Istio) -> dict[str, Any]:
    """Return a configuration for the lab with another of the lab's Istios."""
    changed = copy.deepcopy(dict(config))
    settings = changed["dcmesh:istio"]
    settings.update(version=istio.version, charts=f"./.lab/{istio.charts}")
    istiod = settings["values"]["istiod"]
    istiod["tag"] = istiod["global"]["tag"] = istio.version
    return changed


def name_on(what: str, istio: Istio) -> str:
    """Return the name of what stands once for each Istio: a lab, and so its stack."""
    return f"{what}-{istio.line.replace('.', '-')}"


class Lab:
    """One lab, with its verbs as `python -m lab VERB` has them."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, verb: str, *arguments: str) -> str:
        return run(*self._command(verb, *arguments), cwd=ROOT).stdout

    def start(self, verb: str, *arguments: str) -> subprocess.Popen[str]:
        """Begin a verb; its standard output is a pipe."""
        return subprocess.Popen(self._command(verb, *arguments), stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def _command(self, verb: str, *arguments: str) -> tuple[str, ...]:
        return ("venv/bin/python", "-m", "lab", verb, "--lab", self.name, *arguments)

    def create(self, sites: Mapping[str, Sequence[str]]) -> None:
        """Make sites side by side, each with the names of those that may reach it.

        Raises:
            RuntimeError: one was not made.
        """
        commands = [
            self._command("create", site, *(word for other in others for word in ("--reachable-from", other)))
            for site, others in sites.items()
        ]
        makers = [subprocess.Popen(command, cwd=ROOT) for command in commands]
        if any([maker.wait() for maker in makers]):  # noqa: C419 — each is waited for
            raise RuntimeError("the lab's sites were not made")

    def sites(self) -> dict[str, Any]:
        """Return the lab's view of each site that it has begun to make."""
        return {site["site"]: site for site in json.loads(self("status", "--json"))["sites"]}

    def leftovers(self) -> dict[str, list[str]]:
        """Return what of the lab is on the machine: the processes, mounts and so on that name it."""

        def naming_it(text: str) -> list[str]:
            mark = re.compile(rf"dcmesh-{self.name}-|dcmesh-lab/{self.name}(?![\w-])")
            return [line for line in text.splitlines() if mark.search(line)]

        # `find` does not mind that other labs' directories come and go while it looks.
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
    """Yield a lab; afterwards delete what a test that failed has left of it. After a destroy that is nothing.

    One that another run has is left alone: both would delete it.
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
    """A program with one stack, whose stack file is its own, so that the checkout stays clean."""

    def __init__(
        self, directory: Path, *, stack: str, config: Mapping[str, Any], state: Path, program: Path = ROOT
    ) -> None:
        """Make the project; the stack is not initialised.

        Args:
            directory: an empty directory of its own.
            stack: name of the stack.
            config: what goes into its stack file.
            state: directory of the state. Stacks that refer to one another share it.
            program: directory of the program. Default: the checkout. The lab is the checkout's in any case.
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
            # The Kubernetes plugin leaves each cluster's kubeconfig there, with its key.
            "TMPDIR": str(temporary),
            "PULUMI_BACKEND_URL": f"file://{state}",
            "PULUMI_CONFIG_PASSPHRASE": "e2e",
            "PULUMI_STACK": stack,
        }

    def use(self, program: Path) -> None:
        """From now on have the program of this directory."""
        for name in PROGRAM:
            (self.directory / name).unlink(missing_ok=True)
            if (program / name).exists():
                (self.directory / name).symlink_to(program / name)

    @contextmanager
    def edit(self) -> Iterator[dict[str, Any]]:
        """Edit the configuration in the stack file, whose keys are `dcmesh:sites` and so on."""
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
        """Run pulumi and kill it when something is so, unless it has ended; return what it printed.

        Args:
            arguments: its own.
            when: when to kill it.
            alone: whether its plugins, the program and their commands live on.
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
        """Return the ids of processes of this project's runs, which are known by its TMPDIR.

        Args:
            wanted: tells of a directory in /proc whether that one is meant.
        """
        mark, found = f"TMPDIR={self.environment['TMPDIR']}".encode(), list[int]()
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if wanted(process) and mark in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
        return found

    def verbs(self, verb: str) -> list[int]:
        """Return the ids of the processes that run `python -m dcmesh VERB`."""
        words = b"\0".join([b"-m", b"dcmesh", verb.encode(), b""])
        return self.processes(lambda process: words in (process / "cmdline").read_bytes())

    def end_plugins(self) -> None:
        """End the plugins that live on of runs that were killed alone."""
        for pid in self.processes(lambda process: (process / "exe").readlink().name.startswith("pulumi-")):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def pulumi(self, *arguments: str, stdin: str | None = None) -> str:
        command = ("pulumi", *arguments, "--non-interactive")
        return run(*command, cwd=self.directory, env=self.environment, input=stdin).stdout

    def init(self) -> None:
        self.pulumi("stack", "init", self.stack, "--no-select")

    def up(self, *options: str) -> str:
        """Run `pulumi up`. What it prints names what changes.

        Where nothing may change it shows how as well, and the program runs once: a preview would say the same before.
        """
        shown = ("--diff", "--skip-preview") if "--expect-no-changes" in options else ()
        return self.pulumi("up", "--yes", "--suppress-outputs", *shown, *options)

    def refused(self, *arguments: str) -> str:
        """Run what must fail; return all that it printed, but for the long outputs."""
        short = ("--suppress-outputs",) if arguments[0] == "up" else ()
        command = ("pulumi", *arguments, *short, "--non-interactive")
        done = run(*command, check=False, cwd=self.directory, env=self.environment)
        assert done.returncode != 0, f"{' '.join(command)} succeeded:\n{done.stdout}"
        return done.stdout + done.stderr

    def dcmesh(self, verb: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m dcmesh VERB` on the stack, whatever its exit code says."""
        command = ("venv/bin/python", "-m", "dcmesh", verb, *options)
        return run(*command, check=False, timeout=60, cwd=self.directory, env=self.environment | environment)

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
        """Return what the next `up` would do: types and names of resources, by operation."""
        found: dict[str, set[tuple[str, str]]] = {}
        for step in json.loads(self.pulumi("preview", "--json"))["steps"]:
            if step["op"] not in ("same", "read"):
                _, _, kinds, name = step["urn"].split("::", 3)
                found.setdefault(step["op"], set()).add((kinds.rpartition("$")[2], name))
        return found

    def resources(self) -> list[dict[str, Any]]:
        """Return what the stack holds beside itself."""
        deployment = json.loads(self.pulumi("stack", "export"))["deployment"]
        return [part for part in deployment.get("resources", []) if part["type"] != "pulumi:pulumi:Stack"]

    def changed_in(self, site: str) -> dict[str, Any]:
        """Return of each object in a site's cluster when the state has changed last."""
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
        """Return the names of all objects of a kind; scope: `--namespace` and so on, else the whole cluster."""
        listed = self("get", kind, *(scope or ("--all-namespaces",)), "--output", "json")
        return sorted(item["metadata"]["name"] for item in json.loads(listed)["items"])


def kubectl_of(project: Project, directory: Path) -> dict[str, Kubectl]:
    """Return kubectl for each site of a stack that is up, by its own output."""
    return {name: Kubectl(text, directory / name) for name, text in project.output("kubeconfigs").items()}


def initialised(lab: Lab, directory: Path, config: Mapping[str, Any], program: Path = ROOT) -> Project:
    """Make a project with the stack of a lab, named after it, and initialise the stack."""
    project = Project(directory / "project", stack=lab.name, config=config, state=directory / "state", program=program)
    project.init()
    return project


@contextmanager
def standing(lab: Lab, directory: Path, config: Mapping[str, Any], program: Path = ROOT) -> Iterator[Project]:
    """Have a stack of this configuration up for a while; then it is destroyed, and nothing of it may be left.

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
    """Start a client pod; how to `kubectl exec` into it."""
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
        """How to `kubectl exec` into the server's container."""
        return ("--namespace", self.namespace, self.pod, "--container", "mariadb")

    def __call__(self, sql: str, *, check: bool = True) -> str:
        """Run SQL as the server's master, who needs no password; empty if that fails and may."""
        vertical = sql.endswith("\\G")
        names = "--column-names" if vertical else "--skip-column-names"
        client = ("mariadb", "--socket=/run/mysqld/mysqld.sock", "--batch", names, f"--execute={sql}")
        return self.site("exec", *self.inside, "--", "timeout", "60", *client, check=check)

    def channel(self) -> dict[str, str]:
        """Return what the server says of its channel; empty if there is none, or no answer."""
        shown = self("SHOW ALL SLAVES STATUS\\G", check=False)
        return dict(line.strip().partition(": ")[::2] for line in shown.splitlines() if ":" in line)

    def follows(self) -> bool:
        """Tell whether the server is connected with its source and takes over all that comes."""
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
) -> str:
    """Ask a database over TCP, from a pod; its answer, or why there is none."""
    client = f"mariadb --batch --skip-column-names --connect-timeout=5 --port={port}"
    # By standard input: what is on a command line can be read by others.
    script = f'read -r MYSQL_PWD; export MYSQL_PWD; timeout 20 {client} --host="$0" --user="$1" --execute="$2" 2>&1'
    command = ("bash", "-c", script, host, user, sql)
    return site("exec", "--stdin", *pod, "--", *command, check=False, stdin=f"{password}\n")


def database_passwords(site: Kubectl, namespace: str) -> dict[str, str]:
    """Return the passwords of a database as its newest Secret has them, by user."""
    found = json.loads(site("get", "secrets", "--namespace", namespace, "--output", "json"))["items"]
    newest = max((s for s in found if "replication" in s["data"]), key=lambda s: s["metadata"]["creationTimestamp"])
    return {user: base64.b64decode(value).decode() for user, value in newest["data"].items()}


def open_ports(lab: Lab, site: str, *targets: str) -> list[str]:
    """Return what accepts connections from a site's node, each as `ADDRESS PORT`; targets: see scan.py."""
    scan = Path(__file__).with_name("scan.py")
    return lab("enter", site, "--", sys.executable, str(scan), *targets).splitlines()


@contextmanager
def captured(lab: Lab, file: Path) -> Iterator[Callable[[], bytes]]:
    """Capture what crosses the lab's WAN; after the block, the given function returns it."""
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
    """Want a site as the primary from the next `up` on, after `failover.without` and so on if anything is given."""
    with project.edit() as config:
        config["dcmesh:primary"] = primary
        config.pop("dcmesh:failover", None)
        if failover:
            config["dcmesh:failover"] = failover
