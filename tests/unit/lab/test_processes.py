"""The processes of a site, and supervisord's configuration."""

import configparser
import shlex
from pathlib import Path

import pytest
from supervisor.options import ProcessConfig, ServerOptions

from lab import network, processes
from lab.network import LabAddresses
from lab.paths import SitePaths
from lab.processes import Process

SITE = SitePaths("dev", "dc1")
ADDRESSES = LabAddresses(0).site(1)


def programs(*supervised: Process) -> dict[str, configparser.SectionProxy]:
    config = configparser.RawConfigParser()
    config.read_string(processes.supervisor_configuration(list(supervised)))
    return {name.removeprefix("program:"): config[name] for name in config if name.startswith("program:")}


def command(name: str) -> tuple[str, ...]:
    return {p.name: p.command for p in processes.processes(SITE, ADDRESSES)}[name]


def programs_that_supervisord_reads(file: Path, *supervised: Process) -> list[ProcessConfig]:
    file.write_text(processes.supervisor_configuration(list(supervised)))
    options = ServerOptions()
    options.realize(["-c", str(file)])
    return [program for group in options.process_group_configs for program in group.process_configs]


def commands_that_supervisord_reads(file: Path, *supervised: Process) -> dict[str, list[str]]:
    return {one.name: shlex.split(one.command) for one in programs_that_supervisord_reads(file, *supervised)}


def test_supervisord_itself_reads_the_configuration(tmp_path: Path) -> None:
    supervised = processes.processes(SITE, ADDRESSES)
    read = commands_that_supervisord_reads(tmp_path / "supervisord.conf", *supervised)
    assert list(read) == [process.name for process in supervised]
    for process in supervised:
        if not process.waits_for:
            assert read[process.name] == list(process.command)


def test_all_processes_collect_garbage_late(tmp_path: Path) -> None:
    supervised = processes.processes(SITE, ADDRESSES)
    read = programs_that_supervisord_reads(tmp_path / "supervisord.conf", *supervised)
    assert [program.environment for program in read] == [{"GOGC": "300"}] * len(supervised)


def test_each_process_has_its_log_and_is_kept_up() -> None:
    for name, program in programs(*processes.processes(SITE, ADDRESSES)).items():
        assert program["stdout_logfile"] == f"/var/log/{name}.log"
        assert program["redirect_stderr"] == program["autorestart"] == "true"
        assert program["stdout_logfile_maxbytes"] == "20MB"


def test_processes_that_need_the_api_wait_to_be_started() -> None:
    started = {name for name, p in programs(*processes.processes(SITE, ADDRESSES)).items() if p["autostart"] == "true"}
    assert started == {"containerd", "etcd", "kube-apiserver", "kubelet"}


def test_a_command_with_odd_characters_survives(tmp_path: Path) -> None:
    odd = ("run", "100%", "a b", "%(here)s", "it's", "a;b")
    read = commands_that_supervisord_reads(tmp_path / "supervisord.conf", Process("odd", odd))
    assert read == {"odd": list(odd)}


def test_a_process_that_waits_for_a_socket_becomes_its_program() -> None:
    (program,) = programs(Process("late", ("run", "a b"), waits_for="/run/x.sock")).values()
    shell, flag, script = shlex.split(program["command"])
    assert (shell, flag) == ("sh", "-c")
    assert script.startswith("until test -S /run/x.sock;")
    assert script.endswith("exec run 'a b'")


def test_every_path_is_the_site_s_own() -> None:
    own = (str(SITE.state), "/run/", "/var/log/")
    flags = [word.partition("=")[2] for p in processes.processes(SITE, ADDRESSES) for word in p.command]
    paths = [flag for flag in flags if flag.startswith("/")]
    assert paths
    assert not [path for path in paths if not path.startswith(own)]


@pytest.mark.parametrize("lab", ["dev", "other"])
def test_two_labs_share_no_path(lab: str) -> None:
    texts = [*(w for p in processes.processes(SitePaths(lab, "dc1"), ADDRESSES) for w in p.command)]
    texts += [str(processes._kubelet(SitePaths(lab, "dc1"))), processes._containerd(SitePaths(lab, "dc1"))]
    other = {"dev": "other", "other": "dev"}[lab]
    assert any(f"/{lab}/dc1" in text for text in texts)
    assert not any(f"/{other}/dc1" in text for text in texts)


def test_the_api_is_served_at_the_node_s_address() -> None:
    assert "--advertise-address=172.31.1.2" in command("kube-apiserver")
    assert "--node-ip=172.31.1.2" in command("kubelet")
    assert command("load-balancer")[-10:] == ADDRESSES.load_balancer


def test_the_volumes_go_with_the_site() -> None:
    assert SITE.state in Path(command("volumes")[-1]).parents


def test_ranges_agree() -> None:
    assert f"--service-cluster-ip-range={network.SERVICES}" in command("kube-apiserver")
    assert processes._kube_proxy(SITE)["clusterCIDR"] == network.PODS
    assert processes._cni()["plugins"][0]["ipam"]["ranges"] == [[{"subnet": network.PODS}]]
    assert processes._kubelet(SITE)["clusterDNS"] == [processes.CLUSTER_DNS]
