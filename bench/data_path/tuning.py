"""What could be tuned in the proxies: each change beside dcmesh as it is, in the same rounds.

None is in the components. One that helps clearly belongs there, and the section then says so.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import sub, truediv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.data_path.figures import DCMESH, NEAR, PROXIES, QUERY, STREAMED, cpu_of, percentile_of
from bench.data_path.run import Way, ask, keeper, standing_ways, stream
from bench.markdown import number, spread, table
from bench.samples import Recorder, Sample, compared, summary
from tests.e2e.toolbox import eventually
from tests.faults.stage import GATEWAY, REPLICA, SOURCE, Site

MOST_ROUNDS = 5
MORE_BULK, LESS_TIME = 1.05, 0.02
"""What counts as help, if it is so in every round: bulk as a share of that without, milliseconds of a query."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change to all proxies of both sites.

    Attributes:
        name: what the table calls it.
        patches: of the EnvoyFilter that makes it.
        mark: what stands in the listeners of a proxy that has it.
    """

    name: str
    patches: Sequence[Mapping[str, Any]]
    mark: str


def buffers(name: str, size: int) -> Change:
    """Return the change of how many bytes Envoy holds of a connection before it stops reading. By itself 1 MiB."""
    limit = {"operation": "MERGE", "value": {"per_connection_buffer_limit_bytes": size}}
    patches = [{"applyTo": what, "match": {"context": "ANY"}, "patch": limit} for what in ("LISTENER", "CLUSTER")]
    return Change(
        name=f"buffers of {name}",
        patches=patches,
        mark=f'"per_connection_buffer_limit_bytes": {size}',
    )


TEXT = """\
### What was tried in the proxies

Each change in all three proxies, against dcmesh as it is in the same round; {rounds} rounds, {case} added to the WAN.

{table}

A change is worth making if in every round it streams {more} more or takes {less} ms off a query. {verdict}
What else is usually tuned is so by itself: the sidecars resume their TLS sessions, with AES-128-GCM; all their sockets
have TCP_NODELAY; no idle timer and no access log is on the way. Congestion control is the hosts' choice, for all ways
alike."""

CHANGES = (buffers("64 KiB", 1 << 16), buffers("256 KiB", 1 << 18), buffers("4 MiB", 1 << 22))


def run(record: Recorder, rounds: int) -> None:
    """Measure dcmesh as it is and with each change, in turn."""
    with TemporaryDirectory(prefix="tuning-") as directory, standing_ways(Path(directory)) as (ways, sysbench):
        way = ways[0]
        for round_ in range(1, min(rounds, MOST_ROUNDS) + 1):
            for change in (None, *CHANGES):
                keep = keeper(record, way_of(change), NEAR, round_)
                with changed(way, change):
                    stream(way, NEAR, keep)
                    way.pair.applied()
                    way.pair.clear()
                    ask(way.target, NEAR, sysbench, keep)


def way_of(change: Change | None) -> str:
    """Return the name in the raw figures."""
    return f"{DCMESH}, {change.name}" if change else DCMESH


@contextmanager
def changed(way: Way, change: Change | None) -> Iterator[None]:
    """Have a change in all proxies for a while, or none."""
    if change is None:
        yield
        return
    names = {"name": "tuning", "namespace": GATEWAY[0]}
    spec = {"configPatches": change.patches}
    sites = (way.pair.source, way.pair.replica)
    for site in sites:
        site.kubectl.apply(
            {"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": names, "spec": spec}
        )
    try:
        eventually(f"the proxies have {change.name}", lambda: all(_has(way, change)))
        yield
    finally:
        for site in sites:
            site.kubectl("delete", "envoyfilter", names["name"], "--namespace", names["namespace"])
        eventually(f"no proxy has {change.name}", lambda: not any(_has(way, change)))


def _has(way: Way, change: Change) -> Iterator[bool]:
    """Tell of each proxy on the way whether its listeners, those that take connections, have a change."""
    (gateway,) = way.pair.source.pods(*GATEWAY)
    places: Sequence[tuple[Site, str, str]] = (
        (way.pair.source, "db-0", SOURCE),
        (way.pair.source, gateway["metadata"]["name"], GATEWAY[0]),
        (way.pair.replica, "db-0", REPLICA),
    )
    for site, pod, namespace in places:
        path = "config_dump?resource=dynamic_listeners"
        said = site.exec(pod, "istio-proxy", "pilot-agent", "request", "GET", path, namespace=namespace)
        active = [listener.get("active_state") for listener in json.loads(said)["configs"]]
        yield change.mark in json.dumps(active)


def section(samples: Sequence[Sample]) -> str:
    """Return the section's text."""
    rows, helpful = [], []
    for change in CHANGES:
        bulk = compared(samples, STREAMED, way_of(change), DCMESH, NEAR.name, truediv)
        time = compared(samples, percentile_of(QUERY, 50), way_of(change), DCMESH, NEAR.name, sub)
        cpu = sum(compared(samples, cpu_of(proxy), way_of(change), DCMESH, NEAR.name, sub).median for proxy in PROXIES)
        rows.append((change.name, spread(bulk), spread(time), number(cpu, 2)))
        if bulk.low >= MORE_BULK or time.high <= -LESS_TIME:
            helpful.append(change.name)
    rounds = summary(samples, STREAMED, DCMESH, NEAR.name).rounds
    header = ("change", "bulk, streamed, as a share", "query p50, added, ms", "the proxies' CPU, added, s per GB")
    return TEXT.format(
        rounds=rounds,
        case=NEAR.name,
        table=table(header, rows),
        more=f"{MORE_BULK - 1:.0%}",
        less=LESS_TIME,
        verdict=f"So do: {', '.join(helpful)}." if helpful else "None does, so the proxies are left as they are.",
    )


def plots(_samples: Sequence[Sample]) -> Mapping[str, str]:
    """Return no plots: the table says it all."""
    return {}
