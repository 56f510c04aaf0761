"""Termination at the gateway: an existing database without Istio is exported, and left unchanged.

The tests form one course of events. Each begins where the one before it ended.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from dcmesh.model.object_names import gateway_name
from tests.e2e import bare_database as bare
from tests.e2e import bare_postgres as postgres
from tests.e2e.certificates import another_root, bundle_of, leaf
from tests.e2e.toolbox import (
    AGNHOST,
    CLIENT,
    DRAIN,
    DRAINED,
    MARIADB,
    Database,
    Kubectl,
    Lab,
    Project,
    curl,
    drain_seconds,
    draining_soon,
    eventually,
    lab_config,
    lab_for_a_while,
    start,
)

DOMAIN = f"{bare.NAMESPACE}.svc.cluster.local"
HOSTS = {f"{pod}.db.{DOMAIN}": pod for pod in bare.PODS}
PRIMARY = f"db-primary.{DOMAIN}"
MESHED = "db-0.db.meshed.svc.cluster.local"
SERVED = "db-0.db.bare.dc1.dcmesh"
"""The name of db-0 at the gateway."""

CONSUMER = "spiffe://cluster.local/ns/demo-dr/sa/client"
GATEWAY = ("--namespace", "dcmesh-gateway")
PORT = 15443


def export(name: str, **more: Any) -> dict[str, Any]:
    consumer = {"site": "dc2", "namespace": "demo-dr", "serviceAccount": "client"}
    return {
        "name": name,
        "termination": "gateway",
        "namespace": bare.NAMESPACE,
        "port": 3306,
        "consumers": [consumer],
        **more,
    }


def imported(name: str) -> dict[str, str]:
    return {"from": "dc1", "export": name, "namespace": "demo-dr", "serviceAccount": "client"}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    for lab in lab_for_a_while("gateways"):
        lab.create({"dc1": ["dc2"], "dc2": ["dc1"]})
        yield lab


@pytest.fixture(scope="module")
def sites(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kubectl]:
    directory = tmp_path_factory.mktemp("kubeconfigs")
    return {site: Kubectl(lab("kubeconfig", site), directory / site) for site in ("dc1", "dc2")}


@pytest.fixture(scope="module")
def untouched(sites: dict[str, Kubectl]) -> Iterator[list[Any]]:
    """The database, with its state. It ran before dcmesh, and has local clients during all these tests."""
    bare.begin(sites["dc1"])
    with bare.local_client(sites["dc1"]):
        yield bare.state(sites["dc1"])


@pytest.fixture(scope="module")
def pair(sites: dict[str, Kubectl], untouched: list[Any], tmp_path_factory: pytest.TempPathFactory) -> Project:
    directory = tmp_path_factory.mktemp("gateways")
    dc1, dc2 = ({"name": name, "cluster": {"kubeconfig": str(kubectl.path)}} for name, kubectl in sites.items())
    demo, _ = lab_config()["dcmesh:sites"]
    dc1["workloads"] = demo["workloads"]
    # With this, one connection of the client is one connection all the way to the pod.
    dc1["exports"] = [{**of, "protocol": "TCP"} for of in demo["exports"]]
    dc2["workloads"] = [{"kind": "hello-client", "namespace": "demo-dr"}]
    dc2["imports"] = [imported("hello")]
    whole = lab_config()
    istio = draining_soon(whole["dcmesh:istio"])
    config = whole | {"dcmesh:istio": istio, "dcmesh:sites": [dc1, dc2], "dcmesh:protect": False}
    project = Project(directory / "project", stack="gateways", config=config, state=directory / "state")
    project.init()
    return project


@pytest.fixture(scope="module")
def client(sites: dict[str, Kubectl]) -> tuple[str, ...]:
    """A pod of the consumer, with the database's client program."""
    return start(sites["dc2"], "asking", "demo-dr", "client", image=MARIADB)


