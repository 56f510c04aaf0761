"""Making, repairing and deleting the sites of a lab.

What asks a site's API is imported only where it is used: the Kubernetes client takes half a second of processor time.
"""

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from lab import image_store, kubeadm, kubeconfig, lock, network, node, paths, processes, progress, record, wan
from lab.errors import LabError
from lab.network import LabAddresses, SiteAddresses
from lab.paths import LabPaths, SitePaths
from lab.record import LabRecord
from lab.toolchain import Toolchain

_PATIENCE = 180.0
"""Seconds that a step of a start may take on a slow machine. Normally it takes a few."""


def create(toolchain: Toolchain, lab: LabPaths, name: str, reachable_from: tuple[str, ...]) -> None:
    """Make a site, repair it, or leave it alone if it is well. Return when it is ready for use.

    A site that was ready before keeps its cluster: only what does not run is started. If that fails, or if the site was
    never ready, the site is made anew.

    Args:
        toolchain: the programs and images to run.
        lab: the site's lab.
        name: the site.
        reachable_from: the sites that may reach this one's gateway. They need not exist yet.

    Raises:
        LabError: the site does not become ready.
    """
    site = lab.site(name)
    with _held(site):
        addresses = _connect(lab, site, reachable_from)
        if _well(site):
            progress.note(f"site {name}: is ready")
            return
        begun = time.monotonic()
        if _marker(site).exists():
            try:
                with progress.under_way(f"site {name}: starting it again, with its cluster as it was"):
                    _start(toolchain, site, addresses)
            except LabError as error:
                progress.note(f"site {name}: {error}: making it anew")
                _start_anew(toolchain, site, addresses)
        else:
            _start_anew(toolchain, site, addresses)
        _marker(site).touch()
        with lock.held(paths.STATE):
            _write_kubeconfig(lab)
        progress.note(f"site {name}: ready after {progress.duration(time.monotonic() - begun)}")


def delete(lab: LabPaths, name: str) -> None:
    """Remove a site and all that belongs to it, complete or not. With its last site, the lab is removed too.

    Raises:
        LabError: a process does not end.
    """
    site = lab.site(name)
    with _held(site), progress.under_way(f"site {name}: deleting it"):
        node.stop(site)
        _empty(site.state)
        with lock.held(paths.STATE):
            network.delete_site(site, lab.wan_namespace)
            state = record.load(lab.lab)
            state = state and state.without_site(name)
            if state and state.sites:
                record.save(lab.lab, state)
                wan.apply(lab.lab, state)
                _write_kubeconfig(lab)
            else:
                network.delete_wan(lab)
                record.remove(lab.lab)
                lab.kubeconfig.unlink(missing_ok=True)
            # This removes empty directories only, since another command may be making the site again already.
            _remove_if_empty(site.state, lab.state, lab.run, paths.RUN, paths.STATE)
            if not paths.STATE.exists():
                node.remove_mount_point()
    progress.note(f"site {name}: deleted")


def names(lab: LabPaths) -> list[str]:
    """Return the lab's sites, including those of which only a directory is left."""
    state = record.load(lab.lab)
    left = {entry.name for entry in lab.state.glob("*/")} if lab.state.is_dir() else set()
    return sorted(left | set(state.sites if state else ()))


def addresses(state: LabRecord, name: str) -> SiteAddresses:
    """Return a recorded site's addresses."""
    return LabAddresses(state.index).site(state.sites[name].subnet)


def _held(site: SitePaths) -> contextlib.AbstractContextManager[None]:
    return lock.held(site.state, lambda: progress.note(f"site {site.name}: waiting for another command on it"))


