"""The doctor's walk on a pair of fakes: what is found where, what is not looked at, and in which order."""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dcmesh.doctor import ingress
from dcmesh.doctor.evidence import Evidence
from dcmesh.doctor.findings import FindingKind, HopFinding, UnseenError
from dcmesh.doctor.findings_page import reference
from dcmesh.doctor.hop import Hop
from dcmesh.doctor.hops import HOPS
from dcmesh.doctor.walk import examine, walk
from dcmesh.doctor.walked_link import WalkedLink
from dcmesh.model.facts import State
from dcmesh.model.link import POD_NAME
from tests.unit import doctors, statuses
from tests.unit.certificates import authority, root
from tests.unit.doctors import (
    APPS,
    CORE,
    NETWORKING,
    SECURITY,
    SLICES,
    SNI,
    Pair,
    istio,
    playing,
    secrets,
    statuses_of,
    tls,
)
from tests.unit.servers import kubeconfig
from tests.unit.statuses import DB0

Change = Callable[[Pair], Any]

BY_SIDECAR = [hop for hop in HOPS if hop.egress != "gateway"]
"""The hops of the pair's links. test_egress.py walks those of an egress gateway."""


@pytest.fixture
def pair() -> Iterator[Pair]:
    with playing() as pair:
        yield pair


def test_a_pair_in_which_all_is_well(pair: Pair) -> None:
    diagnosis = pair.diagnosis()
    assert [(step.hop, step.outcome, step.why) for step in diagnosis.steps] == [
        (h.name, "passed", "") for h in BY_SIDECAR
    ]
    assert (pair.report().state, diagnosis.host, diagnosis.consumer) == (State.OK, DB0, "dc2 wookie-dr/db")


def test_it_only_reads(pair: Pair) -> None:
    """The fakes know only GET. Nothing is asked twice."""
    pair.report()
    for server in (pair.importer, pair.exporter):
        assert len(server.asked) == len(set(server.asked))


def test_a_connection_serves_many_questions(pair: Pair) -> None:
    """A handshake for each would take most of the time."""
    pair.report()
    connections = pair.importer.connections + pair.exporter.connections
    assert 0 < 4 * connections < len(pair.importer.asked) + len(pair.exporter.asked)


# --- what breaks a link ------------------------------------------------------------------------------------------

CLIENTS, SERVERS = f"{CORE}/wookie-dr/pods", f"{CORE}/wookie/pods"
ENTRY, RULE = f"{NETWORKING}/serviceentries", f"{NETWORKING}/destinationrules"


def without_sidecar(pod: Any) -> None:
    pod["spec"] = {**pod["spec"], "initContainers": []}
    pod["status"] = {**pod["status"], "initContainerStatuses": []}


