"""What a site imports: when its hosts are asked."""

import pytest

from tests.unit.configurations import stack
from tests.unit.program import program_of


@pytest.mark.parametrize(
    ("example", "sources"), [("pxc-switchover", {"dc1": "dc2", "dc2": "dc1"}), ("pxc-gateways", {"dc2": "dc1"})]
)
def test_hosts_of_an_xtradb_cluster_are_asked_when_it_is_ready(example: str, sources: dict[str, str]) -> None:
    """Its operator starts one node after the other. That takes longer than the time for which a host is asked."""
    raw = stack(example)
    for site in raw["sites"]:
        site["cluster"] = "k3d"
    engine = program_of(raw)
    clusters = {cluster.name.partition(".")[0]: cluster.name for cluster in engine.kind("PerconaXtraDBCluster")}
    asking = {job.name.partition("-")[0]: job.name for job in engine.kind("Job") if "probe" in str(job.inputs)}
    assert asking.keys() >= sources.keys()
    for site, source in sources.items():
        assert clusters[source] in engine.before(asking[site])
