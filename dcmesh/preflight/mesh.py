"""An existing Istio, and the namespaces that are to be in its mesh."""

from collections.abc import Iterator, Mapping
from typing import Any

from dcmesh.config.errors import Finding, Remark
from dcmesh.kube.cluster_reader import ClusterReader
from dcmesh.kube.gateway_scope import shut_by_scope
from dcmesh.kube.read_rights import Allowed
from dcmesh.model import settings as model
from dcmesh.model.istio import ISTIO_NAMESPACE, TRUST_DOMAIN, injection_labels
from dcmesh.preflight.parallel import each


def existing_istio(cluster: ClusterReader, settings: model.Settings, site: model.Site, where: str) -> Iterator[Finding]:
    """Find what an existing Istio lacks for a site."""
    existing = settings.istio.existing
    if existing is None:
        return
    path, value = "istio.existing.revision", existing.revision
    mesh = cluster.mesh_config(existing.revision)
    if mesh is None:
        yield Finding(
            path, value, f"has no istiod in {site.name}: check `kubectl get pods -n {ISTIO_NAMESPACE} -L istio.io/rev`"
        )
        return
    metadata = mesh.get("defaultConfig", {}).get("proxyMetadata", {})
    captures = str(metadata.get("ISTIO_META_DNS_CAPTURE")).lower() == "true"
    # Sidecars need it to resolve the hosts. Gateways, at either end, do not.
    imports = [not (imported.by_gateway or imported.selector) for imported in site.imports]
    exports = [isinstance(export, model.PodExport) for export in site.exports]
    if not captures and (any([*imports, *exports]) or not [*imports, *exports]):
        advice = 'does not capture DNS: set meshConfig.defaultConfig.proxyMetadata.ISTIO_META_DNS_CAPTURE to "true"'
        other = (
            "; or give each import the `selector` of its consumer's pods" if any(imports) and not any(exports) else ""
        )
        yield Finding(path, value, f"{advice} in {site.name} and restart the workloads{other}")
    if mesh.get("enableAutoMtls") is False:
        yield Finding(path, value, f"has meshConfig.enableAutoMtls off in {site.name}: the gateway's hosts need it")
    yield from _trust_domains(mesh, settings, site, where)


def _trust_domains(
    mesh: Mapping[str, Any], settings: model.Settings, site: model.Site, where: str
) -> Iterator[Finding]:
    """Find differences between the trust domains of an existing mesh and those in the configuration of its site."""
    aliases, alias = mesh.get("trustDomainAliases") or (), site.trust_domain_alias
    if (domain := mesh.get("trustDomain", TRUST_DOMAIN)) not in site.trust_domains:
        # The owner of a mesh changes its trust domain; meanwhile the site has both.
        yield Finding(
            f"{where}.trustDomain", site.trust_domain, f"is not that of the mesh that is there: set it to {domain}"
        )

    elif alias and alias not in (domain, *aliases):
        advice = f"is not among meshConfig.trustDomainAliases in {site.name}: add it there, and restart istiod"
        yield Finding(f"{where}.trustDomainAlias", alias, advice)
    others = sorted({*aliases} - {*site.trust_domains})
    for index, export in enumerate(site.exports):
        consumers = [domain for of in export.consumers for domain in settings.told(of).account.trust_domains]
        if isinstance(export, model.PodExport) and others and {*consumers} != {site.trust_domain}:
            advice = (
                f"is of pods whose own callers may be of {', '.join(others)}, the mesh's aliases: of those none would "
                "be let in beside consumers of other trust domains. Use `termination: gateway`"
            )
            yield Finding(f"{where}.exports[{index}].name", export.name, advice)


INJECTION, REVISION, DATAPLANE = "istio-injection", "istio.io/rev", "istio.io/dataplane-mode"
"""Labels of namespaces."""


