"""Identity: which cluster a site is on according to the state, and what is refused.

The whole program runs under mocks.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from tests.unit.engine import Engine
from tests.unit.program import Config, existing_cluster, existing_clusters, run_program
from tests.unit.servers import KUBE_SYSTEM, KubernetesAPI

((PATH, NAMESPACE),) = KUBE_SYSTEM.items()
UID = NAMESPACE["metadata"]["uid"]
OTHER = UID.replace("1", "2")

State = dict[str, Any]


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[KubernetesAPI, Path]]:
    """Two clusters, and where their kubeconfigs lie."""
    directory = tmp_path_factory.mktemp("clusters")
    with existing_clusters(directory, "dc1", "dc2") as server:
        yield server, directory


@pytest.fixture(autouse=True)
def server(clusters: tuple[KubernetesAPI, Path], kubeconfigs: Path) -> Iterator[KubernetesAPI]:
    """The clusters' server. Changes of it, or of a kubeconfig, are undone before the next test."""
    server, _ = clusters
    written = {path: path.read_text() for path in kubeconfigs.iterdir()}
    objects = server.objects
    yield server
    server.objects = objects
    for path, text in written.items():
        path.write_text(text)


@pytest.fixture
def kubeconfigs(clusters: tuple[KubernetesAPI, Path]) -> Path:
    _, directory = clusters
    return directory


def sites_on(*clusters: Any) -> Config:
    """Return a stack with a site on each of two clusters, and nothing in it."""
    return {"sites": [{"name": name, "cluster": of} for name, of in zip(("dc1", "dc2"), clusters, strict=True)]}


def on_existing_clusters() -> Config:
    return sites_on(existing_cluster("dc1"), existing_cluster("dc2"))


@pytest.fixture
def stack() -> Config:
    return on_existing_clusters()


def state_of(engine: Engine) -> State:
    """Return the state after a run, in Pulumi's format."""
    found = [resource for resource in engine.asked.values() if "-cluster-" in resource.name]
    return {f"urn::{r.type}::{r.name}": {"type": r.type, "outputs": dict(r.inputs)} for r in found}


def without_identities(state: State) -> State:
    """Return a state as dcmesh 0.1.0 left it."""
    for resource in state.values():
        del resource["outputs"]["clusterIdentifier"]
    return state


@pytest.fixture(scope="module")
def up(clusters: tuple[KubernetesAPI, Path]) -> Engine:
    """The stack after an `up`, for tests that only look at it."""
    return run_program(Engine(), on_existing_clusters())


@pytest.fixture
def before(up: Engine) -> State:
    """The state of the stack after that `up`."""
    return state_of(up)


def refused(stack: Config, state: State) -> list[str]:
    engine = Engine(state=state)
    with pytest.raises(pulumi.RunError) as caught:
        run_program(engine, stack)
    assert not engine.asked
    heading, *lines = str(caught.value).splitlines()
    assert heading == "the configuration is wrong, nothing was changed:"
    return [line.strip() for line in lines]


