"""The benchmark of the data path: the text of its section follows from the samples."""

import xml.etree.ElementTree as ElementTree

import pytest

from bench.data_path import direct, tuning
from bench.data_path.figures import (
    CASES,
    DCMESH,
    NEAR,
    ONE_SIDECAR,
    PLAIN,
    PROXIES,
    QUERY,
    RELAYS,
    SERVERS,
    STREAMED,
    TLS,
    WAYS,
    cpu_of,
    percentile_of,
)
from bench.data_path.report import WORDS, aims, comparison, plots, section
from bench.data_path.sysbench import histogram, percentile
from bench.samples import Sample
from components.databases.mariadb import stateful_set

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
    """Three rounds of everything in every case. Each value is 1, or as given by metric and way."""
    cpu = [
        (cpu_of(process), way)
        for way in (*WAYS, RELAYS)
        for process in ((*PROXIES,) if way in (DCMESH, RELAYS) else ()) + SERVERS
    ]
    figures = [(metric, way) for metric in WORDS for way in (*WAYS, ONE_SIDECAR, RELAYS)] + cpu
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
    ("streamed", "query", "bulk", "added"),
    [(110, 0.2, "**met**: 1.1 ", "**met**: 0.1 "), (90, 0.3, "**missed**: 0.9 ", "**missed**: 0.2 ")],
)
def test_aims_are_judged_by_the_figures(streamed: float, query: float, bulk: str, added: str) -> None:
    samples = measured(
        **{STREAMED: {DCMESH: streamed, TLS: 100}, percentile_of(QUERY, 50): {DCMESH: query, TLS: 0.1, PLAIN: 0.05}}
    )
    lines = aims(samples).splitlines()
    assert bulk in next(line for line in lines if "streamed" in line)
    assert added in next(line for line in lines if f"`{TLS}`" in line and "queries" in line)


def test_ratios_are_made_within_a_round() -> None:
    samples = measured()
    first = [s for s in samples if s.metric == STREAMED and s.case == NEAR.name and s.round == 1]
    doubled = [s if s not in first else sample(STREAMED, s.way, 2) for s in samples]
    row = next(line for line in comparison(doubled, NEAR.name).splitlines() if "streamed" in line)
    assert row.endswith("| 1 (1 to 2) | 1 (1 to 2) | 1 (1 to 2) | 1 (1 to 1) |")


def test_the_section_has_every_case_and_metric() -> None:
    text = section(measured())
    assert all(f"### WAN: {case.name}\n" in text for case in CASES)
    assert all(text.count(f"| {words} |") == len(CASES) for words in WORDS.values())


def test_the_section_says_what_the_proxies_cost() -> None:
    assert "The three proxies take 3 s per GB; the servers take 0 s less" in section(measured())


def test_the_section_says_what_one_sidecar_adds() -> None:
    samples = measured(**{percentile_of(QUERY, 50): {DCMESH: 0.2, PLAIN: 0.05, ONE_SIDECAR: 0.15}})
    assert "One sidecar alone adds 0.1 ms" in section(samples)
    assert "together add 0.15 ms" in section(samples)


@pytest.mark.parametrize(
    ("relays", "share", "rest", "reach"),
    [
        (0.25, "add 0.2 of these 0.25 ms", "add 0.05 (0.05 to 0.05) ms", "aim of 0.15 ms leaves 0.01 ms"),
        (0.29, "add 0.24 of these 0.25 ms", "add 0.01 (0.01 to 0.01) ms", "miss the aim of 0.15 ms, whatever they are"),
    ],
)
def test_the_section_says_how_much_of_it_any_three_processes_cost(
    relays: float, share: str, rest: str, reach: str
) -> None:
    text = section(measured(**{percentile_of(QUERY, 50): {DCMESH: 0.3, PLAIN: 0.05, TLS: 0.11, RELAYS: relays}}))
    assert share in text
    assert f"Envoy and TLS {rest}" in text
    assert reach in text


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
