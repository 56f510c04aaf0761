"""ServiceExport: makes the pods of one StatefulSet reachable from other sites, one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.gateway import GATEWAY_LABELS
from components.link import GATEWAY_PORT, ISTIO_NAMESPACE, ExportedService, pod_of

API_VERSIONS = {
    "AuthorizationPolicy": "security.istio.io/v1",
    "EnvoyFilter": "networking.istio.io/v1alpha3",
    "Gateway": "networking.istio.io/v1",
    "PeerAuthentication": "security.istio.io/v1",
    "ServiceEntry": "networking.istio.io/v1",
}


@dataclass(frozen=True, kw_only=True)
class ServiceExportArgs:
    """Arguments of ServiceExport.

    Attributes:
        export: what is exported.
        selector: labels that all pods of the StatefulSet have, and no others in the namespace.
        after: what must be there first: the site's istiod, whose webhook checks Istio's objects, and the
            namespace.
    """

    export: ExportedService
    selector: Mapping[str, str]
    after: Sequence[pulumi.Resource]


def pod_service_entry(export: ExportedService, host: str) -> dict[str, Any]:
    """Return the spec of the ServiceEntry that gives one pod a host of its own.

    Without it a gateway knows only the headless Service as a whole, and spreads connections over its pods.
    Visible to the gateway's namespace alone: to a sidecar that sees it, it would be a listener on the port for
    every address, which takes in unrelated traffic.
    """
    return {
        "hosts": [host],
        "exportTo": [ISTIO_NAMESPACE],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": export.port, "name": export.port_name, "protocol": export.protocol}],
        "workloadSelector": {"labels": {"statefulset.kubernetes.io/pod-name": pod_of(host)}},
    }


def gateway_servers(export: ExportedService) -> dict[str, Any]:
    """Return the spec of the Gateway that passes on TLS for exactly the export's hosts."""
    return {
        "selector": GATEWAY_LABELS,
        "servers": [
            {
                "port": {"number": GATEWAY_PORT, "name": "tls", "protocol": "TLS"},
                "tls": {"mode": "AUTO_PASSTHROUGH"},
                "hosts": list(export.hosts),
            }
        ],
    }


def strict_mtls(selector: Mapping[str, str]) -> dict[str, Any]:
    """Return the spec of the PeerAuthentication that ends plaintext to the exported pods.

    Beside being wanted, it spares a server-first protocol such as MySQL's a wait: a permissive sidecar listens
    first whether TLS is spoken.
    """
    return {"selector": {"matchLabels": dict(selector)}, "mtls": {"mode": "STRICT"}}


def consumers_only(export: ExportedService, selector: Mapping[str, str]) -> dict[str, Any]:
    """Return the spec of the AuthorizationPolicy that refuses all but the consumers, at the pods themselves.

    The gateway cannot do it: it does not end TLS. The rule is bound to the server names that only traffic from
    other sites has, those of single pods, so local clients need no permission; and it denies, so ports and peers
    it does not speak of (Galera's, say) are left as they are.

    It names no pod: with every change of the policy Envoy closes, after its drain time, all connections to the
    pods, and another replica must not do that. Local traffic asks for the Service, `outbound_.PORT_._.SERVICE`.
    """
    service = export.hosts[0].partition(".")[2]
    return {
        "selector": {"matchLabels": dict(selector)},
        "action": "DENY",
        "rules": [
            {
                "from": [{"source": {"notPrincipals": sorted({c.account.principal for c in export.consumers})}}],
                "when": [{"key": "connection.sni", "values": [f"*.{service}"], "notValues": [f"*_.{service}"]}],
            }
        ],
    }


def connect_after_handshake(export: ExportedService, selector: Mapping[str, str]) -> dict[str, Any]:
    """Return the spec of the EnvoyFilter with which a pod's sidecar connects to its server once TLS is agreed on.

    By itself Envoy does so with the first packet of a connection: whoever reaches the gateway could then use up
    the server's connections without a certificate. The setting is there from Envoy 1.37, Istio 1.29, on. And a
    handshake is given up after as long as Istio's gateways wait for one; its sidecars would wait for ever.
    """

    def patch(what: str, value: dict[str, Any], **chain: Any) -> dict[str, Any]:  # noqa: ANN401 — parts of a match
        listener = {"filterChain": {"destinationPort": export.port, **chain}}
        return {
            "applyTo": what,
            "match": {"context": "SIDECAR_INBOUND", "listener": listener},
            "patch": {"operation": "MERGE", "value": value},
        }

    proxy = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "upstream_connect_mode": "ON_DOWNSTREAM_TLS_HANDSHAKE",
        "max_early_data_bytes": 0,  # Envoy wants it said: nothing is read ahead for a server that speaks first
    }
    return {
        "workloadSelector": {"labels": dict(selector)},
        "configPatches": [
            patch("NETWORK_FILTER", {"typed_config": proxy}, filter={"name": "envoy.filters.network.tcp_proxy"}),
            patch("FILTER_CHAIN", {"transport_socket_connect_timeout": "15s"}),
        ],
    }


class ServiceExport(pulumi.ComponentResource):
    """One export of a site.

    Creates:
        - `ServiceEntry` for each pod, followed by its label whatever its address.
        - `Gateway` in Istio's namespace, with the pods' hosts and no wildcard.
        - `PeerAuthentication` STRICT on the pods.
        - `AuthorizationPolicy` that lets only the consumers in from other sites.
        - `EnvoyFilter`, if the protocol is TCP, that keeps the server from connections without a certificate.

    The StatefulSet and its headless Service are expected to be there, or are a workload of the site.
    """

    def __init__(self, name: str, args: ServiceExportArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:ServiceExport", name, {}, opts)
        export = args.export

        def create(
            kind: str, name_: str, namespace: str, spec: dict[str, Any], after: Sequence[pulumi.Resource]
        ) -> pulumi.Resource:
            return k8s.apiextensions.CustomResource(
                f"{name}-{kind}-{name_}".lower(),
                api_version=API_VERSIONS[kind],
                kind=kind,
                metadata=k8s.meta.v1.ObjectMetaArgs(name=name_, namespace=namespace),
                spec=spec,
                opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)),
            )

        ready = args.after
        local = export.namespace
        fence = [
            create("PeerAuthentication", f"{export.name}-strict", local, strict_mtls(args.selector), ready),
            create(
                "AuthorizationPolicy",
                f"{export.name}-consumers",
                local,
                consumers_only(export, args.selector),
                ready,
            ),
        ]
        if export.protocol == "TCP":
            spec = connect_after_handshake(export, args.selector)
            fence.append(create("EnvoyFilter", f"{export.name}-connect-after-handshake", local, spec, ready))
        for host in export.hosts:
            create("ServiceEntry", f"{export.name}.{pod_of(host)}", local, pod_service_entry(export, host), ready)
        create("Gateway", export.name, ISTIO_NAMESPACE, gateway_servers(export), fence)
        self.register_outputs({})
