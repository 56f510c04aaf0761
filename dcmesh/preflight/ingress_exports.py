"""Exports whose TLS ends at ingress ports: whether the sidecars take in those ports alone and nothing blocks them."""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dcmesh.config.errors import Finding, Remark
from dcmesh.kube.pods import PROXY
from dcmesh.kube.read_rights import Allowed
from dcmesh.model import settings as model
from dcmesh.model.authorization import connection, denies, holding, refusing
from dcmesh.model.capture import MODE, PORTS_IN, PORTS_OUT, RANGES_OUT, Rules, for_dcmesh_alone, split
from dcmesh.model.ingress_port import TAKES_PART
from dcmesh.model.istio_objects import (
    Object,
    annotations,
    labels,
    name_of,
    selects,
)
from dcmesh.model.link import ExportedService, as_written
from dcmesh.model.peer_authentication import effective
from dcmesh.model.plan import SitePlan
from dcmesh.preflight.gateway_exports import Wrong, cluster_of, has_sidecar, missing, of_others, shut_out
from dcmesh.preflight.hosts import exported_name, new_or_there
from dcmesh.preflight.ingress_pods import USE_GATEWAY, Pods, pods_of
from dcmesh.preflight.local_clients import misled, others_behind
from dcmesh.preflight.missing_rights import as_far_as_allowed
from dcmesh.preflight.parallel import each
from dcmesh.sites_in_state import SiteInState


