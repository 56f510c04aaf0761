"""Foreign objects, and the objects of a cluster among which they are found.

Which of two objects an Envoy uses is decided by Istio's rules. They were read in Istio 1.31 (model/gateway.go,
model/sidecar.go and model/push_context.go of pilot/pkg) and tried on the lab.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dcmesh.model.facts import Fact, State
from dcmesh.model.istio import ISTIO_NAMESPACE, SCOPE
from dcmesh.model.istio_objects import Object, labels, name_of, whole

NETWORKING = "/apis/networking.istio.io/v1"


@dataclass(frozen=True, kw_only=True)
class Foreign(Fact):
    """An object of somebody else's that affects links of a site.

    Attributes:
        kind: its kind.
        name: its namespace and name.
        hosts: the hosts whose links it affects.
        does: what it does to them.
        cure: what to do.
        severity: CRITICAL if it stops links, now or with the next restart; WARNING if links work in spite of it.
    """

    kind: str = ""
    name: str = ""
    hosts: tuple[str, ...] = ()
    does: str = ""
    cure: str = ""
    severity: State = State.WARNING

    @property
    def where(self) -> str:
        """What problems begin with."""
        return f"{self.site} {self.kind} {self.name}" if self.kind else f"{self.site} foreign objects"

    def judge(self) -> Iterator[tuple[State, str]]:
        """Yield what is wrong."""
        yield self.severity, f"{self.does}. {self.cure}"


@dataclass(frozen=True, kw_only=True)
class IstioObjects:
    """The objects of a site's cluster.

    Attributes:
        gateways: its Gateways; like the other lists, those of all namespaces.
        entries: its ServiceEntries.
        services: its VirtualServices.
        rules: its DestinationRules.
        sidecars: its Sidecars.
        scoped: whether each of its istiods binds Gateways to their namespace.
        gateway_labels: the labels of the pods of dcmesh's gateway.
    """

    gateways: Sequence[Object] = ()
    entries: Sequence[Object] = ()
    services: Sequence[Object] = ()
    rules: Sequence[Object] = ()
    sidecars: Sequence[Object] = ()
    scoped: bool = False
    gateway_labels: Mapping[str, str]


LISTS = {
    "gateways": f"{NETWORKING}/gateways",
    "entries": f"{NETWORKING}/serviceentries",
    "services": f"{NETWORKING}/virtualservices",
    "rules": f"{NETWORKING}/destinationrules",
    "sidecars": f"{NETWORKING}/sidecars",
}
"""The paths of a cluster's lists."""

ISTIODS = f"/apis/apps/v1/namespaces/{ISTIO_NAMESPACE}/deployments?labelSelector=app%3Distiod"


def gather(get: Callable[[str], Any], gateway: str, gateway_labels: Mapping[str, str] | None = None) -> IstioObjects:
    """Return the objects of a cluster.

    Args:
        get: returns what the API has at a path; None if nothing.
        gateway: the Deployment of the site's gateway, by namespace and name; empty if it has none.
        gateway_labels: the labels that its pods will have, if it does not exist yet. Default: none.
    """
    lists = {name: [whole(one) for one in (get(path) or {}).get("items", ())] for name, path in LISTS.items()}
    namespace, _, name = gateway.partition("/")
    deployment = get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}") if gateway else None
    return IstioObjects(
        **lists,
        scoped=scoped((get(ISTIODS) or {}).get("items", ())),
        gateway_labels=labels(deployment["spec"]["template"]) if deployment else gateway_labels or {},
    )


def scoped(istiods: Sequence[Object]) -> bool:
    """Tell whether there are istiods, and all of them bind Gateways to their namespace."""
    said = [_environment(istiod).get(SCOPE, "").lower() for istiod in istiods]
    return bool(said) and all(word in ("true", "1", "t") for word in said)


def _environment(deployment: Object) -> dict[str, str]:
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one.get("value", "") for container in containers for one in container.get("env", ())}


def delete(kind: str, found: Object) -> str:
    """Return the command that deletes an object."""
    return f"kubectl delete {kind} -n {name_of(found).replace('/', ' ')}"
