"""The lab's paths: the toolchain's cache, and the state, sockets and logs of each site."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dcmesh"
TOOLCHAIN = CACHE / "toolchain"
IMAGE_STORE = CACHE / "image-store"
STATE = Path("/var/lib/dcmesh-lab")
RUN = Path("/run/dcmesh-lab")

_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_WAN = "wan"
_WAN_INTERFACES = ("host", "line", "lo")


def check_lab(name: str) -> str:
    """Return `name` if a lab may have it.

    Raises:
        ValueError: the name is no lower-case DNS label of at most 40 characters.
    """
    if not _NAME.fullmatch(name) or len(name) > 40:
        raise ValueError(f"{name!r} cannot name a lab: lower-case letters, digits and dashes, at most 40 characters")
    return name


def check_site(name: str) -> str:
    """Return `name` if a site may have it. A host and an interface of the WAN get the same name.

    Raises:
        ValueError: the name is no lower-case DNS label of at most 15 characters, or is reserved.
    """
    if not _NAME.fullmatch(name) or len(name) > 15 or name in (*_WAN_INTERFACES, _WAN):
        raise ValueError(
            f"{name!r} cannot name a site: lower-case letters, digits and dashes, at most 15 characters, "
            f"and none of {', '.join((*_WAN_INTERFACES, _WAN))}"
        )
    return name


@dataclass(frozen=True)
class LabPaths:
    """The directories that one lab owns, and the names that it uses outside them."""

    lab: str

    @property
    def state(self) -> Path:
        """What survives a reboot: the lab's record, and a directory for each site."""
        return STATE / self.lab

    @property
    def run(self) -> Path:
        """What a reboot clears: sockets and locks."""
        return RUN / self.lab

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig with a context for each of the lab's sites that is or was ready."""
        return self.state / "kubeconfig"

    @property
    def wan_namespace(self) -> str:
        """The network namespace of the WAN's router."""
        return self.site(_WAN).namespace

    def site(self, name: str) -> "SitePaths":
        """The directories of one of the lab's sites."""
        return SitePaths(self.lab, name)


@dataclass(frozen=True)
class SitePaths:
    """The directories that one site owns, and the names that it uses outside them."""

    lab: str
    name: str

    @property
    def state(self) -> Path:
        """What survives a reboot: etcd, containerd, kubelet, volumes, certificates, logs."""
        return STATE / self.lab / self.name

    @property
    def run(self) -> Path:
        """What a reboot clears: sockets and process records."""
        return RUN / self.lab / self.name

    @property
    def logs(self) -> Path:
        """A log for each process, rotated by supervisord."""
        return self.state / "logs"

    @property
    def config(self) -> Path:
        """The configuration of the site's processes. It is rewritten at each start."""
        return self.state / "config"

    @property
    def containerd(self) -> Path:
        """The images and containers, as containerd keeps them."""
        return self.state / "containerd"

    @property
    def volumes(self) -> Path:
        """The directories behind the cluster's PersistentVolumes."""
        return self.state / "volumes"

    @property
    def pki(self) -> Path:
        """The cluster's certificates, as kubeadm lays them out."""
        return self.state / "pki"

    @property
    def kubeconfigs(self) -> Path:
        """The kubeconfigs of the cluster's own clients."""
        return self.state / "kubeconfigs"

    def kubeconfig(self, client: str) -> Path:
        """The kubeconfig of one client, `super-admin` for the lab itself."""
        return self.kubeconfigs / f"{client}.conf"

    @property
    def namespace(self) -> str:
        """The site's network namespace."""
        return f"dcmesh-{self.lab}-{self.name}"

    @property
    def cgroup(self) -> str:
        """The cgroup that holds everything that the site runs, below the root of each hierarchy."""
        return f"/dcmesh-lab/{self.lab}/{self.name}"
