"""A Percona XtraDB Cluster in each of two sites, run by the real operator. dc2's follows dc1's, and later dc1's dc2's.

MySQL is real, and logs its statements, but has no Galera (lab/README.md). The tests form one course of events.
"""

import json
import re
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from lab import cgroup
from lab.paths import LabPaths
from lab.toolchain import HAPROXY, PXC

from . import bare_database as bare
from .toolbox import (
    Kubectl,
    Lab,
    Project,
    database_passwords,
    eventually,
    initialised,
    kubectl_of,
    lab_config,
    lab_for_a_while,
    log_in,
    run,
    start,
    switch,
)
from .writers import SHOP, Client, Writers, assert_nothing_is_lost, rows

PROVES = (
    "components/databases/pxc*",
    "dcmesh/databases/pxc_*",
    "dcmesh/databases/mysql_gtids.py",
    "dcmesh/databases/switchover.py",
    "dcmesh/databases/replication.py",
    "dcmesh/model/pxc.py",
    "dcmesh/model/switchover.py",
)
SOAK = pytest.mark.soak(proves=PROVES)

NAMESPACES = {"dc1": "wookie", "dc2": "wookie-dr"}
PODS = tuple(f"db-pxc-{n}" for n in range(3))
HOSTS = {f"{pod}.db-pxc.wookie.svc.cluster.local": pod for pod in PODS}
HOSTS_DR = {f"{pod}.db-pxc.wookie-dr.svc.cluster.local": pod for pod in PODS}
SELECTOR = {"app.kubernetes.io/instance": "db", "app.kubernetes.io/component": "pxc"}
CONSUMER = {"namespace": "wookie-dr", "serviceAccount": "db-pxc"}
OTHER_CONSUMER = {"namespace": "wookie", "serviceAccount": "db-pxc"}
GALERA_PORTS = {"4444", "4567", "4568"}

LITTLE = {
    "unsafeFlags": {"proxySize": True},
    "haproxy": {
        "size": 1,
        "affinity": {"antiAffinityTopologyKey": "none"},
        "readinessProbes": {"periodSeconds": 10},
        "livenessProbes": {"periodSeconds": 60},
        "resources": {"requests": {"cpu": "20m"}},
    },
    "pxc": {
        "affinity": {"antiAffinityTopologyKey": "none"},
        "readinessProbes": {"initialDelaySeconds": 2, "periodSeconds": 5},
        "livenessProbes": {"periodSeconds": 60},
        "resources": {"requests": {"cpu": "20m"}},
    },
}
"""Settings for a cluster on one node. Each probe starts a dozen programs in a container, so few are run.

A container that requests no processor time has a fiftieth of a sidecar's, and a busy node's probes time out.
"""

REPLICA = {
    "kind": "pxc",
    "namespace": "wookie-dr",
    "replicates": {"from": "dc1", "export": "db"},
    "spec": LITTLE,
}
THEIRS: dict[str, Any] = {
    "apiVersion": "pxc.percona.com/v1",
    "kind": "PerconaXtraDBCluster",
    "metadata": {"name": "own", "namespace": "theirs"},
    "spec": {
        "crVersion": "1.20.0",
        "enableCRValidationWebhook": True,
        "unsafeFlags": {"pxcSize": True},
        "pxc": {
            **LITTLE["pxc"],
            "size": 1,
            "image": "percona/percona-xtradb-cluster:8.4.8-8.1",
            "imagePullPolicy": "IfNotPresent",
            "serviceAccountName": "their-database",
            "volumeSpec": {"emptyDir": {}},
        },
    },
}
"""A cluster that dcmesh did not make, with no proxy and with its own service account."""


def export(name: str, *, of: str, namespace: str, replicas: int, account: str) -> dict[str, Any]:
    """Return the export of a cluster with other names."""
    return {
        "name": name,
        "namespace": namespace,
        "statefulSet": f"{of}-pxc",
        "replicas": replicas,
        "port": 3306,
        "serviceAccount": account,
        "selector": SELECTOR | {"app.kubernetes.io/instance": of},
        "consumers": [{"site": "dc2", **CONSUMER}],
    }


def config() -> dict[str, Any]:
    sites = [
        {
            "name": "dc1",
            "cluster": "k3d",
            "gateway": {"replicas": 1},
            "workloads": [
                {
                    "kind": "pxc",
                    "namespace": "wookie",
                    "storage": {"size": "1Gi"},
                    "replicates": {"from": "dc2", "export": "db-dr"},
                    "spec": LITTLE,
                }
            ],
            "exports": [export("db", of="db", namespace="wookie", replicas=3, account="db-pxc")],
            "imports": [{"from": "dc2", "export": "db-dr", **OTHER_CONSUMER}],
        },
        {
            "name": "dc2",
            "cluster": "k3d",
            "gateway": {"replicas": 1},
            "workloads": [REPLICA],
            "exports": [
                export("db-dr", of="db", namespace="wookie-dr", replicas=3, account="db-pxc")
                | {"consumers": [{"site": "dc1", **OTHER_CONSUMER}]}
            ],
            "imports": [{"from": "dc1", "export": "db", **CONSUMER}],
        },
    ]
    return {**lab_config(), "dcmesh:sites": sites, "dcmesh:primary": "dc1"}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    yield from lab_for_a_while("pxc")


