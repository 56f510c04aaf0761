"""The part's measurements. Two sites of the lab have a database with dcmesh and one without.

The same work is done by each way.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

from bench.data_path import direct
from bench.data_path.database import Pair
from bench.data_path.figures import (
    APPLIED,
    CASES,
    CONNECTION,
    DCMESH,
    GATEWAY,
    LAG,
    NEAR,
    ONE_SIDECAR,
    PERCENTILES,
    PLAIN,
    PROXIES,
    QUERY,
    RELAYS,
    REPLICA_SERVER,
    REPLICA_SIDECAR,
    ROWS,
    SOURCE_SERVER,
    SOURCE_SIDECAR,
    STREAMED,
    TLS,
    Case,
    cpu_of,
    percentile_of,
)
from bench.data_path.processes import process_of
from bench.data_path.relays import PORT, Hop, load_balancer, standing_relays
from bench.data_path.sysbench import Sysbench, Target
from bench.process_time import parent_and_seconds
from bench.samples import Recorder, Sample
from dcmesh.model.gateway import GATEWAY_PORT
from dcmesh.model.link import MYSQL_PORT
from lab.wan import impair
from tests.e2e.toolbox import Lab, eventually, example, kubectl_of, standing
from tests.faults.stage import GATEWAY as GATEWAY_PODS
from tests.faults.stage import REPLICA, SOURCE, Site

LAB = "data"
LAGS, PAUSE = 300, 0.005
"""How many commits are timed, and the seconds between them. The pauses let the replica keep up."""

Keep = Callable[[str, str, float], None]


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to a database.

    Attributes:
        name: its name in the raw figures.
        pair: the databases at the two ends.
        target: the source, as a client beside the replica reaches it.
        processes: the processes on the way, by name.
    """

    name: str
    pair: Pair
    target: Target
    processes: Mapping[str, int]


def run(record: Recorder, rounds: int) -> None:
    """Measure."""
    with (
        TemporaryDirectory(prefix="data-path-") as directory,
        standing_ways(Path(directory)) as (ways, sysbench),
        relays_way(Path(directory), *ways) as relays,
    ):
        for case in CASES:
            impair(LAB, delay=case.delay, loss=case.loss)
            for way in ways:
                eventually(f"{way.name} replicates again", way.pair.follows, within=60)
            for number in range(1, min(rounds, case.rounds) + 1):
                for way in ways:
                    measure(way, case, keeper(record, way.name, case, number))
                    ask(way.target, case, sysbench, keeper(record, way.name, case, number))
                if case == NEAR:
                    ask(one_sidecar(*ways), case, sysbench, keeper(record, ONE_SIDECAR, case, number))
                    stream_and_ask(relays, case, sysbench, keeper(record, RELAYS, case, number))


def keeper(record: Recorder, way: str, case: Case, number: int) -> Keep:
    """Return a function that records a figure of this round."""

    def keep(metric: str, unit: str, value: float) -> None:
        record(Sample(metric=metric, unit=unit, way=way, case=case.name, round=number, value=value))

    return keep


def measure(way: Way, case: Case, keep: Keep) -> None:
    """Measure replication once, by one way."""
    pair = way.pair
    megabytes = stream(way, case, keep)
    keep(APPLIED, "MB/s", megabytes / pair.applied())
    keep(ROWS, "rows/s", case.rows / pair.commits(case.rows).seconds)
    lags = quantiles(pair.commits(LAGS, pause=PAUSE).lags, n=100, method="inclusive")
    for percent in PERCENTILES:
        keep(percentile_of(LAG, percent), "ms", lags[percent - 1])
    pair.clear()


def stream(way: Way, case: Case, keep: Keep) -> float:
    """Stream bulk once. Return the megabytes of binary log, which the replica has not applied yet."""
    pair = way.pair
    pair.follow(way.target.host, way.target.port, tls=way.target.tls)
    megabytes = pair.write(case.megabytes)
    before = {name: parent_and_seconds(process)[1] for name, process in way.processes.items()}
    keep(STREAMED, "MB/s", megabytes / pair.streamed())
    for name, process in way.processes.items():
        keep(cpu_of(name), "s/GB", (parent_and_seconds(process)[1] - before[name]) / megabytes * 1000)
    return megabytes


def stream_and_ask(way: Way, case: Case, sysbench: Sysbench, keep: Keep) -> None:
    """Do only those measurements that show where the time goes."""
    stream(way, case, keep)
    way.pair.applied()
    way.pair.clear()
    ask(way.target, case, sysbench, keep)


