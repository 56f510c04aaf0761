"""EgressImport: what another site exports, led through an egress gateway of this site."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from dcmesh.model.egress import LABELS, TRY_SECONDS, HostPort, name_for
from dcmesh.model.link import ExportedService, Link, port_names, server_name
from dcmesh.model.network_policy import NAMESPACE_NAME
from dcmesh.model.plan import ClientPlan

from ..mesh.entry_ports import by_port, led_to_gateway
from ..mesh.istio import merge
from ..mesh.service_import import export_destination_rule, host_service_entry


def clients_policy(clients: Sequence[ClientPlan], ports: Sequence[int]) -> dict[str, Any]:
    """Return the spec of the NetworkPolicy that lets clients in, at the ports of an import's hosts alone.

    Args:
        clients: the clients.
        ports: these ports.
    """

    def pods(client: ClientPlan) -> dict[str, Any]:
        selector = {"podSelector": {"matchLabels": dict(client.labels)}} if client.labels else {}
        return {"namespaceSelector": {"matchLabels": {NAMESPACE_NAME: client.namespace}}, **selector}

    return {
        "podSelector": {"matchLabels": LABELS},
        "policyTypes": ["Ingress"],
        "ingress": [
            {
                "from": [pods(client) for client in clients],
                "ports": [{"protocol": "TCP", "port": port} for port in sorted(ports)],
            }
        ],
    }


def host_service(export: ExportedService, ports: Sequence[int]) -> dict[str, Any]:
    """Return the spec of the Service that leads from a host's own ports to those at the egress gateway.

    Args:
        export: the export.
        ports: the egress gateway's port for each of its own.
    """
    names = port_names(of_bytes(export)).items()
    return {
        "type": "ClusterIP",
        "selector": LABELS,
        "ports": [
            {"name": name, "protocol": "TCP", "port": own, "targetPort": port}
            for (own, name), port in zip(names, ports, strict=True)
        ],
    }


def of_bytes(export: ExportedService) -> ExportedService:
    """Return the export as the egress gateway treats it: it passes on bytes, whatever protocol the server speaks."""
    return export.model_copy(update={"protocol": "TCP"})


NO_TRANSLATION = {"experimental.istio.io/disable-gateway-port-translation": "true"}
"""Labels of these Services. Without them Istio would confuse a Gateway's port with a Service's port of the same
number."""


ADDRESS = {"pulumi.com/waitFor": "jsonpath={.spec.clusterIP}"}
"""Annotations of these Services. By itself Pulumi waits ten seconds longer, for their pods to settle: these pods run
already."""


def outward(
    export: ExportedService, host: str, *, source: str, gateway: Sequence[str], gateway_port: int
) -> dict[str, Any]:
    """Return the spec of the ServiceEntry by which the egress gateway reaches the other site's gateway for a host."""
    export = of_bytes(export)
    of_sidecars = host_service_entry(export, host, vip="", gateway=gateway, gateway_port=gateway_port)
    entry = led_to_gateway(export, of_sidecars, gateway_port)
    return {key: value for key, value in entry.items() if key != "addresses"} | {"hosts": [server_name(host, source)]}


def outward_rule(export: ExportedService, host: str, *, source: str, gateways: int) -> dict[str, Any]:
    """Return the spec of the DestinationRule for a host: mutual TLS, by the server name that the link has for a port.

    Args:
        export: the export.
        host: which of its hosts.
        source: the exporting site.
        gateways: how many addresses the exporting site's gateway has.
    """
    policy = merge(
        export_destination_rule(export, gateways=gateways)["trafficPolicy"],
        {"connectionPool": {"tcp": {"connectTimeout": f"{TRY_SECONDS}s"}}},
    )
    return {
        "host": server_name(host, source),
        "exportTo": ["."],
        "trafficPolicy": by_port(export, host, policy),
    }


def server(host: str, ports: Sequence[int], *, source: str) -> dict[str, Any]:
    """Return the spec of the Gateway that opens a host's ports, for a route of the same namespace alone."""
    return {
        "selector": LABELS,
        "servers": [
            {
                "port": {"number": port, "name": f"tcp-{port}", "protocol": "TCP"},
                "hosts": [f"./{server_name(host, source)}"],
            }
            for port in ports
        ],
    }


