"""The listener: the consumer's sidecar takes connections to the host, and leads them to the host's cluster."""

import json
from collections.abc import Iterator, Sequence

from dcmesh.doctor.findings import FindingKind, HopFinding
from dcmesh.doctor.fixes import catch_up
from dcmesh.doctor.hop import Hop
from dcmesh.doctor.walked_link import WalkedLink
from dcmesh.model.istio_objects import Object, covers, name_of, visible

REROUTED = FindingKind("rerouted", "a VirtualService leads the host elsewhere")
MISSING = FindingKind("listener-missing", "the consumer's sidecar has no listener for the host's address")
ELSEWHERE = FindingKind("listener-elsewhere", "the consumer's sidecar leads the host's address elsewhere")


def judge(
    link: WalkedLink, address: str, *, services: Sequence[Object], listeners: Sequence[Object], routes: Sequence[Object]
) -> Iterator[HopFinding]:
    """Yield what is wrong with the listener.

    Args:
        link: the link.
        address: the host's virtual address.
        services: the VirtualServices of the cluster.
        listeners: the listeners of the consumer's Envoy.
        routes: its routes.
    """
    name = f"{address}_{link.export.port}"
    if link.export.protocol == "HTTP":
        name = f"route {link.export.port}, virtual host {link.host}"
        found = [
            virtual
            for route in routes
            for virtual in route.get("route_config", {}).get("virtual_hosts", ())
            if link.host in virtual.get("domains", ())
        ]
    else:
        found = [listener for listener in listeners if listener.get("name") == name]
    if any(f'"{link.cluster}"' in json.dumps(part) for part in found):
        return
    for service in services:
        pattern = next((host for host in service["spec"].get("hosts", ()) if covers(host, link.host)), None)
        if pattern and visible(service, link.account.namespace):
            yield REROUTED(
                f"VirtualService {name_of(service)} has the host {pattern}",
                f"Delete it: `kubectl delete virtualservice -n {name_of(service).replace('/', ' ')}`.",
            )
            return
    if not found:
        yield MISSING(f"its Envoy has no {name}, though the ServiceEntry is there", catch_up(link.consumer_site))
        return
    leads = sorted({word for part in found for word in json.dumps(part).split('"') if word.startswith("outbound|")})
    yield ELSEWHERE(
        f"{name} of its Envoy leads to {' '.join(leads) or 'nothing'} instead of {link.cluster}",
        f"Delete what else claims the address or the host: `kubectl get serviceentry,virtualservice,envoyfilter -A` "
        f"at {link.consumer_site} shows it.",
    )


def _look(link: WalkedLink) -> Iterator[HopFinding]:
    side, pod, entry = link.consumer, link.client, link.entry
    if entry:
        yield from judge(
            link,
            entry["spec"]["addresses"][0],
            services=side.istio("VirtualService"),
            listeners=side.dump(pod, "dynamic_listeners"),
            routes=side.dump(pod, "dynamic_route_configs"),
        )


HOP = Hop(
    name="listener",
    about="the consumer's sidecar has a listener (for HTTP a route) for the host, which leads to the host's cluster",
    side="consumer",
    kinds=(REROUTED, MISSING, ELSEWHERE),
    look=_look,
    egress="sidecar",
)
