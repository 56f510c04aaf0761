"""What could be tuned in the proxies, tried beside what is: `python -m bench.data_path.tuning`.

It is no part of `make bench`: what was tried once, and not kept, need not be tried each time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import sub, truediv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.data_path.figures import CONNECTION, NEAR, QUERY, STREAMED, cpu_of, percentile_of
from bench.data_path.processes import seconds_of
from bench.data_path.run import Way, keeper, standing_ways
from bench.data_path.sysbench import Sysbench
from bench.markdown import spread, table
from bench.samples import Recorder, Sample, compared, summary
from components.link import ISTIO_NAMESPACE
from components.proxies import PROXY
from tests.e2e.toolbox import Kubectl, eventually
from tests.faults.stage import GATEWAY, REPLICA, SOURCE, Site

FIGURES = Path(__file__).parents[2] / "docs" / "performance" / "tuning.csv"
ROUNDS = 5
METRICS = (STREAMED, percentile_of(QUERY, 50), percentile_of(CONNECTION, 50))
CONTEXTS = ("SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to have the proxies.

    Attributes:
        name: its name in the raw figures.
        limit: bytes that a connection may have waiting in a proxy, on either side. None: Envoy's own, 1 MiB.
    """

    name: str
    limit: int | None = None

    @property
    def mark(self) -> str:
        """What the configuration of a proxy that has it says, and no other."""
        return f'"per_connection_buffer_limit_bytes": {self.limit}'

    @property
    def filter(self) -> dict[str, Any]:
        """The EnvoyFilter for all proxies of a site."""
        merged = {"operation": "MERGE", "value": {"per_connection_buffer_limit_bytes": self.limit}}
        patches = [
            {"applyTo": what, "match": {"context": context}, "patch": merged}
            for what in ("LISTENER", "CLUSTER")
            for context in CONTEXTS
        ]
        return {
            "apiVersion": "networking.istio.io/v1alpha3",
            "kind": "EnvoyFilter",
            "metadata": {"name": "tuning", "namespace": ISTIO_NAMESPACE},
            "spec": {"configPatches": patches},
        }


AS_IT_IS = Variant(name="as it is")
VARIANTS = (
    AS_IT_IS,
    Variant(name="buffers of 64 KiB", limit=64 << 10),
    Variant(name="buffers of 256 KiB", limit=256 << 10),
    Variant(name="buffers of 4 MiB", limit=4 << 20),
)


def main() -> None:
    """Measure every variant, and the database's own TLS beside them."""
    record = Recorder(FIGURES)
    with TemporaryDirectory(prefix="tuning-") as directory, standing_ways(Path(directory)) as (ways, sysbench):
        kubectl = {site.name: site.kubectl for site in (ways[0].pair.source, ways[0].pair.replica)}
        for way in ways[:2]:
            way.pair.use_tls(wanted=way.target.tls)
            megabytes = way.pair.write(NEAR.megabytes)
        for number in range(1, ROUNDS + 1):
            for variant in VARIANTS:
                adopt(variant, ways[0], kubectl)
                measure(replace(ways[0], name=variant.name), megabytes, sysbench, record, number)
            measure(ways[1], megabytes, sysbench, record, number)


def adopt(variant: Variant, way: Way, kubectl: Mapping[str, Kubectl]) -> None:
    """Have all proxies of the way be so, and wait until they are."""
    marks = {other.mark for other in VARIANTS if other.limit} - {variant.mark}

    def everywhere() -> bool:
        dumps = [dump(site, pod, namespace) for site, pod, namespace in proxies(way)]
        own = all(variant.mark in text for text in dumps) if variant.limit else True
        return own and not any(mark in text for mark in marks for text in dumps)

    for site in kubectl.values():
        if variant.limit:
            site.apply(variant.filter)
        else:
            site("delete", "envoyfilter", "tuning", "--namespace", ISTIO_NAMESPACE, "--ignore-not-found")
    eventually(f"the proxies have {variant.name}", everywhere)


def proxies(way: Way) -> Sequence[tuple[Site, str, str]]:
    """Return the proxies of the way: site, pod and namespace."""
    source, replica = way.pair.source, way.pair.replica
    (gateway,) = source.pods(*GATEWAY)
    return (
        (replica, "db-0", REPLICA),
        (source, gateway["metadata"]["name"], GATEWAY[0]),
        (source, "db-0", SOURCE),
    )


def dump(site: Site, pod: str, namespace: str) -> str:
    """Return a proxy's configuration."""
    return site.exec(pod, PROXY, "pilot-agent", "request", "GET", "config_dump", namespace=namespace)


def measure(way: Way, megabytes: float, sysbench: Sysbench, record: Recorder, number: int) -> None:
    """Stream what was written, and ask and connect for a while."""
    keep = keeper(record, way, NEAR, number)
    before = {name: seconds_of(process) for name, process in way.processes.items()}
    keep(STREAMED, "MB/s", megabytes / way.pair.streamed())
    for name, process in way.processes.items():
        keep(cpu_of(name), "s/GB", (seconds_of(process) - before[name]) / megabytes * 1000)
    keep(percentile_of(QUERY, 50), "ms", sysbench.queries(way.target, seconds=2)[50])
    keep(percentile_of(CONNECTION, 50), "ms", sysbench.connections(way.target, count=200)[50])


def section(samples: Sequence[Sample]) -> str:
    """Return what was tried and what came of it."""
    rows = []
    for variant in dict.fromkeys(sample.way for sample in samples):
        rows.append(
            (
                variant,
                *(spread(summary(samples, metric, variant, NEAR.name)) for metric in METRICS),
                spread(compared(samples, STREAMED, variant, AS_IT_IS.name, NEAR.name, truediv)),
                spread(compared(samples, METRICS[1], variant, AS_IT_IS.name, NEAR.name, sub)),
            )
        )
    header = ("", "streamed, MB/s", "query p50, ms", "set-up p50, ms", "streamed, ratio", "query p50, added ms")
    return table(header, rows)


if __name__ == "__main__":
    main()
