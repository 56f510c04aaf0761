"""The benchmarks of gateways: their configurations, and the text that is made of what they measure."""

from typing import Any

import pytest

from bench.data_path import direct
from bench.data_path.figures import NEAR, PLAIN, QUERY, STREAMED, TLS, percentile_of
from bench.gateways import report
from bench.gateways import run as measured
from bench.gateways.figures import BY_GATEWAY, BY_SIDECAR, DESTROY, LOCAL, PAIR, UP, WITH, WITHOUT
from bench.samples import Sample
from bench.scale import gateways_report, gateways_stage
from dcmesh.model.egress import PORTS, allot_ports
from tests.e2e.toolbox import Kubectl
from tests.unit.configurations import parse


def of_k3d(*sites: dict[str, Any]) -> Any:
    return parse({"sites": [{**site, "cluster": "k3d"} for site in sites]}).sites


def test_the_database_is_exported_for_both_ways(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    sites = {name: Kubectl("", tmp_path / name) for name in ("dc1", "dc2")}
    source, replica = of_k3d(*measured.configuration(sites)["dcmesh:sites"])
    by_pod, whole = source.exports
    assert (by_pod.hosts, whole.hosts) == ((measured.HOST,), (measured.OWN_HOST,))
    assert measured.own_service()["metadata"] == {"name": whole.service_name, "namespace": whole.namespace}
    (one,) = replica.imports
    accounts = [[(of.namespace, of.service_account) for of in export.consumers] for export in source.exports]
    assert accounts == [[(one.namespace, one.service_account)], [(measured.MESHED, direct.NAME)]]


@pytest.mark.parametrize("exports", [0, 1, 100])
def test_each_host_has_a_port_of_its_own(exports: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    source, replica = of_k3d(*gateways_stage.sites(exports, {"dc1": "", "dc2": ""}))
    hosts = [host for export in source.exports for host in export.hosts]
    chosen = {(of.host, gateways_stage.PORT): of.port for one in replica.imports for of in one.ports}
    ports = allot_ports(hosts, [gateways_stage.PORT], chosen)
    assert len({*ports.values()} & {*PORTS}) == len(hosts)


def sample(metric: str, way: str, value: float, number: int = 1, case: object = NEAR.name) -> Sample:
    return Sample(metric=metric, unit="", way=way, case=str(case), round=number, value=value)


def made(*, with_dcmesh: float) -> list[Sample]:
    query = percentile_of(QUERY, 50)
    values = {PLAIN: 0.1, TLS: 0.12, BY_SIDECAR: 0.2, BY_GATEWAY: 0.23}
    samples = [sample(metric, way, value) for metric in (STREAMED, query) for way, value in values.items()]
    samples += [sample(STREAMED, PLAIN, 0.1, 2), sample(query, PLAIN, 0.1, 2)]
    samples += [sample(LOCAL, WITHOUT, 0.1), sample(LOCAL, WITH, with_dcmesh)]
    return [*samples, sample(UP, PAIR, 40), sample(DESTROY, PAIR, 20)]


def test_what_the_gateways_add_is_told_over_both() -> None:
    text = report.section(made(with_dcmesh=0.1))
    assert f"| {BY_GATEWAY} | 0.23 (0.23 to 0.23) | 0.13 (0.13 to 0.13) | 0.11 (0.11 to 0.11) |" in text


@pytest.mark.parametrize(("with_dcmesh", "met"), [(0.105, True), (0.106, False)])
def test_the_local_client_is_judged(with_dcmesh: float, met: bool) -> None:
    (aim,) = report.aims(made(with_dcmesh=with_dcmesh))
    assert aim.met == met


def test_growth_is_told_for_every_figure() -> None:
    samples = [
        sample(figure.metric, figure.way, 1e6 + 1000 * exports, number, exports)
        for figure in gateways_report.FIGURES
        for exports in (1, 10, 100)
        for number in (1, 2)
    ]
    text = gateways_report.section(samples)
    assert all(f"| {figure.title}" in text for figure in gateways_report.FIGURES)
    (aim,) = gateways_report.aims(samples)
    assert aim.met
