"""Monitoring: the objects in one site by which an existing Prometheus and Grafana find what to watch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pulumi
import pulumi_kubernetes as k8s
import yaml

from dcmesh.model.istio import ISTIO_NAMESPACE

JOB = "dcmesh"
"""Job of everything that is scraped; rules and dashboard select by it."""

RULES = Path(__file__).with_name("rules.yaml").read_text()
DASHBOARD = Path(__file__).with_name("dashboard.json").read_text()

METRICS = (
    "citadel_server_cert_chain_expiry_timestamp",
    "citadel_server_root_cert_expiry_timestamp",
    "envoy_cluster_manager_cds_update_rejected",
    "envoy_cluster_ssl_connection_error",
    "envoy_cluster_ssl_fail_verify_error",
    "envoy_cluster_ssl_fail_verify_san",
    "envoy_cluster_ssl_handshake",
    "envoy_cluster_upstream_cx_active",
    "envoy_cluster_upstream_cx_connect_fail",
    "envoy_cluster_upstream_cx_rx_bytes_total",
    "envoy_cluster_upstream_cx_total",
    "envoy_cluster_upstream_cx_tx_bytes_total",
    "envoy_http_rbac",
    "envoy_listener_manager_lds_update_rejected",
    "envoy_listener_ssl_connection_error",
    "envoy_listener_ssl_fail_verify_error",
    "envoy_listener_ssl_fail_verify_no_cert",
    "istio_agent_cert_expiry_seconds",
    "istio_agent_scrape_failures_total",
    "mysql_global_status_threads_connected",
    "mysql_slave_status_seconds_behind_master",
    "mysql_slave_status_slave_io_running",
    "mysql_slave_status_slave_sql_running",
    "mysql_up",
)
"""What is kept of all that is scraped: what the rules and the dashboard use, and no more."""

STATISTICS = (
    r"cluster\.outbound.*\.upstream_cx_(active|connect_fail|rx_bytes_total|total|tx_bytes_total)",
    r"cluster\.outbound.*\.ssl\.(connection_error|fail_verify_error|fail_verify_san|handshake)",
    r"listener\..*\.ssl\.(connection_error|fail_verify_error|fail_verify_no_cert)",
    r"cluster\.inbound.*\.upstream_cx_connect_fail",
    r"http\..*\.rbac\.denied",
)
"""Envoy's own statistics, from which its metrics come. A proxy has them only if it is told to before it starts."""

PROXY_PORT, ISTIOD_PORT = "http-envoy-prom", "http-monitoring"
"""Names of the ports by which the pods are found: that of every proxy, and istiod's."""

DATABASE_PORT = "dcmesh-metrics"
"""Name of the port of a database's own metrics, where no proxy shows them beside its own."""

AGENT_PORT = 15020
"""Port of a proxy's agent: Envoy's metrics, its own, and those of the application beside it."""

Prometheus = Literal["operator", "plain"]


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """What is scraped of the pods that have a port of this name.

    Attributes:
        port: name of the port.
        path: HTTP path of the metrics.
        instead: number of the port to ask instead.
    """

    port: str
    path: str
    instead: int | None = None


ENDPOINTS = (
    Endpoint(port=PROXY_PORT, path="/stats/prometheus", instead=AGENT_PORT),
    Endpoint(port=ISTIOD_PORT, path="/metrics"),
    Endpoint(port=DATABASE_PORT, path="/metrics"),
)


def _relabelings(site: str, endpoint: Endpoint) -> list[dict[str, Any]]:
    """Return how targets are labelled, in a scrape configuration's terms, which PodMonitor has in camel case."""
    other = {"source_labels": ["__address__"], "regex": r"(.+):\d+", "replacement": f"$1:{endpoint.instead}"}
    return [
        *([{**other, "target_label": "__address__"}] if endpoint.instead else []),
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
        {"target_label": "site", "replacement": site},
        {"target_label": "job", "replacement": JOB},
    ]


def _kept() -> list[dict[str, Any]]:
    return [{"source_labels": ["__name__"], "regex": "|".join(METRICS), "action": "keep"}]


