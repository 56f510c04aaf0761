"""PeerAuthentications: which of them holds for a port of a pod, and whether it takes mutual TLS there."""

from collections.abc import Sequence

from dcmesh.model.istio import ISTIO_NAMESPACE
from dcmesh.model.istio_objects import Object, labels, selects


def effective(policies: Sequence[Object], pod: Object, port: int) -> tuple[str, Object | None]:
    """Return the mode that holds for a port of a pod, and the PeerAuthentication that says so.

    The narrowest that says anything: a port's, the pod's, the namespace's, the mesh's. Of two the elder.
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
    """Return the PeerAuthentication that names a pod by its labels. Of several Istio takes the elder, and it alone."""
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
