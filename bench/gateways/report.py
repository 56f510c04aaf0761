"""The part's section of docs/performance.md."""

from collections.abc import Mapping, Sequence
from operator import sub, truediv

from bench.data_path.figures import CONNECTION, NEAR, PLAIN, QUERY, STREAMED, TLS, percentile_of
from bench.data_path.report import WORDS, verdict
from bench.gateways.figures import DESTROY, LOCAL, PAIR, UP, WAYS, WITH, WITHOUT
from bench.markdown import number, spread, table
from bench.samples import Sample, compared, summary

LOCAL_AIM = 1.05
"""The aim for a query in the database's own site: its time, as a share of its time without dcmesh."""

SHOWN = (
    STREAMED,
    percentile_of(QUERY, 50),
    percentile_of(QUERY, 99),
    percentile_of(CONNECTION, 50),
    percentile_of(CONNECTION, 99),
)

INTRODUCTION = f"""\
A MariaDB in dc1 has no sidecar, and ran before dcmesh came. It is exported with `termination: gateway`. All ways lead
to the same server. As above, a replica in dc2 follows it, and a client beside the replica queries it:

| way | |
| --- | --- |
| `egress gateway → gateway` | `egress: gateway`: neither end has a sidecar; two proxies on the way |
| `sidecar → gateway` | `egress: sidecar`: the replica has a sidecar; two proxies on the way |
| `{TLS}`, `{PLAIN}` | the database's own LoadBalancer, with the database's own TLS, and without |
"""


def section(samples: Sequence[Sample]) -> str:
    """Return the section's text."""
    return "\n\n".join([INTRODUCTION.strip(), comparison(samples), added(samples), local(samples), pair(samples)])


def plots(_: Sequence[Sample]) -> Mapping[str, str]:
    """Return no plots."""
    return {}


def comparison(samples: Sequence[Sample]) -> str:
    """Return all figures of all ways."""
    rows = [(WORDS[metric], *(spread(summary(samples, metric, way, NEAR.name)) for way in WAYS)) for metric in SHOWN]
    rounds = summary(samples, STREAMED, PLAIN, NEAR.name).rounds
    return f"{rounds} rounds, {NEAR.name} added to the WAN.\n\n{table(('', *WAYS), rows)}"


def added(samples: Sequence[Sample]) -> str:
    """Return what the proxies add to a query, and how they change the rate of bulk."""
    query = percentile_of(QUERY, 50)
    rows = [
        (
            way,
            *(spread(compared(samples, query, way, base, NEAR.name, sub)) for base in (PLAIN, TLS)),
            *(spread(compared(samples, STREAMED, way, base, NEAR.name, truediv)) for base in (PLAIN, TLS)),
        )
        for way in WAYS[:2]
    ]
    header = (
        "",
        f"query p50, ms over `{PLAIN}`",
        f"over `{TLS}`",
        f"streamed, as a share of `{PLAIN}`",
        f"of `{TLS}`",
    )
    return table(header, rows)


def local(samples: Sequence[Sample]) -> str:
    """Return what dcmesh changes for a client in the database's own site."""
    ratio = compared(samples, LOCAL, WITH, WITHOUT, NEAR.name, truediv)
    times = " and ".join(f"{spread(summary(samples, LOCAL, way, NEAR.name))} ms {way}" for way in (WITHOUT, WITH))
    return (
        f"A client in the database's own namespace sends it the same queries, without dcmesh and with it in "
        f"turn: p50 {times}. As a share: {spread(ratio)}, aim {LOCAL_AIM} or less, "
        f"**{verdict(ratio.median <= LOCAL_AIM)}**."
    )


def pair(samples: Sequence[Sample]) -> str:
    """Return how long it takes to install dcmesh and to remove it."""
    up, gone = (summary(samples, metric, PAIR, NEAR.name) for metric in (UP, DESTROY))
    return (
        f"`pulumi up` of the pair, on clusters with the database and without Istio, including its preview and "
        f"the egress gateway's probe at its end: {spread(up)} s ({number(up.rounds)} times). "
        f"`pulumi destroy`: {spread(gone)} s ({number(gone.rounds)} times)."
    )
