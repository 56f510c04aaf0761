"""Exports whose TLS ends at the gateway: whether what they export exists, and whether the gateway can reach it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from dcmesh.config.errors import Finding
from dcmesh.kube.pods import PROXY, read
from dcmesh.kube.read_rights import Allowed
from dcmesh.model import settings as model
from dcmesh.model.authorization import connection, denies, holding, refusing
from dcmesh.model.capture import Rules, past_inbound
from dcmesh.model.gateway import GATEWAY_NAME, GATEWAY_PORT
from dcmesh.model.istio import ISTIO_NAMESPACE
from dcmesh.model.istio_objects import Object, labels, name_of, selects, target_port, whole
from dcmesh.model.link import ExportedService, ServiceAccount, as_written, pod_of
from dcmesh.model.network_policy import NAMESPACE_NAME, Caller, chooses, shutting_out
from dcmesh.model.peer_authentication import tls_disabled
from dcmesh.model.plan import SitePlan
from dcmesh.preflight.hosts import exported_name, new_or_there
from dcmesh.preflight.missing_rights import as_far_as_allowed
from dcmesh.preflight.parallel import each
from dcmesh.sites_in_state import SiteInState

E = TypeVar("E", model.GatewayExport, model.IngressExport)


def pod_labels(gateway: str) -> dict[str, str]:
    """Return the labels of the pods of a site's gateway in a namespace."""
    return {"app": GATEWAY_NAME, "istio": "eastwestgateway" if gateway == ISTIO_NAMESPACE else "dcmesh-gateway"}


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The cluster that is asked, and the gateway that is to reach the exported pods.

    Attributes:
        allowed: the cluster.
        seen: selectors of the namespaces that istiod looks at; empty if it looks at all of them.
        policies: its AuthorizationPolicies.
        gateway: the gateway's pods.
        site: name of the site.
        trust_domains: its trust domains.
    """

    allowed: Allowed
    seen: Sequence[Mapping[str, Any]]
    policies: Sequence[Object]
    gateway: Caller
    site: str
    trust_domains: tuple[str, ...]

    @property
    def account(self) -> ServiceAccount:
        """The gateway's service account."""
        return ServiceAccount(self.gateway.namespace, GATEWAY_NAME, self.trust_domains)


def of_others(site: model.Site, path: str, plan: SitePlan, kind: type[E]) -> list[tuple[str, E, ExportedService]]:
    """Return a site's exports of a kind, without those of workloads that it is to make.

    Args:
        site: the site's part of the configuration.
        path: its place there.
        plan: its part of the plan.
        kind: the kind, which says where TLS ends.

    Returns:
        For each its place in the configuration, its part of that, and its part of the plan.
    """
    made = {workload.namespace for workload in site.workloads}
    return [
        (f"{path}.exports[{index}]", export, exported)
        for index, (export, exported) in enumerate(zip(site.exports, plan.exports, strict=True))
        if isinstance(export, kind) and export.namespace not in made
    ]


def cluster_of(allowed: Allowed, mesh: Mapping[str, Any], site: model.Site, gateway: str) -> Cluster:
    """Return the cluster of a site, as it is asked here.

    Args:
        allowed: the cluster.
        mesh: the mesh configuration of an existing istiod.
        site: the site's part of the configuration.
        gateway: namespace of its gateway.
    """
    home = allowed.read(f"/api/v1/namespaces/{gateway}") or {"metadata": {"labels": {NAMESPACE_NAME: gateway}}}
    return Cluster(
        allowed=allowed,
        seen=mesh.get("discoverySelectors") or (),
        policies=[whole(policy) for policy in allowed.list("/apis/security.istio.io/v1/authorizationpolicies")],
        gateway=Caller(namespace=gateway, namespace_labels=labels(home), labels=pod_labels(gateway)),
        site=site.name,
        trust_domains=site.trust_domains,
    )


def ready_to_export(
    allowed: Allowed,
    mesh: Mapping[str, Any],
    site: model.Site,
    path: str,
    plan: SitePlan,
    gateway: str,
    known: SiteInState | None,
) -> Iterator[Finding]:
    """Find what such exports lack. Those of workloads that dcmesh itself creates are left out.

    Args:
        allowed: the cluster.
        mesh: the mesh configuration of an existing istiod.
        site: the site's part of the configuration.
        path: its place there.
        plan: its part of the plan.
        gateway: namespace of its gateway.
        known: what the stack's state has of the site.
    """
    exports = of_others(site, path, plan, model.GatewayExport)
    if not exports:
        return
    cluster = cluster_of(allowed, mesh, site, gateway)

    def look(of: tuple[str, model.GatewayExport, ExportedService]) -> Iterator[Finding]:
        where, export, exported = of
        told = new_or_there(known, exported_name(plan, exported))

        def wrong() -> Iterator[Finding]:
            absent = list(missing(cluster, export))
            for key, value, advice in absent:
                yield told(f"{where}.{key}", value, advice)
            for advice in () if absent else _shut(cluster, export, exported):
                yield told(f"{where}.name", export.name, advice)

        yield from as_far_as_allowed(wrong(), f"{where}.name", export.name, told)

    yield from each(exports, look)


