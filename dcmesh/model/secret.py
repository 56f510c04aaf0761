"""Texts that came as secrets of the configuration."""

from collections.abc import Iterable


class Secret(str):
    """A text that came as a secret of the configuration."""

    __slots__ = ()


def made_of(parts: Iterable[str], text: str) -> str:
    """Return a text that has these parts in it. With one that came as a secret it is as if it had come as one."""
    return Secret(text) if any(isinstance(part, Secret) for part in parts) else text
