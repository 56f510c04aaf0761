"""The part's measurements: the same work done on each way, way after way in each round."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from bench.data_path import first_edition, stage
from bench.data_path.database import Pair
from bench.data_path.figures import (
    APPLIED,
    CASES,
    CONNECTION,
    FIRST,
    LAG,
    LOCAL,
    NEAR,
    PERCENTILES,
    QUERY,
    RELAYS,
    REPLICA_SERVER,
    REPLICA_SIDECAR,
    ROWS,
    SIDECARS_MEMORY,
    SOURCE_SERVER,
    SOURCE_SIDECAR,
    STREAMED,
    Case,
    cpu_of,
    percentile_of,
)
from bench.data_path.processes import on_another_core
from bench.data_path.relays import chains
from bench.data_path.sysbench import Sysbench
from bench.data_path.ways import Way, local_way, local_ways, pairings, plain_ways, servers
from bench.failures import Failures
from bench.process_time import parent_and_seconds
from bench.samples import Recorder, Sample
from bench.scale import proxies
from lab.wan import impair
from tests.e2e.toolbox import eventually

LAGS, PAUSE = 300, 0.005
"""How many commits are timed, and the seconds between them. The pauses let the replica keep up."""

LOOKS, SECONDS = 5, 2
"""How often local clients ask in turn within a round, and for how long each time: what is compared is small."""

Keep = Callable[[str, str, float], None]


def run(record: Recorder, rounds: int) -> None:
    """Measure. Without the first edition, or without relays, if these do not come up.

    Raises:
        RuntimeError: one of them has failed.
    """
    failures = Failures()
    with (
        TemporaryDirectory(prefix="data-path-") as name,
        stage.standing(Path(name)) as stands,
        ExitStack() as beside,
    ):
        directory = Path(name)
        sysbench = Sysbench(directory, password=stands.password, tls=stands.tls)
        (directory / "first").mkdir()
        across, within = [*pairings(stands), *plain_ways(stands)], local_ways(stands)
        as_many: Sequence[Way] = ()
        for way in within:
            sysbench.prepare(way.target)
        with failures.noted(FIRST):
            pair = beside.enter_context(first_edition.standing_pair(directory / "first", stands.password, stands.tls))
            first = local_way(FIRST, pair)
            sysbench.prepare(first.target)
            within.append(first)
        with failures.noted("the relays"):
            as_many = beside.enter_context(relays(directory, stands))
        for case in CASES:
            impair(stage.LAB, delay=case.delay, loss=case.loss)
            for way in across:
                eventually(f"{way.name} replicates again", way.pair.follows, within=60)
            for number in range(1, min(rounds, case.rounds) + 1):
                if case == NEAR:
                    locally(within, sysbench, stands, record, number)
                for way in across:
                    measure_and_ask(way, case, sysbench, stands, keeper(record, way.name, case.name, number))
                for way in as_many if case == NEAR else ():
                    stream_and_ask(way, case, sysbench, stands, keeper(record, way.name, case.name, number))
    failures.tell()


def keeper(record: Recorder, way: str, case: str, number: int) -> Keep:
    """Return a function that records a figure of this round."""

    def keep(metric: str, unit: str, value: float) -> None:
        record(Sample(metric=metric, unit=unit, way=way, case=case, round=number, value=value))

    return keep


@contextmanager
def alone(pair: Pair, stands: stage.Stage) -> Iterator[None]:
    """Have a replica for a while without the source's others, which would take from the cores; then all have all."""
    same = [other for other in stands.pairs.values() if other.source.namespace == pair.source.namespace]
    for other in same:
        if other is not pair:
            other.pause()
    yield
    for other in same:
        other.applied()  # before the logs of it go
    pair.clear()


@contextmanager
def relays(directory: Path, stands: stage.Stage) -> Iterator[Sequence[Way]]:
    """Have the ways of `plain` through relays for a while."""
    pair = stands.pairs[stage.AT_GATEWAY, stage.BY_GATEWAY]
    processes = servers(pair)
    (server,), (client,) = processes[SOURCE_SERVER], processes[REPLICA_SERVER]
    with chains(directory, pair.source, pair.replica, (server, client), stands.tls) as made:
        yield [
            Way(name=RELAYS[count], pair=pair, target=chain.target, processes={**processes, **chain.processes})
            for count, chain in made.items()
        ]