def crashed(pod: Any) -> None:
    waiting = {"name": "istio-proxy", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    pod["status"] = {**pod["status"], "initContainerStatuses": [waiting]}


def not_ready(pod: Any) -> None:
    pod["status"] = {**pod["status"], "conditions": [{"type": "Ready", "status": "False"}]}


def another_pod(pair: Pair, label: str = POD_NAME, **changes: Any) -> None:
    """Give the label of the host's pod to another one, which is listed first."""
    pods = pair.exporter.objects[SERVERS]["items"]
    pods[0]["metadata"].setdefault("labels", {})[label] = "db-0"
    other = copy.deepcopy(pods[0])
    other["metadata"]["name"] = "aside"
    other["status"].update(changes)
    pods.insert(0, other)


def deleted(site: str, path: str) -> Change:
    def change(pair: Pair) -> None:
        server = pair.importer if site == "dc2" else pair.exporter
        found = server.objects[path]
        server.objects[path] = {"items": []} if list(found) == ["items"] else 404

    return change


def cluster(change: Callable[[dict[str, Any]], Any]) -> Change:
    """Return a function that changes the host's cluster in the consumer's Envoy."""
    return lambda pair: change(pair.played.part("wookie-dr", "dynamic_active_clusters")[0]["cluster"])


def said(**words: str | Exception) -> Change:
    """Return a function that changes the output of commands."""
    return lambda pair: pair.played.said.update({key.replace("_", " ", 1): word for key, word in words.items()})


def at_silence(change: Change, reason: str = "closed without answer") -> Change:
    """Return a change with which the host does not answer any more."""

    def both(pair: Pair) -> None:
        pair.played.silent(reason)
        change(pair)

    return both


OTHER = "answered by 'db-1' instead of db-0"


def tried(error: str) -> Change:
    """Return a function that lets connections to the gateway fail."""
    return at_silence(said(wait=ChildProcessError(f"info\nError: timeout. Last error: {error}")))


def uninjected(pair: Pair) -> None:
    pair.edit("dc2", f"{CORE}/wookie-dr")["metadata"]["labels"] = {}


def uninjected_pod(pair: Pair) -> None:
    uninjected(pair)
    without_sidecar(pair.edit("dc2", CLIENTS))


def foreign_entry(host: str, address: str) -> dict[str, Any]:
    ports = [{"number": 3306, "name": "tcp", "protocol": "TCP"}]
    return istio("foreign", "wookie-dr", {"hosts": [host], "addresses": [address], "ports": ports})


def two_gateways(pair: Pair) -> None:
    """Add a second gateway that cannot be reached, while the host answers through the first."""
    second = "192.0.2.2"
    spec = pair.spec("dc2", ENTRY)
    spec["endpoints"] = [*spec["endpoints"], {**spec["endpoints"][0], "address": second}]
    dc1, dc2 = pair.sites
    accounts = {
        account: tuple(
            export.model_copy(update={"gateways": (*export.gateways, f"{second}:15443")}) for export in exports
        )
        for account, exports in dc2.accounts.items()
    }
    pair.sites = (dc1, replace(dc2, accounts=accounts))
    play = pair.played.__class__.__call__

    def call(played: Any, api: Any, **where: Any) -> str:
        if any(second in word for word in where["command"]) and where["command"][0] == "pilot-agent":
            raise ChildProcessError("Last error: <nil>")
        return play(played, api, **where)

    pair.played.__class__ = type("Played", (doctors.Played,), {"__call__": call})


def other_authority(pair: Pair) -> None:
    """Put the host's sidecar under another root."""
    top = authority("other root")
    found = json.loads(secrets(statuses.IDENTITY, authority("other", top), top))
    pair.played.part("wookie", "dynamic_active_secrets")[:] = found


def expired(pair: Pair) -> None:
    old = authority("old", root(), since=timedelta(days=-9), until=timedelta(days=-1))
    found = json.loads(secrets("spiffe://cluster.local/ns/wookie-dr/sa/db", old))
    pair.played.part("wookie-dr", "dynamic_active_secrets")[:] = found


def identity(pair: Pair) -> None:
    found = json.loads(secrets("spiffe://cluster.local/ns/wookie/sa/default"))
    pair.played.part("wookie", "dynamic_active_secrets")[:] = found


def policy(**spec: Any) -> Change:
    """Return a function that adds somebody else's AuthorizationPolicy."""
    return lambda pair: pair.add(
        "dc1", f"{SECURITY}/authorizationpolicies", istio("foreign", "wookie", {"rules": [{}], **spec})
    )


def not_named(pair: Pair) -> None:
    """Let the export name another consumer, in its policy and in the link."""
    rule = pair.spec("dc1", f"{SECURITY}/authorizationpolicies")["rules"][0]
    rule["from"][0]["source"]["notPrincipals"] = ["cluster.local/ns/other/sa/db"]


def another_named(pair: Pair) -> None:
    rule = pair.spec("dc1", f"{SECURITY}/authorizationpolicies")["rules"][0]
    rule["from"][0]["source"]["notPrincipals"].append("cluster.local/ns/other/sa/db")


def network_closed(pair: Pair) -> None:
    shut = istio("closed", "wookie", {"podSelector": {}, "ingress": []})
    pair.exporter.objects["/apis/networking.k8s.io/v1/namespaces/wookie/networkpolicies"] = {"items": [shut]}


def gone_to(pair: Pair) -> None:
    listener = pair.played.part("wookie-dr", "dynamic_listeners")[0]
    proxy = listener["active_state"]["listener"]["filter_chains"][0]["filters"][0]["typed_config"]
    proxy |= dict.fromkeys(("cluster", "stat_prefix"), "outbound|3306||other.example")


def rerouted(pair: Pair) -> None:
    gone_to(pair)
    pair.add("dc2", f"{NETWORKING}/virtualservices", istio("foreign", "wookie-dr", {"hosts": ["*.svc.cluster.local"]}))


def disabled(pair: Pair) -> None:
    """Show the pod as disabled: the gateway does not have it as an endpoint of the host any more."""
    pair.spec("dc1", f"{SECURITY}/peerauthentications")["mtls"] = {"mode": "DISABLE"}
    pair.played.clusters["istio-system"] = statuses_of(SNI)


def service_ports(*ports: int) -> Change:
    def change(pair: Pair) -> None:
        pair.spec("dc1", f"{CORE}/istio-system/services/gateway")["ports"] = [{"port": port} for port in ports]

    return change


def spec(site: str, path: str, **values: Any) -> Change:
    """Return a function that sets fields in the spec of a list's only object."""
    return lambda pair: pair.spec(site, path).update(values)


def of_dc1(pair: Pair, name: str) -> Any:
    return next(item for item in pair.exporter.objects[SLICES]["items"] if item["metadata"]["name"] == name)


GATEWAYS, PEERS = f"{NETWORKING}/gateways", f"{SECURITY}/peerauthentications"
DEPLOYMENT, SERVICE = f"{APPS}/istio-system/deployments/gateway", f"{CORE}/istio-system/services/gateway"
CHANGED_SERVER = {"port": {"number": 15443}, "tls": {"mode": "PASSTHROUGH"}, "hosts": [DB0]}
CHANNEL = statuses.MARIADB_REPLICA

ROUTES, RULES = f"{NETWORKING}/virtualservices", f"{NETWORKING}/destinationrules"
SAMPLE = {
    "selector": {"istio": "eastwestgateway"},
    "servers": [{"port": {"number": 15443}, "tls": {"mode": "AUTO_PASSTHROUGH"}, "hosts": ["*.local"]}],
}


def foreign(site: str, path: str, namespace: str, found: dict[str, Any], *, name: str = "foreign") -> Change:
    """Return a function that adds somebody else's object.

    It is as old as dcmesh's own, so the first by name counts as older.
    """
    return lambda pair: pair.add(site, path, istio(name, namespace, found))


def annotated(site: str, path: str, name: str, value: str) -> Change:
    """Return a function that annotates a pod with the traffic that its sidecar captures."""
    return lambda pair: pair.edit(site, path)["metadata"].update(
        annotations={f"traffic.sidecar.istio.io/{name}": value}
    )


def refuses(pair: Pair) -> None:
    pair.played.counts = doctors.counts(listeners=(1, "2026-11-23T08:00:00Z/7"))
    pair.played.refused = ["error adding listener '0.0.0.0:15443':\n duplicate matcher"]


FINDINGS: list[tuple[str, str, str, Change]] = [
    # The finding, its hop, a part of its evidence, and the function that causes it.
    ("istiod-down", "consumer's istiod", "istiod", lambda p: p.edit("dc2", SLICES).update(endpoints=[])),
    ("istiod-down", "source's istiod", "istiod", lambda p: of_dc1(p, "istiod-x").update(endpoints=None)),
    ("client-absent", "consumer's pod", "of 0 pods", deleted("dc2", CLIENTS)),
    (
        "client-absent",
        "consumer's pod",
        "serviceAccountName db",
        lambda p: p.spec("dc2", CLIENTS).update(serviceAccountName="other"),
    ),
    ("client-not-injected", "consumer's pod", "has neither label", uninjected_pod),
    (
        "client-without-sidecar",
        "consumer's pod",
        "wookie-dr/db-0: no container istio-proxy",
        lambda p: without_sidecar(p.edit("dc2", CLIENTS)),
    ),
    ("client-sidecar-down", "consumer's pod", "CrashLoopBackOff", lambda p: crashed(p.edit("dc2", CLIENTS))),
    ("namespace-not-injected", "consumer's pod", "neither label", uninjected),
    (
        "dns-capture-off",
        "name",
        "DNS_CAPTURE is not set",
        lambda p: p.played.part("wookie-dr", "bootstrap")["node"]["metadata"].clear(),
    ),
    ("entry-missing", "name", "wookie-dr: none", deleted("dc2", ENTRY)),
    ("entry-hidden", "name", "exportTo ['istio-system']", spec("dc2", ENTRY, exportTo=["istio-system"])),
    (
        "host-hidden",
        "name",
        "egress hosts istio-system/*",
        spec("dc2", f"{NETWORKING}/sidecars", egress=[{"hosts": ["istio-system/*"]}]),
    ),
    ("host-claimed", "name", "foreign", lambda p: p.add("dc2", ENTRY, foreign_entry(DB0, "241.0.0.1"))),
    ("name-unknown", "name", "nothing", said(getent=ChildProcessError("command terminated: exit code 2"))),
    ("name-elsewhere", "name", "10.0.0.9", said(getent=f"10.0.0.9 {DB0}")),
    ("address-missing", "virtual address", "no spec.addresses", spec("dc2", ENTRY, addresses=[])),
    (
        "address-claimed",
        "virtual address",
        "other.example",
        lambda p: p.add("dc2", ENTRY, foreign_entry("other.example", doctors.VIP)),
    ),
    (
        "outbound-not-captured",
        "consumer's capture",
        'excludeOutboundIPRanges: "240.0.0.0/4" in pod wookie-dr/db-0',
        annotated("dc2", CLIENTS, "excludeOutboundIPRanges", "240.0.0.0/4"),
    ),
    ("rerouted", "listener", "wookie-dr/foreign", rerouted),
    (
        "listener-missing",
        "listener",
        "241.134.215.68_3306",
        lambda p: p.played.part("wookie-dr", "dynamic_listeners").clear(),
    ),
    ("listener-elsewhere", "listener", "leads to outbound|3306||other.example", gone_to),
    (
        "endpoint-wrong",
        "cluster",
        "192.0.2.9:15443; link of dc1: 192.0.2.1:15443",
        lambda p: p.spec("dc2", ENTRY)["endpoints"][0].update(address="192.0.2.9"),
    ),
    ("cluster-missing", "cluster", "no outbound|3306", lambda p: p.played.clusters.update({"wookie-dr": {}})),
    (
        "endpoint-stale",
        "cluster",
        "192.0.2.9:15443",
        lambda p: p.played.clusters.update({"wookie-dr": statuses_of(doctors.CLUSTER, "192.0.2.9:15443")}),
    ),
    ("tls-off", "TLS", "no TLS", cluster(lambda c: c.pop("transport_socket"))),
    (
        "tls-not-istio",
        "TLS",
        "certificate none",
        cluster(lambda c: tls(c)["common_tls_context"].pop("tls_certificate_sds_secret_configs")),
    ),
    ("tls-sni-wrong", "TLS", "SNI other.example instead of", cluster(lambda c: tls(c).update(sni="other.example"))),
    (
        "tls-identity-wrong",
        "TLS",
        "accepts anybody",
        cluster(lambda c: tls(c)["common_tls_context"].pop("combined_validation_context")),
    ),
    ("rule-missing", "TLS", "by no DestinationRule", cluster(lambda c: c.pop("metadata"))),
    (
        "foreign-entry-beside",
        "consumer's neighbours",
        f"ServiceEntry istio-system/foreign claims the imported host {DB0}",
        foreign("dc2", ENTRY, "istio-system", {"hosts": [DB0]}),
    ),
    (
        "foreign-route-beside",
        "consumer's neighbours",
        "VirtualService wookie-dr/foreign",
        foreign("dc2", ROUTES, "wookie-dr", {"hosts": [DB0], "tcp": [{"route": [{"destination": {"host": DB0}}]}]}),
    ),
    (
        "foreign-rule-beside",
        "consumer's neighbours",
        "DestinationRule wookie-dr/foreign decides",
        foreign("dc2", RULES, "wookie-dr", {"host": DB0}),
    ),
    ("route-silent", "route", "no answer in 2 s", tried("<nil>")),
    (
        "route-refused",
        "route",
        "connection refused",
        tried("Get: dial tcp 192.0.2.1:15443: connect: connection refused"),
    ),
    ("gateway-unresolved", "route", "no such host", tried("Get: dial tcp: lookup gw on 10.0.0.1:53: no such host")),
    ("route-partial", "route", "192.0.2.2:15443", two_gateways),
    (
        "foreign-gateway",
        "source's neighbours",
        f"Gateway default/foreign at dcmesh's gateway istio-system/gateway (by its selector istio=eastwestgateway; "
        f"port 15443, AUTO_PASSTHROUGH, hosts *.local): lets in {DB0} a second time",
        foreign("dc1", GATEWAYS, "default", SAMPLE),
    ),
    (
        "foreign-gateway-beside",
        "source's neighbours",
        "opens the gateway for what its hosts name",
        foreign("dc1", GATEWAYS, "default", {"servers": [{**SAMPLE["servers"][0], "hosts": ["*.example"]}]}),  # type: ignore[dict-item]
    ),
    (
        "foreign-entry",
        "source's neighbours",
        "the gateway goes by it",
        foreign("dc1", ENTRY, "default", {"hosts": [DB0], "exportTo": ["istio-system"]}, name="a"),
    ),
    ("foreign-entry-beside", "source's neighbours", "would go", foreign("dc1", ENTRY, "default", {"hosts": [DB0]})),
    (
        "foreign-rule",
        "source's neighbours",
        "turns mutual TLS off",
        foreign("dc1", RULES, "wookie", {"host": "*.local", "trafficPolicy": {"tls": {"mode": "DISABLE"}}}),
    ),
    (
        "foreign-rule-beside",
        "source's neighbours",
        "(connectionPool)",
        foreign("dc1", RULES, "wookie", {"host": DB0, "trafficPolicy": {"connectionPool": {}}}),
    ),
    (
        "listener-refused",
        "gateway",
        "gateway-1 refuses the listeners that istiod has sent last: error adding listener '0.0.0.0:15443': dup",
        refuses,
    ),
    (
        "clusters-refused",
        "gateway",
        "refuses the clusters",
        lambda p: setattr(p.played, "counts", doctors.counts(clusters=(1, "2026-11-23T08:00:00Z/6"))),
    ),
    (
        "gateway-without-pods",
        "gateway",
        "0 of 1",
        lambda p: p.edit("dc1", DEPLOYMENT)["status"].update(readyReplicas=0),
    ),
    ("gateway-without-address", "gateway", "no address", lambda p: p.edit("dc1", SERVICE).update(status={})),
    ("gateway-without-address", "gateway", "no Service", deleted("dc1", SERVICE)),
    (
        "gateway-moved",
        "gateway",
        "192.0.2.7; consumers are told 192.0.2.1:15443",
        lambda p: p.edit("dc1", SERVICE)["status"]["loadBalancer"].update(ingress=[{"ip": "192.0.2.7"}]),
    ),
    ("gateway-port-missing", "gateway", "ports 15021 15444", service_ports(15021, 15444)),
    (
        "gateway-without-endpoints",
        "gateway",
        "no ready endpoint",
        lambda p: of_dc1(p, "gateway-x")["endpoints"][0]["conditions"].update(ready=False),
    ),
    ("gateway-object-missing", "gateway's listener", "of 0 Gateways", deleted("dc1", GATEWAYS)),
    (
        "gateway-object-wrong",
        "gateway's listener",
        "TLS mode PASSTHROUGH",
        lambda p: p.spec("dc1", GATEWAYS).update(servers=[CHANGED_SERVER]),
    ),
    (
        "gateway-object-wrong",
        "gateway's listener",
        "port 15444 instead of 15443",
        lambda p: p.spec("dc1", GATEWAYS)["servers"][0]["port"].update(number=15444),
    ),
    ("gateway-object-wrong", "gateway's listener", "selects no pod", spec("dc1", GATEWAYS, selector={"a": "b"})),
    ("pod-entry-missing", "gateway's listener", DB0, deleted("dc1", ENTRY)),
    ("pod-entry-missing", "gateway's listener", DB0, spec("dc1", ENTRY, exportTo=["."])),
    ("pod-entry-wrong", "gateway's listener", "a=b", spec("dc1", ENTRY, workloadSelector={"labels": {"a": "b"}})),
    (
        "chain-missing",
        "gateway's listener",
        f"istio-system/gateway-1: no filter chain of port 15443 has the server name {SNI}",
        lambda p: p.played.part("istio-system", "dynamic_listeners").clear(),
    ),
    ("pod-missing", "host's pod", "has spec.replicas 1", deleted("dc1", SERVERS)),
    (
        "pod-missing",
        "host's pod",
        "has spec.replicas 0",
        lambda p: (deleted("dc1", SERVERS)(p), p.spec("dc1", f"{APPS}/wookie/statefulsets/db").update(replicas=0)),
    ),
    ("pod-not-alone", "host's pod", f"in wookie aside db-0 have the label {POD_NAME}: db-0", another_pod),
    ("pod-without-sidecar", "host's pod", "no container", lambda p: without_sidecar(p.edit("dc1", SERVERS))),
    (
        "pod-not-ready",
        "host's pod",
        "all containers run; its server, asked there: greeting",
        lambda p: not_ready(p.edit("dc1", SERVERS)),
    ),
    (
        "port-name-taken",
        "host's pod",
        "pod wookie/db-0: a container calls port 9104 tcp, which is how port 3306 is called",
        lambda p: p.edit("dc1", SERVERS)["spec"]["containers"][0].update(
            ports=[{"name": "tcp", "containerPort": 9104}]
        ),
    ),
    (
        "endpoint-missing",
        "host's pod",
        "leads to nothing, not to 10.42.0.6:3306",
        lambda p: p.played.clusters.update({"istio-system": statuses_of(SNI)}),
    ),
    (
        "inbound-not-captured",
        "host's capture",
        'excludeInboundPorts: "22,3306" in pod wookie/db-0',
        annotated("dc1", SERVERS, "excludeInboundPorts", "22,3306"),
    ),
    ("service-missing", "host's pod", "wookie/db", deleted("dc1", f"{CORE}/wookie/services/db")),
    (
        "service-port-wrong",
        "host's pod",
        "appProtocol http",
        lambda p: p.spec("dc1", f"{CORE}/wookie/services/db")["ports"][0].update(appProtocol="http"),
    ),
    ("peer-plaintext", "peer authentication", "mode DISABLE", disabled),
    (
        "peer-plaintext",
        "peer authentication",
        "mode DISABLE for port 3306",
        spec("dc1", PEERS, portLevelMtls={"3306": {"mode": "DISABLE"}}),
    ),
    ("peer-permissive", "peer authentication", "no PeerAuthentication", deleted("dc1", PEERS)),
    ("peer-unguarded", "peer authentication", "no EnvoyFilter", deleted("dc1", f"{NETWORKING}alpha3/envoyfilters")),
    (
        "certificate-expired",
        "identity",
        "dc2 wookie-dr/db-0: spiffe://cluster.local/ns/wookie-dr/sa/db expired",
        expired,
    ),
    ("account-wrong", "identity", "sa/default instead of", identity),
    ("roots-differ", "identity", "other root", other_authority),
    ("consumer-refused", "policy", "wookie/db-consumers", not_named),
    ("denied", "policy", "wookie/foreign", policy(action="DENY")),
    ("not-allowed", "policy", "wookie/foreign", policy(action="ALLOW", rules=[])),
    ("others-admitted", "policy", "it does not deny cluster.local/ns/other/sa/db", another_named),
    ("network-closed", "policy", "NetworkPolicy wookie/closed lets no gateway of istio-system in", network_closed),
    ("policy-missing", "policy", "wookie/db-consumers", deleted("dc1", f"{SECURITY}/authorizationpolicies")),
    (
        "server-refuses",
        "answer",
        "Too many connections",
        at_silence(
            said(wookie_bash="failed 10.42.0.6 3306 refused by the server: Too many connections"),
            "refused by the server: Too many connections",
        ),
    ),
    (
        "server-silent",
        "answer",
        "no answer in 3 s",
        at_silence(said(wookie_bash="failed 10.42.0.6 3306 no answer in 3 s")),
    ),
    ("unexplained", "answer", "to its consumer: closed without answer", at_silence(lambda _: None)),
    ("pod-other", "answer", "to its consumer: answered by 'db-1'", at_silence(lambda _: None, OTHER)),
    ("server-refuses", "answer", "answered by", at_silence(said(wookie_bash=f"failed 10.42.0.6 3306 {OTHER}"), OTHER)),
    ("replica-down", "channel", "does not answer", said(mariadb=ChildProcessError("ERROR 2002"))),
    ("channel-astray", "channel", "follows other", said(mariadb=CHANNEL.replace(DB0, "other"))),
    ("channel-stopped", "channel", "it was stopped", said(mariadb=CHANNEL.replace("Running: Yes", "Running: No"))),
]


@pytest.mark.parametrize(
    ("finding", "hop", "evidence", "change"),
    FINDINGS,
    ids=[f"{finding}-{evidence}" for finding, _, evidence, _ in FINDINGS],
)
def test_what_is_wrong_is_named(pair: Pair, finding: str, hop: str, evidence: str, change: Change) -> None:
    change(pair)
    diagnosis = pair.diagnosis()
    ((step, found),) = diagnosis.findings
    assert (found.id, step.hop) == (finding, hop)
    assert evidence in found.evidence
    assert found.fix.endswith(".")
    assert "\n" not in found.evidence + found.fix
    names = [other.hop for other in diagnosis.steps]
    outcomes = [other.outcome for other in diagnosis.steps]
    here = names.index(hop)
    if found.state == State.CRITICAL:
        assert outcomes == ["passed"] * here + ["broken"] + ["not reached"] * (len(BY_SIDECAR) - here - 1)
    else:
        assert set(outcomes) == {"passed"}
    assert diagnosis.state == found.state


UP = "Run `pulumi up --refresh` with the stack of "
UNSEEN = "It does not see what was added to an object: if it changes nothing, "
ROLLBACK = "helm rollback {0} $(helm get all {0} -n istio-system --template '{{{{.Release.Version}}}}') -n istio-system"


@pytest.mark.parametrize(
    ("change", "fix"),
    [
        # a refresh sees that an object is missing, and what of it is another
        (deleted("dc2", ENTRY), f"{UP}dc2."),
        (spec("dc2", ENTRY, addresses=[]), f"{UP}dc2."),
        (deleted("dc1", GATEWAYS), f"{UP}dc1."),
        (spec("dc2", f"{NETWORKING}/sidecars", egress=[{"hosts": ["istio-system/*"]}]), f"{UP}dc2."),
        (deleted("dc1", PEERS), f"{UP}dc1."),
        (deleted("dc1", f"{SECURITY}/authorizationpolicies"), f"{UP}dc1."),
        (deleted("dc1", SERVICE), f"{UP}dc1. Then `pulumi up` with that of dc2."),
        (
            deleted("dc2", CLIENTS),
            f"Start the consumer in wookie-dr as the service account db. A workload of dcmesh's own: {UP}dc2.",
        ),
        # and not what was added to one
        (
            cluster(lambda c: c.pop("transport_socket")),
            f"{UP}dc2. {UNSEEN}`kubectl delete destinationrule -n wookie-dr dc1.db` first.",
        ),
        (
            lambda p: p.spec("dc2", ENTRY)["endpoints"].append({"address": "192.0.2.9", "ports": {"tcp": 15443}}),
            f"{UP}dc2. {UNSEEN}`kubectl delete serviceentry -n wookie-dr dc1.db.db-0` first.",
        ),
        (
            lambda p: p.spec("dc1", GATEWAYS).update(selector={"app": "gateway", "more": "x"}),
            f"{UP}dc1. {UNSEEN}`kubectl delete gateway.networking.istio.io -n istio-system db` first.",
        ),
        (
            lambda p: p.spec("dc1", ENTRY)["workloadSelector"]["labels"].update(more="x"),
            f"{UP}dc1. {UNSEEN}`kubectl delete serviceentry -n wookie db.db-0` first.",
        ),
        (
            spec("dc1", PEERS, portLevelMtls={"3306": {"mode": "DISABLE"}}),
            f"{UP}dc1. {UNSEEN}`kubectl delete peerauthentication -n wookie db-strict` first.",
        ),
        (not_named, f"{UP}dc1. {UNSEEN}`kubectl delete authorizationpolicy -n wookie db-consumers` first."),
        (
            service_ports(15021, 15444),
            "Run `pulumi up --refresh --skip-preview` with the stack of dc1. It does not see what was added: "
            "take that out by `kubectl edit service -n istio-system gateway`.",
        ),
        # nor what Helm has made
        (lambda p: p.edit("dc2", SLICES).update(endpoints=[]), ROLLBACK.format("istiod")),
        (lambda p: p.edit("dc1", DEPLOYMENT)["status"].update(readyReplicas=0), ROLLBACK.format("gateway")),
        (lambda p: without_sidecar(p.edit("dc2", CLIENTS)), ROLLBACK.format("istiod")),
        (lambda p: without_sidecar(p.edit("dc1", SERVERS)), ROLLBACK.format("istiod")),
    ],
)
def test_the_fix_is_one_that_can_work(pair: Pair, change: Change, fix: str) -> None:
    change(pair)
    _, found = pair.diagnosis().findings[0]
    assert found.fix == fix or f"`{fix}`." in found.fix


def test_every_finding_has_been_seen() -> None:
    """Those of ingress ports are in test_ingress.py."""
    hops = [hop for hop in BY_SIDECAR if hop is not ingress.HOP]
    assert {finding for finding, *_ in FINDINGS} == {kind.id for hop in hops for kind in hop.kinds}


def test_every_finding_is_in_the_documentation() -> None:
    text = reference()
    for hop in HOPS:
        assert all(f"| `{kind.id}` |" in text for kind in hop.kinds)


# --- what is seen in another light -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("finding", "change"),
    [
        ("gateway-without-pods", lambda p: p.edit("dc1", DEPLOYMENT)["status"].update(readyReplicas=0)),
        ("gateway-port-missing", service_ports(15444)),
        ("gateway-without-endpoints", lambda p: of_dc1(p, "gateway-x").update(endpoints=[])),
    ],
)
def test_a_way_that_ends_where_no_gateway_stands_is_the_gateways_fault(
    pair: Pair, finding: str, change: Change
) -> None:
    tried("Get: dial tcp 192.0.2.1:15443: connect: connection refused")(pair)
    change(pair)
    assert pair.found() == [finding]
    assert pair.found("dc2") == ["route-refused"]


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ({"from": [{"source": {"namespaces": ["wookie-dr"]}}]}, True),
        ({"from": [{"source": {"namespaces": ["other"]}}]}, False),
        ({"from": [{"source": {"principals": ["cluster.local/ns/wookie-dr/*"]}}]}, True),
        ({"from": [{"source": {"notPrincipals": ["*/sa/db"]}}]}, False),
        ({"to": [{"operation": {"ports": ["3306"]}}]}, True),
        ({"to": [{"operation": {"ports": ["4567"]}}]}, False),
        ({"to": [{"operation": {"notPorts": ["3306"]}}]}, False),
        ({"when": [{"key": "connection.sni", "values": ["*.wookie.svc.cluster.local"]}]}, True),
        ({"when": [{"key": "connection.sni", "notValues": ["outbound_*"]}]}, False),
        # what is not known counts only if the host does not answer
        ({"from": [{"source": {"ipBlocks": ["10.0.0.0/8"]}}]}, False),
    ],
)
def test_a_policy_that_denies(pair: Pair, rule: dict[str, Any], found: bool) -> None:
    """A server's greeting comes before Envoy checks a policy. So an answer does not show that nothing denies."""
    policy(action="DENY", rules=[rule])(pair)
    assert pair.found() == (["denied"] if found else [])


