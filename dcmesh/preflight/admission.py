"""Pods that a cluster would not let in. Their Job or Deployment is made all the same, and `up` would wait for them.

The API server itself is asked, by pods like those that are to come, of which none is made. What Pod Security, quotas
and LimitRanges say is certain. All else, such as a policy engine's answer or a time-out, is a warning: the pods are not
the same to the last, and no `up`, which may be a failover, is refused for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dcmesh.config.errors import Finding, Remark
from dcmesh.kube.pod_dry_run import objection
from dcmesh.kube.read_rights import Allowed
from dcmesh.model import settings as model
from dcmesh.model.component_names import egress_name, gateway_component, workload_name
from dcmesh.model.egress import LABELS
from dcmesh.model.gateway import GATEWAY_NAME
from dcmesh.model.istio import ISTIO_NAMESPACE
from dcmesh.model.istio_objects import labels
from dcmesh.model.plan import SitePlan
from dcmesh.model.security_contexts import CONFINED, NOBODY, PROBE_RESOURCES, RESTRICTED, SECCOMP
from dcmesh.preflight.gateway_exports import pod_labels
from dcmesh.preflight.hosts import imported_name, new_or_there
from dcmesh.preflight.parallel import each
from dcmesh.sites_in_state import SiteInState

ENFORCE = "pod-security.kubernetes.io/enforce"
"""Label of a namespace: the level of Pod Security that it insists on."""

INJECT = "sidecar.istio.io/inject"
"""Label of a pod: whether istiod adds a proxy to it."""

GATEWAY_RESOURCES = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
"""What Istio's chart gives a gateway."""

Container = Mapping[str, Any]

_CONFINED: Container = {"securityContext": {"runAsUser": NOBODY, **CONFINED}}


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A pod like one that is to come.

    Attributes:
        path: the place of its namespace in the configuration.
        what: what it is, in words.
        namespace: its namespace.
        component: what the names of its resources in the stack begin with.
        account: its service account.
        labels: its labels.
        annotations: its annotations.
        security: its security context.
        before: its init containers: image, resources and security context.
        containers: its other containers.
        sidecar: whether it gets a sidecar.
        restricted: whether it has the seccomp profile of `restricted`.
        runs: whether it goes on as it is where it stands already. Else it comes anew with a change.
    """

    path: str
    what: str
    namespace: str
    component: str
    account: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)
    security: Mapping[str, Any] = field(default_factory=dict)
    before: tuple[Container, ...] = ()
    containers: tuple[Container, ...]
    sidecar: bool = False
    restricted: bool = True
    runs: bool = True

    @property
    def pod(self) -> Mapping[str, Any]:
        """Its labels, annotations and spec."""
        spec = {
            "serviceAccountName": self.account,
            "automountServiceAccountToken": False,
            "securityContext": (SECCOMP if self.restricted else {}) | dict(self.security),
            "initContainers": [{"name": f"i{n}", **of} for n, of in enumerate(self.before)],
            "containers": [{"name": f"c{n}", **of} for n, of in enumerate(self.containers)],
        }
        injected = {INJECT: str(self.sidecar).lower()}
        return {"labels": injected | dict(self.labels), "annotations": dict(self.annotations), "spec": spec}


def samples(settings: model.Settings, site: model.Site, path: str, plan: SitePlan, gateway: str) -> Iterator[Sample]:
    """Yield a pod of each kind that dcmesh makes in each namespace. Those of operators are not dcmesh's."""
    restricted, given = site.pod_security == "restricted", settings.istio.values.gateway
    if plan.exports:
        yield Sample(
            path=f"{path}.gateway.namespace",
            what="the gateway",
            namespace=gateway,
            # As dcmesh 0.1.0 has named it.
            component=f"{site.name}-gateway" if gateway == ISTIO_NAMESPACE else gateway_component(site.name, gateway),
            account=GATEWAY_NAME,
            restricted=restricted,
            **_gateway(pod_labels(gateway), given),
        )
    for index, (imported, of) in enumerate(zip(site.imports, plan.imports, strict=True)):
        where, name = f"{path}.imports[{index}].namespace", imported.namespace
        security = {"runAsUser": NOBODY, **RESTRICTED}
        yield Sample(
            path=where,
            what="the probe",
            namespace=name,
            component=imported_name(plan, of),
            account="default" if imported.by_gateway else imported.service_account,
            labels={"app": "dcmesh-probe"},
            sidecar=not imported.by_gateway,
            containers=({"image": settings.images.probe, "securityContext": security, "resources": PROBE_RESOURCES},),
            runs=False,
        )
        if imported.by_gateway and name not in [other.namespace for other in site.imports[:index]]:
            yield Sample(
                path=where,
                what="the egress gateway",
                namespace=name,
                component=egress_name(site.name, name),
                account=imported.service_account,
                restricted=restricted,
                **_gateway(LABELS, given),
            )
    for index, workload in enumerate(site.workloads):
        if isinstance(workload, model.Pxc):
            continue
        before, containers = containers_of(settings.images, workload, restricted=restricted)
        yield Sample(
            path=f"{path}.workloads[{index}].namespace",
            what=workload.kind,
            namespace=workload.namespace,
            component=workload_name(site.name, workload.namespace),
            account=workload.name,
            labels={"app": workload.name},
            sidecar=not isinstance(workload, model.Mariadb) or workload.sidecar,
            restricted=restricted,
            before=before,
            containers=containers,
        )