def ready_to_export(
    allowed: Allowed,
    mesh: Mapping[str, Any],
    istio: model.Istio,
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
        istio: how Istio is there, or is to be.
        site: the site's part of the configuration.
        path: its place there.
        plan: its part of the plan.
        gateway: namespace of its gateway.
        known: what the stack's state has of the site.
    """
    exports = of_others(site, path, plan, model.IngressExport)
    if not exports:
        return
    cluster = cluster_of(allowed, mesh, site, gateway)

    def look(of: tuple[str, model.IngressExport, ExportedService]) -> Iterator[Finding]:
        where, export, exported = of
        told = new_or_there(known, exported_name(plan, exported))

        def wrong() -> Iterator[Finding]:
            absent = list(missing(cluster, export))
            for key, value, advice in absent:
                yield told(f"{where}.{key}", value, advice)
            if absent:
                return
            pods = pods_of(cluster, istio, site, export, exported)
            for key, value, advice in dict.fromkeys([*_accounts(pods), *_ports(pods), *_shut(pods)]):
                yield told(f"{where}.{key}", value, advice)
            yield from (Remark(f"{where}.{key}", value, advice) for key, value, advice in _to_do(pods))

        yield from as_far_as_allowed(wrong(), f"{where}.name", export.name, told)

    yield from each(exports, look)


def _accounts(pods: Pods) -> Iterator[Wrong]:
    """Find pods of another service account than the export's, on which importers insist."""
    for account in sorted({pod["spec"].get("serviceAccountName", "default") for pod in pods.found}):
        if account != pods.export.service_account:
            yield "serviceAccount", pods.export.service_account, f"is not that of all pods, of which is {account}"


def _ports(pods: Pods) -> Iterator[Wrong]:
    """Find ingress ports on which a container of the pods listens."""
    for number, of in enumerate(pods.export.ports):
        for pod in pods.found:
            listening = [
                container["name"]
                for container in (*pod["spec"]["containers"], *pod["spec"].get("initContainers", ()))
                if container["name"] != PROXY
                and of.ingress in {port["containerPort"] for port in container.get("ports") or ()}
            ]
            if listening:
                advice = f"is a port of the container {listening[0]} in {pods.cluster.site}: set one that is free"
                yield f"ports[{number}].ingressPort", of.ingress, advice
                break


def _shut(pods: Pods) -> Iterator[Wrong]:
    """Find sidecars that take in or out more than dcmesh needs, and what is in the way of the ingress ports."""
    sidecars, peers = pods.others("networking", "sidecars"), pods.others("security", "peerauthentications")
    namespace = pods.export.namespace
    networks = pods.listed(f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies")
    for pod in pods.found:
        advice = [*_of_the_mesh(pods, pod)]
        advice += [*_captured_whole(pods, pod)] if has_sidecar(pod) else []
        advice += [*_sidecar(pods, sidecars, pod), *_peers(pods, peers, pod), *_denied(pods, pod)]
        for port in pods.export.ingress_ports.values():
            advice += shut_out(pods.cluster, networks, pod, port)
        yield from (("name", pods.export.name, line) for line in advice)
    yield from (("name", pods.export.name, line) for line in (*_captured_next(pods, peers), *misled(pods)))


def _of_the_mesh(pods: Pods, pod: Object) -> Iterator[str]:
    """Find pods that are in a mesh without a sidecar, or that cannot have a sidecar."""
    site, mode = pods.cluster.site, "istio.io/dataplane-mode"
    ambient = "ambient" in (labels(pod).get(mode), labels(pods.home).get(mode))
    if ambient or annotations(pod).get("ambient.istio.io/redirection") == "enabled":
        yield f"has pods that are in {site}'s ambient mesh: {USE_GATEWAY}"
    if pod["spec"].get("hostNetwork"):
        yield f"has pods in the network of their nodes in {site}, which get no sidecars: {USE_GATEWAY}"


def _captured_next(pods: Pods, peers: Sequence[Object]) -> Iterator[str]:
    """Find pods that would take only mutual TLS, at all ports, if they restarted before their template changes."""
    ready = {*split(annotations(pods.template).get(PORTS_IN.annotation, PORTS_IN.default))} <= pods.ports
    pod = {"metadata": {"namespace": pods.export.namespace, "labels": labels(pods.template)}}
    strict = any(effective(peers, pod, port)[0] == "STRICT" for port in pods.export.port_numbers)
    if pods.injected and strict and not ready:
        yield (
            f"has pods that would get whole sidecars in {pods.cluster.site} if they started anew now, and take no "
            'plaintext then: put the label sidecar.istio.io/inject: "false" into their template until this `up` is '
            "through"
        )


def _captured_whole(pods: Pods, pod: Object) -> Iterator[str]:
    rules, site = Rules(pod), pods.cluster.site
    if more := sorted({*split(rules[PORTS_IN])} - pods.ports):
        yield (
            f"has pods whose sidecars in {site} take in more than its ingress ports ({PORTS_IN.annotation}: "
            f"{', '.join(more)}), and a Sidecar of dcmesh's would change all of that: {USE_GATEWAY}"
        )
    elif rules[MODE] == "NONE":
        yield f"has pods whose sidecars in {site} take in nothing ({MODE.annotation}: NONE): {USE_GATEWAY}"
    for setting in (RANGES_OUT, PORTS_OUT):
        if any(not _within(part, pods.out) for part in split(rules[setting])):
            yield (
                f"has pods whose sidecars in {site} take out more than what is for other sites ({setting.annotation}: "
                f"{rules[setting]}), and a Sidecar of dcmesh's would change that: {USE_GATEWAY}"
            )


def _within(part: str, network: str) -> bool:
    try:
        inner, outer = ipaddress.IPv4Network(part), ipaddress.IPv4Network(network)
    except ValueError:
        return False
    return inner.subnet_of(outer)


def _sidecar(pods: Pods, sidecars: Sequence[Object], pod: Object) -> Iterator[str]:
    """Find somebody else's Sidecar for the pods. Of two Sidecars Istio uses only one."""
    for of in sidecars:
        chosen = of["spec"].get("workloadSelector", {}).get("labels")
        if of["metadata"]["namespace"] == pods.export.namespace and chosen and selects(chosen, labels(pod)):
            yield f"has pods for which the Sidecar {name_of(of)} in {pods.cluster.site} holds: {USE_GATEWAY}"


def _peers(pods: Pods, peers: Sequence[Object], pod: Object) -> Iterator[str]:
    """Find somebody else's PeerAuthentication for the pods that is not STRICT there. Istio uses the oldest."""
    chosen = [(of["spec"].get("selector", {}).get("matchLabels"), of) for of in peers]
    own = [of for of in peers if of["metadata"]["namespace"] == pods.export.namespace]
    narrow = [of for selector, of in chosen if of in own and selector and selects(selector, labels(pod))]
    for port in pods.export.ingress_ports.values() if narrow else ():
        if effective(peers, pod, port)[0] != "STRICT":
            yield (
                f"has pods for which the PeerAuthentication {name_of(narrow[0])} in {pods.cluster.site} holds: add "
                f'`portLevelMtls: {{"{port}": {{mode: STRICT}}}}` to it'
            )


def _denied(pods: Pods, pod: Object) -> Iterator[str]:
    """Find AuthorizationPolicies of others that refuse a consumer. Where none allows it, dcmesh's own does."""
    cluster = pods.cluster
    policies = [of for of in cluster.policies if name_of(of) not in pods.ours]
    holds = [of for of in holding(policies, pods.export.namespace, labels(pod)) if denies(of)]
    for consumer in pods.exported.consumers:
        principal = as_written(consumer.account.principal, cluster.trust_domains[0])
        for of in pods.exported.by_port:
            asked = connection(
                consumer.account,
                port=pods.export.ingress_ports[of.port],
                sni=of.sni(of.hosts[0]),
                trust_domains=cluster.trust_domains,
            )
            for policy in refusing(holds, asked):
                yield (
                    f"has the consumer {consumer.account}, whom AuthorizationPolicy {name_of(policy)} in "
                    f"{cluster.site} would refuse at the pods: exempt the principal {principal} from it"
                )


def _takes_part(pods: Pods, pod: Object) -> bool:
    taken = {*split(Rules(pod)[PORTS_IN])} if has_sidecar(pod) else set[str]()
    return pods.ports <= taken and labels(pod).get(TAKES_PART) == pods.export.name


def _to_do(pods: Pods) -> Iterator[Wrong]:
    """Tell what the owner of the pods has to do after this `up`."""
    export, site = pods.export, pods.cluster.site
    if not all(_takes_part(pods, pod) for pod in pods.found):
        revision = {} if pods.revision in ("", "default") else {"istio.io/rev": pods.revision}
        known = {"sidecar.istio.io/inject": "true", **revision, TAKES_PART: export.name}
        traffic = for_dcmesh_alone(ingress=export.ingress_ports.values(), out=pods.out)
        advice = (
            f"has pods in {site} that do not take part with all its ingress ports, {', '.join(sorted(pods.ports))}: "
            f"after this `up` give their template the labels {_shown(known)} and the annotations {_shown(traffic)}, "
            "which starts them anew"
        )
        yield "name", export.name, advice
    everybody = pods.listed(f"/api/v1/namespaces/{export.namespace}/pods")
    for service in pods.listed(f"/api/v1/namespaces/{export.namespace}/services"):
        selector, name = service["spec"].get("selector"), service["metadata"]["name"]
        leads = selector and any(selects(selector, labels(pod)) for pod in pods.found)
        if leads and name not in export.all_services and not others_behind(service["spec"], everybody, export):
            advice = (
                f"has pods behind the Service {name} in {site} too: add it to `services`, or the site's clients with "
                "sidecars cannot speak with it once the pods have theirs"
            )
            yield "services", " ".join(export.services) or "none", advice


def _shown(known: Mapping[str, str]) -> str:
    return ", ".join(f'{key}: "{value}"' for key, value in known.items())
