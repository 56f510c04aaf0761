"""Foreign objects: what somebody else has written into a site that touches a link.

Which of two objects an Envoy goes by is Istio's rule, read in its 1.31 and tried on the lab: model/gateway.go,
model/sidecar.go and model/push_context.go of pilot/pkg.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dcmesh.deployment import DeployedExport, DeployedSite, ExpectedGateway
from dcmesh.kube.api import ERRORS, ApiClient, why
from dcmesh.kube.pods import read
from dcmesh.model.facts import Fact, State
from dcmesh.model.gateway import GATEWAY_PORT
from dcmesh.model.istio import ISTIO_NAMESPACE, SCOPE
from dcmesh.model.istio_objects import (
    Object,
    applying,
    covers,
    effective_rules,
    elder,
    goes_by,
    labels,
    name_of,
    selects,
    shows,
    visible,
    whole,
)
from dcmesh.model.link import ServiceAccount
from dcmesh.model.object_names import exported_entry, limit, opening

NETWORKING = "/apis/networking.istio.io/v1"


@dataclass(frozen=True, kw_only=True)
class Foreign(Fact):
    """An object of somebody else's that touches links of a site.

    Attributes:
        kind: its kind.
        name: its namespace and name.
        hosts: the hosts whose links it touches.
        does: what it does to them.
        cure: what to do.
        severity: CRITICAL for what stops links, or will with the next restart; WARNING for what they work beside.
    """

    kind: str = ""
    name: str = ""
    hosts: tuple[str, ...] = ()
    does: str = ""
    cure: str = ""
    severity: State = State.WARNING

    @property
    def where(self) -> str:
        """What problems begin with."""
        return f"{self.site} {self.kind} {self.name}" if self.kind else f"{self.site} foreign objects"

    def judge(self) -> Iterator[tuple[State, str]]:
        """Yield what is wrong."""
        yield self.severity, f"{self.does}. {self.cure}"


@dataclass(frozen=True, kw_only=True)
class IstioObjects:
    """What a site's cluster has.

    Attributes:
        gateways: its Gateways, as the other lists of all namespaces.
        entries: its ServiceEntries.
        services: its VirtualServices.
        rules: its DestinationRules.
        sidecars: its Sidecars.
        istiods: the Deployments of its istiods.
        gateway_labels: the labels of the pods of dcmesh's gateway.
    """

    gateways: Sequence[Object] = ()
    entries: Sequence[Object] = ()
    services: Sequence[Object] = ()
    rules: Sequence[Object] = ()
    sidecars: Sequence[Object] = ()
    istiods: Sequence[Object] = ()
    gateway_labels: Mapping[str, str]

    @property
    def scoped(self) -> bool:
        """Whether every istiod binds Gateways to their namespace."""
        said = [_environment(istiod).get(SCOPE, "").lower() for istiod in self.istiods]
        return bool(said) and all(word in ("true", "1", "t") for word in said)


def _environment(deployment: Object) -> dict[str, str]:
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one.get("value", "") for container in containers for one in container.get("env", ())}


# --- at a gateway --------------------------------------------------------------------------------------------------


def at_gateway(
    site: str, expected: ExpectedGateway, exports: Sequence[DeployedExport], cluster: IstioObjects
) -> Iterator[Foreign]:
    """Yield what touches the links of an exporting site at its gateway.

    Args:
        site: the site.
        expected: its gateway.
        exports: its exports.
        cluster: what it has.
    """
    namespace = expected.namespace
    names = {opening(export, host, namespace) for export in exports for host in export.hosts}
    own = [gateway for gateway in cluster.gateways if name_of(gateway) in names]
    # Elsewhere the pods themselves refuse who comes another way.
    behind = {
        export.behind_gateway(host): name
        for export in exports
        if export.termination == "gateway"
        for host, name in export.served.items()
    }
    for gateway in cluster.gateways:
        elsewhere = cluster.scoped and gateway["metadata"]["namespace"] != namespace
        if gateway in own or elsewhere or not selects(gateway["spec"].get("selector"), cluster.gateway_labels):
            continue
        servers = [s for s in gateway["spec"].get("servers", ()) if int(s["port"]["number"]) == GATEWAY_PORT]
        effects = [(*_effect(gateway, server, own, cluster.services, behind), server) for server in servers]
        if not effects:
            continue
        severity, does, touched, server = max(effects, key=lambda effect: effect[0])
        yield Foreign(
            site=site,
            kind="Gateway",
            name=name_of(gateway),
            hosts=tuple(
                host for export in exports for host, name in export.served.items() if not touched or name in touched
            ),
            does=f"at dcmesh's gateway {namespace}/{expected.name} ({_shown(gateway, server)}): {does}",
            cure=f"Give it a `selector` of another gateway's, or `{delete('gateway.networking.istio.io', gateway)}`",
            severity=severity,
        )
    for export in exports:
        for host in export.hosts:
            yield from _entries(site, export, host, cluster.entries, namespace)
            yield from _rules(site, export, host, cluster.rules, namespace)


def _effect(
    gateway: Object, server: Object, own: Sequence[Object], services: Sequence[Object], behind: Mapping[str, str]
) -> tuple[State, str, tuple[str, ...]]:
    """Return what a server of a foreign Gateway does at the port of dcmesh's own, and to which hosts; none is all.

    Args:
        gateway: the Gateway.
        server: the server.
        own: dcmesh's own Gateways.
        services: the VirtualServices of the cluster.
        behind: what the gateway itself keeps strangers from: names of hosts by where they lead.
    """
    patterns, mode = _hosts(server), _mode(server)
    servers = [one for ours in own for one in ours["spec"].get("servers", ())]
    passed_on = [host for one in servers if _mode(one) == PASSED_ON for host in _hosts(one)]
    # Of two servers with one host, or of two one without TLS, istiod takes the elder's, and leaves out the other whole.
    left_out = [
        host
        for ours in own
        for one in ours["spec"].get("servers", ())
        for host in _hosts(one)
        if elder(gateway, ours) and (mode == NO_TLS or set(patterns) & set(_hosts(one)))
        if mode != PASSED_ON or host not in patterns
    ]
    twice = [host for host in passed_on if host not in patterns and any(covers(pattern, host) for pattern in patterns)]
    if left_out:
        does = f"is older than dcmesh's own, so istiod leaves out {' '.join(left_out)}"
        return State.CRITICAL, does, tuple(left_out)
    if mode == PASSED_ON and twice:
        does = (
            f"lets in {' '.join(twice)} a second time, so Envoy refuses the whole listener: "
            "with the next restart of the gateway's pods no link works"
        )
        return State.CRITICAL, does, ()
    opened = tuple(name for host, name in behind.items() if any(covers(pattern, host) for pattern in patterns))
    if mode == PASSED_ON and opened:
        return State.CRITICAL, f"opens the gateway for {' '.join(opened)} past the export's consumers", opened
    if mode == PASSED_ON:
        return State.WARNING, "opens the gateway for what its hosts name, past the exports' consumers", ()
    if mode == NO_TLS:
        return State.WARNING, "has the port to itself once a Gateway of dcmesh's is written anew", ()
    bound = _bound(gateway, services)
    led_to = (
        ", ".join(f"{name_of(one)} to {' '.join(destinations(one)) or 'nowhere'}" for one in bound) or "none so far"
    )
    does = f"opens the gateway for what its VirtualServices lead to: {led_to}"
    reached = tuple(behind[host] for one in bound for host in destinations(one) if host in behind)
    return (State.CRITICAL if reached else State.WARNING), does, reached


PASSED_ON, NO_TLS = "AUTO_PASSTHROUGH", "no TLS"


def _mode(server: Object) -> str:
    return str(server["tls"].get("mode", "PASSTHROUGH")) if "tls" in server else NO_TLS


def _hosts(server: Object) -> list[str]:
    """Return the hosts of a Gateway's server, without the namespaces that each may begin with."""
    return [host.rpartition("/")[2] for host in server.get("hosts", ())]


