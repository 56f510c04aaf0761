"""The Debian packages that the lab runs on."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.errors import LabError
from lab.paths import CACHE
from lab.progress import Steps

PACKAGES = (
    "conntrack",
    "containerd",
    "containernetworking-plugins",
    "etcd-server",
    "gcc",
    "iproute2",
    "iptables",
    "mmdebstrap",
    "nftables",
    "runc",
    "tcpdump",
)

_SERVICES = {"containerd": "containerd", "etcd-server": "etcd"}
"""Packages that bring a system service. The lab does not use that service: each site runs its own."""

_POLICY = Path("/usr/sbin/policy-rc.d")
"""The script that Debian's packages ask whether they may start their services."""

_one_update = threading.Lock()
"""Held while the lists of packages are looked at, since apt lets only one process at a time update them."""

_LOG = CACHE / "packages.log"


def ensure(names: tuple[str, ...] = PACKAGES) -> None:
    """Install those of the packages that are missing on this machine.

    Args:
        names: the packages. Default: those that the lab needs.

    Raises:
        LabError: this machine has no Debian, the user is not root, or apt-get failed.
    """
    if not shutil.which("dpkg-query"):
        raise LabError("the lab needs Debian: there is no dpkg-query here")
    absent = missing(names)
    if not absent:
        return
    if os.geteuid() != 0:
        raise LabError(f"not root, and these Debian packages are not installed: {' '.join(absent)}")
    steps = Steps(2)
    with steps.step("reading the lists of Debian packages"):
        _run("apt-get", "update")
    with steps.step(f"installing Debian packages: {' '.join(absent)}"), _services_stay_down():
        _run("apt-get", "install", "--yes", "--no-install-recommends", *absent)
    if shutil.which("systemctl"):
        for service in (_SERVICES[name] for name in absent if name in _SERVICES):
            _run("systemctl", "disable", service)


def missing(names: tuple[str, ...] = PACKAGES) -> tuple[str, ...]:
    """Return those of the packages that are not installed."""
    query = ("dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *names)
    shown = subprocess.run(query, capture_output=True, text=True, check=False).stdout.splitlines()
    return tuple(name for name in names if f"{name} installed" not in shown)


def apt_sources() -> tuple[str, ...]:
    """Return the machine's own sources of Debian packages, each as a line of sources.list(5).

    Raises:
        LabError: there is none.
    """
    with _one_update:
        sources = _known_sources()
        if not sources:
            _run("apt-get", "update")
            sources = _known_sources()
    if not sources:
        raise LabError("apt knows no source of Debian packages")
    return sources


def of_release(sources: tuple[str, ...], release: str) -> str:
    """Return where another release of Debian is, which the machine does not use: where its own first source is."""
    uri = sources[0].split()[1]
    return f"deb [check-valid-until=no] {uri} {release} main"  # A mirror may not have been updated for a while.


def _known_sources() -> tuple[str, ...]:
    line = "deb $(REPO_URI) $(RELEASE) $(COMPONENT)"
    query = ("apt-get", "indextargets", "--format", line, "Created-By: Packages", "Origin: Debian")
    return tuple(subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines())


@contextmanager
def _services_stay_down() -> Iterator[None]:
    """Keep packages from starting their services while the block runs."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()


def _run(*command: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _LOG.parent.mkdir(parents=True, exist_ok=True)
    with _LOG.open("ab") as log:
        result = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False)
    if result.returncode != 0:
        raise LabError(f"{' '.join(command[:2])} failed", _LOG)
