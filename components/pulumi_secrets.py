"""Sealed: a secret of the configuration stays a secret of Pulumi's, in state, diff and output."""

from collections.abc import Mapping
from typing import Any

import pulumi

from dcmesh.model.secret import Secret


def sealed(value: Any) -> Any:  # noqa: ANN401
    """Return data for a resource, in which each text that came as a secret is a secret of Pulumi's."""
    match value:
        case Secret():
            return pulumi.Output.secret(str(value))
        case Mapping():
            return {key: sealed(part) for key, part in value.items()}
        case list():
            return [sealed(part) for part in value]
    return value
