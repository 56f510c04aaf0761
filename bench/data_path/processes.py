"""Finds the processes of pods, and says on which cores they run."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.faults.stage import Site


def process_of(site: Site, namespace: str, pod: str, program: str) -> int:
    """Return the PID, as the machine counts it, of a pod's process with this name."""
    (found,) = (
        process
        for process in site.processes(site.pod(pod, namespace))
        if Path(f"/proc/{process}/comm").read_text().strip() == program
    )
    return found


@contextmanager
def on_another_core(server: int) -> Iterator[None]:
    """Have a server's threads run on one core for a while, and what this process starts on the others.

    Left alone, client and server share a core for one look and not for the next, and a query takes three times as long.
    """
    every = os.sched_getaffinity(0)
    first, *others = sorted(every)
    _bind(server, {first})
    os.sched_setaffinity(0, others or every)
    try:
        yield
    finally:
        os.sched_setaffinity(0, every)
        _bind(server, every)


def _bind(process: int, cores: Collection[int]) -> None:
    for thread in Path(f"/proc/{process}/task").iterdir():
        with suppress(ProcessLookupError):  # It has ended.
            os.sched_setaffinity(int(thread.name), cores)