def test_a_policy_that_may_deny_explains_silence(pair: Pair) -> None:
    policy(action="DENY", rules=[{"from": [{"source": {"ipBlocks": ["10.0.0.0/8"]}}]}])(pair)
    pair.played.silent()
    assert pair.found() == ["denied"]


@pytest.mark.parametrize(
    "change",
    [
        policy(action="DENY", targetRefs=[{"kind": "Gateway", "name": "waypoint"}]),
        lambda p: (
            policy(action="DENY")(p),
            p.exporter.objects[f"{SECURITY}/authorizationpolicies"]["items"][-1]["metadata"].update(
                annotations={"istio.io/dry-run": "true"}
            ),
        ),
        policy(action="ALLOW", rules=[{"from": [{"source": {"ipBlocks": ["10.0.0.0/8"]}}]}]),
    ],
    ids=["of a waypoint", "dry run", "may allow"],
)
def test_policies_that_say_nothing_of_the_consumer(pair: Pair, change: Change) -> None:
    change(pair)
    assert pair.found() == []


def test_a_pod_that_cannot_look_names_up_is_not_held_against_it(pair: Pair) -> None:
    pair.played.said["getent"] = ChildProcessError('exec: "getent": executable file not found in $PATH')
    assert pair.found() == []


def test_warnings_do_not_hide_what_breaks_the_link(pair: Pair) -> None:
    pair.edit("dc2", SLICES)["endpoints"] = []
    deleted("dc2", ENTRY)(pair)
    assert pair.found() == ["istiod-down", "entry-missing"]
    assert pair.report().state == State.CRITICAL


