"""Who is refused by the databases' gateway and pods. Each test proves that the right client gets in by the same way."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.certificates import another_root, bundle_of, leaf
from tests.e2e.toolbox import (
    MARIADB,
    Database,
    Kubectl,
    Lab,
    Project,
    account,
    captured,
    database_passwords,
    eventually,
    log_in,
    open_ports,
    start,
)

HOST = "db-0.db.wookie.svc.cluster.local"
GATEWAY_PORT = 15443
CONSUMER = "spiffe://cluster.local/ns/wookie-dr/sa/db"
"""The identity that dc1 exports the database to."""

POD_NAME = f"outbound_.3306_._.{HOST}"
"""The server name by which a sidecar asks for db-0."""

CONNECTIONS = 50
"""How many connections from other sites a host may have, unless its export says otherwise."""


@pytest.fixture(scope="module")
def gateway(pair: Project) -> str:
    (address,) = pair.output("link")["dc1"]["gateway"]["addresses"]
    return str(address)


@pytest.fixture(scope="module")
def password(sites: dict[str, Kubectl]) -> str:
    return database_passwords(sites["dc2"], "wookie-dr")["replication"]


@pytest.fixture(scope="module")
def replica(sites: dict[str, Kubectl]) -> Database:
    return Database(sites["dc2"], "wookie-dr", "db-0")


@pytest.fixture(scope="module")
def plain(sites: dict[str, Kubectl]) -> tuple[str, ...]:
    """A pod of dc2 without a sidecar, directly on the network."""
    sites["dc2"].apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "no-mesh"}})
    account(sites["dc2"], "plain", "no-mesh")
    return start(sites["dc2"], "plain", "no-mesh", "plain", image=MARIADB)


# By pods of dc2


def test_another_service_account_of_the_consumers_namespace_cannot_log_in(
    sites: dict[str, Kubectl], password: str
) -> None:
    account(sites["dc2"], "other", "wookie-dr")
    account_of = {"consumer": "db", "stranger": "other"}
    pods = {name: start(sites["dc2"], name, "wookie-dr", own, image=MARIADB) for name, own in account_of.items()}
    for host in (HOST, HOST.replace("db-0", "db-1"), HOST.replace("db-0", "db-2")):
        pod = host.partition(".")[0]
        assert log_in(sites["dc2"], pods["consumer"], host, "replication", password) == pod
        assert "ERROR 2013" in log_in(sites["dc2"], pods["stranger"], host, "replication", password)


@pytest.fixture
def elsewhere(sites: dict[str, Kubectl]) -> Iterator[tuple[str, ...]]:
    """A pod in another namespace of dc2, with a sidecar and a service account of the consumer's name."""
    namespace = {"name": "elsewhere", "labels": {"istio-injection": "enabled"}}
    sites["dc2"].apply({"apiVersion": "v1", "kind": "Namespace", "metadata": namespace})
    account(sites["dc2"], "db", "elsewhere")
    yield start(sites["dc2"], "client", "elsewhere", "db", image=MARIADB)
    sites["dc2"]("delete", "namespace", "elsewhere")


def test_the_consumers_account_of_another_namespace_cannot_log_in(
    sites: dict[str, Kubectl], replica: Database, password: str, elsewhere: tuple[str, ...]
) -> None:
    assert log_in(sites["dc2"], replica.inside, HOST, "replication", password) == "db-0"
    # Without the import, its sidecar does not know the host.
    assert "Unknown server host" in log_in(sites["dc2"], elsewhere, HOST, "replication", password)
    # With a copy of the import it knows the host, but its namespace is not the consumer's.
    for kind in ("serviceentry", "destinationrule"):
        for item in json.loads(sites["dc2"]("get", kind, "--namespace", "wookie-dr", "--output", "json"))["items"]:
            item["metadata"] = {"name": item["metadata"]["name"], "namespace": "elsewhere"}
            sites["dc2"].apply({k: item[k] for k in ("apiVersion", "kind", "metadata", "spec")})

    def answer() -> str:
        return log_in(sites["dc2"], elsewhere, HOST, "replication", password)

    assert "ERROR 2013" in eventually("the host is known", lambda: (a := answer()) and "Unknown" not in a and a)


# With chosen certificates and server names, from dc2's node


