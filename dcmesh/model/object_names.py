"""The names of a link's objects in the clusters, as `NAMESPACE/NAME`."""

from hashlib import sha256

from dcmesh.model.link import ExportedService, pod_of

LONGEST_LABEL = 63
"""How many characters a DNS label may have."""

DIGEST = 10
"""How many hexadecimal digits tell two names with the same beginning apart."""


def exported_entry(export: ExportedService, host: str) -> str:
    """Return the ServiceEntry that tells the gateway of a host's pod."""
    return f"{export.namespace}/{_of_host(export, host, export.name)}"


def opening(export: ExportedService, host: str, gateway: str) -> str:
    """Return the Gateway, in the namespace of the site's gateway, that lets a host in."""
    if export.termination == "gateway":
        return f"{gateway}/{gateway_name(export.served[host])}"
    return f"{gateway}/{ingress_name(export) if export.ingress else export.name}"


def ingress_name(export: ExportedService) -> str:
    """Return the name of the objects that an export with ingress ports has once."""
    return f"{export.name}-ingress"


def gateway_name(served: str) -> str:
    """Return the name of a host's Gateway, from the host's name there. Istio allows no dots in it."""
    beginning = pod_of(served)[: LONGEST_LABEL - DIGEST - 1].rstrip("-")
    return f"{beginning}-{sha256(served.encode()).hexdigest()[:DIGEST]}"


def turning_away(export: ExportedService, host: str, gateway: str) -> str:
    """Return the EnvoyFilter that keeps all but the consumers from a server: at the pods, or at the gateway."""
    if export.ingress:
        return f"{export.namespace}/{ingress_name(export)}"
    if export.termination == "pod":
        return f"{export.namespace}/{export.name}-connect-after-handshake"
    return f"{gateway}/{export.served[host]}"


def capturing(account: str) -> str:
    """Return the name of the ProxyConfig for a consumer's pods that capture DNS; without an account, the probe's."""
    return f"dcmesh-{account}" if account else "dcmesh.probe"


def limit(export: ExportedService, host: str, gateway: str) -> str:
    """Return the DestinationRule, in the gateway's namespace too, that limits the connections to a host."""
    return f"{gateway}/{_of_host(export, host, export.name)}"


def imported_entry(export: ExportedService, source: str, host: str, namespace: str) -> str:
    """Return the ServiceEntry of a host in an importing namespace."""
    return f"{namespace}/{_of_host(export, host, f'{source}.{export.name}')}"


def imported_rule(export: ExportedService, source: str, host: str, namespace: str) -> str:
    """Return the DestinationRule for a host in an importing namespace."""
    return f"{namespace}/{export.base_name(host) if export.server_names else f'{source}.{export.name}'}"


def _of_host(export: ExportedService, host: str, before: str) -> str:
    return export.base_name(host) if export.server_names else f"{before}.{pod_of(host)}"
