"""The scale benchmark: lines through figures, the output of proxies and istiod, and the text that is made from them."""

import json
from typing import Any

import pytest

from bench.samples import Sample
from bench.scale import report, stage
from bench.scale.figures import line
from bench.scale.processes import part_of
from bench.scale.proxies import (
    BEGUN,
    CONNECTED,
    OF_A_PROXY,
    OF_A_PUSH,
    PUSHED,
    PUSHES,
    configuration_of,
    push_times,
    totals,
    working_set_of,
)
from tests.unit.configurations import parse

# --- lines -----------------------------------------------------------------------------------------------------------


def test_a_line_is_found_again() -> None:
    found = line({exports: 20 + 3 * exports for exports in (1, 10, 100, 300)})
    assert found.base == pytest.approx(20)
    assert found.each == pytest.approx(3)
    assert found.worst == pytest.approx(0)
    assert found.at(1000) == pytest.approx(3020)


def test_a_square_bends_upwards() -> None:
    assert line({exports: exports**2 for exports in (1, 10, 100, 300)}).bend > report.STRAIGHT


def test_a_root_is_far_from_its_line_and_does_not_bend_upwards() -> None:
    root = line({exports: exports**0.5 for exports in (1, 10, 100, 300)})
    assert root.worst > report.STRAIGHT
    assert root.bend == pytest.approx(0)


def test_what_does_not_grow_has_a_flat_line() -> None:
    found = line({1: 7, 10: 7, 100: 7})
    assert (found.each, found.worst) == (0, 0)
    assert line({1: 0, 10: 0}).worst == 0


def test_a_point_is_no_line() -> None:
    with pytest.raises(ValueError, match="two points"):
        line({1: 1})


