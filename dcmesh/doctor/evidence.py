"""Evidence: what one site answers. Nothing is asked before it is needed, and nothing is asked twice."""

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeVar

from dcmesh.doctor.findings import UnseenError
from dcmesh.foreign.gateway import at_gateway
from dcmesh.foreign.objects import Foreign, IstioObjects, gather
from dcmesh.kube.api import ERRORS, ApiClient, run_in
from dcmesh.kube.pods import PROXY, RUNNING, Pod, ask_proxy, has_ended, parse_pod, read
from dcmesh.model.istio import ISTIO_NAMESPACE
from dcmesh.model.istio_objects import Object, annotations, labels, name_of, whole
from dcmesh.model.link import ServiceAccount
from dcmesh.sites_in_outputs import DeployedExport, DeployedSite, ExpectedGateway
from dcmesh.status.gateways import GatewayStatus, find_gateway
from dcmesh.status.hosts import Answer, ask_hosts

ISTIO = {
    "EnvoyFilter": ("networking.istio.io/v1alpha3", "envoyfilters"),
    "ServiceEntry": ("networking.istio.io/v1", "serviceentries"),
    "DestinationRule": ("networking.istio.io/v1", "destinationrules"),
    "VirtualService": ("networking.istio.io/v1", "virtualservices"),
    "Gateway": ("networking.istio.io/v1", "gateways"),
    "Sidecar": ("networking.istio.io/v1", "sidecars"),
    "PeerAuthentication": ("security.istio.io/v1", "peerauthentications"),
    "ProxyConfig": ("networking.istio.io/v1beta1", "proxyconfigs"),
    "AuthorizationPolicy": ("security.istio.io/v1", "authorizationpolicies"),
}
"""Group, version and plural of the kinds that make up a link or may get in its way."""

T = TypeVar("T")