# --- what is not seen --------------------------------------------------------------------------------------------


def outcomes(pair: Pair, *sites: str) -> dict[str, set[str]]:
    """Return the hops by their outcome."""
    found = dict[str, set[str]]()
    for step in pair.diagnosis(*sites).steps:
        found.setdefault(step.outcome, set()).add(step.hop)
    return found


SOURCES = {hop.name for hop in BY_SIDECAR if hop.side == "source"}
CONSUMERS = {hop.name for hop in BY_SIDECAR if hop.side == "consumer"}


def test_the_importer_alone_looks_at_its_own_side_and_the_answer(pair: Pair) -> None:
    assert outcomes(pair, "dc2") == {"passed": CONSUMERS, "elsewhere": SOURCES}
    assert pair.report("dc2").state == State.OK
    assert {s.why for s in pair.diagnosis("dc2").steps} == {"", "ask dc1: run `python -m dcmesh doctor` there"}


def test_the_exporter_alone_looks_at_its_own_side_and_asks_the_server(pair: Pair) -> None:
    halves = {"identity"}  # the other end's certificate is with the other site
    assert outcomes(pair, "dc1") == {
        "passed": SOURCES - halves | {"answer"},
        "elsewhere": CONSUMERS - {"answer"} | halves,
    }
    assert pair.report("dc1").state == State.OK
    pair.played.said["wookie bash"] = "failed 10.42.0.6 3306 no answer in 3 s"
    assert pair.found("dc1") == ["server-silent"]


