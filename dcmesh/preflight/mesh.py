"""An Istio that is there, and the namespaces that are to be in its mesh."""

from collections.abc import Iterator, Mapping

from dcmesh.config.errors import Finding
from dcmesh.kube.allowed import Allowed
from dcmesh.kube.cluster import ClusterReader
from dcmesh.kube.gateway_scope import shut_by_scope
from dcmesh.model import settings as model
from dcmesh.model.istio import ISTIO_NAMESPACE, TRUST_DOMAIN, injection_labels
from dcmesh.preflight.parallel import each


def existing_istio(cluster: ClusterReader, settings: model.Settings, site: model.Site) -> Iterator[Finding]:
    """Find what an Istio that is there lacks."""
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
    # Sidecars resolve the hosts by it; gateways have no use for it, at either end.
    by_sidecar = [not imported.by_gateway for imported in site.imports]
    by_sidecar += [isinstance(export, model.PodExport) for export in site.exports]
    if not captures and (any(by_sidecar) or not by_sidecar):
        advice = 'does not capture DNS: set meshConfig.defaultConfig.proxyMetadata.ISTIO_META_DNS_CAPTURE to "true"'
        yield Finding(path, value, f"{advice} in {site.name} and restart the workloads")
    if mesh.get("enableAutoMtls") is False:
        yield Finding(path, value, f"has meshConfig.enableAutoMtls off in {site.name}: the gateway's hosts need it")
    if mesh.get("trustDomain", TRUST_DOMAIN) != TRUST_DOMAIN:
        advice = f"has the trust domain {mesh['trustDomain']} in {site.name}: dcmesh supports {TRUST_DOMAIN} alone"
        yield Finding(path, value, advice)


def _sidecars(settings: model.Settings, path: str, namespace: str, labels: Mapping[str, str]) -> Iterator[Finding]:
    """Find a namespace whose pods get no sidecars."""
    existing = settings.istio.existing
    revision = existing.revision if existing else "default"
    # Istio's default revision injects by either label.
    accepted = [injection_labels(revision), *([injection_labels(None)] if revision == "default" else [])]
    shown = ",".join(f"{key}={value}" for key, value in accepted[-1].items())
    if not any(wanted.items() <= labels.items() for wanted in accepted):
        advice = f"gets no sidecars: `kubectl label namespace {namespace} {shown}`, then restart its pods"
        yield Finding(path, namespace, advice)


def pxc_operator(cluster: ClusterReader, settings: model.Settings, site: model.Site) -> Iterator[Finding]:
    """Find an operator that is not there, or has no sidecar: its databases, which have one, would not answer it."""
    operator = settings.pxc
    if not operator.existing or not any(isinstance(workload, model.Pxc) for workload in site.workloads):
        return
    labels = cluster.namespace_labels(operator.namespace)
    if labels is None:
        advice = f"is not there in {site.name}: name where the operator runs, or remove `existing`"
        yield Finding("pxc.namespace", operator.namespace, advice)
    else:
        yield from _sidecars(settings, "pxc.namespace", operator.namespace, labels)


def scope(allowed: Allowed, settings: model.Settings, site: model.Site) -> Iterator[Finding]:
    """Find Gateways of tenants that this `up` would take their gateways from."""
    istio = settings.istio
    if not istio.existing and istio.scope_gateways and (shut := shut_by_scope(allowed)):
        advice = (
            f"would bind Gateways of {site.name} to their own namespace, and {', '.join(shut)} open others' gateways: "
            "set it to false, or move them to the gateways' namespace first. If one of them is meant for no gateway of "
            "yours, it may be what shuts dcmesh's: delete it (docs/production.md)"
        )
        yield Finding("istio.scopeGateways", istio.scope_gateways, advice)


def namespaces(cluster: ClusterReader, settings: model.Settings, site: model.Site, path: str) -> Iterator[Finding]:
    """Find namespaces and service accounts of exports and imports that are not there, or whose pods get no sidecars."""
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
            yield Finding(f"{where}.namespace", namespace, f"is not there: `kubectl create namespace {namespace}`")
            return
        yield from _sidecars(settings, f"{where}.namespace", namespace, labels)
        if not cluster.has_service_account(namespace, account):
            advice = f"is not there: `kubectl create serviceaccount {account} --namespace {namespace}`"
            yield Finding(f"{where}.serviceAccount", account, advice)

    yield from each([user for user in users if user[1] not in made], look)