def ask(target: Target, case: Case, sysbench: Sysbench, keep: Keep) -> None:
    """Query a database and connect to it for a while."""
    times = {
        QUERY: sysbench.queries(target, seconds=case.seconds),
        CONNECTION: sysbench.connections(target, count=case.connections),
    }
    for what, percentiles in times.items():
        for percent, value in percentiles.items():
            keep(percentile_of(what, percent), "ms", value)


def config() -> dict[str, Any]:
    """Return the pair of examples/mariadb.yaml, with one pod in dc1. Further pods there would use up the cores."""
    made = example("mariadb")
    source = made["dcmesh:sites"][0]
    source["workloads"][0]["replicas"] = source["exports"][0]["replicas"] = 1
    return made


@contextmanager
def standing_ways(directory: Path) -> Iterator[tuple[Sequence[Way], Sysbench]]:
    """Run both pairs while the block runs, and a client for them."""
    lab = Lab(LAB)
    try:
        with standing(lab, directory, config()) as project, ExitStack() as sessions:
            kubectl = kubectl_of(project, directory)

            def pair(source: str, replica: str) -> Pair:
                ends = (Site("dc1", source, lab, kubectl["dc1"]), Site("dc2", replica, lab, kubectl["dc2"]))
                return sessions.enter_context(closing(Pair(*ends)))

            tls, password = direct.certificate(direct.SOURCE), secrets.token_hex(16)
            address = direct.create(kubectl, tls)
            sysbench = Sysbench(directory, password=password, tls=tls)
            meshed, plain = pair(SOURCE, REPLICA), pair(direct.SOURCE, direct.REPLICA)
            ways = (meshed_way(meshed), *plain_ways(plain, address))
            for one in (meshed, plain):
                one.prepare(password)
            for way in ways[:2]:
                sysbench.prepare(way.target)
            yield ways, sysbench
    finally:
        lab("delete", "--all")  # This does nothing unless something failed before the destroy.


def meshed_way(pair: Pair) -> Way:
    """Return the way through dcmesh, from the replica's pod."""
    kubectl = pair.replica.kubectl
    (entry,) = kubectl.names("serviceentries", "--namespace", REPLICA)
    (address,) = kubectl.get("serviceentry", entry, REPLICA)["spec"]["addresses"]
    (gateway,) = pair.source.pods(*GATEWAY_PODS)
    gateway_pod = gateway["metadata"]["name"]
    processes = {
        **servers(pair),
        REPLICA_SIDECAR: process_of(pair.replica, REPLICA, "db-0", "envoy"),
        GATEWAY: process_of(pair.source, GATEWAY_PODS[0], gateway_pod, "envoy"),
        SOURCE_SIDECAR: process_of(pair.source, SOURCE, "db-0", "envoy"),
    }
    target = Target(process=processes[REPLICA_SERVER], host=address, port=MYSQL_PORT)
    return Way(name=DCMESH, pair=pair, target=target, processes=processes)


def plain_ways(pair: Pair, address: str) -> tuple[Way, Way]:
    """Return the ways without dcmesh, to a LoadBalancer's address: one with the database's own TLS, one without."""
    processes = servers(pair)

    def way(name: str, *, tls: bool) -> Way:
        target = Target(process=processes[REPLICA_SERVER], host=address, port=GATEWAY_PORT, tls=tls)
        return Way(name=name, pair=pair, target=target, processes=processes)

    return way(TLS, tls=True), way(PLAIN, tls=False)


def one_sidecar(meshed: Way, _: Way, plain: Way) -> Target:
    """Return the way to the database of `plain` from the pod that has a sidecar."""
    return replace(plain.target, process=meshed.target.process)


@contextmanager
def relays_way(directory: Path, meshed: Way, _: Way, plain: Way) -> Iterator[Way]:
    """Run three relays while the block runs, beside client, gateway and server.

    Yield the way of `plain` through them.
    """
    pair, processes = plain.pair, plain.processes
    hops = (
        Hop(process=processes[REPLICA_SERVER], address=load_balancer(pair.source.kubectl), port=GATEWAY_PORT),
        Hop(process=meshed.processes[GATEWAY], address=pair.source.pod("db-0")["status"]["podIP"], port=PORT),
        Hop(process=processes[SOURCE_SERVER], address="127.0.0.1", port=MYSQL_PORT),
    )
    with standing_relays(directory, hops) as relays:
        target = Target(process=processes[REPLICA_SERVER], host="127.0.0.1", port=PORT)
        in_their_place = dict(zip(PROXIES, relays, strict=True))
        yield Way(name=RELAYS, pair=pair, target=target, processes={**processes, **in_their_place})


def servers(pair: Pair) -> dict[str, int]:
    """Return the servers' processes."""
    ends = {SOURCE_SERVER: pair.source, REPLICA_SERVER: pair.replica}
    return {name: process_of(site, site.namespace, "db-0", "mariadbd") for name, site in ends.items()}
