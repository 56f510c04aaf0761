"""How long a process of this machine has had a core."""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def parent_and_seconds(process: int) -> tuple[int, float]:
    """Return a process's parent, and its seconds of a core, on its own behalf and in the kernel.

    Raises:
        OSError: it has ended.
    """
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS
