"""The Helm chart `pxc-operator`, a stand-in for Percona's. It is made from the manifests in the operator's source."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab import golang
from lab.parts import Recipe, Workplace

CHART = "pxc-operator"
MODULE, OPERATOR = "pxc-operator", "github.com/percona/percona-xtradb-cluster-operator"
"""The module under `lab/go`, and the operator's module, which it pins."""

_VALUES = {"watchAllNamespaces": False, "disableTelemetry": False, "podAnnotations": {}}
"""The values of Percona's chart that dcmesh sets, with the chart's defaults. The stand-in knows no other values."""

_NAME = "{{ .Release.Name }}"
"""The real chart gives its objects this name if the release's name contains the chart's."""

_REFUSAL = "{{ if not .Values.watchAllNamespaces }}{{ fail `the stand-in watches all namespaces` }}{{ end }}\n"


@dataclass(frozen=True)
class OperatorChart(Recipe):
    """The chart, with CRDs, RBAC, Deployment and the webhook's Service.

    Attributes:
        version: the operator's version.
    """

    version: str

    @property
    def sources(self) -> Iterable[Path]:
        """The files that pin the operator, and this file."""
        return (golang.module(MODULE), Path(__file__))

    def make(self, work: Workplace) -> None:
        """Turn the manifests into templates."""
        deploy = golang.dependency_source(MODULE, OPERATOR, work) / "deploy"
        files = {
            "Chart.yaml": yaml.safe_dump({"apiVersion": "v2", "name": CHART, "version": self.version}),
            "values.yaml": yaml.safe_dump(_VALUES),
            "crds/crd.yaml": (deploy / "crd.yaml").read_text(),
            "templates/operator.yaml": _REFUSAL
            + _template([*_objects(deploy / "cw-rbac.yaml"), *_objects(deploy / "cw-operator.yaml")]),
        }
        for name, text in files.items():
            file = work.out / CHART / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)


def _objects(file: Path) -> Iterable[dict[str, Any]]:
    objects: Iterable[dict[str, Any]] = yaml.safe_load_all(file.read_text())
    return objects


def _template(objects: Iterable[dict[str, Any]]) -> str:
    """Return the objects as a template, with the release's names and with the values."""
    texts = []
    for template in objects:
        if template["kind"] != "Service":  # The operator knows the Service's name, so that stays.
            template["metadata"]["name"] = _NAME
        if template["kind"] == "ClusterRoleBinding":
            template["subjects"][0] |= {"name": _NAME, "namespace": "{{ .Release.Namespace }}"}
            template["roleRef"]["name"] = _NAME
        if template["kind"] == "Deployment":
            _fill_in(template["spec"]["template"])
        texts.append(yaml.safe_dump(template))
    # A template expression must not be quoted as a string: only its result is YAML.
    return "---\n".join(texts).replace("'{{", "{{").replace("}}'", "}}")


def _fill_in(pods: dict[str, Any]) -> None:
    pods["metadata"]["annotations"] = "{{ toJson .Values.podAnnotations }}"
    pods["spec"]["serviceAccountName"] = _NAME
    (container,) = pods["spec"]["containers"]
    container["imagePullPolicy"] = "IfNotPresent"  # The real chart does so too.
    variables = {variable["name"]: variable for variable in container["env"]}
    variables["OPERATOR_NAME"]["value"] = _NAME
    variables["DISABLE_TELEMETRY"]["value"] = "{{ .Values.disableTelemetry | quote }}"