def locally(ways: Sequence[Way], sysbench: Sysbench, stands: stage.Stage, record: Recorder, number: int) -> None:
    """Do what a client and a replica in the database's own site do, on each way."""
    looks = [{way.name: look(way, sysbench) for way in ways} for _ in range(LOOKS)]
    for way in ways:
        keep = keeper(record, way.name, LOCAL, number)
        for percent in PERCENTILES:
            keep(percentile_of(QUERY, percent), "ms", median(look[way.name][percent] for look in looks))
        connect(way, NEAR, sysbench, keep)
        with alone(way.pair, stands):
            stream(way, NEAR, keep)
        keep(SIDECARS_MEMORY, "B", sidecars_memory(way))


def look(way: Way, sysbench: Sysbench) -> Mapping[int, float]:
    """Ask for a short while, from another core than the server's. Return percentiles in milliseconds."""
    (server,) = way.processes[SOURCE_SERVER]
    with on_another_core(server):
        return sysbench.queries(way.target, seconds=SECONDS)


def sidecars_memory(way: Way) -> float:
    """Return the working sets of a way's sidecars, in bytes."""
    ends = {SOURCE_SIDECAR: way.pair.source, REPLICA_SIDECAR: way.pair.replica}
    return sum(
        proxies.Site(site.name, site.kubectl).working_set(site.namespace, "db-0", "istio-proxy")
        for place, site in ends.items()
        if place in way.processes
    )


def measure(way: Way, case: Case, keep: Keep) -> None:
    """Measure replication once, by one way."""
    pair = way.pair
    megabytes = stream(way, case, keep)
    keep(APPLIED, "MB/s", megabytes / pair.applied())
    keep(ROWS, "rows/s", case.rows / pair.commits(case.rows).seconds)
    lags = quantiles(pair.commits(LAGS, pause=PAUSE).lags, n=100, method="inclusive")
    for percent in PERCENTILES:
        keep(percentile_of(LAG, percent), "ms", lags[percent - 1])


def stream(way: Way, case: Case, keep: Keep) -> float:
    """Stream bulk once. Return the megabytes of binary log, which the replica has not applied yet."""
    pair = way.pair
    pair.follow(way.target.host, way.target.port, tls=way.target.tls)
    megabytes = pair.write(case.megabytes)
    before = {name: seconds_of(processes) for name, processes in way.processes.items()}
    keep(STREAMED, "MB/s", megabytes / pair.streamed())
    for name, processes in way.processes.items():
        keep(cpu_of(name), "s/GB", (seconds_of(processes) - before[name]) / megabytes * 1000)
    return megabytes


def seconds_of(processes: Sequence[int]) -> float:
    """Return the seconds of a core that processes have had together."""
    return sum(parent_and_seconds(process)[1] for process in processes)


def measure_and_ask(way: Way, case: Case, sysbench: Sysbench, stands: stage.Stage, keep: Keep) -> None:
    """Do all measurements once, by one way."""
    with alone(way.pair, stands):
        measure(way, case, keep)
    ask(way, case, sysbench, keep)


def stream_and_ask(way: Way, case: Case, sysbench: Sysbench, stands: stage.Stage, keep: Keep) -> None:
    """Do only those measurements that show where the time goes."""
    with alone(way.pair, stands):
        stream(way, case, keep)
    ask(way, case, sysbench, keep)


def ask(way: Way, case: Case, sysbench: Sysbench, keep: Keep) -> None:
    """Query a database and connect to it for a while."""
    for percent, value in sysbench.queries(way.target, seconds=case.seconds).items():
        keep(percentile_of(QUERY, percent), "ms", value)
    connect(way, case, sysbench, keep)


def connect(way: Way, case: Case, sysbench: Sysbench, keep: Keep) -> None:
    """Connect to a database again and again."""
    for percent, value in sysbench.connections(way.target, count=case.connections).items():
        keep(percentile_of(CONNECTION, percent), "ms", value)
