"""What the running stack's configuration holds, as Pulumi hands it over."""

import json
from typing import Any

from pulumi.runtime import config as runtime


def _held() -> dict[str, str]:
    """Return every key with its text: what was set in the process lies over what the engine gave it."""
    return {**runtime.get_config_env(), **runtime.CONFIG.get()}


def _value(text: object) -> Any:  # noqa: ANN401 — whatever the user wrote
    """Return what a text means. Pulumi writes what is structured as JSON, and the rest as it is."""
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return text


def values(project: str) -> dict[str, Any]:
    """Return the values below the project's name, known keys and others."""
    named = {key.removeprefix(f"{project}:"): text for key, text in _held().items() if key.startswith(f"{project}:")}
    return {key: _value(text) for key, text in named.items()}


def secret_keys() -> set[str]:
    """Return the top-level keys, without a project's name, of which Pulumi holds some part as a secret."""
    secret = [key for key in _held() if runtime.is_config_secret(key)] + runtime.get_config_secret_keys_env()
    return {key.partition(":")[2] for key in secret}
