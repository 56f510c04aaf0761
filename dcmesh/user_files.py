"""Files that a user names. Their paths are read as a shell would."""

import os
from collections.abc import Callable
from pathlib import Path

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
    """Return why a file cannot be read, and nothing of its contents."""
    if "$" in expand(path):
        return "cannot be read: an environment variable in it is not set"
    return f"cannot be read: {(isinstance(error, OSError) and error.strerror) or 'it is no text'}"
