"""Writes the part's section of docs/performance.md."""

from collections.abc import Iterator, Mapping, Sequence
from operator import sub, truediv

from bench.aims import Aim
from bench.data_path.figures import (
    APPLIED,
    AS_MANY,
    BY_GATEWAYS,
    CASES,
    CONNECTION,
    FAR,
    FIRST,
    GATEWAY_POD,
    GATEWAYS,
    LAG,
    LOCAL,
    LOCAL_WAYS,
    NEAR,
    NO_MESH,
    PAIRINGS,
    PERCENTILES,
    PLAIN,
    PROXIES,
    QUERY,
    RELAYS,
    REPLICA_SIDECAR,
    ROWS,
    SERVERS,
    SHOWN,
    SIDECAR_GATEWAY,
    SIDECARS,
    SIDECARS_MEMORY,
    SOURCE_SIDECAR,
    STREAMED,
    TLS,
    cpu_of,
    percentile_of,
)
from bench.markdown import beside, figure, number, spread, without_empty
from bench.plots import Axes, bars
from bench.samples import Sample, by_round, compared, measured, summarize, summary

LOCAL_AIM = 1.05
"""What a local query may take in any round, as a share of what it takes without a mesh."""

QUERY_AIM, OVER_RELAYS_AIM = 0.12, 0.03
"""Milliseconds that the gateways may add to the median query, and the sidecars to that of as many relays."""

FAR_AIM = 0.98
"""Bulk over a long WAN, as a share of the database's own TLS; at least."""

QUERY_P50 = percentile_of(QUERY, 50)

INTRODUCTION = """\
A MariaDB in dc2 follows one in dc1, and a client in dc2 queries the one in dc1. Ways are named by the client's end and
the server's."""

DESCRIBED = {
    (GATEWAYS,): "`egress gateway → gateway` has no sidecar at either end.",
    (SIDECAR_GATEWAY,): "`sidecar → gateway` has one at the client's end.",
    (GATEWAY_POD, SIDECARS): "`→ pod` ends at an ingress port of the pod's sidecar; its gateway does not read the "
    "traffic.",
    (FIRST,): "`first edition` is dcmesh 0.1.0, whose sidecars capture everything.",
    (
        TLS,
        PLAIN,
    ): "`tls` and `plain` use a LoadBalancer of the database's own, with the database's own TLS and without.",
    tuple(RELAYS.values()): "The relays are `plain` through processes that [only "
    "copy](../bench/data_path/relay.go), with TLS from the first to the last.",
}
"""What is said of ways, if one of them was measured."""

LOCAL_METHOD = """\
A client and a replica run in the database's own site. Of equal databases nobody exports one, another one is exported by
gateways, and one has a sidecar with an ingress port. The clients ask in turn, five times a round. For these queries
server and client run on a core each; with both on one core a query takes a third of the time. Connections and bulk, and
all other tables, leave that to chance. The first edition has clusters of its own; its sidecars run on either core."""

METHOD = """\
*Streamed*: binary log with rows of 16 KiB, until the replica has it as relay log. *Applied*: the same, until it has the
rows. *Small transactions*: one row each, one after another, until applied. *Visible*: the same with pauses of 5 ms,
from each commit until the replica shows the row. *Query*: sysbench's point select on one connection. *Connection*: TCP,
TLS and login; dcmesh's proxies resume their TLS session, MariaDB's client library does not. CPU is in CPU seconds per
GB that is streamed, without interrupts. The WAN's delay and loss are made by a process that uses the two cores."""


def section(samples: Sequence[Sample]) -> str:
    """Return the section's text."""
    parts = [bulk(samples), queries(samples), over_wans(samples), introduction(samples), METHOD]
    if any(sample.case == LOCAL for sample in samples):
        parts += ["### Local traffic", local(samples), LOCAL_METHOD]
    return "\n\n".join(parts)


def introduction(samples: Sequence[Sample]) -> str:
    """Return what the ways are that were measured."""
    measured_ways = {sample.way for sample in samples}
    return " ".join([INTRODUCTION, *(text for ways, text in DESCRIBED.items() if measured_ways & {*ways})])


def plots(samples: Sequence[Sample]) -> Mapping[str, str]:
    """Return the section's plots, by file name."""
    shown = {
        "data-path-streamed.svg": (STREAMED, "Bulk, streamed", "MB/s"),
        "data-path-query.svg": (QUERY_P50, "Query, p50", "ms"),
    }
    made = dict[str, str]()
    for file, (metric, title, unit) in shown.items():
        ways = {
            case: {way: summary(samples, metric, way, case) for way in SHOWN if by_round(samples, metric, way, case)}
            for case in cases(samples)
        }
        if found := {case: of for case, of in ways.items() if of}:
            made[file] = bars(Axes(title=title, x="WAN", y=unit), found)
    return made


def cases(samples: Sequence[Sample]) -> list[str]:
    """Return the circumstances of the WAN in which it was measured."""
    found = {sample.case for sample in samples}
    return [case.name for case in CASES if case.name in found]