def test_the_importer_alone_leaves_what_it_cannot_explain_to_the_exporter(pair: Pair) -> None:
    pair.played.silent()
    ((step, finding),) = pair.diagnosis("dc2").findings
    assert (step.hop, finding.id) == ("answer", "unexplained")
    assert finding.fix == f"Ask dc1 to run `python -m dcmesh doctor {DB0}` with its stack."


def fix_of(pair: Pair) -> str:
    ((_, finding),) = pair.diagnosis().findings
    return finding.fix


def test_an_http_status_may_be_the_sidecars_own(pair: Pair) -> None:
    pair.played.silent("HTTP 503")
    assert pair.found() == ["unexplained"]
    assert pair.found("dc2") == ["unexplained"]
    assert "Ask again" not in fix_of(pair)
    pair.played.silent("HTTP 403")
    assert fix_of(pair).startswith("Ask again in a minute")
    pair.played.said["wookie bash"] = "failed 10.42.0.6 3306 HTTP 503\n"
    assert pair.found() == ["server-refuses"]


def test_what_the_consumer_was_told_counts_if_the_server_cannot_be_asked(pair: Pair) -> None:
    pair.played.silent()
    no_tools = {"wookie bash": ChildProcessError("no bash"), "sh": ChildProcessError("no shell")}
    pair.played.said |= no_tools
    assert pair.found() == ["unexplained"]
    assert outcomes(pair, "dc1")["unseen"] == {"answer"}


