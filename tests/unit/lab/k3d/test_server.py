"""The stand-in for k3s: the addresses of a container, and what k3d and users of its kubeconfig see."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml

from dcmesh.model.plan import DOCKER_HOST
from lab import paths
from lab.k3d import server
from lab.k3d.server import ContainerAddresses
from lab.paths import REPOSITORY, SitePaths


def test_a_load_balancer_has_the_address_of_the_node() -> None:
    own = ContainerAddresses(IPv4Network("172.18.0.3"), "172.18.0.3")
    assert (own.node, own.load_balancer) == ("172.18.0.3", ("172.18.0.3",))


def test_every_name_in_the_kubeconfig_is_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "STATE", tmp_path)
    monkeypatch.setattr(server, "_K3S_YAML", tmp_path / "k3s" / "k3s.yaml")
    monkeypatch.setenv("K3S_KUBECONFIG_OUTPUT", str(tmp_path / "output" / "kubeconfig.yaml"))
    site = SitePaths("k3d", "server-0")
    site.kubeconfigs.mkdir(parents=True)
    made = {
        "clusters": [{"name": "k3d-server-0", "cluster": {"server": "https://172.18.0.3:6443"}}],
        "users": [{"name": "super", "user": {"client-key-data": "key"}}],
    }
    site.kubeconfig("super-admin").write_text(yaml.safe_dump(made))
    server._write_kubeconfig(site)
    for file in ("k3s/k3s.yaml", "output/kubeconfig.yaml"):
        written = yaml.safe_load((tmp_path / file).read_text())
        assert written["current-context"] == "default"
        assert written["contexts"] == [{"name": "default", "context": {"cluster": "default", "user": "default"}}]
        assert written["clusters"] == [{"name": "default", "cluster": made["clusters"][0]["cluster"]}]


def test_the_clusters_dns_knows_the_name_by_which_gateways_are_reached() -> None:
    custom = yaml.safe_load((REPOSITORY / "lab/k3d/coredns-custom.yaml").read_text())
    assert custom["data"]["k3d.server"].startswith(f"{DOCKER_HOST.partition('.')[2]} {{")
