"""Scale with gateways at both ends: what each additional export costs the gateways and the istiods."""

import tempfile
from pathlib import Path
from typing import ClassVar

from bench.clusters import clusters
from bench.samples import Recorder
from bench.scale import gateways_stage
from bench.scale.run import LAB, MOST, STEPS, Pair


def run(record: Recorder, rounds: int) -> None:
    """Measure."""
    with tempfile.TemporaryDirectory() as directory, clusters(LAB, Path(directory)) as sites:
        pair = Gateways(sites, Path(directory), record, min(rounds, MOST))
        for exports in STEPS:
            pair.step(exports)


class Gateways(Pair):
    """The pair, with gateways at both ends. Times are of one `up` for each number of exports."""

    proxies: ClassVar = {
        "gateway": ("dc1", "dcmesh-gateway", "istio=dcmesh-gateway"),
        "egress gateway": ("dc2", gateways_stage.EGRESS["namespace"], "app=dcmesh-egress"),
    }
    exporting = staticmethod(gateways_stage.sites)

    def step(self, exports: int) -> None:
        """Grow to this many exports, and measure everything."""
        self._configure(exports)
        self._time("up", str(exports), 1, self._up)
        self.weigh(str(exports))
