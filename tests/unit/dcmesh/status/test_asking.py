"""Questions to sites: with a fake API server, and fakes of commands in containers."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client
from kubernetes.client import ApiException

from dcmesh.doctor.evidence import Evidence
from dcmesh.model.facts import State
from dcmesh.sites_in_outputs import DeployedSite, StackError, parse_outputs
from dcmesh.status.certificates import Certificate
from dcmesh.status.databases import DatabaseServer
from dcmesh.status.exports import Export
from dcmesh.status.gateways import GatewayStatus
from dcmesh.status.hosts import Host
from dcmesh.status.sites import SiteStatus, Status, ask_all, ask_site, of_kind
from dcmesh.trust.trust_report import ask_trust
from tests.unit import statuses
from tests.unit.engine import Engine
from tests.unit.program import Config, existing_clusters, run_apart, run_program
from tests.unit.servers import KubernetesAPI, kubeconfig, kubernetes_api
from tests.unit.statuses import DB0, DB1, IDENTITY, Containers, clusters, pod
from tests.unit.test_program import apart

NOWHERE = kubeconfig({"nowhere": "http://127.0.0.1:1"})


@pytest.fixture
def cluster() -> Iterator[KubernetesAPI]:
    """One server that stands in for both sites' clusters, in which all is well."""
    with kubernetes_api() as server:
        server.objects = statuses.objects()
        yield server


@pytest.fixture
def containers(monkeypatch: pytest.MonkeyPatch) -> Containers:
    played = Containers()
    for module in ("kube.pods", "status.hosts", "status.databases"):
        monkeypatch.setattr(f"dcmesh.{module}.run_in", played)
    return played


Ask = Callable[..., Status]


@pytest.fixture
def ask(cluster: KubernetesAPI, containers: Containers) -> Ask:
    """Ask both sites, or others."""
    reached = kubeconfig({"there": f"http://127.0.0.1:{cluster.server_port}"})

    def ask(*sites: DeployedSite, max_lag: int = 60) -> Status:
        return ask_all(sites or (statuses.exporter(reached), statuses.importer(reached)), max_lag)

    return ask


def texts(status: Status) -> list[str]:
    return [f"{problem.state.name} {problem.text}" for problem in status.problems]


def test_a_pair_in_which_all_is_well(ask: Ask) -> None:
    status = ask()
    assert texts(status) == []
    assert status.state == State.OK
    exporter, importer = status.sites
    assert [type(fact) for fact in exporter.facts] == [
        GatewayStatus,
        Export,
        Certificate,
        Certificate,
        Certificate,
        DatabaseServer,
    ]
    assert [type(fact) for fact in importer.facts] == [
        Certificate,
        Certificate,
        Certificate,
        Host,
        Host,
        DatabaseServer,
    ]


def test_what_is_found(ask: Ask) -> None:
    facts = ask().facts
    (gateway,) = of_kind(GatewayStatus, facts)
    assert (gateway.ready, gateway.wanted, gateway.addresses, gateway.ports) == (1, 1, ("192.0.2.1",), (15021, 15443))
    assert {(c.site, c.kind, c.subject) for c in of_kind(Certificate, facts) if c.kind == "pod"} == {
        ("dc1", "pod", "wookie/db"),
        ("dc2", "pod", "wookie-dr/db"),
    }
    hosts = of_kind(Host, facts)
    assert [(host.host, host.answer and host.answer.text, host.accepted) for host in hosts] == [
        (DB0, "greeting", (IDENTITY,)),
        (DB1, "greeting", (IDENTITY,)),
    ]
    primary, replica = of_kind(DatabaseServer, facts)
    assert (primary.source, primary.position, primary.read_only, primary.last_error) == ("", "0-1-7", False, "")
    assert (replica.source, replica.running, replica.seconds_behind, replica.read_only) == (DB0, True, 0, True)


def test_it_only_reads(ask: Ask, cluster: KubernetesAPI) -> None:
    """The fake knows only GET. Of pods, only those of consumers and gateways are asked for."""
    ask()
    assert {path for path in cluster.asked if path.startswith("/api/v1/namespaces/istio-system")} == {
        "/api/v1/namespaces/istio-system/pods",
        "/api/v1/namespaces/istio-system/secrets/cacerts",
        "/api/v1/namespaces/istio-system/services/gateway",
    }


