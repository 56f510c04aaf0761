"""Work that is not a resource: a Command that runs `python -m dcmesh VERB` whenever one of its triggers changes."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pulumi
import pulumi_command as command


def interpreter() -> str:
    """Return the Python that runs the program; one below the project by its relative path, the same on any machine."""
    python = Path(sys.executable)
    return str(python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python)


def run_verb(
    name: str,
    *words: str,
    environment: Mapping[str, pulumi.Input[str]],
    triggers: Sequence[pulumi.Input[Any]],
    idle: bool = False,
    opts: pulumi.ResourceOptions,
) -> command.local.Command:
    """Create a Command that runs a verb once, and again when a trigger changes or it has failed; not on destroy.

    Args:
        name: name of the resource.
        words: the verb and its arguments.
        environment: what it needs besides, kubeconfigs for example. What changes here alone runs nothing.
        triggers: what decides when it runs again.
        idle: whether it is there for the state alone, and runs nothing.
        opts: options of the resource.
    """
    return command.local.Command(
        name,
        create=":" if idle else shlex.join([interpreter(), "-m", "dcmesh", *words]),
        update=":",
        environment=environment,
        triggers=[*triggers],
        logging=command.local.Logging.STDERR,
        add_previous_output_in_env=False,
        opts=opts,
    )


def begun(name: str, triggers: Sequence[pulumi.Input[Any]], opts: pulumi.ResourceOptions) -> command.local.Command:
    """Create what marks the begin of a change, and is made anew for each change: a Command that does nothing.

    Its id is to be a trigger of the Command that ends the change. A change that was begun, failed and was taken back
    leaves that Command's other triggers as they were, though what it did must still be undone.

    Args:
        name: name of the resource.
        triggers: what the change is from and to.
        opts: options of the resource.
    """
    return command.local.Command(
        name, create=":", update=":", triggers=[*triggers], add_previous_output_in_env=False, opts=opts
    )
