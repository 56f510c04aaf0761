"""What a configuration is read in: the stack that it is of, and the files and other stacks that it names."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import yaml

from dcmesh.config.errors import NOTHING, ConfigError, Finding
from dcmesh.stacks import NoStackError, ReadStack, read_stack, stack_name

ReadFile = Callable[[str], str]


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
class Environment:
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


def of_running_stack() -> Environment:
    """Return what the configuration of the stack that runs is read in."""
    stack = pulumi.get_stack()
    file = Path(f"Pulumi.{stack}.yaml")  # Pulumi runs the program where this lies
    known = yaml.safe_load(file.read_text()) if file.exists() else None
    return Environment(pulumi.get_project(), stack, read_stack, read_file, (known or {}).get("encryptionsalt", ""))
