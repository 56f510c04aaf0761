"""The faults. Each has a name, a way to make it, a check that it took place, and bounds for its cost."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lab import network, wan
from lab.record import Wan
from tests.e2e.toolbox import eventually

from .figures import Figures
from .stage import GATEWAY, HOST, REPLICA, SOURCE, Site, Stage, kill

CUT = 60
"""Seconds for which soak cuts the WAN."""

SHORT_CUT = 30
"""Seconds for which CI cuts the WAN.

It is long enough that the bound is exceeded if the gateway keeps silent connections.

The gateway ends a connection whose peer has been silent for 15 s. If it did not, the connection would last until TCP's
next try to send. TCP tries about 27 and 54 s after the beginning of a cut. That is 24 s after the end of this cut, but
only 7 s after the end of a cut of 20 s.
"""

ISTIOD_AWAY = 120
"""Seconds for which an istiod is away."""

IDLE_TIMEOUT = 5
"""Seconds of silence after which proxies end a connection, for the last faults."""

SILENCE = 4 * IDLE_TIMEOUT
"""Seconds for which the channel is idle."""

CERTIFICATE_LIFE = 60
"""Seconds for which a workload's certificate is valid in the last faults. It is renewed after half of them."""


@dataclass
class Mark:
    """When a fault began and ended."""

    begin: float = 0
    end: float = 0

    def begins(self) -> None:
        """Mark the beginning. If no end is marked, the fault is over at once."""
        self.begin = self.end = time.time()

    def ends(self) -> None:
        self.end = time.time()


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a fault may cost at most, in seconds.

    Attributes:
        noticed: until the replica says that it is not connected; None if it must stay connected all the time.
        writer_break: for which the writer commits nothing.
        stall: for which the replica gets no new row.
        resumed: from the fault's end until rows arrive; None if they must arrive all the time.
        why: the reason for the bounds.
    """

    noticed: float | None
    writer_break: float = 10
    stall: float
    resumed: float | None
    why: str


def beyond(cost: Figures, bounds: Bounds) -> list[str]:
    """Return the bounds that a fault exceeded."""
    found = [
        f"{what} {seconds:.1f} s, at most {bound} s"
        for what, seconds, bound in (
            ("noticed after", cost.noticed, bounds.noticed),
            ("writer's break", cost.writer_break, bounds.writer_break),
            ("stall", cost.stall, bounds.stall),
            ("resumed after", cost.resumed, bounds.resumed),
        )
        if seconds is not None and bound is not None and seconds > bound
    ]
    if (cost.noticed is None and not cost.unseen) != (bounds.noticed is None):
        found.append("the replica lost its connection" if bounds.noticed is None else "the replica noticed nothing")
    return found


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault.

    Attributes:
        name: the fault's name in the document.
        how: what is done.
        do: makes the fault, marks its beginning and end, and asserts that it took place.
        bounds: what the fault may cost.
        paused: whether the writer pauses while the fault lasts.
        short_lived: whether the fault needs short time-outs and short-lived certificates in the proxies.
        proves: globs of the files that the fault proves, if it belongs to soak. CI runs the faults without globs.
    """

    name: str
    how: str
    do: Callable[[Stage, Mark], None]
    bounds: Bounds
    paused: bool = False
    short_lived: bool = False
    proves: tuple[str, ...] = ()


BUSY = 10
"""Where nothing may break, a busy machine of two cores may still have this many seconds without a row."""

UNTOUCHED = "the channel must not break"


def kill_pods(site: Site, pods: list[dict[str, Any]], mark: Mark) -> None:
    """Send SIGKILL to all processes of pods, sandboxes included. Wait until kubelet has made new sandboxes."""
    pids = [pid for pod in pods for pid in site.processes(pod)]
    mark.begins()
    kill(pids)

    def again(pod: dict[str, Any]) -> bool:
        now = site.pod(pod["metadata"]["name"], pod["metadata"]["namespace"])
        assert now["metadata"]["uid"] == pod["metadata"]["uid"]
        return bool(now["status"].get("podIP") != pod["status"]["podIP"] and restarts(now) > restarts(pod))

    eventually("they run again, in new sandboxes", lambda: all(again(pod) for pod in pods), within=120)


def restarts(pod: dict[str, Any]) -> int:
    status = pod["status"]
    containers = [*status.get("containerStatuses", []), *status.get("initContainerStatuses", [])]
    return sum(container["restartCount"] for container in containers)


