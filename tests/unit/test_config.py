"""The configuration: what is right is taken, what is wrong is named with its path, its value and what to do."""

import re
from typing import Any

import pytest

import config
from tests.unit.conftest import settings_of

GONE = object()


def put(tree: Any, path: str, value: Any) -> None:
    """Set or remove what stands at a path such as `sites[0].exports[0].port`."""
    *way, last = [int(part) if part.isdigit() else part for part in re.findall(r"[^\[\].]+", path)]
    for step in way:
        tree = tree.setdefault(step, {}) if isinstance(tree, dict) else tree[step]
    if value is GONE:
        del tree[last]
    elif isinstance(tree, list) and last == len(tree):
        tree.append(value)
    else:
        tree[last] = value


def errors(raw: dict[str, Any]) -> list[str]:
    """Return the errors of a configuration, a line each."""
    with pytest.raises(config.ConfigError) as caught:
        config.parse(raw)
    heading, *lines = str(caught.value).splitlines()
    assert heading == "the configuration is wrong, nothing was changed:"
    return [line.removeprefix("  ") for line in lines]


def test_stack_dev(dev: dict[str, Any]) -> None:
    settings = settings_of(dev)
    exporter, importer = settings.sites
    (export,), (imported,) = exporter.exports, importer.imports
    assert (exporter.name, imported.from_, imported.export) == ("dc1", "dc1", export.name)
    assert imported.consumer == (export.consumers[0].namespace, export.consumers[0].service_account)
    assert export.service_account == "hello"


EXPORT, IMPORT = "sites[0].exports[0]", "sites[1].imports[0]"
NAME = "String should match pattern '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'"


@pytest.mark.parametrize(
    ("path", "value", "advice"),
    [
        ("sites", [], "List should have at least 1 item after validation, not 0"),
        ("sites", "dc1", "Input should be a valid list"),
        ("sites[0].name", "DC1", NAME),
        ("sites[0].name", "-dc1", NAME),
        ("sites[0].name", "dc_1", NAME),
        ("sites[0].name", "", NAME),
        ("sites[0].name", "d" * 64, "String should have at most 63 characters"),
        ("sites[0].name", 1, "Input should be a valid string"),
        ("sites[0].colour", "blue", "Extra inputs are not permitted"),
        ("sites[0].gateway.replicas", 0, "Input should be greater than or equal to 1"),
        ("sites[0].gateway.replicas", 21, "Input should be less than or equal to 20"),
        ("sites[0].gateway.advertise", "192.0.2.1", "Input should be a valid list"),
        (f"{EXPORT}.port", 0, "Input should be greater than or equal to 1"),
        (f"{EXPORT}.port", 65536, "Input should be less than or equal to 65535"),
        (f"{EXPORT}.port", "http", "Input should be a valid integer, unable to parse string as an integer"),
        (f"{EXPORT}.protocol", "UDP", "Input should be 'HTTP' or 'TCP'"),
        (f"{EXPORT}.probe", "ping", "Input should be 'pod-name', 'http' or 'greeting'"),
        (f"{EXPORT}.replicas", 0, "Input should be greater than or equal to 1"),
        (f"{EXPORT}.selector", {}, "Dictionary should have at least 1 item after validation, not 0"),
        (f"{EXPORT}.consumers", [], "List should have at least 1 item after validation, not 0"),
        (f"{EXPORT}.consumers[0].site", "Dc2", NAME),
        (f"{IMPORT}.namespace", "demo.dr", NAME),
        ("istio.version", "latest", "String should match pattern"),
        ("istio.version", "1.29", "String should match pattern"),
        ("istio.replicas", 0, "Input should be greater than or equal to 1"),
        ("istio.egress", "DENY", "Input should be 'ALLOW_ANY' or 'REGISTRY_ONLY'"),
        ("istio.values.istoid", {}, "Extra inputs are not permitted"),
        ("lab.istio.replicas", 11, "Input should be less than or equal to 10"),
        ("trust.rootValidityYears", 51, "Input should be less than or equal to 50"),
        ("trust.intermediateValidityYears", 0, "Input should be greater than or equal to 1"),
        ("tryst", {}, "Extra inputs are not permitted"),
        # between parts that are each right
        ("sites[1].name", "dc1", "is there twice: give each a name of its own"),
        (f"{EXPORT}.replicas", 4, "is more than the 3 pods that the workload runs: lower it or raise the workload's"),
        (f"{IMPORT}.from", "dc3", "is no other site of this stack: choose one of dc1"),
        (f"{IMPORT}.from", "dc2", "is no other site of this stack: choose one of dc1"),
        (f"{IMPORT}.export", "helo", "is not exported by dc1, which exports hello"),
        (
            f"{IMPORT}.serviceAccount",
            "other",
            "of dc2/demo-dr may not consume dc1/hello: add it to that export's consumers",
        ),
    ],
)
def test_wrong_value_is_named_with_its_path_and_what_to_do(
    dev: dict[str, Any], path: str, value: Any, advice: str
) -> None:
    put(dev, path, value)
    assert errors(dev)[0].startswith(f"{path}: {value!r} {advice}")


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (
            "sites[1].workloads[0].namespace",
            "demo",
            f"{IMPORT}.export: 'hello' comes from namespace demo, which dc2 has too",
        ),
        ("sites[0].exports", [], f"{IMPORT}.export: 'hello' is not exported by dc1, which exports nothing"),
        (
            f"{IMPORT}.namespace",
            "elsewhere",
            f"{IMPORT}.serviceAccount: 'client' of dc2/elsewhere may not consume dc1/hello",
        ),
        (
            f"{EXPORT}.consumers[0].site",
            "dc3",
            f"{IMPORT}.serviceAccount: 'client' of dc2/demo-dr may not consume dc1/hello",
        ),
        (
            "sites[0].workloads[0].replicas",
            2,
            f"{EXPORT}.replicas: 3 is more than the 2 pods that the workload runs",
        ),
        (
            "sites[0].workloads[0].kind",
            "mysql",
            "sites[0].workloads[0]: {'kind': 'mysql', 'namespace': 'demo'} Input tag",
        ),
        (
            "sites[0].workloads[1]",
            {"kind": "hello", "namespace": "demo"},
            "sites[0].workloads[1].namespace: 'demo' is there twice",
        ),
    ],
)
def test_one_change_is_found_where_it_does_harm(dev: dict[str, Any], path: str, value: Any, expected: str) -> None:
    put(dev, path, value)
    (error,) = errors(dev)
    assert error.startswith(expected)


