"""A stack and a lab of the tests' own, made by the real `pulumi up`."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

ROOT = Path(__file__).parents[2]
STACK = "e2e"
T = TypeVar("T")


def run(*command: str, check: bool = True, timeout: float = 600, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command; when it fails, show what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **options)
    if check and done.returncode:
        pytest.fail(f"{' '.join(command)} exited {done.returncode}\n{done.stdout}\n{done.stderr}", pytrace=False)
    return done


def eventually(what: str, probe: Callable[[], T], *, within: float = 30) -> T:
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + within
    while not (answer := probe()):
        if time.monotonic() > deadline:
            pytest.fail(f"after {within} s still not: {what}")
        time.sleep(0.2)
    return answer


class Project:
    """The checkout's program with a stack file and a state of its own, so that the checkout stays clean."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "project"
        self.directory.mkdir()
        for name in ("Pulumi.yaml", "__main__.py", "config.py", "components", "lab", "venv", ".lab"):
            (self.directory / name).symlink_to(ROOT / name)
        config = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]
        (self.directory / f"Pulumi.{STACK}.yaml").write_text(yaml.safe_dump({"config": config}))
        state = directory / "state"
        state.mkdir()
        self.environment = os.environ | {"PULUMI_BACKEND_URL": f"file://{state}", "PULUMI_CONFIG_PASSPHRASE": "e2e"}
        self.pulumi("stack", "init", STACK)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def pulumi(self, *arguments: str) -> str:
        command = ("pulumi", *arguments, "--non-interactive")
        return run(*command, cwd=self.directory, env=self.environment).stdout

    def output(self, name: str) -> Any:
        return json.loads(self.pulumi("stack", "output", name, "--json", "--show-secrets"))

    def resources(self) -> list[str]:
        """Return the types of what the stack holds."""
        deployment = json.loads(self.pulumi("stack", "export"))["deployment"]
        types = [resource["type"] for resource in deployment.get("resources", [])]
        return [kind for kind in types if kind != "pulumi:pulumi:Stack"]

    def lab(self, verb: str, *arguments: str) -> str:
        return run("venv/bin/python", "-m", "lab", verb, "--lab", STACK, *arguments, cwd=self.directory).stdout


class Kubectl:
    """kubectl against one site."""

    def __init__(self, kubeconfig: str, path: Path) -> None:
        path.touch(mode=0o600)
        path.write_text(kubeconfig)
        self.path = path

    def __call__(self, *arguments: str, check: bool = True, stdin: str | None = None) -> str:
        return run("kubectl", "--kubeconfig", str(self.path), *arguments, check=check, input=stdin).stdout.strip()

    def apply(self, *objects: dict[str, Any]) -> None:
        self("apply", "--filename", "-", stdin=yaml.safe_dump_all(objects))

    def get(self, kind: str, name: str, namespace: str) -> Any:
        return json.loads(self("get", kind, name, "--namespace", namespace, "--output", "json"))


def leftovers() -> dict[str, list[str]]:
    """Return what of the tests' lab is on the machine: the processes, mounts and so on that name it."""

    def lines_with_lab(text: str) -> list[str]:
        return [line for line in text.splitlines() if f"dcmesh-{STACK}" in line or f"dcmesh-lab/{STACK}" in line]

    directories = [*Path("/sys/fs/cgroup").glob(f"**/dcmesh-lab/{STACK}"), *Path("/var/lib/dcmesh-lab").glob(STACK)]
    found = {
        "namespaces": lines_with_lab(run("ip", "netns", "list").stdout),
        "interfaces": lines_with_lab(run("ip", "-details", "link", "show").stdout),
        "mounts": lines_with_lab(Path("/proc/self/mountinfo").read_text()),
        "processes": lines_with_lab(run("ps", "-eo", "pid,args").stdout),
        "nftables": run("nft", "list", "tables").stdout.splitlines(),
        "directories": [str(directory) for directory in directories],
    }
    return {kind: entries for kind, entries in found.items() if entries}


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = Project(tmp_path_factory.mktemp(STACK))
    yield project
    project.lab("delete", "--all")  # does nothing unless a test failed before its destroy


@pytest.fixture(scope="module")
def pair(project: Project) -> Iterator[Project]:
    """The pair, up. When its tests are done it is destroyed, and nothing of it may be left."""
    project.pulumi("up", "--yes")
    yield project
    project.pulumi("destroy", "--yes")
    assert project.resources() == []
    assert leftovers() == {}


@pytest.fixture(scope="module")
def sites(pair: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kubectl]:
    """kubectl for each site, by the stack's own output."""
    directory = tmp_path_factory.mktemp("kubeconfigs")
    return {name: Kubectl(text, directory / name) for name, text in pair.output("kubeconfigs").items()}
