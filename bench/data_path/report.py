"""The part's section of docs/performance.md."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import sub, truediv

from bench.aims import Aim
from bench.data_path.figures import (
    APPLIED,
    CONNECTION,
    DCMESH,
    LAG,
    NEAR,
    ONE_SIDECAR,
    PERCENTILES,
    PLAIN,
    PROXIES,
    QUERY,
    RELAYS,
    ROWS,
    SERVERS,
    STREAMED,
    TLS,
    WAYS,
    cpu_of,
    percentile_of,
)
from bench.markdown import number, spread, table
from bench.plots import Axes, bars
from bench.samples import Sample, by_round, compared, summary

BULK_AIM = 1.0
"""Bulk through dcmesh, as a share of the database's own TLS; at least."""

QUERY_AIM = 0.15
"""Milliseconds that dcmesh may add to the median query."""

QUERY_P50 = percentile_of(QUERY, 50)
SHOWN = (DCMESH, TLS, PLAIN, RELAYS, ONE_SIDECAR)
"""The ways in the order of the tables."""

INTRODUCTION = """\
MariaDB in dc2 follows one in dc1, and a client in dc2 asks the one in dc1.

| way | |
| --- | --- |
| `dcmesh` | the first edition's export and import: sidecar, gateway, sidecar, with mutual TLS from sidecar to sidecar |
| `tls` | a LoadBalancer of the database's own and the database's own TLS; no sidecars |
| `plain` | the same without TLS: nothing is encrypted |
| `three relays` | `plain` through [three processes that only copy](../bench/data_path/relay.go) where proxies are |
| `one sidecar` | `plain` from the pod of dcmesh's replica: its sidecar passes the connection on |"""

METHOD = """\
*Streamed*: binary log of rows of 16 KiB, until the replica has it as relay log. *Applied*: the same, until the rows are
there. *Small transactions*: one row each, one after another, until applied. *Visible*: the same with pauses of 5 ms,
from the end of each commit until the replica shows the row. *Query*: sysbench's point select on one connection.
*Connection*: TCP, TLS and login; dcmesh's sidecars resume their TLS session, MariaDB's client library does not. CPU is
in seconds of a core per GB that is streamed, interrupts left out. The databases have the same options. The WAN's delay
and loss are the lab's stand-in for netem, a process that every packet passes, which takes from the two cores what no
real WAN does; where it is long there are few queries, and p99 is of the slowest of them."""


def section(samples: Sequence[Sample]) -> str:
    """Return the section's text."""
    return "\n\n".join([INTRODUCTION, bulk(samples, SHOWN), queries(samples, SHOWN), METHOD, hops(samples)])


def plots(samples: Sequence[Sample]) -> Mapping[str, str]:
    """Return the section's plots, by file name."""
    shown = {
        "data-path-streamed.svg": (STREAMED, "Bulk, streamed", "MB/s"),
        "data-path-query.svg": (QUERY_P50, "Query, p50", "ms"),
    }
    return {
        file: bars(
            Axes(title=title, x="WAN", y=unit),
            {case: {way: summary(samples, metric, way, case) for way in WAYS} for case in cases(samples)},
        )
        for file, (metric, title, unit) in shown.items()
    }


def cases(samples: Sequence[Sample]) -> list[str]:
    """Return the circumstances in the order in which they were."""
    return list(dict.fromkeys(sample.case for sample in samples))


def aims(samples: Sequence[Sample]) -> Iterator[Aim]:
    """Return what was wanted, and what came of it."""
    relays = compared(samples, STREAMED, RELAYS, TLS, NEAR.name, truediv)
    for metric, words in ((STREAMED, "streamed"), (APPLIED, "applied")):
        ratio = compared(samples, metric, DCMESH, TLS, NEAR.name, truediv)
        yield Aim(
            what=f"bulk, {words}, as a share of `{TLS}`",
            wanted=f"{BULK_AIM} or more",
            measured=spread(ratio),
            met=ratio.median >= BULK_AIM,
            why=f"three processes that only copy stream {number(relays.median)} of it, on the same two cores",
        )
    for base in (TLS, PLAIN):
        more = compared(samples, QUERY_P50, DCMESH, base, NEAR.name, sub)
        yield Aim(
            what=f"query p50, added to that of `{base}`",
            wanted=f"{QUERY_AIM} ms or less",
            measured=f"{spread(more)} ms",
            met=more.median <= QUERY_AIM,
            why=f"three processes that only copy add "
            f"{number(compared(samples, QUERY_P50, RELAYS, base, NEAR.name, sub).median)} ms: what it costs here that "
            "three more are woken up, there and back",
        )


