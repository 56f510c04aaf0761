"""The questions for an XtraDB cluster, and how its answers are read."""

from typing import Any

import pytest

from dcmesh.databases import pxc_cluster
from dcmesh.databases.mysql_gtids import MysqlRows
from dcmesh.databases.pxc_cluster import PROMISED, Node, PxcCluster, Resource
from dcmesh.databases.switchover import Channel, End, NoAnswer, NotSilent

X, Y = (f"{n}e11fa47-71ca-11e1-9e33-c80aa9429562" for n in "34")


def resource(**nodes: Any) -> dict[str, Any]:
    return {"metadata": {"generation": 2}, "spec": {"pxc": {"size": 3, **nodes}}, "status": {"observedGeneration": 2}}


def channels(*, source: bool) -> list[dict[str, Any]]:
    return [{"name": "dcmesh", "isSource": source}]


@pytest.mark.parametrize("source", [True, False])
def test_a_resource(*, source: bool) -> None:
    found = resource(replicationChannels=channels(source=source))
    assert Resource.parse(found) == Resource(source=source, observed=True, nodes=3, channel="dcmesh")


@pytest.mark.parametrize("nodes", [{}, {"replicationChannels": []}])
def test_one_without_channels_is_open(nodes: dict[str, Any]) -> None:
    assert Resource.parse(resource(**nodes)).source


@pytest.mark.parametrize("status", [{}, {"observedGeneration": 1}])
def test_one_that_its_operator_has_not_noted(status: dict[str, Any]) -> None:
    assert not Resource.parse({**resource(), "status": status}).observed


ANSWER = f"""*** 1. row ***
 Read_Only: 1
    Events: OFF
      Mark: 65536
*** 1. row ***
             Replica_IO_State: Waiting
                  Source_Host: db-pxc-0.db-pxc.wookie
           Replica_IO_Running: Connecting
          Replica_SQL_Running: Yes
                Last_IO_Errno: 2003
                Last_IO_Error: it is away
               Last_SQL_Errno: 0
           Retrieved_Gtid_Set: {X}:6-8
            Executed_Gtid_Set: {X}:1-7,
{Y}:1
*** 1. row ***
Gtid_Position: {X}:1-7,{Y}:1
Read_Only: 1
"""


def test_a_node() -> None:
    assert Node.parse(ANSWER) == Node(
        read_only=True,
        events=False,
        mark=65536,
        rows=MysqlRows.parse(f"{X}:1-7,{Y}:1"),
        channel=Channel(receives=False, applies=True, error=2003, idle=False),
    )


@pytest.mark.parametrize(
    ("old", "new", "closed"),
    [
        ("", "", True),
        ("Read_Only: 1", "Read_Only: 0", False),
        ("Read_Only: 1", "Read_Only: maybe", False),
        ("Events: OFF", "Events: ON", False),
        ("Events: OFF", "Events: DISABLED", True),
        ("    Events: OFF\n", "", False),
    ],
)
def test_what_does_not_say_so_is_not_closed(old: str, new: str, *, closed: bool) -> None:
    assert Node.parse(ANSWER.replace(old, new) if old else ANSWER).closed == closed


def test_one_that_follows_nobody() -> None:
    assert Node.parse(f"Mark: 0\nGtid_Position: {X}:1-7\nRead_Only: 0\nEvents: ON\n").channel is None


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The commands that were run, with their containers. `says` has their answers."""
    found = list[dict[str, Any]]()

    def run_in(_: object, **where: Any) -> str:
        found.append(where)
        if isinstance(cluster_says[0], Exception):
            raise cluster_says[0]
        return str(cluster_says[0])

    monkeypatch.setattr(pxc_cluster, "run_in", run_in)
    monkeypatch.setattr(pxc_cluster, "custom_object", lambda *_: resource())
    return found


cluster_says: list[str | Exception] = [""]


@pytest.fixture
def cluster(ran: list[dict[str, Any]]) -> PxcCluster:
    return PxcCluster(End(site="dc1", namespace="wookie", name="db", kubeconfig=""), object())  # type: ignore[arg-type]


def test_a_node_is_asked_in_its_own_pod_and_the_writer_by_the_proxy(
    cluster: PxcCluster, ran: list[dict[str, Any]]
) -> None:
    cluster_says[0] = ANSWER
    assert cluster.node(2) == cluster.writer()
    assert [(where["namespace"], where["pod"], where["container"]) for where in ran] == [
        ("wookie", "db-pxc-2", "pxc"),
        ("wookie", "db-pxc-0", "pxc"),
    ]
    assert ["--host=127.0.0.1 --user=monitor " in where["command"][-1] for where in ran] == [True, False]
    assert "--host=db-haproxy --user=monitor " in ran[1]["command"][-1]


def test_a_value_a_line_is_asked_for_without_commands_of_the_clients(
    cluster: PxcCluster, ran: list[dict[str, Any]]
) -> None:
    r"""MySQL's client from 9 on refuses commands such as `\G`."""
    cluster_says[0] = f"{ANSWER}Value: 1\n"
    cluster.node(2)
    cluster.idle_events(1)
    cluster.drop_channel(2, "dcmesh")
    commands = [where["command"][-1].partition(" --host=") for where in ran]
    assert all(before.endswith(" --vertical") for before, *_ in commands)
    assert not any("\\" in after for *_, after in commands)


