"""What could be tuned in the proxies. Each change is compared with dcmesh as it is, in the same rounds.

The components make none of these changes. One that clearly helps belongs into them, and the section then says so.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from operator import sub, truediv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

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
"""A change helps if every round is better by this: bulk as a share of that without it, or milliseconds of a query."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change to all proxies of both sites.

    Attributes:
        name: what the table calls it.
        about: what the change is, in a sentence or two.
        against: why dcmesh leaves it out even if it helps here.
        patches: the patches of the EnvoyFilter that makes the change.
        proxy: the fields of Istio's ProxyConfig, if a proxy must start with the change.
        mark: a text in the listeners of a proxy that has the change, unless it must start with it.
    """

    name: str
    about: str
    against: str = ""
    patches: Sequence[Mapping[str, Any]] = ()
    proxy: Mapping[str, Any] = field(default_factory=dict)
    mark: str = ""


def buffers(name: str, size: int) -> Change:
    """Return a change of how many bytes of a connection Envoy holds before it stops reading."""
    limit = {"operation": "MERGE", "value": {"per_connection_buffer_limit_bytes": size}}
    patches = [{"applyTo": what, "match": {"context": "ANY"}, "patch": limit} for what in ("LISTENER", "CLUSTER")]
    return Change(
        name=f"buffers of {name}",
        about="The bytes of a connection that Envoy holds before it stops reading. The default is 1 MiB.",
        patches=patches,
        mark=f'"per_connection_buffer_limit_bytes": {size}',
    )


def congestion_control(name: str, algorithm: str) -> Change:
    """Return a change of TCP's congestion control. Bulk leaves each proxy on a connection that the proxy accepted."""
    value = base64.b64encode(algorithm.encode()).decode()
    # Linux's numbers: IPPROTO_TCP, TCP_CONGESTION.
    option = {"level": 6, "name": 13, "buf_value": value, "state": "STATE_PREBIND"}
    patch = {"operation": "MERGE", "value": {"socket_options": [option]}}
    return Change(
        name=f"congestion control {name}",
        about=f"{name} instead of the hosts' own congestion control, for what the proxies send towards the replica. "
        f"The databases keep the hosts'.",
        against="it is the hosts' choice, made for a WAN, and here the WAN does not lose a packet",
        patches=[{"applyTo": "LISTENER", "match": {"context": "ANY"}, "patch": patch}],
        mark=f'"buf_value": "{value}"',
    )


ONE_WORKER = Change(
    name="one worker thread",
    about="Istio's `concurrency: 1`. A single connection uses one thread in any case.",
    against="many connections through a gateway need as many threads as it has cores",
    proxy={"concurrency": 1},
)

TEXT = """\
### What was tried in the proxies

Each change was made in all three proxies, and compared with dcmesh as it is in the same round. There were {rounds}
rounds, with {case} added to the WAN.

{table}

{about}

A change helps if in every round it streams {more} more or takes {less} ms off a query. {verdict}

Other things that are usually tuned are set well already, or cannot be changed. Once a connection is open, Envoy does
nothing with it but TLS and copying: there is no access log and no idle timer, and the source checks the identity only
once. (Istio's own Envoy also has filters for its metrics there; the lab's is Envoy as its project releases it.) TLS
uses AES-128-GCM, in records of 16 KiB, the largest that TLS has. Sessions are resumed, so a faster kind of certificate
would help only first connections. All sockets have TCP_NODELAY, and keepalives are sent only on idle connections.
Connections to a server are not made in advance, because the server ends those that do not log in."""

CHANGES = (buffers("64 KiB", 1 << 16), buffers("4 MiB", 1 << 22), congestion_control("Reno", "reno"), ONE_WORKER)


def run(record: Recorder, rounds: int) -> None:
    """Measure dcmesh as it is, and with each change, in turn."""
    with TemporaryDirectory(prefix="tuning-") as directory, standing_ways(Path(directory)) as (ways, sysbench):
        source, replica = ways[0].pair.source, ways[0].pair.replica
        for round_ in range(1, min(rounds, MOST_ROUNDS) + 1):
            for change in (None, *CHANGES):
                with changed(source, replica, change), closing(Pair(source, replica)) as pair:
                    way = meshed_way(pair)
                    stream_and_ask(way, NEAR, sysbench, keeper(record, way_of(change), NEAR, round_))


def way_of(change: Change | None) -> str:
    """Return a change's name in the raw figures."""
    return f"{DCMESH}, {change.name}" if change else DCMESH


def changed(source: Site, replica: Site, change: Change | None) -> AbstractContextManager[None]:
    """Make a change in all proxies while the block runs, or none."""
    if change is None:
        return nullcontext()
    return restarted(source, replica, change) if change.proxy else patched(source, replica, change)


@contextmanager
def patched(source: Site, replica: Site, change: Change) -> Iterator[None]:
    """Make a change that proxies take over while they run."""
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
    """Make a change with which proxies must start.

    All pods on the way are made anew, and afterwards again without it.
    """
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
    """Tell for each proxy on the way whether the listeners that take connections have the change."""
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
        about="\n".join(f"- {', '.join(names)}: {about}" for about, names in abouts.items()),
        more=f"{MORE_BULK - 1:.0%}",
        less=LESS_TIME,
        verdict=verdict(helpful),
    )


def verdict(helpful: Sequence[Change]) -> str:
    """Return the conclusion from which changes help."""
    if not helpful:
        return "None does, so the proxies are left as they are."
    return " ".join(
        f"*{change.name}* does, and is left out: {change.against}." if change.against else f"*{change.name}* does."
        for change in helpful
    )


def plots(_samples: Sequence[Sample]) -> Mapping[str, str]:
    """Return no plots, since the table says everything."""
    return {}
