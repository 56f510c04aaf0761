"""The plan: who follows whom, and how each host is reached, worked out once, before the first resource.

Plain data without secrets. What only an `up` can tell, such as the address that a Service gets, is not in it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Literal

from dcmesh.model.addresses import allot_vips
from dcmesh.model.egress import HostPort, allot_ports
from dcmesh.model.gateway import GATEWAY_NAMESPACE, GATEWAY_PORT
from dcmesh.model.link import ExportedService, Link, known_in, pod_hosts
from dcmesh.model.protection import protects
from dcmesh.model.settings import (
    Database,
    Egress,
    Export,
    GatewayExport,
    Import,
    IngressExport,
    Mariadb,
    Pxc,
    Settings,
    Site,
)
from dcmesh.model.switchover import Switchover

DOCKER_HOST = "host.k3d.internal"
"""The name by which k3d clusters reach the Docker host, and so each other's gateways. k3d puts it into their DNS."""

Role = Literal["primary", "replica", "pending"]
"""What a database is for now. A pending one is not created, because its source does not exist yet."""

Offers = Mapping[tuple[str, str], ExportedService]
"""Exports, by site and name."""


@dataclass(frozen=True, kw_only=True, order=True)
class DatabasePlace:
    """A database of the stack. A site has one in a namespace.

    Attributes:
        site: its site.
        namespace: its namespace.
    """

    site: str
    namespace: str


@dataclass(frozen=True, kw_only=True)
class PasswordOrigin:
    """Where the password of `replication` comes from, the same at both ends of a channel.

    Attributes:
        how: `given` in the configuration of a database, or `generated` for it; or `told` by the stack of a peer.
        site: the database's site, or the peer.
        of: the database's namespace, or the peer's export.
    """

    how: Literal["given", "generated", "told"]
    site: str
    of: str


@dataclass(frozen=True, kw_only=True)
class ServerPlan:
    """A server that can be asked: a pod of MariaDB, or an XtraDB cluster as a whole.

    Attributes:
        pod: the pod that is asked.
        follows: the hosts of which it should follow one; none for a primary.
    """

    pod: str
    follows: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DatabasePlan:
    """How a database is joined to others.

    Attributes:
        site: its site.
        namespace: its namespace.
        name: its name.
        kind: its kind.
        role: what it is for now.
        source: the export that it follows, or would follow as a replica. None if it never follows, or if there is no
            such export yet.
        source_site: the site that its configuration names as its source, whether that exports yet or not.
        channel: name of the channel by which it follows; empty for MariaDB, whose channel has none.
        partner: the database of this stack with which it can change roles; None if there is none.
        switchover: which of two sites is the primary, where that can change.
        password: where its password comes from; None while there is no source for it.
        servers: its servers; none while it is pending.
        sidecar: whether its pods have sidecars.
        egress: how it reaches what it follows.
    """

    site: str
    namespace: str
    name: str
    kind: str
    role: Role
    source: ExportedService | None
    source_site: str | None
    channel: str
    partner: DatabasePlace | None
    switchover: Switchover | None
    password: PasswordOrigin | None
    servers: tuple[ServerPlan, ...]
    sidecar: bool
    egress: Egress

    @property
    def place(self) -> DatabasePlace:
        """Where it is."""
        return DatabasePlace(site=self.site, namespace=self.namespace)

    @property
    def pending(self) -> bool:
        """Whether its source does not exist yet. Then it is not created."""
        return self.role == "pending"


@dataclass(frozen=True, kw_only=True)
class GatewayPlan:
    """How importers reach an exporting site.

    Attributes:
        addresses: IP addresses or DNS names, as far as they are known; empty while the gateway's Service has none yet.
        port: the port there.
        advertised: whether they differ from the Service's own.
    """

    addresses: tuple[str, ...]
    port: int
    advertised: bool


