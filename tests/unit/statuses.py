"""Shared by the tests of `dcmesh status`: facts in which all is well, and a stack on a fake cluster."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from dcmesh.databases.replication import Replica
from dcmesh.model.link import Consumer, ExportedPort, ServiceAccount
from dcmesh.sites_in_outputs import DeployedExport, DeployedSite, ExpectedGateway, ExpectedServer
from dcmesh.status.certificates import Certificate, days
from dcmesh.status.databases import DatabaseServer
from dcmesh.status.egress import EgressStatus
from dcmesh.status.exports import Consumer as ExportConsumer
from dcmesh.status.exports import Export
from dcmesh.status.gateways import GatewayStatus
from dcmesh.status.hosts import Answer, Host
from dcmesh.status.sites import SiteStatus, Status
from tests.unit.certificates import authority, root
from tests.unit.servers import VERSION

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
DB0 = "db-0.db.wookie.svc.cluster.local"
DB1 = "db-1.db.wookie.svc.cluster.local"
IDENTITY = "spiffe://cluster.local/ns/wookie/sa/db"
GATEWAY_LABELS = {"app": "istio-eastwestgateway", "istio": "eastwestgateway"}
"""The labels of the gateway's pods if it is in Istio's namespace."""


def gateway(**changes: Any) -> GatewayStatus:
    well: dict[str, Any] = {
        "site": "dc1",
        "ready": 2,
        "wanted": 2,
        "addresses": ("192.0.2.1",),
        "ports": (15021, 15443),
        "told_addresses": ("192.0.2.1",),
        "told_port": 15443,
        "advertised": False,
    }
    return GatewayStatus(**well | changes)


def certificate(
    left: timedelta = timedelta(days=700), lifetime: timedelta = timedelta(days=730), **changes: Any
) -> Certificate:
    expires = NOW + left
    well: dict[str, Any] = {
        "site": "dc1",
        "kind": "intermediate",
        "subject": "Intermediate CA dc1",
        "issued": expires - lifetime,
        "expires": expires,
        "days_left": days(expires, NOW),
        "fingerprint": "ab",
    }
    return Certificate(**well | changes)


def host(**changes: Any) -> Host:
    well: dict[str, Any] = {
        "site": "dc2",
        "source": "dc1",
        "consumer": "wookie-dr/db",
        "gateways": ("192.0.2.1:15443",),
        "host": DB0,
        "port": 3306,
        "answer": Answer(ok=True, text="greeting"),
        "identity": IDENTITY,
        "accepted": (IDENTITY,),
    }
    return Host(**well | changes)


def offer(**changes: Any) -> Export:
    well: dict[str, Any] = {
        "site": "dc1",
        "name": "db",
        "namespace": "wookie",
        "hosts": (DB0, DB1),
        "port": 3306,
        "termination": "gateway",
        "consumers": (ExportConsumer(site="dc2", account="wookie-dr/db"),),
    }
    return Export(**well | changes)


def replica(**changes: Any) -> DatabaseServer:
    well: dict[str, Any] = {
        "site": "dc2",
        "namespace": "wookie-dr",
        "pod": "db-0",
        "follows": (DB0,),
        "max_lag": 60,
        "source": DB0,
        "running": True,
        "seconds_behind": 0,
        "position": "0-1968131073-3",
        "read_only": True,
    }
    return DatabaseServer(**well | changes)


def primary(**changes: Any) -> DatabaseServer:
    well: dict[str, Any] = {
        "site": "dc1",
        "namespace": "wookie",
        "pod": "db-0",
        "follows": (),
        "max_lag": 60,
        "position": "0-1968131073-3",
        "read_only": False,
    }
    return DatabaseServer(**well | changes)


# --- a stack, and the cluster that plays its sites ---------------------------------------------------------------

DB_EXPORT = DeployedExport(
    source="dc1",
    name="db",
    namespace="wookie",
    gateways=("192.0.2.1:15443",),
    hosts=(DB0, DB1),
    ports=(ExportedPort(port=3306, probe="greeting"),),
    protocol="TCP",
    identities=(IDENTITY,),
    consumers=(Consumer(site="dc2", namespace="wookie-dr", service_account="db"),),
    entry_port="tcp",
)


def exporter(kubeconfig: str) -> DeployedSite:
    """dc1 exports, and has a primary."""
    where = Replica(namespace="wookie", pod="db-0", container="mariadb", command=("mariadb", "status"))
    return DeployedSite(
        name="dc1",
        cluster=kubeconfig,
        gateway=ExpectedGateway(
            namespace="istio-system", name="gateway", addresses=("192.0.2.1",), port=15443, advertised=False
        ),
        exports=(DB_EXPORT,),
        accounts={ServiceAccount("wookie", "db"): ()},
        pending=(),
        servers=(ExpectedServer(replica=where, follows=()),),
    )


def importer(kubeconfig: str) -> DeployedSite:
    """dc2 imports, and has a replica."""
    where = Replica(namespace="wookie-dr", pod="db-0", container="mariadb", command=("mariadb", "status"))
    return DeployedSite(
        name="dc2",
        cluster=kubeconfig,
        gateway=None,
        exports=(),
        accounts={ServiceAccount("wookie-dr", "db"): (DB_EXPORT,)},
        pending=(),
        servers=(ExpectedServer(replica=where, follows=(DB0,)),),
    )


def pod(namespace: str, name: str = "db-0", **changes: Any) -> dict[str, Any]:
    """Return a running pod with a native sidecar, as the API shows it."""
    running: dict[str, Any] = {"state": {"running": {"startedAt": "2026-11-23T08:00:00Z"}}}
    well = {
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"containers": [{"name": "mariadb"}], "initContainers": [{"name": "istio-proxy"}, {"name": "prepare"}]},
        "status": {
            "phase": "Running",
            "containerStatuses": [{"name": "mariadb", **running}],
            "initContainerStatuses": [
                {"name": "istio-proxy", **running},
                {"name": "prepare", "state": {"terminated": {"reason": "Completed"}}},
            ],
        },
    }
    return {**well, **changes}


def cacerts() -> dict[str, str]:
    """Return the data of the Secret `cacerts`, valid for a long time."""
    intermediate = authority("Intermediate CA dc1", root(), until=timedelta(days=400))
    files = {"root-cert.pem": authority("Root CA", until=timedelta(days=4000)).pem, "ca-cert.pem": intermediate.pem}
    return {key: base64.b64encode(text.encode()).decode() for key, text in files.items()}


def objects() -> dict[str, Any]:
    """Return the objects of a cluster in which all is well, by path."""
    core, istio = "/api/v1/namespaces", "istio-system"
    return {
        "/version/": VERSION,
        f"{core}/{istio}/secrets/cacerts": {"data": cacerts()},
        f"{core}/{istio}/services/gateway": {
            "spec": {"ports": [{"port": 15021}, {"port": 15443}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
        },
        f"/apis/apps/v1/namespaces/{istio}/deployments/gateway": {
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": GATEWAY_LABELS},
                "template": {"metadata": {"labels": GATEWAY_LABELS}},
            },
            "status": {"readyReplicas": 1},
        },
        **{f"{core}/{namespace}/pods": {"items": [pod(namespace)]} for namespace in ("wookie", "wookie-dr")},
        **{f"{core}/{namespace}/pods/db-0": pod(namespace) for namespace in ("wookie", "wookie-dr")},
    }


def proxy_certs(left: timedelta = timedelta(hours=23), lifetime: timedelta = timedelta(hours=24)) -> dict[str, Any]:
    """Return Envoy's answer at `certs`. As with the real one, a certificate has several entries."""
    expires = datetime.now(UTC).replace(microsecond=0) + left
    times = {
        "valid_from": f"{expires - lifetime:%Y-%m-%dT%H:%M:%SZ}",
        "expiration_time": f"{expires:%Y-%m-%dT%H:%M:%SZ}",
    }
    return {"certificates": [{"ca_cert": [], "cert_chain": [{"serial_number": "1", **times}]}] * 2}