def carrier(stage: Stage) -> dict[str, Any]:
    """Return the gateway's pod through which the channel goes."""

    def connections(pod: dict[str, Any]) -> str:
        pid = str(stage.source.processes(pod)[0])
        listing = ("ss", "--no-header", "--numeric", "--tcp", "state", "established", "( sport = :15443 )")
        return subprocess.run(["nsenter", f"--target={pid}", "--net", *listing], capture_output=True, text=True).stdout

    (pod,) = [pod for pod in stage.source.pods(*GATEWAY) if connections(pod)]
    return pod


def gateways_killed(stage: Stage, mark: Mark) -> None:
    pods = stage.source.pods(*GATEWAY)
    assert len(pods) == 2
    kill_pods(stage.source, pods, mark)


def gateway_killed(stage: Stage, mark: Mark) -> None:
    kill_pods(stage.source, [carrier(stage)], mark)


def source_killed(stage: Stage, mark: Mark) -> None:
    kill_pods(stage.source, [stage.source.pod("db-0")], mark)


def replica_killed(stage: Stage, mark: Mark) -> None:
    kill_pods(stage.replica, [stage.replica.pod("db-0")], mark)


@contextmanager
def unbroken(stage: Stage) -> Iterator[None]:
    """Assert that no channel reconnects: the source's connections are still the same."""
    before = stage.channels()
    yield
    assert stage.channels() == before, "a channel has connected anew"


def istiod_away(choose: Callable[[Stage], Site]) -> Callable[[Stage, Mark], None]:
    def do(stage: Stage, mark: Mark) -> None:
        site = choose(stage)

        def scale(replicas: int) -> None:
            site.kubectl("scale", "deployment/istiod", "--namespace", "istio-system", f"--replicas={replicas}")

        def there() -> bool:
            return bool(site.pods("istio-system", "app=istiod"))

        with unbroken(stage):
            scale(0)
            eventually("istiod is away", lambda: not there(), within=60)
            mark.begins()
            while (left := mark.begin + ISTIOD_AWAY - time.time()) > 0:
                assert not there()
                time.sleep(min(5, left))
            mark.ends()
            scale(1)
            eventually("istiod is back", lambda: site.well("istio-system", "app=istiod", 1), within=120)

    return do


def wan_cut(mode: Wan, seconds: int) -> Callable[[Stage, Mark], None]:
    def do(stage: Stage, mark: Mark) -> None:
        address = stage.gateway_address()
        assert stage.gateway_answers(address) == 0
        wan.set_mode(stage.lab.name, mode)
        mark.begins()
        try:
            stage.fill_the_way()
            assert stage.gateway_answers(address) == (124 if mode is Wan.DROP else 1)
            time.sleep(mark.begin + seconds - time.time())
            assert stage.gateway_answers(address) != 0
        finally:
            wan.set_mode(stage.lab.name, Wan.UP)
            mark.ends()
        assert stage.gateway_answers(address) == 0

    return do


@contextmanager
def dead(stage: Stage, address: str) -> Iterator[None]:
    """Let the WAN lose all packets from and to an address."""

    namespace = f"dcmesh-{stage.lab.name}-wan"
    rules = f"""chain address {{
        type filter hook prerouting priority raw
        ip daddr {address} drop
        ip saddr {address} drop
    }}"""
    network.load_rules(namespace, "ip dead", rules)
    try:
        yield
    finally:
        network.run_in(namespace, "nft", "delete", "table", "ip", "dead")


def gateway_moved(stage: Stage, mark: Mark) -> None:
    old = stage.gateway_address()
    net, _, last = old.rpartition(".")
    new = f"{net}.{105 if last != '105' else 106}"
    with stage.project.edit() as config:
        config["dcmesh:sites"][0]["gateway"]["loadBalancerIp"] = new

    def followed() -> bool:
        listed = stage.replica.kubectl("get", "serviceentries", "--namespace", REPLICA, "--output", "json")
        specs = [entry["spec"] for entry in json.loads(listed)["items"]]
        return {end["address"] for spec in specs for end in spec["endpoints"]} == {new}

    with dead(stage, old):
        mark.begins()
        up = stage.project.start("up", "--yes", "--skip-preview")
        try:
            eventually("the importer has the new address", followed, within=300)
            mark.ends()
        finally:
            said, _ = up.communicate(timeout=300)
        assert up.returncode == 0, said
        stage.caught_up()
    assert stage.gateway_address() == new
    service = stage.source.kubectl.get("service", "istio-eastwestgateway", GATEWAY[0])
    assert [entry["ip"] for entry in service["status"]["loadBalancer"]["ingress"]] == [new]


