"""Where a command's CPU time goes: to the program, to Pulumi's engine, or to its providers."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from bench.process_time import parent_and_seconds
from tests.e2e.toolbox import Project

INTERVAL = 0.2
"""Seconds between two looks at the processes: what one uses after the last look at it is not seen."""


def part_of(command: str) -> str:
    """Return the part of Pulumi that a command line is."""
    if "pulumi-resource-" in command:
        return "providers"
    return "program" if "python" in command else "engine"


def _processes() -> dict[int, tuple[int, float, str]]:
    """Return each process of the machine: its parent, its CPU seconds and its command line."""
    found = {}
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                parent, seconds = parent_and_seconds(int(directory.name))
                command = (directory / "cmdline").read_text().replace("\0", " ")
            except OSError:  # it has ended
                continue
            if command:  # one that has ended and is not yet waited for has none
                found[int(directory.name)] = parent, seconds, command
    return found


def _family(process: int) -> dict[int, tuple[float, str]]:
    """Return the CPU seconds and the part of a process and of all that it has started."""
    everything = _processes()

    def ours(identity: int) -> bool:
        return identity == process or (identity in everything and ours(everything[identity][0]))

    return {
        identity: (spent, part_of(command)) for identity, (_, spent, command) in everything.items() if ours(identity)
    }


def cpu_seconds(project: Project, *arguments: str) -> Mapping[str, float]:
    """Run Pulumi, and return the CPU seconds of each of its parts.

    Raises:
        RuntimeError: Pulumi failed.
    """
    seen: dict[int, tuple[float, str]] = {}
    with (project.directory / "said").open("w") as said:
        command = ("pulumi", *arguments, "--non-interactive")
        process = subprocess.Popen(
            command, cwd=project.directory, env=project.environment, stdout=said, stderr=subprocess.STDOUT
        )
        while True:
            seen |= _family(process.pid)
            try:
                process.wait(timeout=INTERVAL)
                break
            except subprocess.TimeoutExpired:
                continue
    if process.returncode:
        raise RuntimeError((project.directory / "said").read_text())
    spent = dict.fromkeys(("program", "engine", "providers"), 0.0)
    for seconds, part in seen.values():
        spent[part] += seconds
    return spent
