"""Databases that are to lose their sidecars: first no policy may refuse pods without one."""

from collections.abc import Iterator

from dcmesh.config.errors import Finding, Remark
from dcmesh.kube.read_rights import Allowed
from dcmesh.model import settings as model
from dcmesh.model.istio_objects import annotations, labels, name_of, selects, whole
from dcmesh.model.peer_authentication import effective
from dcmesh.model.plan import SitePlan

INJECTED = "sidecar.istio.io/status"
"""Annotation of a pod that got a sidecar."""


def kept(site: model.Site, path: str, plan: SitePlan) -> Iterator[Remark]:
    """Warn of databases that are to lose their sidecars: the next `up` restarts their pods without them."""
    planned = {database.namespace for database in plan.databases if database.sidecar}
    for index, workload in enumerate(site.workloads):
        if isinstance(workload, model.Database) and not workload.sidecar and workload.namespace in planned:
            advice = (
                "takes effect with the next `pulumi up`, which restarts the pods one after the other: this one first "
                "removes the policies that would refuse pods without a sidecar"
            )
            yield Remark(f"{path}.workloads[{index}].sidecar", workload.sidecar, advice)


def shut_out(allowed: Allowed, site: model.Site, path: str, plan: SitePlan) -> Iterator[Finding]:
    """Find databases whose pods accept nothing but mutual TLS, by a policy that is not dcmesh's.

    The first pod without a sidecar could not reach the others, and the rollout would stand still.
    """
    bare = {database.namespace for database in plan.databases if not database.sidecar}
    if not bare:
        return
    policies = [whole(of) for of in allowed.list("/apis/security.istio.io/v1/peerauthentications")]
    for index, workload in enumerate(site.workloads):
        if not (isinstance(workload, model.Database) and workload.namespace in bare):
            continue
        pods = allowed.list(f"/api/v1/namespaces/{workload.namespace}/pods")
        own = [of for of in pods if selects(workload.pods.selector, labels(of)) and INJECTED in annotations(of)]
        found = (effective(policies, pod, workload.pods.port) for pod in own)
        strict = [name_of(policy) for mode, policy in found if policy and mode == "STRICT"]
        for policy in strict[:1]:
            advice = (
                f"is for pods that {policy} makes STRICT in {site.name}: while they lose their sidecars one after the "
                f"other, those that have one would refuse the others. Make {workload.namespace} PERMISSIVE first"
            )
            yield Finding(f"{path}.workloads[{index}].sidecar", False, advice)