Wrong = tuple[str, object, str]
"""The key of an export, its value and the advice."""


def missing(cluster: Cluster, export: model.GatewayExport | model.IngressExport) -> Iterator[Wrong]:
    """Find an export of something that does not exist, or that is not what the export says."""
    namespace, name = export.namespace, export.service_name
    found = read(cluster.allowed.api, f"/api/v1/namespaces/{namespace}")
    if found is None:
        yield "namespace", namespace, f"does not exist in {cluster.site}: export what runs already"
        return
    if cluster.seen and not any(chooses(selector, labels(found)) for selector in cluster.seen):
        advice = (
            f"is a namespace that istiod in {cluster.site} does not look at: give it a label of "
            "meshConfig.discoverySelectors, but none that injects sidecars, or add a selector there"
        )
        yield "namespace", namespace, advice
    if isinstance(export, model.GatewayExport) and export.pods:  # `selectors` looks whether these pods are there
        return
    service = read(cluster.allowed.api, f"/api/v1/namespaces/{namespace}/services/{name}")
    if service is None:
        yield (
            "service",
            name,
            f"does not exist in namespace {namespace} of {cluster.site}: name the Service of the pods",
        )
        return
    if isinstance(export, model.GatewayExport) and export.whole:
        yield from _service(export, service["spec"])
    else:
        yield from _stateful_set(cluster, export)


def _service(export: model.GatewayExport, service: Mapping[str, object]) -> Iterator[Wrong]:
    if service.get("clusterIP") in (None, "", "None"):
        advice = "has no address of its own, so its pods are to be exported one by one: give `replicas`, not `whole`"
        yield "service", export.service_name, advice
    ports = [port["port"] for port in service.get("ports") or ()]  # type: ignore[attr-defined]
    for number, port in enumerate(export.port_numbers):
        if port not in ports:
            key = f"ports[{number}].port" if export.ports else "port"
            shown = ", ".join(map(str, ports)) or "none"
            yield key, port, f"is no port of the Service {export.service_name}, which has {shown}: use one of them"


def _stateful_set(cluster: Cluster, export: model.GatewayExport | model.IngressExport) -> Iterator[Wrong]:
    place = f"/apis/apps/v1/namespaces/{export.namespace}/statefulsets/{export.stateful_set_name}"
    found = read(cluster.allowed.api, place)
    if found is None:
        advice = f"is no StatefulSet in namespace {export.namespace} of {cluster.site}: name the one that has the pods"
        yield "statefulSet", export.stateful_set_name, advice
        return
    if (service := found["spec"].get("serviceName", "")) != export.service_name:
        advice = f"is not the Service from which the pods have their DNS names, which is {service}: use that"
        yield "service", export.service_name, advice
    if (export.replicas or 0) > (there := int(found["spec"].get("replicas", 1))):
        yield "replicas", export.replicas, f"is more than the {there} pods that the StatefulSet has: lower it"


def _shut(cluster: Cluster, export: model.GatewayExport, exported: ExportedService) -> Iterator[str]:
    """Find policies that would keep consumers from the gateway, or the gateway from the pods, and say what to do."""
    pods = _pods(cluster, export)
    peers = cluster.allowed.list("/apis/security.istio.io/v1/peerauthentications")
    networks = cluster.allowed.list(f"/apis/networking.k8s.io/v1/namespaces/{export.namespace}/networkpolicies")
    advice = [
        *_refused_consumers(cluster, exported),
        *(line for pod, port in pods if has_sidecar(pod) for line in _refused_gateway(cluster, exported, pod, port)),
        *(line for pod, port in pods if has_sidecar(pod) for line in _past_its_sidecar(cluster, peers, pod, port)),
        *(line for pod, port in pods for line in shut_out(cluster, networks, pod, port)),
    ]
    yield from dict.fromkeys(advice)


