"""Writes the part's section of docs/performance.md."""

from collections.abc import Mapping, Sequence
from operator import sub, truediv

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
"""The aim for bulk through dcmesh: at least this share of the rate with the database's own TLS."""

QUERY_AIM = 0.15
"""The aim for queries: at most this many milliseconds that dcmesh adds to the median."""

WORDS = {
    STREAMED: "bulk, streamed, MB/s",
    APPLIED: "bulk, applied, MB/s",
    ROWS: "small transactions, rows/s until applied",
    **{percentile_of(LAG, percent): f"commit to visible, p{percent}, ms" for percent in PERCENTILES},
    **{percentile_of(QUERY, percent): f"query, p{percent}, ms" for percent in PERCENTILES},
    **{percentile_of(CONNECTION, percent): f"connection set-up, p{percent}, ms" for percent in PERCENTILES},
}

INTRODUCTION = """\
A MariaDB in dc2 follows one in dc1, and a client in dc2 queries the one in dc1, by three ways:

| way | |
| --- | --- |
| `dcmesh` | an export and an import: sidecar, gateway, sidecar, with mutual TLS from sidecar to sidecar |
| `tls` | the database's own LoadBalancer and its own TLS: the server has a certificate; there are no sidecars |
| `plain` | the same without TLS: nothing is encrypted |

All databases have the same options. `tls` and `plain` use the same two databases.

- *Streamed*: binary log with rows of 16 KiB, until the replica has it as relay log, which is then deleted.
- *Applied*: the same, until the replica has the rows.
- *Small transactions*: one row each, one after another, as fast as the source commits.
- *Commit to visible*: the same with pauses of 5 ms, from the end of each commit until the replica shows the row.
- *Query*: sysbench's point select on one connection.
- *Connection set-up*: TCP, TLS and login, again and again. dcmesh's sidecars resume their TLS session; MariaDB's
  client library does not.

On a long WAN there are few queries and connections, so p99 is about the slowest of them. The lab's stand-in for netem
makes the delay and the loss: a process through which every packet passes. It uses the two cores, which no real WAN
does."""


def section(samples: Sequence[Sample]) -> str:
    """Return the section's text."""
    parts = [INTRODUCTION, "### Aims", aims(samples)]
    for case in cases(samples):
        parts += [f"### WAN: {case}", comparison(samples, case)]
    parts += ["### What the proxies cost", cost(samples), "### Where the time goes", hops(samples)]
    return "\n\n".join(parts)


def plots(samples: Sequence[Sample]) -> Mapping[str, str]:
    """Return the section's plots, by file name."""
    shown = {
        "data-path-streamed.svg": (STREAMED, "Bulk, streamed", "MB/s"),
        "data-path-query.svg": (percentile_of(QUERY, 50), "Query, p50", "ms"),
    }
    return {
        file: bars(
            Axes(title=title, x="WAN", y=unit),
            {case: {way: summary(samples, metric, way, case) for way in WAYS} for case in cases(samples)},
        )
        for file, (metric, title, unit) in shown.items()
    }


def cases(samples: Sequence[Sample]) -> list[str]:
    """Return the circumstances in the order in which they were measured."""
    return list(dict.fromkeys(sample.case for sample in samples))


def aims(samples: Sequence[Sample]) -> str:
    """Return the aims, and whether they were met."""
    bulk = {
        words: compared(samples, metric, DCMESH, TLS, NEAR.name, truediv)
        for metric, words in ((STREAMED, "streamed"), (APPLIED, "applied"))
    }
    added = {base: compared(samples, percentile_of(QUERY, 50), DCMESH, base, NEAR.name, sub) for base in (TLS, PLAIN)}
    lines = [
        *(
            f"- bulk, {words}, as a share of `{TLS}`: aim {BULK_AIM} or more, "
            f"**{verdict(ratio.median >= BULK_AIM)}**: {spread(ratio)}"
            for words, ratio in bulk.items()
        ),
        *(
            f"- p50 of queries, added to that of `{base}`: aim {QUERY_AIM} ms or less, "
            f"**{verdict(more.median <= QUERY_AIM)}**: {spread(more)} ms"
            for base, more in added.items()
        ),
    ]
    return f"With {NEAR.name} added to the WAN:\n\n" + "\n".join(lines)


def verdict(met: bool) -> str:
    """Return whether an aim was met, as a word."""
    return "met" if met else "missed"