@dataclass(frozen=True, kw_only=True)
class ClientPlan:
    """Pods that an egress gateway lets in.

    Attributes:
        namespace: their namespace.
        labels: the labels that they have; none for all pods.
    """

    namespace: str
    labels: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class EgressPlan:
    """How an import uses an egress gateway.

    Attributes:
        host_namespace: the namespace of the hosts' names.
        clients: who may connect to it.
        ports: the gateway's port for each host and each of its ports.
    """

    host_namespace: str
    clients: tuple[ClientPlan, ...]
    ports: Mapping[HostPort, int]


@dataclass(frozen=True, kw_only=True)
class ImportPlan:
    """An import, for one consumer.

    Attributes:
        source: the exporting site.
        name: name of its export.
        namespace: namespace that sees the hosts.
        service_account: service account that connects.
        export: the export; None while that site exports nothing yet.
        gateway: how it is reached; None while that site exports nothing yet.
        vips: the virtual address of each host; empty with an egress gateway.
        egress: how it uses an egress gateway; None with sidecars.
        selector: labels of the consumer's pods, if only these are to capture DNS; otherwise empty.
    """

    source: str
    name: str
    namespace: str
    service_account: str
    export: ExportedService | None
    gateway: GatewayPlan | None
    vips: Mapping[str, str]
    egress: EgressPlan | None = None
    selector: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SitePlan:
    """A site of the stack.

    Attributes:
        name: its name.
        lost: whether it is gone for now: then nothing asks it or changes anything in it.
        protected: whether its databases are kept from deletion.
        gateway: how importers reach it; None if it exports nothing.
        exports: what it exports.
        imports: what it imports, in the order of the configuration.
        databases: the databases that dcmesh runs in it.
    """

    name: str
    lost: bool
    protected: bool
    gateway: GatewayPlan | None
    exports: tuple[ExportedService, ...]
    imports: tuple[ImportPlan, ...]
    databases: tuple[DatabasePlan, ...]

    @property
    def pending(self) -> tuple[str, ...]:
        """The sites that it is to import from and that export nothing yet."""
        return tuple(dict.fromkeys(imported.source for imported in self.imports if imported.export is None))

    def database(self, namespace: str) -> DatabasePlan:
        """Return the database of a namespace."""
        return next(database for database in self.databases if database.namespace == namespace)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A stack.

    Attributes:
        sites: its sites, in the order of the configuration.
        lost: name of the site that is gone for now, if one is, of this stack or another.
    """

    sites: tuple[SitePlan, ...]
    lost: str | None

    @property
    def switchable(self) -> tuple[tuple[DatabasePlan, ...], ...]:
        """The databases that can change roles, by their sites' names. If the stack has both, they are together."""
        databases = {database.place: database for site in self.sites for database in site.databases}
        places = {tuple(sorted({one.place, one.partner or one.place})) for one in databases.values() if one.switchover}
        return tuple(tuple(databases[place] for place in both) for both in sorted(places))

    def site(self, name: str) -> SitePlan:
        """Return a site."""
        return next(site for site in self.sites if site.name == name)


def plan_of(
    settings: Settings,
    links: Mapping[str, Link],
    gateways_in: Mapping[str, str] | None = None,
    meshed: Mapping[str, Collection[str]] | None = None,
) -> Plan:
    """Work out the plan of a stack.

    Args:
        settings: its configuration, which has been checked.
        links: the links of peers that export something.
        gateways_in: the namespace of each site's gateway. Default: as configured, or that of new sites.
        meshed: for each site the namespaces whose existing objects still need pods with sidecars. Default: none.
    """
    homes = {site.name: site.gateway.namespace or GATEWAY_NAMESPACE for site in settings.sites} | dict(
        gateways_in or {}
    )
    offers = {(link.site, export.name): export for link in links.values() for export in link.exports}
    offers |= {
        (site.name, export.name): _exported(settings, export, site, homes[site.name])
        for site in settings.sites
        for export in site.exports
    }
    gateways = {
        name: GatewayPlan(addresses=link.gateway.addresses, port=link.gateway.port, advertised=True)
        for name, link in links.items()
    }
    gateways |= {site.name: _gateway(settings, site) for site in settings.sites if site.exports}
    return Plan(
        sites=tuple(
            SitePlan(
                name=site.name,
                lost=site.name == settings.lost,
                protected=protects(settings, site),
                gateway=gateways.get(site.name),
                exports=tuple(offers[site.name, export.name] for export in site.exports),
                imports=_imports(site, offers, gateways),
                databases=tuple(
                    _database(settings, links, offers, site, workload, (meshed or {}).get(site.name, ()))
                    for workload in site.workloads
                    if isinstance(workload, Database)
                ),
            )
            for site in settings.sites
        ),
        lost=settings.lost,
    )