def aims(samples: Sequence[Sample]) -> Iterator[Aim]:
    """Return what was wanted, and what came of it, as far as it was measured."""
    if measured(samples, QUERY_P50, BY_GATEWAYS, NO_MESH, LOCAL):
        yield from local_aims(samples)
    yield from gateways_query_aim(samples)
    if measured(samples, QUERY_P50, SIDECARS, RELAYS[3], NEAR.name):
        more = compared(samples, QUERY_P50, SIDECARS, RELAYS[3], NEAR.name, sub)
        yield Aim(
            what=f"query p50 with sidecars, added to that of {RELAYS[3]}",
            wanted=f"{OVER_RELAYS_AIM} ms or less",
            measured=f"{spread(more)} ms",
            met=more.median <= OVER_RELAYS_AIM,
            why="it is Envoy's own work on each read and write",
        )
    yield from bulk_aims(samples)


def gateways_query_aim(samples: Sequence[Sample], of: str = "") -> Iterator[Aim]:
    """Return what the gateways may add to a query, of one kind of database."""
    if measured(samples, QUERY_P50, GATEWAYS, PLAIN, NEAR.name):
        more = compared(samples, QUERY_P50, GATEWAYS, PLAIN, NEAR.name, sub)
        yield Aim(
            what=f"query p50{of} by gateways, added to `{PLAIN}`",
            wanted=f"{QUERY_AIM} ms or less",
            measured=f"{spread(more)} ms",
            met=more.median <= QUERY_AIM,
            why=f"two more processes are woken up, there and back{beside_relays(samples)}",
        )


def local_aims(samples: Sequence[Sample]) -> Iterator[Aim]:
    """Return what dcmesh by gateways may cost a client in the database's own site."""
    ratio = compared(samples, QUERY_P50, BY_GATEWAYS, NO_MESH, LOCAL, truediv)
    yield Aim(
        what="query p50 of a local client, by gateways, as a share of that without a mesh",
        wanted=f"1.00, at most {LOCAL_AIM} in any round",
        measured=spread(ratio),
        met=ratio.high <= LOCAL_AIM,
        why="nothing of dcmesh is on this way: it is by how much two equal databases differ here",
    )
    if by_round(samples, SIDECARS_MEMORY, BY_GATEWAYS, LOCAL):
        memory = summary(samples, SIDECARS_MEMORY, BY_GATEWAYS, LOCAL).high
        spent = sidecars_cpu(samples, BY_GATEWAYS)
        yield Aim(
            what="sidecars on that way",
            wanted="0 MB, 0 s of a core",
            measured=f"{number(memory / 1e6)} MB, {number(spent)} s per GB",
            met=not memory and not spent,
            why="a pod has a sidecar that is to have none",
        )


def bulk_aims(samples: Sequence[Sample]) -> Iterator[Aim]:
    """Return what bulk is to be on the pairings."""
    near = {
        way: compared(samples, STREAMED, way, RELAYS[AS_MANY[way]], NEAR.name, truediv)
        for way in PAIRINGS
        if measured(samples, STREAMED, way, RELAYS[AS_MANY[way]], NEAR.name)
    }
    if near:
        missed = (way for way, ratio in near.items() if ratio.median < 1)
        spent = (
            f"{way} {processors(samples, PROXIES, way, NEAR.name)} and "
            f"{processors(samples, PROXIES, RELAYS[AS_MANY[way]], NEAR.name)}"
            for way in missed
        )
        yield Aim(
            what="bulk, streamed, as a share of as many relays",
            wanted="1.0 or more",
            measured="; ".join(f"{way}: {spread(ratio)}" for way, ratio in near.items()),
            met=all(ratio.median >= 1 for ratio in near.values()),
            why=f"not explained; s of a core per GB of the proxies and of the relays: {'; '.join(spent)}",
        )
    yield from far_aim(samples)


def far_aim(samples: Sequence[Sample], of: str = "") -> Iterator[Aim]:
    """Return what bulk is to be over a long WAN, of one kind of database."""
    far = {
        (way, case.name): compared(samples, STREAMED, way, TLS, case.name, truediv)
        for way in PAIRINGS
        for case in FAR
        if not case.loss and measured(samples, STREAMED, way, TLS, case.name)
    }
    if far:
        yield Aim(
            what=f"bulk{of}, streamed, as a share of `{TLS}` over a long WAN",
            wanted=f"{FAR_AIM} or more",
            measured="; ".join(f"{way}, {case}: {spread(ratio)}" for (way, case), ratio in far.items()),
            met=all(ratio.median >= FAR_AIM for ratio in far.values()),
            why="not explained; the lab's WAN, the servers and the proxies share two cores, as they do with TLS alone",
        )


def beside_relays(samples: Sequence[Sample]) -> str:
    """Return what as many relays add, if that was measured."""
    relays = RELAYS[AS_MANY[GATEWAYS]]
    if not measured(samples, QUERY_P50, relays, PLAIN, NEAR.name):
        return ""
    return f"; {relays} add {number(compared(samples, QUERY_P50, relays, PLAIN, NEAR.name, sub).median)} ms"


