"""The part's measurements: in each round, each peer joins new clusters on which a database runs already."""

import json
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.clusters import clusters
from bench.data_path import direct
from bench.data_path.database import Pair
from bench.data_path.figures import NEAR, QUERY, REPLICA_SERVER, percentile_of
from bench.data_path.processes import process_of
from bench.data_path.run import keeper, stream
from bench.data_path.sysbench import Sysbench, Target
from bench.data_path.ways import Way, servers
from bench.failures import Failed, Failures
from bench.peers.dcmesh import Dcmesh
from bench.peers.figures import (
    BALANCERS,
    CUT,
    GATEWAY_LOSS,
    MEMORY,
    OBJECTS,
    PAIR,
    POD_RESTART,
    RESTARTS,
    ROOT_ROTATION,
    SET_UP,
    STEPS,
    UNANSWERED,
)
from bench.peers.haproxy import HaProxy
from bench.peers.multi_primary import MultiPrimary
from bench.peers.peer import REPLICA, SOURCE, Peer
from bench.samples import Recorder, Sample
from bench.setup import helm
from dcmesh.model.link import MYSQL_PORT
from tests.e2e.toolbox import Database, Kubectl, Lab, eventually
from tests.faults.stage import Site, kill

LAB = "peers"
MOST_ROUNDS = 2
"""A round makes six clusters and takes ten minutes."""

PEERS: tuple[type[Peer], ...] = (Dcmesh, MultiPrimary, HaProxy)

PROBE = """
import os, socket, sys, time
last = time.time()
while os.path.exists("/proc/" + sys.argv[3]) and time.time() - last < 30:
    said = b""
    try:
        with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1) as connection:
            connection.settimeout(1)
            said = connection.recv(5)
    except OSError:
        pass
    if len(said) == 5:
        last = time.time()
        print(last, flush=True)
    time.sleep(0.05)
"""
"""Asks for the server's greeting on new connections, and prints when it came. It ends with the process whose network it
uses, because another pod may have taken its place, and when no greeting has come for long."""

ROW = "INSERT INTO bench.small (text) VALUES ('')"
HAS_IT = "SELECT MASTER_GTID_WAIT('{position}', 1)"
"""A row of the source, and whether the replica has it."""

LONG = 300.0
"""Seconds that anything may take until the database answers again."""


def run(record: Recorder, rounds: int) -> None:
    """Measure. If a peer fails, the others are measured all the same.

    Raises:
        RuntimeError: a peer has failed.
    """
    helm.directory()  # which is built once, and not while clusters run
    MultiPrimary.lab = LAB
    failures = Failures()
    for number in range(1, min(rounds, MOST_ROUNDS) + 1):
        for kind in PEERS:
            with (
                failures.noted(f"{kind.name}, round {number}"),
                TemporaryDirectory(prefix="peers-") as name,
                clusters(LAB, Path(name)) as sites,
            ):
                measure(kind(sites, Path(name)), sites, Path(name), record, number, failures)
    failures.tell()


def measure(
    peer: Peer, sites: Mapping[str, Kubectl], directory: Path, record: Recorder, number: int, failures: Failures
) -> None:
    """Set a peer up, use it, and break its parts."""

    def note(metric: str, unit: str, value: float, case: str = PAIR) -> None:
        record(Sample(metric=metric, unit=unit, way=peer.name, case=case, round=number, value=value))

    tls, password = direct.certificate("bench"), secrets.token_hex(16)
    dc1, dc2 = sites["dc1"], sites["dc2"]
    dc1.apply(*direct.objects(direct.arguments(SOURCE, "dc1", source=None, password=password), tls))
    direct.rolled_out(dc1, SOURCE)
    before = dc1.get("pod", "db-0", SOURCE)["metadata"]["uid"]
    namespace, *rest = direct.objects(
        direct.arguments(REPLICA, "dc2", source=direct.behind(peer.host), password=password, sidecar=peer.sidecar),
        tls,
    )
    dc2.apply(namespace)

    begun = time.monotonic()
    peer.set_up()
    note(SET_UP, "s", time.monotonic() - begun)
    note(STEPS, "", peer.steps)
    note(OBJECTS, "", peer.objects)
    note(BALANCERS, "", peer.balancers())
    note(RESTARTS, "", float(dc1.get("pod", "db-0", SOURCE)["metadata"]["uid"] != before))

    dc2.apply(*rest)
    direct.rolled_out(dc2, REPLICA)
    lab = Lab(LAB)
    with closing(Pair(Site("dc1", SOURCE, lab, dc1), Site("dc2", REPLICA, lab, dc2))) as pair:
        pair.prepare(password)
        sysbench = Sysbench(directory, password=password, tls=tls)
        way = way_of(peer, pair)
        sysbench.prepare(way.target)
        keep = keeper(record, peer.name, PAIR, number)
        stream(way, NEAR, keep)
        pair.applied()
        pair.clear()
        for percent, value in sysbench.queries(way.target, seconds=NEAR.seconds).items():
            keep(percentile_of(QUERY, percent), "ms", value)
        with failures.noted(f"memory of {peer.name}, round {number}"):
            note(MEMORY, "B", memory(sites.values()))
    for fault, action in faults(peer).items():
        gap, cut = broken(peer, sites, action)
        note(UNANSWERED, "s", gap, fault)
        note(CUT, "", float(cut), fault)