def test_each_alone_sees_its_end_of_the_identity(pair: Pair) -> None:
    expired(pair)
    assert (pair.found("dc2"), pair.found("dc1")) == (["certificate-expired"], [])
    identity(pair)
    assert pair.found("dc1") == ["account-wrong"]


def test_a_cluster_that_cannot_be_reached_is_unknown(pair: Pair) -> None:
    dc1, dc2 = pair.sites
    pair.sites = (replace(dc1, cluster=kubeconfig({"nowhere": "http://127.0.0.1:1"})), dc2)
    assert outcomes(pair) == {"passed": CONSUMERS, "unseen": SOURCES}
    assert pair.report().state == State.UNKNOWN
    assert "dc1 cannot be asked: " in {step.hop: step.why for step in pair.diagnosis().steps}["gateway"]
    assert "Connection refused" in {step.hop: step.why for step in pair.diagnosis().steps}["gateway"]


def test_a_consumers_cluster_that_cannot_be_reached_hides_nothing_of_the_exporter(pair: Pair) -> None:
    dc1, dc2 = pair.sites
    pair.sites = (dc1, replace(dc2, cluster=kubeconfig({"nowhere": "http://127.0.0.1:1"})))
    assert outcomes(pair) == {"passed": SOURCES - {"identity"}, "unseen": CONSUMERS | {"identity"}}
    identity(pair)
    assert pair.found() == ["account-wrong"]


