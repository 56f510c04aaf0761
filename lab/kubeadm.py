"""A site's certificates and kubeconfigs. kubeadm makes them, as it does for any cluster."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab import network
from lab.errors import LabError
from lab.network import SiteAddresses
from lab.paths import SitePaths
from lab.toolchain import KUBERNETES


def configuration(site: SitePaths, addresses: SiteAddresses, names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return kubeadm's configuration of the site, one dict per document. The API has these names in addition."""
    api = "kubeadm.k8s.io/v1beta4"
    return [
        {
            "apiVersion": api,
            "kind": "InitConfiguration",
            "localAPIEndpoint": {"advertiseAddress": addresses.node, "bindPort": 6443},
            "nodeRegistration": {"name": site.name, "criSocket": "unix:///run/containerd/containerd.sock"},
        },
        {
            "apiVersion": api,
            "kind": "ClusterConfiguration",
            "clusterName": f"{site.lab}-{site.name}",
            "kubernetesVersion": f"v{KUBERNETES}",
            "certificatesDir": str(site.pki),
            "controlPlaneEndpoint": f"{addresses.node}:6443",
            "apiServer": {"certSANs": [*names]},
            "encryptionAlgorithm": "ECDSA-P256",
            "networking": {"podSubnet": network.PODS, "serviceSubnet": network.SERVICES},
        },
    ]


def make_certificates(kubeadm: Path, site: SitePaths, addresses: SiteAddresses, names: Sequence[str] = ()) -> None:
    """Make the site's certificates and kubeconfigs, and keep valid ones. The API has these names in addition.

    Raises:
        LabError: kubeadm failed.
    """
    config = site.config / "kubeadm.yaml"
    documents = configuration(site, addresses, names)
    config.write_text("\n---\n".join(json.dumps(document, indent=2) for document in documents))
    _run(kubeadm, "init", "phase", "certs", "all", f"--config={config}")
    kubeconfigs = f"--kubeconfig-dir={site.kubeconfigs}"
    _run(kubeadm, "init", "phase", "kubeconfig", "all", f"--config={config}", kubeconfigs)
    proxy = _run(kubeadm, "kubeconfig", "user", "--client-name=system:kube-proxy", f"--config={config}")
    site.kubeconfig("kube-proxy").write_text(proxy)


def _run(kubeadm: Path, *arguments: str) -> str:
    result = subprocess.run([kubeadm, *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        raise LabError(f"`kubeadm {' '.join(arguments)}` failed: {result.stderr.strip()}")
    return result.stdout