def containerd_killed(choose: Callable[[Stage], Site]) -> Callable[[Stage, Mark], None]:
    def do(stage: Stage, mark: Mark) -> None:
        site = choose(stage)
        before, pod = site.supervised("containerd"), site.pod("db-0")
        assert before != "0"
        with unbroken(stage):
            mark.begins()
            site.inside("kill", "-9", before)
            eventually("containerd runs again", lambda: site.supervised("containerd") not in ("0", before))
            # It works again, and its containers are the same as before.
            eventually("the node is ready", lambda: "True" in node_ready(site), within=60)
            assert site.exec("db-0", "mariadb", "echo", "well") == "well"
        assert restarts(site.pod("db-0")) == restarts(pod)

    return do


def node_ready(site: Site) -> str:
    path = '{.items[*].status.conditions[?(@.type=="Ready")].status}'
    return site.kubectl("get", "nodes", "--output", f"jsonpath={path}")


def certificates_rotated(stage: Stage, mark: Mark) -> None:
    gateways = [pod["metadata"]["name"] for pod in stage.source.pods(*GATEWAY)]
    proxies = [(stage.source, name, GATEWAY[0]) for name in gateways]
    proxies += [(stage.source, "db-0", SOURCE), (stage.replica, "db-0", REPLICA)]
    seen: dict[tuple[str, str], list[str]] = {}

    def rotated() -> bool:
        for site, name, namespace in proxies:
            serials = seen.setdefault((site.name, name), [])
            if (serial := leaf(site, name, namespace)) not in serials:
                serials.append(serial)
        return all(len(serials) >= 3 for serials in seen.values())

    with unbroken(stage):
        mark.begins()
        rotated()
        eventually("every proxy has had three certificates", rotated, within=4 * CERTIFICATE_LIFE)
        mark.ends()
        # The channel is still the old connection. A new connection uses the certificates that are valid now.
        greeting = f"exec 3<>/dev/tcp/{HOST}/3306 && timeout 10 head --bytes=48 <&3 | tr -cd '[:print:]'"
        assert "MariaDB" in stage.replica.exec("db-0", "mariadb", "bash", "-c", greeting)


def leaf(site: Site, pod: str, namespace: str) -> str:
    """Return the serial number of a proxy's own certificate."""
    said = site.exec(pod, "istio-proxy", "pilot-agent", "request", "GET", "certs", namespace=namespace)
    serials = {
        certificate["serial_number"]
        for entry in json.loads(said)["certificates"]
        for certificate in entry.get("cert_chain", [])[:1]
    }
    assert len(serials) >= 1
    return " ".join(sorted(serials))


def idle(stage: Stage, mark: Mark) -> None:
    """The writer pauses. A session without heartbeats, beside the channel on the same way, is ended."""
    password = stage.source.kubectl.get("secret", "writer", SOURCE)["data"]["password"]
    script = (
        f"export MYSQL_PWD=$(base64 --decode <<<{password});"
        f' {{ echo "SELECT 1;"; sleep {SILENCE}; echo "SELECT 2;"; }} |'
        f" mariadb --host={HOST} --user=writer --skip-reconnect --batch --skip-column-names --unbuffered 2>&1"
    )
    exec_ = ("exec", "db-0", "--namespace", REPLICA, "--container", "mariadb", "--", "bash", "-c", script)

    def heartbeats() -> int:
        return int(stage.replica.sql("SHOW GLOBAL STATUS LIKE 'Slave_received_heartbeats'").split()[1])

    with unbroken(stage):
        stage.writer.pause()
        mark.begins()
        before = heartbeats()
        silent = subprocess.Popen(stage.replica.kubectl.command(*exec_), stdout=subprocess.PIPE, text=True)
        said, _ = silent.communicate(timeout=3 * SILENCE)
        assert time.time() - mark.begin > SILENCE
        assert heartbeats() - before >= SILENCE / 4
        mark.ends()
        stage.writer.resume()
        stage.caught_up()
    assert said.splitlines()[0] == "1", said
    assert "2" not in said.splitlines(), "the time-out does not apply to a silent session"
    assert "ERROR 20" in said, said


RECONNECT = "then an attempt a second, each given up after 5 s"
KUBELET = "kubelet makes a new sandbox and starts its containers"


def source(stage: Stage) -> Site:
    return stage.source


def replica(stage: Stage) -> Site:
    return stage.replica


KILLED = "SIGKILL to every process of {}, the sandbox's too"

LINK = (
    "Pulumi.lab.yaml",
    "components/mesh/gateway.py",
    "components/mesh/istio.py",
    "components/mesh/service_*.py",
    "dcmesh/model/addresses.py",
    "dcmesh/model/gateway.py",
    "dcmesh/model/istio.py",
    "tests/faults/stage.py",
)
CHANNEL = ("components/databases/mariadb.py", "dcmesh/model/mariadb.py", "components/databases/mariadb_prepare.sh")
"""The files that soak's faults prove: the way between the sites, stack `lab`, and the database's settings."""