def _sidecars(
    cluster: ClusterReader, settings: model.Settings, path: str, namespace: str, labels: Mapping[str, str]
) -> Iterator[Finding]:
    """Find a namespace whose pods get no sidecars, or those of another istiod."""
    existing = settings.istio.existing
    revision = existing.revision if existing else "default"
    injects = injecting(labels)
    if injects == revision:
        return
    tags = cluster.revision_tags()
    if injects is None or tags.get(injects, injects) != tags.get(revision, revision):
        wanted = injection_labels(None if revision == "default" else revision)
        shown = ",".join(f"{key}={value}" for key, value in wanted.items())
        # If there is the first label, Istio ignores the other.
        other = f" {INJECTION}-" if INJECTION in labels and INJECTION not in wanted else ""
        advice = f"gets no sidecars: `kubectl label namespace {namespace} {shown}{other}`, then restart its pods"
        # Earlier versions accepted the label of its revision. What runs that way goes on; the user is warned.
        told = Remark if labels.get(REVISION) == revision else Finding
        yield told(path, namespace, advice)


def injecting(labels: Mapping[str, str]) -> str | None:
    """Return the revision, or the tag of one, that gives sidecars to the pods of a namespace with these labels."""
    if INJECTION in labels:
        return "default" if labels[INJECTION] == "enabled" else None
    return labels.get(REVISION)


def pxc_operator(cluster: ClusterReader, settings: model.Settings, site: model.Site) -> Iterator[Finding]:
    """Find an operator that does not exist, or has no sidecar: its databases have one, and would not answer it."""
    operator = settings.pxc
    if not operator.existing or not any(isinstance(workload, model.Pxc) for workload in site.workloads):
        return
    labels = cluster.namespace_labels(operator.namespace)
    if labels is None:
        advice = f"does not exist in {site.name}: name where the operator runs, or remove `existing`"
        yield Finding("pxc.namespace", operator.namespace, advice)
    else:
        yield from _sidecars(cluster, settings, "pxc.namespace", operator.namespace, labels)


def scope(allowed: Allowed, settings: model.Settings, site: model.Site) -> Iterator[Finding]:
    """Find Gateways of tenants that this `up` would cut off from the gateways that they open."""
    istio = settings.istio
    if not istio.existing and istio.scope_gateways and (shut := shut_by_scope(allowed)):
        advice = (
            f"would bind Gateways of {site.name} to their own namespace, and {', '.join(shut)} open others' gateways: "
            "set it to false, or move them to the gateways' namespace first. If one of them is meant for no gateway of "
            "yours, it may be what shuts dcmesh's: delete it (docs/production.md)"
        )
        yield Finding("istio.scopeGateways", istio.scope_gateways, advice)


def namespaces(cluster: ClusterReader, settings: model.Settings, site: model.Site, path: str) -> Iterator[Finding]:
    """Find namespaces and service accounts of exports and imports that do not exist, or whose pods get no sidecars."""
    made = {workload.namespace for workload in site.workloads}
    users = [
        (f"{path}.exports[{i}]", export.namespace, export.service_account)
        for i, export in enumerate(site.exports)
        if isinstance(export, model.PodExport)
    ]
    users += [
        (f"{path}.imports[{i}]", e.namespace, e.service_account) for i, e in enumerate(site.imports) if not e.by_gateway
    ]

    def look(user: tuple[str, str, str]) -> Iterator[Finding]:
        where, namespace, account = user
        labels = cluster.namespace_labels(namespace)
        if labels is None:
            yield Finding(f"{where}.namespace", namespace, f"does not exist: `kubectl create namespace {namespace}`")
            return
        if injecting(labels) is None and labels.get(DATAPLANE) == "ambient":
            advice = (
                "is in the ambient mesh, where pods have no sidecars: export by `termination: gateway`, import by "
                "`egress: gateway`"
            )
            yield Finding(f"{where}.namespace", namespace, advice)
        else:
            yield from _sidecars(cluster, settings, f"{where}.namespace", namespace, labels)
        if not cluster.has_service_account(namespace, account):
            advice = f"does not exist: `kubectl create serviceaccount {account} --namespace {namespace}`"
            yield Finding(f"{where}.serviceAccount", account, advice)

    yield from each([user for user in users if user[1] not in made], look)
