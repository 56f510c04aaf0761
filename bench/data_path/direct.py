"""The same database without dcmesh: a LoadBalancer of its own before the source's pod, and no sidecar on either end.

Percona's operator does it so for replication between sites (`expose` with type LoadBalancer: a Service a pod). The pods
are those that dcmesh's own workload makes, with the same options and on the same nodes; the server can do TLS, too.
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

SOURCE, REPLICA = "direct", "direct-dr"
"""Namespaces."""

NAME = "db"
TLS = "/etc/mysql/tls"
TLS_FILES = (("cert", "crt"), ("key", "key"), ("ca", "crt"))


def certificate(name: str) -> tuple[str, str]:
    """Return a certificate that has signed itself, and its key, as PEM."""
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


def load_balancer() -> dict[str, Any]:
    """Return the spec of the source's LoadBalancer, on the only port that the lab's WAN lets through."""
    return {
        "type": "LoadBalancer",
        "selector": {**pod_labels(NAME), "statefulset.kubernetes.io/pod-name": f"{NAME}-0"},
        "ports": [{"name": "tcp-mysql", "port": GATEWAY_PORT, "targetPort": MYSQL_PORT}],
    }


def servers(args: MariadbArgs) -> dict[str, Any]:
    """Return the spec of the StatefulSet: that of dcmesh's workload, with a certificate for the server."""
    spec = stateful_set(args, settings="settings", passwords="passwords")
    pod = spec["template"]["spec"]
    pod["volumes"].append({"name": "tls", "secret": {"secretName": "tls", "defaultMode": 0o440}})
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


def objects(args: MariadbArgs, tls: tuple[str, str]) -> list[dict[str, Any]]:
    """Return one end's objects, its namespace first."""

    def made(kind: str, name: str, api: str = "v1", **content: Any) -> dict[str, Any]:  # noqa: ANN401
        metadata = {"name": name, "namespace": args.plan.namespace, "labels": pod_labels(NAME)}
        return {"apiVersion": api, "kind": kind, "metadata": metadata, **content}

    options = server_cnf({f"ssl_{what}": f"{TLS}/tls.{file}" for what, file in TLS_FILES})
    passwords = {
        "root": secrets.token_hex(16),
        "switchover": secrets.token_hex(16),
        "replication": args.replication_password,
        "replication_local": secrets.token_hex(16),
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": args.plan.namespace}},
        made("ServiceAccount", NAME),
        made("Secret", "passwords", stringData=passwords),
        made("Secret", "tls", type="kubernetes.io/tls", stringData={"tls.crt": tls[0], "tls.key": tls[1]}),
        made("ConfigMap", "settings", data={"server.cnf": options, **SCRIPTS}),
        made("Service", NAME, spec=headless_service(name=NAME)),
        made("StatefulSet", NAME, "apps/v1", spec=servers(args)),
    ]


def load_balancer_address(kubectl: Kubectl, service: str, namespace: str) -> str:
    """Return a LoadBalancer's address, once it has one."""

    def given() -> list[dict[str, str]]:
        status = kubectl.get("service", service, namespace)["status"]
        ingress: list[dict[str, str]] = status["loadBalancer"].get("ingress", [])
        return ingress

    (ingress,) = eventually(f"the LoadBalancer {service} has an address", given)
    return ingress["ip"]


def behind(host: str, port: int) -> ExportedService:
    """Return the source as a replica that finds it there has it."""
    source = ExportedService(
        name=NAME,
        namespace=SOURCE,
        hosts=(f"{NAME}-0.{NAME}.{SOURCE}.svc.cluster.local",),
        ports=(ExportedPort(port=port, probe="greeting"),),
        protocol="TCP",
        identities=(f"spiffe://cluster.local/ns/{SOURCE}/sa/{NAME}",),
        consumers=(),
    )
    return source.model_copy(update={"hosts": (host,)})  # unchecked: no link has an address for a host


def create(kubectl: dict[str, Kubectl], tls: tuple[str, str]) -> str:
    """Make the source in dc1 and the replica in dc2, and wait until both are ready; return the source's address."""
    password = secrets.token_hex(16)
    dc1, dc2 = kubectl["dc1"], kubectl["dc2"]
    dc1.apply(*objects(arguments(SOURCE, "dc1", source=None, password=password), tls))
    service = {"name": f"{NAME}-0", "namespace": SOURCE}
    dc1.apply({"apiVersion": "v1", "kind": "Service", "metadata": service, "spec": load_balancer()})
    address = load_balancer_address(dc1, f"{NAME}-0", SOURCE)
    dc2.apply(*objects(arguments(REPLICA, "dc2", source=behind(address, GATEWAY_PORT), password=password), tls))
    for site, namespace in ((dc1, SOURCE), (dc2, REPLICA)):
        rolled_out(site, namespace)
    return address


def rolled_out(kubectl: Kubectl, namespace: str) -> None:
    """Wait until a database is ready."""
    kubectl("rollout", "status", f"statefulset/{NAME}", "--namespace", namespace, "--timeout=180s")
