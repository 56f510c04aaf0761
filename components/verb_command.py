"""Work that is not a resource: a Command that runs `python -m dcmesh VERB` whenever one of its triggers changes."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pulumi
import pulumi_command as command


def interpreter() -> str:
    """Return the path of the Python that runs the program. If it is below the project, the path is relative."""
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
    """Create a Command that runs a verb once, and again when a trigger changes or it has failed.

    Destroy does not run it.

    Args:
        name: name of the resource.
        words: the verb and its arguments.
        environment: further variables, such as kubeconfigs. A change of these alone does not run the verb.
        triggers: values whose change runs the verb again.
        idle: whether the Command runs nothing, and exists only in the state.
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
    """Create a Command that does nothing and marks the beginning of a change. It is replaced for each change.

    Its ID must be a trigger of the Command that ends the change. If a change was begun, failed and was taken back, that
    Command's other triggers are unchanged, but it must still undo what the change did.

    Args:
        name: name of the resource.
        triggers: the values before and after the change.
        opts: options of the resource.
    """
    return command.local.Command(
        name, create=":", update=":", triggers=[*triggers], add_previous_output_in_env=False, opts=opts
    )
