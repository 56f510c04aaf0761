"""Kubeconfigs with paths, and several files as one kubeconfig: they are read as kubectl reads them."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dcmesh.config.checks import Configuration, clusters
from dcmesh.config.environment import Environment
from dcmesh.kube.kubeconfig import KubeconfigError, read_kubeconfig
from dcmesh.model.settings import Settings
from dcmesh.stacks import read_stack
from dcmesh.user_files import read_file

Write = Callable[..., Path]


def entries(name: str, user: dict[str, Any], cluster: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "demo"}}],
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}", **cluster}}],
        "users": [{"name": name, "user": user}],
    }


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a kubeconfig into a directory of its own."""

    def write(directory: str, content: dict[str, Any]) -> Path:
        (tmp_path / directory).mkdir(exist_ok=True)
        file = tmp_path / directory / "config"
        file.write_text(yaml.safe_dump(content))
        return file

    return write


def only(paths: str, context: str | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the only user and the only cluster of a reduced kubeconfig."""
    left = yaml.safe_load(read_kubeconfig(paths).only(context))
    (user,), (cluster,) = left["users"], left["clusters"]
    return user["user"], cluster["cluster"]


def data(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


RELATIVE = {"client-certificate": "./pki/tls.crt", "client-key": "pki/tls.key"}


def test_what_a_relative_path_leads_to_is_put_in(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write("home", entries("dc1", RELATIVE, {"certificate-authority": "../ca.crt"}))
    (tmp_path / "ca.crt").write_text("the CA")
    (tmp_path / "home/pki").mkdir()
    (tmp_path / "home/pki/tls.crt").write_text("the certificate")
    (tmp_path / "home/pki/tls.key").write_text("the key")
    monkeypatch.chdir("/")
    whole = ({"client-certificate-data": data("the certificate"), "client-key-data": data("the key")},)
    whole += ({"server": "https://dc1", "certificate-authority-data": data("the CA")},)
    assert only(str(file)) == whole
    monkeypatch.chdir(tmp_path)
    assert only("home/config") == whole, "a relative path of the kubeconfig itself"


def test_what_may_change_or_is_a_program_is_named_by_its_whole_path(write: Write, tmp_path: Path) -> None:
    commands = {"./bin/login": f"{tmp_path}/home/bin/login", "aws": "aws", "/bin/aws": "/bin/aws"}
    for command, found in commands.items():
        user = {"tokenFile": "token", "exec": {"command": command, "args": ["./not-a-path-of-ours"]}}
        file = write("home", entries("dc1", user, {}))
        exec_ = {"command": found, "args": ["./not-a-path-of-ours"]}
        assert only(str(file))[0] == {"tokenFile": str(tmp_path / "home/token"), "exec": exec_}


def test_what_needs_no_directory_stays_to_the_letter(write: Write) -> None:
    """Otherwise the state would differ, and Pulumi would replace the provider and everything made through it."""
    user = {"client-certificate": "/pki/tls.crt", "client-key-data": "a2V5", "token": "t", "tokenFile": "/run/token"}
    content = entries("dc1", user, {"certificate-authority": "/pki/ca.crt", "proxy-url": "http://bastion:3128"})
    assert read_kubeconfig(str(write("home", content))).only(None) == yaml.safe_dump(content)


def test_the_clusters_of_a_large_company_are_read_in_no_time(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML's own scanner takes half a second for a hundred."""
    file = write("home", entries("dc1", {"token": "t"}, {}))
    monkeypatch.delattr("yaml.scanner.Scanner.check_token")
    assert read_kubeconfig(str(file)).contexts == ["dc1"]


def test_data_count_before_a_path(write: Write, tmp_path: Path) -> None:
    file = write("home", entries("dc1", {"client-key": "tls.key", "client-key-data": "a2V5"}, {}))
    (tmp_path / "home/tls.key").write_text("another")
    assert only(str(file))[0] == {"client-key-data": "a2V5"}


def test_of_several_the_first_counts_and_each_has_its_directory(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        write(name, entries("same", {}, {"certificate-authority": "ca.crt"}))
        (tmp_path / name / "ca.crt").write_text(f"the CA of {name}")
    write("two", {**entries("dc2", {}, {"certificate-authority": "ca.crt"}), "current-context": "dc2"})
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/gone:{tmp_path}/one/config:{tmp_path}/two/config")
    found = read_kubeconfig("$KUBECONFIG")
    assert (found.contexts, found.current) == (["same", "dc2"], "same")
    assert only("$KUBECONFIG")[1]["certificate-authority-data"] == data("the CA of one")
    assert only("$KUBECONFIG", "dc2")[1]["certificate-authority-data"] == data("the CA of two")


def test_several_of_which_none_is_there_are_no_kubeconfig(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="is no kubeconfig"):
        read_kubeconfig(f"{tmp_path}/one:{tmp_path}/two")


def test_a_file_that_is_named_and_not_there_is_found_before_anything_is_created(write: Write, tmp_path: Path) -> None:
    """This concerns only files of the context that is used."""
    content = entries("dc1", {"client-key": "tls.key"}, {})
    content["contexts"] += entries("dc2", {}, {})["contexts"]
    content["clusters"] += entries("dc2", {}, {})["clusters"]
    file = str(write("home", content))

    def found(context: str) -> list[str]:
        settings = {"sites": [{"name": "dc1", "cluster": {"kubeconfig": file, "context": context}}]}
        outside = Environment("dcmesh", "dc1", read_stack, read_file)
        return [f.line() for f in clusters.kubeconfigs(Configuration(Settings.model_validate(settings), {}, outside))]

    (line,) = found("dc1")
    assert line.startswith("sites[0].cluster.kubeconfig: ")
    key = tmp_path / "home/tls.key"
    assert line.endswith(f"names the client-key {key}, which cannot be read: No such file or directory")
    assert found("dc2") == []
