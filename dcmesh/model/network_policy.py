"""NetworkPolicies: whether those of a namespace let a connection in or out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dcmesh.model.istio_objects import Object, container_port, labels, name_of, selects

Labels = Mapping[str, str]

NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""Label of every namespace, with its name."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The other end of a connection: who connects, or who is connected to.

    Attributes:
        namespace: the namespace.
        namespace_labels: its labels.
        labels: the labels of the pods there.
    """

    namespace: str
    namespace_labels: Labels
    labels: Labels


OUTSIDE = Caller(namespace="", namespace_labels={}, labels={})
"""Somebody in another site, outside the cluster's network. Policies know it only by its address."""


def shutting_out(policies: Sequence[Object], pod: Object, caller: Caller, port: int) -> list[str]:
    """Return the policies that keep a caller from a port of a pod; empty if one lets it in, or none applies to the pod.

    A policy that lets in a range of addresses may mean the caller, so it counts as letting it in.
    """
    holding = [
        policy
        for policy in policies
        if "Ingress" in policy["spec"].get("policyTypes", ["Ingress"])
        and chooses(policy["spec"].get("podSelector"), labels(pod))
    ]
    rules = [rule for policy in holding for rule in policy["spec"].get("ingress") or ()]
    namespace = pod["metadata"]["namespace"]
    if any(_on_port(rule, pod, port) and _from(rule, namespace, caller) for rule in rules):
        return []
    return [name_of(policy) for policy in holding]


def keeping_in(policies: Sequence[Object], caller: Caller, there: Caller, port: int) -> list[str]:
    """Return the policies that keep a caller from a port elsewhere; empty if one lets it out, or none applies to it.

    Args:
        policies: the policies of its namespace.
        caller: who connects.
        there: who is connected to.
        port: the port there, behind any Service.
    """
    holding = [
        policy
        for policy in policies
        if "Egress" in policy["spec"].get("policyTypes", ())
        and chooses(policy["spec"].get("podSelector"), caller.labels)
    ]
    rules = [rule for policy in holding for rule in policy["spec"].get("egress") or ()]
    nameless: Object = {"spec": {"containers": []}}
    for rule in rules:
        peers = rule.get("to") or ()
        if _on_port(rule, nameless, port) and (not peers or any(_is(peer, caller.namespace, there) for peer in peers)):
            return []
    return [name_of(policy) for policy in holding]


def _from(rule: Mapping[str, Any], namespace: str, caller: Caller) -> bool:
    peers = rule.get("from") or ()
    return not peers or any(_is(peer, namespace, caller) for peer in peers)


def _is(peer: Mapping[str, Any], namespace: str, caller: Caller) -> bool:
    if "ipBlock" in peer or caller == OUTSIDE:
        return "ipBlock" in peer
    if "namespaceSelector" in peer:
        there = chooses(peer["namespaceSelector"], caller.namespace_labels)
    else:
        there = namespace == caller.namespace
    return there and chooses(peer.get("podSelector"), caller.labels)


def _on_port(rule: Mapping[str, Any], pod: Object, port: int) -> bool:
    ports = rule.get("ports") or ()
    return not ports or any(_has(entry, pod, port) for entry in ports)


def _has(entry: Mapping[str, Any], pod: Object, port: int) -> bool:
    if entry.get("protocol", "TCP") != "TCP":
        return False
    first = entry.get("port")
    if isinstance(first, str):
        return container_port(pod, first) == port
    return first is None or first <= port <= entry.get("endPort", first)


def chooses(selector: Mapping[str, Any] | None, of: Labels) -> bool:
    """Tell whether a selector of Kubernetes matches these labels. An empty one matches all."""
    selector = selector or {}
    return selects(selector.get("matchLabels"), of) and all(
        _holds(expression, of) for expression in selector.get("matchExpressions") or ()
    )


def _holds(expression: Mapping[str, Any], of: Labels) -> bool:
    there, values = of.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return there in values
        case "NotIn":
            return there not in values
        case "Exists":
            return there is not None
        case _:
            return there is None
