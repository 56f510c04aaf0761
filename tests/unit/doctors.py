"""Shared by the tests of `dcmesh doctor`: two sites of fakes, in which all is well.

Envoy's answers were recorded on the lab (Istio 1.29.1), and reduced to what the doctor reads.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from components.mesh.gateway import labels_in
from components.mesh.namespace_scope import own_namespace_only
from components.mesh.service_export import (
    connect_after_handshake,
    consumers_only,
    gateway_servers,
    pod_service_entry,
    strict_mtls,
)
from components.mesh.service_import import export_destination_rule, host_service_entry
from dcmesh.doctor.findings import Diagnosis, Report
from dcmesh.doctor.walk import examine
from dcmesh.model.link import Consumer, ExportedPort, ExportedService, ServiceAccount
from dcmesh.sites_in_outputs import DeployedSite
from tests.unit import statuses
from tests.unit.certificates import Authority, intermediate, root
from tests.unit.servers import VERSION, KubernetesAPI, kubeconfig, kubernetes_api
from tests.unit.statuses import DB0, DB_EXPORT, IDENTITY

VIP = "241.134.215.68"
GATEWAY, POD = "192.0.2.1:15443", "10.42.0.6:3306"
SNI = f"outbound_.3306_._.{DB0}"
CLUSTER = f"outbound|3306||{DB0}"

EXPORT = ExportedService(
    name="db",
    namespace="wookie",
    hosts=(DB0,),
    ports=(ExportedPort(port=3306, probe="greeting"),),
    protocol="TCP",
    identities=(IDENTITY,),
    consumers=(Consumer(site="dc2", namespace="wookie-dr", service_account="db"),),
)


def istio(name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "creationTimestamp": "2026-11-23T08:00:00Z"}
    return {"metadata": metadata, "spec": spec}


def pod(name: str, namespace: str, labels: dict[str, str], account: str, address: str) -> dict[str, Any]:
    """Return a pod that is ready, with a sidecar."""
    found = statuses.pod(namespace, name)
    return {
        "metadata": {**found["metadata"], "labels": labels},
        "spec": {**found["spec"], "serviceAccountName": account},
        "status": {**found["status"], "podIP": address, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def endpoints(service: str, pod: str, port: int, labels: dict[str, str]) -> dict[str, Any]:
    endpoint = {"addresses": ["10.42.0.7"], "conditions": {"ready": True}, "targetRef": {"kind": "Pod", "name": pod}}
    metadata = {"name": f"{service}-x", "labels": {**labels, "kubernetes.io/service-name": service}}
    return {"metadata": metadata, "endpoints": [endpoint], "ports": [{"port": port, "protocol": "TCP"}]}


CORE, APPS = "/api/v1/namespaces", "/apis/apps/v1/namespaces"
NETWORKING, SECURITY = "/apis/networking.istio.io/v1", "/apis/security.istio.io/v1"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/istio-system/endpointslices"


def objects_of_both() -> dict[str, Any]:
    """Return the objects of both clusters."""
    return {"/version/": VERSION, SLICES: {"items": [endpoints("istiod", "istiod-1", 15012, {"app": "istiod"})]}}


def objects_of_importer() -> dict[str, Any]:
    """Return dc2's objects, by path."""
    entry = host_service_entry(EXPORT, DB0, vip=VIP, gateway=["192.0.2.1"], gateway_port=15443)
    return {
        **objects_of_both(),
        f"{CORE}/wookie-dr": {"metadata": {"name": "wookie-dr", "labels": {"istio-injection": "enabled"}}},
        f"{CORE}/wookie-dr/pods": {"items": [pod("db-0", "wookie-dr", {"app": "db"}, "db", "10.42.0.5")]},
        f"{CORE}/wookie-dr/pods/db-0": statuses.pod("wookie-dr"),
        f"{NETWORKING}/serviceentries": {"items": [istio("dc1.db.db-0", "wookie-dr", entry)]},
        f"{NETWORKING}/virtualservices": {"items": []},
        f"{NETWORKING}/destinationrules": {
            "items": [istio("dc1.db", "wookie-dr", export_destination_rule(EXPORT, gateways=1))]
        },
        f"{NETWORKING}/sidecars": {"items": [istio("default", "wookie-dr", own_namespace_only())]},
    }


