"""Istio: names and settings of its that both what creates and what asks must know."""


def injection_labels(revision: str | None) -> dict[str, str]:
    """Return the labels of a namespace whose pods get a sidecar, from the istiod of that revision."""
    return {"istio.io/rev": revision} if revision else {"istio-injection": "enabled"}


SCOPE = "PILOT_SCOPE_GATEWAY_TO_NAMESPACE"
"""Variable of istiod by which a Gateway opens gateways of its own namespace alone."""

TRUST_DOMAIN = "cluster.local"
"""Trust domain of every mesh, by Istio's default: a site may claim identities of its own alone."""

ISTIO_NAMESPACE = "istio-system"
"""Istio's own namespace: what stands there may hold for the whole mesh."""
