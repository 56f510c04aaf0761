"""The part's section of docs/performance.md."""

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
"""Bulk through dcmesh, as a share of the database's own TLS; at least."""

QUERY_AIM = 0.15
"""Milliseconds that dcmesh may add to the median query."""

WORDS = {
    STREAMED: "bulk, streamed, MB/s",
    APPLIED: "bulk, applied, MB/s",
    ROWS: "small transactions, rows/s until applied",
    **{percentile_of(LAG, percent): f"commit to visible, p{percent}, ms" for percent in PERCENTILES},
    **{percentile_of(QUERY, percent): f"query, p{percent}, ms" for percent in PERCENTILES},
    **{percentile_of(CONNECTION, percent): f"connection set-up, p{percent}, ms" for percent in PERCENTILES},
}

INTRODUCTION = """\
MariaDB in dc2 follows one in dc1, and a client in dc2 asks the one in dc1, by three ways:

| way | |
| --- | --- |
| `dcmesh` | an export and an import: sidecar, gateway, sidecar, with mutual TLS from sidecar to sidecar |
| `tls` | a LoadBalancer of the database's own and the database's own TLS: the server has a certificate; no sidecars |
| `plain` | the same without TLS: nothing is encrypted |

The databases have the same options; those of `tls` and `plain` are the same two.

- *Streamed*: binary log of rows of 16 KiB, until the replica has it as relay log, which it then throws away.
- *Applied*: the same, until the rows are there.
- *Small transactions*: one row each, one after another, as fast as the source commits.
- *Commit to visible*: the same with pauses of 5 ms, from the end of each commit until the replica shows the row.
- *Query*: sysbench's point select on one connection.
- *Connection set-up*: TCP, TLS and login, again and again. dcmesh's sidecars then resume their TLS session; MariaDB's
  client library does not.

Where the WAN is long there are few queries and connections, and p99 is about the slowest of them. Its delay and its
loss are the lab's stand-in for netem: a process that every packet passes. It takes from the two cores what no real WAN
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
    """Return the circumstances in the order in which they were."""
    return list(dict.fromkeys(sample.case for sample in samples))


def aims(samples: Sequence[Sample]) -> str:
    """Return what was wanted, and whether it was met."""
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
    """Return how an aim went."""
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
    """Return the time of a core that streaming takes."""
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
        f"Seconds of a core per GB that is streamed, {NEAR.name} added; interrupts are not counted.\n\n"
        f"{table(('', *WAYS), rows)}\n\n"
        f"The three proxies take {number(proxies)} s per GB; the servers take {number(abs(saved))} s "
        f"{'less' if saved >= 0 else 'more'} than with `{TLS}`, as the sidecars do their TLS."
    )


def hops(samples: Sequence[Sample]) -> str:
    """Return what a query, a connection and bulk take, the more hops the more."""
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
        f"p50 in ms, {NEAR.name} added. *{ONE_SIDECAR}* is `{PLAIN}` from the pod of dcmesh's replica, so through its "
        f"sidecar, which passes the connection on, without TLS.\n\n"
        f"{table(('', 'query', 'connection set-up', 'streamed, MB/s'), rows)}\n\n"
        f"One sidecar alone adds {number(more[ONE_SIDECAR])} ms to a query over `{PLAIN}`; "
        f"both sidecars, the gateway and TLS together add {number(more[DCMESH])} ms.\n\n"
        f"{floor(samples, more)}"
    )


def floor(samples: Sequence[Sample], more: Mapping[str, float]) -> str:
    """Return what is left if the proxies do as little as a process can; more: what a way adds to `plain`'s query."""
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
        f"They add {number(more[RELAYS])} of these {number(more[DCMESH])} ms: what it costs here that three more "
        f"processes are woken up, there and back. Envoy and TLS add {spread(rest)} ms to that. "
        f"Over `{TLS}` the relays add {number(over_tls)} ms: {reach(over_tls)}. "
        f"They stream {spread(bulk)} of what `{TLS}` does, and take {number(relays)} s of a core per GB; "
        f"the proxies, which also encrypt, take {number(proxies)} s."
    )


def reach(added: float) -> str:
    """Return what it means for the aim if the least that can be added is this."""
    if added <= QUERY_AIM:
        return f"with three processes on the way, the aim of {QUERY_AIM} ms leaves {number(QUERY_AIM - added)} ms"
    return f"on this machine three processes on the way miss the aim of {QUERY_AIM} ms, whatever they are"
