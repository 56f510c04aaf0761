"""Processes of pods: which they are, and how long they have had a core."""

import os
from pathlib import Path

from tests.faults.stage import Site

TICKS = os.sysconf("SC_CLK_TCK")


def process_of(site: Site, namespace: str, pod: str, program: str) -> int:
    """Return the machine's id of a pod's process of that name."""
    (found,) = (
        process
        for process in site.processes(site.pod(pod, namespace))
        if Path(f"/proc/{process}/comm").read_text().strip() == program
    )
    return found


def seconds_of(process: int) -> float:
    """Return how long a process has had a core, on its own behalf and in the kernel."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
