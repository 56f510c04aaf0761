"""What may be read in a cluster. What may not be read counts as nothing, and is remembered."""

import json
from dataclasses import dataclass, field

from dcmesh.kube.api import ApiClient, ApiException
from dcmesh.kube.pods import read
from dcmesh.model.istio_objects import Object


@dataclass(frozen=True)
class Allowed:
    """A cluster as far as the kubeconfig's user may read it. Each thing is read once.

    Attributes:
        api: the cluster.
        known: what was read, by path.
        refused: why it was not shown, by path.
    """

    api: ApiClient
    known: dict[str, Object | None] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def read(self, path: str) -> Object | None:
        """Return what the API has at a path; None if nothing, or if it may not be read."""
        if path not in self.known:
            try:
                self.known[path] = read(self.api, path)
            except ApiException as error:
                if error.status != 403:
                    raise
                self.refused[path] = words_of(error)
                self.known[path] = None
        return self.known[path]

    def list(self, path: str) -> list[Object]:
        """Return the objects of a list; none if there is no such list, or if it may not be read."""
        items: list[Object] = (self.read(path) or {}).get("items", [])
        return items


def words_of(error: ApiException) -> str:
    """Return why an API server refuses, in its own words. These name the object and the user."""
    try:
        return str(json.loads(error.body)["message"])
    except (ValueError, TypeError, LookupError):
        return f"{error.status} {error.reason}"
