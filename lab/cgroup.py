"""The cgroup of a site. By it the lab finds the site's processes, kills them, and measures their memory.

The kernel keeps the record of the processes. The lab writes down no PID, which another process could get later.
"""

import contextlib
import os
import signal
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path

from lab.errors import LabError
from lab.image_store import NAMESPACE
from lab.paths import SitePaths

_ROOT = Path("/sys/fs/cgroup")

# A group has the processor time of one ordinary process, by default, or of one session's processes where the kernel
# groups these. containerd puts the containers of all labs into one group, so beside Pulumi their probes time out.
# These give a group the time of two, in the words of version 1 and 2. With much more, Pulumi would wait for the probes.
# Version 2 has no such file before the root hands the controller down: systemd does that on most hosts, and else runc
# with the first container.
_PROCESSOR_TIME = {"cpu.shares": 2 * 1024, "cpu.weight": 2 * 100}


def create(site: SitePaths) -> None:
    """Make the site's cgroup in every hierarchy, with a leaf for the site's own processes.

    Version 2 allows processes in leaves only. containerd puts the containers into a group that all labs share.
    """
    for leaf in _own_leaves(site):
        own, lab, labs, hierarchy = list(leaf.parents)[:4]
        containers = hierarchy / NAMESPACE
        leaf.mkdir(parents=True, exist_ok=True)
        containers.mkdir(exist_ok=True)
        for group in (labs, lab, own, leaf, containers):
            # In a new group of version 1 they are empty, and no process can enter the group.
            for setting in ("cpuset.cpus", "cpuset.mems"):
                with contextlib.suppress(OSError):
                    (group / setting).write_text((group.parent / setting).read_text())
        for group in (labs, containers):
            for setting, value in _PROCESSOR_TIME.items():
                if (group / setting).exists():
                    (group / setting).write_text(str(value))


def join_command(site: SitePaths) -> str:
    """Return shell lines by which a process enters the site's own leaf in every hierarchy."""
    return "\n".join(f"echo 0 > {leaf}/cgroup.procs" for leaf in _own_leaves(site))


def processes(site: SitePaths) -> list[int]:
    """Return the PIDs, as the host counts them, of everything that runs in the site, containers included.

    A container's processes are in a group that containerd chose, which does not name the site. They belong to the site
    because they descend from the site's first process.
    """
    found: set[int] = set()
    for hierarchy in _hierarchies():
        for procs in _group(hierarchy, site).rglob("cgroup.procs"):
            found.update(_pids(procs))
    return sorted(found | _descendants(found))


def first_process(site: SitePaths) -> int | None:
    """Return the host's PID of the process that is PID 1 of the site, None if the site does not run."""
    for leaf in _own_leaves(site):
        for pid in _pids(leaf / "cgroup.procs"):
            if _pids_in_namespaces(pid)[1:] == [1]:
                return pid
    return None


def kill(site: SitePaths, seconds: float = 15) -> None:
    """End all processes of the site. With the first one, the kernel ends everything in its PID namespace.

    Raises:
        LabError: some live on after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while pids := processes(site):
        if time.monotonic() > deadline:
            raise LabError(f"processes of site {site.name} do not end: {pids}", site.logs)
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)


def memory(site: SitePaths) -> int:
    """Return the bytes of memory that the site's processes hold: their own and the files they map, caches excluded."""
    for hierarchy in _hierarchies():
        try:
            lines = (_group(hierarchy, site) / "memory.stat").read_text().splitlines()
        except OSError:
            continue
        stat = {name: int(value) for name, value in (line.split() for line in lines)}
        if "total_rss" in stat:
            return stat["total_rss"] + stat["total_mapped_file"]
        return stat["anon"] + stat["file_mapped"]
    return 0


def remove(site: SitePaths) -> None:
    """Remove the site's groups and its containers', and those above that are then empty, in every hierarchy.

    Nobody else removes the groups of containers that were killed with the site. Every kubelet on the machine watches
    all groups. Some thousands of old ones use up inotify's watches, and then no kubelet starts.
    """
    containers = _containers(site)
    for hierarchy in _hierarchies():
        group = _group(hierarchy, site)
        labs = group.parent.parent
        inner = sorted(group.rglob("*/"), reverse=True) if group.is_dir() else []
        for directory in (*(hierarchy / of for of in containers), *inner, group, group.parent, labs):
            _remove_unused(directory)
        if not labs.exists():
            _remove_unused(hierarchy / NAMESPACE)


def _remove_unused(group: Path) -> None:
    with contextlib.suppress(OSError):  # The group does not exist, or another site uses it as well.
        group.rmdir()


def _hierarchies() -> list[Path]:
    """The mounted hierarchies: one of version 2, or several of version 1, perhaps with one of version 2 beside them."""
    if (_ROOT / "cgroup.procs").exists():
        return [_ROOT]
    # A controller that shares a directory with another one has a link to it, under its own name.
    return [entry for entry in sorted(_ROOT.iterdir()) if not entry.is_symlink() and (entry / "cgroup.procs").exists()]


def _group(hierarchy: Path, site: SitePaths) -> Path:
    return hierarchy / site.cgroup.lstrip("/")


def _containers(site: SitePaths) -> list[Path]:
    """Return the groups of the containers that containerd has not deleted itself, below the root of a hierarchy."""
    tasks = site.run / "containerd/io.containerd.runtime.v2.task" / NAMESPACE
    return [Path(NAMESPACE, task.name) for task in tasks.glob("*")]


def _own_leaves(site: SitePaths) -> Iterator[Path]:
    return (_group(hierarchy, site) / "system" for hierarchy in _hierarchies())


def _pids(procs: Path) -> list[int]:
    try:
        return [int(pid) for pid in procs.read_text().split()]
    except OSError:
        return []


def _descendants(pids: Collection[int]) -> set[int]:
    """Return the processes that have one of these among their ancestors."""
    children = defaultdict[int, list[int]](list)
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # A process's name may have a bracket in it.
            parent = (directory / "stat").read_text().rpartition(")")[2].split()[1]
            children[int(parent)].append(int(directory.name))
    found, left = set[int](), list(pids)
    while left:
        new = [child for child in children[left.pop()] if child not in found]
        found.update(new)
        left += new
    return found


def _pids_in_namespaces(pid: int) -> list[int]:
    """The PIDs that one process has, from the host's PID namespace inwards."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return []
    return next(([int(n) for n in line.split()[1:]] for line in status.splitlines() if line[:6] == "NSpid:"), [])
