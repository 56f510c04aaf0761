"""PeerAuthentications: which of them holds for a port of a pod, and whether it takes mutual TLS there."""

from collections.abc import Sequence

from dcmesh.model.istio import ISTIO_NAMESPACE
from dcmesh.model.istio_objects import Object, labels, selects


def effective(policies: Sequence[Object], pod: Object, port: int) -> tuple[str, Object | None]:
    """Return the mode that holds for a port of a pod, and the PeerAuthentication that says so.

    The narrowest that says anything: a port's, the pod's, the namespace's, the mesh's. Of two the elder.
    """
    namespace = pod["metadata"]["namespace"]
    ordered = sorted(policies, key=lambda policy: str(policy["metadata"].get("creationTimestamp", "")))
    local = [p for p in ordered if p["metadata"]["namespace"] == namespace]
    own = [p for p in local if _selector(p) and selects(_selector(p), labels(pod))]
    for policy in own[:1]:
        at_port = policy["spec"].get("portLevelMtls", {}).get(str(port), {}).get("mode", "UNSET")
        if at_port != "UNSET":
            return at_port, policy
    mesh = [p for p in ordered if p["metadata"]["namespace"] == ISTIO_NAMESPACE and not _selector(p)]
    for policy in [*own[:1], *[p for p in local if not _selector(p)][:1], *mesh[:1]]:
        mode = policy["spec"].get("mtls", {}).get("mode", "UNSET")
        if mode != "UNSET":
            return mode, policy
    return "PERMISSIVE", None


def _selector(policy: Object) -> dict[str, str]:
    chosen: dict[str, str] = policy["spec"].get("selector", {}).get("matchLabels", {})
    return chosen


def tls_disabled(policies: Sequence[Object], pod: Object, port: int) -> bool:
    """Tell whether mutual TLS is turned off for a port of a pod: then a gateway does not lead to it."""
    return effective(policies, pod, port)[0] == "DISABLE"
