"""PeerAuthentications: which of them applies to a port of a pod, and whether the port takes mutual TLS."""

from collections.abc import Sequence

from dcmesh.model.istio import ISTIO_NAMESPACE
from dcmesh.model.istio_objects import Object, labels, selects


def effective(policies: Sequence[Object], pod: Object, port: int) -> tuple[str, Object | None]:
    """Return the mode of a port of a pod, and the PeerAuthentication that sets it.

    The narrowest one counts: the port's, the pod's, the namespace's, the mesh's. Of two, the older one counts.
    """
    own, ordered = of_pod(policies, pod), _by_age(policies)
    local = [p for p in ordered if p["metadata"]["namespace"] == pod["metadata"]["namespace"]]
    if own:
        at_port = own["spec"].get("portLevelMtls", {}).get(str(port), {}).get("mode", "UNSET")
        if at_port != "UNSET":
            return at_port, own
    mesh = [p for p in ordered if p["metadata"]["namespace"] == ISTIO_NAMESPACE and not _selector(p)]
    for policy in [*([own] if own else []), *[p for p in local if not _selector(p)][:1], *mesh[:1]]:
        mode = policy["spec"].get("mtls", {}).get("mode", "UNSET")
        if mode != "UNSET":
            return mode, policy
    return "PERMISSIVE", None


def of_pod(policies: Sequence[Object], pod: Object) -> Object | None:
    """Return the PeerAuthentication that selects a pod by its labels. Of several Istio uses only the oldest."""
    local = [p for p in _by_age(policies) if p["metadata"]["namespace"] == pod["metadata"]["namespace"]]
    return next((p for p in local if _selector(p) and selects(_selector(p), labels(pod))), None)


def _by_age(policies: Sequence[Object]) -> list[Object]:
    return sorted(policies, key=lambda policy: str(policy["metadata"].get("creationTimestamp", "")))


def _selector(policy: Object) -> dict[str, str]:
    chosen: dict[str, str] = policy["spec"].get("selector", {}).get("matchLabels", {})
    return chosen


def tls_disabled(policies: Sequence[Object], pod: Object, port: int) -> bool:
    """Tell whether mutual TLS is turned off for a port of a pod: then a gateway does not lead to it."""
    return effective(policies, pod, port)[0] == "DISABLE"
