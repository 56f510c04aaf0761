"""Objects of Kubernetes and Istio: what is in them, and which of several a proxy uses.

Istio's rules for the latter were read in 1.31 (pilot/pkg/model: sidecar.go, push_context.go) and tried on the lab.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from dcmesh.model.istio import ISTIO_NAMESPACE
from dcmesh.model.link import CLUSTER_DOMAIN

Object = Mapping[str, Any]
"""An object as the API shows it."""


def whole(found: Object) -> Object:
    """Return an object of Istio's with a spec, even if it has none: for some kinds the API allows that."""
    return found if found.get("spec") else {**found, "spec": {}}


def annotations(found: Object) -> Mapping[str, str]:
    """Return the annotations of an object, or of a pod template."""
    return found["metadata"].get("annotations") or {}


def labels(found: Object) -> Mapping[str, str]:
    """Return an object's labels."""
    return found["metadata"].get("labels") or {}


def name_of(found: Object) -> str:
    """Return an object's namespace and name."""
    return f"{found['metadata']['namespace']}/{found['metadata']['name']}"


def selects(selector: Mapping[str, str] | None, of: Mapping[str, str]) -> bool:
    """Tell whether labels have everything that a selector names. An empty selector selects all."""
    return all(of.get(key) == value for key, value in (selector or {}).items())


def container_port(pod: Object, name: str) -> int | None:
    """Return the TCP port of a pod with this name; None if there is none. Native sidecars have ports as well."""
    spec = pod["spec"]
    native = (of for of in spec.get("initContainers", ()) if of.get("restartPolicy") == "Always")
    ports = (port for of in (*spec.get("containers", ()), *native) for port in of.get("ports") or ())
    named = (port for port in ports if port.get("name") == name and port.get("protocol", "TCP") == "TCP")
    return next((int(port["containerPort"]) for port in named), None)


def misled_to(pod: Object, name: str, port: int) -> int | None:
    """Return the other port of a pod to which a ServiceEntry's leads that selects it; None if it leads to its own.

    Istio goes by a container's port of the same name before it goes by the number
    (pilot/pkg/serviceregistry/serviceentry/conversion.go). A name of more than 15 characters no container's port has.

    Args:
        pod: the pod.
        name: name of the ServiceEntry's port.
        port: its number.
    """
    found = container_port(pod, name)
    return None if found == port else found


def target_port(service: Mapping[str, Any], port: int, pod: Object) -> int:
    """Return the port of a pod to which a Service's port leads.

    Args:
        service: the Service's spec.
        port: the Service's port.
        pod: the pod.
    """
    target = next((of.get("targetPort") for of in service.get("ports") or () if of["port"] == port), None)
    return (container_port(pod, target) if isinstance(target, str) else target) or port


def visible(found: Object, namespace: str) -> bool:
    """Tell whether an object of Istio's is visible in a namespace, by its exportTo."""
    return "*" in _shown_to(found) or shown_by_name(found, namespace)


def shown_by_name(found: Object, namespace: str) -> bool:
    """Tell whether an object of Istio's names this namespace in its exportTo, and not all."""
    shown, own = _shown_to(found), found["metadata"]["namespace"]
    return "*" not in shown and (namespace in shown or ("." in shown and own == namespace))


def _shown_to(found: Object) -> Sequence[str]:
    shown: Sequence[str] = found["spec"].get("exportTo") or ["*"]
    return shown


def covers(pattern: str, host: str) -> bool:
    """Tell whether a host of Istio's objects, which may begin with `*`, covers a host."""
    return host.endswith(pattern[1:]) if pattern.startswith("*") else pattern == host


def resolved(host: str, namespace: str) -> str:
    """Return a host of a VirtualService or DestinationRule as Istio reads it: without a dot it is a Service there.

    Args:
        host: the host as it is written.
        namespace: the object's namespace.
    """
    return host if "." in host or "*" in host else f"{host}.{namespace}.svc.{CLUSTER_DOMAIN}"


def elder(found: Object, other: Object) -> bool:
    """Tell whether an object is older than another. Of two of the same second, the first by name counts as older."""

    def age(of: Object) -> tuple[str, str, str]:
        metadata = of["metadata"]
        return str(metadata.get("creationTimestamp", "")), metadata["name"], metadata["namespace"]

    return age(found) < age(other)


def goes_by(found: Object, own: Object | None, namespace: str) -> bool:
    """Tell whether the proxies of a namespace use a ServiceEntry whose host dcmesh's own has too.

    They use the oldest of those that name their namespace in exportTo, as dcmesh's own do; those that all can see come
    after. Of two in one namespace they use both, and join their endpoints.
    """
    if own is None or found["metadata"]["namespace"] == own["metadata"]["namespace"]:
        return True
    return shown_by_name(found, namespace) and elder(found, own)


def applying(sidecars: Sequence[Object], namespace: str, of: Object | None = None) -> Object | None:
    """Return the Sidecar that applies to a pod: one that selects it, its namespace's, or the mesh's.

    Args:
        sidecars: the Sidecars of the cluster.
        namespace: the pod's namespace.
        of: the pod. Default: one that no Sidecar selects.
    """
    here = [sidecar for sidecar in sidecars if sidecar["metadata"]["namespace"] == namespace]
    chosen = [s for s in here if of and selector_of(s) and selects(selector_of(s), labels(of))]
    whole = [s for s in here if not selector_of(s)]
    mesh = [s for s in sidecars if s["metadata"]["namespace"] == ISTIO_NAMESPACE and not selector_of(s)]
    return next(iter([*chosen, *whole, *mesh]), None)


def selector_of(found: Object) -> dict[str, str]:
    """Return the labels by which a Sidecar chooses pods."""
    chosen: dict[str, str] = found["spec"].get("workloadSelector", {}).get("labels", {})
    return chosen


def shows(sidecar: Object, found: Object, host: str) -> bool:
    """Tell whether a Sidecar lets its pods see a host of a ServiceEntry or VirtualService."""
    own, of = sidecar["metadata"]["namespace"], found["metadata"]["namespace"]
    scopes = [scope for egress in sidecar["spec"].get("egress", ()) for scope in egress.get("hosts", ())]
    for scope in scopes or ["*/*"]:
        namespace, _, pattern = scope.partition("/")
        if (namespace in ("*", of) or (namespace == "." and own == of)) and covers(pattern, host):
            return True
    return False


def effective_rules(rules: Sequence[Object], host: str, *, proxy: str, service: str) -> list[Object]:
    """Return the DestinationRules by which a proxy connects to a host: those of one namespace, for the narrowest name.

    Args:
        rules: the DestinationRules of the cluster.
        host: the host.
        proxy: the proxy's namespace.
        service: the namespace of the host's ServiceEntry.
    """

    def narrowest(found: list[Object]) -> list[Object]:
        names = [(resolved(rule["spec"].get("host", ""), rule["metadata"]["namespace"]), rule) for rule in found]
        having = [name for name, _ in names if covers(name, host)]
        best = max(having, key=lambda name: (name == host, len(name)), default="")
        return [rule for name, rule in names if best and name == best]

    def of(namespace: str) -> list[Object]:
        return [rule for rule in rules if rule["metadata"]["namespace"] == namespace]

    # In Istio's own namespace those for the whole mesh come last.
    local = [rule for rule in of(proxy) if proxy != ISTIO_NAMESPACE or shown_by_name(rule, proxy)]
    if found := narrowest(local):
        return found
    for namespace in (service, ISTIO_NAMESPACE):
        if found := [rule for rule in narrowest(of(namespace)) if visible(rule, proxy)]:
            return found
    return []
