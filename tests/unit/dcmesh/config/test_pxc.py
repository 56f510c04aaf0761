"""Percona XtraDB Clusters in the configuration: errors that schema, webhook and operator do not find, or find late."""

from collections.abc import Mapping
from typing import Any

import pytest

from dcmesh import config
from dcmesh.model.settings import Pxc
from tests.unit.configurations import GONE, changed, errors, parse, read_file, read_stack, stack

AT = "sites[0].workloads[0]"
SPEC = f"{AT}.spec"
CHANNELS = f"{SPEC}.pxc.replicationChannels"
CONFIGURATION = {"sourceRetryCount": 3, "sourceConnectRetry": 10}
NAME = (
    "must be the name of a Percona XtraDB Cluster: at most 22 lower-case letters, digits and dashes, the first a letter"
)
CHANNEL = (
    "must be the name of a channel: at most 64 letters, digits and underscores, and not begin with group_replication_, "
    "as MySQL's own do"
)
HOST = "must be an IP address or DNS name by which the database reaches its source, without port"
EXISTING = "has no effect beside `existing`, whose operator dcmesh leaves as it is: remove one of the two"


def channel(**changes: Any) -> dict[str, Any]:
    """Return a right channel of a replica, changed."""
    right = {"name": "own", "sourcesList": [{"host": "db.example"}], "configuration": CONFIGURATION}
    return {key: value for key, value in {**right, **changes}.items() if value is not GONE}


def sources(*entries: Mapping[str, Any]) -> list[Any]:
    return [channel(sourcesList=list(entries))]


def wrong(name: str, changes: Mapping[str, Any], *lines: str) -> Any:
    return pytest.param(name, changes, list(lines), id=f"{name}: {', '.join(changes)}")