def _exported(settings: Settings, export: Export, site: Site, gateway: str) -> ExportedService:
    own = site.trust_domains
    match export:
        case GatewayExport():
            exported = export.for_link(own, site.name, gateway)
        case IngressExport():
            exported = export.for_link(own, site.name)
        case _:
            exported = export.for_link(own)
    return exported.model_copy(update={"consumers": tuple(map(settings.told, exported.consumers))})


def docker_port(settings: Settings, site: Site) -> int:
    """Return the port of the Docker host that leads to the gateway of a k3d cluster. Each cluster needs its own."""
    return GATEWAY_PORT + settings.sites.index(site)


def _gateway(settings: Settings, site: Site) -> GatewayPlan:
    of, addresses, port = site.gateway, tuple(site.gateway.advertise), GATEWAY_PORT
    if site.cluster == "k3d":
        addresses, port = addresses or (DOCKER_HOST,), docker_port(settings, site)
    return GatewayPlan(
        addresses=addresses,
        port=of.advertise_port or of.node_port or port,
        advertised=bool(addresses or of.advertise_port),
    )


def _imports(site: Site, offers: Offers, gateways: Mapping[str, GatewayPlan]) -> tuple[ImportPlan, ...]:
    found = [(of, _seen(of, offers.get((of.from_, of.export)))) for of in site.imports]
    hosts = (host for of, export in found if export and not of.by_gateway for host in export.hosts)
    vips = allot_vips(hosts, IPv4Network(site.vip_range))
    return tuple(
        ImportPlan(
            source=of.from_,
            name=of.export,
            namespace=of.namespace,
            service_account=of.service_account,
            export=export,
            gateway=gateways.get(of.from_),
            vips={host: vips[host] for host in (export.hosts if export and not of.by_gateway else ())},
            egress=_egress(of, export) if of.by_gateway else None,
            selector=of.selector,
        )
        for of, export in found
    )


def _seen(of: Import, export: ExportedService | None) -> ExportedService | None:
    """Return an export with its hosts by the names that they have for an import."""
    return export and export.model_copy(update={"hosts": known_in(export.hosts, of.host_namespace)})


def _egress(of: Import, export: ExportedService | None) -> EgressPlan:
    return EgressPlan(
        host_namespace=of.host_namespace or "",
        clients=tuple(ClientPlan(namespace=client.namespace, labels=client.labels) for client in of.clients),
        ports=allot_ports(export.hosts, export.port_numbers, of.chosen_ports(export.port)) if export else {},
    )


# --- databases -------------------------------------------------------------------------------------------------------


def source_of(settings: Settings, database: Database) -> tuple[Site, Database] | None:
    """Return the source of a database, with its site, if both are in this stack."""
    followed = database.replicates
    found = (
        (site, site.exported_databases[followed.export])
        for site in settings.sites
        if followed and site.name == followed.from_ and followed.export in site.exported_databases
    )
    return next(found, None)


def exchanges(settings: Settings, database: Database) -> bool:
    """Tell whether a database and its source, both in this stack, replicate each other."""
    source = source_of(settings, database)
    back = source and source_of(settings, source[1])
    return bool(back and back[1] is database)


