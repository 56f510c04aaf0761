"""The part's section of docs/performance.md."""

from collections.abc import Iterator, Sequence
from operator import truediv

from bench.aims import Aim
from bench.first_copy.figures import BACKUP, CASES, COPIED, PLAIN_BACKUP, PREPARED, WAYS
from bench.markdown import beside, figure, spread, without_empty
from bench.samples import Sample, compared, measured, summarize

BACKUP_AIM = 0.8
"""A backup through dcmesh, as a share of the same one by plain TCP; at least."""

HOW = """\
A new replica copies one table, whose file has 1 GB, with rows of 1 KiB, while nobody writes. *Backup*:
mariadb-backup, as with `firstCopy: backup`, through gateways at both ends. By plain TCP it takes the same scripts,
and a LoadBalancer before the pod. *Prepared*: what the replica then does to make data of it. *Bytes*: the table's
file, read and written by the same two pods. *Dump*: mariadb-dump into the replica's server, through the gateways; its
rows are then there."""


def section(samples: Sequence[Sample]) -> str:
    """Return the section's text."""
    columns = [(case.name, what) for case in CASES for what in ("GB a minute", f"of `{PLAIN_BACKUP}`")]
    rows = [
        (
            way,
            *(
                cell
                for case in CASES
                for cell in (
                    figure(samples, COPIED, way, case.name),
                    beside(samples, COPIED, way, PLAIN_BACKUP, case.name, truediv),
                )
            ),
            prepared(samples, way),
        )
        for way in WAYS
    ]
    header = ("way", *(f"{case}: {what}" for case, what in columns), "prepared, s")
    return f"{without_empty(header, rows)}\n\n{HOW}"


def prepared(samples: Sequence[Sample], way: str) -> str:
    """Return the cell of how long it takes to make data of a backup, whatever WAN it came by."""
    found = [sample.value for sample in samples if (sample.metric, sample.way) == (PREPARED, way)]
    return spread(summarize(found)) if found else ""


def aims(samples: Sequence[Sample]) -> Iterator[Aim]:
    """Return what a backup through dcmesh is to be."""
    cases = [case.name for case in CASES if measured(samples, COPIED, BACKUP, PLAIN_BACKUP, case.name)]
    ratios = {case: compared(samples, COPIED, BACKUP, PLAIN_BACKUP, case, truediv) for case in cases}
    if ratios:
        yield Aim(
            what="first copy by a backup, by gateways, as a share of the same by plain TCP",
            wanted=f"{BACKUP_AIM} or more",
            measured="; ".join(f"{case}: {spread(ratio)}" for case, ratio in ratios.items()),
            met=min(ratio.median for ratio in ratios.values()) >= BACKUP_AIM,
            why="both servers, both ends of the backup and the proxies share two cores",
        )