def exported(monkeypatch: pytest.MonkeyPatch, *resources: dict[str, Any], stderr: str = "") -> list[list[str]]:
    """Fake `pulumi stack export`, and return the commands that are run."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        answer = json.dumps({"version": 3, "deployment": {"resources": resources}})
        return subprocess.CompletedProcess(command, int(bool(stderr)), answer, stderr)

    monkeypatch.setattr("dcmesh.pulumi_cli.subprocess.run", run)
    return commands


def change(kubeconfig: Path, changes: Callable[[dict[str, Any]], None]) -> None:
    whole = yaml.safe_load(kubeconfig.read_text())
    changes(whole)
    kubeconfig.write_text(yaml.safe_dump(whole))


def test_the_provider_is_given_the_identity(up: Engine) -> None:
    providers = up.kind("kubernetes")
    assert [provider.inputs["clusterIdentifier"] for provider in providers] == [UID, UID]


def another_address(whole: dict[str, Any]) -> None:
    whole["clusters"][1]["cluster"]["server"] += "/"


def another_user(whole: dict[str, Any]) -> None:
    whole["users"][0]["user"]["token"] = "new"


def another_server_name(whole: dict[str, Any]) -> None:
    whole["clusters"][1]["cluster"]["tls-server-name"] = "bastion"


CHANGES = [another_address, another_user, another_server_name]


@pytest.mark.parametrize("changes", CHANGES)
def test_a_changed_kubeconfig_leaves_the_identity(
    stack: Config, before: State, kubeconfigs: Path, changes: Callable[[dict[str, Any]], None]
) -> None:
    change(kubeconfigs / "dc1", changes)
    after = state_of(run_program(Engine(state=before), stack))
    changed = [urn for urn in before if before[urn]["outputs"]["kubeconfig"] != after[urn]["outputs"]["kubeconfig"]]
    assert changed == ["urn::pulumi:providers:kubernetes::dc1-cluster-kubernetes"]
    for urn in before:
        assert before[urn]["outputs"]["clusterIdentifier"] == after[urn]["outputs"]["clusterIdentifier"]


def test_another_cluster_is_refused_by_name(stack: Config, before: State, server: KubernetesAPI) -> None:
    before["urn::pulumi:providers:kubernetes::dc1-cluster-kubernetes"]["outputs"]["clusterIdentifier"] = OTHER
    assert refused(stack, before) == [
        'sites[0].cluster: "there" is another cluster than the one that dc1 is on: the UID of its namespace '
        f"kube-system is {UID}, and was {OTHER}. Correct the kubeconfig; if dc1 moves, or was made anew, see "
        'docs/production.md, "Another cluster"'
    ]


def test_of_another_cluster_nothing_else_is_said(stack: Config, before: State, server: KubernetesAPI) -> None:
    server.objects = {PATH: {"metadata": {"uid": OTHER}}}
    assert len(refused(stack, before)) == 2


def test_a_site_on_an_existing_cluster_is_not_made_anew(stack: Config, before: State) -> None:
    stack["sites"][0]["cluster"] = "k3d"
    (line,) = refused(stack, before)
    assert line.startswith('sites[0].cluster: "k3d" is another cluster than the one that dc1 is on: if it moves, see ')


def test_a_site_on_a_made_cluster_stays_on_it(server: KubernetesAPI) -> None:
    made = sites_on("k3d", "k3d")
    state = state_of(run_program(Engine(), made))
    run_program(Engine(state=state), made)
    (line,) = refused(sites_on("k3d", existing_cluster("dc2")), state)
    assert line.startswith('sites[1].cluster: "there" is another cluster than the one that dc2 is on')
    (line,) = refused(sites_on("k3d", {"create": "a", "kubeconfig": "b", "delete": "c"}), state)
    assert line.startswith('sites[1].cluster: "commands" is another cluster than the one that dc2 is on')


# --- a state of dcmesh 0.1.0 -----------------------------------------------------------------------------------------


def test_a_state_without_identities_takes_them_on(
    stack: Config, before: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = exported(monkeypatch, {"urn": "urn::of another", "delete": True}, {"urn": next(iter(before))})
    engine = run_program(Engine(state=without_identities(before)), stack)
    assert [provider.inputs["clusterIdentifier"] for provider in engine.kind("kubernetes")] == [UID, UID]
    assert commands == [["pulumi", "stack", "export", "--stack", "organization/dcmesh/test", "--non-interactive"]]


def test_a_state_with_identities_is_not_exported(stack: Config, before: State, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = exported(monkeypatch)
    run_program(Engine(state=before), stack)
    assert commands == []


@pytest.mark.usefixtures("server")
def test_a_state_without_identities_is_not_left_with_another_address(
    stack: Config, before: State, kubeconfigs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported(monkeypatch)
    old = yaml.safe_load((kubeconfigs / "dc1").read_text())["clusters"][1]["cluster"]["server"]
    change(kubeconfigs / "dc1", another_address)
    change(kubeconfigs / "dc2", another_server_name)
    first, second = refused(stack, without_identities(before))
    assert first == (
        f'sites[0].cluster: "there" has another server than at the last `pulumi up` ({old}), by dcmesh 0.1.0, which '
        "did not know clusters again: run `pulumi up` with the kubeconfig of then, and change it afterwards"
    )
    assert '"there" has another tls-server-name than at the last `pulumi up`' in second


def test_a_state_without_identities_may_have_another_user(
    stack: Config, before: State, kubeconfigs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider replaces nothing because of that, with or without an identity."""
    exported(monkeypatch)
    change(kubeconfigs / "dc1", another_user)
    run_program(Engine(state=without_identities(before)), stack)


def test_a_replacement_that_is_stuck_is_not_gone_on_with(
    stack: Config, before: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the program says, the next `up` would delete the namespaces and call that success."""
    exported(monkeypatch, *({"urn": urn, "delete": True} for urn in before if "::dc2-" in urn))
    assert refused(stack, without_identities(before)) == [
        'sites[1].cluster: "there" would lose namespaces with all that is in them: a replacement of dc2 has failed '
        'half-way. See docs/production.md, "A replacement that is stuck"'
    ]


def test_a_state_that_cannot_be_exported_is_not_taken_for_good(
    stack: Config, before: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported(monkeypatch, stderr="error: no such stack\n")
    assert refused(stack, without_identities(before)) == [
        "sites: the state of organization/dcmesh/test cannot be read: pulumi stack export: no such stack"
    ]
