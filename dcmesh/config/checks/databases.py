"""Databases: whether they can reach what they follow, and whether both ends of a channel agree."""

from collections.abc import Iterator

from dcmesh.config.checks.configuration import Configuration
from dcmesh.config.errors import NOTHING, Finding
from dcmesh.config.suggestions import choices
from dcmesh.model import pxc
from dcmesh.model.link import MYSQL_PORT
from dcmesh.model.mariadb import COPY_PORT, OWN_SETTINGS
from dcmesh.model.plan import egress_of, exchanges, source_of
from dcmesh.model.settings import Database, Import, Mariadb, PodExport, Site


def not_imported(configuration: Configuration) -> Iterator[Finding]:
    """Find replicas that cannot reach what they follow.

    Their namespace must import it under their service account, or they must be clients of its egress gateway.
    """
    for site, path, database in configuration.databases:
        followed = database.replicates
        if followed is None:
            continue
        imports = [of for of in site.imports if (of.from_, of.export) == (followed.from_, followed.export)]
        if any(_reaches(of, database) for of in imports):
            continue
        where, account = f"namespace: {database.namespace}", database.pods.service_account
        if any(of.by_gateway for of in imports):
            labels = ", ".join(f"{key}: {value}" for key, value in database.pods.selector.items())
            advice = f"does not reach the replica: add to the import's clients {where}, labels: {{{labels}}}"
        else:
            advice = (
                f"does not reach the replica: add to the site's imports from: {followed.from_}, "
                f"export: {followed.export}, {where}, serviceAccount: {account}"
            )
        given = (f"{path.partition('.')[0]}.imports",)
        yield Finding(f"{path}.replicates.export", followed.export, advice, given=given)


def _reaches(imported: Import, database: Database) -> bool:
    """Tell whether an import leads a database's pods to its hosts."""
    pods = database.pods
    if not imported.by_gateway:
        return (imported.namespace, imported.service_account) == (database.namespace, pods.service_account)
    return any(
        client.namespace == database.namespace and client.labels.items() <= pods.selector.items()
        for client in imported.clients
    )


def not_tcp(configuration: Configuration) -> Iterator[Finding]:
    """Find replicas of something that is no database."""
    for _, path, database in configuration.databases:
        offer = database.replicates and configuration.offer(database.replicates)
        if offer and offer[1].protocol != "TCP":
            advice = "is exported as HTTP, which no database speaks: make the export's protocol TCP"
            yield Finding(f"{path}.replicates.export", offer[1].name, advice, given=(offer[0],))


def no_copies(configuration: Configuration) -> Iterator[Finding]:
    """Find replicas that are to be made of a backup, and follow a database of this stack that exports none."""
    for _, path, database in configuration.databases:
        if not (isinstance(database, Mariadb) and database.by_backup and database.replicates):
            continue
        source, offer = source_of(configuration.settings, database), configuration.offer(database.replicates)
        if not (source and offer and isinstance(source[1], Mariadb)):
            continue
        if COPY_PORT not in offer[1].port_numbers:
            advice = (
                f"needs the port {COPY_PORT} of {offer[1].name}: give that `ports` of {MYSQL_PORT} and {COPY_PORT}, or "
                "remove this"
            )
            yield Finding(f"{path}.firstCopy", database.first_copy, advice, given=(offer[0],))
        elif not source[1].by_backup:
            advice = f"is not set for {source[0].name}/{source[1].namespace}, whose pods then serve none: set it there"
            yield Finding(f"{path}.firstCopy", database.first_copy, advice, given=("sites",))


def _sources(configuration: Configuration, database: Database) -> list[tuple[Site, Database]]:
    """Return the database that a database follows in this stack, the one that this follows, and so on, each once."""
    found = list[tuple[Site, Database]]()
    source = source_of(configuration.settings, database)
    while source and source not in found:
        found.append(source)
        source = source_of(configuration.settings, source[1])
    return found


