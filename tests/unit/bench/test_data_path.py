"""The benchmark of the data path: its configuration, and what its section says follows from the samples."""

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from bench.aims import aims_table
from bench.data_path import direct, first_edition, stage, tuning
from bench.data_path.figures import (
    APPLIED,
    BY_GATEWAYS,
    CASES,
    CONNECTION,
    EGRESS_GATEWAY,
    FAR,
    FIRST,
    GATEWAY,
    GATEWAYS,
    LAG,
    LOCAL,
    LOCAL_WAYS,
    NEAR,
    NO_MESH,
    PAIRINGS,
    PERCENTILES,
    PLAIN,
    PROXIES,
    QUERY,
    RELAYS,
    REPLICA_SIDECAR,
    ROWS,
    SERVERS,
    SHOWN,
    SIDECARS,
    SIDECARS_MEMORY,
    SOURCE_SIDECAR,
    STREAMED,
    TLS,
    WAYS,
    cpu_of,
    percentile_of,
)
from bench.data_path.report import QUERY_P50, aims, bulk, introduction, local, over_wans, plots, queries, section
from bench.data_path.sysbench import histogram, percentile
from bench.samples import Sample
from components.databases.mariadb import stateful_set
from dcmesh.model.settings import GatewayExport, IngressExport
from lab.toolchain import OLDER_ISTIO
from tests.e2e.test_release import COMMIT
from tests.e2e.toolbox import Kubectl
from tests.unit.configurations import parse

METRICS = (
    STREAMED,
    APPLIED,
    ROWS,
    *(percentile_of(what, percent) for what in (LAG, QUERY, CONNECTION) for percent in PERCENTILES),
)

REPORT = """\
Latency histogram (values are in milliseconds)
       value  ------------- distribution ------------- count
       0.190 |****************************************  98
       0.193 |*                                          1
      12.304 |*                                          1

SQL statistics:
"""


def sample(metric: str, way: str, value: float, *, case: str = NEAR.name, number: int = 1) -> Sample:
    return Sample(metric=metric, unit="", way=way, case=case, round=number, value=value)


def processes_of(way: str) -> tuple[str, ...]:
    """What works on a way."""
    if way in (PLAIN, TLS):
        return SERVERS
    if way in (GATEWAYS, RELAYS[2]):
        return (EGRESS_GATEWAY, GATEWAY, *SERVERS)
    return (REPLICA_SIDECAR, GATEWAY, SOURCE_SIDECAR, *SERVERS)


def measured(**values: dict[str, float]) -> list[Sample]:
    """Three rounds of everything in every case. Each value is 1, or as given by metric and way."""
    ways = (*WAYS, *RELAYS.values())
    figures = [(metric, way) for metric in METRICS for way in ways]
    figures += [(cpu_of(process), way) for way in ways for process in processes_of(way)]
    within = [(metric, way) for metric in (*METRICS, SIDECARS_MEMORY) for way in LOCAL_WAYS]
    within += [(cpu_of(of), FIRST) for of in (REPLICA_SIDECAR, SOURCE_SIDECAR)]
    return [
        sample(metric, way, values.get(metric, {}).get(way, 1), case=case, number=number)
        for case, what in (*((case.name, figures) for case in CASES), (LOCAL, within))
        for number in (1, 2, 3)
        for metric, way in what
    ]


def row(text: str, start: str) -> str:
    """The one row of a table that begins so."""
    (found,) = (line for line in text.splitlines() if line.startswith(start))
    return found


def test_percentiles_are_read_from_sysbench() -> None:
    times = histogram(REPORT)
    assert times == [(0.190, 98), (0.193, 1), (12.304, 1)]
    assert [percentile(times, percent) for percent in (50, 99, 100)] == [0.190, 0.193, 12.304]


def test_no_times_are_no_percentile() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile(histogram("FATAL: unable to connect"), 50)


@pytest.mark.parametrize(("query", "met"), [(0.21, True), (0.23, False)])
def test_the_gateways_are_judged_beside_plain(query: float, met: bool) -> None:
    samples = measured(**{QUERY_P50: {GATEWAYS: query, PLAIN: 0.1, RELAYS[2]: 0.19}})
    (aim,) = (aim for aim in aims(samples) if aim.what.startswith("query p50 by gateways"))
    assert aim.met == met
    assert aim.why.endswith("two relays add 0.09 ms")


@pytest.mark.parametrize(("query", "met"), [(0.32, True), (0.34, False)])
def test_the_sidecars_are_judged_beside_as_many_relays(query: float, met: bool) -> None:
    samples = measured(**{QUERY_P50: {SIDECARS: query, RELAYS[3]: 0.3}})
    (aim,) = (aim for aim in aims(samples) if aim.what.startswith("query p50 with sidecars"))
    assert aim.met == met


