"""Gateways: whether a site's door is open, whether it stays so after a restart, and where the others look for it."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from dcmesh.kube.api import ERRORS, ApiClient, why
from dcmesh.kube.pods import Pod, ask_proxy, parse_pod, read
from dcmesh.model.facts import Fact, State
from dcmesh.sites_in_outputs import ExpectedGateway

LISTENERS, CLUSTERS = "listener_manager.lds", "cluster_manager.cds"
"""How the names of Envoy's counters for istiod's configuration begin."""

COUNTS = f"stats?format=json&filter={quote(f'^({LISTENERS}|{CLUSTERS})[.](update_rejected|version_text)$', safe='')}"
REFUSED_LISTENERS = "config_dump?resource=dynamic_listeners"


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Configuration that istiod sent last and an Envoy of the gateway refuses.

    Attributes:
        pod: namespace and name of its pod.
        of: `listeners` or `clusters`.
        details: Envoy's reason, on one line; empty if it does not tell it any more.
    """

    pod: str
    of: str
    details: str = ""

    def __str__(self) -> str:
        """Return it as it is shown."""
        said = f": {self.details}" if self.details else ""
        return f"the Envoy of {self.pod} refuses the {self.of} that istiod has sent last{said}"


@dataclass(frozen=True, kw_only=True)
class GatewayPods(Fact):
    """The pods of a gateway, of either kind.

    Attributes:
        ready: how many of them are ready.
        wanted: how many there should be.
        refusals: what their Envoys refuse.
        unasked: why their Envoys could not be asked for that; empty if they could.
    """

    ready: int = 0
    wanted: int = 0
    refusals: tuple[Refusal, ...] = ()
    unasked: str = ""

    def judge(self) -> Iterator[tuple[State, str]]:
        """Yield what is wrong, except what their Envoys refuse: each kind of gateway judges that itself."""
        if self.unasked:
            yield State.UNKNOWN, f"its Envoys cannot be asked what they refuse: {self.unasked}"
        if not self.ready:
            yield State.CRITICAL, f"no pod is ready, {self.wanted} wanted"
        elif self.ready < self.wanted:
            yield State.WARNING, f"{self.ready} of {self.wanted} pods are ready"


@dataclass(frozen=True, kw_only=True)
class GatewayStatus(GatewayPods):
    """A site's gateway.

    Attributes:
        addresses: the external addresses of its Service.
        ports: the ports of its Service.
        told_addresses: the addresses where importers look for it.
        told_port: the port there.
        advertised: whether these are from the configuration, and not from the Service.
    """

    addresses: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    told_addresses: tuple[str, ...]
    told_port: int
    advertised: bool

    @property
    def where(self) -> str:
        """What problems begin with."""
        return f"{self.site} gateway"

    def judge(self) -> Iterator[tuple[State, str]]:
        """Yield what is wrong."""
        for refusal in self.refusals:
            state = State.CRITICAL if refusal.of == "listeners" else State.WARNING
            last = (
                "it goes on with what it had before, and its next restart stops all links"
                if self.ready
                else "no link works"
            )
            yield state, f"{refusal}: {last}. `python -m dcmesh doctor` names the cause"
        yield from super().judge()
        if self.advertised:
            return
        own, told = set(self.addresses), set(self.told_addresses)
        shown = " ".join(self.addresses) or "no address"
        if told - own:
            gone = " ".join(sorted(told - own))
            yield State.CRITICAL, f"importers are told {gone}, its Service has {shown}: run `pulumi up --refresh`"
        elif own - told:
            yield State.WARNING, f"importers are not told of {' '.join(sorted(own - told))}: run `pulumi up --refresh`"
        if self.ports and self.told_port not in self.ports:
            yield State.CRITICAL, f"importers are told port {self.told_port}, which its Service has not"


def ask_gateway(clients: Callable[[], ApiClient], site: str, expected: ExpectedGateway) -> list[GatewayStatus]:
    """Ask a cluster for its gateway."""
    try:
        with clients() as api:
            return [find_gateway(site, expected, partial(read, api), partial(ask_proxy, api))]
    except ERRORS as error:
        return [GatewayStatus(**_told(site, expected), unknown=why(error))]