def _connect(lab: LabPaths, site: SitePaths, reachable_from: tuple[str, ...]) -> SiteAddresses:
    """Give the site its addresses and its way to the WAN, and let its consumers in."""
    with lock.held(paths.STATE):
        known = record.labs()
        _check_namespace(site, known)
        before = known.get(lab.lab) or LabRecord(network.free_index({other.index for other in known.values()}))
        state = before.with_site(site.name, reachable_from)
        if state != before:
            record.save(lab.lab, state)
        network.create_wan(lab, LabAddresses(state.index))
        own = addresses(state, site.name)
        network.create_site(site, lab.wan_namespace, own)
        wan.apply(lab.lab, state)
    return own


def _check_namespace(site: SitePaths, known: dict[str, LabRecord]) -> None:
    """Refuse a site whose namespace belongs to another lab: lab a-b with site c has that of lab a with site b-c.

    Raises:
        LabError: another lab has the namespace.
    """
    wanted = {site.namespace, LabPaths(site.lab).wan_namespace}
    for lab, state in known.items():
        theirs = {LabPaths(lab).wan_namespace, *(SitePaths(lab, name).namespace for name in state.sites)}
        if lab != site.lab and wanted & theirs:
            raise LabError(f"lab {site.lab} or its site {site.name} needs another name: lab {lab} has that namespace")


def _well(site: SitePaths) -> bool:
    """Tell whether the site runs and is ready. A site that runs gets some seconds to answer."""
    if not (_marker(site).exists() and node.runs(site)):
        return False
    from lab.cluster import Cluster

    this, started = Cluster(site), node.started(site)
    deadline = time.monotonic() + 15
    while this.lacks(started):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def _start_anew(toolchain: Toolchain, site: SitePaths, own: SiteAddresses) -> None:
    with progress.under_way(f"site {site.name}: making it"):
        node.stop(site)
        _empty(site.state)
        _start(toolchain, site, own)


def _start(toolchain: Toolchain, site: SitePaths, own: SiteAddresses) -> None:
    """Start the site with the content of its state directory, and wait until it is ready."""
    from lab.cluster import MANIFESTS, Cluster

    node.stop(site)
    for directory in (site.config, site.kubeconfigs, site.pki):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    kubeadm.make_certificates(toolchain.bin / "kubeadm", site, own)
    processes.write_configuration(site, own)
    # containerd starts with nothing but the images. It has forgotten its containers, so kubelet starts them anew.
    image_store.link(toolchain.images, site.containerd)
    node.start(site, toolchain.bin)
    this = Cluster(site)
    _wait(site, lambda: "" if this.answers() else "its API does not answer")
    node.start_rest(site, own)
    this.apply(toolchain.bin / "kubectl", MANIFESTS)
    _wait(site, lambda: this.lacks(node.started(site)))


def _wait(site: SitePaths, lacks: Callable[[], str]) -> None:
    """Wait until the site lacks nothing.

    Raises:
        LabError: the site's first process ended, or the time is up.
    """
    deadline = time.monotonic() + _PATIENCE
    while lacking := lacks():
        if not node.runs(site):
            raise LabError(f"the processes of site {site.name} ended", site.logs)
        if time.monotonic() > deadline:
            down = ", ".join(node.troubled(site)) or "none"
            raise LabError(f"site {site.name}: {lacking} (processes that do not stay up: {down})", site.logs)
        time.sleep(0.25)


def _write_kubeconfig(lab: LabPaths) -> None:
    """Bring the lab's merged kubeconfig up to date. Shells use it."""
    ready = [lab.site(name) for name in names(lab) if _marker(lab.site(name)).exists()]
    lab.kubeconfig.touch(mode=0o600)
    lab.kubeconfig.write_text(yaml.safe_dump(kubeconfig.of_sites(ready)))


def _marker(site: SitePaths) -> Path:
    """The file that says that the site was ready once, so its cluster is worth keeping."""
    return site.state / "was-ready"


def _empty(directory: Path) -> None:
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _remove_if_empty(*directories: Path) -> None:
    for directory in directories:
        with contextlib.suppress(OSError):
            directory.rmdir()
