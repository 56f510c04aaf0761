"""Ingress ports: ports of a pod's sidecar that nothing else uses, where consumers' TLS ends, and their EnvoyFilter."""

from collections.abc import Mapping
from typing import Any, Final

from dcmesh.model.link import ExportedService

OFFSET: Final = 10000
"""The difference between a port and its ingress port."""

HIGHEST: Final = 65535
"""The highest port."""

ISTIO_PORTS: Final = range(15000, 15101)
"""Ports of Istio's own."""


TAKES_PART: Final = "dcmesh/ingress"
"""Label of pods whose sidecars serve one export alone; its value is the export. The policies select it."""


def ingress_port(port: int) -> int:
    """Return the ingress port of a port. It depends on nothing else, so other ports do not change it."""
    if port + OFFSET > HIGHEST:
        return port - OFFSET
    return port + (2 * OFFSET if port + OFFSET in ISTIO_PORTS else OFFSET)


def guard(export: ExportedService, ingress: Mapping[int, int], selector: Mapping[str, str]) -> dict[str, Any]:
    """Return the spec of the EnvoyFilter that leads the consumers, and nobody else, from ingress ports to the server.

    Without it nobody gets there: the Sidecar's listeners lead to their own ports, where nothing listens. The sidecar
    connects to the server once TLS is agreed on, and agrees on it with the consumers alone. It is for ports that take
    mutual TLS alone: Envoy refuses a listener with a chain that has half of TLS.

    Args:
        export: the export.
        ingress: for each of its ports the sidecars'.
        selector: the pods' labels.
    """

    def patch(what: str, match: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
        patch = {"operation": "MERGE", "value": value}
        return {"applyTo": what, "match": {"context": "SIDECAR_INBOUND", **match}, "patch": patch}

    names = [{"san_type": "URI", "matcher": {"exact": identity}} for identity in export.consumer_ids]
    tls = {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {
            "combined_validation_context": {"default_validation_context": {"match_typed_subject_alt_names": names}}
        },
    }
    proxy = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "upstream_connect_mode": "ON_DOWNSTREAM_TLS_HANDSHAKE",
        "max_early_data_bytes": 0,  # Envoy wants it said: nothing is read ahead for a server that speaks first
        "idle_timeout": "0s",  # a replica may have nothing to say for longer than Envoy's hour
    }
    patches = list[dict[str, Any]]()
    for port, taken_in in sorted(ingress.items()):
        chain = {"destinationPort": taken_in}
        listener = {"listener": {"filterChain": chain}}
        server = {"original_dst_lb_config": {"upstream_port_override": port}}
        socket = {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls}}
        patches += [
            patch("CLUSTER", {"cluster": {"portNumber": taken_in}}, server),
            # Istio merges nothing else of a patch that has a transport socket.
            patch("FILTER_CHAIN", listener, {"transport_socket_connect_timeout": "15s"}),
            patch("FILTER_CHAIN", listener, socket),
        ]
        if export.protocol == "TCP":
            of_bytes = {"listener": {"filterChain": {**chain, "filter": {"name": "envoy.filters.network.tcp_proxy"}}}}
            patches.append(patch("NETWORK_FILTER", of_bytes, {"typed_config": proxy}))
    return {"workloadSelector": {"labels": dict(selector)}, "configPatches": patches}
