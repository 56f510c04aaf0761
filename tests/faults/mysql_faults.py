"""The faults of MySQL behind Percona's operator."""

from lab.record import Wan
from tests.e2e.test_pxc import PODS
from tests.e2e.toolbox import eventually

from .faults import KILLED, KUBELET, SHORT_CUT, Bounds, Fault, Mark, gateway_killed, gateways_killed, kill_pods, wan_cut
from .mysql_stage import FIRST, NODES
from .stage import SOURCE, Stage, kill

PROVES = (
    "components/databases/pxc.py",
    "components/mesh/egress_*.py",
    "components/mesh/gateway_termination*.py",
    "dcmesh/model/pxc.py",
    "lab/pxc_standin/*",
    "tests/faults/mysql_stage.py",
    "tests/faults/stage.py",
)


def followed(stage: Stage) -> str:
    """Return the source that the replica's channel has; empty if this node has no channel."""
    asked = "SELECT HOST FROM performance_schema.replication_connection_configuration"
    return stage.replica.sql(asked, FIRST).partition(".")[0]


def source_gone(stage: Stage, mark: Mark) -> None:
    """Its node takes no pods until the channel has another source."""
    assert followed(stage) == FIRST
    site = stage.source
    pids = site.processes(site.pod(FIRST))
    (node,) = site.kubectl("get", "nodes", "--output", "jsonpath={.items[*].metadata.name}").split()
    site.kubectl("cordon", node)
    try:
        mark.begins()
        kill(pids)
        site.kubectl("delete", "pod", FIRST, "--namespace", SOURCE, "--force", "--grace-period=0")
        eventually("the channel has another source", lambda: followed(stage) not in ("", FIRST), within=120)
        stage.caught_up()
    finally:
        site.kubectl("uncordon", node)
    eventually("it is back", lambda: site.well(SOURCE, NODES, len(PODS)), within=180)


def replica_killed(stage: Stage, mark: Mark) -> None:
    kill_pods(stage.replica, [stage.replica.pod(FIRST)], mark)


RETRY = "then 3 attempts, 10 s apart"

MYSQL_FAULTS = (
    Fault(
        name="first source gone",
        how=f"{KILLED.format(f'{FIRST} in dc1')}. A new pod gets no node until the channel has another source",
        do=source_gone,
        bounds=Bounds(
            noticed=5, stall=75, resumed=75, why=f"the connection ends at once; {RETRY}; then the next source"
        ),
        proves=PROVES,
    ),
    Fault(
        name="replica killed",
        how=f"{KILLED.format(f'{FIRST} in dc2')}. It ran the channel",
        do=replica_killed,
        bounds=Bounds(
            noticed=5,
            stall=120,
            resumed=150,
            why=f"{KUBELET}, InnoDB recovers, the operator has the channel there again",
        ),
        proves=PROVES,
    ),
    Fault(
        name="gateway pod killed, one of two",
        how=KILLED.format("the pod of dc1 that the channel goes through"),
        do=gateway_killed,
        bounds=Bounds(
            noticed=5, stall=40, resumed=40, why=f"the other pod takes over once the Service has forgotten it; {RETRY}"
        ),
        proves=PROVES,
    ),
    Fault(
        name="all gateway pods killed",
        how=KILLED.format("both pods of dc1"),
        do=gateways_killed,
        bounds=Bounds(noticed=5, stall=75, resumed=75, why=f"{KUBELET}; {RETRY}, and the next source"),
        proves=PROVES,
    ),
    Fault(
        name=f"WAN cut for {SHORT_CUT} s, packets lost",
        how="`lab wan cut`",
        do=wan_cut(Wan.DROP, SHORT_CUT),
        bounds=Bounds(
            noticed=20,
            stall=SHORT_CUT + 45,
            resumed=45,
            why=f"replica_net_timeout is 15 s; {RETRY}, and the next source",
        ),
        proves=PROVES,
    ),
)