def objects_of_exporter() -> dict[str, Any]:
    """Return dc1's objects, by path."""
    selector = {"app": "db"}
    found = objects_of_both()
    found[SLICES]["items"].append(endpoints("gateway", "gateway-1", 15443, labels_in("istio-system")))
    labels = {"app": "db", "statefulset.kubernetes.io/pod-name": "db-0"}
    port = {"name": "tcp-mysql", "port": 3306, "targetPort": 3306, "appProtocol": "tcp"}
    return {
        **statuses.objects(),
        **found,
        f"{CORE}/istio-system/pods": {
            "items": [pod("gateway-1", "istio-system", labels_in("istio-system"), "gateway", "10.42.0.7")]
        },
        f"{CORE}/wookie/pods": {"items": [pod("db-0", "wookie", labels, "db", "10.42.0.6")]},
        f"{CORE}/wookie/services/db": {"metadata": {"namespace": "wookie", "name": "db"}, "spec": {"ports": [port]}},
        f"{APPS}/wookie/statefulsets/db": {"spec": {"replicas": 1}},
        f"{NETWORKING}/serviceentries": {
            "items": [istio("db.db-0", "wookie", pod_service_entry(EXPORT, DB0, ["istio-system"]))]
        },
        f"{NETWORKING}/gateways": {"items": [istio("db", "istio-system", gateway_servers(EXPORT, "istio-system"))]},
        f"{NETWORKING}alpha3/envoyfilters": {
            "items": [istio("db-connect-after-handshake", "wookie", connect_after_handshake(EXPORT, selector))]
        },
        f"{SECURITY}/peerauthentications": {"items": [istio("db-strict", "wookie", strict_mtls(selector))]},
        f"{SECURITY}/authorizationpolicies": {
            "items": [istio("db-consumers", "wookie", consumers_only(EXPORT, selector))]
        },
        f"{NETWORKING}/virtualservices": {"items": []},
        f"{NETWORKING}/destinationrules": {"items": []},
    }


def tls(cluster: dict[str, Any]) -> dict[str, Any]:
    """Return the TLS settings of a cluster."""
    settings: dict[str, Any] = cluster["transport_socket"]["typed_config"]
    return settings


def client_cluster() -> dict[str, Any]:
    """Return the cluster of an imported host."""
    context = {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {
            "alpn_protocols": ["istio"],
            "tls_certificate_sds_secret_configs": [{"name": "default"}],
            "combined_validation_context": {
                "default_validation_context": {"match_subject_alt_names": [{"exact": IDENTITY}]},
                "validation_context_sds_secret_config": {"name": "ROOTCA"},
            },
        },
        "sni": SNI,
    }
    origin = "/apis/networking.istio.io/v1/namespaces/wookie-dr/destination-rule/dc1.db"
    return {
        "name": CLUSTER,
        "type": "EDS",
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context},
        "metadata": {"filter_metadata": {"istio": {"config": origin}}},
    }


def client_listener() -> dict[str, Any]:
    name = f"{VIP}_3306"
    proxy = {"name": "envoy.filters.network.tcp_proxy", "typed_config": {"stat_prefix": CLUSTER, "cluster": CLUSTER}}
    return {
        "name": name,
        "active_state": {
            "listener": {
                "name": name,
                "address": {"socket_address": {"address": VIP, "port_value": 3306}},
                "filter_chains": [{"filters": [proxy]}],
                "traffic_direction": "OUTBOUND",
            }
        },
    }


