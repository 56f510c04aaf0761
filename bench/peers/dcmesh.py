"""dcmesh by gateways at both ends, in one stack: neither database is in a mesh."""

from collections.abc import Iterable, Mapping
from typing import Any

from bench.data_path import direct
from bench.data_path.stage import EGRESS
from bench.peers.figures import DCMESH
from bench.peers.peer import REPLICA, SOURCE, Peer
from dcmesh.model.link import MYSQL_PORT
from tests.e2e.toolbox import Lab, initialised, lab_config
from tests.faults.stage import GATEWAY


class Dcmesh(Peer):
    """The pair."""

    name = DCMESH
    host = direct.host_of(SOURCE)

    def set_up(self) -> None:
        """Run `pulumi up`."""
        with self.step():  # the stack file
            dc1, dc2 = ({"name": name, "cluster": {"kubeconfig": str(site.path)}} for name, site in self.sites.items())
            pods = {"namespace": SOURCE, "statefulSet": direct.NAME, "replicas": 1, "port": MYSQL_PORT}
            export = {"name": SOURCE, "termination": "gateway", **pods, "consumers": [{"site": "dc2", **EGRESS}]}
            way = {"egress": "gateway", "hostNamespace": SOURCE, "clients": [{"namespace": REPLICA}]}
            config = {
                "dcmesh:sites": [
                    {**dc1, "gateway": {"replicas": 1}, "exports": [export]},
                    {**dc2, "imports": [{"from": "dc1", "export": SOURCE, **EGRESS, **way}]},
                ],
                "dcmesh:istio": lab_config()["dcmesh:istio"],
                "dcmesh:protect": False,
            }
            self._project = initialised(Lab("peers"), self.directory, config)
        with self.step():
            self._project.up("--skip-preview")
        self.objects = objects_of(self._project.resources())

    def gateway(self) -> tuple[str, str]:
        """Return the gateway's."""
        return GATEWAY

    def rotate(self) -> None:
        """Take the three steps of docs/production.md, an `up` each."""
        for root in ({"generation": 1, "next": "trusted"}, {"generation": 1, "next": "issuing"}, {"generation": 2}):
            with self._project.edit() as config:
                config["dcmesh:trust"] = {"root": root}
            self._project.up("--skip-preview")


def objects_of(resources: Iterable[Mapping[str, Any]]) -> int:
    """Return how many objects of Kubernetes a stack has. Those of a chart count one by one, as with `helm install`."""
    count = 0
    for of in resources:
        if of["type"].startswith("kubernetes:"):
            of_chart = of.get("outputs", {}).get("resourceNames") or {}
            count += sum(len(names) for names in of_chart.values() if isinstance(names, list)) or 1
    return count