def circles(configuration: Configuration) -> Iterator[Finding]:
    """Find replicas that follow each other in a ring, though none is made the primary."""
    for site, path, database in configuration.databases:
        sources = _sources(configuration, database)
        two = len(sources) == 2
        switchable = two and configuration.settings.primary
        if database.replicates and sources and sources[-1] == (site, database) and not switchable:
            ring = " → ".join(f"{s.name}/{d.namespace}" for s, d in [(site, database), *sources])
            remedy = "set `primary`" if two else "remove one `replicates`"
            advice = f"leads back to this database ({ring}), and so none is the primary: {remedy}"
            yield Finding(f"{path}.replicates.from", database.replicates.from_, advice, given=("primary",))


def primaries(configuration: Configuration) -> Iterator[Finding]:
    """Find a `primary` that is not one of two sites that replicate each other, and settings without effect."""
    primary, failover = configuration.settings.primary, configuration.settings.failover
    if failover and not primary:
        advice = "has no effect without `primary`: set that, or remove this"
        yield Finding("failover.without", failover.without, advice, given=("primary",))
    if failover and failover.without == primary:
        yield Finding("failover.without", failover.without, "is the primary: name the site that is gone")
    pairs = [
        (site, path, database)
        for site, path, database in configuration.databases
        if (database.replicates if isinstance(database, Mariadb) else exchanges(configuration.settings, database))
    ]
    if primary and not pairs:
        advice = (
            "has no effect, for no MariaDB here replicates another, and no two XtraDB clusters of this stack each "
            "other: set `replicates` in both, or remove it"
        )
        yield Finding("primary", primary, advice, given=("sites",))
    for site, path, database in pairs if primary else ():
        if database.replicates and primary not in (either := (site.name, database.replicates.from_)):
            advice = f"is not one of the two sites of {path}: {choices(either, primary)}"
            yield Finding("primary", primary, advice, given=(path,))
        source = source_of(configuration.settings, database)
        if source and source_of(configuration.settings, source[1]) != (site, database):
            advice = "does not replicate this database in its turn: set its `replicates`, or remove `primary`"
            yield Finding(f"{path}.replicates.from", source[0].name, advice, given=("sites",))


def writer_services(configuration: Configuration) -> Iterator[Finding]:
    """Find Services that are to lead to the primary, though the primary cannot change."""
    for _, path, database in configuration.databases:
        wished = isinstance(database, Mariadb) and database.writer_service
        if wished and not (configuration.settings.primary and database.replicates):
            advice = (
                "needs two databases that can change roles: set `primary`, and `replicates` in both. Where they "
                "cannot, the primary's own name leads to it"
            )
            yield Finding(f"{path}.writerService", True, advice, given=("primary", path))
        source = source_of(configuration.settings, database)
        if wished and source and isinstance(source[1], Mariadb) and not source[1].writer_service:
            where = f"{source[0].name}/{source[1].namespace}"
            advice = f"is not set for {where}, with which this one changes roles: set it in both"
            yield Finding(f"{path}.writerService", True, advice, given=("sites",))


def ends_of_sidecars(configuration: Configuration) -> Iterator[Finding]:
    """Find databases without sidecars that need them for an export or an import."""
    for site, path, database in configuration.databases:
        if database.sidecar:
            continue
        exports = ((export.name, isinstance(export, PodExport), export.namespace) for export in site.exports)
        imports = ((of.export, not of.by_gateway, of.namespace) for of in site.imports)
        for kind, key, ends in (("export", "termination", exports), ("import", "egress", imports)):
            for name, by_sidecar, namespace in ends:
                if by_sidecar and namespace == database.namespace:
                    advice = (
                        f"leaves the {kind} {name} without the sidecars that it needs: give that {key}: gateway, or "
                        "remove this until nobody needs it"
                    )
                    yield Finding(f"{path}.sidecar", False, advice, given=(path.partition(".")[0],))


def other_ports_of_writers(configuration: Configuration) -> Iterator[Finding]:
    """Find Services that are to be an alias of a host whose port is not the database's own."""
    for site, path, database in configuration.databases:
        followed = database.replicates
        wished = isinstance(database, Mariadb) and database.writer_service
        offer = configuration.offer(followed) if wished and followed else None
        by_name = offer and egress_of(site, database) == "gateway"
        if offer and by_name and (port := offer[1].port_numbers[0]) != MYSQL_PORT:
            advice = (
                f"cannot lead to port {port} of {offer[1].name}: by an egress gateway it is a name, of a host "
                f"that has the port {MYSQL_PORT} as the database has"
            )
            yield Finding(f"{path}.writerService", True, advice, given=(offer[0],))