def gateway_listener() -> dict[str, Any]:
    match = {"application_protocols": ["istio", "istio-peer-exchange"], "server_names": [SNI]}
    proxy = {"name": "envoy.filters.network.tcp_proxy", "typed_config": {"cluster": SNI}}
    return {
        "name": "::_15443",
        "active_state": {
            "listener": {
                "name": "::_15443",
                "address": {"socket_address": {"address": "::", "port_value": 15443}},
                "filter_chains": [{"filter_chain_match": match, "filters": [proxy]}],
            }
        },
    }


def leaf(issuer: Authority, identity: str) -> str:
    """Return a sidecar's certificate, as PEM."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.certificate.subject)
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(issuer.certificate.not_valid_before_utc)
        .not_valid_after(issuer.certificate.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)]), critical=True)
    )
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()  # type: ignore[arg-type]


def secrets(identity: str, issuer: Authority | None = None, top: Authority | None = None) -> str:
    """Return a sidecar's certificates as its Envoy shows them, as JSON."""
    issuer, top = issuer or intermediate(), top or root()

    def encoded(pem: str) -> dict[str, str]:
        return {"inline_bytes": base64.b64encode(pem.encode()).decode()}

    chain = leaf(issuer, identity) + issuer.pem
    return json.dumps(
        [
            {"secret": {"name": "default", "tls_certificate": {"certificate_chain": encoded(chain)}}},
            {"secret": {"name": "ROOTCA", "validation_context": {"trusted_ca": encoded(top.pem)}}},
        ]
    )


def dump(**parts: Any) -> dict[str, Any]:
    return {"configs": [{key: value} for key, value in parts.items()]}


def statuses_of(cluster: str, *places: str) -> dict[str, Any]:
    def host(place: str) -> dict[str, Any]:
        address, _, port = place.rpartition(":")
        socket = {"address": address, "port_value": int(port)}
        return {"address": {"socket_address": socket}, "health_status": {"eds_health_status": "HEALTHY"}}

    return {"cluster_statuses": [{"name": cluster, "host_statuses": [host(place) for place in places]}]}


def counts(
    *,
    listeners: tuple[int, str] = (0, "2026-11-23T08:00:00Z/7"),
    clusters: tuple[int, str] = (0, "2026-11-23T08:00:00Z/7"),
) -> dict[str, Any]:
    """Return an Envoy's counters of refused listeners and clusters, and the version of its configuration."""
    found = {"listener_manager.lds": listeners, "cluster_manager.cds": clusters}
    return {
        "stats": [
            stat
            for name, (refused, version) in found.items()
            for stat in (
                {"name": f"{name}.update_rejected", "value": refused},
                {"name": f"{name}.version_text", "value": version},
            )
        ]
    }


