"""ServiceImport: makes the pods that another site exports reachable by name in one namespace of this site."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from dcmesh.model.addresses import is_ip
from dcmesh.model.link import ExportedService, Link, pod_of


def host_service_entry(
    export: ExportedService, host: str, *, vip: str, gateway: Sequence[str], gateway_port: int
) -> dict[str, Any]:
    """Return the spec of the ServiceEntry that leads one imported host to the other site's gateway.

    One for each host, with an address of its own: TCP carries no name, so the sidecar tells the hosts apart by
    the address alone, and two without one would share a listener and both end at the same pod.
    """
    return {
        "hosts": [host],
        "addresses": [vip],
        "exportTo": ["."],
        # The default is MESH_EXTERNAL, which turns mutual TLS off.
        "location": "MESH_INTERNAL",
        "resolution": "STATIC" if all(is_ip(address) for address in gateway) else "DNS",
        "ports": [{"number": export.port, "name": export.port_name, "protocol": export.protocol}],
        "endpoints": [
            {
                "address": address,
                "ports": {export.port_name: gateway_port},
                "labels": {"security.istio.io/tlsMode": "istio"},
            }
            for address in gateway
        ],
        # Without it any workload with a certificate of the shared root would pass for the exporter.
        "subjectAltNames": list(export.identities),
    }


def export_destination_rule(export: ExportedService, *, gateways: int) -> dict[str, Any]:
    """Return the spec of the DestinationRule for all hosts of an export.

    ISTIO_MUTUAL fails closed: whatever else is misconfigured, no plaintext leaves the site. The keepalive
    notices a gateway that has gone silent within 60 seconds and keeps firewalls from forgetting the connection.
    Where there are several gateways, one that refuses connections is left out for a while.

    Args:
        export: the export.
        gateways: how many addresses the exporting site's gateway has.
    """
    domain = export.hosts[0].partition(".")[2]
    policy: dict[str, Any] = {
        "tls": {"mode": "ISTIO_MUTUAL"},
        "connectionPool": {
            "tcp": {
                "connectTimeout": "5s",
                "tcpKeepalive": {"time": "30s", "interval": "10s", "probes": 3},
            }
        },
    }
    if gateways > 1:
        policy["outlierDetection"] = {
            "consecutive5xxErrors": 2,  # Envoy counts a failed TCP connection as one
            "interval": "2s",
            "baseEjectionTime": "30s",
            "maxEjectionPercent": 50,
        }
    return {"host": f"*.{domain}", "exportTo": ["."], "trafficPolicy": policy}


@dataclass(frozen=True, kw_only=True)
class ServiceImportArgs:
    """Arguments of ServiceImport.

    Attributes:
        source: name of the exporting site.
        link: its link: its gateway may be known only once it is there.
        export: which of its exports.
        namespace: where it is imported; only this namespace sees it.
        vips: the virtual address of each host, from `allot_vips`.
        after: what must be there first: the site's istiod, whose webhook checks Istio's objects, and the
            namespace.
    """

    source: str
    link: pulumi.Input[Link]
    export: ExportedService
    namespace: str
    vips: Mapping[str, str]
    after: Sequence[pulumi.Resource]


class ServiceImport(pulumi.ComponentResource):
    """One import of a site.

    Creates, in the importing namespace:
        - `ServiceEntry` for each host: its virtual address, the gateway behind it, the identity it must prove.
        - `DestinationRule`: mutual TLS without exception, keepalive and time-out.
    """

    resources: list[pulumi.Resource]
    """What a probe of the import must wait for."""

    def __init__(self, name: str, args: ServiceImportArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:ServiceImport", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self, depends_on=list(args.after))
        export, source = args.export, args.source
        gateway = pulumi.Output.from_input(args.link).apply(lambda link: link.gateway)

        def service_entry(host: str) -> pulumi.Output[dict[str, Any]]:
            return gateway.apply(
                lambda gateway: host_service_entry(
                    export, host, vip=args.vips[host], gateway=gateway.addresses, gateway_port=gateway.port
                )
            )

        self.resources = [
            k8s.apiextensions.CustomResource(
                f"{name}-destinationrule",
                api_version="networking.istio.io/v1",
                kind="DestinationRule",
                metadata=k8s.meta.v1.ObjectMetaArgs(name=f"{source}.{export.name}", namespace=args.namespace),
                spec=gateway.apply(lambda gateway: export_destination_rule(export, gateways=len(gateway.addresses))),
                opts=child,
            )
        ]
        self.resources += [
            k8s.apiextensions.CustomResource(
                f"{name}-serviceentry-{pod_of(host)}",
                api_version="networking.istio.io/v1",
                kind="ServiceEntry",
                metadata=k8s.meta.v1.ObjectMetaArgs(
                    name=f"{source}.{export.name}.{pod_of(host)}", namespace=args.namespace
                ),
                spec=service_entry(host),
                opts=child,
            )
            for host in export.hosts
        ]
        self.register_outputs({})
