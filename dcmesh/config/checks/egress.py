"""Egress: whether imports by an egress gateway have all that they need, and do not disturb others."""

from collections.abc import Iterator, Mapping

from dcmesh.config.checks.configuration import Configuration
from dcmesh.config.checks.names import is_in_every_cluster
from dcmesh.config.errors import NOTHING, Finding
from dcmesh.model.egress import HostPort, allot_ports
from dcmesh.model.gateway import GATEWAY_NAMESPACE
from dcmesh.model.link import service_of
from dcmesh.model.settings import Import, Settings, Site


def half_said(configuration: Configuration) -> Iterator[Finding]:
    """Find imports that lack what an egress gateway needs, or have what only an egress gateway needs."""
    for _, path, imported in configuration.imports:
        given = {"clients": imported.clients, "ports": imported.ports}
        if not imported.by_gateway:
            for key, value in given.items():
                if value:
                    advice = "is for an egress gateway: set egress: gateway, or remove it"
                    yield Finding(f"{path}.{key}", NOTHING, advice, given=(path,))
            continue
        if imported.selector:
            yield Finding(f"{path}.selector", NOTHING, "is for sidecars: use `clients`, or remove it", given=(path,))
        if not imported.host_namespace:
            advice = (
                "is missing: egress: gateway puts the hosts' names into this cluster's DNS, and the other site may not "
                "choose where. Name the namespace of what it exports, or one that is not there"
            )
            yield Finding(f"{path}.hostNamespace", NOTHING, advice, given=(path,))
        if not imported.clients:
            advice = "is missing: name the namespaces, and labels, of the pods that may connect to the egress gateway"
            yield Finding(f"{path}.clients", NOTHING, advice, given=(path,))


def selectors(configuration: Configuration) -> Iterator[Finding]:
    """Find consumers for whose pods two imports name different labels."""
    for path, site in configuration.sites:
        known = dict[tuple[str, str], Mapping[str, str]]()
        for index, imported in enumerate(site.imports):
            if not imported.by_gateway:
                consumer = (imported.namespace, imported.service_account)
                if known.setdefault(consumer, imported.selector) != imported.selector:
                    advice = f"is not what another import for {'/'.join(consumer)} says: write the same in all"
                    yield Finding(f"{path}.imports[{index}].selector", NOTHING, advice, given=(path,))


def differing_names(configuration: Configuration) -> Iterator[Finding]:
    """Find imports of one export into one namespace that give its hosts different names: they share its objects."""
    for path, site in configuration.sites:
        known = dict[tuple[str, str, str], str | None]()
        for index, imported in enumerate(site.imports):
            if not imported.by_gateway:
                shared = (imported.from_, imported.export, imported.namespace)
                if known.setdefault(shared, imported.host_namespace) != imported.host_namespace:
                    advice = f"is not what another import into {imported.namespace} says: write the same in all"
                    where = f"{path}.imports[{index}]"
                    yield Finding(f"{where}.hostNamespace", imported.host_namespace or NOTHING, advice, given=(where,))


def other_names(configuration: Configuration) -> Iterator[Finding]:
    """Find hosts that cannot have the names of another namespace: their own is what they are asked for by."""
    for _, path, imported in configuration.imports:
        offer = configuration.offer(imported)
        if offer is None or offer[1].termination != "pod" or imported.host_namespace in (None, offer[1].namespace):
            continue
        advice = (
            f"is not the namespace of what {imported.from_} exports as {imported.export}, and with `termination: pod` "
            f"hosts have no other names: write {offer[1].namespace}, or have it exported with `termination: gateway`"
        )
        yield Finding(f"{path}.hostNamespace", imported.host_namespace, advice, given=(offer[0],))


def namespaces(configuration: Configuration) -> Iterator[Finding]:
    """Find namespaces that an egress gateway or its hosts would share with something else."""
    for path, site in configuration.sites:
        used = _used(site, configuration.settings)
        for index, imported in enumerate(site.imports):
            if not imported.by_gateway:
                continue
            wanted = {"namespace": ("an egress gateway", imported.namespace)}
            if imported.host_namespace:
                wanted["hostNamespace"] = ("other sites' hosts", imported.host_namespace)
            for key, (purpose, namespace) in wanted.items():
                where = f"{path}.imports[{index}].{key}"
                if is_in_every_cluster(namespace):
                    yield Finding(where, namespace, f"exists in every cluster: name one for {purpose} alone")
                elif others := [use for use in used[namespace] if use != purpose]:
                    advice = f"is for {others[0]} as well: name another, for {purpose} alone"
                    yield Finding(where, namespace, advice, given=(path,))


def _used(site: Site, settings: Settings) -> Mapping[str, list[str]]:
    """Return what each namespace of a site is for."""
    used = dict[str, list[str]]()
    uses = [(workload.namespace, "a workload") for workload in site.workloads]
    uses += [(export.namespace, "what is exported") for export in site.exports]
    own = (site.gateway.namespace or GATEWAY_NAMESPACE, site.gateway.former_namespace)
    uses += [(name, "the gateway") for name in own if name]
    uses += [(settings.pxc.namespace, "Percona's operator")]
    for imported in site.imports:
        if not imported.by_gateway:
            uses.append((imported.namespace, "consumers with sidecars"))
            continue
        uses.append((imported.namespace, "an egress gateway"))
        uses += [(imported.host_namespace, "other sites' hosts")] if imported.host_namespace else []
        uses += [(client.namespace, "clients") for client in imported.clients]
    for namespace, use in uses:
        used.setdefault(namespace, []).append(use)
    return used


