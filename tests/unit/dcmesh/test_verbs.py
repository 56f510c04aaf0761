"""The verbs that the program runs, as it runs them and by hand."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pulumi
import pytest

from dcmesh import __main__ as command
from dcmesh.databases.switchover import End
from dcmesh.model.certificates import Bundle
from dcmesh.model.switchover import Switchover
from dcmesh.verbs import CHAIN, DOMAIN, KUBECONFIG, OTHER_KUBECONFIG, ROOTS
from tests.unit.servers import kubeconfig

CLUSTERS = kubeconfig({"here": "http://127.0.0.1:1", "there": "http://127.0.0.1:2"})
Settled = list[tuple[str, str, Bundle, str | None]]


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> Settled:
    """The sites that were settled."""
    done: Settled = []
    monkeypatch.setattr("dcmesh.trust.rotation.settle", lambda *what: done.append(what))
    for variable in (KUBECONFIG, CHAIN, ROOTS, DOMAIN, "KUBECONFIG"):
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
    for variable, text in ((KUBECONFIG, CLUSTERS), (CHAIN, "chain"), (ROOTS, "roots"), (DOMAIN, "dc1.mesh")):
        monkeypatch.setenv(variable, text)
    assert run(monkeypatch, "settle", "dc1") == 0
    assert settled == [("dc1", CLUSTERS, Bundle(chain="chain", root="roots"), "dc1.mesh")]
    assert capfd.readouterr() == ("", "")


def test_by_hand_it_is_what_the_secret_has_in_the_cluster_that_kubectl_would_ask(
    settled: Settled, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = list[str]()

    def held(site: str, kubeconfig: str, chain: str | None, roots: str | None) -> Bundle:
        assert (chain, roots) == (None, None)
        asked.append(kubeconfig)
        return Bundle(chain=site, root="")

    monkeypatch.setattr("dcmesh.trust.rotation.given_or_held", held)
    (tmp_path / "config").write_text(CLUSTERS)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    assert run(monkeypatch, "settle", "dc1", "--context", "there") == 0
    assert settled == [("dc1", asked[0], Bundle(chain="dc1", root=""), None)]
    assert "127.0.0.1:2" in asked[0]
    assert "127.0.0.1:1" not in asked[0]


def test_a_rollout_is_waited_for_in_the_cluster_that_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[str]()
    monkeypatch.setattr("dcmesh.kube.rollout.wait_for", lambda *what, say: seen.extend(what))
    monkeypatch.setenv(KUBECONFIG, CLUSTERS)
    assert run(monkeypatch, "wait-for-rollout", "dc1", "wookie", "db") == 0
    assert seen == ["dc1", CLUSTERS, "wookie", "db"]


def test_a_verb_imports_what_it_alone_needs() -> None:
    """A verb runs for every site or database that an `up` changes, so its start must be fast."""
    others = ("dcmesh.config", "dcmesh.databases", "dcmesh.trust", "kubernetes.client.models.v1_pod")
    program = "import sys, dcmesh.verbs, dcmesh.kube.rollout"
    program += f"; sys.exit([name for name in {others} if name in sys.modules] or 0)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# --- switchover ------------------------------------------------------------------------------------------------------

PAIR = ("--site", "dc1/wookie/db", "--site", "dc2/wookie-dr/db")
LOST = ("--site", "dc2/wookie-dr/db", "--other", "dc1", "--without", "dc1", "--at", "0-1-7")


class Switched:
    """The switchovers that were made, or that would be made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ends: list[End] = []
        self.other = ""
        self.wanted: list[Switchover] = []
        self.foreseen: list[Switchover] = []
        self.possible = True
        monkeypatch.setattr("dcmesh.databases.mariadb_server.sides_of", self.sides_of)
        monkeypatch.setattr("dcmesh.databases.switchover.switch_over", self.switch_over)
        monkeypatch.setattr("dcmesh.databases.switchover_dry_run.foreseen", self.foresee)

    @contextmanager
    def sides_of(self, ends: list[End], other: str) -> Iterator[str]:
        self.ends, self.other = ends, other
        yield "sides"

    def switch_over(self, switchover: Switchover, sides: str, say: Callable[[str], None]) -> None:
        self.wanted.append(switchover)
        say("dc1: is read-only, at 0-1-5\x1b[2J")

    def foresee(self, switchover: Switchover, sides: str) -> tuple[list[str], bool]:
        self.foreseen.append(switchover)
        return ["dc1: is read-only, at 0-1-5\x1b[2J"], self.possible


@pytest.fixture
def switched(monkeypatch: pytest.MonkeyPatch) -> Switched:
    monkeypatch.setenv(KUBECONFIG, "of one")
    monkeypatch.setenv(OTHER_KUBECONFIG, "of the other")
    return Switched(monkeypatch)


def test_a_pair_is_brought_to_its_roles_in_the_clusters_that_are_given(
    switched: Switched, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "switchover", "--primary", "dc2", *PAIR) == 0
    assert switched.ends == [
        End(site="dc1", namespace="wookie", name="db", kubeconfig="of one"),
        End(site="dc2", namespace="wookie-dr", name="db", kubeconfig="of the other"),
    ]
    assert (switched.other, switched.wanted, switched.foreseen) == ("", [Switchover(primary="dc2")], [])
    assert capfd.readouterr() == ("", "dc1: is read-only, at 0-1-5\\x1b[2J\n"), "Pulumi shows it there meanwhile"


