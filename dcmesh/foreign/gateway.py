"""Foreign objects that affect the links of an exporting site at its gateway."""

from collections.abc import Iterable, Iterator, Sequence

from dcmesh.foreign.objects import Foreign, IstioObjects, delete
from dcmesh.foreign.servers import NO_TLS, PASSED_ON, bound, destinations, hosts_of, mode_of, shown
from dcmesh.model.facts import State
from dcmesh.model.gateway import GATEWAY_PORT
from dcmesh.model.istio_objects import (
    Object,
    covers,
    effective_rules,
    elder,
    goes_by,
    name_of,
    selects,
    visible,
)
from dcmesh.model.link import service_host, service_of
from dcmesh.model.object_names import exported_entry, limit, opening
from dcmesh.sites_in_outputs import DeployedExport, ExpectedGateway


def at_gateway(
    site: str, expected: ExpectedGateway, exports: Sequence[DeployedExport], cluster: IstioObjects
) -> Iterator[Foreign]:
    """Yield what affects the links of an exporting site at its gateway.

    Args:
        site: the site.
        expected: its gateway.
        exports: its exports.
        cluster: its objects.
    """
    namespace = expected.namespace
    names = {opening(export, host, namespace) for export in exports for host in export.hosts}
    own = [gateway for gateway in cluster.gateways if name_of(gateway) in names]
    # With the other terminations the pods themselves refuse whoever gets past the gateway.
    behind = [
        (place, name)
        for export in exports
        if export.termination == "gateway"
        for host, name in export.served.items()
        for place in {service_host(*reversed(service_of(host))), export.behind_gateway(host)}
    ]
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
            does=f"at dcmesh's gateway {expected.place} ({shown(gateway, server)}): {does}",
            cure=f"Give it a `selector` of another gateway's, or `{delete('gateway.networking.istio.io', gateway)}`",
            severity=severity,
        )
    yield from _squatting(site, exports, cluster.entries, namespace)
    for export in exports:
        for host in export.hosts:
            yield from _entries(site, export, host, cluster.entries, namespace)
            yield from _rules(site, export, host, cluster.rules, namespace)


def _effect(
    gateway: Object,
    server: Object,
    own: Sequence[Object],
    services: Sequence[Object],
    behind: Sequence[tuple[str, str]],
) -> tuple[State, str, tuple[str, ...]]:
    """Return what a server of a foreign Gateway does at the port of dcmesh's own, and to which hosts; empty means all.

    Args:
        gateway: the Gateway.
        server: the server.
        own: dcmesh's own Gateways.
        services: the VirtualServices of the cluster.
        behind: what only the gateway protects: a Service or pod under the name that the gateway knows, and its host's
            name there.
    """
    patterns, mode = hosts_of(server), mode_of(server)
    servers = [one for ours in own for one in ours["spec"].get("servers", ())]
    passed_on = [host for one in servers if mode_of(one) == PASSED_ON for host in hosts_of(one)]
    # Of two servers with one host istiod takes the elder's, and leaves out the other whole. So it does with all at a
    # port that are otherwise than the eldest of them is, which has TLS or has none.
    takes_all = mode == NO_TLS and all(elder(gateway, ours) for ours in own)
    left_out = [
        host
        for ours in own
        for one in ours["spec"].get("servers", ())
        for host in hosts_of(one)
        if takes_all or (mode != NO_TLS and elder(gateway, ours) and set(patterns) & set(hosts_of(one)))
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
    opened = _names(name for host, name in behind if any(covers(pattern, host) for pattern in patterns))
    if mode == PASSED_ON and opened:
        return State.CRITICAL, f"opens the gateway for {' '.join(opened)} past the export's consumers", opened
    if mode == PASSED_ON:
        return State.WARNING, "opens the gateway for what its hosts name, past the exports' consumers", ()
    if mode == NO_TLS:
        return State.WARNING, "has the port to itself once a Gateway of dcmesh's is written anew", ()
    ways = bound(gateway, services)
    led_to = ", ".join(f"{name_of(one)} to {' '.join(destinations(one)) or 'nowhere'}" for one in ways) or "none so far"
    does = f"opens the gateway for what its VirtualServices lead to: {led_to}"
    led = {host for one in ways for host in destinations(one)}
    reached = _names(name for host, name in behind if host in led)
    return (State.CRITICAL if reached else State.WARNING), does, reached


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _entries(
    site: str, export: DeployedExport, host: str, entries: Sequence[Object], namespace: str
) -> Iterator[Foreign]:
    """Yield the ServiceEntries of others that have an exported host and are visible to the gateway."""
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


def _squatting(
    site: str, exports: Sequence[DeployedExport], entries: Sequence[Object], namespace: str
) -> Iterator[Foreign]:
    """Yield the ServiceEntries of others with names that are reserved for dcmesh and that no export has yet."""
    ended = {host: export.base_name(host) for export in exports if export.server_names for host in export.hosts}
    for entry in entries if ended else ():
        claimed = sorted(of for of in map(str.lower, entry["spec"].get("hosts", ())) if of.endswith(f".{site}.dcmesh"))
        if claimed and not set(claimed) & set(ended.values()) and visible(entry, namespace):
            yield Foreign(
                site=site,
                kind="ServiceEntry",
                name=name_of(entry),
                hosts=tuple(ended),
                does=f"has {' '.join(claimed)}, as dcmesh's own hosts are called at the gateway, which sees it",
                cure=f"Give it another host, or `{delete('serviceentry', entry)}`",
            )


def _rules(site: str, export: DeployedExport, host: str, rules: Sequence[Object], namespace: str) -> Iterator[Foreign]:
    """Yield the DestinationRules of others that decide how the gateway connects to an exported host."""
    for rule in effective_rules(rules, export.behind_gateway(host), proxy=namespace, service=export.namespace):
        if name_of(rule) == limit(export, host, namespace):
            continue
        policy = rule["spec"].get("trafficPolicy", {})
        parts = [part for part in policy.get("portLevelSettings", ()) if part["port"]["number"] == export.port]
        parts.append(policy)
        tls = next((part["tls"] for part in parts if "tls" in part), {"mode": "ISTIO_MUTUAL"})
        off = export.termination != "gateway" and tls.get("mode", "DISABLE") != "ISTIO_MUTUAL"
        settings = {key for part in parts for key in part} - {"port", "portLevelSettings"}
        if not off and settings <= {"tls"}:  # only subsets, which the link never uses, or settings that change nothing
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
