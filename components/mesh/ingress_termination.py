"""IngressExport: makes pods reachable from other sites at ports of their sidecars' own; all else stays as it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from dcmesh.model.ingress_port import guard
from dcmesh.model.istio import ISTIO_NAMESPACE
from dcmesh.model.link import ExportedService, port_names
from dcmesh.model.object_names import ingress_name

from ..mesh.entry_ports import entry_ports
from ..mesh.gateway_termination import named_entry
from ..mesh.local_clients import plaintext_rule
from ..mesh.service_export import API_VERSIONS, connection_limit, gateway_servers


@dataclass(frozen=True, kw_only=True)
class IngressExportArgs:
    """Arguments of IngressExport.

    Attributes:
        export: what is exported.
        ingress: for each of its ports the sidecars'.
        selector: labels of the pods whose sidecars are there for the export.
        imports: whether the pods' namespace imports anything by sidecars.
        after: what must be there first: the site's istiod, whose webhook checks Istio's objects, and the namespace.
        gateways: what Gateways must depend on, by the namespace of the gateway: the site's, and for a while the one
            that it had before.
        services: Services that lead to the pods and that the workload has not handled itself. Default: none.
        connections: how many connections of other sites a port of a host has at most, by each pod of the gateway.
            Default 50.
    """

    export: ExportedService
    ingress: Mapping[int, int]
    selector: Mapping[str, str]
    imports: bool
    after: Sequence[pulumi.Resource]
    gateways: Mapping[str, Sequence[pulumi.Resource]]
    services: Sequence[str] = ()
    connections: int = 50


def ingress_listeners(
    export: ExportedService, ingress: Mapping[int, int], selector: Mapping[str, str], *, imports: bool
) -> dict[str, Any]:
    """Return the spec of the Sidecar that gives the pods their ingress ports, which lead to no server by themselves.

    What comes in goes on to the same port of the pod, where nothing listens; the EnvoyFilter leads it to the server's.
    If the EnvoyFilter is deleted, the port is closed. The server sees 127.0.0.6 as its client, and not 127.0.0.1, which
    it may trust.

    Args:
        export: the export.
        ingress: for each of its ports the sidecars'.
        selector: the pods' labels.
        imports: whether something goes out by the sidecars.
    """
    return {
        "workloadSelector": {"labels": dict(selector)},
        "ingress": [
            {"port": {"number": ingress[port], "protocol": export.protocol, "name": name}}
            for port, name in port_names(export).items()
        ],
        # Without it the pods would get the configuration of all Services.
        "egress": [{"hosts": ["./*", f"{ISTIO_NAMESPACE}/*"] if imports else ["~/*"]}],
    }


def strict_at(ingress: Mapping[int, int], selector: Mapping[str, str]) -> dict[str, Any]:
    """Return the spec of the PeerAuthentication that ends plaintext at the ingress ports, and leaves others alone."""
    return {
        "selector": {"matchLabels": dict(selector)},
        "portLevelMtls": {str(port): {"mode": "STRICT"} for port in ingress.values()},
    }


def others_denied(export: ExportedService, ingress: Mapping[int, int], selector: Mapping[str, str]) -> dict[str, Any]:
    """Return the spec of the AuthorizationPolicy that refuses all but the consumers: a second lock.

    It still holds if some future Istio adds names of its own to those of the EnvoyFilter.
    """
    return {
        "selector": {"matchLabels": dict(selector)},
        "action": "DENY",
        "rules": [
            {
                "from": [{"source": {"notPrincipals": export.consumer_principals}}],
                "to": [{"operation": {"ports": [str(port) for port in ingress.values()]}}],
            }
        ],
    }


def allowed_at(ingress: Mapping[int, int], selector: Mapping[str, str]) -> dict[str, Any]:
    """Return the spec of the AuthorizationPolicy that lets in where the mesh allows nothing by default.

    It shuts nobody out: the sidecars take in these ports alone.
    """
    return {
        "selector": {"matchLabels": dict(selector)},
        "action": "ALLOW",
        "rules": [{"to": [{"operation": {"ports": [str(port) for port in ingress.values()]}}]}],
    }


def ingress_entry(
    export: ExportedService, host: str, ingress: Mapping[int, int], gateways: Sequence[str]
) -> dict[str, Any]:
    """Return the spec of the ServiceEntry that leads the gateway from a host's ports to its sidecar's.

    Istio goes by a container's port of the same name before it goes by `targetPort`: so they have names that are too
    long for a container's.
    """
    ports = [
        {**port, "name": f"{port['name']}-dcmesh-ingress", "targetPort": ingress[port["number"]]}
        for port in entry_ports(export)
    ]
    return {**named_entry(export, host, gateways), "ports": ports}


def passing_servers(export: ExportedService, namespace: str) -> dict[str, Any]:
    """Return the spec of the Gateway that passes on TLS for exactly the names of the export's hosts."""
    return gateway_servers(export.model_copy(update={"hosts": export.server_names, "server_names": ()}), namespace)