WRONG = [
    # the workload
    wrong("pxc-dc1", {f"{AT}.name": "d" * 23}, f'{AT}.name: "{"d" * 23}" {NAME}'),
    wrong("pxc-dc1", {f"{AT}.name": "1db"}, f'{AT}.name: "1db" {NAME}'),
    wrong("pxc-dc1", {f"{AT}.size": 4}, f"{AT}.size: 4 must be one of 3, 5"),
    wrong("pxc-dc1", {f"{AT}.size": 7}, f"{AT}.size: 7 must be one of 3, 5"),
    wrong("pxc-dc1", {f"{AT}.size": "3"}, f'{AT}.size: "3" must be one of 3, 5: did you mean 3?'),
    wrong("pxc-dc2", {f"{AT}.channel": "dc1 to dc2"}, f'{AT}.channel: "dc1 to dc2" {CHANNEL}'),
    wrong("pxc-dc2", {f"{AT}.channel": ""}, f'{AT}.channel: "" {CHANNEL}'),
    wrong(
        "pxc-dc2",
        {f"{AT}.channel": "group_replication_applier"},
        f'{AT}.channel: "group_replication_applier" {CHANNEL}',
    ),
    wrong(
        "pxc-dc2",
        {f"{AT}.settings.replica_net_timeout": "60"},
        f'{AT}.settings.replica_net_timeout: "60" is set by dcmesh, for replication depends on it: remove it',
    ),
    wrong(
        "pxc-dc1",
        {"sites[0].exports[0].replicas": 5},
        "sites[0].exports[0].replicas: 5 is more than the 3 pods that the workload runs: lower it or raise the "
        "workload's",
    ),
    wrong(
        "pxc-dc1",
        {"sites[0].exports[0].serviceAccount": "default"},
        'sites[0].exports[0].serviceAccount: "default" is not the workload\'s, which is db-pxc: use that',
    ),
    wrong(
        "pxc-dc1",
        {"sites[0].workloads[1]": {"kind": "hello", "namespace": "pxc-operator"}},
        'sites[0].workloads[1].namespace: "pxc-operator" is the namespace of Percona\'s operator, and a workload '
        "creates its own: choose another",
    ),
    # the operator
    wrong(
        "pxc-dc1",
        {"pxc.version": "1.21.0"},
        'pxc.version: "1.21.0" must be a version that dcmesh supports, 1.20.x, with its patch level',
    ),
    wrong("pxc-dc1", {"pxc.existing": "yes"}, 'pxc.existing: "yes" must be true or false'),
    wrong("pxc-dc1", {"pxc": {"existing": True, "version": "1.20.0"}}, f'pxc.version: "1.20.0" {EXISTING}'),
    wrong("pxc-dc1", {"pxc": {"existing": True, "values": {}}}, f"pxc.values: {{}} {EXISTING}"),
    wrong(
        "pxc-dc1",
        {"sites[0].cluster": "k3d", "pxc": {"existing": True}, "trust": GONE},
        "pxc.existing: true is for clusters that are there already, and dc1 is made by k3d: remove it",
    ),
    # the resource
    wrong(
        "pxc-dc1",
        {f"{SPEC}.crVersion": "1.21.0"},
        f'{SPEC}.crVersion: "1.21.0" must be one of 1.18.0, 1.19.0, 1.20.0: did you mean 1.20.0?',
    ),
    wrong(
        "pxc-dc1",
        {f"{SPEC}.secretsName": "own"},
        f'{SPEC}.secretsName: "own" is not to be set here: dcmesh makes the Secret NAME-secrets: remove it',
    ),
    wrong(
        "pxc-dc1",
        {f"{SPEC}.pxc.size": 5},
        f"{SPEC}.pxc.size: 5 is not to be set here: set `size` of the workload instead",
    ),
    wrong(
        "pxc-dc1",
        {f"{SPEC}.pxc.serviceAccountName": "default"},
        f'{SPEC}.pxc.serviceAccountName: "default" is not to be set here: it is NAME-pxc, the identity that importers '
        "insist on: remove it",
    ),
    wrong(
        "pxc-dc1",
        {f"{SPEC}.pxc.configuration": "[mysqld]"},
        f'{SPEC}.pxc.configuration: "[mysqld]" is not to be set here: set `settings` of the workload instead',
    ),
    wrong(
        "pxc-dc1",
        {f"{AT}.storage": GONE, f"{SPEC}.pxc.volumeSpec": {"hostPath": {"path": "/data"}}},
        f"{SPEC}.pxc.volumeSpec: {{…}} is for volumes, and without `storage` the cluster has none: set that as well",
    ),
    wrong(
        "pxc-dc1",
        {f"{SPEC}.haproxy.enabled": False},
        f"{SPEC}.haproxy.enabled: false leaves the cluster without a proxy, by which the operator knows its writer: "
        "enable proxysql",
    ),
    wrong(
        "pxc-dc1",
        {f"{SPEC}.proxysql.enabled": True},
        f"{SPEC}.proxysql.enabled: true is enabled beside haproxy, which a cluster has by default: set haproxy.enabled "
        "to false",
    ),
    wrong(
        "pxc-dc1",
        {f"{SPEC}.haproxy.size": 1},
        f"{SPEC}.haproxy.size: 1 is less than 2: raise it, or set unsafeFlags.proxySize to true",
    ),
    wrong(
        "pxc-dc1",
        {f"{SPEC}.tls.enabled": False},
        f"{SPEC}.tls.enabled: false leaves Galera's traffic in plaintext: remove it, or set unsafeFlags.tls to true",
    ),
    # what a replica follows
    wrong(
        "pxc-dc2",
        {"sites[0].workloads[0].replicates.export": "orders"},
        f'{AT}.replicates.export: "orders" does not reach the replica: add to the site\'s imports from: dc1, export: '
        "orders, namespace: wookie-dr, serviceAccount: db-pxc",
    ),
    wrong(
        "mariadb",
        {"sites[1].workloads[0].kind": "pxc", "sites[1].workloads[0].replicas": GONE},
        'sites[1].workloads[0].replicates.export: "db" does not reach the replica: add to the site\'s imports from: '
        "dc1, export: db, namespace: wookie-dr, serviceAccount: db-pxc",
        'sites[1].workloads[0].replicates.export: "db" is of kind mariadb, which pxc cannot follow: name one of its '
        "own kind",
    ),
    # channels of one's own
    wrong("pxc-dc1", {CHANNELS: [channel(name="a b")]}, f'{CHANNELS}[0].name: "a b" {CHANNEL}'),
    wrong("pxc-dc1", {CHANNELS: [channel(name="a" * 65)]}, f'{CHANNELS}[0].name: "{"a" * 60}"… {CHANNEL}'),
    wrong(
        "pxc-dc1",
        {CHANNELS: sources({"host": "db.example", "port": 0})},
        f"{CHANNELS}[0].sourcesList[0].port: 0 must be between 1 and 65535",
    ),
    wrong(
        "pxc-dc1",
        {CHANNELS: sources({"host": "db.example", "port": 65536})},
        f"{CHANNELS}[0].sourcesList[0].port: 65536 must be between 1 and 65535",
    ),
    wrong(
        "pxc-dc1",
        {CHANNELS: sources({"host": "db.example", "weight": 0})},
        f"{CHANNELS}[0].sourcesList[0].weight: 0 must be between 1 and 100",
    ),
    wrong(
        "pxc-dc1",
        {CHANNELS: sources({"host": "db.example", "weight": 101})},
        f"{CHANNELS}[0].sourcesList[0].weight: 101 must be between 1 and 100",
    ),
    wrong("pxc-dc1", {CHANNELS: sources({"host": ""})}, f'{CHANNELS}[0].sourcesList[0].host: "" {HOST}'),
    wrong(
        "pxc-dc1",
        {CHANNELS: sources({"host": "db.example:3306"})},
        f'{CHANNELS}[0].sourcesList[0].host: "db.example:3306" {HOST}',
    ),
    wrong(
        "pxc-dc1",
        {CHANNELS: sources({"host": "db.example"}, {"host": "db.example", "port": 3307})},
        f'{CHANNELS}[0].sourcesList[1].host: "db.example" occurs twice: remove one',
    ),
    wrong(
        "pxc-dc1",
        {CHANNELS: [channel(), channel()]},
        f'{CHANNELS}[1].name: "own" occurs twice: give each a name of its own',
    ),
    wrong(
        "pxc-dc1",
        {CHANNELS: [channel(), channel(name="other", isSource=True)]},
        f"{CHANNELS}[1].isSource: true is not as that of the first channel, and a cluster is source or replica: make "
        "them equal",
    ),
    wrong(
        "pxc-dc1",
        {CHANNELS: [channel(sourcesList=GONE)]},
        f"{CHANNELS}[0].sourcesList: is missing: name the hosts to follow",
    ),
    wrong(
        "pxc-dc1",
        {CHANNELS: [channel(configuration=GONE)]},
        f"{CHANNELS}[0].configuration: is missing: the operator's own would try a source for three minutes before the "
        "next",
    ),
    wrong(
        "pxc-dc1",
        {CHANNELS: [channel(configuration={"sourceRetryCount": 0})]},
        f"{CHANNELS}[0].configuration.sourceConnectRetry: is missing: seconds between these times",
        f"{CHANNELS}[0].configuration.sourceRetryCount: 0 must be between 1 and 86400",
    ),
    wrong(
        "pxc-dc1",
        {CHANNELS: [channel(configuration={**CONFIGURATION, "ssl": True})]},
        f"{CHANNELS}[0].configuration.ca: is missing: with ssl the operator needs the path of the authority's "
        "certificate",
    ),
    wrong(
        "pxc-dc1",
        {CHANNELS: [channel(configuration={**CONFIGURATION, "ssl": True, "ca": "/etc/ssl/ca.crt"})]},
        f'{CHANNELS}[0].configuration.ca: "/etc/ssl/ca.crt" must be one of /etc/mysql/ssl/ca.crt, '
        "/etc/mysql/ssl-internal/ca.crt: did you mean /etc/mysql/ssl/ca.crt?",
    ),
    wrong(
        "pxc-dc1",
        {CHANNELS: [channel(source=True)]},
        f"{CHANNELS}[0].source: true is no known key: did you mean isSource?",
    ),
    wrong(
        "pxc-dc2",
        {CHANNELS: [channel()]},
        f"{CHANNELS}: […] would replace the channel that follows from `replicates`: keep one of the two",
    ),
]


