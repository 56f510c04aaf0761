"""What could be tuned in the proxies. Each change is compared with dcmesh as it is, in the same rounds.

The components make none of these changes. One that clearly helps belongs into them, and the section then says so.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import sub, truediv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.data_path import stage
from bench.data_path.direct import NAME
from bench.data_path.figures import (
    GATEWAYS,
    NEAR,
    PROXIES,
    QUERY,
    SIDECARS,
    STREAMED,
    cpu_of,
    percentile_of,
)
from bench.data_path.run import keeper, stream_and_ask
from bench.data_path.sysbench import Sysbench
from bench.data_path.ways import EGRESS_PODS, pairings
from bench.markdown import number, spread, table
from bench.samples import Recorder, Sample, compared, measured
from tests.e2e.toolbox import eventually
from tests.faults.stage import GATEWAY, Site

MOST_ROUNDS = 3
MORE_BULK, LESS_TIME = 1.05, 0.02
"""A change helps if every round is better by this: bulk as a share of that without it, or milliseconds of a query."""

BASES = (GATEWAYS, SIDECARS)
"""The ways that are tuned: between them they have all proxies."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change to all proxies of both sites, which they take while they run.

    Attributes:
        name: what the table calls it.
        about: what it is, in a sentence or two.
        patches: of the EnvoyFilter that makes it.
        mark: what stands in the listeners of a proxy that has it.
        against: why dcmesh leaves it out even if it helps here.
    """

    name: str
    about: str
    patches: Sequence[Mapping[str, Any]]
    mark: str
    against: str = ""


def buffers(name: str, size: int) -> Change:
    """Return a change of how many bytes of a connection Envoy holds before it stops reading."""
    limit = {"operation": "MERGE", "value": {"per_connection_buffer_limit_bytes": size}}
    patches = [{"applyTo": what, "match": {"context": "ANY"}, "patch": limit} for what in ("LISTENER", "CLUSTER")]
    return Change(
        name=f"buffers of {name}",
        about="what Envoy holds of a connection before it stops reading; by itself 1 MiB.",
        patches=patches,
        mark=f'"per_connection_buffer_limit_bytes": {size}',
    )


def socket_option(name: str, about: str, number_: int, value: bytes, against: str = "") -> Change:
    """Return the change of an option of TCP, by Linux's number, for what the proxies have accepted.

    Bulk leaves each proxy by such a connection.
    """
    text = base64.b64encode(value).decode()
    option = {"level": 6, "name": number_, "buf_value": text, "state": "STATE_PREBIND"}  # 6: IPPROTO_TCP
    patch = {"operation": "MERGE", "value": {"socket_options": [option]}}
    return Change(
        name=name,
        about=about,
        patches=[{"applyTo": "LISTENER", "match": {"context": "ANY"}, "patch": patch}],
        mark=f'"buf_value": "{text}"',
        against=against,
    )


def congestion_control(name: str) -> Change:
    """Return the change of when TCP sends."""
    return socket_option(
        f"congestion control {name}",
        "for what the proxies send towards the replica, in place of the hosts' own.",
        13,
        name.lower().encode(),
        "it is the hosts' choice, made for lossy WANs",
    )


NOT_SENT = socket_option(
    "at most 128 KiB not sent",
    "TCP_NOTSENT_LOWAT: a proxy writes no more while so much waits to be sent.",
    25,
    (1 << 17).to_bytes(4, "little"),
)

TEXT = """\
Each change was made in all proxies on a way, and compared with the unchanged way in the same round, at {case}.
A change helps if in every round it streams {more} more or takes {less} ms off a
query. {verdict}

{table}

{about} Once a connection is open, Envoy does nothing with it but TLS and copying. TLS uses AES-128-GCM, in records of
16 KiB, the largest that TLS has. Sessions are resumed. All sockets have TCP_NODELAY. No connection to a server is made
in advance, because it ends those that do not log in."""

CHANGES = (
    buffers("64 KiB", 1 << 16),
    buffers("256 KiB", 1 << 18),
    buffers("4 MiB", 1 << 22),
    congestion_control("Reno"),
    NOT_SENT,
)


def run(record: Recorder, rounds: int) -> None:
    """Measure the ways as they are and with each change, in turn."""
    with TemporaryDirectory(prefix="tuning-") as name, stage.standing(Path(name)) as stands:
        sysbench = Sysbench(Path(name), password=stands.password, tls=stands.tls)
        ways = [way for way in pairings(stands) if way.name in BASES]
        for source in (stage.AT_GATEWAY, stage.AT_POD):
            sysbench.prepare(next(way.target for way in ways if way.pair.source.namespace == source))
        for number_ in range(1, min(rounds, MOST_ROUNDS) + 1):
            for change in (None, *CHANGES):
                with patched(stands, change):
                    for way in ways:
                        keep = keeper(record, way_of(way.name, change), NEAR.name, number_)
                        stream_and_ask(way, NEAR, sysbench, stands, keep)


def way_of(base: str, change: Change | None) -> str:
    """Return a change's name in the raw figures."""
    return f"{base}, {change.name}" if change else base


