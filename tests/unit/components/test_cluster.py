"""Cluster: the provider, and the command lines that make and remove clusters, really run with stand-ins."""

import shlex
import subprocess
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from components.cluster import (
    Cluster,
    ClusterArgs,
    Commands,
    Existing,
    K3d,
    Lifecycle,
    commands_lifecycle,
    k3d_lifecycle,
)
from tests.unit.configurations import ROOT
from tests.unit.engine import ANSWERS, KUBECONFIG, Engine, readable_strings

# This behaves as k3d does: log and kubeconfig go to stdout, and deleting a missing cluster succeeds.
FAKE_K3D = """
echo "$*" >> calls
case "$1 $2" in
"cluster get") [ -e "cluster $3" ] || { echo "FATA no cluster" >&2; exit 1; }; echo "NAME SERVERS" ;;
"cluster create") echo "INFO creating"; [ ! -e broken ] || exit 7; touch "cluster $3" ;;
"cluster delete") echo "INFO deleting"; rm -f "cluster $3" ;;
"kubeconfig get") [ -e "cluster $3" ] || exit 9; echo "kubeconfig of $3" ;;
*) exit 64 ;;
esac
"""

MINE = Commands(
    create="echo making; echo create >> calls\n[ ! -e broken ] || exit 7; touch 'cluster mine' # it is there now",
    kubeconfig="[ -e 'cluster mine' ] || exit 9; echo kubeconfig >> calls; echo kubeconfig of dcmesh-dev-dc1",
    delete="echo removing # it all\n[ ! -e stuck ] || exit 3\nrm -f 'cluster mine'",
)
"""A user's commands, with comments, several lines, and output on stdout."""


class Shell:
    """Runs command lines as pulumi-command does."""

    def __init__(self, directory: Path, lifecycle: Callable[[], Lifecycle]) -> None:
        self.directory = directory
        self.lifecycle = lifecycle

    def run(self, verb: str) -> subprocess.CompletedProcess[str]:
        line = getattr(self.lifecycle(), verb)
        return subprocess.run(["/bin/sh", "-c", line], cwd=self.directory, capture_output=True, text=True, check=False)

    def calls(self) -> list[str]:
        return (self.directory / "calls").read_text().splitlines()

    def break_create(self) -> None:
        (self.directory / "broken").touch()


@pytest.fixture(params=["k3d", "commands"])
def shell(
    request: pytest.FixtureRequest,
    executable: Callable[[str, str], Path],
    tmp_path: Path,
) -> Shell:
    executable("k3d", FAKE_K3D)
    if request.param == "k3d":
        return Shell(tmp_path, lambda: k3d_lifecycle(K3d(name="dcmesh-dev-dc1")))
    return Shell(tmp_path, lambda: commands_lifecycle(MINE))


def test_create_prints_the_kubeconfig_alone(shell: Shell) -> None:
    made = shell.run("create")
    assert (made.returncode, made.stdout) == (0, "kubeconfig of dcmesh-dev-dc1\n")


def test_create_may_be_run_again(shell: Shell) -> None:
    assert shell.run("create").stdout == shell.run("create").stdout


def test_create_that_fails_prints_no_kubeconfig(shell: Shell) -> None:
    shell.break_create()
    made = shell.run("create")
    assert (made.returncode, made.stdout) == (7, "")
    assert not [call for call in shell.calls() if call.startswith("kubeconfig")]


def test_delete_removes_the_cluster_and_prints_nothing(shell: Shell) -> None:
    shell.run("create")
    gone = shell.run("delete")
    assert (gone.returncode, gone.stdout) == (0, "")
    assert not list(shell.directory.glob("cluster *"))


def test_delete_without_a_cluster_succeeds(shell: Shell) -> None:
    assert shell.run("delete").returncode == 0


def test_failure_to_delete_is_not_hidden(shell: Shell, executable: Callable[[str, str], Path]) -> None:
    executable("k3d", "exit 3")
    (shell.directory / "stuck").touch()
    assert shell.run("delete").returncode == 3


@pytest.mark.parametrize("shell", ["k3d"], indirect=True)
def test_k3d_cluster_that_stands_is_not_made_again(shell: Shell) -> None:
    shell.run("create")
    shell.run("create")
    assert len([call for call in shell.calls() if call.startswith("cluster create")]) == 1