@pytest.fixture(autouse=True)
def without_k3d(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)


@pytest.mark.parametrize(("name", "changes", "lines"), WRONG)
def test_what_is_wrong_is_said_with_its_place_and_what_to_do(
    name: str, changes: Mapping[str, Any], lines: list[str]
) -> None:
    assert errors(changed(name, changes)) == lines


def test_a_source_that_is_no_mysql_is_told_by_its_port() -> None:
    link = stack("dc2-literal-link")["peers"][0]["link"]
    link["exports"][0]["port"] = 5432
    raw = changed(
        "pxc-dc2",
        {"peers": [{"name": "dc1", "link": link}], f"{AT}.replicationPassword": "a-password-of-mysql"},
    )
    assert errors(raw) == [
        f'{AT}.replicates.export: "db" has the port 5432, and the nodes of a cluster listen on 3306: name such an '
        "export"
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {f"{AT}.size": 5},
        {f"{SPEC}.crVersion": "1.19.0"},
        {f"{SPEC}.haproxy.enabled": False, f"{SPEC}.proxysql": {"enabled": True, "size": 2}},
        {f"{SPEC}.unsafeFlags": {"proxySize": True, "tls": True}, f"{SPEC}.tls": {"enabled": False}},
        {f"{SPEC}.pxc.volumeSpec": {"persistentVolumeClaim": {"dataSource": {"name": "snapshot"}}}},
        {CHANNELS: [channel(), channel(name="other")]},
        {CHANNELS: [{"name": "own", "isSource": True}]},
        {"pxc.existing": True, "pxc.namespace": "operators"},
    ],
)
def test_right_clusters_are_taken(changes: dict[str, Any]) -> None:
    assert errors(changed("pxc-dc1", changes)) == []