def local(samples: Sequence[Sample]) -> str:
    """Return the table of what a client and a replica in the database's own site see."""
    header = (
        *("way", "query, p50, ms", f"of `{NO_MESH}`", "p99", "connection, p50, ms", "bulk, streamed, MB/s"),
        *(f"of `{NO_MESH}`", "sidecars, s of a core per GB", "sidecars, MB"),
    )
    rows = [
        (
            *(way, figure(samples, QUERY_P50, way, LOCAL)),
            beside(samples, QUERY_P50, way, NO_MESH, LOCAL, truediv),
            figure(samples, percentile_of(QUERY, 99), way, LOCAL),
            figure(samples, percentile_of(CONNECTION, 50), way, LOCAL),
            figure(samples, STREAMED, way, LOCAL),
            beside(samples, STREAMED, way, NO_MESH, LOCAL, truediv),
            number(sidecars_cpu(samples, way)) if by_round(samples, STREAMED, way, LOCAL) else "",
            megabytes(samples, way),
        )
        for way in LOCAL_WAYS
        if by_round(samples, QUERY_P50, way, LOCAL)
    ]
    return without_empty(header, rows)


def sidecars_cpu(samples: Sequence[Sample], way: str) -> float:
    """Return seconds of a core that the sidecars of a local way take per GB."""
    ends = (SOURCE_SIDECAR, REPLICA_SIDECAR)
    return sum(
        summary(samples, cpu_of(of), way, LOCAL).median for of in ends if by_round(samples, cpu_of(of), way, LOCAL)
    )


def megabytes(samples: Sequence[Sample], way: str) -> str:
    """Return the cell of a local way's sidecars' memory."""
    found = by_round(samples, SIDECARS_MEMORY, way, LOCAL)
    return spread(summarize([value / 1e6 for value in found.values()])) if found else ""


def processors(samples: Sequence[Sample], processes: Sequence[str], way: str, case: str) -> str:
    """Return the cell of what some processes take of a core, which is empty where that was not measured."""
    took = [summary(samples, cpu_of(p), way, case).median for p in processes if by_round(samples, cpu_of(p), way, case)]
    return number(sum(took)) if took else ""


def bulk(samples: Sequence[Sample]) -> str:
    """Return the table of replication where the WAN adds nothing."""
    header = (
        *("way", "bulk, streamed, MB/s", f"of `{TLS}`", "applied, MB/s", f"of `{TLS}`"),
        *("small transactions, rows/s", "visible, p50, ms", "p99", "CPU of the proxies", "of the servers"),
    )
    rows = [
        (
            way,
            *(
                cell
                for metric in (STREAMED, APPLIED)
                for cell in (
                    figure(samples, metric, way, NEAR.name),
                    beside(samples, metric, way, TLS, NEAR.name, truediv),
                )
            ),
            figure(samples, ROWS, way, NEAR.name),
            *(figure(samples, percentile_of(LAG, percent), way, NEAR.name) for percent in PERCENTILES),
            *(processors(samples, of, way, NEAR.name) for of in (PROXIES, SERVERS)),
        )
        for way in SHOWN
        if by_round(samples, STREAMED, way, NEAR.name)
    ]
    return without_empty(header, rows)


def over_wans(samples: Sequence[Sample]) -> str:
    """Return the table of replication over WANs that are long, or lose packets."""
    columns = ("streamed, MB/s", f"of `{TLS}`", "visible, p50, ms")
    rows = [
        (
            way,
            *(
                cell
                for case in FAR
                for cell in (
                    figure(samples, STREAMED, way, case.name),
                    beside(samples, STREAMED, way, TLS, case.name, truediv),
                    figure(samples, percentile_of(LAG, 50), way, case.name),
                )
            ),
        )
        for way in SHOWN
        if any(by_round(samples, STREAMED, way, case.name) for case in FAR)
    ]
    return without_empty(("way", *(f"{case.name}: {what}" for case in FAR for what in columns)), rows)


def queries(samples: Sequence[Sample]) -> str:
    """Return the table of what clients see where the WAN adds nothing."""
    header = (
        *("way", "query, p50, ms", f"over `{PLAIN}`", f"over `{TLS}`", "p99"),
        *("connection, p50, ms", "p99"),
    )
    rows = [
        (
            *(way, figure(samples, QUERY_P50, way, NEAR.name)),
            *(beside(samples, QUERY_P50, way, base, NEAR.name, sub) for base in (PLAIN, TLS)),
            figure(samples, percentile_of(QUERY, 99), way, NEAR.name),
            *(figure(samples, percentile_of(CONNECTION, percent), way, NEAR.name) for percent in PERCENTILES),
        )
        for way in SHOWN
        if by_round(samples, QUERY_P50, way, NEAR.name)
    ]
    return without_empty(header, rows)
