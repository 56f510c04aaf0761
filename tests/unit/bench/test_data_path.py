"""The benchmark of the data path: what its section says follows from the samples."""

import xml.etree.ElementTree as ElementTree

import pytest

from bench.aims import aims_table
from bench.data_path import direct, tuning
from bench.data_path.figures import (
    APPLIED,
    CASES,
    CONNECTION,
    DCMESH,
    LAG,
    NEAR,
    ONE_SIDECAR,
    PERCENTILES,
    PLAIN,
    PROXIES,
    QUERY,
    RELAYS,
    ROWS,
    SERVERS,
    STREAMED,
    TLS,
    WAYS,
    cpu_of,
    percentile_of,
)
from bench.data_path.report import SHOWN, aims, bulk, plots, section
from bench.data_path.sysbench import histogram, percentile
from bench.samples import Sample
from components.databases.mariadb import stateful_set

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


def measured(**values: dict[str, float]) -> list[Sample]:
    """Three rounds of everything in every case, each value 1 or as given by metric and way."""
    cpu = [
        (cpu_of(process), way)
        for way in (*WAYS, RELAYS)
        for process in ((*PROXIES,) if way in (DCMESH, RELAYS) else ()) + SERVERS
    ]
    figures = [(metric, way) for metric in METRICS for way in (*WAYS, ONE_SIDECAR, RELAYS)] + cpu
    return [
        sample(metric, way, values.get(metric, {}).get(way, 1), case=case.name, number=number)
        for case in CASES
        for number in (1, 2, 3)
        for metric, way in figures
    ]


def test_percentiles_are_read_from_sysbench() -> None:
    times = histogram(REPORT)
    assert times == [(0.190, 98), (0.193, 1), (12.304, 1)]
    assert [percentile(times, percent) for percent in (50, 99, 100)] == [0.190, 0.193, 12.304]


def test_no_times_are_no_percentile() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile(histogram("FATAL: unable to connect"), 50)


@pytest.mark.parametrize(
    ("streamed", "query", "met", "share", "added"), [(110, 0.2, True, "1.1 ", "0.1 "), (90, 0.3, False, "0.9 ", "0.2 ")]
)
def test_aims_are_judged_by_the_figures(streamed: float, query: float, met: bool, share: str, added: str) -> None:
    samples = measured(
        **{STREAMED: {DCMESH: streamed, TLS: 100}, percentile_of(QUERY, 50): {DCMESH: query, TLS: 0.1, PLAIN: 0.05}}
    )
    bulk_aim, _, query_aim, _ = aims(samples)
    assert (bulk_aim.met, query_aim.met) == (met, met)
    assert bulk_aim.measured.startswith(share)
    assert query_aim.measured.startswith(added)


def test_a_missed_aim_has_its_reason() -> None:
    samples = measured(**{percentile_of(QUERY, 50): {DCMESH: 0.3, TLS: 0.1, RELAYS: 0.25}})
    lines = aims_table(aims(samples)).splitlines()
    assert "**missed**: three processes that only copy add 0.15 ms" in next(
        line for line in lines if TLS in line[:60] and "query" in line
    )
    assert not [line for line in lines if line.endswith("**missed** |")]


def test_ratios_are_made_within_a_round() -> None:
    samples = measured()
    first = [s for s in samples if s.metric == STREAMED and s.case == NEAR.name and s.round == 1]
    doubled = [s if s not in first else sample(STREAMED, s.way, 2) for s in samples]
    row = next(line for line in bulk(doubled, SHOWN).splitlines() if f"| {NEAR.name} | {DCMESH} |" in line)
    assert row.startswith(f"| {NEAR.name} | {DCMESH} | 1 (1 to 2) | 1 (1 to 1) |")


def test_the_section_has_every_case_and_way() -> None:
    text = section(measured())
    assert all(f"| {case.name} | {way} |" in text for case in CASES for way in WAYS)


def test_what_was_not_measured_has_no_column() -> None:
    text = bulk([s for s in measured() if s.metric == STREAMED], SHOWN)
    assert text.splitlines()[0] == f"| WAN | way | bulk, streamed, MB/s | of `{TLS}` |"


def test_the_section_says_what_the_proxies_cost() -> None:
    row = next(line for line in section(measured()).splitlines() if line.startswith(f"| {NEAR.name} | {DCMESH} |"))
    assert row.endswith("| 3 | 2 |")
    assert "The servers take 0 s per GB less" in section(measured())


def test_the_section_says_what_a_query_is_made_of() -> None:
    samples = measured(**{percentile_of(QUERY, 50): {DCMESH: 0.3, PLAIN: 0.05, ONE_SIDECAR: 0.15, RELAYS: 0.25}})
    assert "Of the 0.25 ms that dcmesh adds" in section(samples)
    assert "the relays make 0.2 ms, one sidecar alone 0.1 ms; Envoy and TLS add 0.05 (0.05 to 0.05) ms" in section(
        samples
    )


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


def test_a_replica_follows_what_is_at_an_address() -> None:
    source = direct.behind("192.0.2.1", 15443)
    assert (source.hosts, source.port) == (("192.0.2.1",), 15443)


def tuned(**values: dict[str, float]) -> str:
    """The section of three rounds in which every figure is 1, or as given by change and metric."""
    metrics = (STREAMED, percentile_of(QUERY, 50), *map(cpu_of, PROXIES))
    return tuning.section(
        [
            sample(
                metric, tuning.way_of(change), values.get(change.name if change else "", {}).get(metric, 1), number=n
            )
            for n in (1, 2, 3)
            for change in (None, *tuning.CHANGES)
            for metric in metrics
        ]
    )


def test_what_does_not_help_in_the_proxies_is_left_out() -> None:
    assert "None does, so the proxies are left as they are." in tuned()


def test_what_helps_in_the_proxies_is_named() -> None:
    helpful, harmful, *_ = tuning.CHANGES
    text = tuned(**{helpful.name: {STREAMED: 1.2}, harmful.name: {STREAMED: 0.9, percentile_of(QUERY, 50): 1.5}})
    assert f"*{helpful.name}* does." in text
    assert f"*{harmful.name}* does" not in text


def test_what_helps_and_is_left_out_is_named_with_the_reason() -> None:
    faster = {percentile_of(QUERY, 50): 0.9}
    assert f"*{tuning.ONE_WORKER.name}* does, and is left out: many connections" in tuned(
        **{tuning.ONE_WORKER.name: faster}
    )


def test_each_change_is_an_envoy_filter_or_a_proxys_own_setting() -> None:
    assert all(bool(change.patches) != bool(change.proxy) for change in tuning.CHANGES)
    assert all(change.mark for change in tuning.CHANGES if change.patches)
