"""The README's quick start, word for word, on a real k3d with a real Docker.

The images of k3s and k3d are stand-ins.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from components.cluster import K3S_IMAGE
from lab.k3d import docker, images, parts
from tests.e2e.toolbox import PROGRAM, ROOT, lab_config, run

VENV = ("dependencies.txt", "requirements.txt", "requirements-dev.txt", "lab/requirements.txt", "constraints.txt")
"""The files whose change makes `make` rebuild the virtual environment."""


@dataclass(frozen=True)
class Machine:
    """A machine with k3d, a running Docker and Pulumi, and a checkout of the project."""

    docker: docker.Docker
    checkout: Path
    home: Path

    def __call__(self, command: str) -> str:
        """Run a line in a shell of its own, as a user would."""
        mine = {name: value for name, value in os.environ.items() if name not in ("KUBECONFIG", "MAKEFLAGS")}
        own = {
            "HOME": str(self.home),
            "TMPDIR": str(self.checkout / "tmp"),
            "PULUMI_BACKEND_URL": f"file://{self.checkout / 'state'}",
        }
        environment = mine | self.docker.environment | own
        return run(*self.docker.command("sh", "-c", command, directory=self.checkout), env=environment).stdout


def traces(name: str) -> dict[str, list[str]]:
    """Return what is left on the machine of a Docker with this name and of its clusters."""
    places = ("/run/containerd", "/run/docker", "/run/docker.sock", "/run/docker.pid", "/etc/docker", "/etc/cni")
    processes = run("ps", "-eo", "args").stdout.splitlines()
    return {
        "files": [place for place in places if Path(place).exists()],
        "cgroups": [str(group) for group in Path("/sys/fs/cgroup").glob("*/*") if group.name in ("docker", name)],
        "mounts": [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if name in line],
        "processes": [line for line in processes if re.search(rf"{name}|moby|k3d-dcmesh", line)],
        "interfaces": re.findall(r"\d: (docker\w+|br-\w+)", run("ip", "link").stdout),
    }


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine with k3d. Afterwards nothing of it may be left on the real machine."""
    programs = parts.ensure()
    name = f"dcmesh-k3d-{os.getpid()}"
    before = traces(name)
    directory, home = tmp_path / name, tmp_path / "home"
    directory.mkdir()
    home.mkdir()
    with docker.running(programs.bin, directory) as running:
        images.load(running, programs.images, K3S_IMAGE)
        yield Machine(running, checkout(tmp_path / "checkout"), home)
    assert traces(name) == before
    assert [left.name for left in directory.iterdir()] == ["dockerd.log"]


def checkout(directory: Path) -> Path:
    """Return a copy of the project that uses the lab's Istio: charts from a directory, and upstream's Envoy."""
    for name in ("lab", "tmp", "state"):
        (directory / name).mkdir(parents=True)
    for name in (*PROGRAM, "scripts", "venv", ".lab"):
        if (ROOT / name).exists():
            (directory / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "Makefile", directory)
    for name in VENV:
        shutil.copy(ROOT / name, directory / name)
        os.utime(directory / name, (0, 0))
    stack = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())
    stack["config"]["dcmesh:istio"] = lab_config()["dcmesh:istio"]
    (directory / "Pulumi.dev.yaml").write_text(yaml.safe_dump(stack))
    return directory


def quick_start() -> list[str]:
    """Return the blocks of the README's quick start."""
    _, _, rest = (ROOT / "README.md").read_text().partition("\n## Quick start\n")
    return re.findall(r"```\n(.*?)```", rest.partition("\n## ")[0], re.DOTALL)


@pytest.mark.soak(proves=("components/cluster.py", "Pulumi.dev.yaml", "Makefile", "lab/k3d/*", "lab/go/k3d*/*"))
def test_the_quick_start_comes_true(machine: Machine) -> None:
    make, *_, proof = quick_start()
    up, down = (line.partition("#")[0].strip() for line in make.splitlines())
    first = machine(up)
    assert "stack dev: k3d makes its clusters" in first
    assert "OK: all is well" in first

    command, _, answer = proof.strip().rpartition("\n")
    assert machine(command).strip() == answer

    second = machine(up)
    assert re.findall(r"^ +\d+ unchanged$", second, re.MULTILINE)
    assert not re.findall(r"^ +[+~-]+ *\d+ (?:to )?(?:created|updated|deleted|replaced)", second, re.MULTILINE)

    machine(down)
    for kind in ("container ls --all", "volume ls", "network ls --filter type=custom"):
        assert machine(f"docker {kind} --quiet") == "", kind
    assert json.loads(machine("k3d cluster list --output json")) == []
    assert list(machine.home.rglob("kubeconfig*")) == []
