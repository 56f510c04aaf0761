"""The pair with databases, watched by a real Prometheus in each site: panels find their metrics, alerts begin and end.

Debian's Prometheus is built without service discovery by Kubernetes, so the test finds the pods instead. Relabelling,
the kept metrics and the rules are those that the program has put into the sites.
"""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

from components.monitoring.objects import DASHBOARD, METRICS, RULES
from tests.e2e.toolbox import MARIADB, Database, Kubectl, Lab, account, eventually, log_in, start

HOST = "db-0.db.wookie.svc.cluster.local"


def quick(rules: str) -> str:
    """Return the rules with shorter durations, as a test cannot wait for minutes."""
    windows = {"2m": "20s", "5m": "20s"}
    rules = re.sub(r"\[(2m|5m)\]", lambda found: f"[{windows[found[1]]}]", rules)
    return re.sub(r"for: \w+", "for: 2s", rules)


def targets(site: Kubectl) -> list[dict[str, Any]]:
    """Return each port of each pod, with the labels that Prometheus' service discovery would give it."""
    found = []
    for pod in json.loads(site("get", "pods", "--all-namespaces", "--output", "json"))["items"]:
        parts = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
        for port in [port for part in parts for port in part.get("ports", [])]:
            labels = {
                "namespace": pod["metadata"]["namespace"],
                "pod_name": pod["metadata"]["name"],
                "pod_phase": pod["status"]["phase"],
                "pod_container_port_name": port.get("name", ""),
            }
            found.append(
                {
                    "targets": [f"{pod['status']['podIP']}:{port['containerPort']}"],
                    "labels": {f"__meta_kubernetes_{key}": value for key, value in labels.items()},
                }
            )
    return found


def looked_at() -> list[str]:
    """Return the panels' queries and the alerts' selectors. The alerts themselves find nothing while all is well."""
    targets = [target["expr"] for panel in json.loads(DASHBOARD)["panels"] for target in panel.get("targets", [])]
    panels = [expression for expression in targets if 'pod=~"dcmesh-egress-' not in expression]
    asked = [re.sub(r"\$\w+", ".*", expression.replace("$__rate_interval", "20s")) for expression in panels]
    alerts = [rule["expr"] for group in yaml.safe_load(RULES)["groups"] for rule in group["rules"]]
    selectors = {found for expression in alerts for found in re.findall(r"\w+\{[^}]*\}", expression)}
    # Left out are a counter that begins with the first failure, and what this lab lacks: an egress gateway, and a
    # database without a sidecar, whose exporter is scraped directly.
    absent = (
        "istio_agent_scrape_failures_total",
        'up{job="dcmesh", pod=~"dcmesh-egress-',
        'up{job="dcmesh", instance=',
    )
    return asked + sorted(s for s in selectors if not s.startswith(absent))


@dataclass(frozen=True)
class Prometheus:
    """A site's Prometheus."""

    url: str

    def ask(self, what: str, **parameters: str) -> Any:
        with urlopen(f"{self.url}/api/v1/{what}?{urlencode(parameters)}", timeout=10) as answer:  # noqa: S310
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[dict[str, str]]:
        """Return the labels of the series that an expression finds."""
        return [sample["metric"] for sample in self.ask("query", query=expression)["result"]]

    def answers(self) -> bool:
        try:
            return bool(self.query("up"))
        except OSError:
            return False

    def firing(self, alert: str = "Dcmesh.*") -> list[dict[str, str]]:
        """Return the labels of the alerts that fire."""
        return self.query(f'ALERTS{{alertname=~"{alert}", alertstate="firing"}}')


@pytest.fixture(scope="module")
def watching(
    lab: Lab, sites: dict[str, Kubectl], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Prometheus]]:
    """A Prometheus in each site, with the provisioned configuration."""
    running: list[subprocess.Popen[bytes]] = []
    found = {}
    try:
        for name, site in sites.items():
            directory = tmp_path_factory.mktemp(f"prometheus-{name}")
            running.append(run_prometheus(lab, name, site, directory))
            node = lab.sites()[name]["api"].removeprefix("https://").partition(":")[0]
            found[name] = Prometheus(f"http://{node}:9090")
        for prometheus in found.values():
            eventually("Prometheus has scraped", prometheus.answers, within=60)
        yield found
    finally:
        for process in running:
            process.terminate()
            process.wait()


def run_prometheus(lab: Lab, name: str, site: Kubectl, directory: Path) -> subprocess.Popen[bytes]:
    files = site.get("configmap", "dcmesh-prometheus", "istio-system")["data"]
    jobs = yaml.safe_load(files["scrape.yaml"])["scrape_configs"]
    for job in jobs:
        (where,) = job.pop("kubernetes_sd_configs")
        there = [t for t in targets(site) if t["labels"]["__meta_kubernetes_namespace"] in where["namespaces"]["names"]]
        job["static_configs"] = there
    whole = {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": jobs,
    }
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(whole))
    (directory / "rules.yaml").write_text(quick(files["rules.yaml"]))
    options = ("--config.file=prometheus.yaml", "--storage.tsdb.path=data", "--web.listen-address=:9090")
    with (directory / "log").open("wb") as log:
        return subprocess.Popen(
            ["ip", "netns", "exec", f"dcmesh-{lab.name}-{name}", "prometheus", *options],
            cwd=directory,
            stdout=log,
            stderr=log,
        )


