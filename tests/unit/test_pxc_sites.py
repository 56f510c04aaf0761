"""Sites with Percona XtraDB Clusters, by the whole program: the operator, and what source and replica share."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.configurations import stack
from tests.unit.engine import PROJECT, Engine, Resource
from tests.unit.program import Config, existing_cluster, existing_clusters, run_program, site_of


def site(name: str) -> dict[str, Any]:
    """Return the site of an example, in the lab."""
    (only,) = stack(f"pxc-{name}")["sites"]
    return {**only, "cluster": "lab"}


@pytest.fixture
def pair() -> Config:
    return {"sites": [site("dc1"), site("dc2")], "lab": {"pxc": {"charts": "./charts"}}}


def clusters(engine: Engine) -> dict[str, Resource]:
    return {site_of(cluster): cluster for cluster in engine.kind("PerconaXtraDBCluster")}


def operators(engine: Engine) -> list[Resource]:
    return [release for release in engine.kind("Release") if release.inputs["name"] == "pxc-operator"]


def test_each_site_has_an_operator_that_its_cluster_waits_for(pair: Config) -> None:
    engine = run_program(Engine(), pair)
    found = {site_of(operator): operator for operator in operators(engine)}
    assert found.keys() == {"dc1", "dc2"}
    for name, cluster in clusters(engine).items():
        assert {found[name].name, f"{name}-pxc-operator-webhook", f"{name}-istio-istiod"} <= engine.before(cluster.name)
        assert found[name].provider == cluster.provider
        assert found[name].inputs["chart"] == "./charts/pxc-operator"


def test_several_clusters_share_it(pair: Config) -> None:
    pair["sites"][0]["workloads"].append({"kind": "pxc", "namespace": "orders"})
    engine = run_program(Engine(), pair)
    assert sorted(site_of(operator) for operator in operators(engine)) == ["dc1", "dc2"]
    assert len(engine.kind("PerconaXtraDBCluster")) == 3


def test_a_site_without_clusters_has_none(pair: Config) -> None:
    pair["sites"].append({"name": "dc3", "cluster": "lab", "workloads": [{"kind": "hello", "namespace": "demo"}]})
    engine = run_program(Engine(), pair)
    assert {site_of(operator) for operator in operators(engine)} == {"dc1", "dc2"}


def test_the_replica_follows_the_sources_hosts_with_its_password(pair: Config) -> None:
    engine = run_program(Engine(), pair)
    found = clusters(engine)
    assert "replicationChannels" not in found["dc1"].spec["pxc"]
    (channel,) = found["dc2"].spec["pxc"]["replicationChannels"]
    hosts = engine.outputs["link"]["dc1"]["exports"][0]["hosts"]
    assert [source["host"] for source in channel["sourcesList"]] == hosts[::-1]
    passwords = {
        site_of(secret): secret.inputs["stringData"]["replication"]
        for secret in engine.kind("Secret")
        if secret.object[1] == "db-secrets"
    }
    assert len(passwords["dc1"]) == 32
    assert passwords["dc1"] == passwords["dc2"]


def test_a_replica_whose_source_is_not_there_yet_waits_without_a_cluster() -> None:
    alone = {"sites": [site("dc2")], "peers": stack("pxc-dc2")["peers"], "lab": {"pxc": {"charts": "./charts"}}}
    engine = run_program(Engine(stacks={f"organization/{PROJECT}/dc1": {}}), alone)
    assert clusters(engine) == {}
    assert engine["dc2.wookie-dr-serviceaccount"].object == ("wookie-dr", "db-pxc")


def test_an_operator_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    config: Config = {
        "trust": {"source": "existing"},
        "istio": {"existing": {"revision": "stable"}},
        "pxc": {"existing": True, "namespace": "operators"},
        "sites": [{**site("dc1"), "cluster": existing_cluster("dc1")}],
    }
    with existing_clusters(tmp_path, "dc1") as server:
        server.objects["/api/v1/namespaces/operators"] = {"metadata": {"labels": {"istio.io/rev": "stable"}}}
        engine = run_program(Engine(), config)
    assert operators(engine) == engine.kind("ValidatingWebhookConfiguration") == []
    assert clusters(engine).keys() == {"dc1"}