@pytest.mark.parametrize("way", PAIRINGS)
def test_bulk_is_judged_beside_as_many_relays_and_over_the_wan_beside_tls(way: str) -> None:
    def judged(**values: float) -> list[bool]:
        samples = measured(**{STREAMED: {way: 0.99, **values}})
        near, far = (aim for aim in aims(samples) if aim.what.startswith("bulk"))
        assert all(f"{of}: " in near.measured and f"{of}, 10 ms: " in far.measured for of in PAIRINGS)
        assert (f" {way} " in near.why) is not near.met, "only those are told that miss the aim"
        return [near.met, far.met]

    assert judged() == [False, True]
    assert judged(**{way: 1}) == [True, True]
    assert judged(**{way: 0.97}) == [False, False]


@pytest.mark.parametrize(("query", "met"), [(0.105, True), (0.106, False)])
def test_local_clients_are_judged_beside_those_without_a_mesh(query: float, met: bool) -> None:
    samples = [
        of for of in measured(**{QUERY_P50: {NO_MESH: 0.1, BY_GATEWAYS: 0.1}}) if of.round > 1 or of.case != LOCAL
    ]
    samples += [sample(QUERY_P50, way, value, case=LOCAL) for way, value in ((NO_MESH, 0.1), (BY_GATEWAYS, query))]
    aim, *_ = aims(samples)
    assert aim.met == met, "one round decides"


@pytest.mark.parametrize("memory", [0, 5e6])
def test_no_sidecar_may_be_on_the_way_of_local_clients(memory: float) -> None:
    (aim,) = (aim for aim in aims(measured(**{SIDECARS_MEMORY: {BY_GATEWAYS: memory}})) if "sidecars on" in aim.what)
    assert aim.measured == f"{memory / 1e6:.0f} MB, 0 s per GB"
    assert aim.met == (not memory)


def test_what_was_not_measured_is_no_aim() -> None:
    assert not list(aims([of for of in measured() if of.way in (TLS, PLAIN)]))


def test_a_missed_aim_has_its_reason() -> None:
    text = aims_table(aims(measured(**{QUERY_P50: {GATEWAYS: 0.3, PLAIN: 0.1}})))
    assert "**missed**: two more processes are woken up" in row(text, "| query p50 by gateways")


def test_ratios_are_made_within_a_round() -> None:
    samples = measured()
    first = [s for s in samples if s.metric == STREAMED and s.case == NEAR.name and s.round == 1]
    doubled = [s if s not in first else sample(STREAMED, s.way, 2) for s in samples]
    start = f"| {GATEWAYS} |"
    assert row(bulk(doubled), start).startswith(f"{start} 1 (1 to 2) | 1 (1 to 1) |")


def test_the_section_has_every_case_and_way() -> None:
    assert all(f"| {way} | 1 (1 to 1) |" in table(measured()) for way in WAYS for table in (bulk, over_wans))
    assert all(f"| {case.name}: streamed, MB/s |" in section(measured()) for case in FAR)
    assert all(f"| {way} | 1 (1 to 1) |" in queries(measured()) for way in SHOWN if way != FIRST)
    assert all(f"| {way} | 1 (1 to 1) |" in local(measured()) for way in LOCAL_WAYS)


def test_what_was_not_measured_has_no_column() -> None:
    text = bulk([s for s in measured() if s.metric == STREAMED])
    assert text.splitlines()[0] == f"| way | bulk, streamed, MB/s | of `{TLS}` |"


def test_the_section_says_what_proxies_and_servers_cost() -> None:
    text = bulk(measured())
    assert row(text, f"| {SIDECARS} |").endswith("| 3 | 2 |")
    assert row(text, f"| {GATEWAYS} |").endswith("| 2 | 2 |")
    assert row(local(measured(**{SIDECARS_MEMORY: {FIRST: 5e7}})), f"| {FIRST} |").endswith("| 2 | 50 (50 to 50) |")


def test_plots_are_svg() -> None:
    for name, text in plots(measured()).items():
        assert name.startswith("data-path-")
        assert ElementTree.fromstring(text.encode()).tag.endswith("svg")  # noqa: S314 — our own


def test_the_database_without_dcmesh_is_dcmeshs_own_with_a_certificate() -> None:
    args = direct.arguments("direct", "dc1", source=None, password="")
    own = stateful_set(args, settings="settings", passwords="passwords")
    made = direct.servers(args)
    pod = made["template"]["spec"]
    assert [volume for volume in pod["volumes"] if volume["name"] != "tls"] == own["template"]["spec"]["volumes"]
    for container, as_it_was in zip(pod["containers"], own["template"]["spec"]["containers"], strict=True):
        assert {**container, "volumeMounts": []} == {**as_it_was, "volumeMounts": []}
        assert {"name": "tls", "mountPath": direct.TLS} in container["volumeMounts"]