@pytest.mark.parametrize("shell", ["k3d"], indirect=True)
def test_k3d_leads_the_hosts_port_to_the_gateway_and_leaves_the_users_kubeconfig_alone(shell: Shell) -> None:
    shell.lifecycle = lambda: k3d_lifecycle(K3d(name="dc2", gateway_port=15444))
    shell.run("create")
    (create,) = [call for call in shell.calls() if call.startswith("cluster create dc2 ")]
    assert "--port 15444:15443@loadbalancer" in create
    assert "--kubeconfig-update-default=false" in create
    assert "--disable=traefik@server:0" in create


@pytest.mark.parametrize("shell", ["k3d"], indirect=True)
@pytest.mark.parametrize("verb", ["create", "delete"])
def test_names_reach_the_programs_whole(shell: Shell, verb: str) -> None:
    odd = "a b; touch c $(touch d)"
    shell.lifecycle = lambda: k3d_lifecycle(K3d(name=odd))
    assert shell.run(verb).returncode == 0
    assert not (shell.directory / "c").exists()
    assert not (shell.directory / "d").exists()


def test_the_labs_stack_file_and_the_lab_understand_each_other() -> None:
    from lab.__main__ import _parser  # It is imported here, so that a broken lab fails only this test.

    for site in yaml.safe_load((ROOT / "Pulumi.lab.yaml").read_text())["config"]["dcmesh:sites"]:
        for verb in ("create", "kubeconfig", "delete"):
            program, words = site["cluster"][verb].split(" -m lab ")
            understood = _parser().parse_args(shlex.split(words))
            assert (program, understood.site, understood.lab) == ("venv/bin/python", site["name"], "dev")
            assert words.startswith(f"{verb} ")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (K3d(name="dc1"), K3d(name="dc2")),
        (K3d(name="dc1", gateway_port=15443), K3d(name="dc1", gateway_port=15444)),
    ],
)
def test_another_k3d_cluster_has_another_identity(one: K3d, other: K3d) -> None:
    assert k3d_lifecycle(one).identity != k3d_lifecycle(other).identity


@pytest.mark.parametrize("silent", ["true", "false | cat", "echo"])
def test_a_kubeconfig_that_is_empty_is_none(shell: Shell, silent: str) -> None:
    """Pulumi's provider would use the shell's cluster instead."""
    shell.lifecycle = lambda: commands_lifecycle(replace(MINE, kubeconfig=silent))
    done = shell.run("create")
    assert (done.returncode, done.stdout) == (1, "")
    assert "cluster.kubeconfig has printed nothing" in done.stderr


def test_commands_that_exit_early_do_not_skip_the_rest(shell: Shell) -> None:
    shell.lifecycle = lambda: commands_lifecycle(replace(MINE, create=f"{MINE.create}; exit 0"))
    assert shell.run("create").stdout == "kubeconfig of dcmesh-dev-dc1\n"


