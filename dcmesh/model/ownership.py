"""By what an object in a cluster is known as of a stack."""

from collections.abc import Mapping
from typing import Any

OURS = {"app.kubernetes.io/managed-by": "dcmesh"}
"""Labels of a Secret `cacerts` that dcmesh may change."""

MADE_BY = "dcmesh/stack"
"""Annotation that tells of which stack an object is: what a killed `up` has made may not be in the state."""


def is_of_stack(metadata: Mapping[str, Any], stack: str) -> bool:
    """Tell whether an object is a stack's, as far as it says so itself: made by it, or handed over to dcmesh."""
    made_by = (metadata.get("annotations") or {}).get(MADE_BY)
    return made_by == stack or OURS.items() <= (metadata.get("labels") or {}).items()
