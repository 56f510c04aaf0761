"""ServiceExport: makes the pods of one StatefulSet reachable from other sites, one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from dcmesh.model.gateway import GATEWAY_PORT
from dcmesh.model.istio import ISTIO_NAMESPACE
from dcmesh.model.link import ExportedService, pod_of, trust_domain_of

from ..mesh.gateway import labels_in

TYPE = "type.googleapis.com/envoy.extensions."

API_VERSIONS = {
    "AuthorizationPolicy": "security.istio.io/v1",
    "DestinationRule": "networking.istio.io/v1",
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
        gateways: what Gateways must depend on, by the namespace of the gateway: the site's, and for a while the one
            that it had before.
        connections: how many connections of other sites a host has at most, by each pod of the gateway. Default 50.
    """

    export: ExportedService
    selector: Mapping[str, str]
    after: Sequence[pulumi.Resource]
    gateways: Mapping[str, Sequence[pulumi.Resource]]
    connections: int = 50


def pod_service_entry(export: ExportedService, host: str, gateways: Sequence[str]) -> dict[str, Any]:
    """Return the spec of the ServiceEntry that gives one pod a host of its own.

    Without it a gateway knows only the headless Service as a whole, and spreads connections over its pods. Visible to
    the gateway's namespace alone: a sidecar that sees it would listen on the port for every address, and take in
    unrelated traffic.

    Args:
        export: the export.
        host: the pod's host.
        gateways: the namespaces of gateways that know it.
    """
    return {
        "hosts": [host],
        "exportTo": list(gateways),
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": export.port, "name": export.port_name, "protocol": export.protocol}],
        "workloadSelector": {"labels": {"statefulset.kubernetes.io/pod-name": pod_of(host)}},
    }


def gateway_servers(export: ExportedService, namespace: str) -> dict[str, Any]:
    """Return the spec of the Gateway, in a gateway's namespace, that passes on TLS for exactly the export's hosts.

    Each host has a server of its own: Istio leaves out a whole server if an older Gateway has one of its hosts.
    """
    return {
        "selector": labels_in(namespace),
        "servers": [
            {
                "port": {"number": GATEWAY_PORT, "name": f"tls-{export.name}-{pod_of(host)}", "protocol": "TLS"},
                "tls": {"mode": "AUTO_PASSTHROUGH"},
                "hosts": [host],
            }
            for host in export.hosts
        ],
    }


def connection_limit(host: str, connections: int) -> dict[str, Any]:
    """Return the spec of the DestinationRule, in a gateway's namespace, that limits the connections to one host.

    It is the gateway's alone: no other proxy sees it, nor the host.
    """
    return {
        "host": host,
        "exportTo": ["."],
        "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": connections}}},
    }