def scrape_configs(site: str, namespaces: Sequence[str]) -> list[dict[str, Any]]:
    """Return Prometheus' `scrape_configs` for a site, to run in its cluster.

    Args:
        site: name of the site.
        namespaces: namespaces with pods to watch.
    """
    return [
        {
            # Names must differ; the job of both is set below.
            "job_name": f"{JOB}-{endpoint.port}",
            "metrics_path": endpoint.path,
            "kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": list(namespaces)}}],
            "relabel_configs": [
                {
                    "source_labels": ["__meta_kubernetes_pod_container_port_name"],
                    "regex": endpoint.port,
                    "action": "keep",
                },
                {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Succeeded|Failed", "action": "drop"},
                *_relabelings(site, endpoint),
            ],
            "metric_relabel_configs": _kept(),
        }
        for endpoint in ENDPOINTS
    ]


def pod_monitor(site: str, namespaces: Sequence[str]) -> dict[str, Any]:
    """Return the spec of the PodMonitor that is the same for Prometheus Operator."""

    def camel(steps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        names = {"source_labels": "sourceLabels", "target_label": "targetLabel"}
        return [{names.get(key, key): value for key, value in step.items()} for step in steps]

    return {
        "namespaceSelector": {"matchNames": list(namespaces)},
        "selector": {},
        "podMetricsEndpoints": [
            {
                "port": endpoint.port,
                "path": endpoint.path,
                "relabelings": camel(_relabelings(site, endpoint)),
                "metricRelabelings": camel(_kept()),
            }
            for endpoint in ENDPOINTS
        ],
    }


def rules() -> dict[str, Any]:
    """Return the rules, as a rule file and a PrometheusRule's spec have them."""
    groups: dict[str, Any] = yaml.safe_load(RULES)
    return groups


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    """Arguments of Monitoring.

    Attributes:
        site: name of the site.
        prometheus: how the Prometheus is configured: by Prometheus Operator, or by files.
        namespace: where the objects go. It must be there.
        labels: labels of the objects, for what selects them by labels.
        watched: namespaces with databases, exports or imports.
        after: what must be there first: Istio's namespace.
    """

    site: str
    prometheus: Prometheus
    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    watched: Sequence[str]
    after: Sequence[pulumi.Resource]


class Monitoring(pulumi.ComponentResource):
    """What lets Prometheus and Grafana watch a site. Neither is installed.

    Creates:
        - for Prometheus Operator: `PodMonitor` and `PrometheusRule`, both `dcmesh`.
        - for another Prometheus: `ConfigMap` `dcmesh-prometheus` with `scrape.yaml` and `rules.yaml`, to mount.
        - `ConfigMap` `dcmesh-dashboard` with the label by which Grafana's sidecar finds dashboards.
    """

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:Monitoring", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self, depends_on=list(args.after))
        namespaces = sorted({ISTIO_NAMESPACE, *args.watched})

        def metadata(own_name: str, **labels: str) -> k8s.meta.v1.ObjectMetaArgs:
            return k8s.meta.v1.ObjectMetaArgs(name=own_name, namespace=args.namespace, labels={**args.labels, **labels})

        if args.prometheus == "operator":
            for kind, spec in (("PodMonitor", pod_monitor(args.site, namespaces)), ("PrometheusRule", rules())):
                k8s.apiextensions.CustomResource(
                    f"{name}-{kind.lower()}",
                    api_version="monitoring.coreos.com/v1",
                    kind=kind,
                    metadata=metadata(JOB),
                    spec=spec,
                    opts=child,
                )
        else:
            scraped = {"scrape_configs": scrape_configs(args.site, namespaces)}
            k8s.core.v1.ConfigMap(
                f"{name}-prometheus",
                metadata=metadata(f"{JOB}-prometheus"),
                data={"scrape.yaml": yaml.safe_dump(scraped, sort_keys=False), "rules.yaml": RULES},
                opts=child,
            )
        k8s.core.v1.ConfigMap(
            f"{name}-dashboard",
            metadata=metadata(f"{JOB}-dashboard", grafana_dashboard="1"),
            data={"dcmesh.json": DASHBOARD},
            opts=child,
        )
        self.register_outputs({})