def _refused_consumers(cluster: Cluster, exported: ExportedService) -> Iterator[str]:
    """Find policies that refuse consumers at the gateway. Outside Istio's namespace dcmesh's own policy allows them."""
    gateway = cluster.gateway
    holds = holding(cluster.policies, gateway.namespace, gateway.labels)
    if gateway.namespace != ISTIO_NAMESPACE:
        holds = [policy for policy in holds if denies(policy)]
    for consumer in exported.consumers:
        principal = as_written(consumer.account.principal, cluster.trust_domains[0])
        asked = connection(
            consumer.account,
            port=GATEWAY_PORT,
            sni=exported.served[exported.hosts[0]],
            trust_domains=cluster.trust_domains,
        )
        for policy in refusing(holds, asked):
            rule = f'from: [{{source: {{principals: ["{principal}"]}}}}]'
            cure = f"exempt the principal {principal} from it" if denies(policy) else f"add the rule `{rule}` to it"
            yield (
                f"has the consumer {consumer.account}, whom AuthorizationPolicy {name_of(policy)} in {cluster.site} "
                f"would refuse at the gateway: {cure}"
            )


def _refused_gateway(cluster: Cluster, exported: ExportedService, pod: Object, port: int) -> Iterator[str]:
    """Find policies that refuse the gateway at the sidecar of a pod that listens on a port."""
    principal = cluster.account.principal
    name = exported.behind_gateway(exported.hosts[0])
    asked = connection(
        cluster.account,
        port=port,
        sni=f"outbound_.{exported.port}_._.{name}",
        trust_domains=cluster.trust_domains,
    )
    rule = f'from: [{{source: {{principals: ["{principal}"]}}}}], to: [{{operation: {{ports: ["{port}"]}}}}]'
    for policy in refusing(holding(cluster.policies, exported.namespace, labels(pod)), asked):
        cure = f"exempt the principal {principal} from it" if denies(policy) else f"add the rule `{rule}` to it"
        yield f"has pods whose AuthorizationPolicy {name_of(policy)} in {cluster.site} would refuse the gateway: {cure}"


def _past_its_sidecar(cluster: Cluster, peers: Sequence[Object], pod: Object, port: int) -> Iterator[str]:
    """Find pods with a sidecar that leaves the port alone: the gateway would speak TLS with the server itself."""
    past = past_inbound(Rules(pod), port)
    if past and not tls_disabled([*map(whole, peers)], pod, port):
        yield (
            f"has pods that lead port {port} past their sidecar in {cluster.site} (`{past[0].annotation}`), and the "
            "gateway speaks mutual TLS with every pod that has one: the server would not understand it. Add a "
            f"PeerAuthentication that selects them, with `portLevelMtls: {{{port}: {{mode: DISABLE}}}}`"
        )


def shut_out(cluster: Cluster, networks: Sequence[Object], pod: Object, port: int) -> Iterator[str]:
    """Find NetworkPolicies that keep the gateway from a pod."""
    gateway = cluster.gateway
    if shut := shutting_out(networks, pod, gateway, port):
        peer = f"from: [{{namespaceSelector: {{matchLabels: {{{NAMESPACE_NAME}: {gateway.namespace}}}}}}}]"
        yield (
            f"has pods whose NetworkPolicy {', '.join(shut)} in {cluster.site} would keep the gateway out: add to its "
            f"`ingress` the rule `{peer}, ports: [{{port: {port}}}]`"
        )


def _pods(cluster: Cluster, export: model.GatewayExport) -> list[tuple[Object, int]]:
    """Return the exported pods that exist, each with the port that it listens on."""
    pods = cluster.allowed.list(f"/api/v1/namespaces/{export.namespace}/pods")
    if not export.whole:
        names = set(map(pod_of, export.hosts))

        def exported(pod: Object) -> bool:
            name = labels(pod).get(export.pod_label) if export.pods else pod["metadata"]["name"]
            return name in names

        return [(pod, port) for pod in filter(exported, pods) for port in export.port_numbers]
    place = f"/api/v1/namespaces/{export.namespace}/services/{export.service_name}"
    spec = (cluster.allowed.read(place) or {}).get("spec", {})
    selector = spec.get("selector")
    chosen = [pod for pod in pods if selector and selects(selector, labels(pod))]
    return [(pod, target_port(spec, port, pod)) for pod in chosen for port in export.port_numbers]


def has_sidecar(pod: Object) -> bool:
    """Tell whether a pod has a sidecar."""
    containers = (*pod["spec"].get("containers", ()), *pod["spec"].get("initContainers", ()))
    return any(container["name"] == PROXY for container in containers)