def find_gateway(
    site: str, expected: ExpectedGateway, get: Callable[[str], Any], proxy: Callable[[Pod, str], Any]
) -> GatewayStatus:
    """Return a gateway as it is.

    Args:
        site: its site.
        expected: the gateway as it should be.
        get: returns what the API has at a path; None if nothing.
        proxy: returns what a pod's Envoy answers at a path.

    Raises:
        ERRORS: the cluster cannot be asked.
    """
    namespace, name = expected.namespace, expected.name
    deployment = get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}") or {}
    service = get(f"/api/v1/namespaces/{namespace}/services/{name}") or {}
    refusals, unasked = refused_in(namespace, deployment, get, proxy)
    balanced = service.get("status", {}).get("loadBalancer", {}).get("ingress", ())
    return GatewayStatus(
        **_told(site, expected),
        ready=deployment.get("status", {}).get("readyReplicas", 0),
        wanted=deployment.get("spec", {}).get("replicas", 0),
        addresses=tuple(entry.get("ip") or entry["hostname"] for entry in balanced),
        ports=tuple(port["port"] for port in service.get("spec", {}).get("ports", ())),
        refusals=refusals,
        unasked=unasked,
    )


def _told(site: str, expected: ExpectedGateway) -> dict[str, Any]:
    return {
        "site": site,
        "told_addresses": expected.addresses,
        "told_port": expected.port,
        "advertised": expected.advertised,
    }


def refused_in(
    namespace: str, deployment: Mapping[str, Any], get: Callable[[str], Any], proxy: Callable[[Pod, str], Any]
) -> tuple[tuple[Refusal, ...], str]:
    """Return what a Deployment's Envoys refuse, and why they could not be asked; empty if they could.

    Args:
        namespace: the Deployment's namespace.
        deployment: the Deployment.
        get: returns what the API has at a path; None if nothing.
        proxy: returns what a pod's Envoy answers at a path.
    """
    refusals, unasked = list[Refusal](), ""
    try:
        for pod in envoys(deployment, (get(f"/api/v1/namespaces/{namespace}/pods") or {}).get("items", ())):
            refusals += refused_by(pod, partial(proxy, pod))
    except (*ERRORS, ValueError) as error:
        unasked = why(error)
    return tuple(refusals), unasked


def envoys(deployment: Mapping[str, Any], pods: Iterable[Mapping[str, Any]]) -> list[Pod]:
    """Return a Deployment's pods whose Envoy runs, ready or not."""
    chosen = deployment.get("spec", {}).get("selector", {}).get("matchLabels", {})
    own = [pod for pod in pods if chosen and chosen.items() <= (pod["metadata"].get("labels") or {}).items()]
    return [pod for pod in map(parse_pod, own) if pod.has_proxy and not pod.leaving]


def refused_by(pod: Pod, ask: Callable[[str], Any]) -> Iterator[Refusal]:
    """Yield what a pod's Envoy refuses now.

    Its counters go back to its start. A listener itself shows whether its last update failed. Clusters do not, but if
    one failed they have an older version than the listeners.

    Args:
        pod: the pod.
        ask: returns what its Envoy answers at a path.
    """
    counts = {stat["name"]: stat["value"] for stat in ask(COUNTS).get("stats", ()) if "name" in stat}
    where = f"{pod.namespace}/{pod.name}"
    if counts.get(f"{LISTENERS}.update_rejected"):
        failed = [part["error_state"] for part in ask(REFUSED_LISTENERS).get("configs", ()) if "error_state" in part]
        for error in failed[:1]:
            yield Refusal(pod=where, of="listeners", details=" ".join(error.get("details", "").split()))
        if failed:
            return
    clusters, listeners = (_version(str(counts.get(f"{of}.version_text", ""))) for of in (CLUSTERS, LISTENERS))
    if counts.get(f"{CLUSTERS}.update_rejected") and clusters < listeners:
        yield Refusal(pod=where, of="clusters")


def _version(text: str) -> tuple[str, int]:
    """Return when istiod made a version, and its number, from `TIME/NUMBER`. Later versions are larger."""
    found = re.search(r"(\d{4}-[^/]*)/(\d+)", text)
    return (found[1], int(found[2])) if found else ("", 0)
