"""Termination at ingress ports: existing pods get sidecars that serve the link only. All four pairings are tried.

The tests form one course of events. Fixtures lead to the point where a test begins: `exported`, `taking_part`,
`linked`. The meshes do not capture DNS, but the consumers' pods do.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.e2e import bare_database as bare
from tests.e2e.certificates import another_root, bundle_of, leaf
from tests.e2e.toolbox import (
    MARIADB,
    Kubectl,
    Lab,
    Project,
    curl,
    eventually,
    lab_config,
    lab_for_a_while,
    start,
)

DOMAIN = f"{bare.NAMESPACE}.svc.cluster.local"
HOSTS = {f"{pod}.db.{DOMAIN}": pod for pod in bare.PODS}
LOCALLY = HOSTS | {f"db-primary.{DOMAIN}": "db-0"}
SNI = "outbound_.3306_._.db-{}.db.bare.dc1.dcmesh"
CONSUMER = "spiffe://cluster.local/ns/demo-dr/sa/client"
PORT, INGRESS = 15443, 13306

SIDECAR = {"namespace": "demo-dr", "serviceAccount": "client", "selector": {"app": "client"}}
GATEWAY = {
    "namespace": "dcmesh-egress",
    "serviceAccount": "egress",
    "egress": "gateway",
    "clients": [{"namespace": "reports"}],
}
SOAK = pytest.mark.soak(
    proves=(
        "components/mesh/ingress_termination.py",
        "dcmesh/model/ingress_port.py",
        "components/mesh/local_clients.py",
    )
)
PAIRINGS = {
    "in-by-sidecar": ("ingress", SIDECAR),
    "in-by-gateway": ("ingress", GATEWAY),
    "end-by-sidecar": ("gateway", SIDECAR),
    "end-by-gateway": ("gateway", GATEWAY),
}
"""For each of the demo's namespaces in dc1: where the consumers' TLS ends, and by which egress they come."""


def consumer(way: dict[str, Any]) -> dict[str, str]:
    return {"site": "dc2", "namespace": way["namespace"], "serviceAccount": way["serviceAccount"]}


def at_pods(name: str, port: dict[str, Any], way: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "termination": "ingress", "ports": [port], "consumers": [consumer(way)], **more}


def hello(name: str) -> dict[str, Any]:
    """Return the demo's export from a namespace."""
    termination, way = PAIRINGS[name]
    pods = {"namespace": name, "statefulSet": "hello", "replicas": 1}
    if termination == "ingress":
        own = {"protocol": "HTTP", "serviceAccount": "hello", "selector": {"app": "hello"}}
        return at_pods(name, {"port": 8080, "probe": "pod-name"}, way, **pods, **own)
    ended = {"termination": "gateway", "port": 8080, "probe": "pod-name"}
    return {"name": name, **ended, **pods, "consumers": [consumer(way)]}


DATABASE = at_pods(
    "db",
    {"port": 3306},
    SIDECAR,
    namespace=bare.NAMESPACE,
    statefulSet="db",
    replicas=2,
    services=["db-primary"],
    serviceAccount="default",
    selector={"app": "db"},
)


def imported(name: str, way: dict[str, Any]) -> dict[str, Any]:
    return {"from": "dc1", "export": name, **({"hostNamespace": name} if "egress" in way else {}), **way}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    for lab in lab_for_a_while("ingress"):
        lab.create({"dc1": ["dc2"], "dc2": ["dc1"]})
        yield lab


@pytest.fixture(scope="module")
def sites(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kubectl]:
    directory = tmp_path_factory.mktemp("kubeconfigs")
    return {site: Kubectl(lab("kubeconfig", site), directory / site) for site in ("dc1", "dc2")}


