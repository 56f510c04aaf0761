"""An egress gateway: pods of dc2 without a sidecar reach the hosts of dc1 by their real names."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from dcmesh.model.egress import name_for

from . import bare_database as bare
from .toolbox import (
    AGNHOST,
    DRAIN,
    DRAINED,
    MARIADB,
    Database,
    Kubectl,
    Lab,
    Project,
    curl,
    database_passwords,
    drain_seconds,
    draining_soon,
    eventually,
    lab_config,
    lab_for_a_while,
    log_in,
    standing,
    start,
)

HELLO = {f"hello-{n}.hello.demo.svc.cluster.local": f"hello-{n}" for n in range(2)}
HOST = next(iter(HELLO))
DB0 = "db-0.db.wookie.svc.cluster.local"
EGRESS = {"namespace": "dcmesh-egress", "serviceAccount": "egress"}
OF_DC1 = f"{bare.NAMESPACE}-dc1"
"""The namespace in dc2 with the names of dc1's hosts of `bare`."""
CLIENTS = [{"namespace": "reports", "labels": {"app": "reader"}}]


def export(name: str, namespace: str, **more: Any) -> dict[str, Any]:
    consumers = [{"site": "dc2", **EGRESS}]
    return {
        "name": name,
        "namespace": namespace,
        "serviceAccount": name,
        "selector": {"app": name},
        "consumers": consumers,
        **more,
    }


def imported(name: str, namespace: str, **more: Any) -> dict[str, Any]:
    way = {"egress": "gateway", "hostNamespace": namespace, "clients": CLIENTS}
    return {"from": "dc1", "export": name, **EGRESS, **way, **more}


def config() -> dict[str, Any]:
    """Return the configuration: `hello` and a MariaDB in dc1, and in dc2 the MariaDB's replica, without sidecars."""
    whole = lab_config()
    whole["dcmesh:istio"] = draining_soon(whole["dcmesh:istio"])
    dc1, dc2 = whole["dcmesh:sites"]
    dc1["workloads"] = [
        {"kind": "hello", "namespace": "demo", "replicas": 2},
        {"kind": "mariadb", "namespace": "wookie", "sidecar": False, "replicas": 1, "image": MARIADB},
    ]
    dc1["exports"] = [
        export("hello", "demo", replicas=1, port=8080, protocol="HTTP", probe="pod-name"),
        {
            "name": "db",
            "termination": "gateway",
            "namespace": "wookie",
            "replicas": 1,
            "port": 3306,
            "consumers": [{"site": "dc2", **EGRESS}],
        },
    ]
    follows = {"replicates": {"from": "dc1", "export": "db"}, "sidecar": False}
    dc2["workloads"] = [{"kind": "mariadb", "namespace": "wookie-dr", "replicas": 1, "image": MARIADB, **follows}]
    clients = [*CLIENTS, {"namespace": "wookie-dr", "labels": {"app": "db"}}]
    dc2["imports"] = [imported("hello", "demo"), imported("db", "wookie", clients=clients)]
    return whole


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    yield from lab_for_a_while("egress")


