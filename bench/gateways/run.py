"""The part's measurements. A database without a sidecar is queried in its own site, and from the other by four ways."""

import secrets
import time
from base64 import b64decode
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.clusters import clusters
from bench.data_path import direct
from bench.data_path.database import Pair
from bench.data_path.figures import NEAR, REPLICA_SERVER
from bench.data_path.processes import process_of
from bench.data_path.run import Way, ask, keeper, plain_ways, servers, stream
from bench.data_path.sysbench import Sysbench, Target
from bench.gateways.figures import BY_GATEWAY, BY_SIDECAR, DESTROY, LOCAL, PAIR, UP, WITH, WITHOUT
from bench.samples import Recorder, Sample
from dcmesh.model.egress import name_for
from dcmesh.model.link import MYSQL_PORT
from tests.e2e.toolbox import Kubectl, Lab, Project, eventually, initialised, lab_config, start
from tests.faults.stage import Site

LAB = "gateways-bench"
HOST = f"{direct.NAME}-0.{direct.NAME}.{direct.SOURCE}.svc.cluster.local"
OWN = "db-own"
"""Another Service of the same pod. The way by the sidecar uses its name, as a site imports a name in one way only."""

OWN_HOST = f"{OWN}.{direct.SOURCE}.svc.cluster.local"
MESHED = "meshed-dr"
"""The namespace of the replica that has a sidecar."""

EGRESS = {"namespace": "dcmesh-egress", "serviceAccount": "egress"}
SECONDS = 8
"""How long the database is queried in its own site each time."""


def run(record: Recorder, rounds: int) -> None:
    """Measure."""
    with TemporaryDirectory(prefix="gateways-") as name, clusters(LAB, Path(name)) as sites, ExitStack() as sessions:
        directory = Path(name)
        tls, password = direct.certificate(direct.SOURCE), secrets.token_hex(16)
        address = direct.create(sites, tls)
        sites["dc1"].apply(own_service())
        pair = sessions.enter_context(closing(pair_of(sites, direct.REPLICA)))
        pair.prepare(password)
        sysbench = Sysbench(directory, password=password, tls=tls)
        secure, plain = plain_ways(pair, address)
        sysbench.prepare(plain.target)
        project = initialised(Lab(LAB), directory, configuration(sites))
        alternate(project, local(pair), sysbench, record, rounds)
        meshed = sessions.enter_context(closing(meshed_pair(project, sites, tls)))
        ways = (by_gateway(pair), by_sidecar(meshed), secure, plain)
        for number in range(1, rounds + 1):
            for way in ways:
                keep = keeper(record, way.name, NEAR, number)
                (meshed if way.pair is pair else pair).pause()  # The other replica would use up the cores.
                stream(way, NEAR, keep)
                for replica in (pair, meshed):
                    replica.applied()  # Do this before the logs are deleted.
                way.pair.clear()
                ask(way.target, NEAR, sysbench, keep)


def pair_of(sites: dict[str, Kubectl], replica: str) -> Pair:
    """Return the database and its replica."""
    lab = Lab(LAB)
    return Pair(Site("dc1", direct.SOURCE, lab, sites["dc1"]), Site("dc2", replica, lab, sites["dc2"]))


def configuration(sites: dict[str, Kubectl]) -> dict[str, Any]:
    """Return the stack's configuration.

    It exports the database to an egress gateway and to a consumer with a sidecar.
    """
    dc1, dc2 = ({"name": name, "cluster": {"kubeconfig": str(site.path)}} for name, site in sites.items())
    common = {"termination": "gateway", "namespace": direct.SOURCE, "port": MYSQL_PORT}
    exports = [
        {"name": direct.NAME, "replicas": 1, "consumers": [{"site": "dc2", **EGRESS}], **common},
        {"name": OWN, "whole": True, "consumers": [{"site": "dc2", **consumer()}], **common},
    ]
    way = {"egress": "gateway", "hostNamespace": direct.SOURCE, "clients": [{"namespace": direct.REPLICA}]}
    return {
        "dcmesh:sites": [
            {**dc1, "gateway": {"replicas": 1}, "exports": exports},
            {**dc2, "imports": [{"from": "dc1", "export": direct.NAME, **EGRESS, **way}]},
        ],
        "dcmesh:istio": lab_config()["dcmesh:istio"],
        "dcmesh:protect": False,
    }


