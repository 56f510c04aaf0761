"""The images of a k3d cluster, in a Docker."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from lab.k3d.docker import Docker
from lab.paths import REPOSITORY

_NODE_RUNS = ("lab", "constraints.txt")
"""The parts of the repository that a node runs."""


def load(docker: Docker, archives: Sequence[Path], k3s: str) -> None:
    """Load archives. From the node's image, build the image that stands in for k3s' one under this name.

    Raises:
        LabError: Docker refuses.
    """
    for archive in archives:
        docker.run("docker", "load", "--quiet", f"--input={archive}")
    pack = ("tar", "--create", f"--directory={REPOSITORY}", "--exclude=lab/go", "--exclude=__pycache__", *_NODE_RUNS)
    context = subprocess.run(pack, capture_output=True, check=True).stdout
    docker.run("docker", "build", "--quiet", f"--tag={k3s}", "--file=lab/k3d/Dockerfile", "-", stdin=context)
