"""Secrets in a configuration that cannot stay secret in their place."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr

from dcmesh.config import setting_paths
from dcmesh.config.errors import Remark
from dcmesh.model.secret import Secret
from dcmesh.model.settings import Settings


def shown_secrets(raw: Mapping[str, Any], settings: Settings) -> Iterator[Remark]:
    """Warn of each top-level key with texts that were set as secrets and will be shown: names, addresses and so on.

    Args:
        raw: the configuration as it came.
        settings: the same, read.
    """
    kept = set(_secrets(settings))
    for key, value in raw.items():
        shown = [path for path, text in _texts(value, key) if isinstance(text, Secret) and text not in kept]
        if shown:
            others = f", and so do {len(shown) - 1} more below {key}" if shown[1:] else ""
            advice = (
                f"cannot be kept a secret: it stands in the state and in diffs as it is{others}. Set it without "
                "--secret: docs/configuration.md says what can be one"
            )
            yield Remark(shown[0], "", advice, secret=True)


def _texts(value: object, path: str) -> Iterator[tuple[str, str]]:
    """Yield each text in plain data with its place."""
    if isinstance(value, str):
        yield path, value
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, below in parts:
        yield from _texts(below, setting_paths.join(path, part))


def _secrets(value: object) -> Iterator[str]:
    """Yield each text that is known to be secret."""
    match value:
        case Secret():
            yield value
        case SecretStr():
            yield value.get_secret_value()
        case BaseModel():
            yield from _secrets([part for _, part in value])
        case dict():
            yield from _secrets([*value.values()])
        case list():
            for part in value:
                yield from _secrets(part)
