"""Local clients: how a site's own pods with sidecars speak with pods whose sidecars take in ingress ports alone."""

from typing import Any

from dcmesh.model.link import service_host


def plaintext_rule(service: str, namespace: str) -> dict[str, Any]:
    """Return the spec of the DestinationRule that has the mesh speak plaintext with a Service.

    By itself a sidecar speaks TLS with every pod that has one, and the server itself would not understand it.
    """
    everywhere = ["*"]  # whatever the mesh has for a rule that does not say it
    host = service_host(service, namespace)
    return {"host": host, "exportTo": everywhere, "trafficPolicy": {"tls": {"mode": "DISABLE"}}}