Dial = Callable[[dict[str, dict[str, Any]]], dict[str, str]]


@pytest.fixture(scope="module")
def genuine(sites: dict[str, Kubectl], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A certificate like the consumer's own."""
    return leaf(tmp_path_factory.mktemp("genuine"), bundle_of(sites["dc2"]), CONSUMER)


@pytest.fixture
def dial(lab: Lab, gateway: str, genuine: dict[str, str], password: str, tmp_path: Path) -> Dial:
    """Make attempts at dc1's gateway from dc2's node.

    One with the consumer's own certificate is added, and must get in.
    """

    def attempt(attempts: dict[str, dict[str, Any]]) -> dict[str, str]:
        script, plan = Path(__file__).with_name("dial.py"), tmp_path / "plan.json"
        every = {"consumer": {**genuine, "server_name": POD_NAME}, **attempts}
        how = {name: {"port": GATEWAY_PORT, **this} for name, this in every.items()}
        plan.touch(mode=0o600)
        plan.write_text(json.dumps({"address": gateway, "user": "replication", "password": password, "attempts": how}))
        found: dict[str, str] = json.loads(lab("enter", "dc2", "--", sys.executable, str(script), str(plan)))
        assert found.pop("consumer") == "in"
        return found

    return attempt


def test_genuine_certificates_of_other_identities_cannot_log_in(
    dial: Dial, sites: dict[str, Kubectl], tmp_path: Path
) -> None:
    authority = bundle_of(sites["dc2"])
    others = {
        "account": "spiffe://cluster.local/ns/wookie-dr/sa/other",
        "namespace": "spiffe://cluster.local/ns/elsewhere/sa/db",
        "trust domain": "spiffe://elsewhere.local/ns/wookie-dr/sa/db",
        "exporter": "spiffe://cluster.local/ns/wookie/sa/db",
    }
    attempts = {name: {**leaf(tmp_path, authority, own), "server_name": POD_NAME} for name, own in others.items()}
    # Server names ignore case, so the rule that matches a name must ignore it too.
    attempts["in capitals"] = {**attempts["account"], "server_name": POD_NAME.upper()}
    # None got a byte, so the server was never reached.
    assert dial(attempts) == dict.fromkeys(attempts, "refused")


def test_a_certificate_of_another_root_is_refused(dial: Dial, tmp_path: Path) -> None:
    forged = leaf(tmp_path, another_root(), CONSUMER)
    assert dial({"forged": {**forged, "server_name": POD_NAME}}) == {"forged": "refused"}


def test_tls_without_a_certificate_is_refused(dial: Dial) -> None:
    assert dial({"nobody": {"server_name": POD_NAME}}) == {"nobody": "refused"}


def test_unfinished_handshakes_do_not_use_up_the_servers_connections(
    lab: Lab, sites: dict[str, Kubectl], gateway: str, replica: Database, password: str
) -> None:
    """They use up the connections that the gateway allows for the host.

    Existing ones go on; new ones wait until these end.
    """
    primary = Database(sites["dc1"], "wookie", "db-0")
    count = int(primary("SELECT @@max_connections")) + 10
    before = int(primary("SELECT COUNT(*) FROM information_schema.PROCESSLIST"))
    script = str(Path(__file__).with_name("hang.py"))
    began = time.monotonic()
    hanging = lab.start("enter", "dc2", "--", sys.executable, script, gateway, str(GATEWAY_PORT), POD_NAME, str(count))
    assert hanging.stdout is not None
    # The replica's connection uses the rest.
    assert CONNECTIONS - 5 <= int(hanging.stdout.readline()) < CONNECTIONS
    assert int(primary("SELECT COUNT(*) FROM information_schema.PROCESSLIST")) <= before + 5
    assert replica.follows()
    assert hanging.wait(timeout=60) == 0
    assert time.monotonic() - began > 10  # Until then, nothing had ended them.
    assert log_in(sites["dc2"], replica.inside, HOST, "replication", password) == "db-0"
    assert replica.follows()


def counters(database: Database) -> dict[str, int]:
    """Return a server's counters of its connections."""
    names = "'Connections', 'Aborted_connects', 'Max_used_connections'"
    lines = database(f"SHOW GLOBAL STATUS WHERE Variable_name IN ({names})").splitlines()
    return {name: int(value) for name, value in (line.split() for line in lines)}


LOCAL = """
read -r MYSQL_PWD; export MYSQL_PWD; ok=0; bad=0; echo begun
until read -r -t 0; do
  if mariadb --host=db-0.db --user=local --execute="SELECT 1" >/dev/null; then ok=$((ok + 1)); else bad=$((bad + 1)); fi
done
echo $ok $bad
"""
"""Connects to db-0 as a neighbour in its own site, without a pause, until it reads another line.

Then it prints how often.
"""


SOAK = pytest.mark.soak(
    proves=("components/mesh/gateway.py", "components/mesh/service_export.py", "dcmesh/model/gateway.py")
)


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=SOAK)])
@pytest.mark.parametrize("kind", ["silent", "hello", "stranger"])
def test_a_flood_of_dials_costs_the_server_and_its_neighbours_nothing(
    lab: Lab, sites: dict[str, Kubectl], gateway: str, tmp_path: Path, kind: str, seconds: int
) -> None:
    """The flood is 200 dials a second.

    Each sends nothing, a ClientHello only, or a mesh certificate that is no consumer's.
    """
    dc1, primary = sites["dc1"], Database(sites["dc1"], "wookie", "db-0")
    asked = {"address": gateway, "port": GATEWAY_PORT, "kind": kind, "rate": 200, "seconds": seconds}
    known = leaf(tmp_path, bundle_of(sites["dc2"]), CONSUMER.replace("/db", "/other")) if kind == "stranger" else {}
    plan = tmp_path / "flood.json"
    plan.write_text(json.dumps({**asked, "server_name": POD_NAME, **known}))

    def memory() -> int:
        """Return how much memory the gateway's processes use, in KiB."""
        where = ("--namespace", "dcmesh-gateway", "deployment/istio-eastwestgateway", "--")
        shown = dc1("exec", *where, "sh", "-c", "cat /proc/[0-9]*/status")
        return sum(int(line.split()[1]) for line in shown.splitlines() if line.startswith("VmRSS:"))

    inside = ("exec", "--stdin", "--namespace", "wookie", "db-1", "--container", "mariadb", "--", "bash", "-c", LOCAL)
    primary("CREATE USER IF NOT EXISTS local@'%' IDENTIFIED BY 'ordinary'")
    with subprocess.Popen(dc1.command(*inside), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as neighbour:
        assert neighbour.stdin is not None
        assert neighbour.stdout is not None
        neighbour.stdin.write("ordinary\n")
        neighbour.stdin.flush()
        assert neighbour.stdout.readline() == "begun\n"
        before, used = counters(primary), [memory()]
        script = str(Path(__file__).with_name("flood.py"))
        flood = lab.start("enter", "dc2", "--", sys.executable, script, str(plan))
        while flood.poll() is None:
            used.append(memory())
        after = counters(primary)
        said, _ = neighbour.communicate("end\n", timeout=60)
    assert flood.stdout is not None
    dialled = json.loads(flood.stdout.read())
    answered, failed = map(int, said.split())
    figures = {**dialled, "local": answered, "before": before, "after": after, "memory": used}
    assert flood.returncode == 0
    assert failed == 0, figures
    assert answered > 0, figures
    assert dialled["dials"] >= 100 * seconds, figures
    assert dialled["answered"] == 0, figures
    # The other connections are kubelet's probe and this test's own.
    assert after["Connections"] - before["Connections"] - answered < dialled["dials"] / 10, figures
    assert after["Aborted_connects"] == before["Aborted_connects"], figures
    assert after["Max_used_connections"] < 50, figures
    assert max(used) < 1.2 * used[0], figures


def test_plaintext_is_refused(dial: Dial) -> None:
    assert dial({"plaintext": {}}) == {"plaintext": "refused"}


def test_services_that_are_not_exported_are_refused_to_the_consumer(
    dial: Dial, genuine: dict[str, str], sites: dict[str, Kubectl]
) -> None:
    """These services exist, and the gateway knows them. It would pass connections on if they were among its hosts."""
    clusters = sites["dc1"](
        *("exec", "--namespace", "dcmesh-gateway", "deployment/istio-eastwestgateway", "--"),
        *("pilot-agent", "request", "GET", "clusters"),
    )
    names = {
        "istiod": "outbound_.15012_._.istiod.istio-system.svc.cluster.local",
        "the database's Service": "outbound_.3306_._.db.wookie.svc.cluster.local",
        "another namespace": "outbound_.53_._.kube-dns.kube-system.svc.cluster.local",
    }
    for name in (POD_NAME, *names.values()):
        assert f"{name}::" in clusters
    found = dial({name: {**genuine, "server_name": name_} for name, name_ in names.items()})
    assert found == dict.fromkeys(names, "refused")


# With objects that others made in dc1

TENANT = {"namespace": "tenant"}


def gateway_of(name: str, selector: dict[str, str], mode: str, host: str) -> dict[str, Any]:
    """Return a tenant's Gateway on the gateway's port."""
    port = {"number": GATEWAY_PORT, "name": "tls", "protocol": "TLS"}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {**TENANT, "name": name},
        "spec": {"selector": selector, "servers": [{"port": port, "tls": {"mode": mode}, "hosts": [host]}]},
    }


