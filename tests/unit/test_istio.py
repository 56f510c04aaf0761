"""IstioControlPlane: Helm values and where the charts come from. How it is wired: test_program.py."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.istio import Charts, istiod_values, merge

keys = st.sampled_from("abc")  # few, so that trees meet
scalars = st.none() | st.integers(0, 9) | st.lists(st.integers(0, 9), max_size=2)
trees = st.dictionaries(
    keys, st.recursive(scalars, lambda below: st.dictionaries(keys, below, max_size=3), max_leaves=5), max_size=3
)


@given(tree=trees)
def test_merge_with_nothing_is_the_same(tree: dict[str, Any]) -> None:
    assert merge(tree, {}) == merge({}, tree) == tree


@given(tree=trees, over=trees)
def test_merge_prefers_the_second_and_merges_maps(tree: dict[str, Any], over: dict[str, Any]) -> None:
    merged = merge(tree, over)
    assert merged.keys() == tree.keys() | over.keys()
    for key, value in merged.items():
        if key not in over:
            assert value == tree[key]
        elif isinstance(over[key], dict) and isinstance(tree.get(key), dict):
            assert value == merge(tree[key], over[key])
        else:
            assert value == over[key]


@given(tree=trees, over=trees)
def test_merge_changes_neither(tree: dict[str, Any], over: dict[str, Any]) -> None:
    before = copy.deepcopy((tree, over))
    merge(tree, over)
    assert (tree, over) == before


def test_merge_deep_down() -> None:
    assert merge({"a": {"b": 1, "c": {"d": 2}}, "e": [1]}, {"a": {"c": {"f": 3}}, "e": [2]}) == {
        "a": {"b": 1, "c": {"d": 2, "f": 3}},
        "e": [2],
    }


def test_istiod_runs_as_many_times_as_asked() -> None:
    values = istiod_values(cluster="dc1", replicas=3, egress="ALLOW_ANY")
    assert (values["replicaCount"], values["autoscaleEnabled"]) == (3, False)


def test_istiod_knows_its_cluster_and_sets_no_network() -> None:
    """A network, here or on the pods, would lead local traffic through the gateway."""
    values = istiod_values(cluster="dc1", replicas=1, egress="ALLOW_ANY")
    assert values["global"]["multiCluster"] == {"clusterName": "dc1"}
    assert "network" not in values["global"]


@pytest.mark.parametrize("egress", ["ALLOW_ANY", "REGISTRY_ONLY"])
def test_egress_is_the_sidecars_outbound_policy(egress: str) -> None:
    values = istiod_values(cluster="dc1", replicas=1, egress=egress)
    assert values["meshConfig"]["outboundTrafficPolicy"] == {"mode": egress}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("ISTIO_META_DNS_CAPTURE", "true"),
        ("PROXY_CONFIG_XDS_AGENT", "true"),
        ("ISTIO_META_IDLE_TIMEOUT", "0s"),
    ],
)
def test_proxies_have_from_day_one(setting: str, value: str) -> None:
    mesh = istiod_values(cluster="dc1", replicas=1, egress="ALLOW_ANY")["meshConfig"]
    assert mesh["defaultConfig"]["proxyMetadata"][setting] == value


def test_istiod_can_trust_two_roots_from_day_one() -> None:
    assert istiod_values(cluster="dc1", replicas=1, egress="ALLOW_ANY")["env"] == {"ISTIO_MULTIROOT_MESH": "true"}


def test_settings_of_the_environment_are_text() -> None:
    """Kubernetes refuses a bool or a number there."""
    values = istiod_values(cluster="dc1", replicas=1, egress="ALLOW_ANY")
    settings = values["env"] | values["meshConfig"]["defaultConfig"]["proxyMetadata"]
    assert {type(value) for value in settings.values()} == {str}


@pytest.mark.parametrize("repository", ["https://charts.example.com/istio", "oci://registry.example.com/istio"])
def test_charts_of_a_repository(repository: str) -> None:
    release = Charts(version="1.29.1", repository=repository).release("base")
    assert release.pop("repository_opts").repo == repository
    assert release == {"chart": "base", "version": "1.29.1"}


@pytest.mark.parametrize("directory", ["./.lab/charts", "./.lab/charts/"])
def test_charts_of_a_directory(directory: str) -> None:
    assert Charts(version="1.29.1", repository=directory).release("base") == {
        "chart": "./.lab/charts/base",
        "version": "1.29.1",
    }