def _database(
    settings: Settings,
    links: Mapping[str, Link],
    offers: Offers,
    site: Site,
    database: Database,
    meshed: Collection[str],
) -> DatabasePlan:
    source, switchover = _source(settings, offers, site, database), _switchover(settings, database)
    leads = switchover is not None and switchover.primary == site.name
    role: Role = "primary" if leads or not database.replicates else "replica" if source else "pending"
    partner = source_of(settings, database)
    return DatabasePlan(
        site=site.name,
        namespace=database.namespace,
        name=database.name,
        kind=database.kind,
        role=role,
        source=source,
        source_site=database.replicates.from_ if database.replicates else None,
        channel=database.channel if isinstance(database, Pxc) else "",
        partner=(
            DatabasePlace(site=partner[0].name, namespace=partner[1].namespace) if partner and switchover else None
        ),
        switchover=switchover,
        password=_password(settings, links, site, database),
        servers=_servers(database, role, source.hosts if source and role == "replica" else ()),
        sidecar=database.sidecar or database.namespace in meshed,
        egress=egress_of(site, database),
    )


def egress_of(site: Site, database: Database) -> Egress:
    """Return how a database reaches its source."""
    return "gateway" if any(of.by_gateway for of in _followed_by(site, database)) else "sidecar"


def _followed_by(site: Site, database: Database) -> list[Import]:
    """Return the imports by which a database reaches what it follows."""
    followed = database.replicates
    return [of for of in site.imports if followed and (of.from_, of.export) == (followed.from_, followed.export)]


def _source(settings: Settings, offers: Offers, site: Site, database: Database) -> ExportedService | None:
    """Return the export that a database follows; None for a primary, and while one of the two does not exist yet."""
    replicates, source = database.replicates, source_of(settings, database)
    chained = source and source[1].replicates and not exchanges(settings, database)
    if replicates is None or (source and chained and not _source(settings, offers, *source)):
        return None
    found = offers.get((replicates.from_, replicates.export))
    return next((_seen(of, found) for of in _followed_by(site, database)), found)


def _switchover(settings: Settings, database: Database) -> Switchover | None:
    """Return which site is the primary, for a database that can change roles with its source.

    XtraDB clusters can only do so within one stack: its order keeps two of them from taking writes at the same time.
    """
    can = database.replicates if isinstance(database, Mariadb) else exchanges(settings, database)
    if not (settings.primary and can):
        return None
    failover = settings.failover
    return Switchover(
        primary=settings.primary,
        without=failover.without if failover else "",
        at=failover.at or "" if failover else "",
    )


def _password(settings: Settings, links: Mapping[str, Link], site: Site, database: Database) -> PasswordOrigin | None:
    site, database = _origin(settings, site, database)
    if database.replication_password:
        return PasswordOrigin(how="given", site=site.name, of=database.namespace)
    if database.replicates is None or source_of(settings, database):
        return PasswordOrigin(how="generated", site=site.name, of=database.namespace)
    if database.replicates.from_ in links:
        return PasswordOrigin(how="told", site=database.replicates.from_, of=database.replicates.export)
    return None


def _origin(settings: Settings, site: Site, database: Database) -> tuple[Site, Database]:
    """Return the database of this stack from which another one's password comes, up the chain of sources.

    Of two that replicate each other it is the one with a password, otherwise the one whose site comes first.
    """
    line = [(site, database)]
    while not line[-1][1].replication_password and (source := source_of(settings, line[-1][1])):
        if source in line:
            return min(line[line.index(source) :], key=lambda place: settings.sites.index(place[0]))
        line.append(source)
    return line[-1]


def _servers(database: Database, role: Role, sources: tuple[str, ...]) -> tuple[ServerPlan, ...]:
    """Return a database's servers: MariaDB's pod 0 follows the first host of the source, and the others follow pod 0.

    An XtraDB cluster follows whichever host it chose.
    """
    pods = database.pods
    if role == "pending":
        return ()
    if isinstance(database, Pxc):
        return (ServerPlan(pod=f"{pods.stateful_set}-0", follows=sources),)
    first, *_ = pod_hosts(
        stateful_set=pods.stateful_set, service=pods.service, namespace=database.namespace, replicas=pods.replicas
    )
    return tuple(
        ServerPlan(pod=f"{pods.stateful_set}-{ordinal}", follows=(first,) if ordinal else sources[:1])
        for ordinal in range(pods.replicas)
    )