def accounts(configuration: Configuration) -> Iterator[Finding]:
    """Find two egress gateways in one namespace, and accounts that exist without them."""
    for path, site in configuration.sites:
        known = dict[str, str]()
        for index, imported in enumerate(site.imports):
            if imported.by_gateway:
                if imported.service_account == "default":
                    advice = "exists in every namespace, and an egress gateway has one of its own: name another"
                    yield Finding(f"{path}.imports[{index}].serviceAccount", imported.service_account, advice)
                account = known.setdefault(imported.namespace, imported.service_account)
                if account != imported.service_account:
                    advice = f"is another one than {account}, and a namespace has one egress gateway: use that"
                    yield Finding(f"{path}.imports[{index}].serviceAccount", imported.service_account, advice)


def ports(configuration: Configuration) -> Iterator[Finding]:
    """Find hosts that would have the same port of an egress gateway, and ports of hosts that are not imported."""
    for path, site in configuration.sites:
        # In the whole site: without scoped Gateways istiod opens these ports at every gateway.
        taken = dict[int, HostPort]()
        for index, imported in enumerate(site.imports):
            offer = configuration.offer(imported)
            if offer is None or not imported.by_gateway:
                continue
            where = f"{path}.imports[{index}].ports"
            hosts, numbers = configuration.hosts(imported), offer[1].port_numbers
            chosen_of = [(of.host, of.host_port or numbers[0]) for of in imported.ports]
            for n, (host, number) in enumerate(chosen_of):
                if (host, number) in chosen_of[:n]:
                    yield Finding(f"{where}[{n}].host", host, f"occurs twice with its port {number}: remove one")
                elif host not in hosts:
                    advice = f"is no host of {imported.from_}/{imported.export}: remove it"
                    yield Finding(f"{where}[{n}].host", host, advice, given=(offer[0],))
                elif number not in numbers:
                    advice = f"is no port of {imported.from_}/{imported.export}: remove it"
                    yield Finding(f"{where}[{n}].hostPort", number, advice, given=(offer[0],))
            for of, port in allot_ports(hosts, numbers, imported.chosen_ports(numbers[0])).items():
                other = taken.setdefault(port, of)
                if other != of:
                    advice = (
                        f"gives {_shown(of)} the port {port}, which {_shown(other)} has at an egress gateway too: "
                        "choose a free one for the one of the two that is new, at its import"
                    )
                    yield Finding(where, NOTHING, advice, given=(where,))


def _shown(of: HostPort) -> str:
    host, port = of
    return f"{host}:{port}"


def hosts_twice(configuration: Configuration) -> Iterator[Finding]:
    """Find hosts that a cluster's DNS would lead to two places. Its names apply to the whole site."""
    for path, site in configuration.sites:
        owners = dict[str, Import]()
        behind = dict[tuple[str, str], Import]()
        for imported in site.imports:
            offer = configuration.offer(imported)
            if offer and not imported.by_gateway:
                behind |= dict.fromkeys(map(service_of, configuration.hosts(imported)), imported)
        for index, imported in enumerate(site.imports):
            offer = configuration.offer(imported)
            if offer is None or not imported.by_gateway:
                continue
            where, hosts = f"{path}.imports[{index}].export", configuration.hosts(imported)
            if {owners.setdefault(host, imported).from_ for host in hosts} - {imported.from_}:
                advice = "has hosts that another site's export has too, and a cluster's DNS knows them once: keep one"
                yield Finding(where, imported.export, advice, given=(offer[0],))
            elif others := {owners[host].export for host in hosts} - {imported.export}:
                advice = f"has hosts that {min(others)} has too, and a cluster's DNS knows them once: keep one"
                yield Finding(where, imported.export, advice)
            elif {owners[host].namespace for host in hosts} - {imported.namespace}:
                advice = "is imported by another egress gateway too, and a cluster's DNS knows its hosts once: keep one"
                yield Finding(where, imported.export, advice)
            elif any(service in behind for service in map(service_of, hosts)):
                advice = "is imported by sidecars too, which would be led to this egress gateway: keep one of the two"
                yield Finding(where, imported.export, advice)


def vanished_sources(configuration: Configuration) -> Iterator[Finding]:
    """Find existing imports whose source exports nothing any more: they would look like ones not begun yet."""
    for site, path, imported in configuration.imports:
        before = configuration.before.get(site.name) or {}
        if (
            imported.by_gateway
            and configuration.sources.get(imported.from_, ()) is None
            and imported.from_ in before.get("links", {})
            and any(
                told.get("egress") == "gateway" for told in before.get("imports", ()) if told["from"] == imported.from_
            )
        ):
            advice = (
                "exports nothing any more, and without it its hosts' names here would be removed under their clients: "
                "restore its exports, or give its link, which `pulumi stack output sites` has below this site, as "
                "peers[].link; or remove this import to have that"
            )
            yield Finding(f"{path}.from", imported.from_, advice)
