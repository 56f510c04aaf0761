"""Preflight: what an existing cluster must have, looked at before anything is created in it."""

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException
from kubernetes.utils.quantity import parse_quantity
from urllib3.exceptions import HTTPError

from components.gateway import GATEWAY_NAME
from components.identity import Held, gateway_namespace, made_elsewhere, other_cluster
from components.istio import OURS, injection_labels
from components.kubernetes_api import connect
from components.link import ISTIO_NAMESPACE, TRUST_DOMAIN, ExportedService, Link, service_of
from components.overrule import MADE_BY, is_of_stack
from components.proxies import Certificates, read_pem, trusts
from components.scoped_gateways import shut_by_scope
from components.service_export import export_name
from components.service_import import import_name
from components.workloads import mariadb, pxc
from config import model
from config.errors import ConfigError, Finding, Remark
from config.held import secret_keys
from config.kubeconfig import read_kubeconfig
from config.outside import Outside, stack_name
from dcmesh import support
from dcmesh.objects import visible

SECONDS = 10
"""How long an API server may take for one answer."""

AT_ONCE = 5
"""How many exports or imports are looked at the same time: the client keeps that many connections on any machine."""

CLAIMS = {"mariadb": mariadb.CLAIM, "pxc": pxc.CLAIM}
"""How the claims of a database begin, by its kind."""

CACERTS_KEYS = {"ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"}

T = TypeVar("T")