def of_tenants() -> dict[str, list[dict[str, Any]]]:
    """Return objects that tenants may apply, by a name for each."""
    ours = {"app": "istio-eastwestgateway", "istio": "dcmesh-gateway"}
    way_in = {
        "hosts": ["stolen.example"],
        "gateways": ["passthrough"],
        "tls": [
            {
                "match": [{"port": GATEWAY_PORT, "sniHosts": ["stolen.example"]}],
                "route": [{"destination": {"host": "db.wookie.svc.cluster.local", "port": {"number": 3306}}}],
            }
        ],
    }
    claim = {
        "hosts": [HOST],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": 3306, "name": "tcp", "protocol": "TCP"}],
        "endpoints": [{"address": "192.0.2.1", "labels": {"security.istio.io/tlsMode": "istio"}}],
    }
    istio = "networking.istio.io/v1"
    # This is Istio's own sample for several clusters: samples/multicluster/expose-services.yaml.
    sample = gateway_of("cross-network-gateway", {"istio": "eastwestgateway"}, "AUTO_PASSTHROUGH", "*.local")
    return {
        "Istio's sample": [sample],
        "no selector": [gateway_of("without-selector", {}, "AUTO_PASSTHROUGH", "*.local")],
        "our own labels": [gateway_of("same-port", ours, "AUTO_PASSTHROUGH", HOST)],
        "a way in": [
            gateway_of("passthrough", ours, "PASSTHROUGH", "stolen.example"),
            {
                "apiVersion": istio,
                "kind": "VirtualService",
                "metadata": {**TENANT, "name": "way-in"},
                "spec": way_in,
            },
        ],
        "an exported name": [
            {"apiVersion": istio, "kind": "ServiceEntry", "metadata": {**TENANT, "name": "claim"}, "spec": claim}
        ],
    }


