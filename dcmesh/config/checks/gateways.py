"""Gateways: whether the settings of a gateway fit together."""

from collections.abc import Iterator

from dcmesh.config.checks.configuration import Configuration
from dcmesh.config.checks.names import is_in_every_cluster
from dcmesh.config.errors import NOTHING, Finding
from dcmesh.model.istio import ISTIO_NAMESPACE
from dcmesh.model.settings import Gateway


def namespaces(configuration: Configuration) -> Iterator[Finding]:
    """Find namespaces for gateways that belong to somebody else, and moves from where no gateway is."""
    for path, site in configuration.sites:
        gateway, at = site.gateway, f"{path}.gateway"
        for key, name in (("namespace", gateway.namespace), ("formerNamespace", gateway.former_namespace)):
            if name in site.namespaces:
                advice = f"has workloads of {site.name} in it: a gateway has a namespace of its own, name another"
                yield Finding(f"{at}.{key}", name, advice, given=(path,))
            elif name and name != ISTIO_NAMESPACE and is_in_every_cluster(name):
                yield Finding(f"{at}.{key}", name, "exists in every cluster: name one for the gateway alone")
        former = gateway.former_namespace
        if not former:
            continue
        told = (configuration.before.get(site.name) or {}).get("gateway")
        if not gateway.namespace or gateway.namespace == former:
            advice = f"is where a gateway moves away from: set {at}.namespace to where it moves to"
            yield Finding(f"{at}.formerNamespace", former, advice)
        elif not told or told["namespace"] not in (former, gateway.namespace):
            where = f"it is in {told['namespace']}" if told else f"{site.name} has none yet"
            yield Finding(f"{at}.formerNamespace", former, f"is not where the gateway is: {where}")


def node_ports(configuration: Configuration) -> Iterator[Finding]:
    """Find node ports that lack something or have settings for load balancers, and load balancers with a node port."""
    for path, site in configuration.sites:
        gateway, at = site.gateway, f"{path}.gateway"
        if gateway.exposure != "nodeport":
            if gateway.node_port:
                advice = f"has no effect with exposure {gateway.exposure}: remove it, or choose exposure nodeport"
                yield Finding(f"{at}.nodePort", gateway.node_port, advice, given=(at,))
            continue
        if not gateway.node_port:
            advice = "is missing: exposure nodeport needs the port of every node that leads to the gateway"
            yield Finding(f"{at}.nodePort", NOTHING, advice)
        if not gateway.advertise:
            advice = (
                "is missing: exposure nodeport needs the addresses of nodes, by which other sites reach the gateway"
            )
            yield Finding(f"{at}.advertise", NOTHING, advice, given=(f"{at}.advertise",))
        for key, value in _load_balancer_wishes(gateway).items():
            if value:
                yield Finding(f"{at}.{key}", value, "is for load balancers: remove it, or choose another exposure")


def _load_balancer_wishes(gateway: Gateway) -> dict[str, object]:
    return {
        "loadBalancerIp": gateway.load_balancer_ip,
        "loadBalancerClass": gateway.load_balancer_class,
        "sourceRanges": gateway.source_ranges,
    }


def aws_addresses(configuration: Configuration) -> Iterator[Finding]:
    """Find addresses requested on AWS, whose load balancers heed annotations only."""
    for path, site in configuration.sites:
        if site.gateway.exposure.startswith("aws-") and site.gateway.load_balancer_ip:
            yield Finding(
                f"{path}.gateway.loadBalancerIp",
                site.gateway.load_balancer_ip,
                "has no effect on AWS: use the annotation service.beta.kubernetes.io/aws-load-balancer-eip-allocations "
                "or …-private-ipv4-addresses",
            )