FAULTS = (
    Fault(
        name="all gateway pods killed",
        how=KILLED.format("both pods"),
        do=gateways_killed,
        bounds=Bounds(noticed=5, stall=40, resumed=40, why=f"{KUBELET}; {RECONNECT}"),
    ),
    Fault(
        name="gateway pod killed, one of two",
        how=KILLED.format("the pod that the channel goes through"),
        do=gateway_killed,
        bounds=Bounds(
            noticed=5,
            stall=20,
            resumed=20,
            why=f"the other pod takes over once the Service has forgotten the dead one; {RECONNECT}",
        ),
    ),
    Fault(
        name="source pod 0 killed",
        how=KILLED.format("db-0 in dc1"),
        do=source_killed,
        bounds=Bounds(noticed=5, writer_break=60, stall=60, resumed=60, why=f"{KUBELET}, InnoDB recovers; {RECONNECT}"),
    ),
    Fault(
        name="replica killed",
        how=KILLED.format("db-0 in dc2"),
        do=replica_killed,
        bounds=Bounds(noticed=5, stall=60, resumed=60, why=f"{KUBELET}, InnoDB recovers"),
    ),
    Fault(
        name="istiod of the source away for 2 minutes",
        how="its Deployment scaled to 0",
        do=istiod_away(source),
        bounds=Bounds(noticed=None, stall=BUSY, resumed=None, why=UNTOUCHED),
        proves=LINK,
    ),
    Fault(
        name="istiod of the replica away for 2 minutes",
        how="its Deployment scaled to 0",
        do=istiod_away(replica),
        bounds=Bounds(noticed=None, stall=BUSY, resumed=None, why=UNTOUCHED),
        proves=LINK,
    ),
    Fault(
        name=f"WAN cut for {SHORT_CUT} s, packets lost",
        how="`lab wan cut`",
        do=wan_cut(Wan.DROP, SHORT_CUT),
        bounds=Bounds(
            noticed=15,
            stall=SHORT_CUT + 15,
            resumed=15,
            why=f"slave_net_timeout is 10 s, the gateway ends the old connection after 15 s; {RECONNECT}",
        ),
    ),
    Fault(
        name=f"WAN cut for {CUT} s, packets lost",
        how="`lab wan cut`",
        do=wan_cut(Wan.DROP, CUT),
        bounds=Bounds(
            noticed=15,
            stall=CUT + 15,
            resumed=15,
            why=f"slave_net_timeout is 10 s; {RECONNECT}",
        ),
        proves=(*LINK, *CHANNEL),
    ),
    Fault(
        name=f"WAN cut for {CUT} s, TCP answered with resets",
        how="`lab wan cut --mode reset`",
        do=wan_cut(Wan.RESET, CUT),
        bounds=Bounds(
            noticed=15,
            stall=CUT + 15,
            resumed=15,
            why=f"only a sender gets resets, and the replica only listens: slave_net_timeout is 10 s; {RECONNECT}",
        ),
        proves=(*LINK, *CHANNEL),
    ),
    Fault(
        name="gateway's address changed",
        how="the old address dies; `pulumi up` with another `loadBalancerIp`; over when the importer has the new one",
        do=gateway_moved,
        bounds=Bounds(noticed=15, stall=240, resumed=30, why=f"the longest part is `pulumi up`; {RECONNECT}"),
    ),
    Fault(
        name="containerd of the source's node killed",
        how="SIGKILL; its supervisor starts it again",
        do=containerd_killed(source),
        bounds=Bounds(noticed=None, stall=BUSY, resumed=None, why=UNTOUCHED),
    ),
    Fault(
        name="containerd of the replica's node killed",
        how="SIGKILL; its supervisor starts it again",
        do=containerd_killed(replica),
        bounds=Bounds(noticed=None, stall=BUSY, resumed=None, why=UNTOUCHED),
    ),
    Fault(
        name="certificates of all workloads rotated twice",
        how=f"they live for {CERTIFICATE_LIFE} s (`SECRET_TTL`), and are renewed after half of that",
        do=certificates_rotated,
        bounds=Bounds(noticed=None, stall=BUSY, resumed=None, why=UNTOUCHED),
        short_lived=True,
        proves=LINK,
    ),
    Fault(
        name=f"channel idle for {SILENCE} s",
        how=f"the writer pauses; proxies end a silent connection after {IDLE_TIMEOUT} s (`ISTIO_META_IDLE_TIMEOUT`)",
        do=idle,
        bounds=Bounds(
            noticed=None,
            stall=2,
            resumed=2,
            why=f"{UNTOUCHED}: the source sends a heartbeat every 2 s",
        ),
        paused=True,
        short_lived=True,
        proves=(*LINK, *CHANNEL),
    ),
)