def test_the_spec_reaches_the_resource_as_it_was_written() -> None:
    written = stack("pxc-dc1")["sites"][0]["workloads"][0]["spec"]
    (workload,) = parse(stack("pxc-dc1")).sites[0].workloads
    assert isinstance(workload, Pxc)
    assert workload.spec.as_values() == written


def test_both_examples_are_one_pair() -> None:
    (source,), (replica,) = stack("pxc-dc1")["sites"], stack("pxc-dc2")["sites"]
    (export,), (imported,) = source["exports"], replica["imports"]
    assert export["consumers"] == [
        {"site": "dc2", "namespace": imported["namespace"], "serviceAccount": imported["serviceAccount"]}
    ]
    assert replica["workloads"][0]["replicates"] == {"from": source["name"], "export": export["name"]}


# --- two that can change roles ---------------------------------------------------------------------------------------


def said(changes: Mapping[str, Any], *, lost: str | None) -> list[str]:
    """Return the errors of two clusters that can change roles. At the last `up` the given site was gone."""
    before = {"sites": {site: {"lost": lost, "servers": []} for site in ("dc1", "dc2")}}
    try:
        config.parse(
            changed("pxc-switchover", changes),
            stack="test",
            read=lambda name: before if name.endswith("/test") else read_stack(name),
            read_text=read_file,
        )
    except config.ConfigError as error:
        return [line.strip() for line in str(error).splitlines()[1:]]
    return []


def test_a_site_that_was_gone_is_a_replica_before_it_is_the_primary() -> None:
    (line,) = said({"primary": "dc1"}, lost="dc1")
    assert line.startswith('primary: "dc1" was gone at the last `pulumi up`, and has not the rows that were committed')
    assert said({"primary": "dc2"}, lost="dc1") == []
    assert said({"primary": "dc1"}, lost=None) == []
    assert said({"primary": "dc1", "failover": {"without": "dc2"}}, lost="dc1") == [], "somebody has said what is lost"


def test_all_nodes_of_a_cluster_that_can_change_roles_are_exported() -> None:
    (line,) = said({"sites[0].exports[0].replicas": 1}, lost=None)
    assert line.startswith("sites[0].exports[0].replicas: 1 is not the 3 nodes of a cluster that can change roles")
