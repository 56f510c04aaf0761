"""The verbs that the program runs, as it runs them and by hand."""

import sys
from pathlib import Path
from typing import Any

import pulumi
import pytest

from dcmesh import __main__ as command
from dcmesh.databases.pxc_switchover import PxcEnd
from dcmesh.model.certificates import Bundle
from dcmesh.verbs import CHAIN, KUBECONFIG, PRIMARY_KUBECONFIG, REPLICA_KUBECONFIG, ROOTS
from tests.unit.servers import kubeconfig

CLUSTERS = kubeconfig({"here": "http://127.0.0.1:1", "there": "http://127.0.0.1:2"})
Settled = list[tuple[str, str, Bundle]]


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> Settled:
    """What was settled."""
    done: Settled = []
    monkeypatch.setattr("dcmesh.verbs.settle", lambda *what: done.append(what))
    for variable in (KUBECONFIG, CHAIN, ROOTS, "KUBECONFIG"):
        monkeypatch.delenv(variable, raising=False)
    return done


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["dcmesh", *words])
    with pytest.raises(SystemExit) as end:
        command.main()
    code = end.value.code
    assert isinstance(code, int)
    return code


def test_the_program_says_by_the_environment_what_is_to_be_followed(
    settled: Settled, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for variable, text in ((KUBECONFIG, CLUSTERS), (CHAIN, "chain"), (ROOTS, "roots")):
        monkeypatch.setenv(variable, text)
    assert run(monkeypatch, "settle", "dc1") == 0
    assert settled == [("dc1", CLUSTERS, Bundle(chain="chain", root="roots"))]
    assert capfd.readouterr() == ("", "")


def test_by_hand_it_is_what_the_secret_has_in_the_cluster_that_kubectl_would_ask(
    settled: Settled, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = list[str]()

    def held(site: str, kubeconfig: str, chain: str | None, roots: str | None) -> Bundle:
        assert (chain, roots) == (None, None)
        asked.append(kubeconfig)
        return Bundle(chain=site, root="")

    monkeypatch.setattr("dcmesh.verbs.given_or_held", held)
    (tmp_path / "config").write_text(CLUSTERS)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    assert run(monkeypatch, "settle", "dc1", "--context", "there") == 0
    assert settled == [("dc1", asked[0], Bundle(chain="dc1", root=""))]
    assert "127.0.0.1:2" in asked[0]
    assert "127.0.0.1:1" not in asked[0]


def test_a_rollout_is_waited_for_in_the_cluster_that_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[str]()
    monkeypatch.setattr("dcmesh.verbs.wait_for", lambda *what: seen.extend(what))
    monkeypatch.setenv(KUBECONFIG, CLUSTERS)
    assert run(monkeypatch, "wait-for-rollout", "dc1", "wookie", "db") == 0
    assert seen == ["dc1", CLUSTERS, "wookie", "db"]


END = ("db", "3", "dcmesh")


def test_a_switchover_is_finished_between_the_two_clusters_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[Any]()
    monkeypatch.setattr("dcmesh.verbs.see_through", lambda *what, without: seen.extend((*what, without)))
    monkeypatch.setenv(PRIMARY_KUBECONFIG, "of dc2")
    monkeypatch.setenv(REPLICA_KUBECONFIG, "of dc1")
    words = ("--primary", "dc2", "wookie-dr", *END, "--replica", "dc1", "wookie", *END, "--without", "dc1")
    assert run(monkeypatch, "finish-switchover", *words) == 0
    pods = ("db-pxc-0", "db-pxc-1", "db-pxc-2")
    primary, replica = (
        PxcEnd(site=site, kubeconfig=f"of {site}", namespace=namespace, name="db", pods=pods, channel="dcmesh")
        for site, namespace in (("dc2", "wookie-dr"), ("dc1", "wookie"))
    )
    assert seen == [primary, replica, ("of dc2", "of dc1"), "dc1"]


def test_by_hand_both_clusters_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Else both would be the kubeconfig's current one."""
    seen = list[Any]()
    monkeypatch.setattr("dcmesh.verbs.see_through", lambda *what, without: seen.extend((*what, without)))
    for variable in (PRIMARY_KUBECONFIG, REPLICA_KUBECONFIG):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "config").write_text(CLUSTERS)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    words = ("--primary", "dc2", "wookie-dr", *END, "--replica", "dc1", "wookie", *END)
    assert run(monkeypatch, "finish-switchover", *words) == 2
    assert "contexts are missing" in capfd.readouterr().err
    assert seen == []
    assert run(monkeypatch, "finish-switchover", *words, "--contexts", "there", "here") == 0
    assert ["127.0.0.1:2" in text for text in seen[2]] == [True, False]


def test_no_number_of_nodes(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(PRIMARY_KUBECONFIG, "of dc2")
    monkeypatch.setenv(REPLICA_KUBECONFIG, "of dc1")
    few = ("db", "none", "dcmesh")
    words = ("--primary", "dc2", "wookie-dr", *few, "--replica", "dc1", "wookie", *END)
    assert run(monkeypatch, "finish-switchover", *words) == 2
    assert capfd.readouterr() == ("", "'none' is no number of nodes\n")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (pulumi.RunError("dc1: proxies have not followed"), "dc1: proxies have not followed\n"),
        (ConnectionRefusedError("Connection refused"), "dc1: cannot be asked: Connection refused\n"),
    ],
)
def test_what_goes_wrong_is_a_line(
    settled: Settled, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], error: Exception, said: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    for variable in (KUBECONFIG, CHAIN, ROOTS):
        monkeypatch.setenv(variable, "text")
    monkeypatch.setattr("dcmesh.verbs.settle", fail)
    assert run(monkeypatch, "settle", "dc1") == 2
    assert capfd.readouterr() == ("", said)


def test_a_kubeconfig_that_is_not_there(
    settled: Settled, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere/config")
    assert run(monkeypatch, "settle", "dc1") == 2
    said = "the kubeconfig /nowhere/config cannot be read: No such file or directory: check the path\n"
    assert capfd.readouterr() == ("", said)
    assert settled == []