def _shown(gateway: Object, server: Object) -> str:
    """Return how a Gateway comes to a gateway."""
    selector = gateway["spec"].get("selector") or {}
    by = " ".join(f"{key}={value}" for key, value in selector.items())
    where = f"by its selector {by}" if by else "without a selector, so at every gateway"
    return f"{where}; port {GATEWAY_PORT}, {_mode(server)}, hosts {' '.join(_hosts(server))}"


def _bound(gateway: Object, services: Sequence[Object]) -> list[Object]:
    """Return the VirtualServices of a Gateway."""

    def names(service: Object) -> set[str]:
        namespace = service["metadata"]["namespace"]
        return {name if "/" in name else f"{namespace}/{name}" for name in service["spec"].get("gateways", ())}

    return [service for service in services if name_of(gateway) in names(service)]


def destinations(service: Object) -> list[str]:
    """Return the hosts that a VirtualService leads to."""
    routes = [
        route
        for kind in ("tcp", "tls", "http")
        for rule in service["spec"].get(kind, ())
        for route in rule.get("route", ())
    ]
    return sorted({route["destination"]["host"] for route in routes if "destination" in route})


def _entries(
    site: str, export: DeployedExport, host: str, entries: Sequence[Object], namespace: str
) -> Iterator[Foreign]:
    """Yield the ServiceEntries of others that have an exported host and that the gateway sees."""
    ours, name = exported_entry(export, host), export.base_name(host)
    own = next((entry for entry in entries if name_of(entry) == ours), None)
    for entry in entries:
        if name_of(entry) == ours or name not in entry["spec"]["hosts"] or not visible(entry, namespace):
            continue
        now = goes_by(entry, own, namespace)
        yield Foreign(
            site=site,
            kind="ServiceEntry",
            name=name_of(entry),
            hosts=(host,),
            does=f"claims the exported host {name}, and the gateway "
            + ("goes by it" if now else f"would go by it without dcmesh's own {ours}, or once that is written anew"),
            cure=f"Give it another host, or `{delete('serviceentry', entry)}`",
            severity=State.CRITICAL if now else State.WARNING,
        )


