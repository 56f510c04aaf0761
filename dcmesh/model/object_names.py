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
    if export.termination == "gateway":
        return f"{gateway}/{gateway_name(export.served[host])}"
    return f"{gateway}/{ingress_name(export) if export.ingress else export.name}"


def ingress_name(export: ExportedService) -> str:
    """Return the name of what an export has once, whose TLS ends at ingress ports."""
    return f"{export.name}-ingress"


def gateway_name(served: str) -> str:
    """Return the name of the Gateway of a host by its name there. Istio takes a single label, without dots."""
    beginning = pod_of(served)[: LONGEST_LABEL - DIGEST - 1].rstrip("-")
    return f"{beginning}-{sha256(served.encode()).hexdigest()[:DIGEST]}"


def turning_away(export: ExportedService, host: str, gateway: str) -> str:
    """Return the EnvoyFilter by which a server hears of nobody but the consumers: at the pods, or at the gateway."""
    if export.ingress:
        return f"{export.namespace}/{ingress_name(export)}"
    if export.termination == "pod":
        return f"{export.namespace}/{export.name}-connect-after-handshake"
    return f"{gateway}/{export.served[host]}"


def capturing(account: str) -> str:
    """Return the name of the ProxyConfig by which the pods of a consumer capture DNS; of no account, the probe's."""
    return f"dcmesh-{account}" if account else "dcmesh.probe"


def limit(export: ExportedService, host: str, gateway: str) -> str:
    """Return the DestinationRule, there too, that limits the connections to a host."""
    return f"{gateway}/{_of_host(export, host, export.name)}"


def imported_entry(export: ExportedService, source: str, host: str, namespace: str) -> str:
    """Return the ServiceEntry of a host in an importing namespace."""
    return f"{namespace}/{_of_host(export, host, f'{source}.{export.name}')}"


def imported_rule(export: ExportedService, source: str, host: str, namespace: str) -> str:
    """Return the DestinationRule that holds for a host in an importing namespace."""
    return f"{namespace}/{export.base_name(host) if export.server_names else f'{source}.{export.name}'}"


def _of_host(export: ExportedService, host: str, before: str) -> str:
    return export.base_name(host) if export.server_names else f"{before}.{pod_of(host)}"