def comparison(samples: Sequence[Sample], case: str) -> str:
    """Return all figures under one set of circumstances."""
    rows = []
    for metric, words in WORDS.items():
        ratio = compared(samples, metric, DCMESH, TLS, case, truediv)
        figures = (spread(summary(samples, metric, way, case)) for way in WAYS)
        rows.append((words, *figures, spread(ratio)))
    rounds = summary(samples, STREAMED, DCMESH, case).rounds
    return f"{rounds} rounds.\n\n" + table(("", *WAYS, f"{DCMESH} : {TLS}"), rows)


def cost(samples: Sequence[Sample]) -> str:
    """Return the CPU time that streaming takes."""
    rows = []
    for process in (*PROXIES, *SERVERS):
        shown = [way for way in WAYS if way == DCMESH or process in SERVERS]
        metric = cpu_of(process)
        rows.append(
            (process, *(spread(summary(samples, metric, way, NEAR.name)) if way in shown else "" for way in WAYS))
        )
    proxies = sum(summary(samples, cpu_of(process), DCMESH, NEAR.name).median for process in PROXIES)
    saved = sum(compared(samples, cpu_of(process), TLS, DCMESH, NEAR.name, sub).median for process in SERVERS)
    return (
        f"CPU seconds per GB that is streamed, with {NEAR.name} added to the WAN. Interrupts are not counted.\n\n"
        f"{table(('', *WAYS), rows)}\n\n"
        f"The three proxies take {number(proxies)} s per GB; the servers take {number(abs(saved))} s "
        f"{'less' if saved >= 0 else 'more'} than with `{TLS}`, as the sidecars do their TLS."
    )


def hops(samples: Sequence[Sample]) -> str:
    """Return the figures of a query, a connection and bulk, by the number of hops."""
    query = percentile_of(QUERY, 50)
    metrics = (query, percentile_of(CONNECTION, 50), STREAMED)
    ways = (PLAIN, TLS, ONE_SIDECAR, RELAYS, DCMESH)
    rows = [
        (
            way,
            *(
                spread(summary(samples, metric, way, NEAR.name)) if by_round(samples, metric, way, NEAR.name) else ""
                for metric in metrics
            ),
        )
        for way in ways
    ]
    more = {way: compared(samples, query, way, PLAIN, NEAR.name, sub).median for way in ways}
    return (
        f"p50 in ms, with {NEAR.name} added to the WAN. *{ONE_SIDECAR}* is `{PLAIN}` from the pod of dcmesh's replica: "
        f"its sidecar passes the connection on, without TLS.\n\n"
        f"{table(('', 'query', 'connection set-up', 'streamed, MB/s'), rows)}\n\n"
        f"One sidecar alone adds {number(more[ONE_SIDECAR])} ms to a query over `{PLAIN}`; "
        f"both sidecars, the gateway and TLS together add {number(more[DCMESH])} ms.\n\n"
        f"{floor(samples, more)}"
    )


def floor(samples: Sequence[Sample], more: Mapping[str, float]) -> str:
    """Return the figures with relays, which do as little as a process can.

    `more` is what each way adds to `plain`'s query.
    """
    query = percentile_of(QUERY, 50)
    over_tls = compared(samples, query, RELAYS, TLS, NEAR.name, sub).median
    rest = compared(samples, query, DCMESH, RELAYS, NEAR.name, sub)
    bulk = compared(samples, STREAMED, RELAYS, TLS, NEAR.name, truediv)
    relays, proxies = (
        sum(summary(samples, cpu_of(process), way, NEAR.name).median for process in PROXIES) for way in (RELAYS, DCMESH)
    )
    return (
        f"*{RELAYS}* is `{PLAIN}` through three processes that read and write, and do nothing else "
        f"([relay.go](../bench/data_path/relay.go)), in the networks of the client, the gateway and the server. "
        f"They add {number(more[RELAYS])} of these {number(more[DCMESH])} ms: the cost, on this machine, of waking "
        f"three more processes on the way there and back. Envoy and TLS add {spread(rest)} ms to that. "
        f"Over `{TLS}` the relays add {number(over_tls)} ms: {reach(over_tls)}. "
        f"They stream {spread(bulk)} of what `{TLS}` does, and take {number(relays)} CPU seconds per GB; "
        f"the proxies, which also encrypt, take {number(proxies)} s."
    )


def reach(added: float) -> str:
    """Return what this least addition means for the aim."""
    if added <= QUERY_AIM:
        return f"with three processes on the way, the aim of {QUERY_AIM} ms leaves {number(QUERY_AIM - added)} ms"
    return f"on this machine three processes on the way miss the aim of {QUERY_AIM} ms, whatever they are"