@pytest.fixture
def tenant(sites: dict[str, Kubectl]) -> Iterator[Kubectl]:
    """dc1, with a tenant's namespace."""
    sites["dc1"]("create", "namespace", "tenant")
    yield sites["dc1"]
    sites["dc1"]("delete", "namespace", "tenant")


def test_gateways_and_names_of_others_neither_shut_nor_open_the_gateway(
    dial: Dial, tenant: Kubectl, genuine: dict[str, str]
) -> None:
    """The link works with each of them, as `dial` asserts, and opens nothing else.

    So it does with all and a new gateway pod.
    """
    shut = {"the Service": "outbound_.3306_._.db.wookie.svc.cluster.local", "a way in": "stolen.example"}
    attempts = {name: {**genuine, "server_name": name_} for name, name_ in shut.items()}
    refused = dict.fromkeys(shut, "refused")
    for what, objects in of_tenants().items():
        tenant.apply(*objects)
        time.sleep(2)  # No condition shows that nothing took effect. istiod's pushes take less than one second.
        assert dial(attempts) == refused, what
    where = ("deployment/istio-eastwestgateway", "--namespace", "dcmesh-gateway")
    tenant("rollout", "restart", *where)
    tenant("rollout", "status", *where, "--timeout=120s")
    assert dial(attempts) == refused


# Past the gateway


