"""What was tried in the proxies, once and by hand: what docs/performance/tuning.csv says.

`make bench` does not measure it again. Its rounds are as elsewhere; there are twice as many of streaming.
"""

from collections.abc import Sequence
from operator import sub, truediv

from bench.data_path.figures import CONNECTION, NEAR, PLAIN, PROXIES, QUERY, STREAMED, TLS, cpu_of, percentile_of
from bench.markdown import number, spread, table
from bench.samples import Sample, compared, summary

AS_IT_IS, ONE_SIDECAR = "as it is", "one sidecar, no TLS"
BUFFERS = ("buffers of 64 KiB", "buffers of 256 KiB", "buffers of 4 MiB")
ONE_WORKER, BESIDE = "one worker a proxy", "tls, beside one worker"
QUERIES, CONNECTIONS = percentile_of(QUERY, 50), percentile_of(CONNECTION, 50)
CASE = NEAR.name

HOPS = """\
Where the time of a query and of a connection goes, p50 in ms. *One sidecar, no TLS* is from the replica's pod to the
LoadBalancer of the other database: its sidecar passes on what it has no configuration for."""

TRIED = """\
Tried, and compared within a round with the proxies as they are. *Buffers*: `per_connection_buffer_limit_bytes` of all
listeners and clusters at both sites, where Envoy's own limit is 1 MiB."""

FOUND = """\
Seen, and left as it is: the sidecars resume their TLS sessions (30 of 30 handshakes on the wire), with AES-128-GCM;
all sockets have TCP_NODELAY; no idle timer and no access log is on the way. About 70 % of the proxies' time in a run
of queries is the kernel's: sending, forwarding, waking up (sampled with perf). Congestion control is the hosts' choice
for all ways alike, here BBR."""


def section(samples: Sequence[Sample]) -> str:
    """Return what was tried and what came of it."""
    return "\n\n".join((HOPS, hops(samples), TRIED, buffers(samples), one_worker(samples), FOUND))


def hops(samples: Sequence[Sample]) -> str:
    """Return what a query and a connection take, the more the farther."""
    ways = {PLAIN: PLAIN, TLS: TLS, ONE_SIDECAR: ONE_SIDECAR, AS_IT_IS: "dcmesh"}
    rows = [
        (words, *(spread(summary(samples, metric, way, CASE)) for metric in (QUERIES, CONNECTIONS)))
        for way, words in ways.items()
    ]
    return table(("", "query", "connection set-up"), rows)


def buffers(samples: Sequence[Sample]) -> str:
    """Return what other limits do."""
    rows = []
    for way in BUFFERS:
        faster = compared(samples, STREAMED, way, AS_IT_IS, CASE, truediv)
        later = compared(samples, QUERIES, way, AS_IT_IS, CASE, sub)
        better = faster.low > 1 or later.high < 0
        cpu = number(proxies(samples, way) - proxies(samples, AS_IT_IS), 2)
        rows.append((way, spread(faster), cpu, spread(later), "yes" if better else "no"))
    header = ("", "bulk streamed, ratio", "CPU of the proxies, s/GB more", "query p50, ms more", "better in all rounds")
    return table(header, rows)


def proxies(samples: Sequence[Sample], way: str) -> float:
    """Return the time of a core that all three proxies take for a GB."""
    return sum(summary(samples, cpu_of(process), way, CASE).median for process in PROXIES)


def one_worker(samples: Sequence[Sample]) -> str:
    """Return what `concurrency: 1` does, which takes a restart: each is compared with `tls` of its own rounds."""
    pairs = {"two workers, as it is": (AS_IT_IS, TLS), "one worker": (ONE_WORKER, BESIDE)}
    rows = [
        (
            words,
            spread(compared(samples, STREAMED, way, base, CASE, truediv)),
            number(proxies(samples, way)),
            spread(compared(samples, QUERIES, way, base, CASE, sub)),
        )
        for words, (way, base) in pairs.items()
    ]
    header = ("`concurrency`", "bulk streamed, ratio to `tls`", "CPU of the proxies, s/GB", "query p50, ms over `tls`")
    return table(header, rows)
