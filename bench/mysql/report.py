"""Writes the part's section of docs/performance.md."""

from collections.abc import Iterator, Sequence
from operator import sub, truediv

from bench.aims import Aim
from bench.data_path.figures import (
    APPLIED,
    CONNECTION,
    FAR,
    GATEWAYS,
    NEAR,
    PLAIN,
    QUERY,
    ROWS,
    STREAMED,
    TLS,
    percentile_of,
)
from bench.data_path.report import QUERY_P50, far_aim, gateways_query_aim
from bench.markdown import beside, figure, without_empty
from bench.samples import Sample, by_round

WAYS = (GATEWAYS, TLS, PLAIN)
WAN = FAR[0]
CASES = (NEAR, WAN)

METHOD = """\
Oracle's MySQL 9.7 without Galera, with GTIDs and caching_sha2_password, two servers on clusters of their own. Its
replica applies with four workers."""


def section(samples: Sequence[Sample]) -> str:
    """Return the section's text."""
    near, wan = NEAR.name, WAN.name
    header = (
        *("way", "query, p50, ms", f"over `{PLAIN}`", "p99", "connection, p50, ms", "bulk, streamed, MB/s"),
        *(f"of `{TLS}`", "applied, MB/s", "small transactions, rows/s", f"{wan}: streamed, MB/s", f"of `{TLS}`"),
    )
    rows = [
        (
            *(way, figure(samples, QUERY_P50, way, near), beside(samples, QUERY_P50, way, PLAIN, near, sub)),
            *(
                figure(samples, metric, way, near)
                for metric in (percentile_of(QUERY, 99), percentile_of(CONNECTION, 50))
            ),
            *(figure(samples, STREAMED, way, near), beside(samples, STREAMED, way, TLS, near, truediv)),
            *(figure(samples, metric, way, near) for metric in (APPLIED, ROWS)),
            *(figure(samples, STREAMED, way, wan), beside(samples, STREAMED, way, TLS, wan, truediv)),
        )
        for way in WAYS
        if any(by_round(samples, STREAMED, way, case.name) for case in CASES)
    ]
    return f"{without_empty(header, rows)}\n\n{METHOD}"


def aims(samples: Sequence[Sample]) -> Iterator[Aim]:
    """Return what was wanted, and what came of it, as far as it was measured."""
    yield from gateways_query_aim(samples, " of MySQL")
    yield from far_aim(samples, " of MySQL")