# --- the pair --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exports", [0, 1, 30])
def test_the_pair_is_a_right_configuration(exports: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    sites = [{**site, "cluster": "k3d"} for site in stage.sites(exports, {"dc1": "", "dc2": ""})]
    source, replica = parse({"sites": sites}).sites
    assert len(source.exports) == exports
    assert len([i for i in replica.imports if i.namespace == stage.REPLICA]) == min(1, exports)
    assert len([i for i in replica.imports if i.namespace == stage.EVERYTHING]) == exports


def test_each_exported_pod_has_an_entry() -> None:
    (export,) = parse_exports(stage.exported(7))
    entries = stage.backing_entries(range(7, 8), "10.43.0.9")
    pods = [entry["spec"]["labels"]["statefulset.kubernetes.io/pod-name"] for entry in entries]
    assert pods == [host.partition(".")[0] for host in export.hosts]
    assert {entry["spec"]["labels"]["app"] for entry in entries} == set(export.selector.values())
    assert {entry["spec"]["address"] for entry in entries} == {"10.43.0.9"}


def parse_exports(*exports: dict[str, Any]) -> list[Any]:
    """Return exports as the program reads them."""
    return parse({"sites": [{"name": "dc1", "cluster": "k3d", "exports": [*exports]}]}).sites[0].exports


# --- what proxies and istiod print -----------------------------------------------------------------------------------


def test_configuration_of_a_proxy() -> None:
    endpoints: dict[str, Any] = {
        "endpoint_config": {"endpoints": [{"lb_endpoints": [{}, {}]}, {"lb_endpoints": [{}]}, {}]}
    }
    dump = json.dumps(
        {
            "configs": [
                {"bootstrap": {}},
                {"static_clusters": [{}], "dynamic_active_clusters": [{}, {}]},
                {"dynamic_listeners": [{}, {}, {}]},
                {"dynamic_endpoint_configs": [endpoints, {"endpoint_config": {}}]},
            ]
        }
    )
    found = configuration_of(dump)
    assert (found.size, found.clusters, found.listeners, found.endpoints) == (len(dump), 2, 3, 3)


def test_a_working_set_has_no_inactive_files() -> None:
    assert working_set_of("34537472\n", "inactive_file 1\ntotal_inactive_file 4096\n") == 34537472 - 4096


METRICS = """\
# HELP pilot_xds connected
pilot_xds{version="1.29.1"} 4
pilot_xds_pushes{type="cds"} 1073
pilot_xds_push_time_sum{type="cds"} 10.5
pilot_xds_push_time_sum{type="lds"} 1e-1
pilot_proxy_convergence_time_sum 31.5
"""


def test_series_are_summed_over_their_labels() -> None:
    lds = 'pilot_xds_push_time_sum{type="lds"}'
    found = totals(METRICS, "pilot_xds", "pilot_xds_push_time_sum", lds, "pilot_proxy_convergence_time_sum", "absent")
    assert found == {
        "pilot_xds": 4,
        "pilot_xds_push_time_sum": pytest.approx(10.6),
        lds: 0.1,
        "pilot_proxy_convergence_time_sum": 31.5,
        "absent": 0,
    }


def counted(*, proxies: int, begun: int, seconds: float) -> dict[str, float]:
    """Return istiod's metrics, with this many seconds for each time."""
    return dict.fromkeys(PUSHES, seconds) | {CONNECTED: 4, PUSHED: proxies, BEGUN: begun}


def test_a_push_has_a_cost_once_all_proxies_have_it() -> None:
    before = counted(proxies=10, begun=3, seconds=1)
    assert not push_times(before, before)
    assert not push_times(before, counted(proxies=13, begun=4, seconds=3))
    assert not push_times(before, counted(proxies=14, begun=3, seconds=3))
    cost = push_times(before, counted(proxies=14, begun=4, seconds=3))
    assert {what: cost[what] for what in OF_A_PROXY} == dict.fromkeys(OF_A_PROXY, 0.5)
    assert {what: cost[what] for what in OF_A_PUSH} == dict.fromkeys(OF_A_PUSH, 2)


def test_two_pushes_between_two_looks_cost_half_each() -> None:
    before = counted(proxies=10, begun=3, seconds=1)
    cost = push_times(before, counted(proxies=18, begun=5, seconds=3))
    assert (cost["push to proxy"], cost["change to push"]) == (0.25, 1)


@pytest.mark.parametrize(
    ("command", "part"),
    [
        ("pulumi preview --non-interactive", "engine"),
        ("/home/plugins/resource-kubernetes-v4.25.0/pulumi-resource-kubernetes 127.0.0.1:1", "providers"),
        ("/project/venv/bin/python -u /tmp/pulumi-language-python-exec --project dcmesh", "program"),
    ],
)
def test_each_process_is_a_part_of_pulumi(command: str, part: str) -> None:
    assert part_of(command) == part


# --- the text --------------------------------------------------------------------------------------------------------


def samples(*, curved: str = "", changed: float = 0) -> list[Sample]:
    """Return samples of a pair whose figures all grow linearly.

    Args:
        curved: a metric that grows with the square instead.
        changed: bytes that unrelated Services add to a replica's sidecar.
    """

    def sample(metric: str, way: str, case: object, value: float, number: int = 1) -> Sample:
        return Sample(metric=metric, unit="", way=way, case=str(case), round=number, value=value)

    found = []
    for exports in (1, 10, 100, 300):
        for figure in report.FIGURES:
            value = 2e6 + 1000 * exports**2 if figure.metric == curved else 2e6 + 1000 * exports
            found += [sample(figure.metric, figure.way, exports, value, number) for number in (1, 2)]
        found.append(sample("up", "pair", exports, 3e6 + 2000 * exports))
    for exports, seconds in ((10, 15), (100, 40)):
        found += [
            sample("ten more", "for each resource", exports, seconds),
            sample("ten more", "at the end", exports, 10),
        ]
    for case, more in (("0 unrelated Services", 0.0), ("500 unrelated Services", changed)):
        for metric in ("configuration", "clusters", "Envoy's memory"):
            for number in (1, 2):
                found.append(sample(metric, "scoped", case, 9e5 + more, number))
                found.append(sample(metric, "unscoped", case, 2e6, number))
            found += [sample(metric, way, case, 3e6) for way in ("gateway", "source")]
    return [*found, sample("destroy", "pair", 300, 77)]


def test_lines_are_linear_growth() -> None:
    growth, more, destroy, _ = report.aims(samples())
    assert growth.met
    assert (more.what, more.measured, more.met) == ("`up` of ten exports more, beside 100", "40 s", False)
    assert "written once, at the end, it takes 10 s" in more.why
    assert (destroy.measured, destroy.met) == ("77 s", False)


def test_a_figure_has_its_line_beside_it() -> None:
    assert "| state, MB | 2 | 2.01 | 2.1 | 2.3 | 2 | 0.001 | 0% |" in report.section(samples())


def test_two_points_show_nothing() -> None:
    growth, *_ = report.aims([s for s in samples() if s.case in ("1", "10") or not s.case.isdigit()])
    assert (growth.measured, growth.met) == ("any two points are on a line", False)


def test_both_ways_of_writing_the_state_are_told() -> None:
    assert "15 and 10 s beside 10 and 40 and 10 s beside 100 exports" in report.section(samples())


def test_a_curve_is_named() -> None:
    growth, *_ = report.aims(samples(curved="state"))
    assert growth.measured.endswith(": state")
    assert not growth.met


def test_what_grows_in_a_push_is_said() -> None:
    # Each of them is 1000 s for each step plus 2e6 s: 2.3e9 ms with 300 exports.
    assert "2,300,000,000 and 2,300,000,000 ms with 300" in report.section(samples())


@pytest.mark.parametrize(("changed", "met"), [(0, True), (5e5, False)])
def test_a_replica_is_to_learn_nothing(changed: float, met: bool) -> None:
    *_, untouched = report.aims(samples(changed=changed))
    assert untouched.met == met


def test_sizes_are_of_the_lines_and_marked_as_such() -> None:
    text = report.section(samples())
    assert "**extrapolated**" in text
    assert text.splitlines()[0].endswith("| off | *10,000* | *1,000* | *100* |")
    (state,) = (line for line in text.splitlines() if line.startswith("| state, MB |"))
    assert state.endswith("| 12 | 3 | 2.1 |")
    (unsized,) = (line for line in text.splitlines() if line.startswith("| `preview`, s |"))
    assert unsized.endswith("|  |  |  |")


def test_ups_are_reckoned_by_what_they_add() -> None:
    found = report.added(samples())
    # At the steps 10 and 100, ten more exports were added twice.
    assert [exports for exports, _ in found.values()] == [1, 9, 70, 180]


def test_plots() -> None:
    made = report.plots(samples())
    assert set(made) == {"scale-time.svg", "scale-memory.svg", "scale-sidecar.svg"}
    assert all(text.startswith("<?xml") for text in made.values())
    assert made == report.plots(samples())
