"""Databases: whether what they follow reaches them, and whether both ends of a channel agree."""

from collections.abc import Iterator

from components.workloads.mariadb import OWN_SETTINGS
from config.checks.subject import Subject
from config.errors import NOTHING, Finding
from config.model import Import, Mariadb


def not_imported(subject: Subject) -> Iterator[Finding]:
    """Find replicas whose namespace does not import what they follow, under their service account."""
    for site, path, database in subject.databases:
        followed = database.replicates
        if followed is None:
            continue
        wanted = Import(
            from_=followed.from_,
            export=followed.export,
            namespace=database.namespace,
            service_account=database.pods.service_account,
        )
        if wanted not in site.imports:
            advice = (
                f"does not reach the replica: add to the site's imports from: {wanted.from_}, export: {wanted.export}, "
                f"namespace: {wanted.namespace}, serviceAccount: {wanted.service_account}"
            )
            imports = f"{path.partition('.')[0]}.imports"
            yield Finding(f"{path}.replicates.export", followed.export, advice, given=(imports,))


def not_tcp(subject: Subject) -> Iterator[Finding]:
    """Find replicas of what is no database."""
    for _, path, database in subject.databases:
        offer = database.replicates and subject.offer(database.replicates)
        if offer and offer[1].protocol != "TCP":
            advice = "is exported as HTTP, which no database speaks: make the export's protocol TCP"
            yield Finding(f"{path}.replicates.export", offer[1].name, advice, given=(offer[0],))


def circles(subject: Subject) -> Iterator[Finding]:
    """Find replicas that in the end follow themselves."""
    for site, path, database in subject.databases:
        line = [(site.name, database.namespace)]
        source = subject.settings.source_of(database)
        while source and (source[0].name, source[1].namespace) not in line:
            line.append((source[0].name, source[1].namespace))
            source = subject.settings.source_of(source[1])
        if database.replicates and source and (source[0].name, source[1].namespace) == line[0]:
            ring = " → ".join(f"{name}/{namespace}" for name, namespace in [*line, line[0]])
            advice = f"leads back to this database ({ring}), and so none is the primary: remove one `replicates`"
            yield Finding(f"{path}.replicates.from", database.replicates.from_, advice)


def passwords(subject: Subject) -> Iterator[Finding]:
    """Find replicas that cannot know their source's password, or know another."""
    by_stack = {peer.name for peer in subject.settings.peers if not (peer.link or peer.link_file)}
    for _, path, database in subject.databases:
        followed, own = database.replicates, database.replication_password
        if followed is None:
            continue
        at = f"{path}.replicationPassword"
        source = subject.settings.source_of(database)
        if own is None and source is None and followed.from_ not in by_stack and subject.offer(followed):
            advice = (
                f"is missing: nothing here knows the password of {followed.from_}'s database; "
                f"set it with `pulumi config set --secret --path`"
            )
            yield Finding(at, NOTHING, advice)
        theirs = source[1].replication_password if source else None
        if own and source and own != theirs:
            advice = f"is not the one of {followed.from_}: remove it, the replica finds that in this stack"
            yield Finding(at, own.get_secret_value(), advice, secret=True)


def own_settings(subject: Subject) -> Iterator[Finding]:
    """Find options of a server that are dcmesh's to set."""
    for _, path, database in subject.databases:
        if isinstance(database, Mariadb):
            for key in sorted(OWN_SETTINGS & database.settings.keys()):
                advice = "is set by dcmesh, for replication depends on it: remove it"
                yield Finding(f"{path}.settings.{key}", database.settings[key], advice)