@pytest.fixture(scope="module")
def project(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return initialised(lab, tmp_path_factory.mktemp(lab.name), config())


@pytest.fixture(scope="module")
def clusters(project: Project, lab: Lab) -> Iterator[Project]:
    """Both sites after an `up`. After the tests they are destroyed, and nothing of them may be left."""
    project.up("--skip-preview")
    yield project
    project.pulumi("destroy", "--yes", "--skip-preview")
    assert project.resources() == []
    assert lab.leftovers() == {}


@pytest.fixture(scope="module")
def sites(clusters: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kubectl]:
    return kubectl_of(clusters, tmp_path_factory.mktemp("kubeconfigs"))


@dataclass(frozen=True, order=True)
class Told:
    """What a server was told: when, which one, by whom, with which database as its default, and in which words."""

    time: str
    pod: str
    user: str
    database: str
    statement: str


LOGGED = re.compile(r"(\S+Z)\t *(\d+) (\w[\w ]*)\t?(.*)")
"""A line of a server's log: when, by which connection, what kind, and the words. It may go on in more lines."""


def told(site: Kubectl, namespace: str, pod: str) -> list[Told]:
    """Return all that a server was told."""
    entries = list[list[str]]()
    for line in site("logs", "--namespace", namespace, pod, "--container", "pxc").splitlines():
        if found := LOGGED.fullmatch(line):
            entries.append([*found.groups()])
        elif entries and line[:1].isspace():
            entries[-1][3] += line
    clients, found = dict[str, tuple[str, str]](), []
    for moment, connection, kind, words in entries:
        if kind == "Connect" and (client := re.match(r"(\w+)@\S+ on (\w*)", words)):
            clients[connection] = client[1], client[2]
        if kind == "Query":
            found.append(Told(moment, pod, *clients.get(connection, ("", "")), " ".join(words.split())))
    return found


def statements(site: Kubectl, namespace: str, pod: str, *words: str) -> list[str]:
    """Return the statements that the operator sent to a server, with one of these words. dcmesh uses no database."""
    by_operator = [one for one in told(site, namespace, pod) if (one.user, one.database) == ("operator", "mysql")]
    return [one.statement for one in by_operator if any(word in one.statement for word in words)]


def expected_sql() -> list[str]:
    """Return the statements for the replica's writer.

    The preferred source comes last, as the operator dials that one. MySQL's log has a statement with a password in
    MySQL's own words, and without the password.
    """
    sources = [
        f"SELECT asynchronous_connection_failover_add_source('dcmesh', '{host}', 3306, null, {weight})"
        for host, weight in zip(reversed(HOSTS), (98, 99, 100), strict=True)
    ]
    return [
        *sources,
        f"CHANGE REPLICATION SOURCE TO SOURCE_HOST = '{next(iter(HOSTS))}', SOURCE_USER = 'replication', "
        "SOURCE_PASSWORD = <secret>, SOURCE_PORT = 3306, SOURCE_CONNECT_RETRY = 10, SOURCE_RETRY_COUNT = 3, "
        "SOURCE_AUTO_POSITION = 1, SOURCE_SSL = 0, SOURCE_SSL_CA = '', SOURCE_SSL_VERIFY_SERVER_CERT = 0, "
        "SOURCE_CONNECTION_AUTO_FAILOVER = 1 FOR CHANNEL 'dcmesh'",
        "CHANGE REPLICATION SOURCE TO GET_SOURCE_PUBLIC_KEY=1 FOR CHANNEL 'dcmesh'",
        "START REPLICA FOR CHANNEL 'dcmesh'",
    ]


@dataclass(frozen=True)
class Server:
    """A node's server, or another in a pod that has MySQL's client."""

    site: Kubectl
    namespace: str
    pod: str

    def __call__(self, sql: str, *options: str) -> str:
        """Run SQL as root, by the client with these options."""
        client = " ".join(("mysql --user=root --host=127.0.0.1", *(options or ("--batch", "--skip-column-names"))))
        script = f'MYSQL_PWD=$MYSQL_ROOT_PASSWORD timeout 60 {client} --execute="$0"'
        inside = ("exec", "--namespace", self.namespace, self.pod, "--container", "pxc", "--", "bash", "-c", script)
        return self.site(*inside, sql)

    def channel(self) -> dict[str, str]:
        """Return what it says of its channel: nothing if it has none."""
        shown = self("SHOW REPLICA STATUS", "--vertical")
        return dict(line.strip().partition(": ")[::2] for line in shown.splitlines() if ": " in line)


def follows(site: Kubectl) -> bool:
    """Tell whether only the replica's writer follows, as it has been told, and no node has been told to take writes."""
    expected, servers = expected_sql(), [Server(site, "wookie-dr", pod) for pod in PODS]
    told = statements(site, "wookie-dr", PODS[0], "add_source", "SOURCE TO", "START REPLICA")
    read_only = [statements(site, "wookie-dr", pod, "READ_ONLY=") for pod in PODS]
    if told[-len(expected) :] != expected or any(read_only):
        return False
    return [server.channel().get("Replica_IO_Running", "No") for server in servers] == ["Yes", "No", "No"]


def nodes(sites: Mapping[str, Kubectl]) -> dict[str, Server]:
    """Return every node's server, by site and pod."""
    return {f"{name} {pod}": Server(sites[name], NAMESPACES[name], pod) for name in NAMESPACES for pod in PODS}


def test_a_wrong_cluster_is_refused_before_anything_is_made(project: Project, lab: Lab) -> None:
    channel = {"name": "own", "sourcesList": [{"host": "db.example", "port": 0}]}
    wrong = {**LITTLE, "crVersion": "1.21.0", "pxc": {"replicationChannels": [channel]}}
    right = project.stack_file.read_text()
    with project.edit() as edited:
        edited["dcmesh:sites"][1]["workloads"] = [REPLICA | {"name": "d" * 23, "size": 4, "spec": wrong}]
    said = project.refused("up", "--yes")
    for place in ("name", "size", "spec.crVersion", "spec.pxc.replicationChannels[0].sourcesList[0].port"):
        assert f"sites[1].workloads[0].{place}: " in said
    assert project.resources() == []
    assert lab.sites() == {}
    project.stack_file.write_text(right)


@pytest.mark.parametrize("site", NAMESPACES)
def test_the_cluster_is_ready(sites: dict[str, Kubectl], site: str) -> None:
    status = sites[site].get("perconaxtradbcluster", "db", NAMESPACES[site])["status"]
    assert (status["state"], status["pxc"]["ready"], status["haproxy"]["ready"]) == ("ready", 3, 1)


def test_the_operator_makes_dc2_a_replica(sites: dict[str, Kubectl]) -> None:
    eventually("the replica follows", lambda: follows(sites["dc2"]))


def test_the_channel_is_told_by_the_status(clusters: Project) -> None:
    roles(clusters, primary="dc1", source=next(iter(HOSTS)))


def roles(clusters: Project, *, primary: str, source: str) -> None:
    """Assert that the status says which site is the primary, and whom the other one follows."""
    command = ("venv/bin/python", "-m", "dcmesh", "status", "--json")
    asked = json.loads(run(*command, cwd=clusters.directory, env=clusters.environment).stdout)
    assert asked["state"] == "ok", asked["problems"]
    told = {site: known["databases"][0] for site, known in asked["sites"].items()}
    leader, channel = told.pop(primary), next(iter(told.values()))
    assert (leader["follows"], leader["readOnly"]) == ([], False)
    assert (channel["readOnly"], channel["source"], channel["running"]) == (True, source, True)


def test_the_primarys_nodes_start_read_only_and_are_opened(sites: dict[str, Kubectl]) -> None:
    for pod in PODS:
        opened = statements(sites["dc1"], "wookie", pod, "READ_ONLY=", "SOURCE TO", "REPLICA FOR")
        assert opened == ["SET GLOBAL READ_ONLY=0"]


@pytest.fixture(scope="module")
def shop(sites: dict[str, Kubectl]) -> None:
    """A table in which clients write, and their account, on every node."""
    nodes(sites)["dc1 db-pxc-0"](SHOP)
    shown = "SELECT user FROM mysql.user WHERE user = 'shopper'"
    for name, server in nodes(sites).items():
        eventually(f"{name} has them", lambda s=server: s(shown).strip() == "shopper")


@pytest.mark.usefixtures("shop")
def test_a_row_gets_to_every_node_of_both_sites(sites: dict[str, Kubectl]) -> None:
    """Through the gateways by GTID, and with caching_sha2_password without TLS: by the server's public key."""
    servers = nodes(sites)
    servers["dc1 db-pxc-0"]("INSERT INTO shop.written VALUES ('by hand', 1)")
    for name, server in servers.items():
        eventually(f"{name} has the row", lambda s=server: rows(s) == {("by hand", 1)})
    channel = servers["dc2 db-pxc-0"].channel()
    wanted = {"Source_SSL_Allowed": "No", "Get_Source_public_key": "1", "Auto_Position": "1"}
    assert wanted.items() <= channel.items()
    plugin = servers["dc1 db-pxc-0"]("SELECT plugin FROM mysql.user WHERE user = 'replication'")
    assert plugin.strip() == "caching_sha2_password"


@pytest.mark.parametrize("site", NAMESPACES)
def test_pods_are_what_the_policies_select_and_galera_is_not_in_the_mesh(sites: dict[str, Kubectl], site: str) -> None:
    for name in PODS:
        pod = sites[site].get("pod", name, NAMESPACES[site])
        assert SELECTOR.items() <= pod["metadata"]["labels"].items()
        assert pod["spec"]["serviceAccountName"] == "db-pxc"
        init, proxy, *_ = pod["spec"]["initContainers"]
        assert (init["name"], proxy["name"], proxy["restartPolicy"]) == ("istio-init", "istio-proxy", "Always")
        for option in ("-d", "-o"):  # The sidecar must exclude these ports, inbound and outbound.
            assert set(init["args"][init["args"].index(option) + 1].split(",")) >= GALERA_PORTS


@pytest.mark.parametrize("site", NAMESPACES)
def test_both_sites_have_the_channels_password_and_the_operator_adds_the_others(
    clusters: Project, sites: dict[str, Kubectl], site: str
) -> None:
    get = ("get", "secret", "db-secrets", "--namespace", NAMESPACES[site], "--output")
    password = clusters.output("replicationPasswords")["dc1"]["db"]
    assert sites[site](*get, "go-template={{.data.replication | base64decode}}") == password
    assert set(json.loads(sites[site](*get, "jsonpath={.data}"))) > {"root", "operator", "monitor", "xtrabackup"}


def test_every_node_of_the_source_greets_the_replicas_identity(clusters: Project) -> None:
    assert clusters.imported() == {"dc1": {*HOSTS_DR}, "dc2": {*HOSTS}}


def test_the_operator_reaches_through_strict_mtls_what_plaintext_does_not(sites: dict[str, Kubectl]) -> None:
    dc1 = sites["dc1"]
    assert dc1.get("peerauthentication", "db-strict", "wookie")["spec"]["mtls"] == {"mode": "STRICT"}
    assert dc1.get("peerauthentication", "db-strict", "wookie")["spec"]["selector"]["matchLabels"] == SELECTOR
    dc1("create", "namespace", "no-mesh")
    dc1("create", "serviceaccount", "plain", "--namespace", "no-mesh")
    plain = start(dc1, "plain", "no-mesh", "plain")
    before = len(statements(dc1, "wookie", "db-pxc-0", "@@read_only"))
    for port in (3306, 33062):
        address = f"telnet://db-pxc-0.db-pxc.wookie.svc.cluster.local:{port}"
        assert dc1("exec", *plain, "--", "curl", "--silent", "--max-time", "3", address, check=False) == ""
    eventually(
        "the operator goes on asking", lambda: len(statements(dc1, "wookie", "db-pxc-0", "@@read_only")) > before
    )


def test_the_operators_webhook_refuses_what_it_knows_to_be_wrong(sites: dict[str, Kubectl]) -> None:
    wrong = {**THEIRS, "metadata": {"name": "a-name-of-23-characters", "namespace": "wookie"}}
    apply = sites["dc1"].command("apply", "--dry-run=server", "--filename", "-")

    def refused() -> bool:
        said = run(*apply, check=False, input=yaml.safe_dump(wrong)).stderr
        return 'webhook "validationwebhook.pxc.percona.com" denied the request' in said and "too long" in said

    eventually("the webhook refuses a name that is too long", refused)


def test_a_second_up_changes_nothing_and_refresh_finds_no_drift(clusters: Project) -> None:
    clusters.up("--expect-no-changes")
    clusters.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")


def test_a_cluster_that_somebody_else_made_needs_an_export_alone(clusters: Project, sites: dict[str, Kubectl]) -> None:
    """At the same time a changed option restarts dc2's nodes. The operator makes replicas of them again."""
    namespace = {"name": "theirs", "labels": {"istio-injection": "enabled"}}
    account = {"name": "their-database", "namespace": "theirs"}
    sites["dc1"].apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": namespace},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
    )
    # On a busy machine the operator may fail its liveness probe, and its webhook then answers nobody for a moment.
    apply = sites["dc1"].command("apply", "--filename", "-")
    eventually(
        "the operator takes their cluster",
        lambda: run(*apply, check=False, input=yaml.safe_dump(THEIRS)).returncode == 0,
        within=90,
    )
    started = sites["dc2"].get("pod", "db-pxc-0", "wookie-dr")["metadata"]["uid"]
    with clusters.edit() as edited:
        dc1, dc2 = edited["dcmesh:sites"]
        dc1["exports"].append(export("own", of="own", namespace="theirs", replicas=1, account="their-database"))
        dc2["imports"].append({"from": "dc1", "export": "own", **CONSUMER})
        dc2["workloads"][0]["settings"] = {"max_connections": "500"}
    clusters.up("--skip-preview")
    theirs = "own-pxc-0.own-pxc.theirs.svc.cluster.local"
    assert clusters.imported() == {"dc1": {*HOSTS_DR}, "dc2": {*HOSTS, theirs}}
    eventually(
        "the nodes are new ones",
        lambda: sites["dc2"].get("pod", "db-pxc-0", "wookie-dr")["metadata"]["uid"] != started,
        within=90,
    )
    eventually("the replica follows again", lambda: follows(sites["dc2"]), within=60)


