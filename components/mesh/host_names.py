"""HostNames: the names of other sites' hosts, in this cluster's own DNS."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from dcmesh.model.egress import name_for
from dcmesh.model.link import is_whole, pod_of, service_of

NOTHING_RUNS = {"hard": {"pods": "0", "persistentvolumeclaims": "0"}}
"""Spec of the ResourceQuota of a namespace of names: it goes with its last host, so it must hold no data."""


@dataclass(frozen=True, kw_only=True)
class NamedHost:
    """A host.

    Attributes:
        host: its name.
        ports: its ports.
        address: where it is reached in this cluster. None in a preview, as long as it is not known.
    """

    host: str
    ports: Sequence[int]
    address: pulumi.Output[str | None]


def headless(ports: Sequence[int]) -> dict[str, Any]:
    """Return the spec of a Service whose pods have names, and that selects none."""
    return {
        "clusterIP": "None",
        "ports": ports_of(ports),
    }


def ports_of(ports: Sequence[int]) -> list[dict[str, Any]]:
    """Return ports as a Service has them, and an EndpointSlice."""
    return [{"name": f"tcp-{port}", "protocol": "TCP", "port": port} for port in sorted(set(ports))]


def slice_of(host: str, ports: Sequence[int], address: str | None) -> dict[str, Any]:
    """Return the part of an EndpointSlice that gives a host an address.

    Args:
        host: the host.
        ports: its ports.
        address: the address. None in a preview, as long as the Service that will have it is not there.
    """
    # Of a Service as a whole the name is the Service's, which a hostname would stand before.
    hostname = {} if is_whole(host) else {"hostname": pod_of(host)}
    return {
        "addressType": f"IPv{ip_address(address).version}" if address else "IPv4",
        "ports": ports_of(ports),
        "endpoints": [{"addresses": [address], **hostname, "conditions": {"ready": True}}] if address else [],
    }


@dataclass(frozen=True, kw_only=True)
class HostNamesArgs:
    """Arguments of HostNames.

    Attributes:
        namespace: the namespace. It is created.
        hosts: the hosts in it.
    """

    namespace: str
    hosts: Sequence[NamedHost]


class HostNames(pulumi.ComponentResource):
    """A namespace like that of an exporting site, in which nothing runs: it gives hosts their real names here.

    Creates:
        - `Namespace`, with a `ResourceQuota` that keeps pods and volumes out of it.
        - a headless `Service` without selector for each that the hosts stand behind.
        - an `EndpointSlice` for each host.
    """

    def __init__(self, name: str, args: HostNamesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:HostNames", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        made = k8s.core.v1.Namespace(
            f"{name}-namespace", metadata=k8s.meta.v1.ObjectMetaArgs(name=args.namespace), opts=child
        )
        namespace = made.metadata.apply(lambda metadata: metadata.name or args.namespace)
        quota = k8s.core.v1.ResourceQuota(
            f"{name}-quota",
            metadata=k8s.meta.v1.ObjectMetaArgs(name="dcmesh-nothing-runs-here", namespace=namespace),
            spec=NOTHING_RUNS,
            opts=child,
        )
        inside = pulumi.ResourceOptions(parent=self, depends_on=[quota])
        ports = dict[str, list[int]]()
        for of in args.hosts:
            _, service = service_of(of.host)
            ports.setdefault(service, []).extend(of.ports)
            part = of.address.apply(partial(slice_of, of.host, of.ports))
            k8s.discovery.v1.EndpointSlice(
                f"{name}.{of.host}-endpointslice",
                metadata=k8s.meta.v1.ObjectMetaArgs(
                    name=name_for(of.host), namespace=namespace, labels=_of_service(service)
                ),
                address_type=part["addressType"],
                ports=part["ports"],
                endpoints=part["endpoints"],
                opts=inside,
            )
        for service, numbers in ports.items():
            k8s.core.v1.Service(
                f"{name}.{service}-service",
                metadata=k8s.meta.v1.ObjectMetaArgs(name=service, namespace=namespace),
                spec=headless(numbers),
                opts=inside,
            )
        self.register_outputs({})


def _of_service(service: str) -> Mapping[str, str]:
    return {"kubernetes.io/service-name": service, "endpointslice.kubernetes.io/managed-by": "dcmesh"}
