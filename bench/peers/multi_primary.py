"""Istio's own multi-primary on different networks: east-west gateways, and each istiod watches the other site's API.

It follows Istio's own instructions, with the lab's charts. Each pod has a Service of its own, because a headless
Service's names cannot be reached across networks.
"""

import base64
import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from bench.data_path import direct
from bench.peers import authority
from bench.peers.figures import MULTI_PRIMARY
from bench.peers.peer import POD, REPLICA, SOURCE, Object, Peer, named, namespace_of
from bench.setup import helm
from bench.setup.run import CHARTS
from components.mesh.istio import merge
from dcmesh.model.link import MYSQL_PORT
from lab import network
from lab.paths import LabPaths
from tests.e2e.toolbox import Kubectl, eventually, lab_config, run

NAME = f"{direct.NAME}-0"
SYSTEM, GATEWAY = "istio-system", "istio-eastwestgateway"
READER = "istio-reader-service-account"
SITES = ("dc1", "dc2")


class MultiPrimary(Peer):
    """One mesh over both sites."""

    name = MULTI_PRIMARY
    host = f"{NAME}.{SOURCE}.svc.cluster.local"
    sidecar = True
    lab = ""
    """The lab, whose WAN lets each site reach the other's API server."""

    def __init__(self, sites: Mapping[str, Kubectl], directory: Path) -> None:
        super().__init__(sites, directory)
        self._helm = helm.directory()  # which is built once, and not part of the set-up

    def set_up(self) -> None:
        """Take the instructions' steps."""
        with self.step():
            self._root = authority.root("root 1")
        for site in SITES:
            with self.step():
                self.apply(site, namespace_of(SYSTEM, **{"topology.istio.io/network": f"net-{site}"}))
                self.apply(site, self._cacerts(site, self._root.pem))
            with self.step():
                self._install(site, "istio-base", "base", {})
            with self.step():
                self._install(site, "istiod", "istiod", self._istiod(site))
            with self.step():
                values = {"networkGateway": f"net-{site}", "autoscaling": {"enabled": False}}
                own = lab_config()["dcmesh:istio"]["values"]["gateway"]
                self._install(site, GATEWAY, "gateway", merge(values, own))
            with self.step():
                self.apply(site, cross_network())
        with self.step():
            open_api_servers(self.lab, [self._api_server(site) for site in SITES])
        for site, other in (SITES, SITES[::-1]):
            with self.step():
                self.apply(site, token())
                self.apply(other, self._remote_secret(site))
        with self.step():
            labels = json.dumps({"metadata": {"labels": {"istio-injection": "enabled"}}})
            for site, namespace in (("dc1", SOURCE), ("dc2", REPLICA)):
                self.sites[site]("patch", "namespace", namespace, f"--patch={labels}")
            self.apply("dc2", namespace_of(SOURCE))
            for site in SITES:
                self.apply(site, service())
        with self.step():
            metadata = {"labels": {"sidecar.istio.io/inject": "true"}}
            patch = json.dumps({"spec": {"template": {"metadata": metadata}}})
            self.sites["dc1"](
                "patch", "statefulset", direct.NAME, "--namespace", SOURCE, "--type=merge", f"--patch={patch}"
            )
            direct.rolled_out(self.sites["dc1"], SOURCE)

    def gateway(self) -> tuple[str, str]:
        """Return the east-west gateway's."""
        return SYSTEM, f"istio={GATEWAY.removeprefix('istio-')}"

    def rotate(self) -> None:
        """Replace `cacerts`, then restart everything that has certificates. An overlap of roots is not tried."""
        root = authority.root("root 2")
        self._root = root
        for site in SITES:
            self.sites[site].apply(self._cacerts(site, root.pem))
        workloads = {
            "dc1": ((SYSTEM, "deployment/istiod"), (SYSTEM, f"deployment/{GATEWAY}"), (SOURCE, "statefulset/db")),
            "dc2": ((SYSTEM, "deployment/istiod"), (SYSTEM, f"deployment/{GATEWAY}"), (REPLICA, "statefulset/db")),
        }
        for place in range(3):
            for site, of in workloads.items():
                namespace, workload = of[place]
                self.sites[site]("rollout", "restart", workload, "--namespace", namespace)
            for site, of in workloads.items():
                namespace, workload = of[place]
                self.wait_for(site, namespace, workload)
            # A proxy that starts with the old root cannot ask the new istiod for a certificate.
            for site, of in workloads.items():
                for namespace, _ in of:
                    eventually("pods get the new root", partial(self._hands_out, site, namespace, root.pem), within=120)

    def _hands_out(self, site: str, namespace: str, root: str) -> bool:
        """Tell whether new pods of a namespace get this root."""
        given = self.sites[site].get("configmap", "istio-ca-root-cert", namespace)["data"]["root-cert.pem"]
        return str(given).strip() == root.strip()

    def _cacerts(self, site: str, root: str) -> Object:
        own = authority.intermediate(f"intermediate {site}", self._root)
        data = {
            "ca-cert.pem": own.pem,
            "ca-key.pem": own.key_pem,
            "root-cert.pem": root,
            "cert-chain.pem": own.pem + root,
        }
        return named("v1", "Secret", "cacerts", SYSTEM, stringData=data)

    def _istiod(self, site: str) -> dict[str, Any]:
        mesh = {
            "global": {"meshID": "mesh", "multiCluster": {"clusterName": site}, "network": f"net-{site}"},
            "autoscaleEnabled": False,
            "meshConfig": {"defaultConfig": {"proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "true"}}},
        }
        return merge(mesh, lab_config()["dcmesh:istio"]["values"]["istiod"])

    def _install(self, site: str, name: str, chart: str, values: dict[str, Any]) -> None:
        """Install a chart, and count its objects."""
        file = self.directory / f"{site}-{name}.yaml"
        file.write_text(yaml.safe_dump(values))
        where = ("--namespace", SYSTEM, "--kubeconfig", str(self.sites[site].path))
        self._run("install", name, str(CHARTS / chart), *where, "--values", str(file), "--wait")
        self.objects += sum(bool(of) for of in yaml.safe_load_all(self._run("get", "manifest", name, *where)))

    def _run(self, *arguments: str) -> str:
        environment = os.environ | {"HELM_CACHE_HOME": str(self.directory)}
        return run(str(self._helm / "helm"), *arguments, env=environment).stdout

    def _api_server(self, site: str) -> tuple[str, int]:
        kubeconfig = yaml.safe_load(Path(self.sites[site].path).read_text())
        address = urlsplit(kubeconfig["clusters"][0]["cluster"]["server"])
        return str(address.hostname), address.port or 443

    def _remote_secret(self, site: str) -> Object:
        """Return the Secret for the other site's istiod: a kubeconfig that can read this site's whole API."""
        kubectl = self.sites[site]
        found = eventually(
            "the reader has a token", lambda: kubectl.get("secret", READER, SYSTEM).get("data", {}).get("token")
        )
        cluster = yaml.safe_load(Path(kubectl.path).read_text())["clusters"][0]["cluster"]
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": site, "cluster": cluster}],
            "users": [{"name": site, "user": {"token": base64.b64decode(found).decode()}}],
            "contexts": [{"name": site, "context": {"cluster": site, "user": site}}],
            "current-context": site,
        }
        made = named("v1", "Secret", f"istio-remote-secret-{site}", SYSTEM)
        made["metadata"] |= {
            "labels": {"istio/multiCluster": "true"},
            "annotations": {"networking.istio.io/cluster": site},
        }
        return {**made, "stringData": {site: yaml.safe_dump(kubeconfig)}}


def cross_network() -> Object:
    """Return the Gateway that opens every Service of the mesh to the other network."""
    server = {
        "port": {"number": 15443, "name": "tls", "protocol": "TLS"},
        "tls": {"mode": "AUTO_PASSTHROUGH"},
        "hosts": ["*.local"],
    }
    spec = {"selector": {"istio": GATEWAY.removeprefix("istio-")}, "servers": [server]}
    return named("networking.istio.io/v1", "Gateway", "cross-network-gateway", SYSTEM, spec=spec)


def token() -> Object:
    """Return the Secret for the token of the account with which the other site's istiod reads this one's API."""
    made = named("v1", "Secret", READER, SYSTEM, type="kubernetes.io/service-account-token")
    made["metadata"]["annotations"] = {"kubernetes.io/service-account.name": READER}
    return made


def service() -> Object:
    """Return the Service of the database's pod. The client's site has the same Service, without the pod."""
    return named(
        "v1",
        "Service",
        NAME,
        SOURCE,
        spec={"selector": POD, "ports": [{"name": "tcp-mysql", "port": MYSQL_PORT}]},
    )


def open_api_servers(lab: str, servers: list[tuple[str, int]]) -> None:
    """Let the sites reach each other's API servers. By default the lab's WAN does not allow that."""
    for address, port in servers:
        rule = ("insert", "rule", "inet", "wan", "forward", "ip", "daddr", address, "tcp", "dport", str(port), "accept")
        network.run_in(LabPaths(lab).wan_namespace, "nft", *rule)