def test_its_rows_are_asked_for_after_the_rest() -> None:
    question = pxc_cluster.NODE_QUESTION
    assert question.index("@@GLOBAL.read_only AS Read_Only") < question.index("gtid_executed")
    assert "\n" not in question


def test_what_it_is_told(cluster: PxcCluster, ran: list[dict[str, Any]]) -> None:
    cluster_says[0] = ""
    cluster.mark(1, PROMISED)
    cluster.unmark(1, PROMISED)
    cluster.start_channel("dcmesh")
    cluster.drop_channel(2, "dcmesh")
    told = [where["command"][-1].partition("--user=operator --execute=")[2] for where in ran]
    assert told == [
        "'SET GLOBAL dcmesh_replica.key_buffer_size = 131072'",
        "'SET GLOBAL dcmesh_replica.key_buffer_size = IF(@@GLOBAL.dcmesh_replica.key_buffer_size = 131072, 65536, "
        "@@GLOBAL.dcmesh_replica.key_buffer_size)'",
        """'START REPLICA FOR CHANNEL '"'"'dcmesh'"'"''""",
        """'STOP REPLICA FOR CHANNEL '"'"'dcmesh'"'"'; RESET REPLICA ALL FOR CHANNEL '"'"'dcmesh'"'"''""",
    ]


@pytest.mark.parametrize(("count", "idle"), [("0", False), ("2", True)])
def test_events_of_other_servers_are_idle(
    cluster: PxcCluster, ran: list[dict[str, Any]], count: str, *, idle: bool
) -> None:
    cluster_says[0] = f"Value: {count}\n"
    assert cluster.idle_events(3) == idle
    assert f"ORIGINATOR NOT IN ({count}, {count}, {count})" in ran[-1]["command"][-1]


@pytest.mark.parametrize(
    ("says", "kind", "reason"),
    [
        (OSError("no route to host"), NoAnswer, "db-pxc-0: no route to host"),
        (ChildProcessError("ERROR 2003 (HY000): no (111)"), NoAnswer, "db-pxc-0: error 2003"),
        (ChildProcessError("container not found"), NoAnswer, "db-pxc-0: container not found"),
        (ChildProcessError("ERROR 1040 (08004): Too many"), NotSilent, "db-pxc-0: error 1040"),
        (ANSWER.replace("Mark: 65536", "Mark: $(rm)"), NotSilent, "it says what cannot be: Mark is $(rm)"),
        (ANSWER.replace("Mark: 65536", "Read_Only: 0"), NotSilent, "it contradicts itself: Read_Only is 1 and 0"),
        (ANSWER.replace(f"n: {X}:1-7", "n: run this"), NotSilent, "these are no GTIDs"),
    ],
)
def test_what_is_no_answer(cluster: PxcCluster, says: str | Exception, kind: type[NoAnswer], reason: str) -> None:
    """A cluster that exists must not be taken for one that is gone."""
    cluster_says[0] = says
    with pytest.raises(NoAnswer) as caught:
        cluster.node(0)
    assert (type(caught.value), str(caught.value)) == (kind, reason)


def test_a_resource_that_is_asked_for(cluster: PxcCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    found = cluster.resource()
    assert found
    assert found.nodes == 3
    monkeypatch.setattr(pxc_cluster, "custom_object", lambda *_: None)
    assert cluster.resource() is None

    def fail(*_: object) -> None:
        raise ConnectionRefusedError("Connection refused")

    monkeypatch.setattr(pxc_cluster, "custom_object", fail)
    with pytest.raises(NoAnswer, match="its API: Connection refused"):
        cluster.resource()


@pytest.mark.parametrize("status", ["True", "False"])
def test_whether_a_pod_is_ready(cluster: PxcCluster, monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    asked = list[str]()

    def read(_: object, path: str) -> dict[str, Any]:
        asked.append(path)
        return {"status": {"conditions": [{"type": "Ready", "status": status}]}}

    monkeypatch.setattr("dcmesh.kube.pods.read", read)
    assert cluster.ready(1) == (status == "True")
    assert asked == ["/api/v1/namespaces/wookie/pods/db-pxc-1"]