def strict_mtls(selector: Mapping[str, str]) -> dict[str, Any]:
    """Return the spec of the PeerAuthentication that ends plaintext to the exported pods.

    It also saves a server-first protocol such as MySQL's a wait: a permissive sidecar first waits for the client's
    bytes, to see whether it speaks TLS.
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
                "from": [{"source": {"notPrincipals": export.consumer_principals}}],
                "when": [{"key": "connection.sni", "values": [f"*.{service}"], "notValues": [f"*_.{service}"]}],
            }
        ],
    }


def connect_after_handshake(export: ExportedService, selector: Mapping[str, str]) -> dict[str, Any]:
    """Return the spec of the EnvoyFilter that keeps a pod's server from all connections but the consumers'.

    The pod's sidecar connects to the server once TLS is agreed on, and not for another of the mesh who has come through
    the gateway. By itself Envoy does so with the first packet of a connection: whoever reaches the gateway could then
    use up the server's connections without a certificate. And Istio's policy acts on a caller's first bytes, when a
    server that speaks first has spoken: with any certificate of the mesh one could use them up and say nothing. A
    handshake is given up after as long as Istio's gateways wait for one; its sidecars would wait for ever.

    Envoy has these settings from 1.37 on, which is Istio 1.29.
    """

    def patch(what: str, operation: str, value: dict[str, Any], **chain: Any) -> dict[str, Any]:  # noqa: ANN401 — parts of a match
        listener = {"filterChain": {"destinationPort": export.port, **chain}}
        return {
            "applyTo": what,
            "match": {"context": "SIDECAR_INBOUND", "listener": listener},
            "patch": {"operation": operation, "value": value},
        }

    proxy = {
        "@type": f"{TYPE}filters.network.tcp_proxy.v3.TcpProxy",
        "upstream_connect_mode": "ON_DOWNSTREAM_TLS_HANDSHAKE",
        "max_early_data_bytes": 0,  # Envoy wants it said: nothing is read ahead for a server that speaks first
    }
    cel = {"name": "envoy.formatter.cel", "typed_config": {"@type": f"{TYPE}formatter.cel.v3.Cel"}}
    # Where the proxy goes on to, in place of the pod's own port: nowhere. What is empty changes nothing.
    elsewhere = {
        "object_key": "envoy.network.transport_socket.original_dst_address",
        "format_string": {"text_format_source": {"inline_string": nowhere(export)}, "formatters": [cel]},
        "skip_if_empty": True,
    }
    checked = {
        "@type": f"{TYPE}filters.network.set_filter_state.v3.Config",
        "on_downstream_tls_handshake": [elsewhere],
    }
    tcp_proxy = {"name": "envoy.filters.network.tcp_proxy"}
    return {
        "workloadSelector": {"labels": dict(selector)},
        "configPatches": [
            patch("NETWORK_FILTER", "MERGE", {"typed_config": proxy}, filter=tcp_proxy),
            patch("FILTER_CHAIN", "MERGE", {"transport_socket_connect_timeout": "15s"}),
            patch(
                "NETWORK_FILTER",
                "INSERT_BEFORE",
                {"name": "dcmesh.consumers", "typed_config": checked},
                filter=tcp_proxy,
            ),
        ],
    }


def nowhere(export: ExportedService) -> str:
    """Return Envoy's format of an address that does not exist for a caller whom `consumers_only` denies, else none.

    It is the same rule, by the same names.
    """
    service = export.hosts[0].partition(".")[2]
    name, caller = "connection.requested_server_name", "connection.uri_san_peer_certificate"
    identities = ", ".join(f"'{identity}'" for identity in export.consumer_ids)
    from_outside = f"{name}.endsWith('.{service}') && !{name}.endsWith('_.{service}')"
    consumer = f"has({caller}) && {caller} in [{identities}]"
    return f"%CEL({from_outside} && !({consumer}) ? '127.0.0.1:0' : '')%"


def of_other_domains(export: ExportedService, selector: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the spec of the EnvoyFilter that lets consumers of other trust domains in; None if there are none.

    By itself a sidecar lets in only callers of its own mesh's trust domain and its aliases. They stay as they are: this
    is no lock of the consumers, which `consumers_only` and `connect_after_handshake` are. It is for pods that take
    mutual TLS alone: Envoy refuses a listener with a chain that has half of TLS.
    """
    # Of another than the mesh's own: it is there before an alias goes that lets them in, too.
    others = [identity for identity in export.consumer_ids if trust_domain_of(identity) != export.trust_domains[0]]
    if not others:
        return None
    names = [{"prefix": f"spiffe://{domain}/"} for domain in sorted(export.trust_domains)]
    names += [{"exact": of} for of in others]
    tls = {
        "@type": f"{TYPE}transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {
            "combined_validation_context": {
                "default_validation_context": {
                    "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": name} for name in names]
                }
            }
        },
    }
    chain = {"destinationPort": export.port, "transportProtocol": "tls"}
    match = {"context": "SIDECAR_INBOUND", "listener": {"filterChain": chain}}
    value = {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls}}
    return {
        "workloadSelector": {"labels": dict(selector)},
        "configPatches": [{"applyTo": "FILTER_CHAIN", "match": match, "patch": {"operation": "MERGE", "value": value}}],
    }


class ServiceExport(pulumi.ComponentResource):
    """One export of a site.

    Creates:
        - `ServiceEntry` for each pod, followed by its label whatever its address.
        - `Gateway` in the gateway's namespace, with the pods' hosts and no wildcard.
        - `DestinationRule` for each pod, there too, that limits the connections of other sites.
        - `PeerAuthentication` STRICT on the pods.
        - `AuthorizationPolicy` that lets only the consumers in from other sites.
        - `EnvoyFilter`, if the protocol is TCP, that keeps the server from all connections of other sites but
          the consumers'.
        - `EnvoyFilter` that lets in consumers of other trust domains, if there are any.

    The StatefulSet and its headless Service are expected to be there, or are a workload of the site.
    """

    def __init__(self, name: str, args: ServiceExportArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:ServiceExport", name, {}, opts)
        export = args.export

        def create(
            kind: str,
            name_: str,
            namespace: str,
            spec: dict[str, Any],
            after: Sequence[pulumi.Resource],
            inside: str = "",
        ) -> pulumi.Resource:
            return k8s.apiextensions.CustomResource(
                f"{name}-{kind}-{name_}{inside}".lower(),
                api_version=API_VERSIONS[kind],
                kind=kind,
                metadata=k8s.meta.v1.ObjectMetaArgs(name=name_, namespace=namespace),
                spec=spec,
                opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)),
            )

        ready, local, gateways = args.after, export.namespace, list(args.gateways)
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
        if others := of_other_domains(export, args.selector):
            fence.append(create("EnvoyFilter", f"{export.name}-trust-domains", local, others, [*ready, fence[0]]))
        for host in export.hosts:
            pod = pod_of(host)
            create("ServiceEntry", f"{export.name}.{pod}", local, pod_service_entry(export, host, gateways), ready)
        for namespace, there in args.gateways.items():
            # Resources are named by it, but for what dcmesh 0.1.0 has made: those of two gateways stand side by side.
            inside = "" if namespace == ISTIO_NAMESPACE else f".{namespace}"
            limits = [
                create(
                    "DestinationRule",
                    f"{export.name}.{pod_of(host)}",
                    namespace,
                    connection_limit(host, args.connections),
                    [*ready, *there],
                    inside=inside,
                )
                for host in export.hosts
            ]
            spec = gateway_servers(export, namespace)
            create("Gateway", export.name, namespace, spec, [*fence, *there, *limits], inside=inside)
        self.register_outputs({})