@dataclass(frozen=True)
class Cluster:
    """One existing cluster: questions to its API server. What is not there is None.

    Attributes:
        stacks: the stack, by its whole name and by those that it had before.
    """

    stacks: frozenset[str]
    core: client.CoreV1Api
    apps: client.AppsV1Api
    version: client.VersionApi
    storage: client.StorageV1Api
    custom: client.CustomObjectsApi

    def kubernetes_version(self) -> tuple[int, int]:
        """Return major and minor version."""
        code = self.version.get_code(_request_timeout=SECONDS)
        return int(code.major), int(code.minor.rstrip("+"))

    def _read(self, kind: str, *name: str) -> Any:  # noqa: ANN401 — the client has no types
        try:
            return getattr(self.core, f"read_{kind}")(*name, _request_timeout=SECONDS)
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def identity(self) -> str:
        """Return by what the cluster is known again, whatever its address and credentials."""
        return str(self._read("namespace", "kube-system").metadata.uid)

    def namespace_labels(self, name: str) -> dict[str, str] | None:
        """Return a namespace's labels."""
        found = self._read("namespace", name)
        return None if found is None else dict(found.metadata.labels or {})

    def is_foreign(self, kind: str, *name: str) -> bool:
        """Tell whether an object is there that the stack has not made: taken over, it would go with `destroy`."""
        found = self._read(kind, *name)
        return found is not None and self._is_foreign(self.core.api_client.sanitize_for_serialization(found.metadata))

    def _is_foreign(self, metadata: Mapping[str, Any]) -> bool:
        """Tell whether an object is somebody else's. One of Pulumi's that names no stack may be of dcmesh 0.1.0."""
        if any(is_of_stack(metadata, stack) for stack in self.stacks):
            return False
        by_pulumi = _by_pulumi(entry.get("manager") for entry in metadata.get("managedFields", ()))
        return not by_pulumi or MADE_BY in metadata.get("annotations", {})

    def has_foreign_sidecar(self, namespace: str) -> bool:
        """Tell whether a namespace has a Sidecar `default` that the stack has not made."""
        place = ("networking.istio.io", "v1", namespace, "sidecars", "default")
        try:
            found = self.custom.get_namespaced_custom_object(*place, _request_timeout=SECONDS)
        except ApiException as error:
            if error.status in (403, 404):
                return False
            raise
        return self._is_foreign(found["metadata"])

    def foreign_entries(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Return each ServiceEntry that the stack has not made: its namespace and name, and the entry."""
        place = ("networking.istio.io", "v1", "serviceentries")
        try:
            found = self.custom.list_cluster_custom_object(*place, _request_timeout=SECONDS)
        except ApiException as error:
            if error.status in (403, 404):
                return []
            raise
        entries = ((entry["metadata"], entry) for entry in found["items"])
        return [(f"{of['namespace']}/{of['name']}", entry) for of, entry in entries if self._is_foreign(of)]

    def has_service_account(self, namespace: str, name: str) -> bool:
        """Tell whether a service account is there."""
        return self._read("namespaced_service_account", name, namespace) is not None

    def has_service(self, namespace: str, name: str) -> bool:
        """Tell whether a Service is there."""
        return self._read("namespaced_service", name, namespace) is not None

    def cacerts(self) -> tuple[set[str], dict[str, str]] | None:
        """Return the keys and the labels of the Secret `cacerts`."""
        found = self._read("namespaced_secret", "cacerts", ISTIO_NAMESPACE)
        return None if found is None else (set(found.data or {}), dict(found.metadata.labels or {}))

    def has_istiod(self) -> bool:
        """Tell whether an istiod of any revision is there, which takes its certificate from that Secret."""
        try:
            found = self.apps.list_namespaced_deployment(
                ISTIO_NAMESPACE, label_selector="app=istiod", _request_timeout=SECONDS
            )
        except ApiException as error:
            if error.status in (403, 404):
                return False
            raise
        return bool(found.items)

    def mesh_roots(self) -> Certificates:
        """Return the roots that the mesh trusts; none if there is no mesh yet."""
        found = self._read("namespaced_config_map", "istio-ca-root-cert", ISTIO_NAMESPACE)
        return [] if found is None else read_pem(found.data.get("root-cert.pem", ""))

    def mesh_config(self, revision: str) -> dict[str, Any] | None:
        """Return the mesh configuration of the istiod of that revision."""
        suffix = "" if revision == "default" else f"-{revision}"
        found = self._read("namespaced_config_map", f"istio{suffix}", ISTIO_NAMESPACE)
        return None if found is None else yaml.safe_load(found.data.get("mesh", "")) or {}

    def istiod_version(self, revision: str) -> str | None:
        """Return the version of the istiod of that revision; None if there is none or it cannot be told."""
        suffix = "" if revision == "default" else f"-{revision}"
        try:
            found = self.apps.read_namespaced_deployment(f"istiod{suffix}", ISTIO_NAMESPACE, _request_timeout=SECONDS)
        except ApiException as error:
            if error.status in (403, 404):
                return None
            raise
        images = (c.image.partition("@")[0] for c in found.spec.template.spec.containers if c.name == "discovery")
        tags = (image.rpartition(":")[2] for image in images)
        # The label is the chart's version. What runs is told by the image's tag, unless that is a name.
        labelled = (found.metadata.labels or {}).get("app.kubernetes.io/version", "")
        return next((text for text in (*tags, labelled) if text.startswith("1.") and support.minor_of(text)), None)

    def claim(self, namespace: str, name: str) -> tuple[str, str | None] | None:
        """Return the size that a claim asks for, and its StorageClass."""
        found = self._read("namespaced_persistent_volume_claim", name, namespace)
        return None if found is None else (found.spec.resources.requests["storage"], found.spec.storage_class_name)

    def can_grow(self, storage_class: str | None) -> bool:
        """Tell whether the volumes of a StorageClass can grow. One that may not be read is taken to let them."""
        if not storage_class:
            return False
        try:
            found = self.storage.read_storage_class(storage_class, _request_timeout=SECONDS)
        except ApiException as error:
            if error.status in (403, 404):
                return bool(error.status == 403)
            raise
        return bool(found.allow_volume_expansion)

    def networks(self) -> Iterator[tuple[str, ipaddress.IPv4Network]]:
        """Yield the IPv4 networks that can be known: what each is, and its range."""
        for node in self.core.list_node(_request_timeout=SECONDS).items:
            for address in node.status.addresses or []:
                if address.type in ("InternalIP", "ExternalIP") and ":" not in address.address:
                    yield f"the address of node {node.metadata.name}", ipaddress.IPv4Network(address.address)
            if node.spec.pod_cidr and ":" not in node.spec.pod_cidr:
                yield f"the pod range of node {node.metadata.name}", ipaddress.IPv4Network(node.spec.pod_cidr)
        service = self._read("namespaced_service", "kubernetes", "default")
        if service is not None and ":" not in service.spec.cluster_ip:
            yield "the address of Service default/kubernetes", ipaddress.IPv4Network(service.spec.cluster_ip)


def require_ready(
    settings: model.Settings, links: Mapping[str, Link], outside: Outside, held: Mapping[str, Held]
) -> tuple[list[str], dict[str, str]]:
    """Look at every existing cluster of the stack.

    Args:
        settings: the configuration.
        links: the links of peers.
        outside: what the configuration is read in.
        held: what the stack's state has of each site's cluster.

    Returns:
        What the user is to be warned of, and the identity of each existing cluster by its site.

    Raises:
        ConfigError: something is wrong or lacking; the message has it all.
    """
    found: list[Finding] = [*_untried(settings)]
    identities = {site: known.identity for site, known in held.items() if known.identity}
    for index, site in enumerate(settings.sites):
        path, known = f"sites[{index}]", held.get(site.name)
        if site.name == settings.lost:
            continue  # the state says which cluster it is
        if isinstance(site.cluster, model.ExistingCluster):
            identities[site.name], findings = _of_site(settings, site, site.cluster, path, links, outside, known)
            found += findings
        else:
            found += made_elsewhere(known, site=site.name, path=f"{path}.cluster", named=site.made_by or "")
    if wrong := [finding for finding in found if not isinstance(finding, Remark)]:
        raise ConfigError(wrong)
    return [remark.line(secret_keys()) for remark in found], identities


def _of_site(
    settings: model.Settings,
    site: model.Site,
    existing: model.ExistingCluster,
    path: str,
    links: Mapping[str, Link],
    outside: Outside,
    held: Held | None,
) -> tuple[str, list[Finding]]:
    """Return a cluster's identity and what is found in it. Of one that is not the site's nothing more is said."""
    where = f"{path}.cluster"
    named = existing.context or existing.kubeconfig
    identity = ""
    try:
        used = read_kubeconfig(existing.kubeconfig).only(existing.context)
        with connect(used) as api:
            cluster = Cluster(
                frozenset({stack_name(outside.project, outside.stack), *(held.stacks if held else ())}),
                client.CoreV1Api(api),
                client.AppsV1Api(api),
                client.VersionApi(api),
                client.StorageV1Api(api),
                client.CustomObjectsApi(api),
            )
            identity = cluster.identity()
            if other := list(other_cluster(held, identity, used, site=site.name, path=where, named=named)):
                return identity, other
            gateway = gateway_namespace(site, held)
            return identity, [
                *_versions(cluster, settings.istio, site, where, named),
                *_cacerts(cluster, settings, site, outside if held else None),
                *_istio(cluster, settings, site),
                *_scope(api, settings, site),
                *_namespaces(cluster, settings, site, path),
                *_pxc_operator(cluster, settings, site),
                *_volumes(cluster, site, path),
                *_foreign(cluster, settings, site, path, gateway),
                *_hosts(cluster, settings, site, path, links, held),
                *_claimed(cluster, settings, site, path, links, gateway, held),
                *_vips(cluster, site, path),
            ]
    except ConfigException as error:
        found = Finding(where, named, f"cannot be used ({error}): check the kubeconfig")
    except HTTPError as error:
        found = Finding(where, named, f"cannot be reached: {error}: check the VPN, the address and the credentials")
    except ApiException as error:
        found = Finding(where, named, f"refuses to answer ({error.status} {error.reason}): check the credentials")
    return identity, [found]


def _by_pulumi(managers: Iterable[str | None]) -> bool:
    """Tell whether Pulumi is among those that have written an object's fields."""
    return any((manager or "").startswith("pulumi") for manager in managers)


def _minor(version: str) -> support.Minor:
    """Return the minor version of one that was checked."""
    minor = support.minor_of(version)
    assert minor is not None, version  # noqa: S101 - for the type checker
    return minor


def _untried(settings: model.Settings) -> Iterator[Remark]:
    """Yield a remark on each Istio to be installed that is newer than the newest that was tried."""
    warning = support.istio_warning(_minor(settings.istio.version))
    if settings.sites and warning and not settings.istio.existing:
        yield Remark("istio.version", settings.istio.version, warning)


def _versions(cluster: Cluster, istio: model.Istio, site: model.Site, path: str, named: str) -> Iterator[Finding]:
    """Compare a cluster's Kubernetes and istiod with what dcmesh supports."""
    running = cluster.istiod_version(istio.existing.revision if istio.existing else "default")
    kubernetes = cluster.kubernetes_version()
    meant = _minor(running if istio.existing and running else istio.version)
    runs, oldest = f"runs Kubernetes {support.shown(kubernetes)}", support.oldest_kubernetes(meant)
    if kubernetes < oldest:
        yield Finding(path, named, f"{runs}: {support.shown(oldest)} is the oldest supported")
    elif warning := support.kubernetes_warning(kubernetes, meant):
        yield Remark(path, named, f"{runs}, which {warning}")
    if running and istio.existing:
        yield from _existing_istiod(running, istio, istio.existing.revision, site)
    elif running and (step := support.next_istio(_minor(running), _minor(istio.version))):
        yield _too_far(running, step, istio, site)


def _existing_istiod(running: str, istio: model.Istio, revision: str, site: model.Site) -> Iterator[Finding]:
    """Compare an istiod that somebody else runs with what dcmesh supports, and the gateway's chart with it."""
    path, runs = "istio.existing.revision", f"runs Istio {running} in {site.name}"
    if _minor(running) < support.ISTIO_ENDED.minor:
        yield Finding(path, revision, f"{runs}: {support.ISTIO[-1].name} is the oldest supported, upgrade it")
        return
    if warning := support.istio_warning(_minor(running)):
        yield Remark(path, revision, f"{runs}, which {warning}")
    if _minor(istio.version) != _minor(running):
        kind = Finding if support.next_istio(_minor(running), _minor(istio.version)) else Remark
        nearest = max(_minor(running), support.ISTIO[-1].minor)
        advice = (
            f"is the gateway's chart's, and {site.name} runs istiod {running}: set a {support.shown(nearest)} version"
        )
        yield kind("istio.version", istio.version, advice)


def _too_far(running: str, step: support.Minor, istio: model.Istio, site: model.Site) -> Finding:
    """Refuse a change of Istio by more than one minor version, and say what comes first."""
    if step < support.ISTIO[-1].minor:
        first = f"Upgrade it to {support.ISTIO_ENDED.name} by Helm, one after another, first"
    else:
        first = f"Set {support.a_version_of(step)} first, run `pulumi up` and restart the workloads' pods"
    default = "" if "version" in istio.model_fields_set else "is the default, and "
    advice = (
        f"{default}is more than one minor version from {running}, which {site.name} runs: Istio is changed by one at"
    )
    return Finding("istio.version", istio.version, f"{advice} a time. {first} (docs/support.md)")


def _cacerts(
    cluster: Cluster, settings: model.Settings, site: model.Site, outside: Outside | None
) -> Iterator[Finding]:
    """Find a Secret that is not as it was said to be, or which must not be replaced, or not appear in a mesh.

    Without an outside the stack was never in this cluster, whatever its outputs say.
    """
    trust, path, there = settings.trust, "trust.source", cluster.cacerts()
    if isinstance(trust, model.ExistingTrust):
        if there is None:
            advice = f"says that {site.name} has the Secret {ISTIO_NAMESPACE}/cacerts, which is not there: create it"
            yield Finding(path, trust.source, advice)
        elif lacking := CACERTS_KEYS - there[0]:
            yield Finding(path, trust.source, f"names a Secret of {site.name} that lacks {', '.join(sorted(lacking))}")
    elif (there and OURS.items() <= there[1].items()) or (outside and site.name in _certified(outside)):
        return
    elif there:
        ((key, value),) = OURS.items()
        label = f"`kubectl label secret cacerts --namespace {ISTIO_NAMESPACE} {key}={value}`"
        advice = f"would replace the Secret {ISTIO_NAMESPACE}/cacerts of {site.name}, which dcmesh has not made: set "
        yield Finding(path, trust.source, f"{advice}`existing`, or hand the Secret over to dcmesh by {label}")
    elif (settings.istio.existing or cluster.has_istiod()) and not _continues(trust, cluster.mesh_roots()):
        advice = (
            f"would give {site.name} the Secret {ISTIO_NAMESPACE}/cacerts, which its Istio has not: at istiod's next "
            "start its whole mesh would change roots. Set `existing`, with a Secret that you make, or `provided`, with "
            "an intermediate under the present root (docs/production.md)"
        )
        yield Finding(path, trust.source, advice)


def _certified(outside: Outside) -> Mapping[str, object]:
    """Return the sites that the stack has given certificates: a Secret that 0.1.0 made has no label."""
    found: Mapping[str, object] = outside.own_outputs().get("certificates", {})
    return found


def _continues(trust: model.Trust, roots: Certificates) -> bool:
    """Tell whether a mesh goes on to trust the roots that it has, of which one issues."""
    if not isinstance(trust, model.ProvidedTrust):
        return False
    return trusts(roots, read_pem(trust.cert_chain)) and set(roots) <= set(read_pem(trust.root_cert))


def _istio(cluster: Cluster, settings: model.Settings, site: model.Site) -> Iterator[Finding]:
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
    if str(metadata.get("ISTIO_META_DNS_CAPTURE")).lower() != "true":
        advice = 'does not capture DNS: set meshConfig.defaultConfig.proxyMetadata.ISTIO_META_DNS_CAPTURE to "true"'
        yield Finding(path, value, f"{advice} in {site.name} and restart the workloads")
    if mesh.get("enableAutoMtls") is False:
        yield Finding(path, value, f"has meshConfig.enableAutoMtls off in {site.name}: the gateway's hosts need it")
    if mesh.get("trustDomain", TRUST_DOMAIN) != TRUST_DOMAIN:
        advice = f"has the trust domain {mesh['trustDomain']} in {site.name}: dcmesh supports {TRUST_DOMAIN} alone"
        yield Finding(path, value, advice)


def _sidecars(
    settings: model.Settings, site: model.Site, path: str, namespace: str, labels: Mapping[str, str]
) -> Iterator[Finding]:
    """Find a namespace whose pods get no sidecars."""
    existing = settings.istio.existing
    revision = existing.revision if existing else "default"
    # Istio's default revision injects by either label.
    accepted = [injection_labels(revision), *([injection_labels(None)] if revision == "default" else [])]
    shown = ",".join(f"{key}={value}" for key, value in accepted[-1].items())
    if not any(wanted.items() <= labels.items() for wanted in accepted):
        advice = f"gets no sidecars: `kubectl label namespace {namespace} {shown}`, then restart its pods"
        yield Finding(path, namespace, advice)


def _pxc_operator(cluster: Cluster, settings: model.Settings, site: model.Site) -> Iterator[Finding]:
    """Find an operator that is not there, or has no sidecar: its databases, which have one, would not answer it."""
    operator = settings.pxc
    if not operator.existing or not any(isinstance(workload, model.Pxc) for workload in site.workloads):
        return
    labels = cluster.namespace_labels(operator.namespace)
    if labels is None:
        advice = f"is not there in {site.name}: name where the operator runs, or remove `existing`"
        yield Finding("pxc.namespace", operator.namespace, advice)
    else:
        yield from _sidecars(settings, site, "pxc.namespace", operator.namespace, labels)


def _scope(api: client.ApiClient, settings: model.Settings, site: model.Site) -> Iterator[Finding]:
    """Find Gateways of tenants that this `up` would take their gateways from."""
    istio = settings.istio
    if not istio.existing and istio.scope_gateways and (shut := shut_by_scope(api)):
        advice = (
            f"would bind Gateways of {site.name} to their own namespace, and {', '.join(shut)} open others' gateways: "
            "set it to false, or move them to the gateways' namespace first. One that is meant for no gateway of yours "
            "may be the one that shuts dcmesh's: delete it (docs/production.md)"
        )
        yield Finding("istio.scopeGateways", istio.scope_gateways, advice)


def _foreign(
    cluster: Cluster, settings: model.Settings, site: model.Site, path: str, gateway: str
) -> Iterator[Finding]:
    """Find what dcmesh is to make, by a name that is fixed or configured, and what somebody else has made."""
    to_make = [(f"{path}.workloads[{i}].namespace", workload.namespace) for i, workload in enumerate(site.workloads)]
    operator = settings.pxc
    if not operator.existing and any(isinstance(workload, model.Pxc) for workload in site.workloads):
        to_make.append(("pxc.namespace", operator.namespace))
    if site.exports and gateway != ISTIO_NAMESPACE:
        to_make.append((f"{path}.gateway.namespace", gateway))

    def look(namespace: tuple[str, str]) -> Iterator[Finding]:
        where, name = namespace
        if cluster.is_foreign("namespace", name):
            ((key, value),) = OURS.items()
            label = f"kubectl label namespace {name} {key}={value}"
            advice = (
                f"is there already in {site.name}, and this stack has not made it: name another. If this stack is to "
                f"take it over, and `pulumi destroy` to delete it with all that is in it: `{label}`"
            )
            yield Finding(where, name, advice)

    yield from _each(to_make, look)
    for index, imported in enumerate(site.imports):
        if cluster.has_foreign_sidecar(imported.namespace):
            advice = (
                f"has a Sidecar `default` in {site.name} that this stack has not made: import into a namespace of its "
                "own, or delete that"
            )
            yield Finding(f"{path}.imports[{index}].namespace", imported.namespace, advice)
    if site.exports and cluster.is_foreign("namespaced_service", GATEWAY_NAME, gateway):
        advice = (
            f"needs the gateway {gateway}/{GATEWAY_NAME}, and {site.name} has a Service of that name that this "
            "stack has not made: rename that"
        )
        yield Finding(f"{path}.exports[0].name", site.exports[0].name, advice)


def _namespaces(cluster: Cluster, settings: model.Settings, site: model.Site, path: str) -> Iterator[Finding]:
    made = {workload.namespace for workload in site.workloads}
    users = [(f"{path}.exports[{i}]", e.namespace, e.service_account) for i, e in enumerate(site.exports)]
    users += [(f"{path}.imports[{i}]", e.namespace, e.service_account) for i, e in enumerate(site.imports)]

    def look(user: tuple[str, str, str]) -> Iterator[Finding]:
        where, namespace, account = user
        labels = cluster.namespace_labels(namespace)
        if labels is None:
            yield Finding(f"{where}.namespace", namespace, f"is not there: `kubectl create namespace {namespace}`")
            return
        yield from _sidecars(settings, site, f"{where}.namespace", namespace, labels)
        if not cluster.has_service_account(namespace, account):
            advice = f"is not there: `kubectl create serviceaccount {account} --namespace {namespace}`"
            yield Finding(f"{where}.serviceAccount", account, advice)

    yield from _each([user for user in users if user[1] not in made], look)


def _volumes(cluster: Cluster, site: model.Site, path: str) -> Iterator[Finding]:
    """Compare the volumes that databases have with those that they are to have: they can grow, if their class can."""

    def look(numbered: tuple[int, model.Workload]) -> Iterator[Finding]:
        index, workload = numbered
        if isinstance(workload, model.Database) and workload.storage:
            names = (f"{CLAIMS[workload.kind]}-{workload.pods.stateful_set}-{n}" for n in range(workload.pods.replicas))
            claims = {found for name in names if (found := cluster.claim(workload.namespace, name))}
            for size, storage_class in sorted(claims, key=str):
                where = f"{path}.workloads[{index}].storage"
                yield from _volume(cluster, workload.storage, where, size, storage_class)

    yield from _each(enumerate(site.workloads), look)


def _volume(
    cluster: Cluster, wanted: model.Storage, path: str, size: str, storage_class: str | None
) -> Iterator[Finding]:
    """Compare a volume's size and StorageClass with what it is to have."""
    if wanted.storage_class and wanted.storage_class != storage_class:
        advice = f"is not the class of the volumes there: put {storage_class or 'none'} back"
        yield Finding(f"{path}.storageClass", wanted.storage_class, advice)
    if parse_quantity(wanted.size) < parse_quantity(size):
        advice = f"is less than the {size} of a volume there, and volumes do not shrink: set that"
        yield Finding(f"{path}.size", wanted.size, advice)
    elif parse_quantity(wanted.size) > parse_quantity(size) and not cluster.can_grow(storage_class):
        advice = (
            f"is more than the {size} of a volume there, and its StorageClass {storage_class or 'none'} does not let "
            "it grow: set allowVolumeExpansion there, if its driver can do that, or put the size back"
        )
        yield Finding(f"{path}.size", wanted.size, advice)


def _new_or_there(held: Held | None, component: str) -> type[Finding]:
    """Return how to tell what is wrong with an export or import: of one that stands already it stops no `up`.

    Else anybody in the cluster could keep the user from one, from a failover too.
    """
    there = any(urn.rpartition("::")[2].startswith(f"{component}-") for urn in (held.objects if held else ()))
    return Remark if there else Finding


def _hosts(
    cluster: Cluster,
    settings: model.Settings,
    site: model.Site,
    path: str,
    links: Mapping[str, Link],
    held: Held | None,
) -> Iterator[Finding]:
    """Find imports whose hosts have names that are, or could be, of the importing site's own."""

    def look(numbered: tuple[int, model.Import]) -> Iterator[Finding]:
        index, imported = numbered
        for namespace, service in dict.fromkeys(map(service_of, _hosts_of(imported, settings, links))):
            if cluster.has_service(namespace, service):
                advice = (
                    f"has hosts of Service {namespace}/{service}, and {site.name} has a Service of that name: its own "
                    "pods would answer; rename one of them"
                )
            elif namespace not in site.namespaces and cluster.is_foreign("namespace", namespace):
                ((key, value),) = OURS.items()
                advice = (
                    f"has hosts of namespace {namespace}, and {site.name} has a namespace of that name, which is not "
                    "dcmesh's: a Service of its own could have these names some day; rename one of them, or leave the "
                    f"names in it to dcmesh: `kubectl label namespace {namespace} {key}={value}`"
                )
            else:
                continue
            told = _new_or_there(held, _name_of(site, imported))
            yield told(f"{path}.imports[{index}].export", imported.export, advice)

    yield from _each(enumerate(site.imports), look)


def _name_of(site: model.Site, of: model.Import) -> str:
    return import_name(f"{site.name}-imports", namespace=of.namespace, source=of.from_, export=of.export)


def _hosts_of(imported: model.Import, settings: model.Settings, links: Mapping[str, Link]) -> Sequence[str]:
    """Return the hosts of an import, as far as they are known."""
    offers: list[model.Export | ExportedService] = [
        export for site in settings.sites if site.name == imported.from_ for export in site.exports
    ]
    offers += links[imported.from_].exports if imported.from_ in links else ()
    return next((export.hosts for export in offers if export.name == imported.export), ())


def _claimed(
    cluster: Cluster,
    settings: model.Settings,
    site: model.Site,
    path: str,
    links: Mapping[str, Link],
    gateway: str,
    held: Held | None,
) -> Iterator[Finding]:
    """Find hosts that somebody else's ServiceEntry has as well: of two that a proxy sees, Istio takes the older one."""
    uses = [
        (f"{path}.exports[{i}].name", e.name, export_name(site.name, e.name), gateway, e.hosts)
        for i, e in enumerate(site.exports)
    ]
    uses += [
        (
            f"{path}.imports[{i}].export",
            of.export,
            _name_of(site, of),
            of.namespace,
            tuple(_hosts_of(of, settings, links)),
        )
        for i, of in enumerate(site.imports)
    ]
    entries = cluster.foreign_entries() if uses else []
    for where, name, component, seen_from, hosts in uses:
        for entry, found in entries:
            claimed = sorted({str(host).lower() for host in found["spec"].get("hosts", ())} & set(hosts))
            if claimed and visible(found, seen_from):
                advice = (
                    f"has the host {claimed[0]}, which the ServiceEntry {entry} in {site.name} has as well, and this "
                    "stack has not made that: whoever connects may be led elsewhere; delete it, or take the host out "
                    "of it"
                )
                yield _new_or_there(held, component)(where, name, advice)


def _each(parts: Iterable[T], look: Callable[[T], Iterator[Finding]]) -> Iterator[Finding]:
    """Look at several parts at the same time; what is found comes in their order."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for findings in pool.map(lambda part: list(look(part)), parts):
            yield from findings


def _vips(cluster: Cluster, site: model.Site, path: str) -> Iterator[Finding]:
    if not site.imports:
        return
    vips = ipaddress.IPv4Network(site.vip_range)
    for what, network in cluster.networks():
        if vips.overlaps(network):
            yield Finding(f"{path}.vipRange", site.vip_range, f"overlaps {what}, {network}: choose another range")
