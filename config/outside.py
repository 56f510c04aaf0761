"""What a configuration is read in: the stack that it is of, and the files and other stacks that it names."""

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import yaml

ReadStack = Callable[[str], Mapping[str, Any]]
ReadFile = Callable[[str], str]


def stack_name(project: str, stack: str) -> str:
    """Return the whole name of a stack in the organization of the one that runs; where there is none, Pulumi's word."""
    return f"{pulumi.get_organization() or 'organization'}/{project}/{stack}"


def read_stack(name: str) -> Mapping[str, Any]:
    """Return the outputs of another stack.

    By the invoke behind StackReference, whose answer is plain data at once: how many hosts a link has decides
    which resources there are, and no resource may be created inside `apply`. What is secret in that stack and
    not ours to decrypt is left out.

    Raises:
        LookupError: there is no such stack.
    """
    try:
        answer = pulumi.runtime.invoke("pulumi:pulumi:readStackOutputs", {"name": name}).value
    except Exception as error:  # the SDK raises nothing more precise
        raise LookupError(str(error).rpartition("returned an error: ")[2]) from error
    return dict(answer["outputs"])


def read_resources(stack: str) -> Mapping[str, Any]:
    """Return type and outputs of each resource in a stack's state by URN, its own state as well.

    By an invoke that is older than StackReference, for what outputs cannot say: an `up` that failed half-way may have
    left none.

    Raises:
        LookupError: Pulumi does not say.
    """
    try:
        answer = pulumi.runtime.invoke("pulumi:pulumi:readStackResourceOutputs", {"stackName": stack}).value
    except Exception as error:  # the SDK raises nothing more precise
        raise LookupError(str(error).rpartition("returned an error: ")[2]) from error
    return dict(answer["outputs"])


def read_doomed(stack: str) -> set[str]:
    """Return the URNs of which a stack's state has something that the next `up` deletes, whatever the program says.

    A replacement that failed half-way leaves them. No invoke tells of them.

    Raises:
        LookupError: Pulumi's CLI does not say.
    """
    command = ["pulumi", "stack", "export", "--stack", stack, "--non-interactive"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise LookupError(f"pulumi cannot be run: {error.strerror}") from None
    if done.returncode:
        raise LookupError(done.stderr.strip())
    resources = json.loads(done.stdout)["deployment"].get("resources") or []
    return {resource["urn"] for resource in resources if resource.get("delete")}


def expand(path: str) -> str:
    """Return a path with `~` and environment variables expanded."""
    return os.path.expanduser(os.path.expandvars(path))  # noqa: PTH111 — Path's raises for unknown users


def read_file(path: str) -> str:
    """Return the text of a file; `~` and environment variables in its path are expanded.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no text, or its path no path.
    """
    return Path(expand(path)).read_text(encoding="utf-8")


def why_not(path: str, error: OSError | ValueError) -> str:
    """Return what to say of a file that cannot be read: nothing of what is in it."""
    if "$" in expand(path):
        return "cannot be read: an environment variable in it is not set"
    return f"cannot be read: {(isinstance(error, OSError) and error.strerror) or 'it is no text'}"


@dataclass(frozen=True)
class Outside:
    """What a configuration is read in.

    Attributes:
        project: name of the Pulumi project.
        stack: name of the stack.
        read_stack: returns another stack's outputs, by its whole name.
        read_file: returns the text of a file.
        salt: what the stack's passphrase opens; empty if it has none, but another secrets provider.
    """

    project: str
    stack: str
    read_stack: ReadStack
    read_file: ReadFile
    salt: str = ""

    def own_outputs(self) -> Mapping[str, Any]:
        """Return the stack's own outputs, as its last `up` left them; empty if there was none."""
        try:
            return self.read_stack(stack_name(self.project, self.stack))
        except LookupError:
            return {}


def of_running_stack() -> Outside:
    """Return what the configuration of the stack that runs is read in."""
    stack = pulumi.get_stack()
    file = Path(f"Pulumi.{stack}.yaml")  # Pulumi runs the program where this lies
    known = yaml.safe_load(file.read_text()) if file.exists() else None
    return Outside(pulumi.get_project(), stack, read_stack, read_file, (known or {}).get("encryptionsalt", ""))