def clusters(*accepted: str) -> dict[str, Any]:
    """Return the clusters of all imported hosts as Envoy shows them with ISTIO_MUTUAL."""
    names = {"match_subject_alt_names": [{"exact": name} for name in accepted]}
    tls = {"common_tls_context": {"combined_validation_context": {"default_validation_context": names}}}
    return {
        "configs": [
            {
                "cluster": {
                    "name": f"outbound|3306||{name}",
                    "transport_socket": {"typed_config": {**tls, "sni": f"outbound_.3306_._.{name}"}},
                }
            }
            for name in (DB0, DB1)
        ]
    }


MARIADB_REPLICA = f"""\
*************************** 1. row ***************************
                   Master_Host: {DB0}
              Slave_IO_Running: Yes
             Slave_SQL_Running: Yes
         Seconds_Behind_Master: 0
                Gtid_Slave_Pos: 0-1-7
"""
MARIADB_SELF = """\
*************************** 1. row ***************************
Gtid_Position: 0-1-7
    Read_Only: {read_only}
"""


class Containers:
    """Stands in for the commands that run in containers. It replaces kubernetes_api.run_in.

    Attributes:
        answers: the answers by the first words of a command's relevant part. An exception is raised.
    """

    def __init__(self) -> None:
        self.answers: dict[str, str | Exception] = {
            "certs": json.dumps(proxy_certs()),
            "config_dump": json.dumps(clusters(IDENTITY)),
            "bash": f"ok {DB0} 3306 greeting\nok {DB1} 3306 greeting\n",
            "wookie mariadb": MARIADB_SELF.format(read_only=0),
            "wookie-dr mariadb": MARIADB_REPLICA + MARIADB_SELF.format(read_only=1),
        }

    def __call__(self, _: Any, *, namespace: str, pod: str, container: str, command: tuple[str, ...]) -> str:
        assert pod == "db-0"
        if command[0] == "pilot-agent":
            assert container == "istio-proxy"
            key = command[-1].partition("?")[0]
        else:
            # The command must not run in the sidecar, whose own connections bypass the mesh.
            assert container == "mariadb"
            key = command[0] if command[0] in ("bash", "sh") else f"{namespace} mariadb"
        answer = self.answers[key]
        if isinstance(answer, Exception):
            raise answer
        return answer