def _rules(site: str, export: DeployedExport, host: str, rules: Sequence[Object], namespace: str) -> Iterator[Foreign]:
    """Yield the DestinationRules of others by which the gateway connects to an exported host."""
    for rule in effective_rules(rules, export.behind_gateway(host), proxy=namespace, service=export.namespace):
        if name_of(rule) == limit(export, host, namespace):
            continue
        policy = rule["spec"].get("trafficPolicy", {})
        parts = [part for part in policy.get("portLevelSettings", ()) if part["port"]["number"] == export.port]
        parts.append(policy)
        tls = next((part["tls"] for part in parts if "tls" in part), {"mode": "ISTIO_MUTUAL"})
        off = export.termination == "pod" and tls.get("mode", "DISABLE") != "ISTIO_MUTUAL"
        settings = {key for part in parts for key in part} - {"port", "portLevelSettings"}
        if not off and settings <= {"tls"}:  # subsets alone, of which the link asks for none, or what is so already
            continue
        yield Foreign(
            site=site,
            kind="DestinationRule",
            name=name_of(rule),
            hosts=(host,),
            does=f"holds for the gateway's connections to {host} ({' '.join(sorted(settings))})"
            + (", and turns mutual TLS off: the gateway leads to no pod then" if off else ""),
            cure=f"Set `exportTo` to the namespaces that it is meant for, without {namespace}, "
            f"or `{delete('destinationrule', rule)}`",
            severity=State.CRITICAL if off else State.WARNING,
        )


def delete(kind: str, found: Object) -> str:
    """Return the command that deletes an object."""
    return f"kubectl delete {kind} -n {name_of(found).replace('/', ' ')}"


# --- at a consumer -------------------------------------------------------------------------------------------------


