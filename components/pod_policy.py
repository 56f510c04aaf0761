"""What a site requires of all pods that dcmesh makes in it: Pod Security's `restricted`, and Secrets to pull images by.

The probes satisfy `restricted` anyway. All others, those of Istio's charts too, lack at least the seccomp profile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from dcmesh.model.security_contexts import CONFINED, NOBODY, SECCOMP

ISTIOD = {**SECCOMP, "global": {"proxy": SECCOMP}}
"""Values of the chart `istiod` for `restricted`: its own pods, and the sidecars."""

GATEWAY = {
    "securityContext": {
        # What the chart sets if nothing else is said.
        "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
        **SECCOMP,
    }
}
"""Values of the chart `gateway` for `restricted`."""

WITH_PODS = ("kubernetes:apps/v1:Deployment", "kubernetes:apps/v1:StatefulSet", "kubernetes:batch/v1:Job")
"""Types of the objects that make pods from a template."""


@dataclass(frozen=True, kw_only=True)
class PodPolicy:
    """A transformation of all Deployments, StatefulSets and Jobs. Without wishes it changes nothing.

    Attributes:
        restricted: whether their pods are to satisfy `restricted`.
        pull_secrets: Secrets in their namespaces with credentials for the registry.
    """

    restricted: bool
    pull_secrets: Sequence[str]

    def __call__(self, args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        """Lay the wishes over the template of the pods. Their own security contexts stay."""
        if args.type_ not in WITH_PODS or not (self.restricted or self.pull_secrets):
            return None
        spec = pulumi.Output.from_input(args.props["spec"]).apply(self._with_pods)
        return pulumi.ResourceTransformationResult({**args.props, "spec": spec}, args.opts)

    def _with_pods(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        template = spec["template"]
        pod = template["spec"]
        if self.restricted:
            pod = restricted_pod(pod)
        if self.pull_secrets:
            pod = {**pod, "imagePullSecrets": [{"name": name} for name in self.pull_secrets]}
        return {**spec, "template": {**template, "spec": pod}}


def restricted_pod(pod: Mapping[str, Any]) -> dict[str, Any]:
    """Return the spec of a pod as one that satisfies `restricted`. Who has no user of its own is nobody."""
    own = pod.get("securityContext", {})
    user = {} if "runAsUser" in own else {"runAsUser": NOBODY, "runAsGroup": NOBODY}
    containers = {
        kind: [
            {**container, "securityContext": {**user, **CONFINED, **container.get("securityContext", {})}}
            for container in pod[kind]
        ]
        for kind in ("initContainers", "containers")
        if kind in pod
    }
    return {**pod, "securityContext": {**SECCOMP, **own}, **containers}