def route(export: ExportedService, host: str, ports: Sequence[int], *, source: str) -> dict[str, Any]:
    """Return the spec of the VirtualService that leads from a host's ports to the other site."""
    there = server_name(host, source)
    return {
        "hosts": [there],
        "gateways": [name_for(host)],
        "exportTo": ["."],
        "tcp": [
            {
                "match": [{"port": port}],
                "route": [{"destination": {"host": there, "port": {"number": own}}}],
            }
            for own, port in zip(export.port_numbers, ports, strict=True)
        ],
    }


@dataclass(frozen=True, kw_only=True)
class EgressImportArgs:
    """Arguments of EgressImport.

    Attributes:
        source: name of the exporting site.
        link: its link: its gateway may be known only once it is there.
        export: which of its exports.
        namespace: namespace of the egress gateway.
        ports: its port for each host, and each port of that.
        clients: who may connect.
        after: what must be there first: the egress gateway.
        prefix: what the names of the hosts' objects in the stack begin with.
    """

    source: str
    link: pulumi.Input[Link]
    export: ExportedService
    namespace: str
    ports: Mapping[HostPort, int]
    clients: Sequence[ClientPlan]
    after: Sequence[pulumi.Resource]
    prefix: str


class EgressImport(pulumi.ComponentResource):
    """One import of a site that comes by an egress gateway.

    Creates, in the egress gateway's namespace:
        - `NetworkPolicy` that lets the clients in.
        - for each host a `Service`, `ServiceEntry`, `DestinationRule`, `Gateway` and `VirtualService`, named after
          the host alone: an import or export that is renamed leaves them as they are.
    """

    addresses: Mapping[str, pulumi.Output[str]]
    """By host, where it is reached in this cluster."""

    def __init__(self, name: str, args: EgressImportArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:EgressImport", name, {}, opts)
        export, source = args.export, args.source
        gateway = pulumi.Output.from_input(args.link).apply(lambda link: link.gateway)
        policy = k8s.networking.v1.NetworkPolicy(
            f"{name}-clients",
            metadata=k8s.meta.v1.ObjectMetaArgs(name=f"{source}.{export.name}", namespace=args.namespace),
            spec=clients_policy(args.clients, list(args.ports.values())),
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.after)),
        )
        child = pulumi.ResourceOptions(parent=self, depends_on=[*args.after, policy])

        def istio(kind: str, host: str, spec: pulumi.Input[dict[str, Any]]) -> pulumi.Resource:
            return k8s.apiextensions.CustomResource(
                f"{args.prefix}.{host}-{kind}".lower(),
                api_version="networking.istio.io/v1",
                kind=kind,
                metadata=k8s.meta.v1.ObjectMetaArgs(name=name_for(host), namespace=args.namespace),
                spec=spec,
                opts=child,
            )

        def service_entry(host: str) -> pulumi.Output[dict[str, Any]]:
            return gateway.apply(
                lambda gateway: outward(
                    export, host, source=source, gateway=gateway.addresses, gateway_port=gateway.port
                )
            )

        def rule(host: str) -> pulumi.Output[dict[str, Any]]:
            return gateway.apply(
                lambda gateway: outward_rule(export, host, source=source, gateways=len(gateway.addresses))
            )

        self.addresses = {}
        for host in export.hosts:
            ports = [args.ports[host, port] for port in export.port_numbers]
            service = k8s.core.v1.Service(
                f"{args.prefix}.{host}-service",
                metadata=k8s.meta.v1.ObjectMetaArgs(
                    name=name_for(host), namespace=args.namespace, labels=NO_TRANSLATION, annotations=ADDRESS
                ),
                spec=host_service(export, ports),
                opts=child,
            )
            self.addresses |= {host: service.spec.cluster_ip}
            istio("ServiceEntry", host, service_entry(host))
            istio("DestinationRule", host, rule(host))
            istio("Gateway", host, server(host, ports, source=source))
            istio("VirtualService", host, route(export, host, ports, source=source))
        self.register_outputs({})