class IngressExport(pulumi.ComponentResource):
    """One export of a site, whose TLS ends at ingress ports of its pods' sidecars. Their other ports stay as they are.

    Creates in the pods' namespace:
        - `PeerAuthentication` STRICT at the ingress ports alone.
        - `EnvoyFilter`, after it and gone before it, that alone leads from the ingress ports to the server, turns away
          all but the consumers in the handshake, and connects to the server after that.
        - `AuthorizationPolicy` that denies all but the consumers there, and another that allows them.
        - `Sidecar` with a listener for each ingress port, when these are locked.
        - `ServiceEntry` for each pod, followed by its label whatever its address.
        - `DestinationRule` for each of the Services that lead to the pods: the site's own clients speak plaintext with
          them, as no sidecar takes in those ports.

    And in the gateway's namespace:
        - `DestinationRule` for each pod that limits the connections of other sites, to each port.
        - `Gateway` with the pods' names there.

    The StatefulSet and its headless Service are expected to be there, or are a workload of the site.
    """

    def __init__(self, name: str, args: IngressExportArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:IngressExport", name, {}, opts)
        export, ingress, selector = args.export, args.ingress, args.selector
        own, local = ingress_name(export), export.namespace

        def create(
            kind: str,
            name_: str,
            spec: dict[str, Any],
            after: Sequence[pulumi.Resource],
            namespace: str = local,
        ) -> pulumi.Resource:
            inside = "" if namespace == local else f".{namespace}"
            return k8s.apiextensions.CustomResource(
                f"{name}-{kind}-{name_}{inside}".lower(),
                api_version=API_VERSIONS.get(kind, "networking.istio.io/v1"),
                kind=kind,
                metadata=k8s.meta.v1.ObjectMetaArgs(name=name_, namespace=namespace),
                spec=spec,
                opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)),
            )

        strict = create("PeerAuthentication", own, strict_at(ingress, selector), args.after)
        fence = [
            strict,
            create("EnvoyFilter", own, guard(export, ingress, selector), [*args.after, strict]),
            create("AuthorizationPolicy", own, others_denied(export, ingress, selector), args.after),
        ]
        listening = [
            *fence,
            create("AuthorizationPolicy", f"{own}-allowed", allowed_at(ingress, selector), fence),
            create("Sidecar", own, ingress_listeners(export, ingress, selector, imports=args.imports), fence),
        ]
        for service in args.services:
            create("DestinationRule", f"{own}.{service}", plaintext_rule(service, local), args.after)
        entries = [
            create("ServiceEntry", served, ingress_entry(export, host, ingress, list(args.gateways)), args.after)
            for host, served in export.served.items()
        ]
        for namespace, there in args.gateways.items():
            limits = [
                create(
                    "DestinationRule",
                    served,
                    connection_limit(served, args.connections),
                    [*args.after, *there],
                    namespace,
                )
                for served in export.served.values()
            ]
            spec = passing_servers(export, namespace)
            create("Gateway", own, spec, [*listening, *entries, *there, *limits], namespace)
        self.register_outputs({})