@pytest.fixture(scope="module")
def pair(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The pair. After its tests it is destroyed, and nothing of it may be left."""
    with standing(lab, tmp_path_factory.mktemp(lab.name), config()) as project:
        yield project


@pytest.fixture(scope="module")
def client(sites: dict[str, Kubectl]) -> tuple[str, ...]:
    """A client: a pod of dc2 in a namespace without sidecars."""
    sites["dc2"]("create", "namespace", "reports")
    pod = start(sites["dc2"], "reader", "reports", "default")
    sites["dc2"]("label", "pod", "reader", "--namespace", "reports", "app=reader")
    return pod


@pytest.fixture(scope="module")
def shell(sites: dict[str, Kubectl], client: tuple[str, ...]) -> tuple[str, ...]:
    """A client pod with MariaDB's client program."""
    pod = start(sites["dc2"], "shell", "reports", "default", image=MARIADB)
    sites["dc2"]("label", "pod", "shell", "--namespace", "reports", "app=reader")
    return pod


def everything(site: Kubectl) -> dict[str, str]:
    """Return the UID of each object that represents a host, by kind and name."""
    found = dict[str, str]()
    kinds = "services,serviceentries,destinationrules,gateways.networking.istio.io,virtualservices"
    for namespace, of in (("dcmesh-egress", kinds), ("demo", "services,endpointslices"), ("wookie", "services")):
        listed = json.loads(site("get", of, "--namespace", namespace, "--output", "json"))["items"]
        found |= {f"{one['kind']} {one['metadata']['name']}": one["metadata"]["uid"] for one in listed}
    return found


def test_each_host_is_answered_by_its_own_pod(sites: dict[str, Kubectl], client: tuple[str, ...]) -> None:
    assert curl(sites["dc2"], HOST, pod=client) == (HELLO[HOST], "200")
    containers = sites["dc2"].get("pod", "reader", "reports")["spec"]["containers"]
    assert [container["name"] for container in containers] == ["client"], "there is no sidecar"


def test_a_client_without_sidecar_logs_in_by_the_real_name(sites: dict[str, Kubectl], shell: tuple[str, ...]) -> None:
    password = database_passwords(sites["dc1"], "wookie")["replication"]
    assert log_in(sites["dc2"], shell, DB0, "replication", password) == "db-0"


def test_databases_without_sidecars_replicate(sites: dict[str, Kubectl]) -> None:
    source, copy = Database(sites["dc1"], "wookie", "db-0"), Database(sites["dc2"], "wookie-dr", "db-0")
    source("CREATE DATABASE kept; CREATE TABLE kept.t (n INT PRIMARY KEY); INSERT INTO kept.t VALUES (7)")
    eventually("dc2 has the row", lambda: copy("SELECT n FROM kept.t", check=False) == "7", within=60)
    for server in (source, copy):
        spec = server.site.get("pod", server.pod, server.namespace)["spec"]
        names = [container["name"] for container in (*spec["initContainers"], *spec["containers"])]
        assert names == ["prepare", "mariadb"]


def test_the_status_shows_the_egress_gateway_and_that_nothing_enforces_its_policy(pair: Project) -> None:
    """The lab accepts NetworkPolicies but enforces none.

    A stranger gets an answer, and no `up` fails because of that.
    """

    def told() -> Any:
        (gateway,) = pair.status()["sites"]["dc2"]["egressGateways"]
        return gateway

    eventually("the stranger has ended", lambda: told()["open"] is not None, within=90)
    assert {key: told()[key] for key in ("account", "ready", "wanted", "open", "state")} == {
        "account": "dcmesh-egress/egress",
        "ready": 2,
        "wanted": 2,
        "open": True,
        "state": "warning",
    }
    shown = pair.status()
    hosts = {host["host"]: host["answer"]["text"] for host in shown["sites"]["dc2"]["hosts"]}
    assert hosts == {"hello-0.hello.demo.svc.cluster.local": "hello-0", DB0: "greeting"}
    assert [p["text"] for p in shown["problems"] if "is none of its clients was answered" not in p["text"]] == []


def addresses(site: Kubectl, namespace: str, selector: str) -> str:
    listed = site("get", "pods", "--namespace", namespace, "--selector", selector, "--output", "json")
    return ", ".join(pod["status"]["podIP"] for pod in json.loads(listed)["items"])


@contextmanager
def enforced(lab: Lab, site: Kubectl) -> Iterator[None]:
    """Let dc2's node enforce its NetworkPolicies as a policy engine does: only the clients get to the ports."""
    into, clients = addresses(site, "dcmesh-egress", "app=dcmesh-egress"), addresses(site, "reports", "app=reader")
    rule = f"ip daddr {{ {into} }} tcp dport 20000-32767 ip saddr != {{ {clients} }} drop"
    chain = f"chain forward {{ type filter hook forward priority filter; {rule}; }}"
    lab("enter", "dc2", "--", "nft", f"table inet policies {{ {chain}; }}")
    try:
        yield
    finally:
        lab("enter", "dc2", "--", "nft", "delete table inet policies")


def test_a_stranger_is_shut_out_where_something_enforces_the_policies(
    lab: Lab, pair: Project, sites: dict[str, Kubectl], client: tuple[str, ...], shell: tuple[str, ...]
) -> None:
    with enforced(lab, sites["dc2"]):
        assert curl(sites["dc2"], HOST, pod=client) == (HELLO[HOST], "200")
        sites["dc2"]("delete", "job", "dcmesh-stranger", "--namespace", "dcmesh-egress")
        pair.up("--refresh", "--skip-preview")

        def told() -> Any:
            (gateway,) = pair.status()["sites"]["dc2"]["egressGateways"]
            return gateway

        eventually("the stranger has ended", lambda: told()["open"] is not None, within=120)
        assert (told()["open"], told()["state"]) == (False, "ok")


def test_the_doctor_walks_the_way_by_the_egress_gateway(pair: Project, sites: dict[str, Kubectl]) -> None:
    def walked() -> dict[str, dict[str, str]]:
        report = json.loads(pair.dcmesh("doctor", "--json").stdout)
        return {of["host"]: {step["hop"]: step["outcome"] for step in of["steps"]} for of in report["hosts"]}

    found = walked()
    assert set(found) == {"hello-0.hello.demo.svc.cluster.local", DB0}
    for hops in found.values():
        assert set(hops.values()) == {"passed"}
        assert {"egress name", "egress port"} <= set(hops)
        assert "virtual address" not in hops
    sites["dc2"]("delete", "endpointslice", "--namespace", "wookie", "--all")
    assert walked()[DB0]["egress name"] == "broken"
    pair.up("--refresh", "--skip-preview")
    assert walked()[DB0]["egress name"] == "passed"


def always(site: Kubectl, client: tuple[str, ...], seconds: float) -> None:
    """Check that a host is always answered by its own pod while the block runs."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert curl(site, HOST, pod=client) == (HELLO[HOST], "200")


def istio(kind: str, name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    group = "security" if kind == "AuthorizationPolicy" else "networking"
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": f"{group}.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def test_a_mesh_that_allows_nothing_by_default_does_not_shut_it(
    sites: dict[str, Kubectl], client: tuple[str, ...]
) -> None:
    sites["dc2"].apply(istio("AuthorizationPolicy", "allow-nothing", "istio-system", {}))
    always(sites["dc2"], client, 10)
    sites["dc2"]("delete", "authorizationpolicy", "allow-nothing", "--namespace", "istio-system")


def test_somebody_elses_gateway_at_its_port_is_named_and_shuts_nothing(
    pair: Project, sites: dict[str, Kubectl], client: tuple[str, ...]
) -> None:
    """Of two Gateways at one port, istiod uses the older one."""
    (server,) = sites["dc2"].get("gateways.networking.istio.io", name_for(HOST), "dcmesh-egress")["spec"]["servers"]
    spec = {"selector": {"istio": "dcmesh-egress"}, "servers": [{**server, "hosts": ["*"]}]}
    sites["dc2"].apply(istio("Gateway", "theirs", "dcmesh-egress", spec))
    always(sites["dc2"], client, 5)
    said = pair.status()["problems"]
    (told,) = [problem["text"] for problem in said if "Gateway dcmesh-egress/theirs" in problem["text"]]
    assert f"has the port of {HOST} to itself once dcmesh's own Gateway is written anew" in told
    sites["dc2"]("delete", "gateways.networking.istio.io", "theirs", "--namespace", "dcmesh-egress")


def test_a_tenants_route_for_its_port_leads_nobody_elsewhere(
    sites: dict[str, Kubectl], client: tuple[str, ...]
) -> None:
    """The route names dcmesh's Gateway, but lies in another namespace."""
    own = sites["dc2"].get("virtualservice", name_for(HOST), "dcmesh-egress")["spec"]
    to = {"destination": {"host": "kubernetes.default.svc.cluster.local", "port": {"number": 443}}}
    tcp = [{"match": own["tcp"][0]["match"], "route": [to]}]
    spec = {"hosts": own["hosts"], "gateways": [f"dcmesh-egress/{name_for(HOST)}"], "tcp": tcp}
    sites["dc2"].apply(istio("VirtualService", "aaa", "reports", spec))
    always(sites["dc2"], client, 10)
    sites["dc2"]("delete", "virtualservice", "aaa", "--namespace", "reports")


def test_a_client_with_a_sidecar_is_a_client_like_any_other(sites: dict[str, Kubectl]) -> None:
    labels = {"istio-injection": "enabled"}
    sites["dc2"].apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "meshed", "labels": labels}})
    meshed = start(sites["dc2"], "meshed", "meshed", "default")
    assert curl(sites["dc2"], HOST, pod=meshed) == (HELLO[HOST], "200")
    sites["dc2"]("delete", "namespace", "meshed", "--wait=false")


