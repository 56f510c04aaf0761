"""The part's section of docs/performance.md."""

from collections.abc import Iterator, Mapping, Sequence
from operator import truediv

from bench.aims import Aim
from bench.data_path.figures import NEAR
from bench.data_path.report import bulk, queries
from bench.gateways.figures import DESTROY, LOCAL, PAIR, UP, WAYS, WITH, WITHOUT
from bench.markdown import spread
from bench.samples import Sample, compared, summary

LOCAL_AIM = 1.05
"""What a query in the database's own site may take, as a share of what it takes without dcmesh."""

INTRODUCTION = """\
A MariaDB in dc1 that runs before dcmesh and has no sidecar, exported with `termination: gateway`; the same server by
all ways. `egress gateway → gateway` has no sidecar at either end, `sidecar → gateway` one at the replica; both have
two proxies on the way. `tls` and `plain` are a LoadBalancer of the database's own."""


def section(samples: Sequence[Sample]) -> str:
    """Return the section's text."""
    return "\n\n".join([INTRODUCTION, bulk(samples, WAYS), queries(samples, WAYS), pair(samples)])


def plots(_: Sequence[Sample]) -> Mapping[str, str]:
    """Return no plots."""
    return {}


def aims(samples: Sequence[Sample]) -> Iterator[Aim]:
    """Return what a client in the database's own site sees of dcmesh."""
    ratio = compared(samples, LOCAL, WITH, WITHOUT, NEAR.name, truediv)
    times = " and ".join(f"{spread(summary(samples, LOCAL, way, NEAR.name))} ms {way}" for way in (WITHOUT, WITH))
    yield Aim(
        what="query p50 of a local client, as a share of that without dcmesh",
        wanted=f"{LOCAL_AIM} or less",
        measured=f"{spread(ratio)}: {times}",
        met=ratio.median <= LOCAL_AIM,
        why="not known: nothing of dcmesh is on this way",
    )


def pair(samples: Sequence[Sample]) -> str:
    """Return how long dcmesh takes to come and to go."""
    up, gone = (summary(samples, metric, PAIR, NEAR.name) for metric in (UP, DESTROY))
    return (
        f"`pulumi up` of the pair on clusters that have the database and no Istio, with its preview and with the "
        f"egress "
        f"gateway's probe at its end: {spread(up)} s; `pulumi destroy`: {spread(gone)} s."
    )