PLAIN = "plain-pxc-0.plain-pxc.apart.svc.cluster.local"
PLAIN_PROXY = "plain-haproxy.apart.svc.cluster.local"
EGRESS = {"namespace": "dcmesh-egress", "serviceAccount": "egress"}


def operated(name: str, namespace: str, **nodes: Any) -> list[dict[str, Any]]:
    """Return a cluster of a node and a proxy that dcmesh did not make, in a namespace without sidecars."""
    server = {key: value for key, value in THEIRS["spec"]["pxc"].items() if key != "serviceAccountName"}
    proxy = {"enabled": True, "image": f"percona/haproxy:{HAPROXY}", "imagePullPolicy": "IfNotPresent"}
    spec = {
        **THEIRS["spec"],
        "unsafeFlags": {"pxcSize": True, "proxySize": True},
        "pxc": {**server, **nodes},
        "haproxy": {**LITTLE["haproxy"], **proxy},
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {**THEIRS, "metadata": {"name": name, "namespace": namespace}, "spec": spec},
    ]


def run_by_operator(site: Kubectl, name: str, namespace: str, *objects: dict[str, Any]) -> None:
    """Let an operator run a cluster."""
    taken = site.command("apply", "--filename", "-")
    text = yaml.safe_dump_all(objects)
    eventually("the operator takes it", lambda: run(*taken, check=False, input=text).returncode == 0, within=90)
    cluster = ("perconaxtradbcluster", name, namespace)
    eventually("it is ready", lambda: site.get(*cluster).get("status", {}).get("state") == "ready", within=120)


