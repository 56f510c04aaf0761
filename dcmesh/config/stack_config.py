"""The running stack's configuration, as Pulumi hands it over."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import yaml
from pulumi.runtime import config as runtime

from dcmesh.model.secret import Secret


def _held() -> dict[str, str]:
    """Return every key with its text. What was set in this process overrides what the engine gave it."""
    return {**runtime.get_config_env(), **runtime.CONFIG.get()}


def _value(text: object) -> Any:  # noqa: ANN401 — whatever the user wrote
    """Return the value of a text. Pulumi writes structured values as JSON, and texts as they are."""
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return text


def values(project: str) -> dict[str, Any]:
    """Return the values below the project's name, unknown keys too. Secret texts are of type `Secret`."""
    named = {key.removeprefix(f"{project}:"): text for key, text in _held().items() if key.startswith(f"{project}:")}
    secret = secret_keys() & named.keys()
    written = _written() if secret else {}
    return {
        key: marked(_value(text), written.get(f"{project}:{key}")) if key in secret else _value(text)
        for key, text in named.items()
    }


def secret_keys() -> set[str]:
    """Return the top-level keys, without a project's name, of which Pulumi holds some part as a secret."""
    secret = [key for key in _held() if runtime.is_config_secret(key)] + runtime.get_config_secret_keys_env()
    return {key.partition(":")[2] for key in secret}


def marked(value: Any, written: Any) -> Any:  # noqa: ANN401
    """Return a value with its secret parts marked. Pulumi only says that some part is secret, not which.

    Args:
        value: the value, decrypted.
        written: the same in the stack file. A text that is not there in plain is secret.
    """
    match value:
        case dict():
            known = written if isinstance(written, dict) else {}
            return {key: marked(part, known.get(key)) for key, part in value.items()}
        case list():
            items = written if isinstance(written, list) and len(written) == len(value) else [None] * len(value)
            return [marked(part, item) for part, item in zip(value, items, strict=True)]
        case str() if value != written:
            return Secret(value)
    return value


def _written() -> Mapping[str, Any]:
    """Return the contents of the stack file, by whole keys; nothing if the file is not where it usually is."""
    try:
        file = Path(pulumi.get_root_directory(), f"Pulumi.{pulumi.get_stack()}.yaml")
        config = yaml.safe_load(file.read_text(encoding="utf-8"))["config"]
        return dict(config)
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return {}
