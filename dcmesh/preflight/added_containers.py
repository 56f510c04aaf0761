"""What `firstCopy: backup` adds to pods that run. A quota without room for it would not let them in again."""

import re
from collections.abc import Iterator

from dcmesh.config.errors import Finding, Remark
from dcmesh.kube.pod_dry_run import objection
from dcmesh.kube.read_rights import Allowed
from dcmesh.model import settings as model
from dcmesh.preflight.admission import Sample, serves_copies

NAME = "copies"
"""Name of the container that is added."""

CERTAIN = re.compile(r"quota: .*(must specify|requested: \S*(cpu|memory)=)")
"""What a quota says of the container. Of the number of pods it says more than will be: no pod is added."""


def outgrown(allowed: Allowed, site: model.Site, path: str) -> Iterator[Finding]:
    """Find databases whose running pods would not be let in again with the container that is added to them.

    They start anew one after the other, and what each has now is free by then. So a pod is asked about that has nothing
    but the new containers of all of them. After a question without an answer no other is asked.

    Args:
        allowed: the cluster.
        site: the site's part of the configuration.
        path: its place there.
    """
    for index, database in enumerate(site.workloads):
        if not (isinstance(database, model.Mariadb) and database.by_backup and _lacks(allowed, database)):
            continue
        name = f"{database.namespace}/{database.name}"
        sample = Sample(
            path=f"{path}.workloads[{index}].firstCopy",
            what=name,
            namespace=database.namespace,
            component="",
            account=database.name,
            labels={},
            restricted=site.pod_security == "restricted",
            containers=(serves_copies(database),) * database.replicas,
        )
        said = objection(allowed.api, sample.namespace, sample.pod)
        if said:
            told = Finding if said.final and CERTAIN.search(said.words) else Remark
            adds = f"adds a container to the pods of {name}, and {site.name}"
            yield told(sample.path, database.first_copy, f"{adds} {_answer(said.words, certain=told is Finding)}")
        if said and said.silent:
            return


def _lacks(allowed: Allowed, database: model.Mariadb) -> bool:
    """Tell whether the database's pods are there, and without the container."""
    found = allowed.read(f"/apis/apps/v1/namespaces/{database.namespace}/statefulsets/{database.name}")
    return found is not None and NAME not in [one["name"] for one in found["spec"]["template"]["spec"]["containers"]]


def _answer(words: str, *, certain: bool) -> str:
    if not certain:
        return f"may not let them in again; a dry run of a pod with it ended so: {words}"
    specify = "give the namespace a LimitRange with defaults for what is not specified"
    cure = specify if "must specify" in words else "raise the quota"
    return f"would not let them in again ({words}): {cure}, or leave `firstCopy` as it was"
