"""Ingress ports: ports of a pod's sidecar that nothing else uses, and where consumers' TLS ends."""

from typing import Final

OFFSET: Final = 10000
"""What lies between a port and its ingress port."""

HIGHEST: Final = 65535
"""The highest port."""

ISTIO_PORTS: Final = range(15000, 15101)
"""Ports of Istio's own."""


TAKES_PART: Final = "dcmesh/ingress"
"""Label of pods whose sidecars are there for an export, which it names. What is made for them holds for no others."""


def ingress_port(port: int) -> int:
    """Return the ingress port of a port. It follows from that alone, so another port moves none."""
    if port + OFFSET > HIGHEST:
        return port - OFFSET
    return port + (2 * OFFSET if port + OFFSET in ISTIO_PORTS else OFFSET)
