"""Databases of the last `up`, and their volumes: this one must not delete them, start them empty or cut them off."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dcmesh.config.checks.configuration import Configuration
from dcmesh.config.errors import NOTHING, Finding
from dcmesh.kube import quantities
from dcmesh.model.mariadb import SERVER
from dcmesh.model.protection import protects
from dcmesh.model.settings import Database, PodExport, Site, Storage

LIFT = (
    "Put it back; or, to give it up with its data, `pulumi config set protect false` and `pulumi up`, and make this "
    "change then"
)

ANEW = "to have that, make another workload, which gets its data by `replicates` or from a backup"

UNKNOWN = Storage(size="1Mi")
"""Stands for the volumes of a database of dcmesh 0.1.0: its outputs do not mention them."""


@dataclass(frozen=True)
class DeployedDatabase:
    """A database of the last `up`.

    Attributes:
        site: its site.
        kind: its kind.
        namespace: its namespace.
        name: its name.
        protected: whether it is kept from deletion. None if the present configuration decides that.
        storage: its volumes. Default: not known.
        sidecar: whether its pods have sidecars.
    """

    site: str
    kind: str
    namespace: str
    name: str
    protected: bool | None = None
    storage: Storage | None = UNKNOWN
    sidecar: bool = True

    def __str__(self) -> str:
        """Return it as it is shown."""
        return f"the {self.kind} {self.namespace}/{self.name}"

    def is_now(self, workload: object) -> bool:
        """Tell whether it is a workload of the configuration."""
        return isinstance(workload, Database) and (workload.kind, workload.namespace, workload.name) == (
            self.kind,
            self.namespace,
            self.name,
        )


def _databases(site: str, known: Mapping[str, Any]) -> Iterator[DeployedDatabase]:
    """Yield the databases that an output tells of."""
    if "workloads" in known:
        for workload in known["workloads"]:
            # The state has no key for a value of None.
            storage = Storage.model_validate(workload["storage"]) if workload.get("storage") else None
            yield DeployedDatabase(site, **{**workload, "storage": storage})
        return
    servers = {(s["container"] == SERVER, s["namespace"], s["pod"].rpartition("-")[0]) for s in known["servers"]}
    for is_mariadb, namespace, stateful_set in sorted(servers):
        name = stateful_set if is_mariadb else stateful_set.removesuffix("-pxc")
        yield DeployedDatabase(site, "mariadb" if is_mariadb else "pxc", namespace, name)


def _made(configuration: Configuration) -> list[DeployedDatabase]:
    return [made for site, known in configuration.before.items() for made in _databases(site, known)]


def vanished_databases(configuration: Configuration) -> Iterator[Finding]:
    """Find protected databases that are gone, or would be created anew under another name.

    Pulumi refuses to delete their resources as well, but notices only after it has deleted others.
    """
    sites = {site.name: (path, site) for path, site in configuration.sites}
    before, settings = _made(configuration), configuration.settings
    for made in before:
        path, site = sites.get(made.site, ("", None))
        kept = settings.protect if site is None else protects(settings, site)
        if not (kept if made.protected is None else made.protected):
            continue
        if site is None:
            advice = f"lacks {made.site}, with which {made} would be gone. {LIFT}"
            yield Finding("sites", NOTHING, advice, given=("sites",))
        elif not any(map(made.is_now, site.workloads)):
            own = [other for other in before if other.site == site.name]
            yield _vanished(made, path, site, own)


def _vanished(made: DeployedDatabase, path: str, site: Site, before: Sequence[DeployedDatabase]) -> Finding:
    """Report what became of a database of the last `up`: another name, kind or namespace, or nothing."""
    given = (f"{path}.workloads",)
    for index, workload in enumerate(site.workloads):
        if any(other.is_now(workload) for other in before):
            continue
        for key in ("name", "kind", "namespace"):
            was, now = getattr(made, key), getattr(workload, key)
            like = workload.model_copy(update={key: was})
            if was != now and made.is_now(like):
                advice = f'was "{was}" at the last `pulumi up`, and {made} would be gone. {LIFT}'
                return Finding(f"{path}.workloads[{index}].{key}", now, advice, given=given)
    return Finding(f"{path}.workloads", NOTHING, f"lacks {made}, which would be gone. {LIFT}", given=given)


def changed_volumes(configuration: Configuration) -> Iterator[Finding]:
    """Find databases whose volumes are to change. They can grow, and nothing else."""
    for made in _made(configuration):
        for site, path, database in configuration.databases:
            if made.storage is not UNKNOWN and site.name == made.site and made.is_now(database):
                yield from _changed(made.storage, database.storage, f"{path}.storage", site)


def _changed(before: Storage | None, now: Storage | None, path: str, site: Site) -> Iterator[Finding]:
    if before is None and now:
        advice = f"is new, and the database, which has no volumes, would start empty: remove it; {ANEW}"
        yield Finding(path, now.model_dump(), advice)
    elif before and now is None:
        yield Finding(path, NOTHING, f"is missing, and the database would start empty: put it back; {ANEW}")
    if not (before and now):
        return
    if now.storage_class != before.storage_class:
        was = f'was "{before.storage_class}"' if before.storage_class else "was the cluster's default"
        advice = f"{was} at the last `pulumi up`, and volumes do not change their class: put that back; {ANEW}"
        yield Finding(f"{path}.storageClass", now.storage_class or NOTHING, advice)
    if quantities.number(now.size) < quantities.number(before.size):
        advice = f'was "{before.size}" at the last `pulumi up`, and volumes do not shrink: put that back; {ANEW}'
        yield Finding(f"{path}.size", now.size, advice)
    elif quantities.number(now.size) > quantities.number(before.size) and site.cluster == "k3d":
        advice = f'was "{before.size}" at the last `pulumi up`, and k3d\'s volumes cannot grow: put that back; {ANEW}'
        yield Finding(f"{path}.size", now.size, advice)


def early_pod_exports(configuration: Configuration) -> Iterator[Finding]:
    """Find exports with termination at pods that have no sidecars yet.

    The pods would get them one after the other while the PeerAuthentication already exists: pods with a sidecar would
    refuse those without one, and HAProxy.
    """
    bare = {(made.site, made.namespace) for made in _made(configuration) if not made.sidecar}
    for site, path, export in configuration.exports:
        database = site.workload_of(export)
        having = isinstance(database, Database) and database.sidecar
        if isinstance(export, PodExport) and having and (site.name, export.namespace) in bare:
            advice = (
                f"is of pods that had no sidecars at the last `pulumi up`: let {export.namespace} have them first, by "
                "an `up` without this export"
            )
            yield Finding(f"{path}.name", export.name, advice, given=(path,))


def changed_sidecars(configuration: Configuration) -> Iterator[Finding]:
    """Find running XtraDB clusters that are to lose their sidecars, or to get some.

    Their pods restart one after the other, and a pod without a sidecar gets no answer from a pod with one: the sidecar
    waits for the client's first byte, in case it is TLS, while MySQL's client waits for the server's. The operator asks
    through HAProxy. It then finds no primary, and stops.
    """
    for made in _made(configuration):
        for site, path, database in configuration.databases:
            is_it = site.name == made.site and made.is_now(database)
            if is_it and made.kind == "pxc" and made.sidecar != database.sidecar:
                advice = (
                    f"was {str(made.sidecar).lower()} at the last `pulumi up`, and pods of {made} with and without a "
                    f"sidecar cannot talk to each other while they start anew: put it back; {ANEW}"
                )
                yield Finding(f"{path}.sidecar", database.sidecar, advice)