def test_of_one_site_the_other_is_named(switched: Switched, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "switchover", "--primary", "dc2", *LOST) == 0
    assert switched.ends == [End(site="dc2", namespace="wookie-dr", name="db", kubeconfig="of one")]
    assert (switched.other, switched.wanted) == ("dc1", [Switchover(primary="dc2", without="dc1", at="0-1-7")])


@pytest.mark.parametrize(("options", "shown"), [((), ["switching over"]), (("--dry-run",), [])])
def test_on_a_terminal_databases_are_shown_to_be_asked_until_the_switchover_says_something(
    switched: Switched,
    monkeypatch: pytest.MonkeyPatch,
    waited_for: list[str],
    options: tuple[str, ...],
    shown: list[str],
) -> None:
    assert run(monkeypatch, "switchover", "--primary", "dc2", *PAIR, *options) == 0
    assert waited_for == ["asking the databases", *shown]


@pytest.mark.parametrize("possible", [True, False])
def test_a_dry_run_says_what_would_be_and_does_nothing(
    switched: Switched, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], possible: bool
) -> None:
    switched.possible = possible
    assert run(monkeypatch, "switchover", "--primary", "dc2", *PAIR, "--dry-run") == (0 if possible else 2)
    assert (switched.wanted, switched.foreseen) == ([], [Switchover(primary="dc2")])
    said, wrong = capfd.readouterr()
    assert said == "nothing is changed; this would be said:\ndc1: is read-only, at 0-1-5\\x1b[2J\n"
    assert wrong == ("" if possible else "it would be refused\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("dc2", "--site", "dc2/wookie-dr"), "--site is SITE/NAMESPACE/NAME\n"),
        (("dc2", "--site", "dc2//db"), "--site is SITE/NAMESPACE/NAME\n"),
        (("dc2", "--site", "dc2/wookie-dr/db"), "name two sites: --site twice, or once beside --other\n"),
        (("dc2", "--site", "dc2/w/db", "--other", "dc2"), "name two sites: --site twice, or once beside --other\n"),
        (("dc2", *PAIR, "--other", "dc3"), "name two sites: --site twice, or once beside --other\n"),
        (("dc1", *LOST[:4], "--context", "a", "--context", "b"), "--context is given more often than --site\n"),
        (("dc3", *PAIR), "--primary is one of the two sites, and --without can only be that of --other\n"),
        (
            ("dc2", *PAIR, "--without", "dc1"),
            "--primary is one of the two sites, and --without can only be that of --other\n",
        ),
        (("dc1", *LOST), "--primary is one of the two sites, and --without can only be that of --other\n"),
    ],
)
def test_what_is_no_pair_is_not_switched(
    switched: Switched,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    said: str,
) -> None:
    assert run(monkeypatch, "switchover", "--primary", *words) == 2
    assert capfd.readouterr() == ("", said)
    assert not switched.wanted


def test_by_hand_the_contexts_say_which_cluster_is_which(
    switched: Switched, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for variable in (KUBECONFIG, OTHER_KUBECONFIG):
        monkeypatch.delenv(variable)
    (tmp_path / "config").write_text(CLUSTERS)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    assert run(monkeypatch, "switchover", "--primary", "dc2", *PAIR, "--context", "there") == 2
    assert "contexts are missing" in capfd.readouterr().err
    assert run(monkeypatch, "switchover", "--primary", "dc2", *PAIR, "--context", "there", "--context", "here") == 0
    assert ["127.0.0.1:2" in end.kubeconfig for end in switched.ends] == [True, False]
    assert run(monkeypatch, "switchover", "--primary", "dc2", *LOST) == 0
    assert ["127.0.0.1:1" in end.kubeconfig for end in switched.ends] == [True], "its current one"


# --- and of XtraDB clusters ------------------------------------------------------------------------------------------


def test_of_xtradb_clusters_the_same_words_say_the_same(switched: Switched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcmesh.databases.pxc_server.pxc_sides", switched.sides_of)
    monkeypatch.setattr("dcmesh.databases.mariadb_server.sides_of", None)
    assert run(monkeypatch, "switchover", "--kind", "pxc", "--primary", "dc2", *PAIR) == 0
    ends: list[Any] = switched.ends
    assert ends == [
        End(site="dc1", namespace="wookie", name="db", kubeconfig="of one"),
        End(site="dc2", namespace="wookie-dr", name="db", kubeconfig="of the other"),
    ]
    assert run(monkeypatch, "switchover", "--kind", "pxc", "--primary", "dc2", *LOST, "--dry-run") == 0
    assert (switched.other, switched.wanted) == ("dc1", [Switchover(primary="dc2")])
    assert switched.foreseen == [Switchover(primary="dc2", without="dc1", at="0-1-7")]


def test_a_kind_that_does_not_change_roles_is_none(switched: Switched, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "switchover", "--kind", "postgres", "--primary", "dc2", *PAIR) == 3
    assert not switched.wanted


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
    monkeypatch.setattr("dcmesh.trust.rotation.settle", fail)
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
