"""Sites with Percona XtraDB Clusters, by the whole program: the operator, and what source and replica share."""

import functools
from pathlib import Path
from typing import Any

import pulumi
import pytest

from dcmesh.databases.pxc_switchover import PxcClient
from tests.unit.configurations import stack
from tests.unit.engine import PROJECT, Engine, Resource
from tests.unit.program import Config, existing_cluster, existing_clusters, run_program, site_of


def site(name: str) -> dict[str, Any]:
    """Return the site of an example, on a cluster of k3d."""
    (only,) = stack(f"pxc-{name}")["sites"]
    return {**only, "cluster": "k3d"}


@pytest.fixture
def pair() -> Config:
    return {"sites": [site("dc1"), site("dc2")], "pxc": {"charts": "./charts"}}


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
    pair["sites"].append({"name": "dc3", "cluster": "k3d", "workloads": [{"kind": "hello", "namespace": "demo"}]})
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
    alone = {"sites": [site("dc2")], "peers": stack("pxc-dc2")["peers"], "pxc": {"charts": "./charts"}}
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


# --- two sites that can change roles ---------------------------------------------------------------------------------

SITES = ("dc1", "dc2")
OTHER = dict(zip(SITES, SITES[::-1], strict=True))


def switchable(primary: str) -> Config:
    example = stack("pxc-switchover")
    sites = [{**site, "cluster": "k3d"} for site in example["sites"]]
    return {"sites": sites, "primary": primary, "pxc": {"charts": "./charts"}}


@functools.cache
def run_with(primary: str) -> Engine:
    """Run the program with a primary, once for all tests that only look at it."""
    return run_program(Engine(), switchable(primary))


@pytest.mark.parametrize("primary", SITES)
def test_the_primary_is_a_source_and_the_other_follows_it(primary: str) -> None:
    engine = run_with(primary)
    (leads,) = clusters(engine)[primary].spec["pxc"]["replicationChannels"]
    (follows,) = clusters(engine)[OTHER[primary]].spec["pxc"]["replicationChannels"]
    assert leads == {"name": "dcmesh", "isSource": True}
    hosts = engine.outputs["link"][primary]["exports"][0]["hosts"]
    assert (follows["isSource"], [source["host"] for source in follows["sourcesList"]]) == (False, hosts[::-1])
    passwords = {
        secret.inputs["stringData"]["replication"]
        for secret in engine.kind("Secret")
        if secret.object[1] == "db-secrets"
    }
    assert len(passwords) == 1


@pytest.mark.parametrize("primary", SITES)
def test_the_old_primary_is_a_replica_before_the_new_one_is_asked_for(primary: str) -> None:
    found = clusters(run := run_with(primary))
    assert found[OTHER[primary]].name in run.before(found[primary].name)
    assert found[primary].name not in run.before(found[OTHER[primary]].name)


def test_nothing_of_a_cluster_but_its_channels_and_the_word_of_its_role_changes_with_the_primary() -> None:
    """Else its nodes would be restarted. For another hookScript its operator restarts none."""
    specs = [{name: cluster.spec for name, cluster in clusters(run_with(primary)).items()} for primary in SITES]
    for each in specs:
        for spec in each.values():
            del spec["pxc"]["replicationChannels"], spec["pxc"]["hookScript"]
            assert "read_only=ON" in spec["pxc"]["configuration"].splitlines()
    assert specs[0] == specs[1]


def test_without_a_primary_nodes_start_as_they_did(pair: Config) -> None:
    for cluster in clusters(run_program(Engine(), pair)).values():
        assert "read_only" not in cluster.spec["pxc"]["configuration"]


@pytest.mark.parametrize("primary", SITES)
def test_both_ends_are_told(primary: str) -> None:
    engine = run_with(primary)
    roles = {
        (site, where): told["role"]
        for site, ends in engine.outputs["replication"].items()
        for where, told in ends.items()
    }
    role = {primary: "primary", OTHER[primary]: "replica"}
    assert roles == {("dc1", "wookie/db-pxc-0"): role["dc1"], ("dc2", "wookie-dr/db-pxc-0"): role["dc2"]}
    follows = {name: [server["follows"] for server in of["servers"]] for name, of in engine.outputs["sites"].items()}
    assert [len(hosts) for hosts in follows[primary]] == [0]
    assert [len(hosts) for hosts in follows[OTHER[primary]]] == [3]
    assert "replication" not in engine.secret_outputs
    assert not {cluster.name for cluster in clusters(engine).values() if cluster.raw["spec"] != cluster.spec}


@pytest.mark.parametrize("primary", SITES)
def test_what_is_refused_is_not_asked_for(primary: str) -> None:
    engine = Engine()

    def refuse(own: PxcClient, *_: Any) -> None:
        assert own.end.site == primary
        raise pulumi.RunError("not yet")

    with pytest.raises(pulumi.RunError, match="not yet"):
        run_program(engine, switchable(primary), hand_over=refuse)
    assert set(clusters(engine)) == {OTHER[primary]}


def test_a_server_that_cannot_be_asked_ends_the_up() -> None:
    def silent(*_: Any) -> None:
        raise OSError("no route to host")

    with pytest.raises(
        pulumi.RunError, match=r"^dc1/wookie: a server cannot be asked \(no route to host\): nothing is"
    ):
        run_program(Engine(), switchable("dc1"), hand_over=silent)
