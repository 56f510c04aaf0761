"""Texts that were secrets in the configuration."""

from collections.abc import Iterable


class Secret(str):
    """A text that was a secret in the configuration."""

    __slots__ = ()


def made_of(parts: Iterable[str], text: str) -> str:
    """Return a text that is made of these parts. If one of them is a secret, so is the text."""
    return Secret(text) if any(isinstance(part, Secret) for part in parts) else text