def vanished_sources(configuration: Configuration) -> Iterator[Finding]:
    """Find running replicas whose source exports nothing any more: they would look like ones not begun yet."""

    def absent(database: Database) -> bool:
        followed = database.replicates
        return followed is not None and configuration.sources.get(followed.from_, ()) is None

    pending = [
        (site, path, database)
        for site, path, database in configuration.databases
        if absent(database) or any(absent(source) for _, source in _sources(configuration, database))
    ]
    for site, path, database in pending:
        servers = configuration.before.get(site.name, {}).get("servers", ())
        leads = isinstance(database, Mariadb) and configuration.settings.primary == site.name
        if database.replicates and not leads and any(server["namespace"] == database.namespace for server in servers):
            advice = (
                "exports nothing any more, and without it the servers here would be removed: restore its exports, or "
                "remove this workload to have that"
            )
            yield Finding(f"{path}.replicates.from", database.replicates.from_, advice)


def unknown_passwords(configuration: Configuration) -> Iterator[Finding]:
    """Find replicas that have no way to know their source's password."""
    by_stack = {peer.name for peer in configuration.settings.peers if not (peer.link or peer.link_file)}
    for _, path, database in configuration.databases:
        followed = database.replicates
        if followed is None or database.replication_password:
            continue
        if (
            isinstance(database, Mariadb)
            and configuration.settings.primary
            and not source_of(configuration.settings, database)
        ):
            advice = (
                "is missing: either site can be the primary, so give both stacks the same by "
                "`pulumi config set --secret --path`"
            )
            yield Finding(f"{path}.replicationPassword", NOTHING, advice)
            continue
        if followed.from_ in by_stack:
            continue
        offer = configuration.offer(followed)
        if offer and not source_of(configuration.settings, database):
            advice = (
                f"is missing: nothing here knows the password of {followed.from_}'s database; take it from "
                "`pulumi stack output replicationPasswords --show-secrets` there, and set it with "
                "`pulumi config set --secret --path`"
            )
            others = f"{offer[0].partition('.')[0]}.workloads"
            yield Finding(f"{path}.replicationPassword", NOTHING, advice, given=(offer[0], others))


def other_passwords(configuration: Configuration) -> Iterator[Finding]:
    """Find replicas with another password than their source has in this stack."""
    places = {(site.name, database.namespace): path for site, path, database in configuration.databases}
    for _, path, database in configuration.databases:
        own, sources = database.replication_password, _sources(configuration, database)
        if own is None or not sources:
            continue
        decisive = next((d for _, d in sources if d.replication_password), sources[-1][1])
        theirs = decisive.replication_password
        known = theirs or not decisive.replicates  # else another stack has it
        if known and own != theirs:
            advice = (
                f"is not the one of {sources[0][0].name}'s database: remove it, the replica finds that in this stack"
            )
            given = tuple(f"{places[s.name, d.namespace]}.replicationPassword" for s, d in sources)
            yield Finding(f"{path}.replicationPassword", own.get_secret_value(), advice, secret=True, given=given)


def own_settings(configuration: Configuration) -> Iterator[Finding]:
    """Find options of a server that only dcmesh may set."""
    for _, path, database in configuration.databases:
        own = OWN_SETTINGS if isinstance(database, Mariadb) else pxc.REPLICATION.keys() | pxc.CLOSED.keys()
        for key in sorted(own & database.settings.keys()):
            advice = "is set by dcmesh, for replication depends on it: remove it"
            yield Finding(f"{path}.settings.{key}", database.settings[key], advice)


def unlike_sources(configuration: Configuration) -> Iterator[Finding]:
    """Find replicas of a database of another kind: MySQL and MariaDB do not replicate from each other."""
    for _, path, database in configuration.databases:
        source = source_of(configuration.settings, database)
        if database.replicates and source and source[1].kind != database.kind:
            advice = f"is of kind {source[1].kind}, which {database.kind} cannot follow: name one of its own kind"
            yield Finding(f"{path}.replicates.export", database.replicates.export, advice)
