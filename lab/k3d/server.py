"""A stand-in for `k3s server` in a container of k3d's. It runs a site of the lab, and does what k3d expects of k3s.

It is the image's /bin/k3s. k3d waits for certain lines of its log, and reads a kubeconfig. To a manifest, k3d adds the
names of the Docker host and of its other containers. k3s applies that manifest whenever it changes.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

import yaml

from lab import cgroup, image_store, kubeadm, kubeconfig, network, node, processes
from lab.cluster import MANIFESTS, Cluster
from lab.network import SiteAddresses
from lab.paths import REPOSITORY, SitePaths

_BIN = Path("/usr/local/bin")
_IMAGES = Path("/images")
_APPLIED = Path("/var/lib/rancher/k3s/server/manifests")
_K3S_YAML = Path("/etc/rancher/k3s/k3s.yaml")
_PATIENCE = 20
"""Seconds that the cluster's DNS waits for k3d's names. A pod that runs already would see them only a minute later."""


@dataclass(frozen=True)
class ContainerAddresses(SiteAddresses):
    """The one address of a container. The only Service of type LoadBalancer gets it as well, as with k3s' ServiceLB.

    Attributes:
        address: the container's address.
    """

    address: str = ""

    @property
    def node(self) -> str:
        """The container's address."""
        return self.address

    @property
    def load_balancer(self) -> tuple[str, ...]:
        """The container's address."""
        return (self.address,)


def main() -> None:
    """Start the site, write the log lines that k3d waits for, and apply the manifests whenever k3d has changed one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server", choices=["server"])
    parser.add_argument("--tls-san", action="append", default=[])
    arguments, _ = parser.parse_known_args()

    site = SitePaths("k3d", socket.gethostname())
    address = socket.gethostbyname(site.name)
    own = ContainerAddresses(IPv4Network(address), address)
    for directory in (site.config, site.kubeconfigs, site.pki, site.logs, site.volumes, site.run.parent, _APPLIED):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    site.run.symlink_to("/run")  # /run is a tmpfs of the container's own.
    kubeadm.make_certificates(_BIN / "kubeadm", site, own, arguments.tls_san)
    processes.write_configuration(site, own)
    subprocess.run(["nft", "-f", "-"], input=network.rules("ip dcmesh", network.MASQUERADE), text=True, check=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    cgroup.create(site)
    image_store.link(tuple(sorted(_IMAGES.glob("*.tar"))), site.containerd)
    subprocess.Popen([sys.executable, "-m", "supervisor.supervisord", "-c", str(processes.supervisor_file(site))])

    cluster = Cluster(site)
    while not cluster.answers():
        time.sleep(0.2)
    node.start_rest(site, own)
    _write_kubeconfig(site)
    for manifest in (*MANIFESTS.iterdir(), REPOSITORY / "lab/k3d/coredns-custom.yaml"):
        if not (_APPLIED / manifest.name).exists():
            shutil.copyfile(manifest, _APPLIED / manifest.name)
    print('level=info msg="k3s is up and running"', flush=True)
    print('level=info msg="Cluster dns configmap has been set successfully"', flush=True)
    _keep_applied(cluster)


def _write_kubeconfig(site: SitePaths) -> None:
    """Write the administrator's kubeconfig as k3s does, where every name is `default`."""
    text = yaml.safe_dump(kubeconfig.named(site.kubeconfig("super-admin"), "default"))
    for file in (_K3S_YAML, Path(os.environ.get("K3S_KUBECONFIG_OUTPUT", _K3S_YAML))):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def _keep_applied(cluster: Cluster) -> None:
    """Apply the manifests, and apply them again whenever k3d has changed the manifest of the cluster's DNS."""
    dns, applied, begun = _APPLIED / "coredns.yaml", "", time.monotonic()
    while True:
        wanted = dns.read_text()
        if wanted != applied and ("NodeHosts" in wanted or time.monotonic() - begun > _PATIENCE):
            cluster.apply(_BIN / "kubectl", _APPLIED)
            applied = wanted
        time.sleep(0.5)


if __name__ == "__main__":
    main()
