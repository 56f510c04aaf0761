"""pxc_hold.sh decides when a starting node of a primary may be opened. Here it asks fake servers."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from components.databases.pxc import HOLD_SCRIPT
from dcmesh.databases.pxc_cluster import PASSWORDS, PROMISED
from dcmesh.databases.pxc_cluster import REPLICA as REPLICAS
from dcmesh.kube.pods import MARK

THEIRS = ("theirs-0", "theirs-1", "theirs-2")
SISTERS = ("own-1", "own-2")
RECOVERY = "recovery-case"
"""The file that a node has while it waits for recovery."""

OPEN, REPLICA, STARTED = "Read_Only: 0\n  Replica: 0\n", "Read_Only: 1\n  Replica: 1\n", "Read_Only: 1\n  Replica: 0\n"
"""Answers of a server that takes writes, of one that was told to be a replica, and of one that has just started."""

MYSQL = r"""#!/bin/sh
for option; do
  case $option in
    --host=*) host=${option#--host=} ;;
    --user=*) user=${option#--user=} ;;
    --execute=*) statements=${option#--execute=} ;;
    --vertical) vertical=yes ;;
  esac
done
echo "$user@$host $statements" >>"$SERVERS/told"
case $statements in *\\*) vertical= ;; esac
[ "$vertical" ] || { echo "ERROR at line 1: Unknown command" >&2; exit 1; }
[ -e "$SERVERS/$host" ] || { echo "ERROR 2003 (HY000): Can't connect to MySQL server on '$host' (111)" >&2; exit 1; }
while IFS= read -r line || [ "$line" ]; do
  printf '%s\n' "$line"
  case $line in ERROR*) failed=yes ;; esac
done <"$SERVERS/$host"
[ ! "$failed" ]
"""
"""The client. A server's answer to any question is the content of a file with the server's name.

