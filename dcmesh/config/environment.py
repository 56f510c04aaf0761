"""What a configuration is read in: the stack that it is of, and the files and other stacks that it names."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import yaml

from dcmesh.config.errors import NOTHING, ConfigError, Finding
from dcmesh.model.printable import printable
from dcmesh.pulumi_cli import pulumi as pulumi_cli
from dcmesh.pulumi_cli import read_state

ReadStack = Callable[[str], Mapping[str, Any]]
ReadFile = Callable[[str], str]


class NoStackError(LookupError):
    """There is no such stack."""


def stack_name(project: str, stack: str) -> str:
    """Return the whole name of a stack in the organization of the one that runs; where there is none, Pulumi's word."""
    return f"{pulumi.get_organization() or 'organization'}/{project}/{stack}"


def read_stack(name: str) -> Mapping[str, Any]:
    """Return the outputs of another stack.

    By the invoke behind StackReference, whose answer is plain data at once: how many hosts a link has decides
    which resources there are, and no resource may be created inside `apply`. What is secret in that stack and
    not ours to decrypt is left out.

    Raises:
        NoStackError: there is no such stack.
        LookupError: its state cannot be read.
    """
    return _invoke("readStackOutputs", {"name": name})


def read_resources(stack: str) -> Mapping[str, Any]:
    """Return type and outputs of each resource in a stack's state by URN, its own state as well.

    By an invoke that is older than StackReference, for what outputs cannot say: an `up` that failed half-way may have
    left none.

    Raises:
        LookupError: Pulumi does not say.
    """
    return _invoke("readStackResourceOutputs", {"stackName": stack})


def _invoke(function: str, arguments: Mapping[str, str]) -> Mapping[str, Any]:
    def read() -> Mapping[str, Any]:
        try:
            answer = pulumi.runtime.invoke(f"pulumi:pulumi:{function}", arguments).value
        except Exception as error:  # the SDK raises nothing more precise
            said = str(error)
            kind = NoStackError if "unknown stack" in said else LookupError
            reason = said.rpartition("returned an error: ")[2]
            raise kind(printable(" ".join(reason.split()))) from error
        return dict(answer["outputs"])

    return read_state(read)


def read_doomed(stack: str) -> set[str]:
    """Return the URNs of which a stack's state has something that the next `up` deletes, whatever the program says.

    A replacement that failed half-way leaves them. No invoke tells of them.

    Raises:
        LookupError: Pulumi's CLI does not say.
    """
    exported = read_state(lambda: pulumi_cli("stack", "export", "--stack", stack))
    resources = json.loads(exported)["deployment"].get("resources") or []
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


def unreadable(stack: str, error: LookupError) -> ConfigError:
    """Return the error that the state of the stack that runs cannot be read."""
    return ConfigError([Finding("sites", NOTHING, f"the state of {stack} cannot be read: {error}")])


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
        """Return the stack's own outputs, as its last `up` left them; empty if there was none.

        Raises:
            ConfigError: its state cannot be read. What was deployed is then not known: nothing may be taken for new.
        """
        whole = stack_name(self.project, self.stack)
        try:
            return self.read_stack(whole)
        except NoStackError:
            return {}
        except LookupError as error:
            raise unreadable(whole, error) from None


def of_running_stack() -> Outside:
    """Return what the configuration of the stack that runs is read in."""
    stack = pulumi.get_stack()
    file = Path(f"Pulumi.{stack}.yaml")  # Pulumi runs the program where this lies
    known = yaml.safe_load(file.read_text()) if file.exists() else None
    return Outside(pulumi.get_project(), stack, read_stack, read_file, (known or {}).get("encryptionsalt", ""))
