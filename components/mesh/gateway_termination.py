"""GatewayTermination: makes pods, or a Service, reachable from other sites. The callers' TLS ends at the gateway."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from dcmesh.model.gateway import GATEWAY_PORT
from dcmesh.model.link import POD_NAME, ExportedService, is_whole, pod_of
from dcmesh.model.object_names import gateway_name

from ..mesh.entry_ports import entry_ports
from ..mesh.gateway import labels_in
from ..mesh.service_export import API_VERSIONS, TYPE, connection_limit

WITH_IDENTITY = "dcmesh-with-identity"
"""Name of the AuthorizationPolicy of a gateway that ends TLS."""


@dataclass(frozen=True, kw_only=True)
class GatewayTerminationArgs:
    """Arguments of GatewayTermination.

    Attributes:
        site: the exporting site.
        export: what is exported.
        after: what must be there first: the site's istiod, whose webhook checks Istio's objects, and the namespace.
        gateways: what objects at a gateway must depend on, by its namespace: the site's, and for a while the one that
            it had before.
        pod_label: the label that tells its pods apart. Default: that of the pods of StatefulSets.
        connections: how many connections of other sites a port of a host has at most, by each pod of the gateway.
            Default 50.
    """

    site: str
    export: ExportedService
    after: Sequence[pulumi.Resource]
    gateways: Mapping[str, Sequence[pulumi.Resource]]
    pod_label: str = POD_NAME
    connections: int = 50


def named_entry(
    export: ExportedService, host: str, gateways: Sequence[str], pod_label: str = POD_NAME
) -> dict[str, Any]:
    """Return the spec of the ServiceEntry that gives a pod a name at the gateway, which no Service can have.

    No proxy but the gateway's sees it.

    Args:
        export: the export.
        host: the pod's host.
        gateways: the namespaces of gateways that know it.
        pod_label: the label whose value is the pod's name.
    """
    return {
        "hosts": [export.base_name(host)],
        "exportTo": list(gateways),
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": entry_ports(export),
        "workloadSelector": {"labels": {pod_label: pod_of(host)}},
    }


def ending_server(export: ExportedService, host: str, namespace: str) -> dict[str, Any]:
    """Return the spec of the Gateway, in a gateway's namespace, that ends the consumers' TLS for a host's port.

    `./` keeps VirtualServices of other namespaces from leading it elsewhere.
    """
    name = export.served[host]
    return {
        "selector": labels_in(namespace),
        "servers": [
            {
                "port": {"number": GATEWAY_PORT, "name": f"tls-{name}", "protocol": "TLS"},
                "tls": {"mode": "ISTIO_MUTUAL", "subjectAltNames": export.consumer_ids},
                "hosts": [f"./{name}"],
            }
        ],
    }


def route(export: ExportedService, host: str) -> dict[str, Any]:
    """Return the spec of the VirtualService that leads a port's server to the host's pod, or the Service as a whole."""
    name = export.served[host]
    return {
        "hosts": [name],
        "gateways": [gateway_name(name)],
        "exportTo": ["."],
        "tcp": [
            {
                "match": [{"port": GATEWAY_PORT}],
                "route": [{"destination": {"host": export.behind_gateway(host), "port": {"number": export.port}}}],
            }
        ],
    }


def consumers_in_handshake(export: ExportedService, host: str, namespace: str) -> dict[str, Any]:
    """Return the spec of the EnvoyFilter that turns away all but the consumers before the server hears of them.

    The gateway connects to the server once TLS is agreed on, and agrees on it with the consumers alone. The Gateway's
    own `subjectAltNames` looks at names of every kind: at a DNS name, too, that reads like an identity.
    """

    def patch(what: str, value: dict[str, Any], **chain: Any) -> dict[str, Any]:  # noqa: ANN401 — parts of a match
        listener = {"portNumber": GATEWAY_PORT, "filterChain": {"sni": export.served[host], **chain}}
        match = {"context": "GATEWAY", "listener": listener}
        return {"applyTo": what, "match": match, "patch": {"operation": "MERGE", "value": value}}

    names = [{"san_type": "URI", "matcher": {"exact": identity}} for identity in export.consumer_ids]
    tls = {
        "@type": f"{TYPE}transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {
            "combined_validation_context": {"default_validation_context": {"match_typed_subject_alt_names": names}}
        },
    }
    proxy = {
        "@type": f"{TYPE}filters.network.tcp_proxy.v3.TcpProxy",
        "upstream_connect_mode": "ON_DOWNSTREAM_TLS_HANDSHAKE",
        "max_early_data_bytes": 0,  # Envoy wants it said: nothing is read ahead for a server that speaks first
        "idle_timeout": "0s",  # a replica may have nothing to say for longer than Envoy's hour
    }
    return {
        "workloadSelector": {"labels": labels_in(namespace)},
        "configPatches": [
            patch("NETWORK_FILTER", {"typed_config": proxy}, filter={"name": "envoy.filters.network.tcp_proxy"}),
            # Istio merges nothing else of a patch that has a transport socket; its gateways wait 15 s for a handshake.
            patch("FILTER_CHAIN", {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls}}),
        ],
    }


def with_identity(site: str, namespace: str) -> dict[str, Any]:
    """Return the spec of the AuthorizationPolicy that lets in callers who prove an identity and name an exported host.

    It lets the consumers in where the mesh allows nothing by default, and nobody by a server name that somebody else's
    Gateway has. It names no consumer: with every change of a policy Envoy closes, after its drain time, all connections
    for which it holds, and here these are all exports'.
    """
    return {
        "selector": {"matchLabels": labels_in(namespace)},
        "action": "ALLOW",
        "rules": [
            {
                "from": [{"source": {"principals": ["*"]}}],
                "when": [{"key": "connection.sni", "values": [f"*.{site}.dcmesh"]}],
            }
        ],
    }


def gateway_policy(
    site: str, namespace: str, after: Sequence[pulumi.Resource], opts: pulumi.ResourceOptions
) -> pulumi.Resource:
    """Create the AuthorizationPolicy of a gateway that ends TLS, and return it."""
    return k8s.apiextensions.CustomResource(
        f"{site}-gateway.{namespace}-with-identity",
        api_version=API_VERSIONS["AuthorizationPolicy"],
        kind="AuthorizationPolicy",
        metadata=k8s.meta.v1.ObjectMetaArgs(name=WITH_IDENTITY, namespace=namespace),
        spec=with_identity(site, namespace),
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=list(after))),
    )


class GatewayTermination(pulumi.ComponentResource):
    """One export of a site, for the consumers of which the gateway ends TLS. Their pods are left as they are.

    Creates for each host, named by its name at the gateway:
        - `ServiceEntry` in the exporter's namespace, followed by the pod's label whatever its address. None for a
          Service as a whole.
        - `DestinationRule` in the gateway's namespace that limits the connections of other sites, to each port.

    And for each port of a host, named by the port's name at the gateway, or in the case of a Gateway by a digest of
    that name:
        - `EnvoyFilter` there that turns away all but the consumers in the handshake, and connects to the server after
          that.
        - `VirtualService` and `Gateway` there.

    An object of a host has the same name in the stack whatever its export is called: one that is renamed keeps them.
    """

    def __init__(self, name: str, args: GatewayTerminationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:GatewayTermination", name, {}, opts)
        for host in args.export.hosts:
            self._host(args, host)
        self.register_outputs({})

    def _host(self, args: GatewayTerminationArgs, host: str) -> None:
        export, base = args.export, args.export.base_name(host)

        def create(
            kind: str, namespace: str, spec: dict[str, Any], after: Sequence[pulumi.Resource], served: str = base
        ) -> pulumi.Resource:
            return k8s.apiextensions.CustomResource(
                f"{args.site}.{served}-{kind}.{namespace}".lower(),
                api_version=API_VERSIONS.get(kind, "networking.istio.io/v1"),
                kind=kind,
                metadata=k8s.meta.v1.ObjectMetaArgs(
                    name=gateway_name(served) if kind == "Gateway" else served, namespace=namespace
                ),
                spec=spec,
                opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)),
            )

        entries = []
        if not is_whole(host):
            spec = named_entry(export, host, list(args.gateways), args.pod_label)
            entries = [create("ServiceEntry", export.namespace, spec, args.after)]
        for namespace, there in args.gateways.items():
            ready = [*args.after, *there]
            limit = connection_limit(export.behind_gateway(host), args.connections)
            before = [*entries, create("DestinationRule", namespace, limit, ready)]
            for of in export.by_port:
                name = of.served[host]
                first = [
                    *before,
                    create("EnvoyFilter", namespace, consumers_in_handshake(of, host, namespace), ready, name),
                    create("VirtualService", namespace, route(of, host), ready, name),
                ]
                create("Gateway", namespace, ending_server(of, host, namespace), first, name)
