"""Monitoring: the rules by promtool, the dashboard, what is scraped, and its wiring."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.monitoring.objects import (
    DASHBOARD,
    DATABASE_PORT,
    ENDPOINTS,
    METRICS,
    RULES,
    STATISTICS,
    Monitoring,
    MonitoringArgs,
    Prometheus,
    pod_monitor,
    scrape_configs,
)
from lab.toolchain import promtool
from tests.unit.configurations import stack
from tests.unit.conftest import ROOT, settings_of
from tests.unit.engine import Engine
from tests.unit.program import run_program

TESTS = Path(__file__).with_name("monitoring_rules.yaml")
ALERTS = [rule for group in yaml.safe_load(RULES)["groups"] for rule in group["rules"]]
PANELS = json.loads(DASHBOARD)["panels"]


def check(directory: Path, *arguments: str) -> None:
    done = subprocess.run(
        [promtool(), *arguments], cwd=directory, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def strings(tree: Any, key: str) -> Iterator[str]:
    """Yield the values of a key, wherever in a tree."""
    if isinstance(tree, dict):
        yield from (value for name, value in tree.items() if name == key)
    for below in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from strings(below, key)


def metrics(expression: str) -> set[str]:
    """Return the metrics that an expression names: the words before its label selectors."""
    return set(re.findall(r"\b([a-z][a-z_:]+)\s*\{", expression))


QUERIES = [*(alert["expr"] for alert in ALERTS), *strings(PANELS, "expr")]


# --- rules -----------------------------------------------------------------------------------------------------------


def test_rules_begin_and_end_as_promtool_sees_them(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / TESTS.name).write_text(TESTS.read_text())
    check(tmp_path, "test", "rules", TESTS.name)


def test_every_alert_is_tested_with_its_beginning_and_its_silence() -> None:
    cases = [case for test in yaml.safe_load(TESTS.read_text())["tests"] for case in test["alert_rule_test"]]
    for fires in (True, False):
        tested = {case["alertname"] for case in cases if bool(case["exp_alerts"]) == fires}
        assert tested >= {alert["alert"] for alert in ALERTS} - ({"DcmeshNotWatched"} if not fires else set())


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_alert_says_what_is_wrong_how_bad_it_is_and_where_to_read_on(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert alert["annotations"].keys() == {"summary", "description", "runbook"}
    page, _, anchor = alert["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^### (\w+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor == alert["alert"].lower()
    assert alert["alert"] in headings


# --- what is scraped -------------------------------------------------------------------------------------------------


def test_what_is_kept_is_what_rules_and_dashboard_use() -> None:
    used = set().union(*map(metrics, QUERIES))
    assert used - {"up"} == set(METRICS)


def test_queries_look_at_what_this_scrapes_alone() -> None:
    for query in QUERIES:
        selectors = re.findall(r"\b[a-z][a-z_:]+\s*\{([^}]*)\}", query)
        assert selectors
        assert all('job="dcmesh"' in selector for selector in selectors), query


@pytest.mark.parametrize(
    ("statistic", "shown"),
    [
        ("cluster.outbound|3306||db-0.db.shop.svc.cluster.local;.upstream_cx_active", True),
        ("cluster.outbound_.3306_._.db-0.db.shop.svc.cluster.local;.upstream_cx_rx_bytes_total", True),
        ("cluster.outbound|3306||db-0.db.shop.svc.cluster.local;.ssl.fail_verify_san", True),
        ("listener.0.0.0.0_15006.ssl.fail_verify_no_cert", True),
        ("cluster.inbound|3306||;.upstream_cx_connect_fail", True),
        ("http.inbound_0.0.0.0_8080;.rbac.denied", True),
        ("cluster.outbound|3306||db-0.db.shop.svc.cluster.local;.upstream_cx_length_ms", False),
        ("cluster.inbound|3306||;.upstream_cx_active", False),
        ("tcp.rbac.denied", False),
        ("http.inbound_0.0.0.0_8080;.downstream_rq_2xx", False),
    ],
)
def test_proxies_show_what_matters_and_no_more(statistic: str, shown: bool) -> None:
    assert any(re.fullmatch(pattern, statistic) for pattern in STATISTICS) == shown


def test_scrape_configuration_and_rules_are_right_for_prometheus(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    jobs = scrape_configs("dc1", ["istio-system", "shop"])
    for job in jobs:
        del job["kubernetes_sd_configs"]  # Debian's promtool is built without this kind of discovery.
    whole = {"rule_files": ["rules.yaml"], "scrape_configs": jobs}
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(whole))
    check(tmp_path, "check", "config", "prometheus.yaml")


def test_a_database_without_a_proxy_is_asked_itself() -> None:
    (asked,) = [job for job in scrape_configs("dc1", ["shop"]) if job["job_name"] == "dcmesh-dcmesh-metrics"]
    port, *_ = asked["relabel_configs"]
    assert (port["regex"], port["action"]) == (DATABASE_PORT, "keep")
    assert not [step for step in asked["relabel_configs"] if step.get("target_label") == "__address__"]


def test_both_ways_of_scraping_are_one() -> None:
    plain = scrape_configs("dc1", ["istio-system", "shop"])
    monitor = pod_monitor("dc1", ["istio-system", "shop"])
    snake = {"sourceLabels": "source_labels", "targetLabel": "target_label"}

    def steps(camel: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{snake.get(key, key): value for key, value in step.items()} for step in camel]

    assert monitor["selector"] == {}
    for job, endpoint, port in zip(plain, monitor["podMetricsEndpoints"], ENDPOINTS, strict=True):
        (found,) = job["kubernetes_sd_configs"]
        assert found["namespaces"]["names"] == monitor["namespaceSelector"]["matchNames"]
        assert (job["metrics_path"], port.port) == (endpoint["path"], endpoint["port"])
        # Prometheus' operator does the steps before by itself.
        assert job["relabel_configs"][2:] == steps(endpoint["relabelings"])
        assert job["metric_relabel_configs"] == steps(endpoint["metricRelabelings"])


# --- dashboard -------------------------------------------------------------------------------------------------------


def test_panels_have_ids_of_their_own_and_places_that_do_not_meet() -> None:
    ids = [panel["id"] for panel in PANELS]
    assert len(set(ids)) == len(ids)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in PANELS)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert all(x < 24 for x, _ in cells)


def test_rows_are_in_the_order_in_which_one_looks() -> None:
    titles = [panel["title"].partition(":")[0] for panel in PANELS if panel["type"] == "row"]
    assert titles == ["Link", "Gateway", "Egress gateway", "Security", "Certificates", "Replication"]


def test_variables_that_are_used_are_there() -> None:
    there = {variable["name"] for variable in json.loads(DASHBOARD)["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", DASHBOARD)) - {"__all", "__rate_interval"}
    assert used == there == {"datasource", "site", "namespace", "host"}


def test_queries_of_the_dashboard_are_promql(tmp_path: Path) -> None:
    """Prometheus takes them as rules; Grafana puts the variables in."""
    values = {"$__rate_interval": "1m", "$site": ".*", "$namespace": ".*", "$host": ".*"}
    rules = []
    for number, query in enumerate(strings(PANELS, "expr")):
        for variable, value in values.items():
            query = query.replace(variable, value)
        rules.append({"record": f"panel:{number}", "expr": query})
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    check(tmp_path, "check", "rules", "panels.yaml")


# --- the objects -----------------------------------------------------------------------------------------------------


def objects(prometheus: Prometheus) -> Engine:
    args = MonitoringArgs(
        site="dc1",
        prometheus=prometheus,
        namespace="monitoring",
        labels={"release": "ours"},
        watched=["shop", "shop"],
        after=[],
    )
    return Engine().run(lambda: Monitoring("watch", args))


def test_prometheus_operator_gets_its_objects() -> None:
    engine = objects("operator")
    assert [r.kind for r in engine.in_kubernetes()] == ["PodMonitor", "PrometheusRule", "ConfigMap"]
    assert engine.one("PodMonitor").spec["namespaceSelector"] == {"matchNames": ["istio-system", "shop"]}
    assert engine.one("PrometheusRule").spec == yaml.safe_load(RULES)
    for resource in engine.in_kubernetes():
        assert resource.inputs["metadata"]["labels"]["release"] == "ours"
        assert resource.object[0] == "monitoring"


def test_another_prometheus_gets_files() -> None:
    engine = objects("plain")
    assert [r.object for r in engine.in_kubernetes()] == [
        ("monitoring", "dcmesh-prometheus"),
        ("monitoring", "dcmesh-dashboard"),
    ]
    files = engine["watch-prometheus"].inputs["data"]
    assert yaml.safe_load(files["scrape.yaml"]) == {"scrape_configs": scrape_configs("dc1", ["istio-system", "shop"])}
    assert files["rules.yaml"] == RULES


@pytest.mark.parametrize("prometheus", ["operator", "plain"])
def test_grafana_finds_the_dashboard(prometheus: Prometheus) -> None:
    dashboard = objects(prometheus)["watch-dashboard"].inputs
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert dashboard["data"] == {"dcmesh.json": DASHBOARD}


# --- the program -----------------------------------------------------------------------------------------------------


def watched() -> dict[str, Any]:
    return {**stack("mariadb"), "monitoring": {"prometheus": "plain"}}


def istiod(engine: Engine) -> dict[str, Any]:
    (release, *_) = [r for r in engine.kind("Release") if r.inputs["name"] == "istiod"]
    found: dict[str, Any] = release.inputs["values"]["meshConfig"]["defaultConfig"]
    return found


def containers(engine: Engine) -> set[str]:
    pods = [s.spec["template"]["spec"] for s in engine.kind("StatefulSet")]
    return {container["name"] for pod in pods for container in pod["containers"]}


def test_program_has_each_site_watched_where_that_is_asked_for() -> None:
    engine = run_program(Engine(), watched())
    named = {r.object for r in engine.kind("ConfigMap") if r.object[1].startswith("dcmesh-")}
    assert named == {("istio-system", "dcmesh-prometheus"), ("istio-system", "dcmesh-dashboard")}
    for site, databases in (("dc1", "wookie"), ("dc2", "wookie-dr")):
        job, *_ = yaml.safe_load(engine[f"{site}-monitoring-prometheus"].inputs["data"]["scrape.yaml"])[
            "scrape_configs"
        ]
        gateways = ["dcmesh-gateway"] if site == "dc1" else []
        assert job["kubernetes_sd_configs"][0]["namespaces"]["names"] == [*gateways, "istio-system", databases]
    assert istiod(engine)["proxyStatsMatcher"] == {"inclusionRegexps": list(STATISTICS)}
    assert containers(engine) == {"mariadb", "exporter"}


def test_program_leaves_everything_as_it_is_otherwise() -> None:
    engine = run_program(Engine(), stack("mariadb"))
    assert not engine.kind("Monitoring", "PodMonitor", "PrometheusRule")
    assert "proxyStatsMatcher" not in istiod(engine)
    assert containers(engine) == {"mariadb"}
    assert settings_of(stack("mariadb")).monitoring is None