class Played:
    """Stands in for the commands that run in containers.

    Attributes:
        dumps: Envoy's configuration, by namespace.
        clusters: Envoy's clusters, by namespace.
        counts: the counters of the gateway's Envoy for the configuration that it was sent.
        refused: what the gateway's Envoy says of the listeners that it refuses.
        said: the output of any other command, by the command's first words. An exception is raised.
    """

    def __init__(self) -> None:
        self.dumps: dict[str, dict[str, Any]] = {
            "wookie-dr": dump(
                bootstrap={"node": {"metadata": {"DNS_CAPTURE": "true"}}},
                dynamic_active_clusters=[{"cluster": client_cluster()}],
                dynamic_listeners=[client_listener()],
                dynamic_active_secrets=json.loads(secrets("spiffe://cluster.local/ns/wookie-dr/sa/db")),
            ),
            "istio-system": dump(dynamic_listeners=[gateway_listener()]),
            "wookie": dump(dynamic_active_secrets=json.loads(secrets(IDENTITY))),
        }
        self.clusters = {
            "wookie-dr": statuses_of(CLUSTER, GATEWAY),
            "istio-system": statuses_of(SNI, POD),
        }
        self.counts = counts()
        self.refused: list[str] = []
        self.said: dict[str, str | Exception] = {
            "getent": f"{VIP} {DB0}\n",
            "wookie-dr bash": f"ok {DB0} 3306 greeting\n",
            "wookie bash": "ok 10.42.0.6 3306 greeting\n",
            "wait": ChildProcessError("error\nError: Last error: Get: read tcp 10.0.0.1:1->192.0.2.1:15443: EOF"),
            "mariadb": statuses.MARIADB_REPLICA + statuses.MARIADB_SELF.format(read_only=1),
        }

    def silent(self, reason: str = "closed without answer") -> None:
        """Let the host not answer its consumer any more."""
        self.said["wookie-dr bash"] = f"failed {DB0} 3306 {reason}\n"

    def part(self, namespace: str, name: str) -> Any:
        """Return a part of an Envoy's configuration, so that a test can change it."""
        return next(part[name] for part in self.dumps[namespace]["configs"] if name in part)

    def __call__(self, _: Any, *, namespace: str, pod: str, container: str, command: tuple[str, ...]) -> str:
        words = (*command, "")
        if words[:3] == ("pilot-agent", "request", "GET"):
            assert container == "istio-proxy"
            what = command[3].partition("?")[0]
            if what == "stats":
                return json.dumps(self.counts)
            if "resource=dynamic_listeners" in command[3]:
                return json.dumps({"configs": [{"error_state": {"details": text}} for text in self.refused]})
            return json.dumps((self.dumps if what == "config_dump" else self.clusters)[namespace])
        key = {"pilot-agent": "wait", "bash": f"{namespace} bash"}.get(command[0], command[0])
        answer = self.said[key]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Pair:
    """Both sites, as fakes.

    Attributes:
        importer: dc2's cluster.
        exporter: dc1's cluster.
        played: the fakes of commands in their containers.
        sites: the sites in the stack's outputs.
    """

    def __init__(self, importer: KubernetesAPI, exporter: KubernetesAPI, played: Played) -> None:
        self.importer, self.exporter, self.played = importer, exporter, played
        export = DB_EXPORT.model_copy(update={"hosts": (DB0,)})
        dc2, dc1 = (kubeconfig({"there": f"http://127.0.0.1:{server.server_port}"}) for server in (importer, exporter))
        self.sites: tuple[DeployedSite, ...] = (
            replace(statuses.exporter(dc1), exports=(export,)),
            replace(statuses.importer(dc2), accounts={ServiceAccount("wookie-dr", "db"): (export,)}),
        )

    def edit(self, site: str, path: str) -> Any:
        """Return an object of a site, or a list's only one, so that a test can change it."""
        found = (self.importer if site == "dc2" else self.exporter).objects[path]
        if list(found) != ["items"]:
            return found
        (found,) = found["items"]
        return found

    def spec(self, site: str, path: str) -> Any:
        """Return the spec of an object of a site, or of a list's only one, so that a test can change it."""
        return self.edit(site, path)["spec"]

    def add(self, site: str, path: str, found: dict[str, Any]) -> None:
        """Add an object to a list."""
        (self.importer if site == "dc2" else self.exporter).objects[path]["items"].append(found)

    def report(self, *sites: str) -> Report:
        """Examine the stack, or one with some of its sites."""
        return examine([site for site in self.sites if not sites or site.name in sites])

    def diagnosis(self, *sites: str) -> Diagnosis:
        (diagnosis,) = self.report(*sites).diagnoses
        return diagnosis

    def found(self, *sites: str) -> list[str]:
        """Return the IDs of all findings."""
        return [finding.id for _, finding in self.diagnosis(*sites).findings]


@contextmanager
def playing() -> Iterator[Pair]:
    """Make a pair in which all is well."""
    played = Played()
    with kubernetes_api() as importer, kubernetes_api() as exporter, pytest.MonkeyPatch.context() as patch:
        for module in ("dcmesh.kube.pods", "dcmesh.status.hosts", "dcmesh.status.databases", "dcmesh.doctor.evidence"):
            patch.setattr(f"{module}.run_in", played)
        importer.objects, exporter.objects = objects_of_importer(), objects_of_exporter()
        yield Pair(importer, exporter, played)