def as_it_is(site: Kubectl) -> list[Any]:
    """Return everything that a change of the exported cluster, or of an object that its operator made, would change."""
    resource = site.get("perconaxtradbcluster", "plain", "apart")["metadata"]
    return [*(resource.get(key) for key in ("uid", "generation", "annotations", "labels")), bare.state(site, "apart")]


@pytest.mark.soak(proves=("components/mesh/gateway_termination.py", "components/mesh/egress_*.py"))
def test_an_operators_cluster_is_exported_and_followed_and_left_as_it_is(
    clusters: Project, sites: dict[str, Kubectl]
) -> None:
    """Its node is exported, and its proxy's Service as a whole.

    Another cluster that dcmesh did not make follows it in dc2.
    """
    dc1, dc2 = sites["dc1"], sites["dc2"]
    run_by_operator(dc1, "plain", "apart", *operated("plain", "apart"))
    before, right = as_it_is(dc1), clusters.stack_file.read_text()
    with clusters.edit() as edited:
        way = {"termination": "gateway", "namespace": "apart", "port": 3306, "consumers": [{"site": "dc2", **EGRESS}]}
        edited["dcmesh:sites"][0]["exports"] += [
            {"name": "plain", "statefulSet": "plain-pxc", "service": "plain-pxc", "replicas": 1, **way},
            {"name": "plain-haproxy", "whole": True, **way},
        ]
        way = {"egress": "gateway", "hostNamespace": "apart", "clients": [{"namespace": "apart-dr"}]}
        edited["dcmesh:sites"][1]["imports"] += [
            {"from": "dc1", "export": name, **EGRESS, **way} for name in ("plain", "plain-haproxy")
        ]
    clusters.up("--skip-preview")
    password = database_passwords(dc1, "apart")["replication"]
    channel = {"name": "apart", "isSource": False, "sourcesList": [{"host": PLAIN, "port": 3306, "weight": 100}]}
    secret = {"name": "follower-secrets", "namespace": "apart-dr"}
    namespace, follower = operated("follower", "apart-dr", replicationChannels=[channel])
    passwords = {"apiVersion": "v1", "kind": "Secret", "metadata": secret, "stringData": {"replication": password}}
    run_by_operator(dc2, "follower", "apart-dr", namespace, passwords, follower)

    def told() -> list[str]:
        return statements(dc2, "apart-dr", "follower-pxc-0", "SOURCE TO", "START REPLICA")

    eventually("it is told to follow", lambda: "START REPLICA FOR CHANNEL 'apart'" in told(), within=60)
    assert any(f"SOURCE_HOST = '{PLAIN}'" in statement for statement in told())
    asking = start(dc2, "asking", "apart-dr", "default", image=CLIENT.image)
    answers = {
        host: log_in(dc2, asking, host, "replication", password, program=CLIENT.program)
        for host in (PLAIN, PLAIN_PROXY)
    }
    assert answers == dict.fromkeys(answers, "plain-pxc-0"), "by the follower's password, which is the source's"
    listed = dc1("get", "serviceentries,sidecars,networkpolicies,jobs", "--namespace", "apart", "--output", "name")
    assert [name.partition("/")[0] for name in listed.split()] == ["serviceentry.networking.istio.io"]
    clusters.stack_file.write_text(right)
    clusters.up("--skip-preview")
    assert as_it_is(dc1) == before
    for site, name in (dc1, "apart"), (dc2, "apart-dr"):
        site("delete", "namespace", name, "--wait=false")


