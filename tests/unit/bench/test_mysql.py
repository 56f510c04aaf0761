"""The benchmark of MySQL: its servers, its configuration, what it reads from a server, and what its section says."""

from pathlib import Path

import pytest

from bench.data_path import stage
from bench.data_path.figures import (
    APPLIED,
    CONNECTION,
    GATEWAYS,
    NEAR,
    PERCENTILES,
    PLAIN,
    QUERY,
    ROWS,
    STREAMED,
    TLS,
    percentile_of,
)
from bench.data_path.report import QUERY_P50
from bench.mysql import database, report
from bench.mysql.stage import ENDS
from bench.samples import Sample
from tests.e2e.toolbox import Kubectl
from tests.unit.configurations import parse

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
METRICS = (STREAMED, APPLIED, ROWS, *(percentile_of(what, of) for what in (QUERY, CONNECTION) for of in PERCENTILES))

STATUS = """\
*************************** 1. row ***************************
Replica_IO_State: Waiting for source to send event
Replica_IO_Running: Yes
Last_IO_Error:
Retrieved_Gtid_Set: RETRIEVED
"""


class Asked:
    """Stands in for a session: answers with what it is given, and keeps what it was asked."""

    def __init__(self, *answers: str) -> None:
        self.answers = [answer.splitlines() for answer in answers]
        self.asked: list[str] = []

    def ask(self, statement: str) -> list[str]:
        self.asked.append(statement)
        return self.answers.pop(0)


class Pair(database.MySQLPair):
    """A pair whose replica gives these answers."""

    def __init__(self, *answers: str) -> None:
        self._source = self._replica = Asked(*answers)  # type: ignore[assignment]

    def received(self, position: str) -> bool:
        return self._has_received(position)

    @property
    def asked(self) -> list[str]:
        return self._replica.asked  # type: ignore[attr-defined, no-any-return]


def measured(**values: dict[str, float]) -> list[Sample]:
    """Three rounds of everything in every case. Each value is 1, or as given by metric and way."""
    return [
        Sample(metric=metric, unit="", way=way, case=case.name, round=number, value=values.get(metric, {}).get(way, 1))
        for case in report.CASES
        for number in (1, 2, 3)
        for metric in METRICS
        for way in report.WAYS
    ]


@pytest.mark.parametrize(("position", "number"), [(f"{UUID}:1", 1), (f"{UUID}:1-27", 27)])
def test_the_last_transaction_is_read_from_a_set(position: str, number: int) -> None:
    assert database.last(position) == (UUID, number)


@pytest.mark.parametrize("retrieved", ["", f"{UUID}:4-9"])
def test_what_was_retrieved_counts_together_with_what_was_applied(retrieved: str) -> None:
    pair = Pair(STATUS.replace(" RETRIEVED", f" {retrieved}".rstrip()), "is\n1")
    assert pair.received(f"{UUID}:1-9")
    assert f"GTID_SUBSET('{UUID}:1-9', CONCAT('{retrieved},', @@GLOBAL.gtid_executed))" in pair.asked[-1]


def test_a_replica_that_is_connected_follows() -> None:
    assert Pair(STATUS).follows()
    assert not Pair(STATUS.replace("Running: Yes", "Running: Connecting")).follows()


def test_the_servers_differ_in_their_numbers_alone() -> None:
    source, replica = (database.servers(*end)["template"]["spec"]["containers"][0]["command"] for end in ENDS)
    ours, theirs = (next(of for of in command if "server_id" in of) for command in (source, replica))
    assert ours != theirs
    assert [of for of in source if of != ours] == [of for of in replica if of != theirs]


def test_it_is_a_right_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    kubectl = {name: Kubectl("", tmp_path / name) for name in ("dc1", "dc2")}
    linked = stage.configuration(kubectl, [stage.at_gateway(stage.AT_GATEWAY)], [stage.by_gateway(stage.AT_GATEWAY)])
    source, replica = parse({"sites": [{**site, "cluster": "k3d"} for site in linked["dcmesh:sites"]]}).sites
    assert [of.name for of in source.exports] == [of.export for of in replica.imports] == [stage.AT_GATEWAY]


def test_the_section_has_every_way() -> None:
    text = report.section(measured(**{QUERY_P50: {GATEWAYS: 0.3, PLAIN: 0.2}, STREAMED: {GATEWAYS: 98.0, TLS: 100.0}}))
    assert f"| {GATEWAYS} | 0.3 (0.3 to 0.3) | 0.1 (0.1 to 0.1) |" in text
    assert text.count("| 98 (98 to 98) | 0.98 (0.98 to 0.98) |") == len(report.CASES)
    assert all(f"| {way} |" in text for way in report.WAYS)


@pytest.mark.parametrize(("query", "streamed", "met"), [(0.32, 98, True), (0.33, 97, False)])
def test_the_gateways_are_judged(query: float, streamed: float, met: bool) -> None:
    values: dict[str, dict[str, float]] = {
        QUERY_P50: {GATEWAYS: query, PLAIN: 0.2},
        STREAMED: {GATEWAYS: streamed, TLS: 100},
    }
    aims = list(report.aims(measured(**values)))
    assert [aim.met for aim in aims] == [met, met]
    assert all(" of MySQL" in aim.what for aim in aims)


def test_what_was_not_measured_is_no_aim() -> None:
    assert not list(
        report.aims([of for of in measured() if of.way == GATEWAYS or (of.case == NEAR.name and of.way != PLAIN)])
    )
