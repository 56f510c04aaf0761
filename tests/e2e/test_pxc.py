"""A Percona XtraDB Cluster in each of two sites, run by the real operator: dc2's follows dc1's.

MySQL itself is a stand-in, which logs what the operator sends: lab/README.md. One life, in the order of the tests.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from .toolbox import Kubectl, Lab, Project, dev_config, eventually, kubectl_of, run, start

NAMESPACES = {"dc1": "wookie", "dc2": "wookie-dr"}
PODS = tuple(f"db-pxc-{n}" for n in range(3))
HOSTS = {f"{pod}.db-pxc.wookie.svc.cluster.local": pod for pod in PODS}
SELECTOR = {"app.kubernetes.io/instance": "db", "app.kubernetes.io/component": "pxc"}
CONSUMER = {"namespace": "wookie-dr", "serviceAccount": "db-pxc"}
GALERA_PORTS = {"4444", "4567", "4568"}

LITTLE = {
    "unsafeFlags": {"proxySize": True},
    "haproxy": {"size": 1, "affinity": {"antiAffinityTopologyKey": "none"}},
    "pxc": {
        "affinity": {"antiAffinityTopologyKey": "none"},
        "readinessProbes": {"initialDelaySeconds": 1, "periodSeconds": 1},
    },
}
"""A cluster on one node, of servers that are up at once."""

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
"""A cluster that dcmesh knows nothing of: no proxy, its own service account."""


def export(name: str, *, of: str, namespace: str, replicas: int, account: str) -> dict[str, Any]:
    """Return the export of a cluster that is named otherwise."""
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
            "cluster": "lab",
            "gateway": {"replicas": 1},
            "workloads": [{"kind": "pxc", "namespace": "wookie", "storage": {"size": "1Gi"}, "spec": LITTLE}],
            "exports": [export("db", of="db", namespace="wookie", replicas=3, account="db-pxc")],
        },
        {
            "name": "dc2",
            "cluster": "lab",
            "workloads": [REPLICA],
            "imports": [{"from": "dc1", "export": "db", **CONSUMER}],
        },
    ]
    return {**dev_config(), "dcmesh:sites": sites}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab("pxc")
    yield lab
    lab("delete", "--all")  # does nothing unless a test failed before its destroy


@pytest.fixture(scope="module")
def project(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Project:
    directory = tmp_path_factory.mktemp(lab.name)
    project = Project(directory / "project", stack=lab.name, config=config(), state=directory / "state")
    project.init()
    return project


@pytest.fixture(scope="module")
def clusters(project: Project, lab: Lab) -> Iterator[Project]:
    """Both sites, up. When the tests are done they are destroyed, and nothing of them may be left."""
    project.up("--skip-preview")
    yield project
    project.pulumi("destroy", "--yes", "--skip-preview")
    assert project.resources() == []
    assert lab.leftovers() == {}


@pytest.fixture(scope="module")
def sites(clusters: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kubectl]:
    return kubectl_of(clusters, tmp_path_factory.mktemp("kubeconfigs"))


def statements(site: Kubectl, namespace: str, pod: str, *words: str) -> list[str]:
    """Return what the operator told a server's administrative port, of the statements with one of these words."""
    log = site("logs", "--namespace", namespace, pod, "--container", "pxc")
    told = [line.partition("> ")[2] for line in log.splitlines() if line.startswith("operator@33062> ")]
    return [statement for statement in told if any(word in statement for word in words)]


