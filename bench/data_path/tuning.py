"""What could be tuned in the proxies: each change beside dcmesh as it is, in the same rounds.

None is in the components. One that helps clearly belongs there, and the section then says so.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from operator import sub, truediv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.aims import Aim
from bench.data_path.database import Pair
from bench.data_path.figures import DCMESH, NEAR, PROXIES, QUERY, STREAMED, cpu_of, percentile_of
from bench.data_path.run import keeper, meshed_way, standing_ways, stream_and_ask
from bench.markdown import number, spread, table
from bench.samples import Recorder, Sample, compared, summary
from dcmesh.model.gateway import GATEWAY_NAME
from tests.e2e.toolbox import eventually
from tests.faults.stage import GATEWAY, REPLICA, SOURCE, Site

MOST_ROUNDS = 4
DATABASE = "statefulset/db"
MORE_BULK, LESS_TIME = 1.05, 0.02
"""What counts as help, if it is so in every round: bulk as a share of that without, milliseconds of a query."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change to all proxies of both sites.

    Attributes:
        name: what the table calls it.
        about: what it is, in a sentence or two.
        against: why dcmesh leaves it out even if it helps here.
        patches: of the EnvoyFilter that makes it.
        proxy: of Istio's ProxyConfig, if a proxy must start with it.
        mark: what stands in the listeners of a proxy that has it, unless it must start with it.
    """

    name: str
    about: str
    against: str = ""
    patches: Sequence[Mapping[str, Any]] = ()
    proxy: Mapping[str, Any] = field(default_factory=dict)
    mark: str = ""


def buffers(name: str, size: int) -> Change:
    """Return the change of how many bytes Envoy holds of a connection before it stops reading."""
    limit = {"operation": "MERGE", "value": {"per_connection_buffer_limit_bytes": size}}
    patches = [{"applyTo": what, "match": {"context": "ANY"}, "patch": limit} for what in ("LISTENER", "CLUSTER")]
    return Change(
        name=f"buffers of {name}",
        about="What Envoy holds of a connection before it stops reading; by itself 1 MiB.",
        patches=patches,
        mark=f'"per_connection_buffer_limit_bytes": {size}',
    )


def congestion_control(name: str, algorithm: str) -> Change:
    """Return the change of when TCP sends. Bulk leaves each proxy by a connection that it has accepted."""
    value = base64.b64encode(algorithm.encode()).decode()
    # Linux's numbers: IPPROTO_TCP, TCP_CONGESTION.
    option = {"level": 6, "name": 13, "buf_value": value, "state": "STATE_PREBIND"}
    patch = {"operation": "MERGE", "value": {"socket_options": [option]}}
    return Change(
        name=f"congestion control {name}",
        about=f"{name} in place of the hosts' own, for what the proxies send towards the replica. The databases keep "
        f"the hosts'.",
        against="it is the hosts' choice, made for a WAN, and here the WAN does not lose a packet",
        patches=[{"applyTo": "LISTENER", "match": {"context": "ANY"}, "patch": patch}],
        mark=f'"buf_value": "{value}"',
    )


ONE_WORKER = Change(
    name="one worker thread",
    about="Istio's `concurrency: 1`. One connection has one thread anyhow.",
    against="many connections through a gateway want as many threads as it has cores",
    proxy={"concurrency": 1},
)

TEXT = """\
What could be tuned in all three proxies, against dcmesh as it is in the same round; {rounds} rounds, {case} added. A
change helps if in every round it streams {more} more or takes {less} ms off a query. {verdict}

{table}