def test_a_consumer_that_cannot_ask_is_looked_at_all_the_same(pair: Pair) -> None:
    pair.played.said |= {
        "wookie-dr bash": ChildProcessError("no bash"),
        "sh": ChildProcessError("it has neither bash nor curl"),
    }
    assert outcomes(pair)["unseen"] == {"answer"}
    assert pair.report().state == State.UNKNOWN


def test_what_an_api_server_refuses_is_unseen(pair: Pair) -> None:
    pair.importer.objects[f"{NETWORKING}/virtualservices"] = 403
    assert outcomes(pair)["unseen"] == {"listener", "consumer's neighbours"}
    assert pair.report().state == State.UNKNOWN
    pair.played.silent()
    assert pair.report().state == State.CRITICAL


def test_a_kubeconfig_that_is_none_is_not_shown(pair: Pair) -> None:
    dc1, dc2 = pair.sites
    pair.sites = (dc1, replace(dc2, cluster="secret: {"))
    assert {step.why for step in pair.diagnosis().steps if step.outcome == "unseen"} == {
        "dc2 cannot be asked: its kubeconfig cannot be used"
    }


# --- which links -------------------------------------------------------------------------------------------------


def test_one_host_is_chosen(pair: Pair) -> None:
    assert [diagnosis.host for diagnosis in examine(pair.sites, DB0).diagnoses] == [DB0]
    report = examine(pair.sites, "other")
    assert (report.state, report.unreadable) == (
        State.UNKNOWN,
        f"no link has the host other; it may be one of: {DB0}.",
    )


