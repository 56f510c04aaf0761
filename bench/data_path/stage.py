"""The databases that are measured, and the stack that links them. All have the same options.

dc1 has three sources: one that nobody exports, one that is exported with `termination: gateway`, and one with
`termination: ingress`, whose pod has a sidecar. Each has a replica in dc1. In dc2 each exported source has two
replicas: one follows through the egress gateway, and one through a sidecar.
"""

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.clusters import clusters
from bench.data_path import direct
from bench.data_path.database import Pair
from components.workloads.namespace_and_account import pod_labels
from dcmesh.model.ingress_port import TAKES_PART, ingress_port
from dcmesh.model.link import MYSQL_PORT
from tests.e2e.toolbox import Kubectl, Lab, Project, initialised, lab_config
from tests.faults.stage import Site

LAB = "data"
APART, AT_GATEWAY, AT_POD = "apart", "direct", "ingress"
"""The sources' namespaces."""

LOCALLY, BY_GATEWAY, BY_SIDECAR = "local", "gateway", "sidecar"
"""The way by which a replica follows. Its namespace is the source's with this at the end."""

EGRESS = {"namespace": "dcmesh-egress", "serviceAccount": "egress"}


def replica_of(source: str, way: str) -> str:
    """Return the namespace of a source's replica."""
    return f"{source}-{way}"


def host_of(source: str, way: str) -> str:
    """Return the name by which a replica finds its source. A site imports a name in one way only."""
    return direct.host_of(replica_of(source, "host") if way == BY_SIDECAR else source)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The clusters and databases that are measured.

    Attributes:
        sites: the clusters.
        pairs: each source with one of its replicas, by the source's namespace and the replica's way.
        address: the address of the LoadBalancer before the database that is exported at the gateway.
        password: the password of all clients.
        tls: the certificate and key of all servers.
    """

    sites: dict[str, Kubectl]
    pairs: dict[tuple[str, str], Pair]
    address: str
    password: str
    tls: tuple[str, str]


@contextmanager
def standing(directory: Path) -> Iterator[Stage]:
    """Run everything while the block runs. The databases run before dcmesh comes."""
    tls, password = direct.certificate("bench"), secrets.token_hex(16)
    with clusters(LAB, directory) as sites, ExitStack() as sessions:
        dc1, dc2 = sites["dc1"], sites["dc2"]
        for source in (APART, AT_GATEWAY, AT_POD):
            dc1.apply(*direct.objects(direct.arguments(source, "dc1", source=None, password=password), tls))
        for source in (APART, AT_GATEWAY, AT_POD):
            direct.rolled_out(dc1, source)
        project = initialised(Lab(LAB), directory, configuration(sites, exports()))
        project.up("--skip-preview")
        take_part(dc1)
        link(project, dc2)
        pairs = dict[tuple[str, str], Pair]()
        for source, way in replicas():
            site = "dc1" if way == LOCALLY else "dc2"
            arguments = direct.arguments(
                replica_of(source, way),
                "dc1-replica" if way == LOCALLY else site,
                source=direct.behind(host_of(source, way)),
                password=password,
                sidecar=way == BY_SIDECAR,
            )
            namespace, *rest = direct.objects(arguments, tls)
            sites[site].apply(*rest if way == BY_SIDECAR else (namespace, *rest))
        for source, way in replicas():
            site = "dc1" if way == LOCALLY else "dc2"
            direct.rolled_out(sites[site], replica_of(source, way))
            ends = (("dc1", source), (site, replica_of(source, way)))
            pair = Pair(*(Site(of, namespace, Lab(LAB), sites[of]) for of, namespace in ends))
            pairs[source, way] = sessions.enter_context(closing(pair))
        for source in (APART, AT_GATEWAY, AT_POD):
            pairs[source, LOCALLY].prepare(password)
        yield Stage(
            sites=sites,
            pairs=pairs,
            address=direct.expose(dc1, AT_GATEWAY),
            password=password,
            tls=tls,
        )


def replicas() -> list[tuple[str, str]]:
    """Return each source with each way by which a replica follows it."""
    across = [(source, way) for source in (AT_GATEWAY, AT_POD) for way in (BY_GATEWAY, BY_SIDECAR)]
    return [*((source, LOCALLY) for source in (APART, AT_GATEWAY, AT_POD)), *across]


def configuration(
    sites: dict[str, Kubectl], exports: list[dict[str, Any]], imports: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """Return the stack's configuration, with what dc1 exports and dc2 imports."""
    dc1, dc2 = ({"name": name, "cluster": {"kubeconfig": str(site.path)}} for name, site in sites.items())
    return {
        "dcmesh:sites": [{**dc1, "gateway": {"replicas": 1}, "exports": exports}, {**dc2, "imports": [*imports]}],
        "dcmesh:istio": lab_config()["dcmesh:istio"],
        "dcmesh:protect": False,
    }


