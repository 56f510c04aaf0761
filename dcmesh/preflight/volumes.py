"""The volumes of databases: whether they can change to what the configuration says."""

from collections.abc import Iterator

from dcmesh.config.errors import Finding
from dcmesh.kube import quantities
from dcmesh.kube.cluster_reader import ClusterReader
from dcmesh.model import mariadb, pxc
from dcmesh.model import settings as model
from dcmesh.preflight.parallel import each

CLAIMS = {"mariadb": mariadb.CLAIM, "pxc": pxc.CLAIM}
"""How the names of a database's claims begin, by its kind."""


def claims(cluster: ClusterReader, site: model.Site, path: str) -> Iterator[Finding]:
    """Compare the volumes that databases have with those that they are to have. Some classes let them grow."""

    def look(numbered: tuple[int, model.Workload]) -> Iterator[Finding]:
        index, workload = numbered
        if isinstance(workload, model.Database) and workload.storage:
            names = (f"{CLAIMS[workload.kind]}-{workload.pods.stateful_set}-{n}" for n in range(workload.pods.replicas))
            claims = {found for name in names if (found := cluster.claim(workload.namespace, name))}
            for size, storage_class in sorted(claims, key=str):
                where = f"{path}.workloads[{index}].storage"
                yield from _volume(cluster, workload.storage, where, size, storage_class)

    yield from each(enumerate(site.workloads), look)


def _volume(
    cluster: ClusterReader, wanted: model.Storage, path: str, size: str, storage_class: str | None
) -> Iterator[Finding]:
    """Compare a volume's size and StorageClass with what it is to have."""
    if wanted.storage_class and wanted.storage_class != storage_class:
        advice = f"is not the class of the volumes there: put {storage_class or 'none'} back"
        yield Finding(f"{path}.storageClass", wanted.storage_class, advice)
    if quantities.number(wanted.size) < quantities.number(size):
        advice = f"is less than the {size} of a volume there, and volumes do not shrink: set that"
        yield Finding(f"{path}.size", wanted.size, advice)
    elif quantities.number(wanted.size) > quantities.number(size) and not cluster.can_grow(storage_class):
        advice = (
            f"is more than the {size} of a volume there, and its StorageClass {storage_class or 'none'} does not let "
            "it grow: set allowVolumeExpansion there, if its driver can do that, or put the size back"
        )
        yield Finding(f"{path}.size", wanted.size, advice)