@pytest.fixture(scope="module")
def pair(sites: dict[str, Kubectl], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A database that ran before dcmesh and that dc1 is to export, and the demo in all pairings."""
    bare.begin(sites["dc1"])
    dc1, dc2 = ({"name": name, "cluster": {"kubeconfig": str(kubectl.path)}} for name, kubectl in sites.items())
    dc1["workloads"] = [{"kind": "hello", "namespace": name, "replicas": 1} for name in PAIRINGS]
    dc1["exports"] = [*(hello(name) for name in PAIRINGS), DATABASE]
    dc2["workloads"] = [{"kind": "hello-client", "namespace": "demo-dr"}]
    dc2["imports"] = [imported(name, way) for name, (_, way) in PAIRINGS.items()]
    whole = lab_config()
    off = {"defaultConfig": {"proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "false"}}}
    whole["dcmesh:istio"]["values"]["istiod"]["meshConfig"] = off
    config = {**whole, "dcmesh:sites": [dc1, dc2], "dcmesh:protect": False}
    directory = tmp_path_factory.mktemp("ingress")
    project = Project(directory / "project", stack="ingress", config=config, state=directory / "state")
    project.init()
    return project


@pytest.fixture(scope="module")
def exported(pair: Project, sites: dict[str, Kubectl]) -> str:
    """What `up` says of the database, which must notice nothing of it. Local clients connect all the time."""
    before = bare.state(sites["dc1"])
    with bare.local_client(sites["dc1"], "default", hosts=" ".join(LOCALLY)):
        said = pair.up("--skip-preview")
    assert bare.state(sites["dc1"]) == before
    return said


def insiders() -> dict[str, Any]:
    """Return a namespace of dc1 whose pods have sidecars."""
    metadata = {"name": "insiders", "labels": {"istio-injection": "enabled"}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


@pytest.fixture(scope="module")
def local(exported: str, sites: dict[str, Kubectl]) -> dict[str, tuple[str, ...]]:
    """Clients of the database in its own site, with a sidecar and without."""
    sites["dc1"].apply(insiders())
    places = {"insider": "insiders", "outsider": bare.NAMESPACE}
    return {
        name: start(sites["dc1"], f"asking-{name}", where, "default", image=MARIADB) for name, where in places.items()
    }


def locally_answered(sites: dict[str, Kubectl], local: dict[str, tuple[str, ...]]) -> dict[str, dict[str, str]]:
    return {name: {host: bare.answer(sites["dc1"], pod, host) for host in LOCALLY} for name, pod in local.items()}


TEMPLATE = {
    "labels": {"sidecar.istio.io/inject": "true", "dcmesh/ingress": "db"},
    "annotations": {
        "traffic.sidecar.istio.io/includeInboundPorts": str(INGRESS),
        "traffic.sidecar.istio.io/includeOutboundIPRanges": "",
    },
}


@pytest.fixture(scope="module")
def taking_part(sites: dict[str, Kubectl], local: dict[str, tuple[str, ...]]) -> list[list[bool]]:
    """Which pods have sidecars after each of two steps. After each step all local clients reach both servers."""
    dc1, everybody, steps = sites["dc1"], dict.fromkeys(local, LOCALLY), list[list[bool]]()
    assert locally_answered(sites, local) == everybody
    for partition in (1, 0):
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}
        patch = json.dumps({"spec": {"updateStrategy": strategy, "template": {"metadata": TEMPLATE}}})
        dc1("patch", "statefulset", "db", "--namespace", bare.NAMESPACE, "--type=merge", f"--patch={patch}")
        dc1("rollout", "status", "statefulset/db", "--namespace", bare.NAMESPACE, "--timeout=180s")
        pods = [dc1.get("pod", pod, bare.NAMESPACE)["spec"] for pod in bare.PODS]
        steps.append(["istio-proxy" in json.dumps(spec) for spec in pods])
        eventually("all are reached", lambda: locally_answered(sites, local) == everybody)
    return steps


@pytest.fixture(scope="module")
def linked(pair: Project, taking_part: list[list[bool]]) -> str:
    """The output of the `up` that imports the database. It succeeds if the consumer reaches each pod."""
    with pair.edit() as config:
        config["dcmesh:sites"][1]["imports"].append(imported("db", SIDECAR))
    return pair.up("--skip-preview")


@pytest.fixture(scope="module")
def client(sites: dict[str, Kubectl], linked: str) -> tuple[str, ...]:
    """A pod of the consumer, with the database's client program."""
    container = {"name": "client", "image": MARIADB, "command": ["sleep", "infinity"]}
    spec = {"serviceAccountName": "client", "terminationGracePeriodSeconds": 1, "containers": [container]}
    metadata = {"name": "asking", "namespace": "demo-dr", "labels": SIDECAR["selector"]}
    sites["dc2"].apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    sites["dc2"]("wait", "--for=condition=Ready", "pod/asking", "--namespace", "demo-dr", "--timeout=60s")
    return ("--namespace", "demo-dr", "asking", "--container", "client")


def answered(sites: dict[str, Kubectl], client: tuple[str, ...]) -> bool:
    return {host: bare.answer(sites["dc2"], client, host) for host in HOSTS} == HOSTS


Dial = Callable[..., dict[str, str]]


@pytest.fixture(scope="module")
def address(pair: Project, linked: str) -> str:
    (address,) = pair.output("link")["dc1"]["gateway"]["addresses"]
    return str(address)


@pytest.fixture(scope="module")
def genuine(sites: dict[str, Kubectl], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return leaf(tmp_path_factory.mktemp("genuine"), bundle_of(sites["dc2"]), CONSUMER)


@pytest.fixture
def dial(lab: Lab, address: str, tmp_path: Path) -> Dial:
    """Make attempts from a site's node. By default they go from dc2's node to dc1's gateway."""

    def attempt(
        attempts: dict[str, dict[str, Any]], *, site: str = "dc2", at: str = address, port: int = PORT
    ) -> dict[str, str]:
        script, plan = Path(__file__).with_name("istios") / "dial.py", tmp_path / "plan.json"
        how = {name: {"port": port, **this} for name, this in attempts.items()}
        plan.touch(mode=0o600)
        asked = {"address": at, "user": "replication", "password": bare.PASSWORD, "attempts": how}
        plan.write_text(json.dumps(asked))
        found: dict[str, str] = json.loads(lab("enter", site, "--", sys.executable, str(script), str(plan)))
        return found

    return attempt


def strangers(sites: dict[str, Kubectl], directory: Path, name: str) -> dict[str, dict[str, Any]]:
    """Return attempts at a server name by everybody who is no consumer."""
    dc1, dc2 = (bundle_of(site) for site in sites.values())
    uris = {
        "another account": "spiffe://cluster.local/ns/demo-dr/sa/other",
        "the account of another namespace": "spiffe://cluster.local/ns/elsewhere/sa/client",
        "another trust domain": "spiffe://elsewhere.local/ns/demo-dr/sa/client",
        "the pods' own": "spiffe://cluster.local/ns/bare/sa/default",
        "a longer name": f"{CONSUMER}-2",
    }
    attempts = {who: {**leaf(directory, dc2, uri), "server_name": name} for who, uri in uris.items()}
    for kind in (x509.DNSName, x509.RFC822Name):
        attempts[f"the name as a {kind.__name__}"] = {**leaf(directory, dc2, CONSUMER, kind), "server_name": name}
    attempts["a neighbour"] = {**leaf(directory, dc1, "spiffe://cluster.local/ns/bare/sa/other"), "server_name": name}
    attempts["another root"] = {**leaf(directory, another_root(), CONSUMER), "server_name": name}
    attempts["no certificate"] = {"server_name": name}
    return {**attempts, "plaintext": {}}


def start_anew(site: Kubectl) -> None:
    """Restart db-1, and wait until its sidecar has received its listeners. It need not become ready."""
    site("delete", "pod", "db-1", "--namespace", bare.NAMESPACE)
    asked = ("exec", "--namespace", bare.NAMESPACE, "db-1", "--container", "istio-proxy", "--", "pilot-agent")

    def heard() -> bool:
        stats = site(*asked, "request", "GET", "stats?filter=lds.update", check=False)
        return "lds.update_attempt" in stats and "lds.update_attempt: 0" not in stats

    eventually("its sidecar has heard of its listeners", heard, within=120)


def found_by_doctor(pair: Project, host: str) -> list[str]:
    said = json.loads(pair.dcmesh("doctor", "--json", host).stdout)["hosts"]
    return [of["id"] for link in said for step in link["steps"] for of in step["findings"]]


def critical(pair: Project, what: str) -> bool:
    """Tell whether status calls something critical."""
    problems = pair.status()["problems"]
    return any(of["state"] == "critical" and what in of["text"] for of in problems)


def in_and_nobody_else(
    dial: Dial, sites: dict[str, Kubectl], genuine: dict[str, str], directory: Path, pod: str, **more: dict[str, Any]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return how far everybody gets through the gateway, and from within dc1 at the pod's ingress port itself."""
    name = SNI.format(pod[-1])
    attempts = {**strangers(sites, directory, name), "consumer": {**genuine, "server_name": name}}
    within = {"site": "dc1", "at": sites["dc1"].get("pod", pod, bare.NAMESPACE)["status"]["podIP"], "port": INGRESS}
    return dial({**attempts, **more}), dial(attempts, **within)


def test_a_database_that_runs_is_told_what_to_get(exported: str) -> None:
    assert 'the labels sidecar.istio.io/inject: "true", dcmesh/ingress: "db"' in exported
    assert f'traffic.sidecar.istio.io/includeInboundPorts: "{INGRESS}"' in exported


def test_all_four_pairings_are_probed(exported: str, sites: dict[str, Kubectl]) -> None:
    sites["dc2"]("create", "namespace", "reports")
    reader = start(sites["dc2"], "reader", "reports", "default")
    for name, (_, way) in PAIRINGS.items():
        host = f"hello-0.hello.{name}.svc.cluster.local"
        pod = {"pod": reader} if "egress" in way else {}
        assert curl(sites["dc2"], host, **pod) == ("hello-0", "200")


def test_pods_that_get_their_sidecars_one_by_one_keep_their_local_clients(taking_part: list[list[bool]]) -> None:
    assert taking_part == [[False, True], [True, True]]


def test_the_consumer_gets_in_and_a_stranger_gets_not_a_byte(
    dial: Dial,
    sites: dict[str, Kubectl],
    linked: str,
    client: tuple[str, ...],
    genuine: dict[str, str],
    tmp_path: Path,
) -> None:
    """This holds through the gateway, and from within dc1 at the pod's ingress port, with no gateway in between."""
    assert "do not take part with all" not in linked
    assert answered(sites, client)
    names = {
        "the name alone": "db-0.db.bare.dc1.dcmesh",
        "the real name": f"outbound_.3306_._.{next(iter(HOSTS))}",
        "the Service": "outbound_.3306_._.db.bare.svc.cluster.local",
        "the ingress port": f"outbound_.{INGRESS}_._.db-0.db.bare.dc1.dcmesh",
        "Galera's port": f"outbound_.{bare.GROUP_PORT}_._.db-0.db.bare.dc1.dcmesh",
    }
    others = {what: {**genuine, "server_name": name} for what, name in names.items()}
    for found in in_and_nobody_else(dial, sites, genuine, tmp_path, "db-0", **others):
        assert found == {**dict.fromkeys(found, "refused"), "consumer": "in"}


STRANGER = {"san_type": "URI", "matcher": {"prefix": "spiffe://"}}
NAMES = (
    "/patch/value/transport_socket/typed_config/common_tls_context/combined_validation_context"
    "/default_validation_context/match_typed_subject_alt_names/-"
)


def test_without_its_filter_the_port_is_closed_and_a_changed_one_is_critical(
    pair: Project, dial: Dial, sites: dict[str, Kubectl], genuine: dict[str, str], tmp_path: Path
) -> None:
    """This also holds after a restart of the pod.

    The same filter keeps strangers out and leads consumers to the server.
    """
    dc1, host, of = sites["dc1"], f"db-1.db.{DOMAIN}", ("--namespace", bare.NAMESPACE)
    consumer = {"consumer": {**genuine, "server_name": SNI.format(1)}}
    before = dc1.get("envoyfilter", "db-ingress", bare.NAMESPACE)
    dc1("delete", "envoyfilter", "db-ingress", *of)
    eventually("it is closed", lambda: dial(consumer) == {"consumer": "refused"})
    dc1("delete", "pod", "db-1", *of)
    dc1("rollout", "status", "statefulset/db", *of, "--timeout=120s")
    for found in in_and_nobody_else(dial, sites, genuine, tmp_path, "db-1"):
        assert set(found.values()) == {"refused"}
    assert found_by_doctor(pair, host) == ["ingress-closed"]
    assert critical(pair, "EnvoyFilter bare/db-ingress is gone")
    kept = {key: before["metadata"].get(key, {}) for key in ("name", "namespace", "labels", "annotations")}
    dc1.apply({**before, "metadata": kept})
    eventually("the consumer gets in", lambda: dial(consumer) == {"consumer": "in"})
    assert found_by_doctor(pair, host) == []
    (at,) = (n for n, one in enumerate(before["spec"]["configPatches"]) if "transport_socket" in one["patch"]["value"])
    patch = [{"op": "add", "path": f"/spec/configPatches/{at}{NAMES}", "value": STRANGER}]
    dc1("patch", "envoyfilter", "db-ingress", *of, "--type=json", f"--patch={json.dumps(patch)}")
    assert found_by_doctor(pair, host) == ["ingress-unguarded"]
    assert critical(pair, "EnvoyFilter bare/db-ingress is not as dcmesh makes it")
    dc1("replace", "--filename", "-", stdin=json.dumps({**before, "metadata": kept}))
    eventually("it is as before", lambda: found_by_doctor(pair, host) == [])
    eventually("the consumer gets in", lambda: dial(consumer) == {"consumer": "in"})


@SOAK
def test_the_sites_own_clients_reach_the_demo_with_and_without_sidecars(
    sites: dict[str, Kubectl], local: dict[str, tuple[str, ...]]
) -> None:
    """They use its name and the port itself, which no sidecar handles."""
    host = "hello-0.hello.in-by-sidecar.svc.cluster.local"
    for name, namespace in (("insider", "insiders"), ("outsider", "default")):
        pod = start(sites["dc1"], name, namespace, "default")
        assert curl(sites["dc1"], host, pod=pod) == ("hello-0", "200"), name


@SOAK
def test_the_consumers_pods_alone_capture_dns(sites: dict[str, Kubectl], linked: str) -> None:
    other = start(sites["dc2"], "unlabelled", "demo-dr", "client", image=MARIADB)
    assert "Unknown server host" in bare.answer(sites["dc2"], other, next(iter(HOSTS)))


@SOAK
def test_unfinished_handshakes_take_no_connection_of_the_server(
    lab: Lab, sites: dict[str, Kubectl], address: str, client: tuple[str, ...]
) -> None:
    script = str(Path(__file__).with_name("istios") / "hang.py")
    hanging = lab.start("enter", "dc2", "--", sys.executable, script, address, str(PORT), SNI.format(0), "60")
    assert hanging.stdout is not None
    hanging.stdout.readline()
    waiting = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'unauthenticated user'"
    inside = ("exec", "--namespace", bare.NAMESPACE, "db-0", "--container", "mariadb", "--", "mariadb")
    assert int(sites["dc1"](*inside, "--socket=/run/mysqld/mysqld.sock", "-BNe", waiting)) <= 2
    assert hanging.wait(timeout=60) == 0
    eventually("the consumer gets in", lambda: answered(sites, client))


@SOAK
def test_a_mesh_that_allows_nothing_lets_the_consumers_in(
    sites: dict[str, Kubectl], client: tuple[str, ...], local: dict[str, tuple[str, ...]]
) -> None:
    of = {"name": "allow-nothing", "namespace": "istio-system"}
    kind = {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy"}
    sites["dc1"].apply({**kind, "metadata": of, "spec": {}})
    elsewhere, asking = (
        "hello-0.hello.end-by-sidecar.svc.cluster.local",
        start(sites["dc1"], "shut-out", "insiders", "default"),
    )
    eventually("it holds", lambda: curl(sites["dc1"], elsewhere, pod=asking)[1] == "403")
    assert answered(sites, client)
    assert locally_answered(sites, local) == dict.fromkeys(local, LOCALLY)
    sites["dc1"]("delete", "authorizationpolicy", "allow-nothing", "--namespace", "istio-system")


@SOAK
def test_without_its_peer_authentication_the_port_is_closed(
    pair: Project, dial: Dial, sites: dict[str, Kubectl], genuine: dict[str, str], tmp_path: Path
) -> None:
    """When the pod restarts, its sidecar does not become ready, so its containers do not start. The doctor says so."""
    host = f"db-1.db.{DOMAIN}"
    assert found_by_doctor(pair, host) == []
    sites["dc1"]("delete", "peerauthentications.security.istio.io", "db-ingress", "--namespace", bare.NAMESPACE)
    assert "ingress-not-strict" in found_by_doctor(pair, host)
    start_anew(sites["dc1"])
    assert "ingress-not-strict" in found_by_doctor(pair, host)
    for found in in_and_nobody_else(dial, sites, genuine, tmp_path, "db-1"):
        assert set(found.values()) == {"refused"}
    pair.up("--refresh", "--skip-preview")
    consumer = {"consumer": {**genuine, "server_name": SNI.format(1)}}
    eventually("the consumer gets in", lambda: dial(consumer) == {"consumer": "in"}, within=120)


@SOAK
def test_a_containers_port_of_the_exports_name_is_found(
    pair: Project, sites: dict[str, Kubectl], exported: str
) -> None:
    """Istio looks ports up by name, so it leads the gateway to a port where nothing listens."""
    namespace, host = "end-by-sidecar", "hello-0.hello.end-by-sidecar.svc.cluster.local"
    dc1, of = sites["dc1"], ("statefulset", "hello", "--namespace", namespace)

    def call(port: dict[str, Any], ready: int | str) -> None:
        container = "/spec/template/spec/containers/0"
        patch = [
            {"op": "replace", "path": f"{container}/ports/0", "value": port},
            {"op": "replace", "path": f"{container}/readinessProbe/httpGet/port", "value": ready},
        ]
        dc1("patch", *of, "--type=json", f"--patch={json.dumps(patch)}")
        dc1("rollout", "status", "statefulset/hello", "--namespace", namespace, "--timeout=120s")

    call({"name": "tcp", "containerPort": 9999}, ready=8080)
    eventually("it is found", lambda: found_by_doctor(pair, host)[:1] == ["port-name-taken"])
    assert critical(pair, f"is led to port 9999 of pod {namespace}/hello-0, which a container calls `tcp`")
    assert curl(sites["dc2"], host)[0] != "hello-0"
    call({"name": "http", "containerPort": 8080}, ready="http")
    eventually("it is reached", lambda: curl(sites["dc2"], host) == ("hello-0", "200"))


def named(namespace: str) -> list[dict[str, Any]]:
    """Return a StatefulSet of one pod. A container's port has the name that Istio's objects give to an export's."""
    metadata, labels = {"name": "named", "namespace": namespace}, {"app": "named"}
    ports = [{"name": "tcp", "containerPort": 9104}]
    container = {"name": "idle", "image": MARIADB, "command": ["sleep", "infinity"], "ports": ports}
    pod = {"containers": [container], "terminationGracePeriodSeconds": 1}
    template = {"metadata": {"labels": labels}, "spec": pod}
    replicas = {"serviceName": "named", "replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    service = {"clusterIP": "None", "selector": labels, "ports": [{"port": 3306}]}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": replicas},
    ]


@SOAK
def test_what_cannot_be_exported_is_refused(pair: Project, sites: dict[str, Kubectl], linked: str) -> None:
    """Refused are a database whose sidecar captures all ports, and one with a container's port of the export's name."""
    bare.begin(sites["dc1"], "meshed", **{"istio-injection": "enabled"})
    sites["dc1"].apply(*named("meshed"))
    of = {"namespace": "meshed", "replicas": 1, "port": 3306}
    with pair.edit() as config:
        config["dcmesh:sites"][0]["exports"] += [
            {**DATABASE, "name": "meshed", "namespace": "meshed"},
            {"name": "named", "termination": "gateway", **of, "consumers": [consumer(SIDECAR)]},
        ]
    said = pair.refused("preview")
    assert "take in more than its ingress ports" in said
    assert "use `termination: gateway`, which leaves the pods as they are" in said
    assert "3306 would be led to port 9104 of " in said
    with pair.edit() as config:
        del config["dcmesh:sites"][0]["exports"][-2:]
    sites["dc1"]("delete", "namespace", "meshed")


@SOAK
def test_nothing_changes_and_status_and_doctor_find_nothing(pair: Project, linked: str) -> None:
    """They find only that a lab enforces no NetworkPolicies, and that a Service of the demo says HTTP."""
    pair.up("--expect-no-changes")
    said = pair.status()["problems"]
    assert [of["text"] for of in said if "enforces NetworkPolicies" not in of["text"]] == []
    for host in (*HOSTS, "hello-0.hello.in-by-sidecar.svc.cluster.local"):
        assert found_by_doctor(pair, host) == []


@SOAK
def test_without_the_exports_nothing_is_left(pair: Project, sites: dict[str, Kubectl], linked: str) -> None:
    pair.pulumi("destroy", "--yes", "--skip-preview")
    assert pair.resources() == []
    assert not sites["dc1"].names("serviceentries", "--namespace", bare.NAMESPACE)
