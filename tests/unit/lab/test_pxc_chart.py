"""The stand-in for Percona's chart: what comes from the operator's manifests, and what the values change."""

from pathlib import Path

import pytest
import yaml

from lab import golang
from lab.parts import Workplace
from lab.pxc_chart import OperatorChart

NAMES = "percona-xtradb-cluster-operator"
RBAC = f"""
kind: ClusterRole
metadata: {{name: {NAMES}}}
---
kind: ClusterRoleBinding
metadata: {{name: service-account-{NAMES}}}
subjects: [{{kind: ServiceAccount, name: {NAMES}, namespace: pxc-operator}}]
roleRef: {{kind: ClusterRole, name: {NAMES}}}
"""
OPERATOR = f"""
kind: Deployment
metadata: {{name: {NAMES}}}
spec:
  template:
    metadata: {{labels: {{app.kubernetes.io/name: {NAMES}}}}}
    spec:
      serviceAccountName: {NAMES}
      containers:
      - image: percona/{NAMES}:1.20.0
        imagePullPolicy: Always
        env:
        - {{name: OPERATOR_NAME, value: {NAMES}}}
        - {{name: DISABLE_TELEMETRY, value: "false"}}
---
kind: Service
metadata: {{name: {NAMES}}}
"""


@pytest.fixture
def chart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    source, out = tmp_path / "source", tmp_path / "out"
    (source / "deploy").mkdir(parents=True)
    out.mkdir()
    for name, text in {"crd.yaml": "kind: CRD", "cw-rbac.yaml": RBAC, "cw-operator.yaml": OPERATOR}.items():
        (source / "deploy" / name).write_text(text)
    monkeypatch.setattr(golang, "dependency_source", lambda *_: source)
    OperatorChart("1.20.0").make(Workplace(out, tmp_path, {}, tmp_path / "log"))
    return out / "pxc-operator"


def test_the_chart_is_one_that_helm_takes(chart: Path) -> None:
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    assert (about["apiVersion"], about["name"], about["version"]) == ("v2", "pxc-operator", "1.20.0")
    assert (chart / "crds" / "crd.yaml").read_text() == "kind: CRD"


def test_the_templates_are_the_manifests_with_the_releases_names_and_the_values(chart: Path) -> None:
    template = (chart / "templates" / "operator.yaml").read_text()
    refusal, _, objects = template.partition("\n")
    assert "fail" in refusal
    values = {
        "{{ .Release.Name }}": "pxc-operator",
        "{{ .Release.Namespace }}": "operators",
        "{{ toJson .Values.podAnnotations }}": '{"a": "b"}',
        "{{ .Values.disableTelemetry | quote }}": '"true"',
    }
    for expression, value in values.items():
        assert expression in objects
        objects = objects.replace(expression, value)
    assert "{{" not in objects
    role, binding, deployment, service = yaml.safe_load_all(objects)
    assert role["metadata"]["name"] == binding["roleRef"]["name"] == "pxc-operator"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "pxc-operator", "namespace": "operators"}]
    pods = deployment["spec"]["template"]
    assert pods["metadata"]["annotations"] == {"a": "b"}
    assert pods["spec"]["serviceAccountName"] == deployment["metadata"]["name"] == "pxc-operator"
    (container,) = pods["spec"]["containers"]
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert {e["name"]: e["value"] for e in container["env"]} == {
        "OPERATOR_NAME": "pxc-operator",
        "DISABLE_TELEMETRY": "true",
    }
    assert service["metadata"]["name"] == NAMES, "the operator's webhook is asked for under this name"
