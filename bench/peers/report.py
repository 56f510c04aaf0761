"""The part's section of docs/performance.md."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from bench.data_path.figures import QUERY, STREAMED, percentile_of
from bench.markdown import number, spread, table
from bench.peers.figures import (
    BALANCERS,
    CUT,
    DCMESH,
    FAULTS,
    HAPROXY,
    MEMORY,
    MULTI_PRIMARY,
    OBJECTS,
    PAIR,
    RESTARTS,
    SET_UP,
    STEPS,
    UNANSWERED,
    WAYS,
)
from bench.samples import Sample, Summary, by_round, summarize

FACTS: Mapping[str, Mapping[str, str]] = {
    "what the other site can dial": {
        DCMESH: "one port of the gateway; nothing but the exports behind it",
        MULTI_PRIMARY: "each gateway's four ports, one of which leads to all Services of the mesh, and each API server",
        HAPROXY: "one port a pod",
    },
    "credentials for the other site's API": {DCMESH: "none", MULTI_PRIMARY: "each istiod's, to read", HAPROXY: "none"},
    "a pod's name there": {
        DCMESH: "its own",
        MULTI_PRIMARY: "that of a Service a pod, by hand in both sites",
        HAPROXY: "that of a Service a pod, by hand",
    },
    "who checks who connects": {
        DCMESH: "the gateway, by the consumer's account",
        MULTI_PRIMARY: "the pod's sidecar: any identity of the mesh, as set up here",
        HAPROXY: "HAProxy: any certificate of the root, as set up here",
    },
}
"""Facts that follow from each tool's design."""

HOW = """\
A database in dc1 runs already. A client in dc2 is to reach it, and becomes its replica. Each tool runs with one pod
of each kind, on new clusters, without a pause: dcmesh by `pulumi up --skip-preview`, multi-primary by Istio's
instructions, HAProxy in pairs [of our own](../bench/peers/haproxy.py). *Steps* are a person's; each may take several
commands. *Memory* is the sum of both sites' working sets but for databases and Kubernetes itself.
*Unanswered* is the longest time in which new connections from dc2 got no greeting: when the database's pod is
deleted, when the proxy before it in dc1 is killed, and while the root is replaced. dcmesh and HAProxy replace it in
three steps, with both roots trusted in between; HAProxy's pods are restarted each time, which cuts what is open, and a
reload was not tried. Multi-primary gets new `cacerts` and a restart of everything with a sidecar, databases included;
an overlap of roots was not tried. [compared.md](compared.md) has more tools, which were not run."""


def section(samples: Sequence[Sample]) -> str:
    """Return the section's text."""
    ways = [way for way in WAYS if by_round(samples, SET_UP, way, PAIR)]
    return f"{table(('', *ways), rows(samples, ways))}\n\n{HOW}"


def rows(samples: Sequence[Sample], ways: Sequence[str]) -> Iterator[Sequence[str]]:
    """Return the table's rows."""

    def row(title: str, metric: str, show: Callable[[Summary], str], case: str = PAIR) -> Sequence[str]:
        found = (by_round(samples, metric, way, case) for way in ways)
        return (title, *(show(summarize([*of.values()])) if of else "" for of in found))

    def count(figure: Summary) -> str:
        return number(figure.median)

    yield row("set-up, s", SET_UP, spread)
    yield row("steps", STEPS, count)
    yield row("objects", OBJECTS, count)
    yield row("LoadBalancers", BALANCERS, count)
    yield row("restarts of the database", RESTARTS, count)
    yield row("query, p50, ms", percentile_of(QUERY, 50), spread)
    yield row("bulk, streamed, MB/s", STREAMED, spread)
    yield row("memory, MB", MEMORY, megabytes)
    for fault in FAULTS:
        yield (f"{fault}: unanswered, s", *(unanswered(samples, way, fault) for way in ways))
    for title, facts in FACTS.items():
        yield (title, *(facts[way] for way in ways))


def unanswered(samples: Sequence[Sample], way: str, fault: str) -> str:
    """Return the cell of a fault, which also says in how many rounds the replica was cut off."""
    found = by_round(samples, UNANSWERED, way, fault)
    if not found:
        return ""
    cut = sum(by_round(samples, CUT, way, fault).values())
    return f"{spread(summarize([*found.values()]))}; replica cut off in {number(cut)} of {len(found)}"


def megabytes(figure: Summary) -> str:
    """Return bytes in megabytes."""
    return spread(summarize([value / 1e6 for value in (figure.median, figure.low, figure.high)]))