def _gateway(own: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Istio's chart gives a gateway, with the values given laid over it.

    An istiod that is there puts the image into the container of this name: to a pod without one it would add another.
    """
    resources = _mapping(given, "resources")
    container = {
        "name": "istio-proxy",
        "image": "auto",
        "securityContext": given.get("containerSecurityContext") or {"runAsUser": NOBODY, **CONFINED},
        "resources": {kind: of | _mapping(resources, kind) for kind, of in GATEWAY_RESOURCES.items()},
    }
    return {
        "labels": {**own, INJECT: "true"},
        "annotations": {"inject.istio.io/templates": "gateway"},
        "security": _mapping(given, "securityContext"),
        "containers": (container,),
    }


def _mapping(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = values.get(key)
    return {name: of for name, of in found.items() if of is not None} if isinstance(found, Mapping) else {}


def serves_copies(database: model.Mariadb) -> Container:
    """Return the container that serves a database's backups, as each of its pods has one with `firstCopy: backup`."""
    return {"image": database.image, **_CONFINED, "resources": _requests("50m", "128Mi")}


def containers_of(
    images: model.Images, workload: model.Hello | model.HelloClient | model.Mariadb, *, restricted: bool
) -> tuple[tuple[Container, ...], tuple[Container, ...]]:
    """Return a workload's init containers, and its other ones."""
    if isinstance(workload, model.Mariadb):
        prepares = {"image": workload.image, **_CONFINED}
        server = {**prepares, "resources": dict(workload.resources) or _requests("100m", "256Mi")}
        if workload.by_backup:
            fetches = prepares
            return (fetches, prepares), (server, serves_copies(workload))
        return (prepares,), (server,)
    return (), ({"image": images.hello, **(_CONFINED if restricted else {}), "resources": _requests("10m", "16Mi")},)


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

    After a question without an answer no other is asked: each could take as long, and an `up` may be urgent.

    Args:
        allowed: the cluster.
        settings: the configuration.
        site: the site's part of it.
        path: its place there.
        plan: its part of the plan.
        gateway: namespace of its gateway.
        known: what the stack's state has of the site.
    """
    shut, silent = _initialises(settings), list[Sample]()

    def look(sample: Sample) -> Iterator[Finding]:
        told = new_or_there(known, sample.component)
        new = told is not Remark
        if silent or (sample.runs and not new):
            return
        said = objection(allowed.api, sample.namespace, sample.pod)
        if said and said.final:
            yield told(sample.path, sample.namespace, _advice(site, sample, said.words))
        elif said:
            silent.extend([sample] if said.silent else [])
            yield Remark(sample.path, sample.namespace, _doubt(site, sample, said.words))
        elif sample.sidecar and shut and new:
            level = labels(allowed.read(f"/api/v1/namespaces/{sample.namespace}") or {"metadata": {}}).get(ENFORCE)
            if level in ("baseline", "restricted"):
                reason = f"it has {ENFORCE}={level}, and a sidecar's init container needs more"
                yield Remark(sample.path, sample.namespace, _advice(site, sample, reason))

    yield from each(samples(settings, site, path, plan, gateway), look)


def _initialises(settings: model.Settings) -> bool:
    """Tell whether sidecars of the istiod that dcmesh installs have an init container that sets the pod's rules."""
    cni = settings.istio.values.istiod.get("cni")
    return not settings.istio.existing and not (isinstance(cni, Mapping) and cni.get("enabled"))


def _doubt(site: model.Site, sample: Sample, words: str) -> str:
    if "cannot create resource" in words:
        return (
            f"cannot be asked whether it lets {sample.what} in ({words}): allow the kubeconfig's user to create pods, "
            "of which none is made"
        )
    return f"may not let in {sample.what} in {site.name}; a dry run of a pod like it ended so: {words}"


def quota_cure(reason: str) -> str:
    """Return what helps against a quota's refusal."""
    if "must specify" in reason:
        return "give the namespace a LimitRange with defaults for what is not specified"
    return "raise the quota"


def _advice(site: model.Site, sample: Sample, reason: str) -> str:
    if "quota" in reason:
        cure = quota_cure(reason)
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
