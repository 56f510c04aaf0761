"""Servers of Gateways: what each opens, and where the VirtualServices of its Gateway lead."""

from collections.abc import Sequence

from dcmesh.model.istio_objects import Object, name_of, resolved

PASSED_ON, NO_TLS = "AUTO_PASSTHROUGH", "no TLS"


def mode_of(server: Object) -> str:
    """Return what a Gateway's server does with TLS."""
    return str(server["tls"].get("mode", "PASSTHROUGH")) if "tls" in server else NO_TLS


def hosts_of(server: Object) -> list[str]:
    """Return the hosts of a Gateway's server, without the namespaces that each may begin with."""
    return [host.rpartition("/")[2] for host in server.get("hosts", ())]


def shown(gateway: Object, server: Object) -> str:
    """Return why a Gateway applies to a gateway, and what its server opens there."""
    selector = gateway["spec"].get("selector") or {}
    by = " ".join(f"{key}={value}" for key, value in selector.items())
    where = f"by its selector {by}" if by else "without a selector, so at every gateway"
    return f"{where}; port {server['port']['number']}, {mode_of(server)}, hosts {' '.join(hosts_of(server))}"


def bound(gateway: Object, services: Sequence[Object]) -> list[Object]:
    """Return the VirtualServices of a Gateway."""
    return [service for service in services if name_of(gateway) in gateways_of(service)]


def gateways_of(service: Object) -> set[str]:
    """Return the Gateways that a VirtualService is for, each with its namespace."""
    own = service["metadata"]["namespace"]
    return {name if "/" in name else f"{own}/{name}" for name in service["spec"].get("gateways", ())}


def destinations(service: Object) -> list[str]:
    """Return the hosts that a VirtualService leads to."""
    namespace = service["metadata"]["namespace"]
    routes = [
        route
        for kind in ("tcp", "tls", "http")
        for rule in service["spec"].get(kind, ())
        for route in rule.get("route", ())
    ]
    return sorted({resolved(route["destination"]["host"], namespace) for route in routes if "destination" in route})
