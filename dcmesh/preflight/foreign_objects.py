"""Neighbours: objects of others that would affect a new export or import, at its gateway or at its consumers.

An export or import that exists already is not refused for that: `status` and the doctor report it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from dcmesh.config.errors import Finding, Remark
from dcmesh.foreign.consumer import at_consumer
from dcmesh.foreign.egress import at_egress
from dcmesh.foreign.gateway import at_gateway
from dcmesh.foreign.objects import ISTIODS, Foreign, IstioObjects, gather
from dcmesh.kube.read_rights import Allowed
from dcmesh.model import settings as model
from dcmesh.model.egress import name_for
from dcmesh.model.facts import State
from dcmesh.model.gateway import GATEWAY_NAME, GATEWAY_PORT
from dcmesh.model.istio_objects import Object, name_of
from dcmesh.model.link import ExportedService, ServiceAccount
from dcmesh.model.object_names import opening
from dcmesh.model.plan import ImportPlan, SitePlan
from dcmesh.preflight.gateway_exports import pod_labels
from dcmesh.preflight.hosts import exported_name, imported_name, new_or_there
from dcmesh.sites_in_outputs import DeployedExport, ExpectedGateway
from dcmesh.sites_in_state import SiteInState

LAST = "9999-12-31T23:59:59Z"
"""The age of a Gateway that is still to be created. Of two, istiod goes by the older one."""


def met(
    allowed: Allowed, istio: model.Istio, path: str, plan: SitePlan, gateway: str, known: SiteInState | None
) -> Iterator[Finding]:
    """Find the objects of others that would affect a new export or import.

    Args:
        allowed: the cluster.
        istio: how Istio is there, or is to be.
        path: the place of the site in the configuration.
        plan: the site's part of the plan.
        gateway: namespace of its gateway.
        known: what the stack's state has of the site.
    """
    if not (plan.exports or plan.imports):
        return
    place = f"{gateway}/{GATEWAY_NAME}" if plan.exports else ""
    cluster, since = _others(gather(allowed.read, place, pod_labels(gateway)), known)
    if not istio.existing:
        cluster = replace(cluster, scoped=istio.scope_gateways)
    elif allowed.list(ISTIODS):
        yield from _unbound(cluster, istio.existing, plan, known)
    else:  # whether istiod binds Gateways to their namespace cannot be seen, so nothing is refused for it
        cluster = replace(cluster, scoped=True)
    yield from _at_gateway(cluster, path, plan, gateway, known, since)
    yield from _at_consumers(cluster, path, plan, known, since)


def _others(cluster: IstioObjects, known: SiteInState | None) -> tuple[IstioObjects, Mapping[str, str]]:
    """Return a cluster's objects without those of the stack, and the age of each Gateway of the stack."""
    own = {f"{namespace}/{name}" for namespace, name in known.objects.values()} if known else set()

    def foreign(objects: Sequence[Object]) -> list[Object]:
        return [of for of in objects if name_of(of) not in own]

    since = {
        place: of["metadata"]["creationTimestamp"] for of in cluster.gateways for place in [name_of(of)] if place in own
    }
    others = replace(
        cluster,
        gateways=foreign(cluster.gateways),
        entries=foreign(cluster.entries),
        services=foreign(cluster.services),
        rules=(),  # these decide how a host is connected to, not which one
    )
    return others, since


def _unbound(
    cluster: IstioObjects, existing: model.ExistingIstio, plan: SitePlan, known: SiteInState | None
) -> Iterator[Finding]:
    """Warn of an existing istiod that lets Gateways of all namespaces open every gateway."""
    components = [exported_name(plan, export) for export in plan.exports]
    components += [imported_name(plan, of) for of in plan.imports if of.egress]
    if cluster.scoped or not any(new_or_there(known, component) is Finding for component in components):
        return
    advice = (
        f"does not bind Gateways to their namespace in {plan.name} (PILOT_SCOPE_GATEWAY_TO_NAMESPACE): links work, and "
        "whoever may write a Gateway anywhere there can open dcmesh's gateways, or shut them. Ask its owner to set it "
        'to "true", once no Gateway is left that opens gateways of another namespace'
    )
    yield Remark("istio.existing.revision", existing.revision, advice)