def told_at(site: Kubectl, namespace: str, statement: str) -> list[tuple[str, str, str]]:
    """Return when each node was sent a statement that begins with this, by anybody, in order."""
    found = [one for pod in PODS for one in told(site, namespace, pod) if one.statement.startswith(statement)]
    return sorted((one.time, one.pod, one.statement) for one in found)


def turns(sites: dict[str, Kubectl]) -> list[str]:
    """Return the sites in the order in which their nodes were open.

    Nodes of both sites may not be open at the same time.
    """
    changes = sorted(
        (time, site, pod, statement.endswith("0"))
        for site, namespace in NAMESPACES.items()
        for time, pod, statement in told_at(sites[site], namespace, "SET GLOBAL READ_ONLY=")
    )
    found, is_open = list[str](), set[tuple[str, str]]()  # The servers start closed for writes.
    for moment, site, pod, opens in changes:
        (is_open.add if opens else is_open.discard)((site, pod))
        assert len({site for site, _ in is_open}) < 2, f"both are open at {moment}: {is_open}"
        if opens and found[-1:] != [site]:
            found.append(site)
    return found


def events(sites: dict[str, Kubectl], site: str) -> set[str]:
    """Return the last setting of the event schedulers of a site's servers."""
    switched = told_at(sites[site], NAMESPACES[site], "SET GLOBAL event_scheduler = ")
    last = {pod: statement.rpartition(" ")[2] for _, pod, statement in switched}
    return set(last.values())


def by_hand(clusters: Project, primary: str, *options: str) -> tuple[int, list[str]]:
    """Run `python -m dcmesh switchover`, and return its exit code and what it printed."""
    words = ("--kind", "pxc", "--site", "dc1/wookie/db", "--site", "dc2/wookie-dr/db", "--primary", primary)
    kubeconfigs = clusters.output("kubeconfigs")
    environment = {"DCMESH_KUBECONFIG": kubeconfigs["dc1"], "DCMESH_OTHER_KUBECONFIG": kubeconfigs["dc2"]}
    command = ("venv/bin/python", "-m", "dcmesh", "switchover", *words, *options)
    done = run(*command, check=False, timeout=180, cwd=clusters.directory, env=clusters.environment | environment)
    return done.returncode, [*done.stdout.splitlines(), *done.stderr.splitlines()]


CLIENT = Client(
    image=f"percona/percona-xtradb-cluster:{PXC}", program="mysql", account="db-pxc", host="db-haproxy", rest=0.5
)


@pytest.fixture(scope="module")
def writers(sites: dict[str, Kubectl], shop: None) -> Writers:
    """A client in each site that never stops trying to write there, by way of the proxy."""
    writers = Writers(sites, NAMESPACES, CLIENT)
    writers.write("dc1")
    return writers


def arrives(sites: Mapping[str, Kubectl], fault: str, *, within: float) -> None:
    """Commit a row in dc1, and print after how many seconds dc2 has it."""
    servers, begun = nodes(sites), time.monotonic()
    servers["dc1 db-pxc-2"](f"INSERT INTO shop.written VALUES ('{fault}', 1)")  # noqa: S608
    eventually("dc2 has the row", lambda: (fault, 1) in rows(servers["dc2 db-pxc-2"]), within=within)
    print(f"{fault}: dc2 has the row after {time.monotonic() - begun:.0f} s")


def all_are_ready(site: Kubectl, namespace: str, *, within: float = 180) -> None:
    resource = ("perconaxtradbcluster", "db", namespace)
    ready = lambda: site.get(*resource)["status"]["pxc"].get("ready") == len(PODS)  # noqa: E731
    eventually("all nodes are ready", ready, within=within)


@SOAK
@pytest.mark.usefixtures("shop")
def test_the_channel_goes_to_the_next_source_by_itself_when_the_first_is_gone(
    clusters: Project, sites: dict[str, Kubectl]
) -> None:
    """Kubernetes may not start the first source again. What another node commits meanwhile comes by the next one."""
    dc1, follower = sites["dc1"], nodes(sites)["dc2 db-pxc-0"]
    first = follower.channel()["Source_Host"]
    (node,) = dc1("get", "nodes", "--output", "jsonpath={.items[*].metadata.name}").split()
    dc1("cordon", node)
    try:
        dc1("delete", "pod", HOSTS[first], "--namespace", "wookie", "--force", "--grace-period=0")
        arrives(sites, "source", within=180)
        assert follower.channel()["Source_Host"] in HOSTS.keys() - {first}
    finally:
        dc1("uncordon", node)
    all_are_ready(dc1, "wookie")
    assert ("source", 1) in rows(Server(dc1, "wookie", HOSTS[first]))
    eventually("all is well", lambda: status(clusters)[0] == 0, within=120)
    roles(clusters, primary="dc1", source=follower.channel()["Source_Host"])  # It may be the first one again.


@SOAK
@pytest.mark.usefixtures("shop")
def test_after_a_long_cut_the_channel_comes_back_by_itself(lab: Lab, sites: dict[str, Kubectl]) -> None:
    """MySQL tries one source after the other for ever, where a single source would be tried three times."""
    follower = nodes(sites)["dc2 db-pxc-0"]
    lab("wan", "cut")
    try:
        time.sleep(150)  # Three tries of each source take less.
        assert follower.channel()["Replica_IO_Running"] == "Connecting"
    finally:
        lab("wan", "heal")
    arrives(sites, "cut", within=90)


def test_a_channel_that_the_operator_leaves_stopped_is_critical_and_is_started_by_hand(
    clusters: Project, sites: dict[str, Kubectl]
) -> None:
    """Its operator looks at it every few seconds, and starts what is stopped as a whole.

    In a turn it asks for a channel once, and once more for one that it takes for broken.
    """
    follower = nodes(sites)["dc2 db-pxc-0"]
    place = follower.site, follower.namespace, follower.pod

    def asked() -> int:
        return len(statements(*place, "SHOW REPLICA STATUS FOR CHANNEL"))

    follower("STOP REPLICA IO_THREAD FOR CHANNEL 'dcmesh'")
    before = asked()
    eventually("the operator has looked at it twice", lambda: asked() >= before + 4, within=60)
    assert follower.channel()["Replica_IO_Running"] == "No"
    code, problems = status(clusters)
    assert code == 2, problems
    assert by_hand(clusters, "dc1")[0] == 0
    eventually("all is well", lambda: status(clusters)[0] == 0, within=60)
    *_, last = (one for one in told(*place) if one.statement == "START REPLICA FOR CHANNEL 'dcmesh'")
    assert (last.user, last.database) == ("operator", ""), "dcmesh has started it, which uses no database"


