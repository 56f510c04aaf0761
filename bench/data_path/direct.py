"""Databases that all have the same options, and what it takes to reach one without dcmesh: a LoadBalancer of its own.

Percona's operator does this for replication between sites (`expose` with type LoadBalancer makes a Service for each
pod). The pods are the same as those of dcmesh's own workload, with the same options and on the same nodes. In addition
the server offers TLS.
"""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from components.databases.mariadb import SCRIPTS, MariadbArgs, headless_service, server_cnf, stateful_set
from components.workloads.namespace_and_account import pod_labels
from dcmesh.model.gateway import GATEWAY_PORT
from dcmesh.model.link import MYSQL_PORT, ExportedPort, ExportedService
from dcmesh.model.plan import DatabasePlan
from dcmesh.model.settings import Mariadb, Storage
from tests.e2e.toolbox import MARIADB, Kubectl, eventually

NAME = "db"
TLS = "/etc/mysql/tls"
TLS_OPTIONS = {f"ssl_{what}": f"{TLS}/tls.{file}" for what, file in (("cert", "crt"), ("key", "key"), ("ca", "crt"))}
TLS_VOLUME = {"name": "tls", "secret": {"secretName": "tls", "defaultMode": 0o440}}


def certificate(name: str) -> tuple[str, str]:
    """Return a self-signed certificate and its key, as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made.public_bytes(Encoding.PEM).decode(), private.decode()


def load_balancer(port: int) -> dict[str, Any]:
    """Return the spec of a LoadBalancer before a port of the source. Its own is the only one that the WAN forwards."""
    return {
        "type": "LoadBalancer",
        "selector": {**pod_labels(NAME), "statefulset.kubernetes.io/pod-name": f"{NAME}-0"},
        "ports": [{"name": "tcp", "port": GATEWAY_PORT, "targetPort": port}],
    }


def servers(args: MariadbArgs) -> dict[str, Any]:
    """Return the spec of the StatefulSet. It is that of dcmesh's workload, with a certificate for the server."""
    spec = stateful_set(args, settings="settings", passwords="passwords")
    pod = spec["template"]["spec"]
    pod["volumes"].append(TLS_VOLUME)
    for container in (*pod["initContainers"], *pod["containers"]):
        container["volumeMounts"] = [*container["volumeMounts"], {"name": "tls", "mountPath": TLS}]
    return spec


def arguments(
    namespace: str, site: str, *, source: ExportedService | None, password: str, sidecar: bool = False
) -> MariadbArgs:
    """Return the arguments of one end's database."""
    return MariadbArgs(
        database=Mariadb(
            kind="mariadb", namespace=namespace, name=NAME, replicas=1, image=MARIADB, storage=Storage(size="1Gi")
        ),
        plan=DatabasePlan(
            site=site,
            namespace=namespace,
            name=NAME,
            kind="mariadb",
            role="replica" if source else "primary",
            source=source,
            source_site="dc1" if source else None,
            channel="",
            partner=None,
            switchover=None,
            password=None,
            servers=(),
            sidecar=sidecar,
            egress="sidecar",
        ),
        labels={},
        after=(),
        replication_password=password,
        kubeconfig="",
    )


def made(namespace: str, kind: str, name: str, api: str = "v1", **content: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return an object of a database."""
    metadata = {"name": name, "namespace": namespace, "labels": pod_labels(NAME)}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **content}


def around(namespace: str, tls: tuple[str, str]) -> list[dict[str, Any]]:
    """Return what each database has besides its server, whatever that is: its namespace, which is first, and more."""
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        made(namespace, "ServiceAccount", NAME),
        made(namespace, "Secret", "tls", type="kubernetes.io/tls", stringData={"tls.crt": tls[0], "tls.key": tls[1]}),
        made(namespace, "Service", NAME, spec=headless_service(name=NAME)),
    ]


def objects(args: MariadbArgs, tls: tuple[str, str]) -> list[dict[str, Any]]:
    """Return one end's objects, its namespace first."""
    namespace = args.plan.namespace
    options = server_cnf(TLS_OPTIONS)
    passwords = {
        "root": secrets.token_hex(16),
        "switchover": secrets.token_hex(16),
        "replication": args.replication_password,
        "replication_local": secrets.token_hex(16),
    }
    return [
        *around(namespace, tls),
        made(namespace, "Secret", "passwords", stringData=passwords),
        made(namespace, "ConfigMap", "settings", data={"server.cnf": options, **SCRIPTS}),
        made(namespace, "StatefulSet", NAME, "apps/v1", spec=servers(args)),
    ]


def load_balancer_address(kubectl: Kubectl, service: str, namespace: str) -> str:
    """Return a LoadBalancer's address, once it has one."""

    def given() -> list[dict[str, str]]:
        status = kubectl.get("service", service, namespace)["status"]
        ingress: list[dict[str, str]] = status["loadBalancer"].get("ingress", [])
        return ingress

    (ingress,) = eventually(f"the LoadBalancer {service} has an address", given)
    return ingress["ip"]


def host_of(namespace: str) -> str:
    """Return the name of a database's pod."""
    return f"{NAME}-0.{NAME}.{namespace}.svc.cluster.local"


def behind(host: str) -> ExportedService:
    """Return a source as a replica that finds it by this name has it."""
    namespace = host.partition(".svc.")[0].rpartition(".")[2]
    return ExportedService(
        name=NAME,
        namespace=namespace,
        hosts=(host,),
        ports=(ExportedPort(port=MYSQL_PORT, probe="greeting"),),
        protocol="TCP",
        identities=(f"spiffe://cluster.local/ns/{namespace}/sa/{NAME}",),
        consumers=(),
    )


def expose(kubectl: Kubectl, namespace: str, port: int = MYSQL_PORT) -> str:
    """Make a LoadBalancer before a port of a database's pod; return its address."""
    service = {"name": f"{NAME}-0-{port}", "namespace": namespace}
    kubectl.apply({"apiVersion": "v1", "kind": "Service", "metadata": service, "spec": load_balancer(port)})
    return load_balancer_address(kubectl, service["name"], namespace)


def rolled_out(kubectl: Kubectl, namespace: str) -> None:
    """Wait until a database is ready."""
    kubectl("rollout", "status", f"statefulset/{NAME}", "--namespace", namespace, "--timeout=180s")
