"""The rest of the lab's pure parts: locks, kubeconfigs, readiness, the command line."""

import datetime
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from types import SimpleNamespace as Object
from typing import Any

import pytest
import yaml

from lab import __main__ as cli
from lab import cluster, kubeadm, kubeconfig, lock, processes, toolchain
from lab.errors import LabError
from lab.network import LabAddresses
from lab.paths import REPOSITORY, SitePaths


def test_a_directory_has_one_holder_and_may_be_removed_by_it(tmp_path: Path) -> None:
    """Threads can stand in for processes here, because a lock belongs to whoever opened the directory."""
    directory = tmp_path / "some" / "site"
    has, release = Event(), Event()

    def hold() -> None:
        with lock.held(directory):
            has.set()
            assert release.wait(10)
            directory.rmdir()

    with ThreadPoolExecutor(1) as threads:
        holder = threads.submit(hold)
        assert has.wait(10)
        waited = []

        def when_waiting() -> None:
            waited.append(True)
            release.set()

        with lock.held(directory, when_waiting):
            assert waited
            assert directory.is_dir()  # This is not the removed directory.
        holder.result()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SitePaths:
    """A site with the kubeconfig that kubeadm makes."""
    monkeypatch.setattr("lab.paths.STATE", tmp_path)
    site = SitePaths("dev", "dc1")
    site.kubeconfigs.mkdir(parents=True)
    made = {
        "clusters": [
            {"name": "x", "cluster": {"server": "https://172.31.1.2:6443", "certificate-authority-data": "Q0E="}}
        ],
        "users": [{"name": "y", "user": {"client-certificate-data": "Q1I=", "client-key-data": "S0VZ"}}],
        "contexts": [{"name": "z", "context": {"cluster": "x", "user": "y"}}],
        "current-context": "z",
    }
    site.kubeconfig("admin").write_text(yaml.safe_dump(made))
    return site


def test_a_kubeconfig_names_the_lab_and_the_site_and_holds_everything(site: SitePaths) -> None:
    config = kubeconfig.of_site(site)
    assert config["current-context"] == "dev-dc1"
    assert config["contexts"] == [{"name": "dev-dc1", "context": {"cluster": "dev-dc1", "user": "dev-dc1"}}]
    assert config["clusters"][0]["cluster"]["server"] == "https://172.31.1.2:6443"
    assert config["users"][0]["user"] == {"client-certificate-data": "Q1I=", "client-key-data": "S0VZ"}


def test_kubeconfigs_are_merged(site: SitePaths) -> None:
    other = SitePaths("dev", "dc2")
    other.kubeconfigs.mkdir(parents=True)
    other.kubeconfig("admin").write_text(site.kubeconfig("admin").read_text())
    merged = kubeconfig.of_sites([site, other])
    assert [context["name"] for context in merged["contexts"]] == ["dev-dc1", "dev-dc2"]
    assert merged["current-context"] == "dev-dc1"
    assert kubeconfig.of_sites([])["contexts"] == []


def test_a_site_that_is_not_there_has_no_kubeconfig(site: SitePaths) -> None:
    with pytest.raises(LabError, match="no site dc9 in lab dev"):
        kubeconfig.of_site(SitePaths("dev", "dc9"))


START = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
LATER, BEFORE = START + datetime.timedelta(seconds=5), START - datetime.timedelta(seconds=5)


@pytest.mark.parametrize(
    ("status", "heartbeat", "ready"),
    [("True", LATER, True), ("True", START, True), ("True", BEFORE, False), ("Unknown", LATER, False)],
)
def test_a_node_is_ready_when_its_kubelet_said_so_since_the_start(
    status: str, heartbeat: datetime.datetime, ready: bool
) -> None:
    condition = Object(type="Ready", status=status, last_heartbeat_time=heartbeat)
    assert cluster._is_ready(Object(status=Object(conditions=[condition])), START) is ready
    assert not cluster._is_ready(Object(status=Object(conditions=None)), START)


@pytest.mark.parametrize(
    ("ready", "running", "serves"),
    [
        ("True", Object(started_at=LATER), True),
        ("True", Object(started_at=BEFORE), False),
        ("True", None, False),
        ("False", Object(started_at=LATER), False),
    ],
)
def test_a_pod_serves_when_it_was_started_since_the_start(ready: str, running: Any, serves: bool) -> None:
    status = Object(
        conditions=[Object(type="Ready", status=ready)],
        container_statuses=[Object(state=Object(running=running))],
    )
    assert cluster._serves(Object(status=status), START) is serves


def test_kubeadm_puts_the_certificates_into_the_site() -> None:
    here = SitePaths("dev", "dc1")
    init, of_cluster = kubeadm.configuration(here, LabAddresses(0).site(1))
    assert init["localAPIEndpoint"] == {"advertiseAddress": "172.31.1.2", "bindPort": 6443}
    assert of_cluster["certificatesDir"] == str(here.pki)
    assert of_cluster["controlPlaneEndpoint"] == "172.31.1.2:6443"
    _, of_cluster = kubeadm.configuration(here, LabAddresses(0).site(1), ["dc1.example"])
    assert of_cluster["apiServer"] == {"certSANs": ["dc1.example"]}


def manifests() -> list[dict[str, Any]]:
    files = sorted((REPOSITORY / "lab" / "manifests").glob("*.yaml"))
    return [document for file in files for document in yaml.safe_load_all(file.read_text())]


def test_the_manifests_agree_with_the_site() -> None:
    named = {(m["kind"], m["metadata"]["name"]): m for m in manifests()}
    assert named["Service", "kube-dns"]["spec"]["clusterIP"] == processes.CLUSTER_DNS
    (container,) = named["Deployment", "coredns"]["spec"]["template"]["spec"]["containers"]
    assert container["image"].endswith(f":v{toolchain.COREDNS}")
    assert processes.CLUSTER_DOMAIN in named["ConfigMap", "coredns"]["data"]["Corefile"]


def test_a_command_for_inside_is_not_read_as_the_lab_s(monkeypatch: pytest.MonkeyPatch) -> None:
    entered: list[Any] = []
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("lab.node.run_inside", lambda site, command: entered.append((site, command)) or 3)
    monkeypatch.setattr("sys.argv", ["lab", "enter", "dc1", "--lab", "x", "--", "ls", "--all", "--", "-l"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 3
    assert entered == [(SitePaths("x", "dc1"), ["ls", "--all", "--", "-l"])]


def test_an_expected_failure_is_one_line(monkeypatch: pytest.MonkeyPatch, site: SitePaths) -> None:
    monkeypatch.setattr("sys.argv", ["lab", "kubeconfig", "dc9"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == "lab: there is no site dc9 in lab dev"


@pytest.mark.parametrize(
    "words",
    [
        ["create"],
        ["create", "Dc1"],
        ["create", "wan"],
        ["delete"],
        ["delete", "dc1", "--all"],
        ["wan", "burn"],
        ["create", "line"],
    ],
)
def test_commands_that_mean_nothing_are_refused(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["lab", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert "usage:" in capsys.readouterr().err
