"""The CPU time of a process of this machine."""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def parent_and_seconds(process: int) -> tuple[int, float]:
    """Return a process's parent, and its CPU seconds, including those in the kernel.

    Raises:
        OSError: the process has ended.
    """
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS
