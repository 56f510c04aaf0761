"""The node of a site: one tree of processes in its own namespaces. The kernel ends the tree with its first process.

A site sees the machine's files, except that it has its own `/run`, `/var/log` and `/var/lib/kubelet`.
"""

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from lab import cgroup, image_store, lock, network, processes
from lab.errors import LabError
from lab.network import SiteAddresses
from lab.paths import STATE, SitePaths

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_KUBELET = Path("/var/lib/kubelet")
"""kubelet's own directory. Parts of its path are compiled in, so each site mounts a directory of its own here."""


def start(site: SitePaths, binaries: Path) -> None:
    """Start the site's first process, which starts and supervises the others.

    Raises:
        LabError: the process ended at once, or does not answer.
    """
    shutil.rmtree(site.run, ignore_errors=True)
    for directory in (site.run, site.logs, site.volumes, site.state / "kubelet", _KUBELET):
        directory.mkdir(parents=True, exist_ok=True)
    with lock.held(STATE):
        cgroup.create(site)
    log = site.logs / "start.log"
    with log.open("wb") as output:
        first = subprocess.Popen(
            ["sh", "-ec", _launcher(site)],
            env={"PATH": f"{binaries}:{_PATH}", "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + 15
    while not _answers(site):
        if first.poll() is not None or time.monotonic() > deadline:
            raise LabError(f"site {site.name} does not start: {log.read_text().strip()}", site.logs)
        time.sleep(0.02)


def stop(site: SitePaths) -> None:
    """End everything that the site runs. Its mounts end with it.

    Raises:
        LabError: a process does not end.
    """
    cgroup.kill(site)
    with lock.held(STATE):
        cgroup.remove(site)
    shutil.rmtree(site.run, ignore_errors=True)


def runs(site: SitePaths) -> bool:
    """Tell whether the site's first process is there."""
    return cgroup.first_process(site) is not None


def started(site: SitePaths) -> float:
    """Return when the site was started, in seconds since the epoch; the present time if it does not run."""
    try:
        return _supervisor_socket(site).stat().st_mtime
    except FileNotFoundError:
        return time.time()


def start_rest(site: SitePaths, addresses: SiteAddresses) -> None:
    """Start the processes that need the API."""
    for process in processes.processes(site, addresses):
        if process.needs_api:
            _supervisor(site).startProcess(process.name, False)


def troubled(site: SitePaths) -> list[str]:
    """Return the names of the processes that supervisord cannot keep running; none if supervisord does not answer."""
    try:
        answer = _supervisor(site).getAllProcessInfo()
    except OSError:
        return []
    return [str(info["name"]) for info in answer if info["statename"] in ("BACKOFF", "EXITED", "FATAL")]


def run_inside(site: SitePaths, command: list[str]) -> int:
    """Run a command inside the site, on this terminal, and return its exit status.

    The command finds the site's programs on its PATH. `kubectl` and `ctr` are set up to talk to this site.

    Raises:
        LabError: the site does not run.
    """
    first = cgroup.first_process(site)
    if first is None:
        raise LabError(f"site {site.name} does not run: `python -m lab create {site.name}` starts it")
    own = dict(entry.split("=", 1) for entry in Path(f"/proc/{first}/environ").read_text().split("\0") if entry)
    tools = {"KUBECONFIG": str(site.kubeconfig("admin")), "CONTAINERD_NAMESPACE": image_store.NAMESPACE}
    inside = ["nsenter", f"--target={first}", "--mount", "--uts", "--net", "--pid", "--", *command]
    return subprocess.run(inside, env=os.environ | own | tools, check=False).returncode


def remove_mount_point() -> None:
    """Remove the directory over which sites mount their kubelet's own. No site may run, as it would lose its mount."""
    with contextlib.suppress(OSError):
        _KUBELET.rmdir()


def _supervisor(site: SitePaths) -> Any:  # noqa: ANN401 - the methods of a remote interface
    from xmlrpc.client import ServerProxy

    from supervisor.xmlrpc import SupervisorTransport

    transport = SupervisorTransport(None, None, f"unix://{_supervisor_socket(site)}")
    return ServerProxy("http://localhost", transport=transport).supervisor


def _answers(site: SitePaths) -> bool:
    try:
        _supervisor(site).getState()
    except OSError:
        return False
    return True


def _supervisor_socket(site: SitePaths) -> Path:
    return site.run / "supervisor.sock"


def _launcher(site: SitePaths) -> str:
    """Return the shell script that becomes the site's first process."""
    supervisord = [sys.executable, "-m", "supervisor.supervisord", "-c", str(processes.supervisor_file(site))]
    # kubelet's volume mounts must reach the containers, so mounts are shared within the site.
    inside = f"""set -e
mount --make-rshared /
mount --bind {site.run} /run
mount --bind {site.logs} /var/log
mount --bind {site.state / "kubelet"} {_KUBELET}
hostname {site.name}
exec {shlex.join(supervisord)}"""
    namespace = network.namespace_file(site.namespace)
    return f"""{cgroup.join_command(site)}
exec nsenter --net={namespace} unshare --mount --uts --pid --fork --kill-child --mount-proc \\
    sh -c {shlex.quote(inside)}"""