def all_answer(sites: dict[str, Kubectl], client: tuple[str, ...]) -> bool:
    return {host: bare.answer(sites["dc2"], client, host) for host in HOSTS} == HOSTS


def test_a_pair_stands_with_termination_at_the_pod(pair: Project, sites: dict[str, Kubectl]) -> None:
    """Its proxies drain as soon as they were told: what is to be open after that is looked at no sooner."""
    pair.up("--skip-preview")
    client = (*CLIENT[:-1], "istio-proxy")
    drains = (
        drain_seconds(sites["dc1"], *GATEWAY, "deployment/istio-eastwestgateway"),
        drain_seconds(sites["dc2"], *client),
    )
    assert drains == (f"{DRAIN}s",) * 2


def test_what_is_not_there_is_named_before_anything_is_made(pair: Project) -> None:
    before = len(pair.resources())
    with pair.edit() as config:
        dc1, dc2 = config["dcmesh:sites"]
        dc1["exports"] = [
            export("db", service="db", replicas=3),
            export("gone", service="other", replicas=1),
            *dc1["exports"],
        ]
        dc2["imports"].insert(0, imported("db"))
    said = pair.refused("preview")
    assert "sites[0].exports[0].replicas: 3 is more than the 2 pods that the StatefulSet has" in said
    assert 'sites[0].exports[1].service: "other" does not exist in namespace bare of dc1' in said
    assert len(pair.resources()) == before
    with pair.edit() as config:
        exports = config["dcmesh:sites"][0]["exports"]
        exports[0]["replicas"] = 2
        del exports[1]


