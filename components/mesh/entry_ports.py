"""Ports of hosts in Istio's objects: an export with TLS that ends at the gateway may have several."""

from typing import Any

from dcmesh.model.link import ExportedService, port_names


def entry_ports(export: ExportedService) -> list[dict[str, Any]]:
    """Return the ports of a host's ServiceEntry."""
    return [{"number": port, "name": name, "protocol": export.protocol} for port, name in port_names(export).items()]


def led_to_gateway(export: ExportedService, entry: dict[str, Any], gateway_port: int) -> dict[str, Any]:
    """Return the spec of an imported host's ServiceEntry, which is for one port and identity, with all of them."""
    ports = dict.fromkeys(port_names(export).values(), gateway_port)
    return {
        **entry,
        "ports": entry_ports(export),
        "endpoints": [{**endpoint, "ports": ports} for endpoint in entry["endpoints"]],
        "subjectAltNames": list(export.identities),
    }


def tls_to(export: ExportedService, host: str) -> dict[str, Any]:
    """Return how a proxy speaks TLS with the first port of a host of another site.

    The identity stands here, beside the server name, and not in the ServiceEntry alone: where TLS is to end elsewhere,
    both change at one moment.
    """
    return {"mode": "ISTIO_MUTUAL", "sni": export.sni(host), "subjectAltNames": list(export.identities)}


def by_port(export: ExportedService, host: str, policy: dict[str, Any]) -> dict[str, Any]:
    """Return the traffic policy of an imported host: mutual TLS for each port, with the server name that asks for it.

    A further port has the whole policy again: Istio does not apply the policy beside it to such a port.
    """

    def asking(of: ExportedService) -> dict[str, Any]:
        return {**policy, "tls": tls_to(of, host)}

    first, *others = export.by_port
    settings = [{"port": {"number": of.port}, **asking(of)} for of in others]
    return {**asking(first), **({"portLevelSettings": settings} if settings else {})}