def test_json_has_it_all(ask: Ask) -> None:
    shown = json.loads(json.dumps(ask().as_json()))
    assert (shown["state"], shown["problems"], list(shown["sites"])) == ("ok", [], ["dc1", "dc2"])
    assert datetime.fromisoformat(shown["asked"]).tzinfo
    keys = {"state", "unreachable", "lost", "without", "pending", "exports", "gateway", "egressGateways"}
    keys |= {"certificates", "hosts", "databases", "foreign"}
    assert set(shown["sites"]["dc1"]) == set(shown["sites"]["dc2"]) == keys
    assert shown["sites"]["dc2"]["gateway"] is None
    assert shown["sites"]["dc1"]["gateway"]["state"] == "ok"
    assert shown["sites"]["dc2"]["exports"] == []
    assert shown["sites"]["dc1"]["exports"] == [
        {
            "name": "db",
            "namespace": "wookie",
            "hosts": [DB0, DB1],
            "port": 3306,
            "termination": "pod",
            "consumers": [{"site": "dc2", "account": "wookie-dr/db"}],
            "wrong": [],
            "site": "dc1",
            "unknown": "",
            "state": "ok",
        }
    ]
    host, _ = shown["sites"]["dc2"]["hosts"]
    assert host["answer"] == {"ok": True, "text": "greeting"}
    (server,) = shown["sites"]["dc2"]["databases"]
    assert (server["secondsBehind"], server["maxLag"], server["readOnly"]) == (0, 60, True)


# --- what is wrong -----------------------------------------------------------------------------------------------

ISTIO = "/api/v1/namespaces/istio-system"
DEPLOYMENT = "/apis/apps/v1/namespaces/istio-system/deployments/gateway"


@pytest.mark.parametrize(
    ("path", "found", "text"),
    [
        (DEPLOYMENT, 404, "CRITICAL dc1 gateway: no pod is ready, 0 wanted"),
        (DEPLOYMENT, 403, "UNKNOWN dc1 gateway: 403 Forbidden"),
        (
            f"{ISTIO}/services/gateway",
            404,
            "CRITICAL dc1 gateway: importers are told 192.0.2.1, its Service has no addr",
        ),
        (f"{ISTIO}/secrets/cacerts", 404, "UNKNOWN dc1 certificate of intermediate of dc1: the Secret istio-system/ca"),
        (f"{ISTIO}/secrets/cacerts", {"data": {"ca-cert.pem": ""}}, "UNKNOWN dc1 certificate of intermediate of dc1"),
        ("/api/v1/namespaces/wookie-dr/pods/db-0", 404, "CRITICAL dc2 database wookie-dr/db-0: does not run: there is"),
        ("/api/v1/namespaces/wookie-dr/pods/db-0", 403, "UNKNOWN dc2 database wookie-dr/db-0: 403 Forbidden"),
        (
            "/api/v1/namespaces/wookie-dr/pods",
            {"items": []},
            "UNKNOWN dc2 wookie-dr/db to hosts of dc1: no pod with a sidecar runs as this service account",
        ),
        ("/api/v1/namespaces/wookie-dr/pods", 403, "UNKNOWN dc2 wookie-dr/db to hosts of dc1: 403 Forbidden"),
    ],
)
def test_what_a_cluster_may_say(ask: Ask, cluster: KubernetesAPI, path: str, found: Any, text: str) -> None:
    cluster.objects[path] = found
    assert [line for line in texts(ask()) if line.startswith(text)]


def test_a_pod_without_sidecar_or_that_is_leaving_is_not_asked(ask: Ask, cluster: KubernetesAPI) -> None:
    bare = pod("wookie-dr", "bare", status={"phase": "Running", "containerStatuses": []})
    leaving = pod("wookie-dr", metadata={"namespace": "wookie-dr", "name": "old", "deletionTimestamp": "now"})
    cluster.objects["/api/v1/namespaces/wookie-dr/pods"] = {"items": [bare, leaving, pod("wookie-dr")]}
    assert texts(ask()) == []  # Containers refuses every pod except db-0.