def shut() -> dict[str, Any]:
    """Return a NetworkPolicy of the database that lets nobody in."""
    spec = {"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"], "ingress": []}
    metadata = {"name": "shut", "namespace": bare.NAMESPACE}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def theirs() -> dict[str, Any]:
    """Return somebody else's Gateway in the namespace of dcmesh's: istiod binds those of others to theirs."""
    port = {"number": PORT, "name": "tls", "protocol": "TLS"}
    servers = [{"port": port, "hosts": [SERVED], "tls": {"mode": "PASSTHROUGH"}}]
    spec = {"selector": {"istio": "dcmesh-gateway"}, "servers": servers}
    metadata = {"name": "theirs", "namespace": "dcmesh-gateway"}
    return {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": metadata, "spec": spec}


def test_what_others_have_in_the_way_is_named_before_anything_is_made(pair: Project, sites: dict[str, Kubectl]) -> None:
    """A policy, a Gateway, a pod's label."""
    before, dc1 = len(pair.resources()), sites["dc1"]
    dc1.apply(shut(), theirs())
    label = "statefulset.kubernetes.io/pod-name"
    dc1("run", "copy", "--namespace", bare.NAMESPACE, f"--image={AGNHOST}", f"--labels={label}=db-1")
    said = pair.refused("preview")
    assert "whose NetworkPolicy bare/shut in dc1 would keep the gateway out: add to its `ingress` the rule" in said
    assert "the Gateway dcmesh-gateway/theirs in dc1: at dcmesh's gateway" in said
    assert f"is older than dcmesh's own, so istiod leaves out {SERVED}" in said
    assert "pod bare/copy of dc1 has its label too: the gateway would lead to both" in said
    assert len(pair.resources()) == before
    dc1("delete", "pod", "copy", "--namespace", bare.NAMESPACE, "--grace-period=0", "--force")
    dc1("delete", "gateways.networking.istio.io", "theirs", "--namespace", "dcmesh-gateway")
    dc1("delete", "networkpolicy", "shut", "--namespace", bare.NAMESPACE)


def test_the_database_is_reached_by_its_real_names_and_left_as_it_was(
    pair: Project, sites: dict[str, Kubectl], untouched: list[Any], client: tuple[str, ...]
) -> None:
    """A connection through the same gateway to a pod that ends TLS itself stays open all the time."""
    with bare.looping(sites["dc2"], client, HELD) as end:
        pair.up("--skip-preview")
        drained = time.monotonic() + DRAINED
        assert all_answer(sites, client)
        assert near(sites["dc1"]) == ["ServiceEntry db-0.db.bare.dc1.dcmesh", "ServiceEntry db-1.db.bare.dc1.dcmesh"]
        assert changed(sites["dc1"], untouched) == []
        pair.up("--expect-no-changes")
        time.sleep(max(0, drained - time.monotonic()))
        assert end().startswith("HTTP/1.1 200 OK")


HELD = """
exec 3<>/dev/tcp/hello-0.hello.demo.svc.cluster.local/8080; echo begun
read -r
printf 'GET / HTTP/1.1\\r\\nHost: hello\\r\\nConnection: close\\r\\n\\r\\n' >&3; cat <&3
"""
"""Connects, and sends its query when it reads another line."""


def near(site: Kubectl) -> list[str]:
    """Return Istio's objects in the database's namespace."""
    kinds = [kind for kind in site("api-resources", "--output=name").split() if kind.endswith("istio.io")]
    listed = ("get", ",".join(kinds), "--namespace", bare.NAMESPACE, "--output", "json")
    return sorted(f"{item['kind']} {item['metadata']['name']}" for item in json.loads(site(*listed))["items"])


def changed(site: Kubectl, before: list[Any]) -> list[Any]:
    """Return what is different about the database since before dcmesh."""
    now = bare.state(site)
    return [part for part in (*now, *before) if (part in now) != (part in before)]


@pytest.fixture(scope="module")
def primary(sites: dict[str, Kubectl]) -> Database:
    return Database(sites["dc1"], bare.NAMESPACE, "db-0")


@pytest.fixture(scope="module")
def replica(sites: dict[str, Kubectl], primary: Database) -> Database:
    primary("CREATE DATABASE watched; CREATE TABLE watched.t (id INT AUTO_INCREMENT PRIMARY KEY)")
    return bare.replica(sites["dc2"], "demo-dr", "client", next(iter(HOSTS)))


def test_a_replica_follows_by_the_real_name(primary: Database, replica: Database) -> None:
    eventually("it follows", replica.follows)
    primary("INSERT INTO watched.t () VALUES ()")
    eventually("the row arrives", lambda: replica("SELECT COUNT(*) FROM watched.t", check=False) == "1")


Dial = Callable[[dict[str, dict[str, Any]]], dict[str, str]]


@pytest.fixture(scope="module")
def address(pair: Project) -> str:
    (address,) = pair.output("link")["dc1"]["gateway"]["addresses"]
    return str(address)


@pytest.fixture(scope="module")
def genuine(sites: dict[str, Kubectl], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return leaf(tmp_path_factory.mktemp("genuine"), bundle_of(sites["dc2"]), CONSUMER)


@pytest.fixture
def dial(lab: Lab, address: str, genuine: dict[str, str], tmp_path: Path) -> Dial:
    """Make attempts at dc1's gateway from dc2's node.

    One with the consumer's own certificate is added, and must get in.
    """

    def attempt(attempts: dict[str, dict[str, Any]]) -> dict[str, str]:
        script, plan = Path(__file__).with_name("istios") / "dial.py", tmp_path / "plan.json"
        every = {"consumer": {**genuine, "server_name": SERVED}, **attempts}
        how = {name: {"port": PORT, **this} for name, this in every.items()}
        plan.touch(mode=0o600)
        asked = {"address": address, "user": "replication", "password": bare.PASSWORD, "attempts": how}
        plan.write_text(json.dumps(asked))
        found: dict[str, str] = json.loads(lab("enter", "dc2", "--", sys.executable, str(script), str(plan)))
        assert found.pop("consumer") == "in"
        return found

    return attempt


def test_a_stranger_gets_not_a_byte(
    dial: Dial, sites: dict[str, Kubectl], genuine: dict[str, str], tmp_path: Path
) -> None:
    ours = bundle_of(sites["dc2"])
    uris = {
        "another account": "spiffe://cluster.local/ns/demo-dr/sa/other",
        "the account of another namespace": "spiffe://cluster.local/ns/elsewhere/sa/client",
        "another trust domain": "spiffe://elsewhere.local/ns/demo-dr/sa/client",
        "the gateway itself": "spiffe://cluster.local/ns/dcmesh-gateway/sa/istio-eastwestgateway",
        "a longer name": f"{CONSUMER}-2",
    }
    attempts: dict[str, dict[str, Any]] = {
        name: {**leaf(tmp_path, ours, uri), "server_name": SERVED} for name, uri in uris.items()
    }
    # A signer whose constraints are for URIs only may still write names of other kinds.
    for kind in (x509.DNSName, x509.RFC822Name):
        attempts[f"the name as a {kind.__name__}"] = {**leaf(tmp_path, ours, CONSUMER, kind), "server_name": SERVED}
    attempts["another root"] = {**leaf(tmp_path, another_root(), CONSUMER), "server_name": SERVED}
    attempts["no certificate"] = {"server_name": SERVED}
    attempts["plaintext"] = {}
    attempts["another account in capitals"] = {**attempts["another account"], "server_name": SERVED.upper()}
    for name, server_name in {
        "the real name": next(iter(HOSTS)),
        "Istio's own name of it": f"outbound_.3306_._.{SERVED}",
        "the Service": "outbound_.3306_._.db.bare.svc.cluster.local",
        "istiod": "outbound_.15012_._.istiod.istio-system.svc.cluster.local",
    }.items():
        attempts[name] = {**genuine, "server_name": server_name}
    assert dial(attempts) == dict.fromkeys(attempts, "refused")


def test_unfinished_handshakes_take_no_connection_of_the_server(
    lab: Lab, sites: dict[str, Kubectl], address: str, client: tuple[str, ...], primary: Database
) -> None:
    aborted = "SHOW GLOBAL STATUS LIKE 'Aborted_connects'"
    before = primary(aborted)
    script = str(Path(__file__).with_name("istios") / "hang.py")
    hanging = lab.start("enter", "dc2", "--", sys.executable, script, address, str(PORT), SERVED, "60")
    assert hanging.stdout is not None
    hanging.stdout.readline()
    waiting = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'unauthenticated user'"
    assert int(primary(waiting)) <= 2, "a client of its own may just connect"
    assert hanging.wait(timeout=60) == 0
    assert primary(aborted) == before
    eventually("the consumer gets in", lambda: all_answer(sites, client))


def move(site: Kubectl, pod: str) -> None:
    """Point the primary's Service at another pod, as an operator does."""
    patch = {"spec": {"selector": {"statefulset.kubernetes.io/pod-name": pod}}}
    site("patch", "service", "db-primary", "--namespace", bare.NAMESPACE, "--patch", json.dumps(patch))


def uids(site: Kubectl) -> dict[str, str]:
    """Return the UIDs of the Gateways at the gateway."""
    listed = json.loads(site("get", "gateways.networking.istio.io", *GATEWAY, "--output", "json"))["items"]
    return {item["metadata"]["name"]: item["metadata"]["uid"] for item in listed}


CHANNEL = "SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND = 'Binlog Dump'"
"""The replica's connection, as the primary lists it."""


def test_a_rename_and_a_service_as_a_whole_leave_the_other_objects_and_the_connections(
    pair: Project, sites: dict[str, Kubectl], client: tuple[str, ...], primary: Database, replica: Database
) -> None:
    """The exported Service also follows its primary."""
    before, held = uids(sites["dc1"]), primary(CHANNEL)
    with pair.edit() as config:
        dc1, dc2 = config["dcmesh:sites"]
        dc1["exports"][0]["name"] = dc2["imports"][0]["export"] = "orders"
        dc1["exports"][0]["statefulSet"] = "db"
        dc1["exports"].append(export("primary", service="db-primary", whole=True))
        dc2["imports"].append(imported("primary"))
    pair.up("--skip-preview")
    drained = time.monotonic() + DRAINED
    after = uids(sites["dc1"])
    assert before.items() <= after.items()
    assert len(after) == len(before) + 1
    assert bare.answer(sites["dc2"], client, PRIMARY) == "db-0"
    move(sites["dc1"], "db-1")
    eventually("it follows", lambda: bare.answer(sites["dc2"], client, PRIMARY) == "db-1")
    move(sites["dc1"], "db-0")
    eventually("it follows back", lambda: bare.answer(sites["dc2"], client, PRIMARY) == "db-0")
    assert all_answer(sites, client)
    time.sleep(max(0, drained - time.monotonic()))
    assert primary(CHANNEL) == held, "the replica has not connected anew"


OPERATED = {f"pg-{number}.pg.operated-dc1.svc.cluster.local": f"pg-{number}" for number in (1, 2)}
"""Hosts for pods that have no Service. Their operator tells them apart by a label."""


def operated(site: Kubectl) -> None:
    """Run two PostgreSQLs as an operator runs them, each beside an HTTP server that answers with its pod's name."""
    site("create", "namespace", "operated")
    web = {"name": "web", "image": AGNHOST, "args": ["serve-hostname", "--http", "--port=8080"]}
    for name in OPERATED.values():
        of = {"name": name, "namespace": "operated", "labels": {"cnpg.io/instanceName": name}}
        spec = {"containers": [postgres.server(postgres.BEGIN), web], "terminationGracePeriodSeconds": 1}
        site.apply({"apiVersion": "v1", "kind": "Pod", "metadata": of, "spec": spec})
    site("wait", "--for=condition=Ready", "pod", "--all", "--namespace", "operated", "--timeout=120s")


def test_pods_by_a_label_and_several_ports(
    pair: Project, sites: dict[str, Kubectl], client: tuple[str, ...], primary: Database, replica: Database
) -> None:
    """`up` asks PostgreSQL and HTTP, each in its own protocol. Adding a port breaks no connection.

    dc2 has a Service of the same name. So in dc2 the hosts of dc1 have names in another namespace.
    """
    operated(sites["dc1"])
    sites["dc2"]("create", "namespace", "operated")
    sites["dc2"]("create", "service", "clusterip", "pg", "--tcp=5432", "--namespace", "operated")
    held = primary(CHANNEL)
    with pair.edit() as config:
        dc1, dc2 = config["dcmesh:sites"]
        dc1["exports"][0]["ports"] = [{"port": dc1["exports"][0].pop("port")}, {"port": bare.GROUP_PORT}]
        by_label = {
            "namespace": "operated",
            "service": "pg",
            "podLabel": "cnpg.io/instanceName",
            "pods": ["pg-1", "pg-3"],
            "ports": [{"port": 5432, "probe": "postgres"}, {"port": 8080, "probe": "pod-name"}],
        }
        dc1["exports"].append(export("pg", **by_label))
        del dc1["exports"][-1]["port"]
        dc2["imports"].append(imported("pg"))
    said = pair.refused("preview")
    assert '.pods[1]: "pg-3" is the value of the label cnpg.io/instanceName of no pod in namespace operated' in said
    assert "dc2 has a Service of that name: its own pods would answer; give the import another `hostNamespace`" in said
    with pair.edit() as config:
        dc1, dc2 = config["dcmesh:sites"]
        dc1["exports"][-1]["pods"] = list(OPERATED.values())
        dc2["imports"][-1]["hostNamespace"] = "operated-dc1"
    pair.up("--skip-preview")
    assert {host: curl(sites["dc2"], host)[0] for host in OPERATED} == OPERATED
    assert bare.answer(sites["dc2"], client, next(iter(HOSTS)), port=bare.GROUP_PORT) == "db-0"
    assert all_answer(sites, client)
    time.sleep(DRAINED)
    assert primary(CHANNEL) == held, "the replica has not connected anew"


def test_the_channel_hears_at_once_of_a_gateway_that_is_killed_or_drained(
    sites: dict[str, Kubectl], client: tuple[str, ...], primary: Database, replica: Database
) -> None:
    pods = partial(sites["dc1"].names, "pods", *GATEWAY)
    gateway = "dcmesh-gateway/istio-eastwestgateway"
    assert max(bare.longest_pauses(primary, replica, sites["dc1"], gateway, pods).values()) < bare.FOUND_DEAD
    assert all_answer(sites, client)


def test_a_mesh_that_allows_nothing_lets_the_consumers_in(
    sites: dict[str, Kubectl], client: tuple[str, ...], dial: Dial, tmp_path: Path
) -> None:
    of = {"name": "allow-nothing", "namespace": "istio-system"}
    sites["dc1"].apply(
        {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": of, "spec": {}}
    )
    time.sleep(2)  # No condition shows that nothing took effect.
    assert all_answer(sites, client)
    other = leaf(tmp_path, bundle_of(sites["dc2"]), "spiffe://cluster.local/ns/demo-dr/sa/other")
    assert dial({"other": {**other, "server_name": SERVED}}) == {"other": "refused"}
    sites["dc1"]("delete", "authorizationpolicy", "allow-nothing", "--namespace", "istio-system")


def of_tenants() -> list[dict[str, Any]]:
    """Return objects that tenants may apply, which name the host or dcmesh's gateway."""
    istio, of = "networking.istio.io/v1", {"namespace": "tenant"}
    ours = {"app": "istio-eastwestgateway", "istio": "dcmesh-gateway"}
    port = {"number": PORT, "name": "tls", "protocol": "TLS"}
    route = [{"destination": {"host": PRIMARY, "port": {"number": 3306}}}]
    specs: dict[str, dict[str, Any]] = {
        "Gateway": {
            "selector": ours,
            "servers": [{"port": port, "tls": {"mode": "AUTO_PASSTHROUGH"}, "hosts": ["*"]}],
        },
        "VirtualService": {
            "hosts": [SERVED],
            "gateways": [f"dcmesh-gateway/{gateway_name(SERVED)}"],
            "tcp": [{"match": [{"port": PORT}], "route": route}],
        },
        "ServiceEntry": {
            "hosts": [SERVED],
            "exportTo": ["dcmesh-gateway"],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "ports": [{"number": 3306, "name": "tcp", "protocol": "TCP"}],
            "endpoints": [{"address": "192.0.2.1"}],
        },
    }
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tenant"}}
    made = (
        {"apiVersion": istio, "kind": kind, "metadata": {**of, "name": "own"}, "spec": specs[kind]} for kind in specs
    )
    return [namespace, *made]


def test_tenants_neither_lead_the_host_elsewhere_nor_open_more(
    pair: Project, sites: dict[str, Kubectl], client: tuple[str, ...], dial: Dial, genuine: dict[str, str]
) -> None:
    move(sites["dc1"], "db-1")
    sites["dc1"].apply(*of_tenants())
    where = ("deployment/istio-eastwestgateway", *GATEWAY)
    sites["dc1"]("rollout", "restart", *where)
    sites["dc1"]("rollout", "status", *where, "--timeout=120s")
    assert all_answer(sites, client)
    named = {"Istio's own name of it": f"outbound_.3306_._.{SERVED}", "the Service": f"outbound_.3306_._.{PRIMARY}"}
    attempts = {name: {**genuine, "server_name": server_name} for name, server_name in named.items()}
    assert dial(attempts) == dict.fromkeys(attempts, "refused")
    said = pair.status()["problems"]
    assert [problem["text"] for problem in said if "ServiceEntry tenant/own" in problem["text"]], said
    sites["dc1"]("delete", "namespace", "tenant")
    move(sites["dc1"], "db-0")


def test_pods_with_sidecars_under_strict_are_reached_by_mutual_tls(
    pair: Project, sites: dict[str, Kubectl], client: tuple[str, ...]
) -> None:
    bare.begin(sites["dc1"], "meshed", **{"istio-injection": "enabled"})
    of = {"name": "strict", "namespace": "meshed"}
    strict = {"mtls": {"mode": "STRICT"}}
    kind = {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication"}
    sites["dc1"].apply({**kind, "metadata": of, "spec": strict})
    of = {"name": "local-alone", "namespace": "meshed"}
    local = {"rules": [{"from": [{"source": {"namespaces": ["meshed"]}}]}]}
    policy = {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": of, "spec": local}
    sites["dc1"].apply(policy)
    with pair.edit() as config:
        dc1, dc2 = config["dcmesh:sites"]
        dc1["exports"].append(export("meshed", namespace="meshed", statefulSet="db", replicas=1))
        dc2["imports"].append(imported("meshed"))
    said = pair.refused("preview")
    assert "whose AuthorizationPolicy meshed/local-alone in dc1 would refuse the gateway: add the rule" in said
    local["rules"].append(
        {"from": [{"source": {"principals": ["cluster.local/ns/dcmesh-gateway/sa/istio-eastwestgateway"]}}]}
    )
    sites["dc1"].apply(policy)
    pair.up("--skip-preview")
    assert bare.answer(sites["dc2"], client, MESHED) == "db-0"
    past_its_sidecar(sites["dc1"])
    assert bare.answer(sites["dc2"], client, MESHED) != "db-0", "otherwise preflight's rule is not needed"
    said = json.loads(pair.dcmesh("doctor", "--json", MESHED).stdout)["hosts"][0]["steps"]
    assert [of["id"] for step in said for of in step["findings"]] == ["inbound-not-captured"]
    plain = {"selector": {"matchLabels": {"app": "db"}}, "portLevelMtls": {"3306": {"mode": "DISABLE"}}}
    sites["dc1"].apply({**kind, "metadata": {"name": "plain", "namespace": "meshed"}, "spec": plain})
    eventually("it answers again", lambda: bare.answer(sites["dc2"], client, MESHED) == "db-0")
    assert curl(sites["dc2"], "hello-1.hello.demo.svc.cluster.local") == ("hello-1", "200")
    assert all_answer(sites, client)


def past_its_sidecar(site: Kubectl) -> None:
    """Exclude a database's port from its sidecar, as many do who run one in a mesh."""
    annotation = {"traffic.sidecar.istio.io/excludeInboundPorts": "3306"}
    patch = json.dumps({"spec": {"template": {"metadata": {"annotations": annotation}}}})
    site("patch", "statefulset", "db", "--namespace", "meshed", "--type=merge", f"--patch={patch}")
    site("rollout", "status", "statefulset/db", "--namespace", "meshed", "--timeout=120s")


def test_status_and_doctor_find_nothing(pair: Project) -> None:
    """TLS of these hosts ends at the gateway. The doctor only warns of hello: its Service says HTTP, the export TCP."""
    done = pair.dcmesh("status")
    assert done.returncode == 0, done.stdout
    walked = json.loads(pair.dcmesh("doctor", "--json").stdout)["hosts"]
    assert {*HOSTS, *OPERATED, PRIMARY, MESHED} <= {of["host"] for of in walked}
    assert [of for of in walked if of["state"] != "ok" and not of["host"].startswith("hello-")] == []


def test_without_the_exports_nothing_is_left_near_the_database(
    pair: Project, sites: dict[str, Kubectl], untouched: list[Any]
) -> None:
    pair.pulumi("destroy", "--yes", "--skip-preview")
    assert pair.resources() == []
    assert near(sites["dc1"]) == []
    assert changed(sites["dc1"], untouched) == []
