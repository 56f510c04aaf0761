"""Pods that a cluster would not let in: Pod Security, quotas and policies refuse them to a Job, and `up` waits for it.

The API server itself is asked, by pods like those that are to come, of which none is made. So all reasons count, and
are told in its words.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dcmesh.config.errors import Finding, Remark
from dcmesh.kube.admission import refusal
from dcmesh.kube.allowed import Allowed, words_of
from dcmesh.kube.api import ApiException
from dcmesh.model import settings as model
from dcmesh.model.component_names import egress_name, gateway_component, workload_name
from dcmesh.model.confined import CONFINED, NOBODY, PROBE_RESOURCES, RESTRICTED, SECCOMP
from dcmesh.model.istio import ISTIO_NAMESPACE
from dcmesh.model.istio_objects import labels
from dcmesh.model.plan import SitePlan
from dcmesh.preflight.hosts import imported_name, new_or_there
from dcmesh.preflight.parallel import each
from dcmesh.sites_in_state import SiteInState

ENFORCE = "pod-security.kubernetes.io/enforce"
"""Label of a namespace: the level of Pod Security that it insists on."""

GATEWAY_RESOURCES = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
"""What Istio's chart gives a gateway."""

Container = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A pod like one that is to come.

    Attributes:
        path: the place of its namespace in the configuration.
        what: what it is, in words.
        namespace: its namespace.
        component: what the names of its resources in the stack begin with.
        sidecar: whether it gets a sidecar.
        restricted: whether it has the seccomp profile of `restricted`.
        containers: its containers: resources and security context.
        runs: whether it goes on as it is where it stands already. Else it comes anew with a change.
    """

    path: str
    what: str
    namespace: str
    component: str
    containers: tuple[Container, ...]
    sidecar: bool = False
    restricted: bool = True
    runs: bool = True

    @property
    def pod(self) -> Mapping[str, Any]:
        """Its labels and its spec."""
        containers = [{"name": f"c{n}", "image": "dcmesh.invalid/none", **of} for n, of in enumerate(self.containers)]
        spec = {"automountServiceAccountToken": False, "containers": containers}
        profile = {"securityContext": SECCOMP} if self.restricted else {}
        return {"labels": {"sidecar.istio.io/inject": str(self.sidecar).lower()}, "spec": spec | profile}


PROBE = {"securityContext": {"runAsUser": NOBODY, **RESTRICTED}, "resources": PROBE_RESOURCES}
GATEWAY = {"securityContext": {"runAsUser": NOBODY, **CONFINED}, "resources": GATEWAY_RESOURCES}


def samples(site: model.Site, path: str, plan: SitePlan, gateway: str) -> Iterator[Sample]:
    """Yield a pod of each kind that dcmesh makes in each namespace. Those of operators are not dcmesh's."""
    restricted = site.pod_security == "restricted"
    if plan.exports:
        yield Sample(
            path=f"{path}.gateway.namespace",
            what="the gateway",
            namespace=gateway,
            # As dcmesh 0.1.0 has named it.
            component=f"{site.name}-gateway" if gateway == ISTIO_NAMESPACE else gateway_component(site.name, gateway),
            restricted=restricted,
            containers=(GATEWAY,),
        )
    for index, (imported, of) in enumerate(zip(site.imports, plan.imports, strict=True)):
        where, name = f"{path}.imports[{index}].namespace", imported.namespace
        yield Sample(
            path=where,
            what="the probe",
            namespace=name,
            component=imported_name(plan, of),
            sidecar=not imported.by_gateway,
            containers=(PROBE,),
            runs=False,
        )
        if imported.by_gateway:
            yield Sample(
                path=where,
                what="the egress gateway",
                namespace=name,
                component=egress_name(site.name, name),
                restricted=restricted,
                containers=(GATEWAY,),
            )
    for index, workload in enumerate(site.workloads):
        if isinstance(workload, model.Pxc):
            continue
        yield Sample(
            path=f"{path}.workloads[{index}].namespace",
            what=workload.kind,
            namespace=workload.namespace,
            component=workload_name(site.name, workload.namespace),
            sidecar=not isinstance(workload, model.Mariadb) or workload.sidecar,
            restricted=restricted,
            containers=tuple(_containers(workload, restricted=restricted)),
        )


def _containers(workload: model.Hello | model.HelloClient | model.Mariadb, *, restricted: bool) -> Iterator[Container]:
    confined = {"securityContext": {"runAsUser": NOBODY, **CONFINED}}
    if isinstance(workload, model.Mariadb):
        yield confined  # what prepares it
        yield confined | {"resources": dict(workload.resources) or _requests("100m", "256Mi")}
    else:
        yield (confined if restricted else {}) | {"resources": _requests("10m", "16Mi")}


def _requests(cpu: str, memory: str) -> dict[str, Any]:
    return {"requests": {"cpu": cpu, "memory": memory}}


def not_let_in(
    allowed: Allowed,
    settings: model.Settings,
    site: model.Site,
    path: str,
    plan: SitePlan,
    gateway: str,
    known: SiteInState | None,
) -> Iterator[Finding]:
    """Find pods that the cluster would refuse. What stands is not refused for that: its pods run.

    Args:
        allowed: the cluster.
        settings: the configuration.
        site: the site's part of it.
        path: its place there.
        plan: its part of the plan.
        gateway: namespace of its gateway.
        known: what the stack's state has of the site.
    """
    shut = _initialises(settings)

    def look(sample: Sample) -> Iterator[Finding]:
        told = new_or_there(known, sample.component)
        if sample.runs and told is not Finding:
            return
        if sample.sidecar and shut:
            level = labels(allowed.read(f"/api/v1/namespaces/{sample.namespace}") or {"metadata": {}}).get(ENFORCE)
            if level in ("baseline", "restricted"):
                known_now = f"it has {ENFORCE}={level}, and a sidecar's init container needs more"
                yield told(sample.path, sample.namespace, _advice(site, sample, known_now))
                return
        try:
            if reason := refusal(allowed.api, sample.namespace, sample.pod):
                yield told(sample.path, sample.namespace, _advice(site, sample, reason))
        except ApiException as error:
            if error.status != 403:
                raise
            advice = (
                f"cannot be asked whether it lets {sample.what} in ({words_of(error)}): allow the kubeconfig's user to "
                "create pods, of which none is made"
            )
            yield Remark(sample.path, sample.namespace, advice)

    yield from each(samples(site, path, plan, gateway), look)


def _initialises(settings: model.Settings) -> bool:
    """Tell whether sidecars of the istiod that dcmesh installs have an init container that sets the pod's rules."""
    cni = settings.istio.values.istiod.get("cni")
    return not settings.istio.existing and not (isinstance(cni, Mapping) and cni.get("enabled"))


def _advice(site: model.Site, sample: Sample, reason: str) -> str:
    if "quota" in reason and "must specify" in reason:
        cure = "give the namespace a LimitRange with defaults for what is not specified"
    elif "quota" in reason:
        cure = "raise the quota"
    elif sample.sidecar and ("PodSecurity" in reason or ENFORCE in reason):
        cure = (
            "run Istio's CNI plugin, with `istio.values.istiod.cni.enabled: true` where dcmesh installs Istio, or do "
            "without sidecars (docs/locked-down.md)"
        )
    elif "PodSecurity" in reason and not sample.restricted:
        cure = "set `podSecurity: restricted` of the site"
    else:
        cure = "have whoever runs the cluster let it in"
    return f"would not let in {sample.what} in {site.name} ({reason}): {cure}"