BY_HAND = f"""
CHANGE REPLICATION SOURCE TO
  SOURCE_HOST='{next(iter(HOSTS))}',
  SOURCE_PORT=3306,
  SOURCE_USER='repl_user',
  SOURCE_PASSWORD='password';
"""
"""Word for word as the project's first description has it. MySQL 9.7 then uses TLS, inside the TLS of the mesh."""

MYSQLD = """
if ! [ -e /data/mysql ]; then
  echo "ALTER USER root@localhost IDENTIFIED BY '$MYSQL_ROOT_PASSWORD';" >/tmp/root.sql
  mysqld --datadir=/data/mysql --initialize-insecure --init-file=/tmp/root.sql --secure-file-priv=
fi
exec mysqld --datadir=/data/mysql --socket=/tmp/mysql.sock --mysqlx=OFF --server-id=77 --gtid-mode=ON \
  --enforce-gtid-consistency=ON --secure-file-priv= --performance-schema=OFF
"""
"""A server of one's own. It ends when it has become a copy, and kubelet starts it again."""

DONOR = """
INSTALL PLUGIN clone SONAME 'mysql_clone.so';
CREATE USER donor@'%' IDENTIFIED BY 'of the copy';
GRANT BACKUP_ADMIN ON *.* TO donor@'%';
"""

COPY = f"""
INSTALL PLUGIN clone SONAME 'mysql_clone.so';
SET PERSIST read_only = ON, event_scheduler = OFF;
SET GLOBAL clone_valid_donor_list = '{next(iter(HOSTS))}:3306';
CLONE INSTANCE FROM donor@'{next(iter(HOSTS))}':3306 IDENTIFIED BY 'of the copy';
"""
"""docs/pxc.md has both."""

GOES_ON = """
CHANGE REPLICATION SOURCE TO
  SOURCE_AUTO_POSITION=1,
  SOURCE_CONNECT_RETRY=1, SOURCE_RETRY_COUNT=100000, SOURCE_HEARTBEAT_PERIOD=2,
  GET_SOURCE_PUBLIC_KEY=1;
SET PERSIST replica_net_timeout=10, super_read_only=ON;
START REPLICA;
"""
"""docs/start/statefulset.md has it."""