def test_all_four_pairings_are_a_right_configuration(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    kubectl = {name: Kubectl("", tmp_path / name) for name in ("dc1", "dc2")}
    sites = stage.configuration(kubectl, stage.exports(), stage.imports())["dcmesh:sites"]
    source, replica = parse({"sites": [{**site, "cluster": "k3d"} for site in sites]}).sites
    ends = {export.name: type(export) for export in source.exports}
    assert ends == {stage.AT_GATEWAY: GatewayExport, stage.AT_POD: IngressExport}
    ways = [(of.export, of.egress, of.host_namespace) for of in replica.imports]
    assert ways == [
        (of, egress, direct_or_other)
        for of in (stage.AT_GATEWAY, stage.AT_POD)
        for egress, direct_or_other in (("gateway", of), ("sidecar", f"{of}-host"))
    ]
    for way, names in ((stage.BY_GATEWAY, "gateway"), (stage.BY_SIDECAR, "sidecar")):
        (imported,) = (i for i in replica.imports if (i.export, i.egress) == (stage.AT_POD, names))
        assert stage.host_of(stage.AT_POD, way) == direct.host_of(imported.host_namespace or "")


def tuned(**values: dict[str, float]) -> str:
    """The section of three rounds in which every figure is 1, or as given by change and metric."""
    metrics = (STREAMED, QUERY_P50, *map(cpu_of, PROXIES))
    return tuning.section(
        [
            sample(
                metric,
                tuning.way_of(base, change),
                values.get(change.name if change else "", {}).get(metric, 1),
                number=number,
            )
            for number in (1, 2, 3)
            for change in (None, *tuning.CHANGES)
            for base in tuning.BASES
            for metric in metrics
        ]
    )


@pytest.mark.parametrize("kept", range(1, 10))
def test_an_interrupted_run_of_what_was_tried_has_a_table(kept: int) -> None:
    metrics = (STREAMED, *map(cpu_of, PROXIES[:1]), QUERY_P50)
    whole = [
        sample(metric, tuning.way_of(tuning.GATEWAYS, change), 1)
        for change in (None, *tuning.CHANGES[:2])
        for metric in metrics
    ]
    text = tuning.section(whole[:kept])
    assert [f"| {change.name} |" in text for change in tuning.CHANGES[:2]] == [kept >= 6, kept >= 9]


def test_an_interrupted_run_of_the_data_path_may_have_nothing_to_plot() -> None:
    assert plots([sample(QUERY_P50, NO_MESH, 1, case=LOCAL)]) == {}


def test_what_does_not_help_in_the_proxies_is_left_out() -> None:
    assert "None does, so the proxies are left as they are." in tuned()


def test_what_helps_in_the_proxies_is_named() -> None:
    helpful, harmful, *_ = tuning.CHANGES
    text = tuned(**{helpful.name: {STREAMED: 1.2}, harmful.name: {STREAMED: 0.9, QUERY_P50: 1.5}})
    assert f"*{helpful.name}* does." in text
    assert f"*{harmful.name}* does" not in text


def test_what_helps_and_is_left_out_is_named_with_the_reason() -> None:
    (reno,) = (change for change in tuning.CHANGES if change.against)
    assert f"*{reno.name}* does, and is left out: it is the hosts' choice" in tuned(**{reno.name: {QUERY_P50: 0.9}})


def test_each_change_can_be_told_by_its_mark() -> None:
    assert len({change.mark for change in tuning.CHANGES}) == len(tuning.CHANGES)


def test_the_first_edition_is_its_own_example_on_an_istio_that_it_accepts(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    istio = {"charts": "", "values": {"istiod": {"global": {}}}}
    files = {
        "examples/mariadb.yaml": {"dcmesh:sites": [{"name": "dc1", "cluster": "auto"}]},
        "Pulumi.dev.yaml": {"dcmesh:lab": {"istio": istio}},
    }
    monkeypatch.setattr(first_edition, "of_release", lambda path, commit: files[path] if commit != COMMIT else None)
    made = first_edition.configuration({"dc1": Kubectl("", tmp_path / "dc1")})
    assert made["dcmesh:sites"] == [{"name": "dc1", "cluster": {"kubeconfig": str(tmp_path / "dc1")}}]
    assert made["dcmesh:istio"]["values"]["istiod"]["tag"] == OLDER_ISTIO.version


def test_only_ways_that_were_measured_are_described() -> None:
    text = introduction([sample(STREAMED, way, 1) for way in (FIRST, PLAIN)])
    assert "`first edition` is" in text
    assert "`tls` and `plain` use" in text
    assert not any(word in text for word in ("egress gateway →", "→ pod", "relays"))
    whole = introduction(measured())
    assert all(word in whole for word in ("`egress gateway → gateway` has", "`→ pod` ends", "The relays are"))