def test_nothing_else_of_dc1_can_be_reached_from_dc2(
    lab: Lab, sites: dict[str, Kubectl], gateway: str, plain: tuple[str, ...]
) -> None:
    def addresses(site: Kubectl) -> dict[str, str]:
        running = ("pods", "--all-namespaces", "--field-selector=status.phase=Running", "--output", "json")
        pods = json.loads(site("get", *running))["items"]
        return {pod["status"]["podIP"]: pod["metadata"]["name"] for pod in pods}

    def of_dc1_alone() -> set[str]:
        """Both sites have the same pod network. So the addresses that are asked must belong to no pod of dc2."""
        taken = addresses(sites["dc2"])
        own = {f"{ip}:3306" for ip, pod in addresses(sites["dc1"]).items() if pod.startswith("db-") and ip not in taken}
        if not own:  # A pod that is made anew gets another address.
            sites["dc1"]("delete", "pod", "db-2", "--namespace", "wookie")
            database = Database(sites["dc1"], "wookie", "db-2")
            eventually("db-2 is back", database.ready, within=120)
        return own

    node = json.loads(sites["dc1"]("get", "nodes", "--output", "json"))["items"][0]["status"]["addresses"][0]["address"]
    service = sites["dc1"].get("service", "istio-eastwestgateway", "dcmesh-gateway")
    node_ports = {f"{node}:{port['nodePort']}" for port in service["spec"]["ports"]}
    databases = eventually("a database has an address that no pod of dc2 has", of_dc1_alone, within=240)
    allowed = f"{gateway}:{GATEWAY_PORT}"
    targets = sorted({allowed, f"{gateway}:15021", f"{node}:6443", f"{node}:10250", *node_ports, *databases})

    script = 'for t; do (timeout 5 bash -c "</dev/tcp/${t/://}" && echo "$t") 2>/dev/null & done; wait'
    assert open_ports(lab, "dc1", *targets) == [target.replace(":", " ") for target in targets]
    assert set(open_ports(lab, "dc2", gateway, *targets)) == {allowed.replace(":", " ")}
    assert sites["dc2"]("exec", *plain, "--", "bash", "-c", script, "-", *targets) == allowed


# Within dc1, and on the wire


def test_local_applications_keep_their_access(sites: dict[str, Kubectl]) -> None:
    primary = Database(sites["dc1"], "wookie", "db-0")
    primary("CREATE USER application@'%' IDENTIFIED BY 'ordinary'")
    account(sites["dc1"], "application", "wookie")
    application = start(sites["dc1"], "application", "wookie", "application", image=MARIADB)
    for pod in ("db-0", "db-1", "db-2"):
        eventually(
            f"{pod} lets it in",
            lambda pod=pod: log_in(sites["dc1"], application, f"{pod}.db", "application", "ordinary") == pod,
        )
    assert log_in(sites["dc1"], application, "db", "application", "ordinary") in ("db-0", "db-1", "db-2")
    assert "ERROR 1045" in log_in(sites["dc1"], application, "db-0.db", "application", "wrong")
    own = database_passwords(sites["dc1"], "wookie")["replication_local"]
    for password in ("", own):
        assert "ERROR 1698" in log_in(sites["dc1"], application, "db-0.db", "root", password), "it was not asked for"


def test_nothing_readable_of_replication_crosses_the_wan(
    lab: Lab, sites: dict[str, Kubectl], replica: Database, tmp_path: Path
) -> None:
    primary = Database(sites["dc1"], "wookie", "db-0")
    with captured(lab, tmp_path / "wan.pcap") as capture:
        replica("STOP ALL SLAVES; START ALL SLAVES")  # The capture must include the beginning of the channel.
        primary("CREATE DATABASE hidden_7411; CREATE TABLE hidden_7411.unseen_7411 (text TEXT)")
        primary("INSERT INTO hidden_7411.unseen_7411 VALUES ('marker-7411')")
        shown = "SELECT text FROM hidden_7411.unseen_7411"
        eventually("the row arrives", lambda: replica(shown, check=False) == "marker-7411")
    seen = capture()
    assert (
        POD_NAME.encode() in seen
    )  # A handshake shows nothing but the server name. Here it shows that the capture works.
    for word in (b"marker-7411", b"unseen_7411", b"hidden_7411", b"MariaDB", b"mysql_native_password", b"replication"):
        assert word not in seen
