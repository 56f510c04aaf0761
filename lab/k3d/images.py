"""The images of a k3d cluster, in a Docker."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from lab.k3d.docker import Docker
from lab.paths import REPOSITORY

_NODE_RUNS = ("lab", "constraints.txt")
"""What of the repository a node runs."""


def load(docker: Docker, archives: Sequence[Path], k3s: str) -> None:
    """Load archives, and make of the node's image the one that stands in for k3s' under this name.

    Raises:
        LabError: Docker refuses.
    """
    for archive in archives:
        docker.run("docker", "load", "--quiet", f"--input={archive}")
    pack = ("tar", "--create", f"--directory={REPOSITORY}", "--exclude=lab/go", "--exclude=__pycache__", *_NODE_RUNS)
    context = subprocess.run(pack, capture_output=True, check=True).stdout
    docker.run("docker", "build", "--quiet", f"--tag={k3s}", "--file=lab/k3d/Dockerfile", "-", stdin=context)
