"""The part's measurements: the same work done on each way, way after way in each round."""

from pathlib import Path
from tempfile import TemporaryDirectory

from bench.data_path.figures import GATEWAYS
from bench.data_path.run import keeper, measure_and_ask
from bench.data_path.stage import AT_GATEWAY, BY_GATEWAY
from bench.data_path.sysbench import Sysbench
from bench.data_path.ways import pairing, plain_ways
from bench.mysql import stage
from bench.mysql.report import CASES
from bench.samples import Recorder
from lab.wan import impair
from tests.e2e.toolbox import eventually


def run(record: Recorder, rounds: int) -> None:
    """Measure."""
    with TemporaryDirectory(prefix="mysql-") as name, stage.standing(Path(name)) as stands:
        sysbench = Sysbench(Path(name), password=stands.password, tls=stands.tls)
        end = (AT_GATEWAY, BY_GATEWAY)
        pair = stands.pairs[end]
        ways = [pairing(GATEWAYS, pair, *end), *plain_ways(stands)]
        sysbench.prepare(ways[0].target)
        for case in CASES:
            impair(stage.LAB, delay=case.delay)
            eventually("the replica follows again", pair.follows, within=60)
            for number in range(1, min(rounds, case.rounds) + 1):
                for way in ways:
                    measure_and_ask(way, case, sysbench, stands, keeper(record, way.name, case.name, number))