{about} What else is usually tuned is so by itself, or cannot be. Once a connection is open, there is nothing on it in
Envoy but TLS and the TCP proxy. TLS is with AES-128-GCM, in records of 16 KiB, the most that TLS has; sessions are
resumed. All sockets have TCP_NODELAY. Connections to a server are not made ahead: it ends those that do not log in."""

CHANGES = (buffers("64 KiB", 1 << 16), buffers("4 MiB", 1 << 22), congestion_control("Reno", "reno"), ONE_WORKER)


def run(record: Recorder, rounds: int) -> None:
    """Measure dcmesh as it is and with each change, in turn."""
    with TemporaryDirectory(prefix="tuning-") as directory, standing_ways(Path(directory)) as (ways, sysbench):
        source, replica = ways[0].pair.source, ways[0].pair.replica
        for round_ in range(1, min(rounds, MOST_ROUNDS) + 1):
            for change in (None, *CHANGES):
                with changed(source, replica, change), closing(Pair(source, replica)) as pair:
                    way = meshed_way(pair)
                    stream_and_ask(way, NEAR, sysbench, keeper(record, way_of(change), NEAR, round_))


def way_of(change: Change | None) -> str:
    """Return the name in the raw figures."""
    return f"{DCMESH}, {change.name}" if change else DCMESH


def changed(source: Site, replica: Site, change: Change | None) -> AbstractContextManager[None]:
    """Have a change in all proxies for a while, or none."""
    if change is None:
        return nullcontext()
    return restarted(source, replica, change) if change.proxy else patched(source, replica, change)


@contextmanager
def patched(source: Site, replica: Site, change: Change) -> Iterator[None]:
    """Have a change that proxies take while they run."""
    names = {"name": "tuning", "namespace": GATEWAY[0]}
    spec = {"configPatches": change.patches}
    for site in (source, replica):
        site.kubectl.apply(
            {"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": names, "spec": spec}
        )
    try:
        eventually(f"the proxies have {change.name}", lambda: all(_has(source, replica, change)))
        yield
    finally:
        for site in (source, replica):
            site.kubectl("delete", "envoyfilter", names["name"], "--namespace", names["namespace"])
        eventually(f"no proxy has {change.name}", lambda: not any(_has(source, replica, change)))


@contextmanager
def restarted(source: Site, replica: Site, change: Change) -> Iterator[None]:
    """Have a change that proxies start with: all pods on the way are made anew, and once more without it."""
    workloads = (
        (source, DATABASE, SOURCE),
        (source, f"deployment/{GATEWAY_NAME}", GATEWAY[0]),
        (replica, DATABASE, REPLICA),
    )

    def restart(config: str | None) -> None:
        template = {"metadata": {"annotations": {"proxy.istio.io/config": config}}}
        patch = json.dumps({"spec": {"template": template}})
        for site, workload, namespace in workloads:
            site.kubectl("patch", workload, "--namespace", namespace, "--patch", patch)
        for site, workload, namespace in workloads:
            site.kubectl("rollout", "status", workload, "--namespace", namespace, "--timeout=180s")
        eventually("the former gateway has gone", lambda: source.well(*GATEWAY, 1), within=60)

    restart(json.dumps(change.proxy))
    try:
        yield
    finally:
        restart(None)


def _has(source: Site, replica: Site, change: Change) -> Iterator[bool]:
    """Tell of each proxy on the way whether its listeners, those that take connections, have a change."""
    (gateway,) = source.pods(*GATEWAY)
    places: Sequence[tuple[Site, str, str]] = (
        (source, "db-0", SOURCE),
        (source, gateway["metadata"]["name"], GATEWAY[0]),
        (replica, "db-0", REPLICA),
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
            helpful.append(change)
    abouts: dict[str, list[str]] = {}
    for change in CHANGES:
        abouts.setdefault(change.about, []).append(f"*{change.name}*")
    header = ("change", "bulk, streamed, as a share", "query p50, added, ms", "the proxies' CPU, added, s per GB")
    return TEXT.format(
        rounds=summary(samples, STREAMED, DCMESH, NEAR.name).rounds,
        case=NEAR.name,
        table=table(header, rows),
        about=" ".join(f"{', '.join(names)}: {about}" for about, names in abouts.items()),
        more=f"{MORE_BULK - 1:.0%}",
        less=LESS_TIME,
        verdict=verdict(helpful),
    )


def verdict(helpful: Sequence[Change]) -> str:
    """Return what follows from which changes help."""
    if not helpful:
        return "None does, so the proxies are left as they are."
    return " ".join(
        f"*{change.name}* does, and is left out: {change.against}." if change.against else f"*{change.name}* does."
        for change in helpful
    )


def aims(_: Sequence[Sample]) -> Iterable[Aim]:
    """Return no aims: a change that helps is named."""
    return ()


def plots(_samples: Sequence[Sample]) -> Mapping[str, str]:
    """Return no plots: the table says it all."""
    return {}