def _at_gateway(
    cluster: IstioObjects,
    path: str,
    plan: SitePlan,
    gateway: str,
    known: SiteInState | None,
    since: Mapping[str, str],
) -> Iterator[Finding]:
    exports = [_deployed(export, plan.name) for export in plan.exports]
    place = ExpectedGateway(namespace=gateway, name=GATEWAY_NAME, addresses=(), port=GATEWAY_PORT, advertised=False)
    ports = [of for export in exports for of in export.by_port]
    to_be = [
        _gateway(opening(of, host, gateway), of.served[host], [GATEWAY_PORT], since, tls=of.termination)
        for of in ports
        for host in of.hosts
    ]
    names = {export.base_name(host) for export in exports for host in export.hosts}
    # Another object with the exported name itself is reported by `hosts`.
    entries = [entry for entry in cluster.entries if not names & set(entry["spec"].get("hosts", ()))]
    there = replace(cluster, gateways=[*to_be, *cluster.gateways], entries=entries)
    found = list(dict.fromkeys(at_gateway(plan.name, place, ports, there))) if exports else []
    for index, export in enumerate(exports):
        told = new_or_there(known, exported_name(plan, export))
        yield from _told(found, export, told, f"{path}.exports[{index}].name", export.name)


def _at_consumers(
    cluster: IstioObjects, path: str, plan: SitePlan, known: SiteInState | None, since: Mapping[str, str]
) -> Iterator[Finding]:
    for index, of in enumerate(plan.imports):
        if of.export is None:
            continue
        export = _deployed(of.export, of.source, by_gateway=of.egress is not None)
        account = ServiceAccount(of.namespace, of.service_account)
        led = at_consumer(plan.name, account, export, replace(cluster, entries=()))
        # Leading the consumers elsewhere is as bad as shutting a gateway.
        found = [replace(foreign, severity=State.CRITICAL) for foreign in led]
        there = replace(cluster, gateways=[*_ports(of, export, since), *cluster.gateways])
        found += at_egress(plan.name, account, [export], there)
        told = new_or_there(known, imported_name(plan, of))
        yield from _told(found, export, told, f"{path}.imports[{index}].export", of.name)


def _ports(of: ImportPlan, export: DeployedExport, since: Mapping[str, str]) -> list[Object]:
    """Return the Gateways that an import is to have at its egress gateway."""
    ports = dict[str, list[int]]()
    for (host, _), port in of.egress.ports.items() if of.egress else ():
        ports.setdefault(host, []).append(port)
    return [
        _gateway(f"{of.namespace}/{name_for(host)}", export.known_as(host), numbers, since, tls=None)
        for host, numbers in ports.items()
    ]


def _told(
    found: Sequence[Foreign], export: ExportedService, told: type[Finding], path: str, value: str
) -> Iterator[Finding]:
    """Yield the foreign objects that affect an export or import. If it exists already, only those that stop it."""
    touching = [foreign for foreign in found if set(foreign.hosts) & set(export.hosts)]
    worst_last = {(of.kind, of.name): of for of in sorted(touching, key=lambda foreign: foreign.severity)}
    for foreign in worst_last.values():
        critical = foreign.severity == State.CRITICAL
        if critical or told is Finding:
            meets = f"would meet the {foreign.kind} {foreign.name} in {foreign.site}"
            yield (told if critical else Remark)(path, value, f"{meets}: {foreign.does}. {foreign.cure}")


def _deployed(export: ExportedService, source: str, *, by_gateway: bool = False) -> DeployedExport:
    named = export.port_name
    return DeployedExport(source=source, gateways=(), by_gateway=by_gateway, entry_port=named, **dict(export))


def _gateway(place: str, host: str, ports: Sequence[int], since: Mapping[str, str], *, tls: str | None) -> Object:
    """Return a Gateway of dcmesh's own, with what matters beside others.

    Args:
        place: its namespace and name.
        host: its host.
        ports: its ports.
        since: the age of each Gateway that exists already: it keeps that.
        tls: where the TLS ends; None for a port without TLS.
    """
    namespace, _, name = place.partition("/")
    mode = {"tls": {"mode": "ISTIO_MUTUAL" if tls == "gateway" else "AUTO_PASSTHROUGH"}} if tls else {}
    return {
        "metadata": {"namespace": namespace, "name": name, "creationTimestamp": since.get(place, LAST)},
        "spec": {"servers": [{"port": {"number": port}, "hosts": [host], **mode} for port in ports]},
    }