def way_of(peer: Peer, pair: Pair) -> Way:
    """Return the way from the replica's pod to the address of the database's name."""
    processes = servers(pair)
    target = Target(process=processes[REPLICA_SERVER][0], host=address_of(peer, pair.replica), port=MYSQL_PORT)
    return Way(name=peer.name, pair=pair, target=target, processes=processes)


def address_of(peer: Peer, replica: Site) -> str:
    """Return the address that the replica's pod finds under the database's name."""
    return replica.exec("db-0", "mariadb", "getent", "ahostsv4", peer.host).split()[0]


def memory(sites: Iterable[Kubectl]) -> float:
    """Return the working sets of everything except databases and Kubernetes itself, from kubelet's last figures."""
    total = 0.0
    for kubectl in sites:
        (node,) = kubectl.names("nodes")
        # Without what kubelet would also say of disks, which it may not know on the lab.
        path = f"/api/v1/nodes/{node}/proxy/stats/summary?only_cpu_and_memory=true"
        total += working_sets(json.loads(kubectl("get", "--raw", path))["pods"])
    return total


def working_sets(pods: Iterable[Mapping[str, Any]]) -> float:
    """Return the working sets of everything except databases and Kubernetes itself.

    Raises:
        ValueError: kubelet does not know those of a container that runs.
    """
    total = 0.0
    for pod in pods:
        others = [of for of in pod.get("containers", ()) if of["name"] != "mariadb"]
        for of in others if pod["podRef"]["namespace"] != "kube-system" else ():
            if "workingSetBytes" not in of.get("memory", {}):
                raise ValueError(f"kubelet does not know the memory of {of['name']} of {pod['podRef']['name']}")
            total += of["memory"]["workingSetBytes"]
    return total


def faults(peer: Peer) -> dict[str, Callable[[], object]]:
    """Return the faults that are made for each peer."""
    dc1 = peer.sites["dc1"]

    def restart() -> None:
        dc1("delete", "pod", "db-0", "--namespace", SOURCE)
        direct.rolled_out(dc1, SOURCE)

    def lose() -> None:
        namespace, label = peer.gateway()
        site, where = Site("dc1", namespace, Lab(LAB), dc1), ("--namespace", namespace, "--selector", label)
        pods = json.loads(dc1("get", "pods", *where, "--output", "json"))["items"]
        # A pod that is deleted goes on for a while, even by force.
        kill([pid for pod in pods for pid in site.processes(pod)])

    return {POD_RESTART: restart, GATEWAY_LOSS: lose, ROOT_ROTATION: peer.rotate}


def broken(peer: Peer, sites: Mapping[str, Kubectl], action: Callable[[], object]) -> tuple[float, bool]:
    """Make a fault. Return the longest time without an answer in seconds, and whether the replica was cut off."""
    source, replica = Database(sites["dc1"], SOURCE, "db-0"), Database(sites["dc2"], REPLICA, "db-0")
    eventually("the replica follows", replica.follows, within=LONG)
    begun = time.time()
    with answers(peer, Site("dc2", REPLICA, Lab(LAB), sites["dc2"])) as seen:
        eventually("the database answers", lambda: bool(seen))
        action()
        done = time.time()
        eventually("the database answers again", lambda: seen[-1] > done, within=LONG)
        position = eventually("the source writes", lambda: written(source), within=LONG)
        # A connection that is dead may still seem to be there: a row does not come by it.
        ask = HAS_IT.format(position=position)
        eventually("the replica has the row", lambda: replica(ask, check=False) == "0", within=LONG)
        ages = eventually("the source has a replica", lambda: dump_ages(source), within=LONG)
        cut = min(ages) < time.time() - begun - 1
    return max(later - one for one, later in pairwise(seen)), cut


def written(source: Database) -> str:
    """Write a row. Return the source's position after it, or nothing if it does not answer."""
    return source(f"{ROW}; SELECT @@GLOBAL.gtid_binlog_pos", check=False)


def dump_ages(source: Database) -> list[float]:
    """Return for how many seconds each connection has been there to which the source sends its log."""
    ask = "SELECT time FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'"
    return [float(age) for age in source(ask, check=False).split()]


@contextmanager
def answers(peer: Peer, replica: Site) -> Iterator[list[float]]:
    """Ask on new connections from the replica's pod while the block runs. Yield the times of the answers."""
    seen, ended = list[float](), threading.Event()

    def ask() -> None:
        while not ended.is_set():
            try:
                client = process_of(replica, REPLICA, "db-0", "mariadbd")
                target = (address_of(peer, replica), str(MYSQL_PORT), str(client))
            except (Failed, ValueError, IndexError, AssertionError, OSError):  # The pod is missing, or no server runs.
                continue
            command = ["nsenter", f"--target={client}", "--net", "--", sys.executable, "-c", PROBE, *target]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asking:
                for line in asking.stdout or ():
                    seen.append(float(line))
                    if ended.is_set():
                        asking.terminate()
                        break

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        yield seen
    finally:
        ended.set()
        asker.join()
