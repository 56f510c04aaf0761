"""The CPU time of a Pulumi command, divided into the program, Pulumi's engine and its providers."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from bench.process_time import parent_and_seconds
from tests.e2e.toolbox import Project

INTERVAL = 0.2
"""Seconds between two looks at the processes. What a process uses after the last look at it is not counted."""


def part_of(command: str) -> str:
    """Return the part of Pulumi to which a command line belongs."""
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
            except OSError:  # The process has ended.
                continue
            if command:  # A zombie has no command line.
                found[int(directory.name)] = parent, seconds, command
    return found


def _family(process: int) -> dict[int, tuple[float, str]]:
    """Return the CPU seconds and the part of a process and of its descendants."""
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