def figure(samples: Sequence[Sample], metric: str, way: str, case: str) -> str:
    """Return a figure's cell, which is empty where it was not measured."""
    return spread(summary(samples, metric, way, case)) if by_round(samples, metric, way, case) else ""


def beside(
    samples: Sequence[Sample], metric: str, way: str, base: str, case: str, how: Callable[[float, float], float]
) -> str:
    """Return the cell of two ways' figures, which is empty for the base itself and where one was not measured."""
    both = by_round(samples, metric, way, case).keys() & by_round(samples, metric, base, case).keys()
    return spread(compared(samples, metric, way, base, case, how)) if both and way != base else ""


def processors(samples: Sequence[Sample], processes: Sequence[str], way: str, case: str) -> str:
    """Return the cell of what some processes take of a core, which is empty where that was not measured."""
    took = [summary(samples, cpu_of(p), way, case).median for p in processes if by_round(samples, cpu_of(p), way, case)]
    return number(sum(took)) if took else ""


def bulk(samples: Sequence[Sample], ways: Sequence[str]) -> str:
    """Return the table of replication. A row of a case and a way that was measured in it."""
    header = (
        *("WAN", "way", "bulk, streamed, MB/s", f"of `{TLS}`", "applied, MB/s", f"of `{TLS}`"),
        *("small transactions, rows/s", "visible, p50, ms", "p99", "query, p50, ms"),
        *("CPU of the proxies", "of the servers"),
    )
    rows = [
        (
            *(case, way),
            *(
                cell
                for metric in (STREAMED, APPLIED)
                for cell in (
                    figure(samples, metric, way, case),
                    beside(samples, metric, way, TLS, case, truediv),
                )
            ),
            figure(samples, ROWS, way, case),
            *(figure(samples, percentile_of(LAG, percent), way, case) for percent in PERCENTILES),
            figure(samples, QUERY_P50, way, case),
            *(processors(samples, of, way, case) for of in (PROXIES, SERVERS)),
        )
        for case in cases(samples)
        for way in ways
        if by_round(samples, STREAMED, way, case)
    ]
    return without_empty(header, rows)


def queries(samples: Sequence[Sample], ways: Sequence[str]) -> str:
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
        for way in ways
        if by_round(samples, QUERY_P50, way, NEAR.name)
    ]
    return without_empty(header, rows)


def without_empty(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table without the columns in which no row has anything."""
    kept = [place for place in range(len(header)) if any(row[place] for row in rows)]
    return table([header[place] for place in kept], [[row[place] for place in kept] for row in rows])


def hops(samples: Sequence[Sample]) -> str:
    """Return what a query's time is made of."""
    more = {
        way: compared(samples, QUERY_P50, way, PLAIN, NEAR.name, sub).median for way in (ONE_SIDECAR, RELAYS, DCMESH)
    }
    rest = compared(samples, QUERY_P50, DCMESH, RELAYS, NEAR.name, sub)
    saved = sum(compared(samples, cpu_of(process), TLS, DCMESH, NEAR.name, sub).median for process in SERVERS)
    return (
        f"Of the {number(more[DCMESH])} ms that dcmesh adds to a query over `{PLAIN}` the relays make "
        f"{number(more[RELAYS])} ms, one sidecar alone {number(more[ONE_SIDECAR])} ms; Envoy and TLS add "
        f"{spread(rest)} "
        f"ms to the relays. The servers take {number(abs(saved))} s per GB {'less' if saved >= 0 else 'more'} than "
        f"with "
        f"`{TLS}`, as the sidecars do their TLS."
    )