# --- two sites, each of which has all that can be drawn --------------------------------------------------------------

LONG_HOST = "cluster1-pxc-0.cluster1-pxc-unready.production-databases.svc.cluster.local"


def two_sites(*, broken: bool = False) -> Status:
    """Return two sites that follow each other, each with a gateway. One uses an egress gateway, the other a sidecar.

    Args:
        broken: whether there are many problems.
    """
    db = (DB0, DB1, "db-2.db.wookie.svc.cluster.local")
    egress = "wookie-dr/dcmesh-egress"
    orders = "spiffe://dc1.dcmesh/ns/production-databases/sa/cluster1-pxc"
    fault: dict[str, Any] = {"answer": Answer(ok=False, text="closed without answer")} if broken else {}
    late: dict[str, Any] = {"seconds_behind": 4210} if broken else {}
    stopped: dict[str, Any] = (
        {"running": False, "seconds_behind": None, "last_error": "error connecting to master"} if broken else {}
    )
    dc1 = SiteStatus(
        name="dc1",
        facts=(
            gateway(ready=1 if broken else 2),
            EgressStatus(site="dc1", account="reports/dcmesh-egress", ready=2, wanted=2),
            certificate(kind="root", subject="Root CA", left=timedelta(days=3650), lifetime=timedelta(days=3652)),
            certificate(left=timedelta(days=30 if broken else 700)),
            certificate(kind="pod", subject="wookie/db", left=timedelta(hours=20), lifetime=timedelta(hours=24)),
            host(
                site="dc1",
                source="dc2",
                consumer="reports/dcmesh-egress",
                gateways=("198.51.100.7:15443",),
                port=5432,
                host="reports-0.reports.analytics.svc.cluster.local",
                answer=Answer(ok=True, text="greeting"),
            ),
            offer(hosts=db, consumers=(ExportConsumer(site="dc2", account=egress),)),
            *(
                offer(
                    port=port,
                    name="orders",
                    namespace="production-databases",
                    hosts=(LONG_HOST,),
                    termination="pod",
                    consumers=(ExportConsumer(site="dc2", account="orders/importer"),),
                )
                for port in (3306, 33062)
            ),
            primary(),
            replica(site="dc1", namespace="wookie", pod="db-1"),
        ),
    )
    dc2 = SiteStatus(
        name="dc2",
        facts=(
            gateway(site="dc2", addresses=("198.51.100.7",), told_addresses=("198.51.100.7",), ready=2),
            offer(
                site="dc2",
                name="reports",
                namespace="analytics",
                port=5432,
                termination="ingress",
                hosts=("reports-0.reports.analytics.svc.cluster.local",),
                consumers=(ExportConsumer(site="dc1", account="reports/dcmesh-egress"),),
            ),
            EgressStatus(site="dc2", account=egress, ready=2, wanted=2),
            certificate(
                site="dc2", kind="root", subject="Root CA", left=timedelta(days=3650), lifetime=timedelta(days=3652)
            ),
            certificate(site="dc2", subject="Intermediate CA dc2"),
            certificate(site="dc2", kind="pod", subject=egress, left=timedelta(hours=23), lifetime=timedelta(hours=24)),
            *(host(host=name, consumer=egress, **(fault if name == DB1 else {})) for name in db),
            host(host=LONG_HOST, consumer="orders/importer", identity=orders, accepted=(orders,)),
            replica(**late),
            replica(namespace="orders", pod="cluster1-pxc-0", source=LONG_HOST, follows=(LONG_HOST,), **stopped),
        ),
    )
    return Status(sites=(dc1, dc2), asked=NOW)
