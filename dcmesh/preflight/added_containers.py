"""What `firstCopy: backup` adds to pods that run. A quota or a LimitRange may not let them in again with it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from dcmesh.config.errors import Finding, Remark
from dcmesh.kube.pod_dry_run import Objection, objection
from dcmesh.kube.read_rights import Allowed
from dcmesh.model import settings as model
from dcmesh.model.mariadb import SERVER
from dcmesh.preflight.admission import Sample, containers_of, quota_cure, serves_copies

CONTAINER = "copies"
"""Name of the container that is added."""

EACH = re.compile(r"quota: .*must specify|(usage|ratio) per Container")
"""What is said of a container alone."""

WHOLE = re.compile(r"maximum \S+ usage per Pod")
"""What is said of a whole pod, and would be said of a larger one: the real one may have an exporter."""

AMOUNT = re.compile(r"quota: .*requested: \S*(cpu|memory|ephemeral-storage)=")
"""What a quota says of amounts. Of the number of pods it says more than will be: no pod is added."""


def outgrown(allowed: Allowed, site: model.Site, path: str) -> Iterator[Finding]:
    """Find databases whose running pods would not be let in again with the containers that are added to them.

    They start anew one after the other, and what each has now is free by then. So a quota's amounts are asked for by a
    pod that has nothing but the new containers of all of them. All else is asked for by a whole pod. After a question
    without an answer no other is asked.

    Args:
        allowed: the cluster.
        site: the site's part of the configuration.
        path: its place there.
    """
    for index, database in enumerate(site.workloads):
        if not (isinstance(database, model.Mariadb) and database.by_backup):
            continue
        running = _running(allowed, database)
        if not running or CONTAINER in running:
            continue
        restricted = site.pod_security == "restricted"
        before, containers = containers_of(model.Images(), database, restricted=restricted)
        name = f"{database.namespace}/{database.name}"
        pod = Sample(
            path=f"{path}.workloads[{index}].firstCopy",
            what=name,
            namespace=database.namespace,
            component="",
            account=database.name,
            labels={"app": database.name},
            sidecar=database.sidecar,
            restricted=restricted,
            before=before,
            containers=containers,
        )
        said = _said(allowed, pod)
        certain = _says(said, EACH, WHOLE)
        if not (certain or (said and said.silent)):
            said = _of_all(allowed, pod, database)
            # Room that smaller servers will leave is not free yet.
            certain = _says(said, EACH, *([AMOUNT] if running.get(SERVER) == containers[0]["resources"] else []))
        if said:
            told = Finding if certain else Remark
            adds = f"adds a container to the pods of {name}, and {site.name}"
            yield told(pod.path, database.first_copy, f"{adds} {_answer(said.words, certain=certain)}")
        if said and said.silent:
            return


def _running(allowed: Allowed, database: model.Mariadb) -> Mapping[str, Any]:
    """Return the resources of the containers of the database's pods, by name; none if the pods are not there."""
    found = allowed.read(f"/apis/apps/v1/namespaces/{database.namespace}/statefulsets/{database.name}")
    return (
        {one["name"]: one.get("resources") for one in found["spec"]["template"]["spec"]["containers"]} if found else {}
    )


def _said(allowed: Allowed, sample: Sample) -> Objection | None:
    return objection(allowed.api, sample.namespace, sample.pod)


def _of_all(allowed: Allowed, pod: Sample, database: model.Mariadb) -> Objection | None:
    """Ask for the new containers of all pods. If that is too much for one pod, ask for a single one as well."""
    one = replace(pod, labels={}, sidecar=False, before=(), containers=(serves_copies(database),))
    said = _said(allowed, replace(one, containers=one.containers * database.replicas))
    return _said(allowed, one) or said if said and "per Pod" in said.words else said


def _says(said: Objection | None, *patterns: re.Pattern[str]) -> bool:
    return said is not None and said.final and any(pattern.search(said.words) for pattern in patterns)


def _answer(words: str, *, certain: bool) -> str:
    if not certain:
        return f"may not let them in again; a dry run of a pod with it ended so: {words}"
    cure = quota_cure(words) if "quota" in words else "change the namespace's LimitRange"
    return f"would not let them in again ({words}): {cure}, or leave `firstCopy` as it was"