It refuses client commands such as `\\G`, as MySQL's client does from 9 on. It starts no other program, to be quick:
each look asks several servers.
"""


def own(*, read_only: bool, events: str = "OFF", mark: int = 0, up_for: int = 100) -> str:
    lines = (
        f"Read_Only: {int(read_only)}",
        f"   Events: {events}",
        f"     Mark: {mark}",
        "*** 1. row ***",
        "Variable_name: Uptime",
        f"        Value: {up_for}",
    )
    return "\n".join(("*** 1. row ***", *lines)) + "\n"


@dataclass
class Node:
    """A node, and the servers that it asks."""

    directory: Path
    role: str = " ".join(("primary", "dc2", *THEIRS))
    events: str = "ON"
    says: dict[str, str] = field(default_factory=dict)

    def looks(self, *then: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return for each look whether the node may be opened, and what was printed.

        Args:
            then: the servers' answers at each further look, 15 seconds later; empty for a server that is gone.
        """
        servers, passwords = self.directory / "servers", self.directory / "passwords"
        for made in (servers, passwords, self.directory / "container"):
            made.mkdir()
        for user in ("monitor", "operator", "replication"):
            (passwords / user).write_text("secret")
        client = self.directory / "mysql"
        client.write_text(MYSQL)
        client.chmod(0o755)
        (self.directory / "hook.sh").write_text(f"# dcmesh: {self.role}\necho something else\n")
        for host, said in self.says.items():
            (servers / host).write_text(said)
        functions = HOLD_SCRIPT.partition("\nwhile :;")[0]
        script = (
            functions.replace("/pod/tmp/", f"{self.directory}/")
            .replace("=/tmp/", f"={self.directory}/container/")
            .replace(PASSWORDS, str(passwords))
            .replace("/etc/dcmesh/role", str(self.directory))
        )
        look = 'look() { if free; then touch "$FREE"; echo "= free"; else rm -f "$FREE"; echo "= held"; fi; }'
        looks = [look, "look"]
        for changes in then:
            for host, said in changes.items():
                file = self.directory / RECOVERY if host == RECOVERY else servers / host
                looks.append(f"printf '%s' '{said}' >{file}" if said else f"rm {file}")
            looks += ["SECONDS=$((SECONDS + 15))", "look"]
        environment = {
            "PATH": f"{self.directory}:/usr/bin:/bin",
            "SERVERS": str(servers),
            "SISTERS": " ".join(SISTERS),
            "EVENTS": self.events,
        }
        done = subprocess.run(
            ["bash", "-c", "\n".join((script, *looks))], capture_output=True, text=True, check=True, env=environment
        )
        assert done.stderr == ""
        found, words = [], ""
        for line in done.stdout.splitlines():
            if line.startswith("= "):
                found.append((line[2:], words))
                words = ""
            else:
                assert line.startswith(MARK), "otherwise the status does not read it"
                words += line.removeprefix(MARK)
        return found

    def again(self) -> "Node":
        """Return the same node with a container that has just restarted."""
        self.directory = self.directory / "again"
        self.directory.mkdir()
        return waiting_to_be_recovered(replace(self, says={**self.says, "127.0.0.1": ""}))

    def told(self, user: str) -> list[str]:
        lines = (self.directory / "servers/told").read_text().splitlines()
        return [line.partition(" ")[2] for line in lines if line.startswith(f"{user}@")]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A primary's node that has started. The other site's nodes are read-only."""
    return Node(tmp_path, says={"127.0.0.1": own(read_only=True), **dict.fromkeys(THEIRS, REPLICA)})


def verdicts(looks: list[tuple[str, str]]) -> list[str]:
    return [verdict for verdict, _ in looks]


def test_it_may_when_the_other_site_has_said_for_a_while_that_it_is_a_replica(node: Node) -> None:
    assert verdicts(node.looks({})) == ["held", "free"]
    asked = "SELECT @@GLOBAL.read_only AS Read_Only, @@GLOBAL.dcmesh_replica.key_buffer_size = 65536 AS Replica"
    assert node.told("replication") == [asked] * 6, "and not one that has promised to take over"


def test_the_while_begins_anew_when_the_other_site_is_silent(node: Node) -> None:
    away, back = dict.fromkeys(THEIRS, ""), dict.fromkeys(THEIRS, REPLICA)
    assert verdicts(node.looks(away, back, {})) == ["held", "held", "held", "free"]


def test_the_while_begins_anew_with_each_start_of_the_server(node: Node) -> None:
    """What the other site said before it took over no longer counts."""
    started = {"127.0.0.1": own(read_only=True, up_for=1)}
    assert verdicts(node.looks({}, {"127.0.0.1": ""}, started, {})) == ["held", "free", "held", "held", "free"]


def test_one_open_node_of_the_other_site_holds_it(node: Node) -> None:
    """This also holds if a node of its own cluster is open: that one is wrong, and one wrong node is enough."""
    node.says |= {"theirs-1": OPEN, "own-1": OPEN}
    said = "read-only: dc2 takes writes, and both may not. Run `pulumi up` with `primary: dc2`"
    assert node.looks({}) == [("held", said), ("held", "")]


UNTIL = (
    "{what} until dc2 says that it is a replica (its nodes: {said}). If it is gone, set failover.without to dc2 and "
    "run `pulumi up`"
)


@pytest.mark.parametrize("answering", [0, 1])
def test_a_silent_site_holds_it_and_what_to_do_is_said(node: Node, answering: int) -> None:
    for host in THEIRS[answering:]:
        del node.says[host]
    said = ", ".join(["replica"] * answering + ["ERROR 2003"] * (3 - answering))
    assert node.looks({}) == [("held", UNTIL.format(what="read-only", said=said)), ("held", "")]


def test_why_the_other_site_does_not_say_it_is_told_by_the_errors_number_alone(node: Node) -> None:
    node.says |= dict(zip(THEIRS, (OTHER_PASSWORD, STARTED, "run pulumi destroy"), strict=True))
    assert node.looks() == [("held", UNTIL.format(what="read-only", said="ERROR 1045, closed, silent"))]


@pytest.mark.parametrize(
    "answer", ["", STARTED, "Read_Only: 1\n", "Read_Only: 1\n  Replica: 10\n", "Read_Only: $(touch run)\n"]
)
def test_what_does_not_say_replica_holds_it(node: Node, answer: str) -> None:
    node.says |= dict.fromkeys(THEIRS, answer)
    assert verdicts(node.looks({})) == ["held", "held"]
    assert not Path("run").exists()


def test_a_node_that_joins_an_open_cluster_needs_no_other_site(node: Node) -> None:
    for host in THEIRS:
        del node.says[host]
    node.says["own-2"] = OPEN
    assert verdicts(node.looks()) == ["free"]


def test_a_replicas_node_asks_nobody(node: Node) -> None:
    node.role = "replica"
    assert node.looks() == [("free", "this node answers")]
    assert node.told("replication") == []


def test_it_stays_free_when_its_operator_closes_it(node: Node) -> None:
    node.says["127.0.0.1"] = own(read_only=False)
    taken_over = {"127.0.0.1": own(read_only=True, up_for=102), "theirs-0": OPEN}
    assert verdicts(node.looks(taken_over)) == ["free", "free"]


def test_it_is_held_again_when_its_server_has_started_anew(node: Node) -> None:
    node.says["127.0.0.1"] = own(read_only=False, up_for=1000)
    started = {"127.0.0.1": own(read_only=True, up_for=1), "theirs-0": OPEN}
    assert verdicts(node.looks({"127.0.0.1": ""}, started)) == ["free", "held", "held"]


TOO_MANY, OTHER_PASSWORD = "ERROR 1040 (HY000): Too many connections", "ERROR 1045 (28000): Access denied for user"


@pytest.mark.parametrize("answer", [" ", TOO_MANY, OTHER_PASSWORD], ids=("slow", "busy", "another password"))
def test_an_open_node_that_cannot_be_asked_stays_free(node: Node, answer: str) -> None:
    for host in THEIRS:
        del node.says[host]
    node.says["127.0.0.1"] = own(read_only=False)
    silent = {"127.0.0.1": answer}
    assert verdicts(node.looks(silent, {}, {})) == ["free"] * 4


def test_one_that_cannot_be_asked_is_not_let_go_for_that(node: Node) -> None:
    node.says["127.0.0.1"] = TOO_MANY
    assert verdicts(node.looks({}, {})) == ["held"] * 3


def test_an_open_node_needs_nobody(node: Node) -> None:
    """It needs neither the other site, nor another node, nor its role, even if its container has just started."""
    node.says = {"127.0.0.1": own(read_only=False)}
    node.role = ""
    assert verdicts(node.looks({})) == ["free", "free"]


def test_a_node_that_does_not_know_its_role_is_held(node: Node) -> None:
    node.role = ""
    assert verdicts(node.looks({}, {})) == ["held"] * 3


def waiting_to_be_recovered(node: Node) -> Node:
    del node.says["127.0.0.1"]
    (node.directory / RECOVERY).touch()
    return node


def test_one_that_waits_to_be_recovered_is_ready_as_its_operator_wants_it(node: Node) -> None:
    waits = ("free", "this node waits to be recovered")
    assert waiting_to_be_recovered(node).looks({}) == [("held", ""), waits]
    node.role = "replica"
    assert node.again().looks() == [waits]


def test_it_is_not_recovered_while_the_other_site_takes_writes(node: Node) -> None:
    """A recovered node is open at once, because it is ready before anybody can look."""
    node.says["theirs-2"] = OPEN
    said = "not recovered: dc2 takes writes, and both may not. Run `pulumi up` with `primary: dc2`"
    assert waiting_to_be_recovered(node).looks({}) == [("held", said), ("held", "")]
    node.says |= dict.fromkeys(THEIRS, "")
    said = UNTIL.format(what="not recovered", said="silent, silent, silent")
    assert node.again().looks({}) == [("held", said), ("held", "")]


def test_it_is_held_again_when_the_other_site_takes_over_before_it_is_recovered(node: Node) -> None:
    assert verdicts(waiting_to_be_recovered(node).looks({}, {"theirs-0": OPEN})) == ["held", "free", "held"]


def test_once_recovered_it_is_asked_for_anew(node: Node) -> None:
    recovered = {RECOVERY: "", "127.0.0.1": own(read_only=True, up_for=1)}
    assert verdicts(waiting_to_be_recovered(node).looks({}, {**recovered, "theirs-0": OPEN})) == [
        "held",
        "free",
        "held",
    ]


def test_a_server_that_runs_does_not_wait_to_be_recovered(node: Node) -> None:
    """The file survives when the pod's containers die."""
    (node.directory / RECOVERY).touch()
    node.says["theirs-0"] = OPEN
    assert verdicts(node.looks({})) == ["held", "held"]


