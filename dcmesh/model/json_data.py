"""Plain data: what stack outputs and `--json` are made of, and what may be shown."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any


def plain(value: Any) -> Any:  # noqa: ANN401
    """Return dataclasses, and all that is in them, as plain data in the camel case of Kubernetes."""
    match value:
        case Enum():
            return value.name.lower()
        case datetime():
            return value.isoformat()
        case None | str() | int() | float():
            return value
        case Mapping():
            return {key: plain(part) for key, part in value.items()}
        case _ if hasattr(value, "model_dump"):  # pydantic's, which takes long to import
            return value.model_dump(mode="json", by_alias=True)
        case Iterable():
            return [plain(part) for part in value]
        case _ if is_dataclass(value):
            return {_camel(field.name): plain(getattr(value, field.name)) for field in fields(value)}
    raise TypeError(f"{type(value).__name__} is not plain data")


def _camel(name: str) -> str:
    return re.sub("_(.)", lambda part: part[1].upper(), name)