def test_nothing_is_near_the_clients(sites: dict[str, Kubectl], client: tuple[str, ...]) -> None:
    kinds = "serviceentries,sidecars,networkpolicies,envoyfilters,peerauthentications,jobs"
    assert sites["dc2"]("get", kinds, "--namespace", "reports", "--output", "name") == ""


def test_nothing_runs_where_the_names_are(sites: dict[str, Kubectl]) -> None:
    """The namespace is deleted with the import, so a volume in it would be lost."""
    said = subprocess.run(
        sites["dc2"].command("run", "lost", "--namespace", "wookie", "--image", AGNHOST),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "exceeded quota" in said.stderr, said


HELD = f"""
{{ echo 'SELECT 1;'; read -r; echo 'SELECT 2;'; }} |
  mariadb --host={DB0} --user=replication --batch --skip-column-names --unbuffered --skip-reconnect |
  {{ read -r; echo begun; cat; }}
"""
"""Asks by one connection, and again when it gets another line."""


def test_a_host_more_and_a_rename_move_no_other_host_and_break_no_connection(
    pair: Project, sites: dict[str, Kubectl], client: tuple[str, ...], shell: tuple[str, ...]
) -> None:
    """Not after the time either for which Envoy keeps what it drains."""
    gateway = ("--namespace", "dcmesh-egress", "deployment/dcmesh-egress")
    assert drain_seconds(sites["dc2"], *gateway) == f"{DRAIN}s"
    before = everything(sites["dc2"])
    password = database_passwords(sites["dc1"], "wookie")["replication"]
    with bare.looping(sites["dc2"], shell, HELD, password=password) as end:
        with pair.edit() as edited:
            dc1, dc2 = edited["dcmesh:sites"]
            dc1["exports"][0] |= {"name": "greeter", "statefulSet": "hello", "replicas": 2}
            dc2["imports"][0]["export"] = "greeter"
        pair.up("--skip-preview")
        drained = time.monotonic() + DRAINED
        assert {host: curl(sites["dc2"], host, pod=client) for host in HELLO} == {
            host: (pod, "200") for host, pod in HELLO.items()
        }
        after = everything(sites["dc2"])
        assert before.items() <= after.items()
        assert len(after) == len(before) + 6
        pair.up("--expect-no-changes")
        time.sleep(max(0, drained - time.monotonic()))
        assert end() == "2"


def test_a_namespace_of_names_becomes_nothing_else_in_one_step(pair: Project) -> None:
    """Pulumi would create the new resource and then delete the old one. Both are one namespace, with a database."""
    with pair.edit() as edited:
        dc2 = edited["dcmesh:sites"][1]
        kept = dc2["imports"].pop(0)
        dc2["workloads"].append({"kind": "mariadb", "namespace": "demo", "replicas": 1, "image": MARIADB})
    said = pair.refused("preview")
    assert "sites[1].workloads[1].namespace" in said
    assert "pulumi up" in said
    with pair.edit() as edited:
        dc2 = edited["dcmesh:sites"][1]
        dc2["workloads"].pop()
        dc2["imports"].insert(0, kept)


def test_a_gateway_pod_that_is_lost_is_not_missed_for_long(sites: dict[str, Kubectl], client: tuple[str, ...]) -> None:
    for pod in gateway_pods(sites["dc2"]):
        sites["dc2"]("delete", "pod", pod, "--namespace", "dcmesh-egress", "--grace-period=0", "--force")
        eventually(
            "it answers", lambda: curl(sites["dc2"], HOST, pod=client)[1] == "200", within=bare.FOUND_DEAD / 1000
        )
        sites["dc2"]("rollout", "status", "deployment/dcmesh-egress", "--namespace", "dcmesh-egress", "--timeout=60s")


def test_somebody_elses_namespace_of_that_name_is_left_alone(pair: Project, sites: dict[str, Kubectl]) -> None:
    sites["dc2"]("create", "namespace", "taken")
    with pair.edit() as edited:
        dc1, dc2 = edited["dcmesh:sites"]
        dc1["workloads"].append({"kind": "hello", "namespace": "taken", "name": "other", "replicas": 1})
        dc1["exports"].append(export("other", "taken", replicas=1, port=8080, probe="pod-name"))
        dc2["imports"].append(imported("other", "taken"))
    said = pair.refused("preview")
    assert "Namespace taken is there already, and this stack has not made it" in said
    with pair.edit() as edited:
        for site, key in ((0, "workloads"), (0, "exports"), (1, "imports")):
            edited["dcmesh:sites"][site][key].pop()


def test_neither_database_has_a_sidecar(pair: Project, sites: dict[str, Kubectl], shell: tuple[str, ...]) -> None:
    """TLS begins at dc2's egress gateway and ends at dc1's gateway. A whole Service can be reached that way too.

    dc2 has a namespace of the exporting one's name. So in dc2 the hosts of dc1 have names in another namespace.
    """
    sites["dc2"]("create", "namespace", bare.NAMESPACE)
    bare.begin(sites["dc1"])
    before = bare.state(sites["dc1"])
    with pair.edit() as edited:
        dc1, dc2 = edited["dcmesh:sites"]
        common = {
            "termination": "gateway",
            "namespace": bare.NAMESPACE,
            "consumers": dc1["exports"][0]["consumers"],
        }
        ports = [{"port": 3306}, {"port": bare.GROUP_PORT}]
        dc1["exports"] += [
            {"name": "bare", "statefulSet": "db", "replicas": 2, **common, "ports": ports},
            {"name": "primary", "service": "db-primary", "whole": True, "port": 3306, **common},
        ]
        dc2["imports"] += [imported("bare", OF_DC1), imported("primary", OF_DC1)]
    pair.up()  # Run it with its preview, in which the hosts' Services have no address yet.
    hosts = {f"{pod}.db.{OF_DC1}.svc.cluster.local": pod for pod in bare.PODS} | {
        f"db-primary.{OF_DC1}.svc.cluster.local": "db-0"
    }
    assert {host: bare.answer(sites["dc2"], shell, host) for host in hosts} == hosts
    another = f"db-1.db.{OF_DC1}.svc.cluster.local"
    assert bare.answer(sites["dc2"], shell, another, port=bare.GROUP_PORT) == "db-1", "a further port is led there too"
    for host in (f"db-0.db.{OF_DC1}.svc.cluster.local", f"db-primary.{OF_DC1}.svc.cluster.local"):
        walked = json.loads(pair.dcmesh("doctor", "--json", host).stdout)["hosts"]
        steps = [step for port in walked for step in port["steps"]]
        assert {step["hop"]: step["findings"] for step in steps if step["outcome"] != "passed"} == {}
    assert bare.state(sites["dc1"]) == before
    pair.up("--expect-no-changes")


@pytest.fixture(scope="module")
def replica(sites: dict[str, Kubectl]) -> Database:
    primary = Database(sites["dc1"], bare.NAMESPACE, "db-0")
    primary("CREATE DATABASE watched; CREATE TABLE watched.t (id INT AUTO_INCREMENT PRIMARY KEY)")
    return bare.replica(sites["dc2"], "reports", "default", f"db-0.db.{OF_DC1}.svc.cluster.local")


def test_a_replica_hears_at_once_of_an_egress_gateway_that_is_killed_or_drained(
    sites: dict[str, Kubectl], replica: Database
) -> None:
    eventually("it follows", replica.follows)
    source = Database(sites["dc1"], bare.NAMESPACE, "db-0")
    pods = partial(gateway_pods, sites["dc2"])
    gateway = "dcmesh-egress/dcmesh-egress"
    assert max(bare.longest_pauses(source, replica, sites["dc2"], gateway, pods).values()) < bare.FOUND_DEAD


def gateway_pods(site: Kubectl) -> list[str]:
    return site.names("pods", "--namespace", "dcmesh-egress", "--selector", "app=dcmesh-egress")


def test_the_import_goes_and_takes_its_names_along(pair: Project, sites: dict[str, Kubectl]) -> None:
    with pair.edit() as edited:
        edited["dcmesh:sites"][1]["imports"] = edited["dcmesh:sites"][1]["imports"][:2]
    pair.up("--skip-preview")
    there = set(sites["dc2"].names("namespaces"))
    assert OF_DC1 not in there
    assert {"demo", "wookie"} <= there
    pair.up("--expect-no-changes")
