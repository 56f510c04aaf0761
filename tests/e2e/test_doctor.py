"""`python -m dcmesh doctor` on a pair: it names what breaks a link, at the right hop.

The module has one table of ways to break a link. Each break is made, waited for and undone. Then the doctor finds all
well again.
"""

import copy
import dataclasses
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from dcmesh.doctor.evidence import Evidence
from dcmesh.doctor.findings import HopFinding, Report
from dcmesh.doctor.walk import examine
from dcmesh.model.facts import MAX_LAG, State
from dcmesh.model.istio_objects import selects
from dcmesh.sites_in_outputs import DeployedSite, ExpectedGateway, parse_outputs
from dcmesh.status.sites import ask_all
from tests.faults.stage import processes_of

from .toolbox import (
    Database,
    Kubectl,
    Lab,
    Project,
    demo_with_databases,
    eventually,
    kubectl_of,
    lab_for_a_while,
    run,
    standing,
)

HELLO = [f"hello-{ordinal}.hello.demo.svc.cluster.local" for ordinal in range(3)]
DB = "db-0.db.wookie.svc.cluster.local"
ISTIO, WEB, CLIENT, SOURCE, REPLICA = "istio-system", "demo", "demo-dr", "wookie", "wookie-dr"
"""Namespaces of Istio, of the web server and its client, and of the database and its replica."""

DC1, DC2 = "dc1", "dc2"

Change = Callable[[dict[str, Any]], None]


