"""Sidecars that a database's pods keep for one more `up`: until nothing refuses pods that have none."""

from collections.abc import Iterator

from dcmesh.config.errors import Remark
from dcmesh.model import settings as model
from dcmesh.model.plan import SitePlan


def kept(site: model.Site, path: str, plan: SitePlan) -> Iterator[Remark]:
    """Tell of databases that are to lose their sidecars, and whose pods the next `up` restarts without them."""
    planned = {database.namespace for database in plan.databases if database.sidecar}
    for index, workload in enumerate(site.workloads):
        if isinstance(workload, model.Database) and not workload.sidecar and workload.namespace in planned:
            advice = (
                "holds from the next `pulumi up` on, which restarts the pods one after the other: this one first "
                "removes what would refuse those without a sidecar"
            )
            yield Remark(f"{path}.workloads[{index}].sidecar", workload.sidecar, advice)