def test_a_database_whose_container_does_not_run(ask: Ask, cluster: KubernetesAPI) -> None:
    waiting = {"name": "mariadb", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    crashed = pod("wookie-dr", status={"phase": "Running", "containerStatuses": [waiting]})
    cluster.objects["/api/v1/namespaces/wookie-dr/pods/db-0"] = crashed
    assert texts(ask()) == ["CRITICAL dc2 database wookie-dr/db-0: does not run: CrashLoopBackOff"]


HANDSHAKE = ApiException(status=0, reason="Handshake status 403 Forbidden")


@pytest.mark.parametrize(
    ("command", "answer", "problems"),
    [
        (
            "wookie mariadb",
            ChildProcessError("ERROR 2002 (HY000): Can't connect"),
            ["CRITICAL dc1 database wookie/db-0: does not answer: ERROR 2002 (HY000): Can't connect"],
        ),
        (
            "wookie mariadb",
            TimeoutError("no answer within 10 seconds"),
            ["CRITICAL dc1 database wookie/db-0: does not answer: no answer within 10 seconds"],
        ),
        ("wookie mariadb", HANDSHAKE, ["UNKNOWN dc1 database wookie/db-0: Handshake status 403 Forbidden"]),
        (
            "wookie-dr mariadb",
            statuses.MARIADB_SELF.format(read_only=1),
            [f"CRITICAL dc2 database wookie-dr/db-0: follows nobody instead of {DB0}"],
        ),
        (
            "wookie-dr mariadb",
            statuses.MARIADB_REPLICA + statuses.MARIADB_SELF.format(read_only=0),
            ["CRITICAL dc2 database wookie-dr/db-0: takes writes, and should be a replica"],
        ),
        (
            "wookie-dr mariadb",
            statuses.MARIADB_SELF.format(read_only=1) + "Extra_Transactions: 0-1-8 to 0-1-9\n",
            [
                "CRITICAL dc2 database wookie-dr/db-0: has transactions that its source has not, and does not follow: "
                "0-1-8 to 0-1-9"
            ],
        ),
        (
            "bash",
            f"failed {DB0} 3306 closed without answer\nok {DB1} 3306 greeting\n",
            [f"CRITICAL dc2 wookie-dr/db to {DB0}:3306: closed without answer"],
        ),
        (
            "bash",
            f"ok {DB1} 3306 greeting\n",
            [f"CRITICAL dc2 wookie-dr/db to {DB0}:3306: no answer"],
        ),
        ("bash", HANDSHAKE, ["UNKNOWN dc2 wookie-dr/db to hosts of dc1: Handshake status 403 Forbidden"]),
        (
            "config_dump",
            json.dumps(clusters("spiffe://evil")),
            [
                f"CRITICAL dc2 wookie-dr/db to {host}:3306: the sidecar accepts spiffe://evil instead of {IDENTITY}"
                for host in (DB0, DB1)
            ],
        ),
        (
            "config_dump",
            "not JSON",
            [
                f"UNKNOWN dc2 wookie-dr/db to {host}:3306: the sidecar does not say whom it takes for the host"
                for host in (DB0, DB1)
            ],
        ),
    ],
)
def test_what_a_container_may_say(
    ask: Ask, containers: Containers, command: str, answer: str | Exception, problems: list[str]
) -> None:
    containers.answers[command] = answer
    assert texts(ask()) == problems


def test_a_container_without_bash_is_asked_by_its_shell(ask: Ask, containers: Containers) -> None:
    containers.answers["bash"] = ChildProcessError('exec: "bash": executable file not found in $PATH')
    containers.answers["sh"] = f"ok {DB0} 3306 greeting\nok {DB1} 3306 greeting\n"
    assert texts(ask()) == []


def test_a_container_that_has_no_tools_leaves_it_unknown(ask: Ask, containers: Containers) -> None:
    containers.answers["bash"] = ChildProcessError('exec: "bash": executable file not found in $PATH')
    containers.answers["sh"] = ChildProcessError("it has neither bash nor curl")
    reason = "wookie-dr/db-0 (mariadb) cannot ask: it has neither bash nor curl"
    assert texts(ask()) == [f"UNKNOWN dc2 wookie-dr/db to hosts of dc1: {reason}"]


def test_lag_is_measured_by_the_limit_given(ask: Ask, containers: Containers) -> None:
    behind = statuses.MARIADB_REPLICA.replace("Seconds_Behind_Master: 0", "Seconds_Behind_Master: 30")
    containers.answers["wookie-dr mariadb"] = behind
    assert ask().state == State.OK
    assert ask(max_lag=29).state == State.WARNING


# --- sites that cannot be reached --------------------------------------------------------------------------------


def test_a_site_that_cannot_be_reached_does_not_stop_the_others(ask: Ask, cluster: KubernetesAPI) -> None:
    reached = kubeconfig({"there": f"http://127.0.0.1:{cluster.server_port}"})
    status = ask(statuses.exporter(reached), statuses.importer(NOWHERE))
    assert status.state == State.UNKNOWN
    (problem,) = texts(status)
    assert problem.startswith("UNKNOWN dc2: cannot be asked: ")
    assert "Connection refused" in problem
    assert [site.state for site in status.sites] == [State.OK, State.UNKNOWN]
    assert of_kind(GatewayStatus, status.facts)
    assert of_kind(DatabaseServer, status.facts)


def test_a_cluster_that_refuses_is_named_once(ask: Ask, cluster: KubernetesAPI) -> None:
    cluster.objects["/version/"] = 401
    assert texts(ask()) == [f"UNKNOWN {site}: cannot be asked: 401 Unauthorized" for site in ("dc1", "dc2")]


@pytest.mark.parametrize("broken", ["", "secret: {", "current-context: secret", "secret"])
def test_a_broken_kubeconfig_is_not_shown(ask: Ask, broken: str) -> None:
    assert texts(ask(statuses.importer(broken))) == ["UNKNOWN dc2: cannot be asked: its kubeconfig cannot be used"]


def test_an_import_that_is_pending_is_a_warning() -> None:
    status = Status(sites=(SiteStatus(name="dc2", pending=("dc1",)),))
    assert status.state == State.WARNING
    assert texts(status)[0].startswith("WARNING dc2: imports from dc1, which exports nothing yet")


def test_each_question_has_a_client_of_its_own(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """kubernetes.stream changes the client that runs a command."""
    used: list[int] = []
    kept: list[client.ApiClient] = []
    played = Containers()

    def run_in(api: client.ApiClient, **where: Any) -> str:
        kept.append(api)
        used.append(id(api))
        return played(api, **where)

    for module in ("kube.pods", "status.hosts", "status.databases"):
        monkeypatch.setattr(f"dcmesh.{module}.run_in", run_in)
    ask()
    # There is one question for each account's certificate, the importer's hosts, its clusters, and each database.
    assert len(used) == 2 + 2 + 2
    assert len(set(used)) >= 5


# --- the stack's outputs -----------------------------------------------------------------------------------------


def test_outputs_of_the_program_are_understood(engine: Engine, dev: Config) -> None:
    run_program(engine, dev)
    exporter, importer = parse_outputs(engine.outputs)
    assert (exporter.name, importer.name) == ("dc1", "dc2")
    assert exporter.kubeconfig == engine.outputs["kubeconfigs"]["dc1"]
    assert exporter.gateway
    assert (exporter.gateway.name, exporter.gateway.port) == ("istio-eastwestgateway", 15443)
    assert {str(account): imports for account, imports in exporter.accounts.items()} == {"demo/hello": ()}
    ((account, (imported,)),) = importer.accounts.items()
    assert (str(account), imported.source, imported.probe) == ("demo-dr/client", "dc1", "pod-name")
    assert imported.hosts == tuple(f"hello-{ordinal}.hello.demo.svc.cluster.local" for ordinal in range(3))
    assert imported.gateways == tuple(f"{address}:15443" for address in exporter.gateway.addresses)
    assert exporter.exports == (imported,)
    assert (imported.name, imported.namespace, imported.protocol) == ("hello", "demo", "HTTP")
    assert [(consumer.site, str(consumer.account)) for consumer in imported.consumers] == [("dc2", "demo-dr/client")]
    assert (importer.gateway, importer.exports) == (None, ())
    assert exporter.servers == importer.servers == ()


def test_a_stack_of_one_site_tells_of_the_other_by_its_link(dev: Config, tmp_path: Path) -> None:
    with existing_clusters(tmp_path, "dc1", "dc2"):
        stacks = run_apart(apart(dev))
    (exporter,), (importer,) = (parse_outputs(stacks[name].outputs) for name in ("dc1", "dc2"))
    ((imported,),) = importer.accounts.values()
    assert exporter.gateway
    assert (imported.source, len(imported.hosts)) == ("dc1", 3)
    assert imported.gateways == tuple(f"{address}:15443" for address in exporter.gateway.addresses)
    with pytest.raises(StackError, match="the stack has no sites"):
        parse_outputs(stacks["trust"].outputs)


def test_databases_of_the_program_are_understood(engine: Engine, dev: Config) -> None:
    dev["sites"][0]["workloads"].append({"kind": "mariadb", "namespace": "wookie", "replicas": 2})
    run_program(engine, dev)
    primary, replica = parse_outputs(engine.outputs)[0].servers
    assert (primary.replica.namespace, primary.replica.pod, primary.follows) == ("wookie", "db-0", ())
    assert (replica.replica.pod, replica.follows) == ("db-1", (DB0,))


def outputs(**site: Any) -> dict[str, Any]:
    known = {"gateway": None, "links": {}, "imports": [], "servers": [], **site}
    return {"sites": {"dc2": known}, "kubeconfigs": {"dc2": "k"}}


@pytest.fixture
def on_an_existing_cluster() -> DeployedSite:
    """dc2, whose cluster was not made by the program."""
    told = outputs(cluster={"kubeconfig": "$CLUSTERS/dc2", "context": "there"})
    (site,) = parse_outputs({**told, "kubeconfigs": {}})
    return site


def test_an_existing_cluster_is_reached_by_path_and_context(
    on_an_existing_cluster: DeployedSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLUSTERS", str(tmp_path))
    (tmp_path / "dc2").write_text(kubeconfig({"here": "http://127.0.0.1:1", "there": "http://127.0.0.1:2"}))
    assert yaml.safe_load(on_an_existing_cluster.kubeconfig)["current-context"] == "there"


@pytest.mark.parametrize("path", ["its namespace", "nothing that may be read"])
def test_another_cluster_than_the_last_up_had_is_not_asked(
    cluster: KubernetesAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """For example, the kubeconfig has another current context by now."""
    monkeypatch.setenv("CLUSTERS", str(tmp_path))
    (tmp_path / "dc2").write_text(kubeconfig({"there": f"http://127.0.0.1:{cluster.server_port}"}))
    if path == "its namespace":
        cluster.objects["/api/v1/namespaces/kube-system"] = {"metadata": {"uid": "another"}}
    told = outputs(cluster={"kubeconfig": "$CLUSTERS/dc2", "context": None, "identity": "dc2's"})
    (site,) = parse_outputs({**told, "kubeconfigs": {}})
    reason = (
        "its kubeconfig leads to another cluster: the UID of its namespace kube-system is another, and was dc2's at "
        "the last `pulumi up`: correct the kubeconfig, or its context"
    )
    wrong = path == "its namespace"
    assert (ask_site(site, 60).unreachable == reason) is wrong
    assert (Evidence(site).unreachable == reason) is wrong
    assert any(holder.unknown == reason for holder in ask_trust([site]).holders) is wrong


def test_a_kubeconfig_that_is_not_there_makes_its_site_unknown(
    on_an_existing_cluster: DeployedSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLUSTERS", str(tmp_path))
    reason = "its kubeconfig $CLUSTERS/dc2 cannot be read: No such file or directory: check the path"
    assert ask_site(on_an_existing_cluster, 60).unreachable == reason
    assert Evidence(on_an_existing_cluster).unreachable == reason
    (holder,) = ask_trust([on_an_existing_cluster]).holders
    assert (holder.where, holder.unknown) == ("dc2's cluster", reason)


def test_an_import_without_a_link_is_pending() -> None:
    imports = [{"from": "dc1", "export": e, "namespace": "dr", "serviceAccount": "db"} for e in ("db", "queue")]
    (site,) = parse_outputs(outputs(imports=imports))
    assert (site.pending, site.accounts) == (("dc1",), {})


@pytest.mark.parametrize(("lost", "without"), [("dc1", "dc1"), ("dc2", ""), (None, "")])
def test_a_lost_site_of_another_stack_is_remembered(lost: str | None, without: str) -> None:
    (site,) = parse_outputs(outputs(lost=lost))
    assert (site.without, site.lost) == (without, lost == "dc2")


def test_a_failover_that_is_left_set_is_warned_of(ask: Ask, cluster: KubernetesAPI) -> None:
    reached = kubeconfig({"there": f"http://127.0.0.1:{cluster.server_port}"})
    text = "WARNING dc2: goes on without dc1: remove failover.without once dc1 is back"
    assert texts(ask(replace(statuses.importer(reached), without="dc1"))) == [text]
    assert text in texts(ask(replace(statuses.importer(NOWHERE), without="dc1")))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "the stack has no output `sites`: run `pulumi up` first"),
        ({"sites": {}}, "the stack has no sites"),
    ],
)
def test_outputs_without_sites(given: dict[str, Any], message: str) -> None:
    with pytest.raises(StackError, match=message):
        parse_outputs(given)