def own_service() -> dict[str, Any]:
    """Return a Service of the database's pod."""
    ports = [{"name": "tcp-mysql", "port": MYSQL_PORT}]
    spec = {"selector": {"statefulset.kubernetes.io/pod-name": f"{direct.NAME}-0"}, "ports": ports}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": OWN, "namespace": direct.SOURCE},
        "spec": spec,
    }


def consumer() -> dict[str, str]:
    """Return the consumer that has a sidecar."""
    return {"namespace": MESHED, "serviceAccount": direct.NAME}


def local(pair: Pair) -> Target:
    """Return the database as a client of its own namespace reaches it."""
    source = pair.source
    start(source.kubectl, "local", direct.SOURCE, "default")
    process = process_of(source, direct.SOURCE, "local", "sleep")
    return Target(process=process, host=source.pod("db-0")["status"]["podIP"], port=MYSQL_PORT)


def alternate(project: Project, target: Target, sysbench: Sysbench, record: Recorder, rounds: int) -> None:
    """Query the database in its own site without dcmesh and with it, in turn. After the last round dcmesh stays."""

    def keep(metric: str, unit: str, way: str, number: int, value: float) -> None:
        record(Sample(metric=metric, unit=unit, way=way, case=NEAR.name, round=number, value=value))

    def seconds(*command: str) -> float:
        begun = time.monotonic()
        project.pulumi(*command, "--yes", "--suppress-outputs")
        return time.monotonic() - begun

    def query() -> float:
        return sysbench.queries(target, seconds=SECONDS)[50]

    for number in range(1, rounds + 1):
        keep(LOCAL, "ms", WITHOUT, number, query())
        keep(UP, "s", PAIR, number, seconds("up"))
        keep(LOCAL, "ms", WITH, number, query())
        if number < rounds:
            keep(DESTROY, "s", PAIR, number, seconds("destroy"))


def meshed_pair(project: Project, sites: dict[str, Kubectl], tls: tuple[str, str]) -> Pair:
    """Run a second replica while the block runs. It has a sidecar, and follows through that."""
    found = sites["dc1"].get("secret", "passwords", direct.SOURCE)["data"]["replication"]
    password = b64decode(found).decode()
    source = direct.behind(OWN_HOST, MYSQL_PORT)
    arguments = direct.arguments(MESHED, "dc2", source=source, password=password, sidecar=True)
    namespace, *rest = direct.objects(arguments, tls)
    namespace["metadata"]["labels"] = {"istio-injection": "enabled"}
    dc2 = sites["dc2"]
    dc2.apply(namespace, *(of for of in rest if of["kind"] == "ServiceAccount"))
    with project.edit() as config:
        config["dcmesh:sites"][1]["imports"].append({"from": "dc1", "export": OWN, **consumer()})
    project.up("--skip-preview")
    dc2.apply(*rest)
    direct.rolled_out(dc2, MESHED)
    pair = pair_of(sites, MESHED)
    eventually("it follows", pair.follows, within=60)
    return pair


def by_sidecar(pair: Pair) -> Way:
    """Return the way through the replica's sidecar."""
    kubectl = pair.replica.kubectl
    (entry,) = kubectl.names("serviceentries", "--namespace", MESHED)
    (address,) = kubectl.get("serviceentry", entry, MESHED)["spec"]["addresses"]
    return way_of(BY_SIDECAR, pair, address)


def by_gateway(pair: Pair) -> Way:
    """Return the way through the egress gateway."""
    service = pair.replica.kubectl.get("service", name_for(HOST), EGRESS["namespace"])
    return way_of(BY_GATEWAY, pair, service["spec"]["clusterIP"])


def way_of(name: str, pair: Pair, address: str) -> Way:
    """Return a way to the database's own port at an address in dc2."""
    processes = servers(pair)
    target = Target(process=processes[REPLICA_SERVER], host=address, port=MYSQL_PORT)
    return Way(name=name, pair=pair, target=target, processes=processes)
