"""By what names the objects of a link stand in the clusters: each is a namespace and a name, as `NAMESPACE/NAME`."""

from hashlib import sha256

from dcmesh.model.link import ExportedService, pod_of

LONGEST_LABEL = 63
"""Characters of a DNS label."""

DIGEST = 10
"""Hexadecimal digits that tell two names with the same beginning apart."""


def exported_entry(export: ExportedService, host: str) -> str:
    """Return the ServiceEntry that tells the gateway of a host's pod."""
    return f"{export.namespace}/{_of_host(export, host, export.name)}"


def opening(export: ExportedService, host: str, gateway: str) -> str:
    """Return the Gateway, in the namespace of the site's gateway, that lets a host in."""
    return f"{gateway}/{export.name if export.termination == 'pod' else gateway_name(export.served[host])}"


def gateway_name(served: str) -> str:
    """Return the name of the Gateway of a host by its name there. Istio takes a single label, without dots."""
    beginning = pod_of(served)[: LONGEST_LABEL - DIGEST - 1].rstrip("-")
    return f"{beginning}-{sha256(served.encode()).hexdigest()[:DIGEST]}"


def turning_away(export: ExportedService, host: str, gateway: str) -> str:
    """Return the EnvoyFilter by which a server hears of nobody but the consumers: at the pods, or at the gateway."""
    if export.termination == "pod":
        return f"{export.namespace}/{export.name}-connect-after-handshake"
    return f"{gateway}/{export.served[host]}"


def limit(export: ExportedService, host: str, gateway: str) -> str:
    """Return the DestinationRule, there too, that limits the connections to a host."""
    return f"{gateway}/{_of_host(export, host, export.name)}"


def imported_entry(export: ExportedService, source: str, host: str, namespace: str) -> str:
    """Return the ServiceEntry of a host in an importing namespace."""
    return f"{namespace}/{_of_host(export, host, f'{source}.{export.name}')}"


def imported_rule(export: ExportedService, source: str, host: str, namespace: str) -> str:
    """Return the DestinationRule that holds for a host in an importing namespace."""
    return f"{namespace}/{f'{source}.{export.name}' if export.termination == 'pod' else export.base_name(host)}"


def _of_host(export: ExportedService, host: str, before: str) -> str:
    return f"{before}.{pod_of(host)}" if export.termination == "pod" else export.base_name(host)