def exports() -> list[dict[str, Any]]:
    """Return the exports of dc1."""
    own = {"serviceAccount": direct.NAME, "selector": pod_labels(direct.NAME)}
    made = [
        at_gateway(AT_GATEWAY),
        export(AT_POD, termination="ingress", ports=[{"port": MYSQL_PORT}], **own),
    ]
    for of in made:
        namespace = replica_of(of["name"], BY_SIDECAR)
        of["consumers"].append({"site": "dc2", "namespace": namespace, "serviceAccount": direct.NAME})
    return made


def export(source: str, **ends: Any) -> dict[str, Any]:  # noqa: ANN401 — parts of a configuration
    """Return the export of a source to the egress gateway."""
    pods = {"namespace": source, "statefulSet": direct.NAME, "replicas": 1}
    return {"name": source, **pods, "consumers": [{"site": "dc2", **EGRESS}], **ends}


def at_gateway(source: str) -> dict[str, Any]:
    """Return the export of a source that the gateway terminates."""
    return export(source, termination="gateway", port=MYSQL_PORT)


def imports() -> list[dict[str, Any]]:
    """Return the imports of dc2: each export by the egress gateway, and by a sidecar."""
    made = []
    for source in (AT_GATEWAY, AT_POD):
        made.append(by_gateway(source))
        consumer = {"namespace": replica_of(source, BY_SIDECAR), "serviceAccount": direct.NAME}
        host = {"hostNamespace": replica_of(source, "host")}
        made.append({"from": "dc1", "export": source, **consumer, **host})
    return made


def by_gateway(source: str) -> dict[str, Any]:
    """Return the import of a source by the egress gateway."""
    clients = [{"namespace": replica_of(source, BY_GATEWAY)}]
    way = {**EGRESS, "egress": "gateway", "hostNamespace": source, "clients": clients}
    return {"from": "dc1", "export": source, **way}


def take_part(dc1: Kubectl) -> None:
    """Give the pod of the database with `termination: ingress` its sidecar."""
    metadata = {
        "labels": {"sidecar.istio.io/inject": "true", TAKES_PART: AT_POD},
        "annotations": {
            "traffic.sidecar.istio.io/includeInboundPorts": str(ingress_port(MYSQL_PORT)),
            "traffic.sidecar.istio.io/includeOutboundIPRanges": "",
        },
    }
    patch = json.dumps({"spec": {"template": {"metadata": metadata}}})
    dc1("patch", "statefulset", direct.NAME, "--namespace", AT_POD, "--type=merge", f"--patch={patch}")
    direct.rolled_out(dc1, AT_POD)


def link(project: Project, dc2: Kubectl) -> None:
    """Let dc2 import everything. Namespaces of consumers with sidecars must exist before."""
    injected = {"istio-injection": "enabled"}
    for source in (AT_GATEWAY, AT_POD):
        name = replica_of(source, BY_SIDECAR)
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": injected}}
        account = {"name": direct.NAME, "namespace": name}
        dc2.apply(namespace, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    with project.edit() as config:
        config["dcmesh:sites"][1]["imports"] = imports()
    project.up("--skip-preview")