def test_what_is_printed_of_other_contexts_is_left_out(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    both = yaml.safe_dump(kubeconfig("prod", "test", current="test"))
    monkeypatch.setitem(ANSWERS, "command:local:Command", {"stdout": both})
    made(engine, MINE)
    assert "prod" not in engine.one("kubernetes").inputs["kubeconfig"]


def test_what_a_printed_kubeconfig_names_is_read_where_the_program_runs(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = kubeconfig("test", current="test")
    whole["clusters"][0]["cluster"]["certificate-authority"] = "ca.crt"
    (tmp_path / "ca.crt").write_text("authority")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(ANSWERS, "command:local:Command", {"stdout": yaml.safe_dump(whole)})
    made(engine, MINE)
    (cluster,) = yaml.safe_load(engine.one("kubernetes").inputs["kubeconfig"])["clusters"]
    assert b64decode(cluster["cluster"]["certificate-authority-data"]) == b"authority"


@pytest.mark.parametrize("printed", ["all is well", "[]", "{}"])
def test_what_is_no_kubeconfig_is_refused(engine: Engine, monkeypatch: pytest.MonkeyPatch, printed: str) -> None:
    monkeypatch.setitem(ANSWERS, "command:local:Command", {"stdout": printed.replace("{", "{{").replace("}", "}}")})
    with pytest.raises(pulumi.RunError, match=r"dc1: what cluster\.kubeconfig prints is no kubeconfig"):
        made(engine, MINE)


def test_a_cluster_that_is_no_throw_away_is_protected_and_a_lost_one_left_alone(engine: Engine) -> None:
    made(engine, MINE, protect=True, lost=True)
    request = engine.one("Command").request
    assert (request.protect, list(request.ignoreChanges)) == (True, ["*"])


def test_commands_of_another_text_make_the_same_cluster() -> None:
    """The commands are changed in place, and nothing in the cluster is replaced."""
    before, after = (commands_lifecycle(Commands(create=text, kubeconfig="b", delete="c")) for text in ("a", "d"))
    assert before.identity == after.identity
    assert before.create != after.create


BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@pytest.fixture
def boot(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Boot the machine, which gives it another boot ID."""
    read = Path.read_text

    def into(boot_id: str) -> None:
        monkeypatch.setattr(Path, "read_text", lambda path: f"{boot_id}\n" if path == BOOT_ID else read(path))

    return into


def test_after_a_reboot_commands_run_again_and_the_cluster_is_the_same(boot: Callable[[str], None]) -> None:
    commands = []
    for boot_id in ("one", "two"):
        boot(boot_id)
        engine, _ = made(Engine(), MINE)
        commands.append(engine.one("Command").inputs)
    before, after = commands
    assert [command.pop("environment") for command in commands] == [{"RUNNING_SINCE": "one"}, {"RUNNING_SINCE": "two"}]
    assert before == after, "another trigger would replace the cluster"
    assert before["update"] == before["create"], "the environment differs, so this runs"


def test_a_reboot_is_nothing_to_k3d(boot: Callable[[str], None]) -> None:
    """Docker starts its containers again."""
    lifecycles = []
    for boot_id in ("one", "two"):
        boot(boot_id)
        lifecycles.append(k3d_lifecycle(K3d(name="dc1")))
    assert lifecycles[0] == lifecycles[1]


def made(engine: Engine, source: K3d | Commands | Existing, **more: bool) -> tuple[Engine, Cluster]:
    clusters: list[Cluster] = []
    engine.run(lambda: clusters.append(Cluster("dc1-cluster", ClusterArgs(site="dc1", source=source, **more))))
    return engine, clusters[0]


@pytest.mark.parametrize("source", [K3d(name="dc1"), MINE])
def test_made_cluster_gives_its_kubeconfig_to_the_provider(engine: Engine, source: K3d | Commands) -> None:
    made(engine, source)
    command, provider = engine.one("Command"), engine.one("kubernetes")
    assert provider.inputs["kubeconfig"] == KUBECONFIG.format(command.name)
    assert provider.inputs["clusterIdentifier"] == f"id of {command.name}"
    assert "context" not in provider.inputs
    assert provider.inputs["enableSecretMutable"] == "true"
    assert provider.inputs["enableConfigMapMutable"] == "true"


@pytest.mark.parametrize("source", [K3d(name="dc1"), MINE])
def test_cluster_command(engine: Engine, source: K3d | Commands) -> None:
    made(engine, source)
    command = engine.one("Command")
    assert {"stdout", "stderr"} <= set(command.secret_outputs)
    assert command.request.deleteBeforeReplace
    # Stdout is the kubeconfig: it must neither be logged nor stand in the environment of the next run.
    assert command.inputs["logging"] == "stderr"
    assert command.inputs["addPreviousOutputInEnv"] is False
    assert command.inputs["update"] == command.inputs["create"]


@pytest.mark.parametrize("path", ["{home}/config", "~/config", "$PLACE/config", "${{PLACE}}/config"])
def test_existing_cluster_is_used_by_its_kubeconfig_and_context(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PLACE", str(tmp_path))
    (tmp_path / "config").write_text(yaml.safe_dump(kubeconfig("prod", "test", current="test")))
    _, cluster = made(engine, Existing(kubeconfig=path.format(home=tmp_path), context="prod"))
    assert not engine.kind("Command")
    assert cluster.made_by is None
    provider = engine.one("kubernetes")
    assert yaml.safe_load(provider.inputs["kubeconfig"]) == kubeconfig("prod", current="prod")
    assert provider.inputs["context"] == "prod"
    assert not [text for text in readable_strings(provider.raw) if "token" in text]


def kubeconfig(*names: str, current: str) -> dict[str, Any]:
    """Return a kubeconfig with a context for each cluster."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": current,
        "contexts": [{"name": n, "context": {"cluster": f"cluster-{n}", "user": f"user-{n}"}} for n in names],
        "clusters": [{"name": f"cluster-{n}", "cluster": {"server": f"https://{n}"}} for n in names],
        "users": [{"name": f"user-{n}", "user": {"token": f"token of {n}"}} for n in names],
    }


def test_of_a_kubeconfig_its_current_context_is_the_default(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(yaml.safe_dump(kubeconfig("prod", "test", current="test")))
    made(engine, Existing(kubeconfig=str(tmp_path / "config")))
    assert yaml.safe_load(engine.one("kubernetes").inputs["kubeconfig"]) == kubeconfig("test", current="test")
