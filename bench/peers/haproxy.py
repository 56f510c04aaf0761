"""Two HAProxies with TLS: one before the database, with a LoadBalancer of its own, and one beside the client.

Certificates are made, distributed and replaced by hand. Each proxy checks the other's certificate.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.data_path import direct
from bench.peers import authority
from bench.peers.figures import HAPROXY
from bench.peers.peer import REPLICA, SOURCE, Object, Peer, named
from dcmesh.model.gateway import GATEWAY_PORT
from dcmesh.model.link import MYSQL_PORT
from lab import parts
from lab.paths import TOOLCHAIN
from lab.toolchain import HAPROXY_PROGRAM
from tests.e2e.toolbox import MARIADB, Kubectl

NAME = f"{direct.NAME}-0"
TLS_PORT = 8443

CONFIGURATION = """\
global
  maxconn 1000
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
resolvers cluster
  parse-resolv-conf
  hold valid 1s
frontend in
  bind :{port}{accept}
  default_backend out
backend out
  server it {address} resolvers cluster init-addr none{connect}
"""
KEYS = "ssl crt /tls/own.pem ca-file /tls/ca.pem verify required"


class HaProxy(Peer):
    """Two HAProxies."""

    name = HAPROXY
    host = f"{NAME}.{REPLICA}.svc.cluster.local"

    def __init__(self, sites: Mapping[str, Kubectl], directory: Path) -> None:
        super().__init__(sites, directory)
        self._program = parts.provide((HAPROXY_PROGRAM,), TOOLCHAIN)[HAPROXY_PROGRAM.name].path / "bin"

    def set_up(self) -> None:
        """Make certificates, distribute them, and put a proxy at each end."""
        with self.step():
            self._root = authority.root("root 1")
            self._own = {end: authority.leaf(end, self._root) for end in ("server", "client")}
        for site, namespace, end in (("dc1", SOURCE, "server"), ("dc2", REPLICA, "client")):
            with self.step():
                self.apply(site, secret(namespace, self._own[end], self._root.pem))
        with self.step():
            server = f"{NAME}.{direct.NAME}.{SOURCE}.svc.cluster.local:{MYSQL_PORT}"
            config = CONFIGURATION.format(port=TLS_PORT, accept=f" {KEYS}", address=server, connect="")
            self.apply("dc1", *self._proxy(SOURCE, config))
        with self.step():
            spec = {
                "type": "LoadBalancer",
                "selector": {"app": "haproxy"},
                "ports": [{"name": "tls", "port": GATEWAY_PORT, "targetPort": TLS_PORT}],
            }
            self.apply("dc1", named("v1", "Service", "haproxy", SOURCE, spec=spec))
            address = direct.load_balancer_address(self.sites["dc1"], "haproxy", SOURCE)
        with self.step():
            connect = f" {KEYS} verifyhost server"
            far = f"{address}:{GATEWAY_PORT}"
            config = CONFIGURATION.format(port=MYSQL_PORT, accept="", address=far, connect=connect)
            self.apply("dc2", *self._proxy(REPLICA, config))
        with self.step():
            spec = {"selector": {"app": "haproxy"}, "ports": [{"name": "tcp-mysql", "port": MYSQL_PORT}]}
            self.apply("dc2", named("v1", "Service", NAME, REPLICA, spec=spec))
        for site, namespace in (("dc1", SOURCE), ("dc2", REPLICA)):
            self.wait_for(site, namespace, "deployment/haproxy")

    def gateway(self) -> tuple[str, str]:
        """Return those of the proxy before the database."""
        return SOURCE, "app=haproxy"

    def rotate(self) -> None:
        """Trust both roots, then issue from the new one, then trust only that one.

        The proxies restart for each step.
        """
        ends = (("dc1", SOURCE, "server"), ("dc2", REPLICA, "client"))
        old, new = self._root, authority.root("root 2")
        both, issued = old.pem + new.pem, {end: authority.leaf(end, new) for _, _, end in ends}
        for own, trusted in ((self._own, both), (issued, both), (issued, new.pem)):
            for site, namespace, end in ends:
                self.sites[site].apply(secret(namespace, own[end], trusted))
            for site, namespace, _ in ends:
                self.sites[site]("rollout", "restart", "deployment/haproxy", "--namespace", namespace)
            for site, namespace, _ in ends:
                self.wait_for(site, namespace, "deployment/haproxy")

    def _proxy(self, namespace: str, config: str) -> list[Object]:
        mounts = [("config", "/etc/haproxy"), ("tls", "/tls"), ("program", "/haproxy")]
        container = {
            "name": "haproxy",
            "image": MARIADB,  # This image has the C library that HAProxy needs.
            "imagePullPolicy": "IfNotPresent",
            "command": ["/haproxy/haproxy", "-db", "-f", "/etc/haproxy/haproxy.cfg"],
            "volumeMounts": [{"name": name, "mountPath": path, "readOnly": True} for name, path in mounts],
            "readinessProbe": {"tcpSocket": {"port": TLS_PORT if namespace == SOURCE else MYSQL_PORT}},
        }
        volumes: list[dict[str, Any]] = [
            {"name": "config", "configMap": {"name": "haproxy"}},
            {"name": "tls", "secret": {"secretName": "haproxy", "defaultMode": 0o444}},
            {"name": "program", "hostPath": {"path": str(self._program)}},
        ]
        labels = {"app": "haproxy"}
        pod = {"terminationGracePeriodSeconds": 1, "containers": [container], "volumes": volumes}
        template = {"metadata": {"labels": labels}, "spec": pod}
        spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
        return [
            named("v1", "ConfigMap", "haproxy", namespace, data={"haproxy.cfg": config}),
            named("apps/v1", "Deployment", "haproxy", namespace, spec=spec),
        ]


def secret(namespace: str, own: authority.Signer, trusted: str) -> Object:
    """Return the Secret of one end: its certificate and key, and the roots that it trusts."""
    data = {"own.pem": own.pem + own.key_pem, "ca.pem": trusted}
    return named("v1", "Secret", "haproxy", namespace, stringData=data)