class Evidence:
    """One site, asked."""

    def __init__(self, site: DeployedSite) -> None:
        """Reach the site's cluster, or remember why it cannot be reached."""
        self.site = site
        self.unreachable = ""
        self._kept = dict[tuple[object, ...], Any]()
        if site.lost:
            self.unreachable = "failover.without names it"
            return
        try:
            self._clients = site.reach()
            self._api = self._clients()  # one connection for all questions, one after the other
        except ConnectionError as error:
            self.unreachable = str(error)

    def _once(self, key: tuple[object, ...], ask: Callable[[ApiClient], T]) -> T:
        """Ask, or return (or raise) the result of the first time."""
        if key not in self._kept:
            try:
                self._kept[key] = ask(self._api)
            except ERRORS as error:
                self._kept[key] = error
        kept = self._kept[key]
        if isinstance(kept, Exception):
            raise kept
        found: T = kept
        return found

    def _get(self, path: str) -> Any:  # noqa: ANN401
        """Return what the API has at a path; None if nothing."""
        return self._once(("get", path), lambda api: read(api, path))

    def listed(self, path: str) -> list[Object]:
        """Return the objects of a list; none if there is no such list."""
        items: list[Object] = (self._get(path) or {}).get("items", [])
        return items

    def istio(self, kind: str) -> list[Object]:
        """Return the objects of one of Istio's kinds, of all namespaces."""
        group, plural = ISTIO[kind]
        return [whole(found) for found in self.listed(f"/apis/{group}/{plural}")]

    def namespace(self, name: str) -> Object | None:
        """Return a namespace; None if it is not there."""
        found: Object | None = self._get(f"/api/v1/namespaces/{name}")
        return found

    def pods(self, namespace: str) -> list[Object]:
        """Return the pods of a namespace."""
        return self.listed(f"/api/v1/namespaces/{namespace}/pods")

    def service(self, namespace: str, name: str) -> Object | None:
        """Return a Service; None if it is not there."""
        found: Object | None = self._get(f"/api/v1/namespaces/{namespace}/services/{name}")
        return found

    def services(self, namespace: str) -> list[Object]:
        """Return the Services of a namespace."""
        return self.listed(f"/api/v1/namespaces/{namespace}/services")

    def endpoint_slices(self, namespace: str) -> list[Object]:
        """Return the EndpointSlices of a namespace."""
        return self.listed(f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices")

    def stateful_set(self, namespace: str, name: str) -> Object | None:
        """Return a StatefulSet; None if it is not there."""
        found: Object | None = self._get(f"/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}")
        return found

    def config_map(self, namespace: str, name: str) -> Object | None:
        """Return a ConfigMap; None if it is not there."""
        found: Object | None = self._get(f"/api/v1/namespaces/{namespace}/configmaps/{name}")
        return found

    def owner(self, pod: Object) -> Object | None:
        """Return the StatefulSet, Deployment or DaemonSet with a pod's template; None if it belongs to none."""
        above = self._above(pod)
        return (self._above(above) or above) if above and above["kind"] == "ReplicaSet" else above

    def template(self, pod: Object) -> tuple[Object, str]:
        """Return what a pod is made from, and its name: its owner's template, or the pod itself."""
        owner = self.owner(pod)
        if not owner:
            return pod, f"pod {name_of(pod)}"
        template: Object = owner["spec"]["template"]
        return template, f"the pod template of {owner['kind']} {name_of(owner)}"

    def _above(self, found: Object) -> Object | None:
        metadata = found["metadata"]
        for reference in metadata.get("ownerReferences", ()):
            if reference.get("controller") and reference["apiVersion"] == "apps/v1":
                path = (
                    f"/apis/apps/v1/namespaces/{metadata['namespace']}/{reference['kind'].lower()}s/{reference['name']}"
                )
                owner: Object | None = self._get(path)
                return owner and {**owner, "kind": reference["kind"]}
        return None

    @cached_property
    def cluster(self) -> IstioObjects:
        """The cluster's objects that may affect links, dcmesh's own among them."""
        return gather(self._get, self.site.gateway.place if self.site.gateway else "")

    @cached_property
    def foreign_at_gateway(self) -> Sequence[Foreign]:
        """Objects of others that affect links at the site's gateway."""
        gateway = self.site.gateway
        return [*at_gateway(self.site.name, gateway, self.site.exports, self.cluster)] if gateway else []

    def gateway(self, expected: ExpectedGateway) -> GatewayStatus:
        """Return the site's gateway as it is."""

        def proxy(pod: Pod, path: str) -> Any:  # noqa: ANN401
            return self._once(("proxy", pod.namespace, pod.name, path), lambda api: ask_proxy(api, pod, path))

        return find_gateway(self.site.name, expected, self._get, proxy)

    def left_out(self, gateway: str) -> str:
        """Return how many servers of a Gateway istiod has left out; empty if none, or not known.

        Args:
            gateway: the Gateway's namespace and name.
        """
        for pod in self.pods(ISTIO_NAMESPACE):
            if labels(pod).get("app") == "istiod" and is_ready(pod):
                try:
                    metrics = self.run(parse_pod(pod), "discovery", "pilot-discovery", "request", "GET", "/metrics")
                except ERRORS:
                    continue
                count = re.search(
                    f'^pilot_total_rejected_configs{{name="{re.escape(gateway)}",.*', metrics, re.MULTILINE
                )
                return count[0] if count else ""
        return ""

    def client_pod(self, account: ServiceAccount) -> Pod:
        """Return a pod of a service account that can be asked.

        Raises:
            UnseenError: there is none.
        """
        for pod in pods_of(self.pods(account.namespace), account):
            parsed = parse_pod(pod)
            if parsed.has_proxy:
                return parsed
        raise UnseenError(f"no pod with a sidecar runs as {account}")

    def proxy(self, pod: Pod, path: str) -> Any:  # noqa: ANN401
        """Return what a pod's Envoy answers at a path of its administration.

        Raises:
            UnseenError: its answer cannot be read.
        """
        try:
            return self._once(("proxy", pod.namespace, pod.name, path), lambda api: ask_proxy(api, pod, path))
        except ValueError:
            raise UnseenError(f"the sidecar of {pod.namespace}/{pod.name} gave no JSON at {path}") from None

    def dump(self, pod: Pod, part: str) -> list[Object]:
        """Return one part of the configuration that a pod's Envoy has."""
        found: list[Object] = next((c[part] for c in self._configuration(pod) if part in c), [])
        return found

    def metadata(self, pod: Pod) -> Object:
        """Return what a pod's Envoy tells istiod about itself."""
        bootstrap: Object = next((c["bootstrap"] for c in self._configuration(pod) if "bootstrap" in c), {})
        found: Object = bootstrap.get("node", {}).get("metadata", {})
        return found

    def _configuration(self, pod: Pod) -> list[Object]:
        parts: list[Object] = self.proxy(pod, "config_dump").get("configs", [])
        return parts

    def endpoints(self, pod: Pod, cluster: str) -> tuple[str, ...] | None:
        """Return where a pod's Envoy sends a cluster's traffic, each `ADDRESS:PORT`; None if it has no such cluster.

        Endpoints that Envoy or istiod considers unhealthy are left out.
        """
        for known in self.proxy(pod, "clusters?format=json").get("cluster_statuses", ()):
            if known["name"] == cluster:
                return tuple(_place(host) for host in known.get("host_statuses", ()) if _healthy(host))
        return None

    def answer(self, pod: Pod, export: DeployedExport, host: str) -> Answer:
        """Return what a host says to a new connection from a pod.

        Raises:
            ERRORS: the pod cannot ask.
        """
        key = ("ask", pod.namespace, pod.name, export.source, export.name, export.port)
        answers = self._once(key, lambda api: ask_hosts(api, pod, (export,)))
        return answers.get((host, export.port), Answer(ok=False, text="no answer"))

    def run(self, pod: Pod, container: str, *command: str) -> str:
        """Return what a command in a container prints.

        Raises:
            ERRORS: it cannot be run, or fails.
        """

        def run(api: ApiClient) -> str:
            return run_in(api, namespace=pod.namespace, pod=pod.name, container=container, command=command)

        return self._once(("run", pod.namespace, pod.name, container, *command), run)

    def ask(self, key: str, question: Callable[[Callable[[], ApiClient]], T]) -> T:
        """Return what another part of dcmesh finds."""
        return self._once(("ask", key), lambda _: question(self._clients))


def _place(host: Object) -> str:
    address = host["address"].get("socket_address", {})
    return f"{address.get('address')}:{address.get('port_value')}"


def _healthy(host: Object) -> bool:
    health = host.get("health_status", {})
    return health.get("eds_health_status", "HEALTHY") == "HEALTHY" and not health.get("failed_outlier_check")


def pods_of(pods: Sequence[Object], account: ServiceAccount) -> list[Object]:
    """Return the live pods of a service account: those that are neither finished nor being deleted."""
    return [pod for pod in pods if pod["spec"].get("serviceAccountName", "default") == account.name and lives(pod)]


def lives(pod: Object) -> bool:
    """Tell whether a pod is neither finished nor being deleted."""
    return not has_ended(pod) and "deletionTimestamp" not in pod["metadata"]


def sidecar_state(pod: Object) -> str | None:
    """Return the state of a pod's sidecar, `running` or why not; None if it has none."""
    spec = pod["spec"]
    names = {container["name"] for key in ("containers", "initContainers") for container in spec.get(key, ())}
    return parse_pod(pod).states.get(PROXY, "not started") if PROXY in names else None


def opt_out(pod: Object) -> str:
    """Return the label or annotation of a pod that keeps it from having a sidecar; empty if none does."""
    key = "sidecar.istio.io/inject"
    for kind, known in (("label", labels(pod)), ("annotation", annotations(pod))):
        if known.get(key, "true").lower() not in ("true", "yes", "y", "on"):
            return f'{kind} {key}: "{known[key]}"'
    return "hostNetwork: true" if pod["spec"].get("hostNetwork") else ""


def is_ready(pod: Object) -> bool:
    """Tell whether a pod is ready."""
    conditions = pod.get("status", {}).get("conditions", ())
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def is_serving(endpoint: Object) -> bool:
    """Tell whether an endpoint of an EndpointSlice is ready. It is, unless the slice says otherwise."""
    return endpoint.get("conditions", {}).get("ready") is not False


def states(pod: Object) -> str:
    """Return what does not run in a pod, or that all does."""
    idle = [f"{name}: {state}" for name, state in parse_pod(pod).states.items() if state != RUNNING]
    return ", ".join(idle) or "all containers run"


def one_line(text: str) -> str:
    """Return a text on one line."""
    return re.sub(r"\s+", " ", text).strip()


def ready_pods(slices: Sequence[Object], service: str) -> dict[str, set[int]]:
    """Return the names of the ready pods behind a Service, each with the ports that it is reached at."""
    found = dict[str, set[int]]()
    for part in slices:
        if labels(part).get("kubernetes.io/service-name") == service:
            for endpoint in part.get("endpoints") or ():
                if is_serving(endpoint):
                    name = endpoint.get("targetRef", {}).get("name") or endpoint["addresses"][0]
                    found.setdefault(name, set()).update(port["port"] for port in part.get("ports") or ())
    return found
