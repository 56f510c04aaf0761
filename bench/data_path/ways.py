"""The ways between databases: where a client finds the source, and which processes are on the way."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.data_path import stage
from bench.data_path.database import Pair
from bench.data_path.direct import NAME
from bench.data_path.figures import (
    BY_GATEWAYS,
    EGRESS_GATEWAY,
    GATEWAY,
    GATEWAY_POD,
    GATEWAYS,
    NO_MESH,
    PLAIN,
    POD_SIDECAR,
    REPLICA_SERVER,
    REPLICA_SIDECAR,
    SIDECAR_GATEWAY,
    SIDECARS,
    SOURCE_SERVER,
    SOURCE_SIDECAR,
    TLS,
)
from bench.data_path.processes import process_of
from bench.data_path.sysbench import Target
from dcmesh.model.egress import name_for
from dcmesh.model.gateway import GATEWAY_PORT
from dcmesh.model.link import MYSQL_PORT
from tests.faults.stage import GATEWAY as GATEWAY_PODS
from tests.faults.stage import Site

EGRESS_PODS = (stage.EGRESS["namespace"], "app=dcmesh-egress")


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to a database.

    Attributes:
        name: its name in the raw figures.
        pair: the databases at the two ends.
        target: the source, as a client beside the replica reaches it.
        processes: the processes on the way, by name. A gateway may have several.
    """

    name: str
    pair: Pair
    target: Target
    processes: Mapping[str, tuple[int, ...]]


def pairings(stands: stage.Stage) -> list[Way]:
    """Return the four pairings of egress and termination."""
    ends = {
        GATEWAYS: (stage.AT_GATEWAY, stage.BY_GATEWAY),
        SIDECAR_GATEWAY: (stage.AT_GATEWAY, stage.BY_SIDECAR),
        GATEWAY_POD: (stage.AT_POD, stage.BY_GATEWAY),
        SIDECARS: (stage.AT_POD, stage.BY_SIDECAR),
    }
    return [pairing(name, stands.pairs[end], *end) for name, end in ends.items()]


def pairing(name: str, pair: Pair, source: str, way: str) -> Way:
    """Return one of the pairings, from the replica's pod."""
    kubectl, namespace = pair.replica.kubectl, pair.replica.namespace
    processes = {**servers(pair), GATEWAY: envoys(pair.source, *GATEWAY_PODS)}
    if way == stage.BY_GATEWAY:
        processes[EGRESS_GATEWAY] = envoys(pair.replica, *EGRESS_PODS)
        host = stage.host_of(source, way)
        address = kubectl.get("service", name_for(host), EGRESS_PODS[0])["spec"]["clusterIP"]
    else:
        processes[REPLICA_SIDECAR] = sidecar(pair.replica)
        (entry,) = kubectl.names("serviceentries", "--namespace", namespace)
        (address,) = kubectl.get("serviceentry", entry, namespace)["spec"]["addresses"]
    if source == stage.AT_POD:
        processes[SOURCE_SIDECAR] = sidecar(pair.source)
    target = Target(process=processes[REPLICA_SERVER][0], host=address, port=MYSQL_PORT)
    return Way(name=name, pair=pair, target=target, processes=processes)


def plain_ways(stands: stage.Stage) -> list[Way]:
    """Return the ways without dcmesh, through a LoadBalancer: one with the database's own TLS, one without."""
    pair = stands.pairs[stage.AT_GATEWAY, stage.BY_GATEWAY]
    processes = servers(pair)

    def way(name: str, *, tls: bool) -> Way:
        client = processes[REPLICA_SERVER][0]
        target = Target(process=client, host=stands.address, port=GATEWAY_PORT, tls=tls)
        return Way(name=name, pair=pair, target=target, processes=processes)

    return [way(TLS, tls=True), way(PLAIN, tls=False)]


def local_ways(stands: stage.Stage) -> list[Way]:
    """Return the ways within dc1."""
    sources = {NO_MESH: stage.APART, BY_GATEWAYS: stage.AT_GATEWAY, POD_SIDECAR: stage.AT_POD}
    return [local_way(name, stands.pairs[source, stage.LOCALLY]) for name, source in sources.items()]


def local_way(name: str, pair: Pair) -> Way:
    """Return a way within a site to the source's pod, through the sidecars that the ends have."""
    processes = servers(pair)
    for place, site in ((SOURCE_SIDECAR, pair.source), (REPLICA_SIDECAR, pair.replica)):
        if has_sidecar(site):
            processes[place] = sidecar(site)
    address = pair.source.pod(f"{NAME}-0")["status"]["podIP"]
    target = Target(process=processes[REPLICA_SERVER][0], host=address, port=MYSQL_PORT)
    return Way(name=name, pair=pair, target=target, processes=processes)


def has_sidecar(site: Site) -> bool:
    """Tell whether a database's pod has a sidecar."""
    spec = site.pod(f"{NAME}-0")["spec"]
    return any(of["name"] == "istio-proxy" for of in (*spec.get("initContainers", ()), *spec["containers"]))


def sidecar(site: Site) -> tuple[int]:
    """Return the Envoy of a database's pod."""
    return (process_of(site, site.namespace, f"{NAME}-0", "envoy"),)


def envoys(site: Site, namespace: str, label: str) -> tuple[int, ...]:
    """Return the Envoys of all pods of a gateway."""
    names = [pod["metadata"]["name"] for pod in site.pods(namespace, label)]
    return tuple(process_of(site, namespace, name, "envoy") for name in names)


def servers(pair: Pair) -> dict[str, tuple[int, ...]]:
    """Return the servers' processes."""
    ends = {SOURCE_SERVER: pair.source, REPLICA_SERVER: pair.replica}
    return {name: (process_of(site, site.namespace, f"{NAME}-0", pair.SERVER),) for name, site in ends.items()}
