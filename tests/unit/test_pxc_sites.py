"""Sites with Percona XtraDB Clusters, made by the whole program: the operator, and what source and replica share."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.unit.configurations import stack
from tests.unit.engine import PROJECT, Engine, Resource, readable_strings
from tests.unit.program import Config, existing_cluster, existing_clusters, program_of, run_program, site_of


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
    engine = program_of(pair)
    found = {site_of(operator): operator for operator in operators(engine)}
    assert found.keys() == {"dc1", "dc2"}
    for name, cluster in clusters(engine).items():
        assert {found[name].name, f"{name}-pxc-operator-webhook", f"{name}-istio-istiod"} <= engine.before(cluster.name)
        assert found[name].provider == cluster.provider
        assert found[name].inputs["chart"] == "./charts/pxc-operator"


def test_several_clusters_share_it(pair: Config) -> None:
    pair["sites"][0]["workloads"].append({"kind": "pxc", "namespace": "orders"})
    engine = program_of(pair)
    assert sorted(site_of(operator) for operator in operators(engine)) == ["dc1", "dc2"]
    assert len(engine.kind("PerconaXtraDBCluster")) == 3


def test_a_site_without_clusters_has_none(pair: Config) -> None:
    pair["sites"].append({"name": "dc3", "cluster": "k3d", "workloads": [{"kind": "hello", "namespace": "demo"}]})
    engine = program_of(pair)
    assert {site_of(operator) for operator in operators(engine)} == {"dc1", "dc2"}


def test_the_replica_follows_the_sources_hosts_with_its_password(pair: Config) -> None:
    engine = program_of(pair)
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


def run_with(primary: str) -> Engine:
    return program_of(switchable(primary))


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
    """Otherwise its nodes would be restarted. The operator restarts none because of another hookScript."""
    specs = [{name: cluster.spec for name, cluster in clusters(run_with(primary)).items()} for primary in SITES]
    for each in specs:
        for spec in each.values():
            del spec["pxc"]["replicationChannels"], spec["pxc"]["hookScript"]
            assert "read_only=ON" in spec["pxc"]["configuration"].splitlines()
    assert specs[0] == specs[1]


def test_without_a_primary_nodes_start_as_they_did(pair: Config) -> None:
    for cluster in clusters(program_of(pair)).values():
        assert "read_only" not in cluster.spec["pxc"]["configuration"]


@pytest.mark.parametrize("primary", SITES)
def test_the_output_is_of_the_present_roles(primary: str) -> None:
    engine = run_with(primary)
    follows = {name: [server["follows"] for server in of["servers"]] for name, of in engine.outputs["sites"].items()}
    assert [len(hosts) for hosts in follows[primary]] == [0]
    assert [len(hosts) for hosts in follows[OTHER[primary]]] == [3]
    assert not {cluster.name for cluster in clusters(engine).values() if cluster.raw["spec"] != cluster.spec}


@pytest.mark.parametrize("primary", SITES)
def test_each_change_of_the_primary_waits_for_the_other_to_hand_over(primary: str) -> None:
    found = clusters(engine := run_with(primary))
    names = {site_of(workload): workload.name for workload in engine.kind("Pxc")}
    for site in SITES:
        hooks = found[site].request.hooks
        for request in (hooks.before_create, hooks.before_update):
            assert [one for one in request if one.endswith("-handed-over")] == [f"{names[site]}-handed-over"]


def test_without_a_primary_nobody_hands_over(pair: Config) -> None:
    for cluster in clusters(program_of(pair)).values():
        assert not cluster.request.hooks.before_update


@pytest.mark.parametrize("primary", SITES)
@pytest.mark.parametrize("failover", [{}, {"without": "gone", "at": "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-7"}])
def test_a_switchover_is_finished_when_both_resources_say_who_is_the_primary(
    primary: str, failover: dict[str, str]
) -> None:
    stack = switchable(primary)
    if failover:
        failover = stack["failover"] = {**failover, "without": OTHER[primary]}
    found = clusters(engine := program_of(stack))
    (command,) = [one for one in engine.kind("Command") if one.name.endswith("-switchover")]
    assert {cluster.name for cluster in found.values()} <= engine.before(command.name)
    begun = engine["dc1.wookie-dc2.wookie-dr-switchover-begun"]
    assert (begun.inputs["create"], begun.inputs["update"]) == (":", ":")
    assert begun.inputs["triggers"] == [primary, failover.get("without", ""), failover.get("at", "")]
    assert all(begun.name in engine.before(cluster.name) for cluster in found.values())
    assert command.inputs["triggers"] == [f"id of {begun.name}"], "what was begun and taken back is seen through too"
    words = shlex.split(command.inputs["create"])
    place = {"dc1": ["--site", "dc1/wookie/db"], "dc2": ["--site", "dc2/wookie-dr/db"]}
    told = [*place[primary], *place[OTHER[primary]], "--primary", primary]
    environment = {"DCMESH_KUBECONFIG": primary, "DCMESH_OTHER_KUBECONFIG": OTHER[primary]}
    if failover:
        gone = ["--without", OTHER[primary], "--at", failover["at"]]
        told = [*place[primary], "--other", OTHER[primary], "--primary", primary, *gone]
        del environment["DCMESH_OTHER_KUBECONFIG"]
    assert words[1:] == ["-m", "dcmesh", "switchover", "--kind", "pxc", *told]
    kubeconfigs = engine.outputs["kubeconfigs"]
    assert command.inputs["environment"] == {name: kubeconfigs[site] for name, site in environment.items()}
    assert not [text for text in readable_strings(command.raw) if "secret " in text]


def test_that_a_third_site_is_gone_does_not_matter() -> None:
    stack = switchable("dc1")
    stack["sites"].append({"name": "dc3", "cluster": "k3d", "workloads": [{"kind": "hello", "namespace": "demo"}]})
    stack["failover"] = {"without": "dc3"}
    (command,) = [one for one in program_of(stack).kind("Command") if one.name.endswith("-switchover")]
    assert shlex.split(command.inputs["create"]).count("--site") == 2


def test_what_is_paused_is_not_waited_for() -> None:
    stack = switchable("dc1")
    stack["sites"][1]["workloads"][0]["spec"] = {"pause": True}
    assert not [one for one in program_of(stack).kind("Command") if one.name.endswith("-switchover")]