@pytest.mark.parametrize(
    "path",
    [
        "sites",
        "sites[0].name",
        "sites[0].cluster",
        "sites[0].workloads[0].kind",
        f"{EXPORT}.port",
        f"{EXPORT}.consumers",
        f"{EXPORT}.selector",
        f"{IMPORT}.from",
        f"{IMPORT}.serviceAccount",
    ],
)
def test_what_is_missing_is_named(dev: dict[str, Any], path: str) -> None:
    put(dev, path, GONE)
    (error,) = errors(dev)
    assert error.startswith(path.removesuffix(".kind"))


def test_an_export_named_twice(dev: dict[str, Any]) -> None:
    put(dev, "sites[0].exports[1]", dev["sites"][0]["exports"][0])
    assert errors(dev) == ["sites[0].exports[1].name: 'hello' is there twice: give each a name of its own"]


def test_a_workload_is_matched_with_its_export_by_the_stateful_sets_name(dev: dict[str, Any]) -> None:
    """An export of a StatefulSet that is not ours may have any number of pods."""
    put(dev, f"{EXPORT}.replicas", 9)
    put(dev, f"{EXPORT}.statefulSet", "another")
    assert settings_of(dev).sites[0].exports[0].replicas == 9
    put(dev, "sites[0].workloads[0].name", "another")
    assert errors(dev)[0].startswith(f"{EXPORT}.replicas: 9 is more than the 3 pods")


def test_all_errors_come_at_once(dev: dict[str, Any]) -> None:
    wrong = {"sites[0].name": "DC1", f"{EXPORT}.port": 0, "istio.egress": "DENY"}
    for path, value in wrong.items():
        put(dev, path, value)
    assert {error.partition(":")[0] for error in errors(dev)} == set(wrong)


def test_all_cross_checks_come_at_once(dev: dict[str, Any]) -> None:
    put(dev, f"{EXPORT}.replicas", 4)
    put(dev, f"{IMPORT}.from", "dc3")
    assert [error.partition(":")[0] for error in errors(dev)] == [f"{EXPORT}.replicas", f"{IMPORT}.from"]


@pytest.mark.parametrize(
    ("cluster", "installed", "kind"),
    [
        ("auto", True, "k3d"),
        ("auto", False, "lab"),
        ("k3d", False, "k3d"),
        ("lab", True, "lab"),
        ({"kubeconfig": "~/.kube/config"}, True, "existing"),
    ],
)
def test_what_makes_a_cluster(
    dev: dict[str, Any], monkeypatch: pytest.MonkeyPatch, cluster: Any, installed: bool, kind: str
) -> None:
    monkeypatch.setattr("shutil.which", lambda program: f"/bin/{program}" if installed and program == "k3d" else None)
    put(dev, "sites[0].cluster", cluster)
    assert settings_of(dev).sites[0].cluster_kind == kind


@pytest.mark.parametrize(("cluster", "replicas"), [("lab", 4), ("k3d", 5), ({"kubeconfig": "config"}, 5)])
def test_the_labs_istio_is_for_its_sites_alone(dev: dict[str, Any], cluster: Any, replicas: int) -> None:
    put(dev, "lab.istio.replicas", 4)
    put(dev, "istio.replicas", 5)
    put(dev, "sites[0].cluster", cluster)
    settings = settings_of(dev)
    assert settings.istio_of(settings.sites[0]).replicas == replicas