@pytest.mark.usefixtures("shop")
def test_a_first_copy_by_clone_and_a_channel_typed_by_hand_work(sites: dict[str, Kubectl]) -> None:
    """In a server that no operator knows, with the identity that dc1 admits.

    MySQL 8.4 does not use TLS by default. Then such a channel needs the source's public key.
    """
    source = nodes(sites)["dc1 db-pxc-0"]
    source("CREATE USER repl_user@'%' IDENTIFIED BY 'password'; GRANT REPLICATION SLAVE ON *.* TO repl_user@'%'")
    source(DONOR)
    source("INSERT INTO shop.written VALUES ('before', 1)")
    # A copy has the source's accounts.
    password = {"name": "MYSQL_ROOT_PASSWORD", "value": database_passwords(sites["dc1"], "wookie")["root"]}
    container = {
        "name": "pxc",
        "image": CLIENT.image,
        "command": ["bash", "-c", MYSQLD],
        "env": [password],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    spec = {
        "serviceAccountName": "db-pxc",
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [{"name": "data", "emptyDir": {}}],
    }
    metadata = {"name": "by-hand", "namespace": "wookie-dr"}
    sites["dc2"].apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    script = 'MYSQL_PWD=$MYSQL_ROOT_PASSWORD exec mysql --user=root --socket=/tmp/mysql.sock "$@"'
    client = ("exec", "--namespace", "wookie-dr", "by-hand", "--container", "pxc", "--", "bash", "-c", script, "ask")

    def ask(sql: str, *options: str) -> str:
        return sites["dc2"](*client, *options, f"--execute={sql}", check=False)

    eventually("it answers", lambda: "1" in ask("SELECT 1"), within=60)
    ask(COPY)
    eventually("it is a copy", lambda: "before" in ask("SELECT * FROM shop.written"), within=60)
    assert ask("SELECT @@read_only, @@event_scheduler", "--batch", "--skip-column-names").split() == ["1", "OFF"]
    source("DROP USER donor@'%'; UNINSTALL PLUGIN clone; INSERT INTO shop.written VALUES ('after it', 1)")
    shown = lambda: ask("SHOW REPLICA STATUS", "--vertical")  # noqa: E731
    ask(f"{BY_HAND} CHANGE REPLICATION SOURCE TO SOURCE_SSL=0; START REPLICA")
    eventually("it is refused without TLS", lambda: "Authentication requires secure connection" in shown())
    ask(f"STOP REPLICA; {GOES_ON}")
    eventually("it follows without TLS", lambda: "after it" in ask("SELECT * FROM shop.written"))
    assert "Auto_Position: 1" in shown()
    assert "1" in ask("SELECT @@super_read_only")
    ask(f"STOP REPLICA; RESET REPLICA ALL; {BY_HAND} START REPLICA")
    source("INSERT INTO shop.written VALUES ('by TLS', 1)")
    eventually("it follows by TLS", lambda: "by TLS" in ask("SELECT * FROM shop.written"))
    assert "Source_SSL_Allowed: Yes" in shown()
    sites["dc2"]("delete", "pod", "by-hand", "--namespace", "wookie-dr")


def test_a_dry_run_says_what_a_switchover_would_do(clusters: Project, sites: dict[str, Kubectl]) -> None:
    code, said = by_hand(clusters, "dc2", "--dry-run")
    assert (code, [line.partition(", at ")[0] for line in said]) == (
        0,
        [
            "nothing is changed; this would be said:",
            "dc1: dc2 is to be the primary",
            "dc2: takes over",
            "dc1: is read-only",
            "dc1: follows dc2",
            "dc2: is the primary",
            "dc1: is a replica",
        ],
    )
    assert turns(sites) == ["dc1"]


@SOAK
def test_what_the_resources_do_not_want_is_waited_for_and_not_done(
    clusters: Project, sites: dict[str, Kubectl]
) -> None:
    before = turns(sites)
    code, said = by_hand(clusters, "dc2")
    assert code == 2
    assert "by its resource: nothing is changed" in said[-1]
    assert turns(sites) == before


def test_a_switchover_that_is_interrupted_goes_on(
    clusters: Project, sites: dict[str, Kubectl], writers: Writers
) -> None:
    assert turns(sites) == ["dc1"]
    with clusters.edit() as edited:
        edited["dcmesh:primary"] = "dc2"
    up = clusters.start("up", "--yes", "--skip-preview")
    eventually("dc1 is closed", lambda: len(told_at(sites["dc1"], "wookie", "SET GLOBAL READ_ONLY=1")) == 3, within=180)
    up.send_signal(signal.SIGINT)
    up.communicate(timeout=120)
    clusters.up("--skip-preview")
    roles(clusters, primary="dc2", source=next(iter(HOSTS_DR)))
    assert turns(sites) == ["dc1", "dc2"]
    eventually("events run in dc2 alone", lambda: (events(sites, "dc1"), events(sites, "dc2")) == ({"OFF"}, {"ON"}))
    closed = told_at(sites["dc1"], "wookie", "SET GLOBAL READ_ONLY=1")
    asked = told_at(sites["dc2"], "wookie-dr", "SELECT REPLACE(@@GLOBAL.gtid_executed")
    opened = told_at(sites["dc2"], "wookie-dr", "SET GLOBAL READ_ONLY=0")
    assert [one for one in asked if closed[-1] < one < opened[0]], "for its rows, when dc1 was closed"
    assert [name for name, server in nodes(sites).items() if server.channel()] == ["dc1 db-pxc-0"], "dc2 has none left"
    writers.write("dc2")
    assert_nothing_is_lost(writers, nodes(sites))


def test_and_back(clusters: Project, sites: dict[str, Kubectl], writers: Writers) -> None:
    with clusters.edit() as edited:
        edited["dcmesh:primary"] = "dc1"
    clusters.up("--skip-preview")
    roles(clusters, primary="dc1", source=next(iter(HOSTS)))
    assert turns(sites) == ["dc1", "dc2", "dc1"]
    clusters.up("--expect-no-changes")
    writers.write("dc1")
    assert writers.turns() == ["dc1", "dc2", "dc1"]
    print(f"no writer for {writers.gap('dc2', 'dc1'):.1f} s")
    assert_nothing_is_lost(writers, nodes(sites))
    for site in sites:
        writers.end(site)


@SOAK
def test_one_that_was_begun_can_be_taken_back(clusters: Project, sites: dict[str, Kubectl]) -> None:
    """The end of a switchover also runs for a primary that is back: its channel goes, and a promise is withdrawn."""
    closed = len(told_at(sites["dc1"], "wookie", "SET GLOBAL READ_ONLY=1"))
    with clusters.edit() as edited:
        edited["dcmesh:primary"] = "dc2"
    up = clusters.start("up", "--yes", "--skip-preview")
    eventually(
        "dc1 is closed",
        lambda: len(told_at(sites["dc1"], "wookie", "SET GLOBAL READ_ONLY=1")) == closed + 3,
        within=180,
    )
    up.send_signal(signal.SIGINT)
    up.communicate(timeout=120)
    with clusters.edit() as edited:
        edited["dcmesh:primary"] = "dc1"
    assert "dc1.wookie-switchover replaced" in clusters.up("--skip-preview")
    roles(clusters, primary="dc1", source=next(iter(HOSTS)))
    clusters.up("--expect-no-changes")


def status(clusters: Project) -> tuple[int, list[str]]:
    """Return the exit code of `dcmesh status`, and what it finds, which is printed as well."""
    done = clusters.dcmesh("status", "--json")
    found = [problem["text"] for problem in json.loads(done.stdout)["problems"]]
    print(*found, sep="\n")
    return done.returncode, found


def test_a_primary_that_starts_while_the_line_is_cut_waits_and_an_open_one_does_not(
    lab: Lab, clusters: Project, sites: dict[str, Kubectl]
) -> None:
    dc1 = sites["dc1"]

    def holds() -> list[dict[str, Any]]:
        found = [dc1.get("pod", pod, "wookie")["status"]["containerStatuses"] for pod in PODS]
        return [one for containers in found for one in containers if one["name"] == "dcmesh-hold"]

    lab("wan", "cut")
    try:
        told = told_at(dc1, "wookie", "SET GLOBAL READ_ONLY=")
        for pod in PODS:
            inside = ("--namespace", "wookie", "--container", "dcmesh-hold", "--", "bash", "-c", "kill 1")
            dc1("exec", pod, *inside, check=False)  # The command may end with the container.
        eventually(
            "all have started again", lambda: all(one["restartCount"] and one["ready"] for one in holds()), within=60
        )
        assert told_at(dc1, "wookie", "SET GLOBAL READ_ONLY=") == told
        dc1("delete", "pods", "--namespace", "wookie", "--selector", "app.kubernetes.io/component=pxc")
        words = "set failover.without to dc2 and run `pulumi up`"
        eventually("the status says so", lambda: any(words in said for said in status(clusters)[1]), within=60)
        assert statements(dc1, "wookie", PODS[0], "READ_ONLY=") == []
    finally:
        lab("wan", "heal")
    all_are_ready(dc1, "wookie")
    eventually("and open", lambda: len(told_at(dc1, "wookie", "SET GLOBAL READ_ONLY=0")) == len(PODS))


@SOAK
def test_a_primary_that_is_gone_is_replaced_once_somebody_says_what_may_be_lost(
    lab: Lab, clusters: Project, sites: dict[str, Kubectl], writers: Writers
) -> None:
    """An `up` of the whole stack does it, and changes nothing in dc1. dc1's last commits have not reached dc2."""
    begun = len(told_at(sites["dc2"], "wookie-dr", "SET GLOBAL READ_ONLY=0"))
    before = clusters.changed_in("dc1")
    for site in sites:
        writers.begin(site, first=10**6)
    writers.write("dc1")
    lab("wan", "cut")
    follower = nodes(sites)["dc2 db-pxc-0"]
    eventually("the channel is broken", lambda: follower.channel()["Replica_IO_Running"] != "Yes", within=60)
    writers.write("dc1")
    writers.end("dc1")
    cgroup.kill(LabPaths(lab.name).site("dc1"))
    lab("wan", "heal")
    committed = {(row.site, row.number) for row in writers.written()}
    assert committed - rows(follower)
    switch(clusters, "dc2", without="dc1")
    said = clusters.refused("up", "--yes", "--skip-preview")
    end = re.search(
        r"what is applied of it ends at (\S+), not at the failover.at of the configuration, which is not set", said
    )
    assert end, said
    assert len(told_at(sites["dc2"], "wookie-dr", "SET GLOBAL READ_ONLY=0")) == begun
    switch(clusters, "dc2", without="dc1", at=end[1])
    clusters.up("--skip-preview")
    opened = told_at(sites["dc2"], "wookie-dr", "SET GLOBAL READ_ONLY=0")[begun:]
    marked = told_at(sites["dc2"], "wookie-dr", "SET GLOBAL dcmesh_replica.key_buffer_size = ")
    promised = [told for told in marked if int(told[2].rpartition(" ")[2]) > 65536]
    assert (len(opened), len(promised)) == (len(PODS), len(PODS))
    assert promised[-1] < opened[0], "it was no replica any more before it was open"
    assert clusters.changed_in("dc1") == before
    code, problems = status(clusters)
    assert (code, [problem.rpartition(":")[0] for problem in problems]) == (1, ["dc1: is not asked"])
    assert "dc1" in clusters.dcmesh("doctor").stdout
    writers.write("dc2")


@SOAK
def test_it_returns_and_nobody_opens_it(
    lab: Lab, clusters: Project, sites: dict[str, Kubectl], writers: Writers
) -> None:
    """Its resource still says that it is the primary, so its nodes are held until `up` has made it a replica.

    It keeps the rows that dc2 never got, and `up` names them.
    """
    lab("create", "dc1", "--reachable-from", "dc2")
    dc1 = sites["dc1"]

    def held(pod: str) -> bool:
        log = dc1("logs", "--namespace", "wookie", pod, "--container", "dcmesh-hold", "--tail", "1", check=False)
        return "read-only: dc2 takes writes" in log

    eventually("all nodes say why they are held", lambda: all(held(pod) for pod in PODS), within=120)
    resource = ("perconaxtradbcluster", "db", "wookie")
    eventually("their operator is back", lambda: dc1.get(*resource)["status"]["state"] != "ready", within=60)
    switch(clusters, "dc2")
    up = clusters.start("up", "--yes", "--skip-preview")
    script = ("get", "configmap", "db-pxc-hookscript", "--namespace", "wookie", "--output", "jsonpath={.data}")
    eventually("the operator has seen it", lambda: "dcmesh: replica" in dc1(*script), within=120)
    # kubelet updates a pod's ConfigMaps within a minute or two, or at once when the pod changes.
    dc1("annotate", "pods", "--namespace", "wookie", "--selector", "app.kubernetes.io/component=pxc", "look=now")
    said, _ = up.communicate(timeout=300)
    assert up.returncode == 0, said
    assert re.search(r"has transactions that dc2 has not.*: [0-9a-f-]{36}:", said), said
    roles(clusters, primary="dc2", source=next(iter(HOSTS_DR)))
    assert told_at(dc1, "wookie", "SET GLOBAL READ_ONLY=") == []
    servers, committed = nodes(sites), {(row.site, row.number) for row in writers.written()}
    assert committed <= rows(servers["dc1 db-pxc-0"]), "nothing is dropped"
    assert not committed <= rows(servers["dc2 db-pxc-0"]), "nothing is merged"


@SOAK
def test_without_its_volumes_it_follows_anew_and_is_the_primary_again(
    clusters: Project, sites: dict[str, Kubectl], writers: Writers
) -> None:
    """It gets back what it wrote itself, under its own server ids. What only the old volumes had is gone.

    dc2's binary logs reach back to the beginning.
    """
    servers = nodes(sites)
    committed = {(row.site, row.number) for row in writers.written()}
    kept = committed & rows(servers["dc2 db-pxc-0"])
    lost = {(site, number) for site, number in committed - kept if site == "dc1"}
    assert lost
    where = ("--namespace", "wookie", "--selector", "app.kubernetes.io/component=pxc")
    ids = [server("SELECT @@server_id") for name, server in servers.items() if name.startswith("dc1")]
    volumes = ("get", "pvc", *where, "--output", "jsonpath={.items[*].metadata.uid}")
    old = set(sites["dc1"](*volumes).split())
    sites["dc1"]("delete", "pvc", *where, "--wait=false")
    sites["dc1"]("delete", "pod", *where)
    new = lambda: len(set(sites["dc1"](*volumes).split()) - old) == len(PODS)  # noqa: E731
    eventually("each node has a new volume", new, within=180)
    all_are_ready(sites["dc1"], "wookie", within=240)
    assert ids == [server("SELECT @@server_id") for name, server in servers.items() if name.startswith("dc1")]
    eventually("all is well", lambda: status(clusters)[0] == 0, within=120)
    with clusters.edit() as edited:
        edited["dcmesh:primary"] = "dc1"
    writers.begin("dc1", first=2 * 10**6)
    clusters.up("--skip-preview")
    roles(clusters, primary="dc1", source=next(iter(HOSTS)))
    writers.write("dc1")
    assert writers.turns()[-3:] == ["dc1", "dc2", "dc1"]
    wanted = {(row.site, row.number) for row in writers.written()} - (committed - kept)
    for name, server in servers.items():
        eventually(f"{name} has every row that was kept", lambda s=server: wanted <= rows(s))
        assert not lost & rows(server), "the volumes are new"
