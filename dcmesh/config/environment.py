"""What a configuration is read in: the stack that it is of, and the files and other stacks that it names."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import yaml

from dcmesh.config.errors import NOTHING, ConfigError, Finding
from dcmesh.files import ReadFile, read_file
from dcmesh.stacks import NoStackError, ReadStack, read_stack, stack_name


def unreadable(stack: str, error: LookupError) -> ConfigError:
    """Return the error that the state of a stack cannot be read."""
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