def expected_sql(password: str) -> list[str]:
    """Return what the writer of the replica is told: the preferred source last, as the operator dials that one."""
    sources = [
        f"SELECT asynchronous_connection_failover_add_source('dcmesh', '{host}', 3306, null, {weight})"
        for host, weight in zip(reversed(HOSTS), (98, 99, 100), strict=True)
    ]
    return [
        *sources,
        f"CHANGE REPLICATION SOURCE TO SOURCE_USER='replication', SOURCE_PASSWORD='{password}', "
        f"SOURCE_HOST='{next(iter(HOSTS))}', SOURCE_PORT=3306, SOURCE_CONNECTION_AUTO_FAILOVER=1, "
        "SOURCE_AUTO_POSITION=1, SOURCE_RETRY_COUNT=3, SOURCE_CONNECT_RETRY=10, SOURCE_SSL=0, SOURCE_SSL_CA='', "
        "SOURCE_SSL_VERIFY_SERVER_CERT=0 FOR CHANNEL 'dcmesh'",
        "CHANGE REPLICATION SOURCE TO GET_SOURCE_PUBLIC_KEY=1 FOR CHANNEL 'dcmesh'",
        "START REPLICA FOR CHANNEL 'dcmesh'",
    ]


def follows(clusters: Project, site: Kubectl) -> bool:
    """Tell whether the replica's nodes have been told to be one: the writer alone to follow, all to be read-only."""
    expected = expected_sql(clusters.output("replicationPasswords")["dc1"]["db"])
    told = [statements(site, "wookie-dr", pod, "add_source", "SOURCE TO", "START REPLICA") for pod in PODS]
    read_only = [statements(site, "wookie-dr", pod, "READ_ONLY=") for pod in PODS]
    return [told[0][-len(expected) :], *told[1:], *read_only] == [expected, [], [], *[["SET GLOBAL READ_ONLY=1"]] * 3]


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


def test_the_operator_makes_dc2_a_replica(clusters: Project, sites: dict[str, Kubectl]) -> None:
    eventually("the replica follows", lambda: follows(clusters, sites["dc2"]))


def test_the_channel_is_told_by_the_stack_and_by_the_status(clusters: Project) -> None:
    (channel,) = clusters.output("replication")["dc2"].values()
    assert (channel["source"], channel["running"], channel["lastError"]) == (next(iter(HOSTS)), True, "")
    command = ("venv/bin/python", "-m", "dcmesh", "status", "--json")
    asked = json.loads(run(*command, cwd=clusters.directory, env=clusters.environment).stdout)
    assert asked["state"] == "ok", asked["problems"]


def test_the_source_is_left_writable(sites: dict[str, Kubectl]) -> None:
    for pod in PODS:
        asked = eventually(f"{pod} is asked", lambda pod=pod: statements(sites["dc1"], "wookie", pod, "read_only"))
        assert set(asked) == {"select @@read_only"}
        assert statements(sites["dc1"], "wookie", pod, "READ_ONLY=", "SOURCE TO", "REPLICA FOR") == []


@pytest.mark.parametrize("site", NAMESPACES)
def test_pods_are_what_the_policies_select_and_galera_is_not_in_the_mesh(sites: dict[str, Kubectl], site: str) -> None:
    for name in PODS:
        pod = sites[site].get("pod", name, NAMESPACES[site])
        assert SELECTOR.items() <= pod["metadata"]["labels"].items()
        assert pod["spec"]["serviceAccountName"] == "db-pxc"
        init, proxy, *_ = pod["spec"]["initContainers"]
        assert (init["name"], proxy["name"], proxy["restartPolicy"]) == ("istio-init", "istio-proxy", "Always")
        for option in ("-d", "-o"):  # ports that are left alone, inbound and outbound
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
    assert clusters.output("hosts") == {"dc2": HOSTS}


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
    clusters.up("--skip-preview", "--expect-no-changes")
    clusters.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")


def test_a_cluster_that_somebody_else_made_needs_an_export_alone(clusters: Project, sites: dict[str, Kubectl]) -> None:
    """And beside it a changed option, which restarts dc2's nodes: the operator makes replicas of them once more."""
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
    assert clusters.output("hosts") == {"dc2": HOSTS | {"own-pxc-0.own-pxc.theirs.svc.cluster.local": "own-pxc-0"}}
    eventually(
        "the nodes are new ones",
        lambda: sites["dc2"].get("pod", "db-pxc-0", "wookie-dr")["metadata"]["uid"] != started,
        within=90,
    )
    eventually("the replica follows again", lambda: follows(clusters, sites["dc2"]), within=60)
