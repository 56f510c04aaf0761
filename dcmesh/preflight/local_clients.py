"""A site's own clients with sidecars: they must speak plaintext with pods whose sidecars take in ingress ports only."""

import re
from collections.abc import Iterator, Sequence

from dcmesh.config.errors import NOTHING, Finding
from dcmesh.kube.pods import read
from dcmesh.kube.read_rights import Allowed
from dcmesh.model import settings as model
from dcmesh.model.capture import Rules, past_inbound
from dcmesh.model.component_names import export_name
from dcmesh.model.istio_objects import Object, effective_rules, labels, name_of, selects, target_port
from dcmesh.model.link import service_host
from dcmesh.preflight.gateway_exports import has_sidecar
from dcmesh.preflight.ingress_pods import USE_GATEWAY, Pods
from dcmesh.sites_in_state import SiteInState

RULES = r".*-destinationrule-.*-ingress\..*"
"""How the stack's names of such DestinationRules look: by these a site's clients speak plaintext with a Service."""


def abandoned(allowed: Allowed, site: model.Site, path: str, known: SiteInState | None) -> Iterator[Finding]:
    """Find Services with which the site's clients are to speak TLS again while their pods cannot take it yet.

    This happens when a Service is taken out of `services`, or when its export goes before the pods' sidecars do.

    Raises:
        ApiException: the Service or its pods may not be read.
    """
    made = {workload.namespace for workload in site.workloads}
    exports = [of for of in site.exports if isinstance(of, model.IngressExport)]
    wanted = {f"{of.namespace}/{of.name}-ingress.{service}" for of in exports for service in of.all_services}
    own = re.compile(re.escape(export_name(site.name, "")) + RULES)
    for urn, (namespace, name) in known.objects.items() if known else ():
        if not own.fullmatch(urn.rpartition("::")[2]) or f"{namespace}/{name}" in wanted or namespace in made:
            continue
        place = f"/api/v1/namespaces/{namespace}"
        service = name.partition("-ingress.")[2]
        spec = (read(allowed.api, f"{place}/services/{service}") or {}).get("spec", {})
        pods = (read(allowed.api, f"{place}/pods") or {}).get("items", []) if spec.get("selector") else []
        for pod in pods:
            ports = [target_port(spec, of["port"], pod) for of in spec.get("ports") or ()]
            if selects(spec["selector"], labels(pod)) and has_sidecar(pod) and _past_any(pod, ports):
                advice = (
                    f"leave out the Service {service} of {namespace} in {site.name}, and pod {name_of(pod)} still has "
                    "the sidecar for it: the site's clients with sidecars would speak TLS with its server itself. "
                    "First take the labels and annotations out of the pods' template"
                )
                yield Finding(f"{path}.exports", NOTHING, advice)
                break


def _past_any(pod: Object, ports: Sequence[int]) -> bool:
    """Tell whether a pod leads any of these ports past its sidecar."""
    return any(past_inbound(Rules(pod), port) for port in ports)


def misled(pods: Pods) -> Iterator[str]:
    """Find what would make the site's clients speak TLS with the servers themselves, or plaintext with other pods."""
    rules, namespace = pods.others("networking", "destinationrules"), pods.export.namespace
    place, site = f"/api/v1/namespaces/{namespace}", pods.cluster.site
    there = pods.listed(f"{place}/pods")
    for service in pods.export.all_services:
        host = service_host(service, namespace)
        for rule in _holding(rules, host, namespace):
            if not _plaintext(rule, pods.export.port_numbers):
                yield (
                    f"has pods behind the Service {service}, and the DestinationRule {name_of(rule)} in {site} would "
                    "have clients with sidecars speak TLS with the server itself: set `tls: {mode: DISABLE}` in one "
                    f"for {host} alone in that namespace"
                )
        spec = (read(pods.cluster.allowed.api, f"{place}/services/{service}") or {}).get("spec", {})
        for other in others_behind(spec, there, pods.export):
            yield (
                f"names the Service {service}, which leads to pod {name_of(other)} in {site} as well, that has a "
                f"sidecar of its own: clients would speak plaintext with it. {USE_GATEWAY.capitalize()}"
            )


def _holding(rules: Sequence[Object], host: str, namespace: str) -> list[Object]:
    """Return the DestinationRules that would hold for clients of some namespace in place of dcmesh's own."""
    own = {"metadata": {"namespace": namespace, "name": "own"}, "spec": {"host": host, "exportTo": ["*"]}}
    everybody = [*rules, own]
    callers = dict.fromkeys(of["metadata"]["namespace"] for of in rules)
    found = dict[str, Object]()
    for caller in callers:
        for rule in effective_rules(everybody, host, proxy=caller, service=namespace):
            if rule is not own:
                found.setdefault(name_of(rule), rule)
    return [*found.values()]


def _plaintext(rule: Object, ports: Sequence[int]) -> bool:
    policy = rule["spec"].get("trafficPolicy", {})
    parts = [of for of in policy.get("portLevelSettings", ()) if of["port"]["number"] in ports and "tls" in of]
    return all(of.get("tls", {}).get("mode") == "DISABLE" for of in (policy, *parts))


def others_behind(service: Object, pods: Sequence[Object], export: model.IngressExport) -> list[Object]:
    """Return the pods with sidecars behind a Service that are not the export's."""
    selector = service.get("selector")
    behind = [pod for pod in pods if selector and selects(selector, labels(pod))]
    return [pod for pod in behind if has_sidecar(pod) and not selects(export.selector, labels(pod))]