def test_a_stack_without_links(pair: Pair) -> None:
    _, dc2 = pair.sites
    alone = replace(dc2, accounts={}, pending=("dc1",))
    assert examine([alone]).unreadable == "the stack links no sites. dc2 waits for dc1."


def test_the_walk_stops_at_the_first_hop_that_is_broken(pair: Pair) -> None:
    looked = []

    def hop(name: str, *findings: HopFinding, error: Exception | None = None) -> Hop:
        def look(_: object) -> Iterator[HopFinding]:
            looked.append(name)
            yield from findings
            if error:
                raise error

        return Hop(name=name, about="", side="consumer", kinds=(), look=look)

    warning, broken = FindingKind("w", "", State.WARNING)("", ""), FindingKind("b", "")("", "")
    dc1, dc2 = map(Evidence, pair.sites)
    ((account, (export,)),) = dc2.site.accounts.items()
    link = WalkedLink(export=export, host=DB0, consumer_site="dc2", account=account, consumer_side=dc2, source_side=dc1)
    hops = (hop("1", warning), hop("2", warning, error=UnseenError("why")), hop("3", broken, warning), hop("4"))
    steps = walk(link, hops).steps
    assert [(step.outcome, step.why) for step in steps] == [
        ("passed", ""),
        ("unseen", "why"),
        ("broken", ""),
        ("not reached", ""),
    ]
    assert [len(step.findings) for step in steps] == [1, 1, 1, 0]
    assert looked == ["1", "2", "3"]