@pytest.mark.parametrize(
    ("read_only", "now", "wanted", "told"),
    [
        (False, "OFF", "ON", ["ON"]),
        (False, "ON", "ON", []),
        (True, "ON", "ON", ["OFF"]),
        (True, "OFF", "ON", []),
        (False, "OFF", "", []),
        (False, "DISABLED", "ON", []),
    ],
)
def test_events_run_on_open_nodes_alone(node: Node, *, read_only: bool, now: str, wanted: str, told: list[str]) -> None:
    node.says["127.0.0.1"] = own(read_only=read_only, events=now)
    node.events = wanted
    node.looks()
    assert node.told("operator") == [f"SET GLOBAL event_scheduler = {said}" for said in told]


@pytest.mark.parametrize(
    ("role", "now", "told"),
    [
        ("replica", 0, ["65536"]),
        ("replica", REPLICAS, []),
        ("replica", PROMISED, []),
        ("primary", REPLICAS, ["0"]),
        ("primary", PROMISED, ["0"]),
        ("primary", 0, []),
        ("", REPLICAS, ["0"]),
    ],
)
def test_a_replicas_server_is_marked_and_a_primarys_is_not(node: Node, role: str, now: int, told: list[str]) -> None:
    """A primary whose other site is gone asks nobody, and gets no mark either. A promise to take over stays."""
    node.role = role
    node.says["127.0.0.1"] = own(read_only=True, mark=now)
    node.looks()
    assert node.told("operator") == [f"SET GLOBAL dcmesh_replica.key_buffer_size = {said}" for said in told]


def test_it_ends_at_once_when_its_pod_does() -> None:
    running = subprocess.Popen(
        ["bash", "-c", HOLD_SCRIPT.replace("/tmp/", "/nonexistent/")],  # noqa: S108
        env={"PATH": "/usr/bin:/bin", "SISTERS": "", "EVENTS": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert running.stdout
    assert running.stdout.readline().startswith(MARK.encode()), "it has looked, and is about to wait"
    running.terminate()
    assert running.wait(timeout=10) is not None
