"""How an object in a cluster shows that it belongs to a stack."""

from collections.abc import Mapping
from typing import Any

OURS = {"app.kubernetes.io/managed-by": "dcmesh"}
"""Labels of a Secret `cacerts` that dcmesh may change."""

MADE_BY = "dcmesh/stack"
"""Annotation with an object's stack. It is needed because the state may lack what a killed `up` has made."""


def is_of_stack(metadata: Mapping[str, Any], stack: str) -> bool:
    """Tell whether an object says that it belongs to a stack: the stack made it, or it was handed over to dcmesh."""
    made_by = (metadata.get("annotations") or {}).get(MADE_BY)
    return made_by == stack or OURS.items() <= (metadata.get("labels") or {}).items()
