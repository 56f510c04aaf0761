"""What may be read of a cluster: what may not be is told, and stops nothing else from being looked at."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dcmesh.config.errors import Finding, Remark
from dcmesh.kube.api import ApiClient, ApiException
from dcmesh.kube.pods import read
from dcmesh.model.istio_objects import Object


@dataclass(frozen=True)
class Allowed:
    """A cluster as far as the kubeconfig's user may read it.

    All checks of a site share one: each thing is read once, and told once.

    Attributes:
        api: the cluster.
        known: by path, what was read.
        refused: by path, why what is there was not shown.
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
                self.refused[path] = _reason(error)
                self.known[path] = None
        return self.known[path]

    def list(self, path: str) -> list[Object]:
        """Return the objects of a list; none if there is no such list, or if it may not be read."""
        items: list[Object] = (self.read(path) or {}).get("items", [])
        return items

    def unseen(self, path: str, site: str) -> Iterator[Remark]:
        """Tell what was not shown: what of it harms a link is not known.

        Args:
            path: the place of the site in the configuration.
            site: its name.
        """
        for reason in dict.fromkeys(self.refused.values()):
            advice = (
                f"was looked at without what its kubeconfig's user may not read ({reason}): what harms a link there "
                "is not seen. Allow the user to read it"
            )
            yield Remark(f"{path}.name", site, advice)


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
