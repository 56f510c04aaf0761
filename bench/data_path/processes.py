"""Finds the processes of pods."""

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