def at_consumer(site: str, account: ServiceAccount, export: DeployedExport, cluster: IstioObjects) -> Iterator[Foreign]:
    """Yield what touches the links of a consumer in its own site.

    It is a warning there: whether a host answers its consumer, and whom its sidecar takes for it, is asked besides.

    Args:
        site: the importing site.
        account: the consumer.
        export: what it imports.
        cluster: what its site has.
    """
    namespace = account.namespace
    sidecar = None if export.by_gateway else applying(cluster.sidecars, namespace)
    for real in export.hosts:
        host = export.known_as(real)
        ours = export.entry(real, namespace)

        def seen(found: Object, host: str = host) -> bool:
            return visible(found, namespace) and (sidecar is None or shows(sidecar, found, host))

        for entry in cluster.entries:
            if name_of(entry) != ours and host in entry["spec"]["hosts"] and seen(entry):
                does = f"claims the imported host {host} for {namespace}"
                cure = f"Give it another host or `exportTo`, or `{delete('serviceentry', entry)}`"
                yield Foreign(site=site, kind="ServiceEntry", name=name_of(entry), hosts=(real,), does=does, cure=cure)
        protocols = ("http",) if export.protocol == "HTTP" else ("tcp", "tls")
        for service in cluster.services:
            patterns = [pattern for pattern in service["spec"].get("hosts", ()) if covers(pattern, host)]
            meant = "mesh" in service["spec"].get("gateways", ["mesh"])
            if patterns and meant and any(service["spec"].get(kind) for kind in protocols) and seen(service):
                does = f"decides where {namespace} is led that asks for {host}: to {' '.join(destinations(service))}"
                cure = f"Take {' '.join(patterns)} out of its hosts, or `{delete('virtualservice', service)}`"
                yield Foreign(
                    site=site, kind="VirtualService", name=name_of(service), hosts=(real,), does=does, cure=cure
                )
        for rule in effective_rules(cluster.rules, host, proxy=namespace, service=namespace):
            if name_of(rule) != export.rule(real, namespace):
                does = f"decides how {namespace} connects to {host}, in place of dcmesh's own"
                cure = f"Give it a `host` that leaves {host} out, or `{delete('destinationrule', rule)}`"
                yield Foreign(
                    site=site, kind="DestinationRule", name=name_of(rule), hosts=(real,), does=does, cure=cure
                )


# --- asking --------------------------------------------------------------------------------------------------------

LISTS = {
    "gateways": f"{NETWORKING}/gateways",
    "entries": f"{NETWORKING}/serviceentries",
    "services": f"{NETWORKING}/virtualservices",
    "rules": f"{NETWORKING}/destinationrules",
    "sidecars": f"{NETWORKING}/sidecars",
    "istiods": f"/apis/apps/v1/namespaces/{ISTIO_NAMESPACE}/deployments?labelSelector=app%3Distiod",
}
"""Where the lists of a Cluster are had."""


def gather(get: Callable[[str], Any], expected: ExpectedGateway | None) -> IstioObjects:
    """Return what a cluster has.

    Args:
        get: returns what the API has at a path; None if nothing.
        expected: the site's gateway, if it has one.
    """
    lists = {name: [whole(one) for one in (get(path) or {}).get("items", ())] for name, path in LISTS.items()}
    path = f"/apis/apps/v1/namespaces/{expected.namespace}/deployments/{expected.name}" if expected else ""
    deployment = (get(path) if path else None) or {"spec": {"template": {"metadata": {}}}}
    return IstioObjects(**lists, gateway_labels=labels(deployment["spec"]["template"]))


def ask_foreign(clients: Callable[[], ApiClient], site: DeployedSite) -> list[Foreign]:
    """Ask a cluster for what somebody else has written that touches the site's links."""
    try:
        with clients() as api:
            cluster = gather(lambda path: read(api, path), site.gateway)
    except ERRORS as error:
        return [Foreign(site=site.name, unknown=why(error))]
    return [
        *(at_gateway(site.name, site.gateway, site.exports, cluster) if site.gateway else ()),
        *(
            found
            for account, imports in site.accounts.items()
            for export in imports
            for found in at_consumer(site.name, account, export, cluster)
        ),
    ]