class Pair:
    """The pair, with the methods that break it."""

    def __init__(self, lab: Lab, sites: dict[str, Kubectl], stack: Sequence[DeployedSite]) -> None:
        self.lab = lab
        self.sites = sites
        self.stack = tuple(stack)

    def examine(self, host: str | None = None) -> Report:
        return examine(self.stack, host)

    @property
    def gateway(self) -> ExpectedGateway:
        """The gateway of dc1."""
        gateway = self.stack[0].gateway
        assert gateway
        return gateway

    @property
    def gateway_labels(self) -> dict[str, str]:
        """The labels by which dcmesh's own Gateways select the gateway's pods."""
        found = self.sites[DC1].get("gateway.networking.istio.io", "hello", self.gateway.namespace)
        labels: dict[str, str] = found["spec"]["selector"]
        return labels

    # --- objects -----------------------------------------------------------------------------------------------

    @contextmanager
    def edited(self, site: str, namespace: str, kind: str, name: str, change: Change) -> Iterator[None]:
        """Change an object while the block runs."""
        before = self.sites[site].get(kind, name, namespace)
        after = copy.deepcopy(before)
        change(after)
        try:
            self.replace(site, after)
            yield
        finally:
            self.replace(site, before)

    def replace(self, site: str, found: dict[str, Any]) -> None:
        metadata = {key: value for key, value in found["metadata"].items() if key != "resourceVersion"}
        body = {key: value for key, value in found.items() if key != "status"} | {"metadata": metadata}

        def written() -> str:
            """Replace an object. kubectl reads it first, and fails if a controller has written in between."""
            return self.sites[site]("replace", "--filename", "-", check=False, stdin=json.dumps(body))

        eventually(f"{metadata['name']} is replaced", written)

    @contextmanager
    def deleted(self, site: str, namespace: str, kind: str, name: str) -> Iterator[None]:
        """Delete an object while the block runs."""
        before = self.sites[site].get(kind, name, namespace)
        kept = {key: before["metadata"].get(key, {}) for key in ("name", "namespace", "labels", "annotations")}
        try:
            self.sites[site]("delete", kind, name, "--namespace", namespace)
            yield
        finally:
            self.sites[site].apply({**before, "metadata": kept, "status": None})

    @contextmanager
    def added(
        self, site: str, namespace: str, kind: str, spec: dict[str, Any], group: str = "networking"
    ) -> Iterator[None]:
        """Add an object of Istio's while the block runs."""
        metadata = {"name": "foreign", "namespace": namespace}
        self.sites[site].apply({"apiVersion": f"{group}.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec})
        try:
            yield
        finally:
            self.sites[site]("delete", f"{kind}.{group}.istio.io", "foreign", "--namespace", namespace)

    @contextmanager
    def scaled(self, site: str, namespace: str, what: str, replicas: int) -> Iterator[None]:
        """Change a number of pods while the block runs."""
        before = self.sites[site].get(*what.split("/"), namespace)["spec"]["replicas"]
        scale = ("scale", what, "--namespace", namespace)
        try:
            self.sites[site](*scale, f"--replicas={replicas}")
            yield
        finally:
            self.sites[site](*scale, f"--replicas={before}")
            self.sites[site]("rollout", "status", what, "--namespace", namespace, "--timeout=60s")

    @contextmanager
    def uninjected(self, site: str, namespace: str, *pods: str) -> Iterator[None]:
        """Run a namespace's pods without sidecars while the block runs."""

        def label(change: str) -> None:
            self.sites[site]("label", "namespace", namespace, change)
            self.sites[site]("delete", "pod", "--namespace", namespace, *pods)

        try:
            label("istio-injection-")
            yield
        finally:
            label("istio-injection=enabled")

    @contextmanager
    def squatted(self) -> Iterator[None]:
        """Make an older ServiceEntry for the database's host in another namespace, which the gateway sees."""
        spec = {**foreign_entry(DB, "241.0.0.9"), "exportTo": [self.gateway.namespace]}
        with self.added(DC1, "default", "ServiceEntry", spec):
            time.sleep(1)  # Kubernetes records an object's creation only to the second.
            with self.deleted(DC1, SOURCE, "serviceentry", "db.db-0"):
                pass
            yield

    def sample(self, **selector: str) -> dict[str, Any]:
        """Return the Gateway of Istio's multicluster samples, for pods with these labels."""
        server = {
            "port": {"number": 15443, "name": "tls", "protocol": "TLS"},
            "tls": {"mode": "AUTO_PASSTHROUGH"},
            "hosts": ["*.local"],
        }
        return {"selector": selector, "servers": [server]}

    # --- the machine ---------------------------------------------------------------------------------------------

    @contextmanager
    def wan(self, mode: str) -> Iterator[None]:
        """Cut the WAN while the block runs."""
        self.lab("wan", "cut", "--mode", mode)
        try:
            yield
        finally:
            self.lab("wan", "heal")

    @contextmanager
    def firewall(self, site: str) -> Iterator[None]:
        """Let a site drop incoming packets for its gateway while the block runs."""
        chain = "chain inet doctor in { type filter hook prerouting priority -300; }"
        rule = "rule inet doctor in tcp dport 15443 drop"
        self.lab("enter", site, "--", "nft", f"add table inet doctor; add {chain}; add {rule}")
        try:
            yield
        finally:
            self.lab("enter", site, "--", "nft", "delete table inet doctor")

    @contextmanager
    def stopped(self, site: str, namespace: str, pod: str, container: str) -> Iterator[None]:
        """Stop a container's processes while the block runs: they exist and do nothing."""
        uid = self.sites[site].get("pod", pod, namespace)["metadata"]["uid"]
        marks = f'labels."io.kubernetes.pod.uid"=={uid},labels."io.kubernetes.container.name"=={container}'
        processes = processes_of(self.lab("enter", site, "--", "ctr", "containers", "ls", "--quiet", marks).split())
        assert processes
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)

    # --- databases -----------------------------------------------------------------------------------------------

    @contextmanager
    def full(self) -> Iterator[None]:
        """Use up all of the database's connections while the block runs."""
        primary = Database(self.sites[DC1], SOURCE, "db-0")
        before = primary("SELECT @@max_connections")
        inside = ("timeout", "60", "mariadb", "--socket=/run/mysqld/mysqld.sock", "--execute=DO SLEEP(60)")
        script = f"for i in $(seq 15); do {' '.join(inside[:-1])} '{inside[-1]}' & done; wait"
        primary("SET GLOBAL max_connections = 10")
        taking = subprocess.Popen(
            self.sites[DC1].command("exec", *primary.inside, "--", "bash", "-c", script),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            self.sites[DC1]("exec", *primary.inside, "--", "bash", "-c", KILL_SLEEPERS)
            eventually("a connection is free", lambda: primary("DO 0; SELECT 1", check=False))
            primary(f"SET GLOBAL max_connections = {before}")
            taking.wait(60)

    @contextmanager
    def locked_out(self) -> Iterator[None]:
        """Lock the replication's user while the block runs."""
        primary, replica = Database(self.sites[DC1], SOURCE, "db-0"), Database(self.sites[DC2], REPLICA, "db-0")
        try:
            primary("ALTER USER replication ACCOUNT LOCK")
            replica("STOP SLAVE; START SLAVE")
            yield
        finally:
            primary("ALTER USER replication ACCOUNT UNLOCK")
            replica("STOP SLAVE; START SLAVE")

    @contextmanager
    def no_channel(self) -> Iterator[None]:
        """Stop the replica while the block runs."""
        replica = Database(self.sites[DC2], REPLICA, "db-0")
        replica("STOP SLAVE")
        try:
            yield
        finally:
            replica("START SLAVE")

    # --- what the stack says ---------------------------------------------------------------------------------------

    @contextmanager
    def two_gateways(self) -> Iterator[None]:
        """Add an address that nobody has to the gateway's own, in the link and in the ServiceEntry."""
        before = self.stack
        (own,) = before[0].exports[0].gateways
        second = f"{own.rpartition('.')[0]}.99:15443"

        def endpoints(entry: dict[str, Any]) -> None:
            (first,) = entry["spec"]["endpoints"]
            entry["spec"]["endpoints"] = [first, {**first, "address": second.partition(":")[0]}]

        def told(site: DeployedSite) -> DeployedSite:
            accounts = {
                account: tuple(export.model_copy(update={"gateways": (own, second)}) for export in imports)
                for account, imports in site.accounts.items()
            }
            return dataclasses.replace(site, accounts=accounts)

        with self.edited(DC2, CLIENT, "serviceentry", "dc1.hello.hello-1", endpoints):
            self.stack = tuple(told(site) for site in before)
            try:
                yield
            finally:
                self.stack = before


KILL_SLEEPERS = "pkill -f '[D]O SLEEP'; while pgrep -f '[D]O SLEEP' >/dev/null; do sleep 0.1; done"


@dataclass(frozen=True)
class Break:
    """A way to break a link.

    Attributes:
        name: the break's name.
        host: the host whose link is broken.
        finding: what the doctor must find first.
        inject: breaks the link, and mends it again.
        evidence: a word of the evidence.
        later: what may be found first instead, once the kubelet has noticed.
    """

    name: str
    host: str
    finding: str
    inject: Callable[[Pair], AbstractContextManager[None]]
    evidence: str
    later: str = ""


def spec(**values: Any) -> Change:
    """Return a function that sets fields of an object's spec. The value None removes a field."""

    def change(found: dict[str, Any]) -> None:
        for key, value in values.items():
            if value is None:
                found["spec"].pop(key, None)
            else:
                found["spec"][key] = value

    return change


def entry(**values: Any) -> Callable[[Pair], AbstractContextManager[None]]:
    """Return a function that changes the ServiceEntry of the imported database."""
    return lambda pair: pair.edited(DC2, REPLICA, "serviceentry", "dc1.db.db-0", spec(**values))


def endpoint(**values: Any) -> Callable[[Pair], AbstractContextManager[None]]:
    """Return a function that changes the endpoint in the ServiceEntry of the imported database."""

    def change(found: dict[str, Any]) -> None:
        found["spec"]["endpoints"][0] |= values

    return lambda pair: pair.edited(DC2, REPLICA, "serviceentry", "dc1.db.db-0", change)


def rule(**tls: Any) -> Callable[[Pair], AbstractContextManager[None]]:
    """Return a function that changes the TLS settings in the DestinationRule of the imported database."""

    def change(found: dict[str, Any]) -> None:
        found["spec"]["trafficPolicy"]["tls"] = tls

    return lambda pair: pair.edited(DC2, REPLICA, "destinationrule", "dc1.db", change)


def template(
    site: str, namespace: str, kind: str, name: str, change: Change
) -> Callable[[Pair], AbstractContextManager[None]]:
    """Return what changes the pods of a workload; of a StatefulSet the last one alone, which takes less long."""

    def changed(found: dict[str, Any]) -> None:
        change(found["spec"]["template"])
        if kind == "statefulset":
            last = {"partition": found["spec"]["replicas"] - 1}
            found["spec"]["updateStrategy"] = {"type": "RollingUpdate", "rollingUpdate": last}

    return lambda pair: pair.edited(site, namespace, kind, name, changed)


def gateway(change: Change) -> Callable[[Pair], AbstractContextManager[None]]:
    """Return a function that changes the web server's Gateway."""
    return lambda pair: pair.edited(DC1, pair.gateway.namespace, "gateway.networking.istio.io", "hello", change)


def foreign_entry(host: str, address: str) -> dict[str, Any]:
    return {
        "hosts": [host],
        "addresses": [address],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": 3306, "name": "tcp", "protocol": "TCP"}],
        "endpoints": [{"address": "192.0.2.1"}],
    }


def claims_address(pair: Pair) -> AbstractContextManager[None]:
    own = pair.sites[DC2].get("serviceentry", "dc1.db.db-0", REPLICA)["spec"]["addresses"][0]
    return pair.added(DC2, REPLICA, "ServiceEntry", foreign_entry("other.example", own))


def opted_out(pods: dict[str, Any]) -> None:
    pods["metadata"]["labels"]["sidecar.istio.io/inject"] = "false"


def without_capture(pods: dict[str, Any]) -> None:
    config = 'proxyMetadata: {ISTIO_META_DNS_CAPTURE: "false"}'
    pods["metadata"].setdefault("annotations", {})["proxy.istio.io/config"] = config


def traffic(**settings: str) -> Change:
    """Return a function that annotates a pod template with the traffic that its sidecars capture."""

    def change(pods: dict[str, Any]) -> None:
        annotations = pods["metadata"].setdefault("annotations", {})
        annotations |= {f"traffic.sidecar.istio.io/{name}": value for name, value in settings.items()}

    return change


def other_account(pods: dict[str, Any]) -> None:
    pods["spec"]["serviceAccountName"] = "default"


def consumers(found: dict[str, Any]) -> None:
    found["spec"]["rules"][0]["from"][0]["source"]["notPrincipals"] = ["cluster.local/ns/other/sa/other"]


def other_port(found: dict[str, Any]) -> None:
    (port,) = (port for port in found["spec"]["ports"] if port["port"] == 15443)
    port["port"] = 15444


def nameless(found: dict[str, Any]) -> None:
    (port,) = found["spec"]["ports"]
    port.pop("appProtocol")
    port["name"] = "mystery"


REROUTE = {
    "hosts": [HELLO[1]],
    "http": [{"route": [{"destination": {"host": HELLO[0], "port": {"number": 8080}}}]}],
}
DISABLE = {"mode": "DISABLE"}

BREAKS = (
    # in the consumer's site
    Break(
        "istiod of dc2 down", HELLO[1], "istiod-down", lambda p: p.scaled(DC2, ISTIO, "deployment/istiod", 0), "istiod"
    ),
    Break("no consumer", HELLO[1], "client-absent", lambda p: p.scaled(DC2, CLIENT, "deployment/client", 0), "client"),
    Break(
        "namespace without injection",
        HELLO[1],
        "client-not-injected",
        lambda p: p.uninjected(DC2, CLIENT, "--selector=app=client"),
        "neither label",
    ),
    Break(
        "pod opts out",
        HELLO[1],
        "client-without-sidecar",
        template(DC2, CLIENT, "deployment", "client", opted_out),
        'label sidecar.istio.io/inject: "false"',
    ),
    Break(
        "DNS capture off",
        HELLO[1],
        "dns-capture-off",
        template(DC2, CLIENT, "deployment", "client", without_capture),
        "annotation proxy.istio.io/config in the pod template of Deployment demo-dr/client",
    ),
    Break(
        "ServiceEntry deleted",
        DB,
        "entry-missing",
        lambda p: p.deleted(DC2, REPLICA, "serviceentry", "dc1.db.db-0"),
        "none",
    ),
    Break("ServiceEntry exported elsewhere", DB, "entry-hidden", entry(exportTo=[ISTIO]), "exportTo"),
    Break(
        "Sidecar hides the host",
        DB,
        "host-hidden",
        lambda p: p.edited(DC2, REPLICA, "sidecar", "default", spec(egress=[{"hosts": [f"{ISTIO}/*"]}])),
        "default",
    ),
    Break(
        "host of another ServiceEntry",
        DB,
        "host-claimed",
        lambda p: p.added(DC2, REPLICA, "ServiceEntry", foreign_entry(DB, "241.0.0.9")),
        "241.0.0.9",
    ),
    Break("no virtual address", DB, "address-missing", entry(addresses=None), "addresses"),
    Break("virtual address of another ServiceEntry", DB, "address-claimed", claims_address, "other.example"),
    Break("VirtualService", HELLO[1], "rerouted", lambda p: p.added(DC2, CLIENT, "VirtualService", REROUTE), "foreign"),
    Break(
        "virtual addresses kept from the sidecar",
        HELLO[1],
        "outbound-not-captured",
        template(DC2, CLIENT, "deployment", "client", traffic(excludeOutboundIPRanges="10.0.0.0/8,241.0.0.0/8")),
        '"10.0.0.0/8,241.0.0.0/8" in the pod template of Deployment demo-dr/client',
    ),
    Break("endpoint with another address", DB, "endpoint-wrong", endpoint(address="192.0.2.9"), "192.0.2.9"),
    Break("endpoint with another port", DB, "endpoint-wrong", endpoint(ports={"tcp": 15444}), "15444"),
    Break(
        "DestinationRule deleted",
        DB,
        "rule-missing",
        lambda p: p.deleted(DC2, REPLICA, "destinationrule", "dc1.db"),
        "no Dest",
    ),
    Break("DestinationRule without TLS", DB, "tls-off", rule(**DISABLE), "dc1.db"),
    Break("DestinationRule with plain TLS", DB, "tls-not-istio", rule(mode="SIMPLE"), "dc1.db"),
    Break(
        "DestinationRule with another SNI",
        DB,
        "tls-sni-wrong",
        rule(mode="ISTIO_MUTUAL", sni="other.example"),
        "other.example",
    ),
    Break(
        "DestinationRule with another identity",
        DB,
        "tls-identity-wrong",
        rule(mode="ISTIO_MUTUAL", subjectAltNames=["spiffe://other"]),
        "spiffe://other",
    ),
    Break(
        "DestinationRule of somebody else",
        DB,
        "tls-off",
        lambda p: p.added(DC2, REPLICA, "DestinationRule", {"host": DB, "trafficPolicy": {"tls": DISABLE}}),
        "foreign",
    ),
    Break(
        "ServiceEntry with another identity",
        DB,
        "tls-identity-wrong",
        entry(subjectAltNames=["spiffe://other"]),
        "spiffe://other",
    ),
    # between the sites
    Break("WAN drops", DB, "route-silent", lambda p: p.wan("drop"), "no answer"),
    Break("WAN resets", DB, "route-refused", lambda p: p.wan("reset"), "refused"),
    Break("firewall of dc1", DB, "route-silent", lambda p: p.firewall(DC1), "no answer"),
    Break("one of two addresses", HELLO[1], "route-partial", lambda p: p.two_gateways(), ".99:15443"),
    # in the exporting site
    Break(
        "istiod of dc1 down", HELLO[1], "istiod-down", lambda p: p.scaled(DC1, ISTIO, "deployment/istiod", 0), "istiod"
    ),
    Break(
        "gateway scaled down",
        HELLO[1],
        "gateway-without-pods",
        lambda p: p.scaled(DC1, p.gateway.namespace, "deployment/istio-eastwestgateway", 0),
        "0 of 0",
    ),
    Break(
        "gateway's Service with another port",
        HELLO[1],
        "gateway-port-missing",
        lambda p: p.edited(DC1, p.gateway.namespace, "service", "istio-eastwestgateway", other_port),
        "15444",
    ),
    Break(
        "gateway's Service selects nothing",
        HELLO[1],
        "gateway-without-endpoints",
        lambda p: p.edited(
            DC1, p.gateway.namespace, "service", "istio-eastwestgateway", spec(selector={"app": "other"})
        ),
        "no ready endpoint",
    ),
    Break(
        "Gateway deleted",
        HELLO[1],
        "gateway-object-missing",
        lambda p: p.deleted(DC1, p.gateway.namespace, "gateway.networking.istio.io", "hello"),
        "none",
    ),
    Break(
        "Gateway with another port",
        HELLO[1],
        "gateway-object-wrong",
        gateway(lambda g: g["spec"]["servers"][1]["port"].update(number=15445)),
        "15445",
    ),
    Break(
        "Gateway with another TLS mode",
        HELLO[1],
        "gateway-object-wrong",
        gateway(lambda g: g["spec"]["servers"][1].update(tls={"mode": "PASSTHROUGH"})),
        "PASSTHROUGH",
    ),
    Break("Gateway of other pods", HELLO[1], "gateway-object-wrong", gateway(spec(selector={"app": "other"})), "other"),
    Break(
        "Gateway of somebody else",
        HELLO[1],
        "foreign-gateway",
        lambda p: p.added(DC1, p.gateway.namespace, "Gateway", p.sample(**p.gateway_labels)),
        "same matching rules",
    ),
    Break("older ServiceEntry of another namespace", DB, "foreign-entry", lambda p: p.squatted(), "default/foreign"),
    Break(
        "pod's ServiceEntry deleted",
        HELLO[1],
        "pod-entry-missing",
        lambda p: p.deleted(DC1, WEB, "serviceentry", "hello.hello-1"),
        HELLO[1],
    ),
    Break(
        "pod's ServiceEntry selects another pod",
        HELLO[1],
        "pod-entry-wrong",
        lambda p: p.edited(
            DC1, WEB, "serviceentry", "hello.hello-1", spec(workloadSelector={"labels": {"app": "other"}})
        ),
        "app=other",
    ),
    Break(
        "StatefulSet scaled down",
        HELLO[2],
        "pod-missing",
        lambda p: p.scaled(DC1, WEB, "statefulset/hello", 2),
        "replicas 2",
    ),
    Break(
        "pod without sidecar",
        HELLO[2],
        "pod-without-sidecar",
        lambda p: p.uninjected(DC1, WEB, "hello-2"),
        "istio-proxy",
    ),
    Break("pod not ready", HELLO[2], "pod-not-ready", lambda p: p.stopped(DC1, WEB, "hello-2", "agnhost"), "Ready"),
    Break(
        "port kept from the sidecar",
        HELLO[2],
        "inbound-not-captured",
        template(DC1, WEB, "statefulset", "hello", traffic(excludeInboundPorts="8080")),
        '"8080" in the pod template of StatefulSet demo/hello',
    ),
    Break("headless Service deleted", DB, "service-missing", lambda p: p.deleted(DC1, SOURCE, "service", "db"), "db"),
    Break(
        "port without protocol",
        DB,
        "service-port-wrong",
        lambda p: p.edited(DC1, SOURCE, "service", "db", nameless),
        "mystery",
    ),
    Break(
        "PeerAuthentication turns TLS off",
        HELLO[1],
        "peer-plaintext",
        lambda p: p.edited(DC1, WEB, "peerauthentication", "hello-strict", spec(mtls=DISABLE)),
        "DISABLE",
    ),
    Break(
        "PeerAuthentication turns TLS off at the port",
        DB,
        "peer-plaintext",
        lambda p: p.edited(DC1, SOURCE, "peerauthentication", "db-strict", spec(portLevelMtls={"3306": DISABLE})),
        "DISABLE",
    ),
    Break(
        "PeerAuthentication deleted",
        HELLO[1],
        "peer-permissive",
        lambda p: p.deleted(DC1, WEB, "peerauthentication", "hello-strict"),
        "no Peer",
    ),
    Break(
        "EnvoyFilter deleted",
        DB,
        "peer-unguarded",
        lambda p: p.deleted(DC1, SOURCE, "envoyfilter", "db-connect-after-handshake"),
        "no EnvoyFilter",
    ),
    Break(
        "other service account",
        HELLO[2],
        "account-wrong",
        template(DC1, WEB, "statefulset", "hello", other_account),
        "sa/default",
    ),
    Break(
        "consumer not named",
        HELLO[1],
        "consumer-refused",
        lambda p: p.edited(DC1, WEB, "authorizationpolicy", "hello-consumers", consumers),
        "other",
    ),
    Break(
        "DENY of somebody else",
        DB,
        "denied",
        lambda p: p.added(
            DC1,
            SOURCE,
            "AuthorizationPolicy",
            {"action": "DENY", "rules": [{"from": [{"source": {"namespaces": [REPLICA]}}]}]},
            "security",
        ),
        "foreign",
    ),
    Break(
        "ALLOW of others",
        HELLO[1],
        "not-allowed",
        lambda p: p.added(
            DC1,
            WEB,
            "AuthorizationPolicy",
            {"action": "ALLOW", "rules": [{"from": [{"source": {"namespaces": ["other"]}}]}]},
            "security",
        ),
        "foreign",
    ),
    Break(
        "policy deleted",
        HELLO[1],
        "policy-missing",
        lambda p: p.deleted(DC1, WEB, "authorizationpolicy", "hello-consumers"),
        "hello-consumers",
    ),
    # from end to end
    Break(
        "database hangs",
        DB,
        "server-silent",
        lambda p: p.stopped(DC1, SOURCE, "db-0", "mariadb"),
        "no answer",
        "pod-not-ready",
    ),
    Break(
        "database has no connection left",
        DB,
        "server-refuses",
        lambda p: p.full(),
        "Too many connections",
        "pod-not-ready",
    ),
    Break("replication user locked", DB, "channel-stopped", lambda p: p.locked_out(), "locked"),
    Break("replica stopped", DB, "channel-stopped", lambda p: p.no_channel(), "stopped"),
)


# --- the tests -------------------------------------------------------------------------------------------------------


def config() -> dict[str, Any]:
    """Return the configuration of the demo, with a database of one pod in each site, without volumes."""
    whole = demo_with_databases()
    for site in whole["dcmesh:sites"]:
        for workload in site["workloads"]:
            if workload["kind"] == "mariadb":
                workload["replicas"] = 1
                del workload["storage"]
        for export in site["exports"]:
            if export["name"] == "db":
                export["replicas"] = 1
    return whole


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    yield from lab_for_a_while("doctor")


@pytest.fixture(scope="module")
def project(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with standing(lab, tmp_path_factory.mktemp("doctor"), config()) as project:
        yield project


@pytest.fixture(scope="module")
def pair(lab: Lab, project: Project, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    outputs = json.loads(project.pulumi("stack", "output", "--json", "--show-secrets"))
    sites = kubectl_of(project, tmp_path_factory.mktemp("kubeconfigs"))
    return Pair(lab, sites, parse_outputs(outputs))


def found(report: Report) -> list[str]:
    return [f"{step.site} {finding.id}: {finding.evidence}" for d in report.diagnoses for step, finding in d.findings]


def well(pair: Pair, host: str | None = None) -> Report:
    """Wait until the doctor finds nothing wrong and can look at everything."""

    def report() -> Report | None:
        report = pair.examine(host)
        return report if report.state == State.OK else None

    return eventually("nothing is wrong", report, within=60)


def test_a_pair_in_which_all_is_well(pair: Pair) -> None:
    report = well(pair)
    assert [(diagnosis.host, diagnosis.consumer) for diagnosis in report.diagnoses] == [
        *((host, f"dc2 {CLIENT}/client") for host in HELLO),
        (DB, f"dc2 {REPLICA}/db"),
    ]
    assert {step.outcome for diagnosis in report.diagnoses for step in diagnosis.steps} == {"passed"}


def test_the_command_names_it_on_its_first_line(project: Project, pair: Pair) -> None:
    """The command also creates nothing.

    This test comes before the breaks. For 45 s after a policy was mended, a connection from before may still get a 403.
    """
    pods = [site.names("pods") for site in pair.sites.values()]
    done = project.dcmesh("doctor")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.startswith("OK: 4 hosts: nothing is wrong with their links\n")
    assert [site.names("pods") for site in pair.sites.values()] == pods
    with pair.deleted(DC2, REPLICA, "serviceentry", "dc1.db.db-0"):
        done, as_json = project.dcmesh("doctor", DB), project.dcmesh("doctor", "--json", DB)
    assert (done.returncode, as_json.returncode) == (2, 2)
    assert done.stdout.startswith(f"CRITICAL: {DB} for dc2 {REPLICA}/db: dc2 name: no ServiceEntry")
    assert "fix:  Run `pulumi up --refresh`" in done.stdout
    (walked,) = json.loads(as_json.stdout)["hosts"]
    assert [step["findings"][0]["id"] for step in walked["steps"] if step["outcome"] == "broken"] == ["entry-missing"]
    well(pair, DB)


@pytest.mark.parametrize("case", BREAKS, ids=lambda case: case.name)
def test_what_breaks_a_link_is_named(pair: Pair, case: Break) -> None:
    def named() -> bool:
        """The right finding comes first. It ends the walk, unless the link works in spite of it."""
        (diagnosis,) = pair.examine(case.host).diagnoses
        if not diagnosis.findings:
            return False
        step, finding = diagnosis.findings[0]
        assert (step.outcome == "broken") == (finding.state == State.CRITICAL)
        return finding.id in (case.finding, case.later) and case.evidence in finding.evidence

    with case.inject(pair):
        eventually(f"{case.finding} is found", named, within=40)
    well(pair, case.host)


def test_a_refused_listener_is_critical_while_links_still_work(pair: Pair) -> None:
    def problems() -> list[str]:
        status = ask_all(pair.stack, MAX_LAG)
        return [problem.text for problem in status.problems if problem.state == State.CRITICAL]

    # Connections that the doctor opened during the break, to any host, obey the break's policy for 45 s more.
    eventually("status finds nothing", lambda: not problems(), within=60)
    with pair.added(DC1, pair.gateway.namespace, "Gateway", pair.sample(**pair.gateway_labels)):
        gateway, listener = eventually("status names it", lambda: found if len(found := problems()) == 2 else None)
        assert gateway.startswith(f"dc1 Gateway {pair.gateway.namespace}/foreign: at dcmesh's gateway")
        assert "refuses the listeners that istiod has sent last: error adding listener" in listener
    eventually("status finds nothing", lambda: not problems())


def test_istios_multicluster_sample_is_named_where_it_reaches_the_gateway(pair: Pair) -> None:
    sample = pair.sample(istio="eastwestgateway")
    cluster = Evidence(pair.stack[0]).cluster
    reaches = not cluster.scoped and selects(sample["selector"], cluster.gateway_labels)
    with pair.added(DC1, "default", "Gateway", sample):
        if reaches:
            eventually("it is named", lambda: "foreign-gateway" in str(found(pair.examine(HELLO[1]))))
        else:
            time.sleep(2)  # Give istiod time for a push, which must have no effect.
            assert found(pair.examine(HELLO[1])) == []
    well(pair, HELLO[1])


def test_with_one_site_it_says_what_it_can_and_what_the_other_must_look_at(pair: Pair) -> None:
    dc1, dc2 = pair.stack

    def finds(site: DeployedSite, where: str, *ids: str) -> HopFinding | None:
        """Return the first finding if it is one of these.

        The hops of the other site must be left to that site's doctor.
        """
        (diagnosis,) = examine([site], HELLO[1]).diagnoses
        left = {step.site for step in diagnosis.steps if step.outcome == "elsewhere"}
        assert left <= {other.name for other in pair.stack if other is not site} | {DC1}
        step, finding = next(iter(diagnosis.findings), (None, None))
        return finding if step and finding and step.site == where and finding.id in ids else None

    with pair.edited(DC1, WEB, "authorizationpolicy", "hello-consumers", consumers):
        eventually("dc1 finds its policy", lambda: finds(dc1, DC1, "consumer-refused"))
        # A connection that is still open from before may answer now and then. So a finding that came once is examined.
        finding = eventually("dc2 has nothing to find but the answer", lambda: finds(dc2, DC2, "unexplained"))
        assert f"Ask dc1 to run `python -m dcmesh doctor {HELLO[1]}`" in finding.fix
    with pair.scaled(DC1, pair.gateway.namespace, "deployment/istio-eastwestgateway", 0):
        eventually("dc1 finds its gateway", lambda: finds(dc1, DC1, "gateway-without-pods"))
        eventually("dc2 finds the way closed", lambda: finds(dc2, DC2, "route-refused", "route-silent"))
    well(pair, HELLO[1])


# --- what it advises -------------------------------------------------------------------------------------------------

Where = tuple[str, str, str, str]
"""Site, namespace, kind and name."""


def patched(values: dict[str, Any], by: str = "kubectl-patch") -> Callable[[Pair, Where], None]:
    """Return a function that patches an object as a given client."""

    def change(pair: Pair, where: Where) -> None:
        site, namespace, kind, name = where
        how = ("--namespace", namespace, "--type=merge", f"--patch={json.dumps(values)}", f"--field-manager={by}")
        pair.sites[site]("patch", kind, name, *how)

    return change


def edited(script: str) -> Callable[[Pair, Where], None]:
    """Return a function that edits an object as sed does."""

    def change(pair: Pair, where: Where) -> None:
        site, namespace, kind, name = where
        command = pair.sites[site].command("edit", kind, name, "--namespace", namespace)
        run("env", f"KUBE_EDITOR=sed --in-place {script}", *command)

    return change


def replaced(change: Change) -> Callable[[Pair, Where], None]:
    """Return a function that replaces an object."""

    def replace(pair: Pair, where: Where) -> None:
        site, namespace, kind, name = where
        with_change = pair.sites[site].get(kind, name, namespace)
        change(with_change)
        pair.replace(site, with_change)

    return replace


def removed(pair: Pair, where: Where) -> None:
    site, namespace, kind, name = where
    pair.sites[site]("delete", kind, name, "--namespace", namespace)


OUTSIDE = "somebody"
"""The name of a client that Pulumi does not recognize as kubectl."""


def changes(gateway: str) -> dict[Where, Callable[[Pair, Where], None]]:
    """Return the changed objects, each with the function that changes it.

    `gateway` is the namespace of dc1's gateway.
    """
    return {
        (DC2, REPLICA, "serviceentry", "dc1.db.db-0"): patched({"spec": {"addresses": ["241.0.0.9"]}}),
        (DC2, CLIENT, "serviceentry", "dc1.hello.hello-1"): patched({"spec": {"exportTo": [ISTIO]}}, OUTSIDE),
        (DC2, REPLICA, "destinationrule", "dc1.db"): edited("s/ISTIO_MUTUAL/DISABLE/"),
        (DC2, REPLICA, "sidecar", "default"): replaced(spec(egress=[{"hosts": [f"{ISTIO}/*"]}])),
        (DC1, gateway, "gateway.networking.istio.io", "hello"): edited("s/AUTO_PASSTHROUGH/PASSTHROUGH/"),
        (DC1, gateway, "envoyfilter", "istio-eastwestgateway-give-up-silent-peers"): removed,
        (DC1, WEB, "namespace", WEB): patched({"metadata": {"labels": {"istio-injection": "disabled"}}}),
        (DC1, WEB, "peerauthentication", "hello-strict"): replaced(spec(mtls=DISABLE)),
        (DC1, WEB, "authorizationpolicy", "hello-consumers"): replaced(consumers),
        (DC1, SOURCE, "service", "db"): patched({"spec": {"selector": {"app": "other"}}}, OUTSIDE),
    }


def test_a_refresh_puts_back_what_dcmesh_made(project: Project, pair: Pair) -> None:
    added_to = (DC1, SOURCE, "peerauthentication", "db-strict")
    changed = changes(pair.gateway.namespace)

    def shown() -> dict[Where, Any]:
        objects = {where: pair.sites[where[0]].get(where[2], where[3], where[1]) for where in (*changed, added_to)}
        return {where: (found["metadata"].get("labels"), found["spec"]) for where, found in objects.items()}

    before = shown()
    patched({"spec": {"portLevelMtls": {"3306": DISABLE}}})(pair, added_to)

    def advised() -> list[str]:
        """Return the command that has to run first, since a refresh does not see objects that were added."""
        (diagnosis,) = pair.examine(DB).diagnoses
        fixes = [finding.fix for _, finding in diagnosis.findings if finding.id == "peer-plaintext"]
        return [part for fix in fixes for part in fix.split("`") if part.startswith("kubectl")]

    (command,) = eventually("the doctor has an advice", advised)
    pair.sites[DC1](*command.split()[1:])
    for where, change in changed.items():
        change(pair, where)
    project.up("--refresh")  # Run it with its preview, which is the first to meet the other client's changes.
    assert shown() == before
    well(pair)


def test_ports_are_put_back_without_a_preview(project: Project, pair: Pair) -> None:
    gateways = (DC1, pair.gateway.namespace, "service", "istio-eastwestgateway")
    replaced(other_port)(pair, gateways)
    project.up("--refresh", "--skip-preview")
    well(pair)
