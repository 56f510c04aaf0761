"""The set-up benchmark: how events, pods and steps are read, and what the report says of them."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from bench.samples import Sample
from bench.setup import by_hand, report
from bench.setup.timings import (
    Span,
    longest_chain,
    previewed,
    resources,
    script_steps,
    waits,
)
from tests.e2e.toolbox import lab_config

SCRIPT = Path(report.__file__).with_name("sequential.sh")


def event(kind: str, type_: str, name: str) -> str:
    return json.dumps({kind: {"metadata": {"urn": f"urn:pulumi:pair::dcmesh::{type_}::{name}"}}}) + "\n"


def test_resources_are_timed_by_the_events_of_the_update_alone() -> None:
    lines = [
        (3.0, "{\n"),
        (3.0, '    "steps": [\n'),
        (3.1, "}\n"),
        (3.5, '{"preludeEvent":{"config":{}}}\n'),
        (4.0, event("resourcePreEvent", "dcmesh:components:Site", "dc1")),
        (4.5, event("resourcePreEvent", "dcmesh:components:Site$kubernetes:core/v1:Secret", "dc1-cacerts")),
        (5.0, event("resOutputsEvent", "dcmesh:components:Site$kubernetes:core/v1:Secret", "dc1-cacerts")),
        (6.0, event("resOutputsEvent", "dcmesh:components:Site", "dc1")),
    ]
    assert previewed(lines) == 3.5
    assert resources(lines) == {"dc1-cacerts": Span(4.5, 5.0)}


def test_pods_are_waited_for_from_the_first_to_appear_to_the_last_that_is_ready() -> None:
    lines = [
        (1.0, "hello-0 Pending \n"),
        (1.5, "hello-1 Pending \n"),
        (2.0, "hello-0 Running False\n"),
        (3.0, "hello-0 Running True\n"),
        (4.0, "hello-1 Running True\n"),
        (5.0, "hello-1 Running True\n"),
        (1.0, "dcmesh-probe-client-x Pending \n"),
        (2.0, "dcmesh-probe-client-x Running True\n"),
        (6.0, "dcmesh-probe-client-x Succeeded False\n"),
        (1.0, "coredns-x Running True\n"),
        (1.0, "client-x Pending \n"),
    ]
    assert waits("dc1", lines) == {"dc1 hello": Span(1.0, 4.0), "dc1 probe": Span(1.0, 6.0)}


def test_a_step_of_the_script_ends_where_the_next_begins() -> None:
    lines = [(0.1, "step dc1 istiod\n"), (0.5, "NAME: istiod\n"), (2.0, "step first answer\n")]
    assert script_steps(lines, 3.0) == {"dc1 istiod": Span(0.1, 2.0), "first answer": Span(2.0, 3.0)}


LENGTHS = {
    "certificates": 0.5,
    "dc1 istiod": 8.0,
    "dc1 gateway": 4.0,
    "dc1 hello": 3.0,
    "dc2 istiod": 6.0,
    "dc2 client": 5.0,
    "first answer": 1.0,
}


@pytest.mark.parametrize(
    ("changed", "middle"),
    [
        ({}, ("dc1 istiod", "dc1 gateway")),
        ({"dc1 hello": 4.5}, ("dc1 istiod", "dc1 hello")),
        ({"dc2 client": 6.5}, ("dc2 istiod", "dc2 client")),
    ],
)
def test_the_longest_chain(changed: dict[str, float], middle: tuple[str, str]) -> None:
    assert longest_chain(LENGTHS | changed) == ("certificates", *middle, "first answer")


def samples(ups: list[float]) -> list[Sample]:
    made = list[Sample]()
    for number, up in enumerate(ups, start=1):

        def add(metric: str, way: str, case: str, value: float, number: int = number) -> None:
            made.append(Sample(metric=metric, unit="s", way=way, case=case, round=number, value=value))

        def span(what: str, way: str, case: str, begin: float, end: float) -> None:
            add(f"{what} begin", way, case, begin)
            add(f"{what} end", way, case, end)

        add("set-up", "dcmesh", "pair", up)
        add("processors", "dcmesh", "pair", 30)
        add("processors, shared out", "dcmesh", "pair", 15)
        add("processors", "sequential", "pair", 32)
        add("preview", "dcmesh", "pair", 4)
        add("set-up", "sequential", "pair", 40)
        for name in report.COMMANDS:
            add("command", "dcmesh", name, 5)
        span("resource", "dcmesh", "dc1-istio-cacerts", 5, 5.4)
        span("resource", "dcmesh", "dc1-istio-istiod", 7, up - 1)
        for link, length in LENGTHS.items():
            if link in ("certificates", "first answer"):
                span("step", "sequential", link, 0, length)
            else:
                span("wait", "sequential", link, 10, 10 + length)
                span("wait", "dcmesh", link, 10, 10 + 1.5 * length)
    return made


def test_the_report_says_what_was_aimed_at_and_whether_it_was_met() -> None:
    made = samples([18, 16, 20])
    by_hand, chain, nothing = report.aims(made)
    assert (by_hand.measured, by_hand.met) == ("0.45 (0.4 to 0.5)", True)
    assert "never waiting, takes 0.375;" in by_hand.why
    assert (chain.measured, chain.met) == ("1.33 (1.19 to 1.48); without its preview 1.04 (0.889 to 1.19)", False)
    assert "0.718 (0.615 to 0.821) times without the preview" in chain.why
    assert (nothing.measured, nothing.met) == ("5 (5 to 5) s", False)


def test_the_report_has_the_figures_and_what_takes_long() -> None:
    text = report.section(samples([18, 16, 20]))
    assert "| `pulumi up` | 18 (16 to 20) | 30 (30 to 30) |" in text
    assert "round 1: 5.0 s go by before anything is made" in text
    assert (
        "In round 1: certificates 0.5 s \N{RIGHTWARDS ARROW} dc1 istiod 8 s \N{RIGHTWARDS ARROW} dc1 gateway 4 s"
        in text
    )
    assert "dc1-istio-istiod 10.0 s" in text
    assert "dc1-istio-cacerts" not in text


def test_the_plots_are_the_same_whenever_the_samples_are() -> None:
    made = report.plots(samples([18, 16, 20]))
    assert set(made) == {"setup.svg", "setup-up.svg"}
    assert made == report.plots(samples([18, 16, 20]))
    assert "dc1-istio-istiod" in made["setup-up.svg"]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    by_hand.write(tmp_path, lab_config()["dcmesh:istio"]["values"])
    return tmp_path


def test_the_script_is_given_every_file_that_it_names(files: Path) -> None:
    named = set(re.findall(r"\S+\.yaml", SCRIPT.read_text().replace('"$site', "dc2")))
    assert named == {file.name for file in files.iterdir()} - {"dc1-istiod.yaml"}
    subprocess.run(["bash", "-n", SCRIPT], check=True)


def test_the_imports_by_hand_lead_to_the_gateway_whose_address_the_script_fills_in(files: Path) -> None:
    text = (files / "dc2-imports.yaml").read_text().replace(by_hand.ADDRESS, "192.0.2.1")
    entries = [entry for entry in yaml.safe_load_all(text) if entry["kind"] == "ServiceEntry"]
    assert len(entries) == 3
    for entry in entries:
        assert entry["spec"]["resolution"] == "STATIC"
        assert entry["spec"]["endpoints"][0]["address"] == "192.0.2.1"
        assert entry["spec"]["endpoints"][0]["ports"] == {"http": 15443}