@contextmanager
def patched(stands: stage.Stage, change: Change | None) -> Iterator[None]:
    """Make a change in all proxies while the block runs, or none."""
    if change is None:
        yield
        return
    places = list(proxies(stands))
    names = {"name": "tuning", "namespace": "istio-system"}  # for all namespaces
    made = {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": names,
        "spec": {"configPatches": change.patches},
    }
    for kubectl in stands.sites.values():
        kubectl.apply(made)
    try:
        eventually(f"the proxies have {change.name}", lambda: all(_has(place, change) for place in places))
        yield
    finally:
        for kubectl in stands.sites.values():
            kubectl("delete", "envoyfilter", names["name"], "--namespace", names["namespace"])
        eventually(f"no proxy has {change.name}", lambda: not any(_has(place, change) for place in places))


Place = tuple[Site, str, str]
"""A proxy: site, namespace and pod."""


def proxies(stands: stage.Stage) -> Iterator[Place]:
    """Return the proxies on the ways."""
    by_gateway = stands.pairs[stage.AT_GATEWAY, stage.BY_GATEWAY]
    by_sidecar = stands.pairs[stage.AT_POD, stage.BY_SIDECAR]
    for site, pods in ((by_gateway.source, GATEWAY), (by_gateway.replica, EGRESS_PODS)):
        for pod in site.pods(*pods):
            yield site, pods[0], pod["metadata"]["name"]
    for site in (by_sidecar.source, by_sidecar.replica):
        yield site, site.namespace, f"{NAME}-0"


def _has(place: Place, change: Change) -> bool:
    """Tell whether a proxy's listeners have a change."""
    site, namespace, pod = place
    path = "config_dump?resource=dynamic_listeners"
    said = site.exec(pod, "istio-proxy", "pilot-agent", "request", "GET", path, namespace=namespace)
    return change.mark in json.dumps([listener.get("active_state") for listener in json.loads(said)["configs"]])


def section(samples: Sequence[Sample]) -> str:
    """Return the section's text."""
    rows, verdicts, abouts = [], list[str](), dict[str, list[str]]()
    for change in CHANGES:
        cells, helped = list[str](), list[str]()
        for base in BASES:
            way = way_of(base, change)
            if not all(measured(samples, what, way, base, NEAR.name) for what in (STREAMED, percentile_of(QUERY, 50))):
                cells += [""] * 3  # an interrupted run
                continue
            bulk = compared(samples, STREAMED, way, base, NEAR.name, truediv)
            time = compared(samples, percentile_of(QUERY, 50), way, base, NEAR.name, sub)
            spent = [cpu_of(proxy) for proxy in PROXIES if measured(samples, cpu_of(proxy), way, base, NEAR.name)]
            cpu = sum(compared(samples, metric, way, base, NEAR.name, sub).median for metric in spent)
            cells += [spread(bulk), spread(time), number(cpu, 2)]
            if bulk.low >= MORE_BULK or time.high <= -LESS_TIME:
                helped.append(base)
        if helped:
            verdicts.append(verdict(change, helped))
        if any(cells):
            rows.append((change.name, *cells))
            abouts.setdefault(change.about, []).append(f"*{change.name}*")
    what = ("bulk, as a share", "query p50, added, ms", "proxies' CPU, added, s per GB")
    header = ("change", *(f"{base}: {column}" for base in BASES for column in what))
    return TEXT.format(
        case=NEAR.name,
        table=table(header, rows),
        about=" ".join(f"{', '.join(names)}: {about}" for about, names in abouts.items()),
        more=f"{MORE_BULK - 1:.0%}",
        less=LESS_TIME,
        verdict=" ".join(verdicts) or "None does, so the proxies are left as they are.",
    )


def verdict(change: Change, helped: Sequence[str]) -> str:
    """Return the conclusion about a change that helps on some ways."""
    where = "" if len(helped) == len(BASES) else f" on `{helped[0]}` alone"
    left_out = f", and is left out: {change.against}" if change.against else ""
    return f"*{change.name}* does{where}{left_out}."
