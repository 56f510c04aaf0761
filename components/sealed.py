"""Sealed: what came as a secret of the configuration is one of Pulumi's, in state, diff and output."""

from collections.abc import Iterable, Mapping
from typing import Any

import pulumi


class Secret(str):
    """A text that came as a secret of the configuration."""

    __slots__ = ()


def sealed(value: Any) -> Any:  # noqa: ANN401
    """Return data for a resource, in which each text that came as a secret is one of Pulumi's."""
    match value:
        case Secret():
            return pulumi.Output.secret(str(value))
        case Mapping():
            return {key: sealed(part) for key, part in value.items()}
        case list():
            return [sealed(part) for part in value]
    return value


def made_of(parts: Iterable[str], text: str) -> str:
    """Return a text that has these parts in it. With one that came as a secret it is as if it had come as one."""
    return Secret(text) if any(isinstance(part, Secret) for part in parts) else text
