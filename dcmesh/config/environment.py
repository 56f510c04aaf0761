"""The surroundings of a configuration: its stack, and the files and other stacks that it names."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import yaml

from dcmesh.config.errors import NOTHING, ConfigError, Finding
from dcmesh.stacks import NoStackError, ReadStack, read_stack, stack_name
from dcmesh.user_files import ReadFile, read_file


def unreadable(stack: str, error: LookupError) -> ConfigError:
    """Return the error that the state of a stack cannot be read."""
    return ConfigError([Finding("sites", NOTHING, f"the state of {stack} cannot be read: {error}")])


@dataclass(frozen=True)
class Environment:
    """The surroundings of a configuration.

    Attributes:
        project: name of the Pulumi project.
        stack: name of the stack.
        read_stack: returns another stack's outputs, by its whole name.
        read_file: returns the text of a file.
        salt: the `encryptionsalt` that the stack's passphrase fits; empty with another secrets provider.
    """

    project: str
    stack: str
    read_stack: ReadStack
    read_file: ReadFile
    salt: str = ""

    def own_outputs(self) -> Mapping[str, Any]:
        """Return the stack's own outputs, as its last `up` left them; empty if there was none.

        Raises:
            ConfigError: its state cannot be read. Then nothing is known of what exists, and nothing may count as new.
        """
        whole = stack_name(self.project, self.stack)
        try:
            return self.read_stack(whole)
        except NoStackError:
            return {}
        except LookupError as error:
            raise unreadable(whole, error) from None


def of_running_stack() -> Environment:
    """Return the surroundings of the running stack's configuration."""
    stack = pulumi.get_stack()
    file = Path(f"Pulumi.{stack}.yaml")  # Pulumi runs the program in this file's directory
    known = yaml.safe_load(file.read_text()) if file.exists() else None
    return Environment(pulumi.get_project(), stack, read_stack, read_file, (known or {}).get("encryptionsalt", ""))