@pytest.fixture(scope="module")
def replica(sites: dict[str, Kubectl]) -> Database:
    return Database(sites["dc2"], "wookie-dr", "db-0")


def fires(prometheus: Prometheus, alert: str, **labels: str) -> Callable[[], bool]:
    return lambda: any(labels.items() <= found.items() for found in prometheus.firing(alert))


def is_over(prometheus: Prometheus, alert: str = "Dcmesh.*") -> Callable[[], bool]:
    return lambda: not prometheus.firing(alert)


def test_panels_and_alerts_have_something_to_look_at(watching: dict[str, Prometheus]) -> None:
    def found(expression: str) -> bool:
        return any(site.query(expression) for site in watching.values())

    for expression in looked_at():
        eventually(f"a site has {expression}", lambda e=expression: found(e), within=60)


def test_nothing_else_is_kept(watching: dict[str, Prometheus]) -> None:
    own = {"up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling"}
    own |= {"scrape_series_added", "ALERTS", "ALERTS_FOR_STATE"}
    for site in watching.values():
        assert {m["__name__"] for m in site.query('{job="dcmesh"}')} <= {*METRICS, *own}


def test_all_that_is_found_answers_and_says_whose_it_is(watching: dict[str, Prometheus]) -> None:
    pods = {
        "dc1": {"istiod", "istio-eastwestgateway", "db-0", "db-1", "db-2"},
        "dc2": {"istiod", "db-0"},
    }

    def answering(site: Prometheus) -> set[tuple[str, str]]:
        """Return the sites and names of the pods that answer, after each was asked at least once."""
        up = site.query('up{job="dcmesh"} == 1')
        return {(labels["site"], re.sub(r"-[0-9a-f]+-\w{5}$", "", labels["pod"])) for labels in up}

    for name, site in watching.items():
        wanted = {(name, pod) for pod in pods[name]}
        eventually(f"{name} has {wanted}", lambda s=site, w=wanted: answering(s) == w and not s.query("up == 0"))


def test_while_all_is_well_no_alert_fires(watching: dict[str, Prometheus]) -> None:
    for site in watching.values():
        eventually("no alert", is_over(site), within=60)


def test_exporter_may_watch_and_nothing_else(replica: Database) -> None:
    (grant,) = replica("SHOW GRANTS FOR nobody@localhost").splitlines()
    assert grant.startswith("GRANT SLAVE MONITOR ON *.* TO")
    # The kind of error is random: a server pretends to know an unknown user, with the authentication of any of its
    # users.
    assert "Access denied for user 'nobody'@'127.0.0.1'" in log_in(
        replica.site, replica.inside, "127.0.0.1", "nobody", "none"
    )


def test_exporter_reads_no_password(replica: Database) -> None:
    def read(file: str) -> str:
        exporter = (*replica.inside[:3], "--container", "exporter")
        return replica.site("exec", *exporter, "--", "cat", file, check=False)

    assert "user=nobody" in read("/etc/dcmesh/settings/exporter.cnf")
    assert read("/run/mysqld/start.sql") == ""


def test_identity_that_is_refused_is_told_in_the_source(
    watching: dict[str, Prometheus], sites: dict[str, Kubectl]
) -> None:
    account(sites["dc2"], "stranger", "wookie-dr")
    pod = start(sites["dc2"], "stranger", "wookie-dr", "stranger", image=MARIADB)
    refused = fires(watching["dc1"], "DcmeshIdentityRefused", namespace="wookie", pod="db-0", site="dc1")

    def told() -> bool:
        log_in(sites["dc2"], pod, HOST, "root", "none")
        return refused()

    eventually("the alert fires", told, within=60)
    sites["dc2"]("delete", "pod", "stranger", "--namespace", "wookie-dr")
    eventually("the alert is over", is_over(watching["dc1"]), within=60)


def test_replication_that_is_stopped_is_told(watching: dict[str, Prometheus], replica: Database) -> None:
    alert = "DcmeshReplicationStopped"
    replica("STOP SLAVE")
    eventually("the alert fires", fires(watching["dc2"], alert, namespace="wookie-dr", pod="db-0"), within=60)
    replica("START SLAVE")
    eventually("the alert is over", is_over(watching["dc2"], alert), within=60)


def test_database_that_nobody_can_ask_is_told(watching: dict[str, Prometheus], replica: Database) -> None:
    alert = "DcmeshDatabaseNotWatched"
    replica("SET sql_log_bin = 0; ALTER USER nobody@localhost ACCOUNT LOCK")
    eventually("the alert fires", fires(watching["dc2"], alert, namespace="wookie-dr", pod="db-0"), within=60)
    replica("SET sql_log_bin = 0; ALTER USER nobody@localhost ACCOUNT UNLOCK")
    eventually("the alert is over", is_over(watching["dc2"], alert), within=60)


def test_link_that_is_cut_is_told(lab: Lab, watching: dict[str, Prometheus], replica: Database) -> None:
    lab("wan", "cut")
    try:
        link = fires(watching["dc2"], "DcmeshLinkDown", site="dc2", cluster_name=f"outbound|3306||{HOST}")
        eventually("the alert fires", link, within=120)
        assert watching["dc2"].firing("DcmeshReplicationStopped")
    finally:
        lab("wan", "heal")
    eventually("replication goes on", replica.follows, within=60)
    for site in watching.values():
        eventually("all alerts are over", is_over(site), within=90)
