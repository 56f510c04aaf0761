"""The benchmark of scale with gateways: its configuration, and the text that is made from its figures."""

from typing import Any

import pytest

from bench.samples import Sample
from bench.scale import gateways_report, gateways_stage
from dcmesh.model.egress import PORTS, allot_ports
from tests.unit.configurations import parse


def of_k3d(*sites: dict[str, Any]) -> Any:
    return parse({"sites": [{**site, "cluster": "k3d"} for site in sites]}).sites


@pytest.mark.parametrize("exports", [0, 1, 100])
def test_each_host_has_a_port_of_its_own(exports: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    source, replica = of_k3d(*gateways_stage.sites(exports, {"dc1": "", "dc2": ""}))
    hosts = [host for export in source.exports for host in export.hosts]
    chosen = {(of.host, gateways_stage.PORT): of.port for one in replica.imports for of in one.ports}
    ports = allot_ports(hosts, [gateways_stage.PORT], chosen)
    assert len({*ports.values()} & {*PORTS}) == len(hosts)


def test_growth_is_told_for_every_figure() -> None:
    samples = [
        Sample(
            metric=figure.metric,
            unit="",
            way=figure.way,
            case=str(exports),
            round=number,
            value=1e6 + 1000 * exports,
        )
        for figure in gateways_report.FIGURES
        for exports in (1, 10, 100)
        for number in (1, 2)
    ]
    text = gateways_report.section(samples)
    assert all(f"| {figure.title}" in text for figure in gateways_report.FIGURES)
    (aim,) = gateways_report.aims(samples)
    assert aim.met
