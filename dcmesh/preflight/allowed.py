"""What may be read of a cluster: what may not be is one finding, and stops nothing else from being looked at."""

import json
from collections.abc import Iterable, Iterator

from dcmesh.config.errors import Finding
from dcmesh.kube.api import ApiClient, ApiException
from dcmesh.kube.pods import read
from dcmesh.model.istio_objects import Object


def read_if_allowed(api: ApiClient, path: str) -> Object | None:
    """Return what the API has at a path; None if nothing, or if it may not be read."""
    try:
        found: Object | None = read(api, path)
    except ApiException as error:
        if error.status != 403:
            raise
        return None
    return found


def list_if_allowed(api: ApiClient, path: str) -> list[Object]:
    """Return the objects of a list; none if there is no such list, or if it may not be read."""
    items: list[Object] = (read_if_allowed(api, path) or {}).get("items", [])
    return items


def as_far_as_allowed(
    found: Iterable[Finding], path: str, value: object, told: type[Finding] = Finding
) -> Iterator[Finding]:
    """Yield what a check finds, up to what it may not read.

    Args:
        found: what it finds.
        path: the place of what it looks at.
        value: what stands there.
        told: how to tell what may not be read.
    """
    try:
        yield from found
    except ApiException as error:
        if error.status != 403:
            raise
        yield told(path, value, f"cannot be looked at ({_reason(error)}): allow the kubeconfig's user to read that")


def _reason(error: ApiException) -> str:
    """Return which object may not be read by whom, in the API server's words."""
    try:
        return str(json.loads(error.body)["message"])
    except (ValueError, TypeError, LookupError):
        return f"{error.status} {error.reason}"
