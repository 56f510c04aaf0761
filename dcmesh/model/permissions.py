"""The rights that dcmesh needs in a cluster: the one list from which docs/permissions.md is written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class Right(NamedTuple):
    """One verb for one resource."""

    group: str
    resource: str
    verb: str


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What may be done with some resources of an API group.

    Attributes:
        group: the API group; empty for the core.
        resources: its resources, some with a subresource.
        verbs: what may be done.
        why: what it is for.
        seen: whether an audit log shows that it was made use of.
    """

    group: str
    resources: Sequence[str]
    verbs: Sequence[str]
    why: str
    seen: bool = True


WATCHED = ("get", "list", "watch")
"""What Pulumi asks for of what it deletes, or waits for."""

ANY_ISTIO: Sequence[Rule] = (
    Rule(
        group="",
        resources=["namespaces", "resourcequotas"],
        verbs=[*WATCHED, "create", "patch", "delete"],
        why="dcmesh's own",
    ),
    Rule(
        group="",
        resources=["configmaps", "serviceaccounts"],
        verbs=[*WATCHED, "create", "patch", "delete"],
        why="workloads; what Istio's charts make",
    ),
    Rule(
        group="",
        resources=["secrets"],
        verbs=[*WATCHED, "create", "patch", "update", "delete"],
        why="passwords, certificates, Helm's releases",
    ),
    Rule(
        group="",
        resources=["services"],
        verbs=[*WATCHED, "create", "patch", "delete"],
        why="workloads, gateways",
    ),
    Rule(
        group="",
        resources=["pods"],
        verbs=[*WATCHED, "create"],
        why="what is there; `create` by dry runs alone: whether they would be let in",
    ),
    Rule(group="", resources=["pods/exec"], verbs=["get"], why="proxies and databases are asked"),
    Rule(
        group="",
        resources=["persistentvolumeclaims"],
        verbs=[*WATCHED, "create", "patch"],
        why="databases' volumes",
    ),
    Rule(group="", resources=["nodes"], verbs=["list"], why="networks, kernels; without it `up` warns"),
    Rule(
        group="", resources=["endpoints", "events"], verbs=["list", "watch"], why="Pulumi waits for Services and pods"
    ),
    Rule(
        group="apps",
        resources=["deployments"],
        verbs=[*WATCHED, "create", "patch", "delete"],
        why="gateways, `hello-client`; istiod is looked at",
    ),
    Rule(
        group="apps",
        resources=["statefulsets"],
        verbs=[*WATCHED, "create", "patch", "delete"],
        why="workloads, exports",
    ),
    Rule(group="apps", resources=["replicasets"], verbs=["list", "watch"], why="Pulumi waits for Deployments"),
    Rule(group="batch", resources=["jobs"], verbs=[*WATCHED, "create", "patch", "delete"], why="probes"),
    Rule(
        group="coordination.k8s.io",
        resources=["leases"],
        verbs=["get", "create", "delete"],
        why="which run has a Helm release in hand",
    ),
    Rule(
        group="discovery.k8s.io",
        resources=["endpointslices"],
        verbs=[*WATCHED, "create", "patch", "delete"],
        why="hosts by egress gateways",
    ),
    Rule(
        group="networking.k8s.io",
        resources=["networkpolicies"],
        verbs=[*WATCHED, "create", "patch", "delete"],
        why="egress gateways; what shuts a link",
    ),
    Rule(
        group="networking.istio.io",
        resources=[
            "destinationrules",
            "envoyfilters",
            "gateways",
            "serviceentries",
            "sidecars",
            "virtualservices",
        ],
        verbs=[*WATCHED, "create", "patch", "delete"],
        why="exports, imports; others' objects",
    ),
    Rule(
        group="security.istio.io",
        resources=["authorizationpolicies", "peerauthentications"],
        verbs=[*WATCHED, "create", "patch", "delete"],
        why="exports; others' objects",
    ),
    Rule(
        group="policy",
        resources=["poddisruptionbudgets"],
        verbs=["get", "create", "delete"],
        why="gateways of several pods",
    ),
    Rule(
        group="rbac.authorization.k8s.io",
        resources=["roles", "rolebindings"],
        verbs=["get", "create", "delete"],
        why="a gateway's account may read Secrets of its namespace",
    ),
    Rule(group="", resources=["pods/exec"], verbs=["create"], why="asked for besides from 1.35 on", seen=False),
    Rule(
        group="networking.istio.io",
        resources=["proxyconfigs"],
        verbs=[*WATCHED, "create", "patch", "delete"],
        why="imports with a `selector`",
        seen=False,
    ),
    Rule(group="storage.k8s.io", resources=["storageclasses"], verbs=["get"], why="volumes that grow", seen=False),
    Rule(
        group="rbac.authorization.k8s.io",
        resources=["roles", "rolebindings"],
        verbs=["patch"],
        why="another version of Istio",
        seen=False,
    ),
    Rule(
        group="policy",
        resources=["poddisruptionbudgets"],
        verbs=["patch"],
        why="another version of Istio",
        seen=False,
    ),
)
"""What dcmesh needs of any cluster."""

OWN_ISTIO: Sequence[Rule] = (
    Rule(
        group="admissionregistration.k8s.io",
        resources=["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
        verbs=["get", "create", "delete"],
        why="istiod's",
    ),
    Rule(
        group="apiextensions.k8s.io",
        resources=["customresourcedefinitions"],
        verbs=["get", "create"],
        why="Istio's; they stay when it is removed",
    ),
    Rule(
        group="rbac.authorization.k8s.io",
        resources=["clusterroles", "clusterrolebindings"],
        verbs=["get", "create", "delete"],
        why="istiod's",
    ),
    Rule(
        group="rbac.authorization.k8s.io",
        resources=["roles", "clusterroles"],
        verbs=["escalate", "bind"],
        why="istiod has rights that this user has not",
        seen=False,
    ),
    Rule(
        group="admissionregistration.k8s.io",
        resources=["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
        verbs=["patch"],
        why="another version of Istio",
        seen=False,
    ),
    Rule(
        group="apiextensions.k8s.io",
        resources=["customresourcedefinitions"],
        verbs=["patch"],
        why="another version of Istio",
        seen=False,
    ),
    Rule(
        group="rbac.authorization.k8s.io",
        resources=["clusterroles", "clusterrolebindings"],
        verbs=["patch"],
        why="another version of Istio",
        seen=False,
    ),
)
"""What it needs besides where it installs Istio."""


def rights(rules: Iterable[Rule]) -> set[Right]:
    """Return each right of some rules."""
    return {Right(rule.group, of, verb) for rule in rules for of in rule.resources for verb in rule.verbs}


def cluster_role(*, own_istio: bool) -> dict[str, Any]:
    """Return a ClusterRole with all rights.

    Args:
        own_istio: whether dcmesh installs Istio.
    """
    rules = [*ANY_ISTIO, *(OWN_ISTIO if own_istio else ())]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "dcmesh-with-istio" if own_istio else "dcmesh"},
        "rules": [
            {"apiGroups": [rule.group], "resources": [*rule.resources], "verbs": [*rule.verbs]} for rule in rules
        ],
    }
