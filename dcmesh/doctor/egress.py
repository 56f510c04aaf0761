"""The egress gateway: the cluster's DNS leads the host to it, and it leads the host to the other site."""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from dcmesh.doctor.findings import FindingKind, HopFinding
from dcmesh.doctor.fixes import catch_up, restore, restore_object
from dcmesh.doctor.hop import Hop
from dcmesh.doctor.walked_link import WalkedLink
from dcmesh.model.authorization import holding
from dcmesh.model.egress import EGRESS_NAME, LABELS, name_for
from dcmesh.model.facts import State
from dcmesh.model.istio_objects import Object, labels, name_of
from dcmesh.model.link import service_of

SERVICE = FindingKind("egress-service-missing", "no Service leads to the egress gateway for the host")
NAME = FindingKind("egress-name-missing", "the cluster's DNS does not know the host")
ELSEWHERE = FindingKind("egress-name-elsewhere", "the cluster's DNS leads the host past the egress gateway")
CLAIMED = FindingKind(
    "egress-name-claimed",
    "an EndpointSlice of somebody else's stands behind the Service that the host's name is of",
    State.WARNING,
)
PORT = FindingKind("egress-port-missing", "the egress gateway does not listen on the host's port")
ASTRAY = FindingKind("egress-port-elsewhere", "the egress gateway leads the host's port elsewhere")
UNFENCED = FindingKind("egress-open", "no NetworkPolicy closes the egress gateway to other pods", State.WARNING)


DENIED = FindingKind(
    "egress-denied", "an AuthorizationPolicy may deny the egress gateway's clients, who have no identity", State.WARNING
)


def judge_name(
    link: WalkedLink, service: Object | None, headless: Object | None, slices: Sequence[Object]
) -> Iterator[HopFinding]:
    """Yield what is wrong with the host's name in the cluster's DNS.

    Args:
        link: the link.
        service: the Service in front of the egress gateway.
        headless: the Service that the host's name is of.
        slices: the EndpointSlices of its namespace.
    """
    again = restore(link.consumer_site)
    namespace, behind = service_of(link.host)
    if not service:
        yield SERVICE(f"no Service {link.account.namespace}/{name_for(link.host)}", again)
        return
    own = [part for part in slices if part["metadata"]["name"] == name_for(link.host)]
    if not headless or not own:
        lacking = f"EndpointSlice {namespace}/{name_for(link.host)}" if headless else f"Service {namespace}/{behind}"
        yield NAME(f"no {lacking}", again)
        return
    wanted = service["spec"].get("clusterIP", "")
    for part in slices:
        if labels(part).get("kubernetes.io/service-name") != behind:
            continue
        found = [address for endpoint in part.get("endpoints") or () for address in endpoint["addresses"]]
        seen = f"EndpointSlice {name_of(part)}: {' '.join(found) or 'no address'}"
        if part in own and found != [wanted]:
            yield ELSEWHERE(f"{seen}; Service {name_of(service)}: {wanted}", again)
            return
        if labels(part).get("endpointslice.kubernetes.io/managed-by") != "dcmesh":
            yield CLAIMED(
                seen,
                f"Delete it: `kubectl delete endpointslice -n {name_of(part).replace('/', ' ')}`.",
            )


def _look_at_name(link: WalkedLink) -> Iterator[HopFinding]:
    side, (namespace, behind) = link.consumer, service_of(link.host)
    yield from judge_name(
        link,
        side.service(link.account.namespace, name_for(link.host)),
        side.service(namespace, behind),
        side.endpoint_slices(namespace),
    )


def judge_port(
    link: WalkedLink,
    service: Object | None,
    listeners: Sequence[Object],
    policies: Sequence[Object],
    left_out: Callable[[], str],
) -> Iterator[HopFinding]:
    """Yield what is wrong with the host's port at the egress gateway.

    Args:
        link: the link.
        service: the Service in front of it.
        listeners: the listeners of its Envoy.
        policies: the NetworkPolicies of its namespace.
        left_out: asks istiod how many servers of the port's Gateway it has left out; empty if none, or not known.
    """
    own = f"{link.account.namespace}/{name_for(link.host)}"
    if not service:
        return
    port = next((of["targetPort"] for of in service["spec"]["ports"] if of["port"] == link.export.port), None)
    if port is None:
        yield SERVICE(f"Service {own}: no port {link.export.port}", restore(link.consumer_site))
        return
    found = [listener for listener in listeners if listener.get("name") == f"0.0.0.0_{port}"]
    if not found:
        count = left_out()
        said = f"; istiod has left out servers of the Gateway {own}: {count}" if count else ""
        yield PORT(
            f"its Envoy has no listener 0.0.0.0_{port}{said}",
            f"{restore(link.consumer_site)} If that changes nothing: {catch_up(link.consumer_site)}",
        )
        return
    if f'"{link.cluster}"' not in json.dumps(found):
        leads = sorted({word for word in json.dumps(found).split('"') if word.startswith("outbound|")})
        yield ASTRAY(
            f"0.0.0.0_{port} of its Envoy leads to {' '.join(leads) or 'nothing'} instead of {link.cluster}",
            restore_object(link.consumer_site, "virtualservice", own, there=True),
        )
        return
    if EGRESS_NAME not in {policy["metadata"]["name"] for policy in policies}:
        yield UNFENCED(f"no NetworkPolicy {link.account.namespace}/{EGRESS_NAME}", restore(link.consumer_site))


def judge_policies(link: WalkedLink, policies: Sequence[Object]) -> Iterator[HopFinding]:
    """Yield the AuthorizationPolicies that may deny its clients. One of dcmesh's own allows them all."""
    for policy in holding(policies, link.account.namespace, LABELS):
        if policy["spec"].get("action") in ("DENY", "CUSTOM"):
            yield DENIED(
                f"AuthorizationPolicy {name_of(policy)}, {policy['spec']['action']}, holds for the egress gateway",
                "Give it a selector without the label istio: dcmesh-egress, or a rule of `notNamespaces` or `notPorts` "
                "that leaves the egress gateway out.",
            )


def _look_at_port(link: WalkedLink) -> Iterator[HopFinding]:
    side, namespace = link.consumer, link.account.namespace
    yield from judge_port(
        link,
        side.service(namespace, name_for(link.host)),
        side.dump(link.client, "dynamic_listeners"),
        side.listed(f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"),
        partial(side.left_out, f"{namespace}/{name_for(link.host)}"),
    )
    yield from judge_policies(link, side.istio("AuthorizationPolicy"))


NAMES = Hop(
    name="egress name",
    about="the cluster's DNS leads the host to the Service in front of the egress gateway, and nowhere else",
    side="consumer",
    kinds=(SERVICE, NAME, ELSEWHERE, CLAIMED),
    look=_look_at_name,
    egress="gateway",
)
PORTS = Hop(
    name="egress port",
    about="the egress gateway listens on the host's port, leads it to the host's cluster, and is closed to others",
    side="consumer",
    kinds=(SERVICE, PORT, ASTRAY, UNFENCED, DENIED),
    look=_look_at_port,
    egress="gateway",
)
