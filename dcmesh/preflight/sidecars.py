"""Sidecars that a database's pods keep for one more `up`: until nothing refuses pods that have none."""

from collections.abc import Iterator

from dcmesh.config.errors import Remark
from dcmesh.model import settings as model
from dcmesh.model.plan import SitePlan, needs_sidecars


def kept(site: model.Site, path: str, plan: SitePlan) -> Iterator[Remark]:
    """Tell of databases whose next `up` restarts their pods, without the sidecars that nothing needs any more."""
    planned = {database.namespace for database in plan.databases if database.sidecar}
    for index, workload in enumerate(site.workloads):
        if workload.namespace in planned and not needs_sidecars(site, workload.namespace):
            advice = (
                "needs no sidecars from now on: this `pulumi up` restarts nothing, and the next one restarts its pods "
                "without them, one after the other"
            )
            yield Remark(f"{path}.workloads[{index}].namespace", workload.namespace, advice)
