"""The pair on two real clusters. Each test checks one promise of the README."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.toolbox import (
    CLIENT,
    DENIED,
    NO_ANSWER,
    Kubectl,
    Lab,
    Project,
    account,
    captured,
    curl,
    eventually,
    open_ports,
    start,
)

HOSTS = {f"hello-{n}.hello.demo.svc.cluster.local": f"hello-{n}" for n in range(3)}
DATABASES = {f"db-{n}.db.wookie.svc.cluster.local": f"db-{n}" for n in range(3)}


def test_the_status_shows_what_answers_at_each_host(pair: Project) -> None:
    status = pair.status()
    answers = {host["host"]: host["answer"]["text"] for host in status["sites"]["dc2"]["hosts"]}
    assert answers == HOSTS | dict.fromkeys(DATABASES, "greeting")


def test_link_names_gateway_and_hosts_and_holds_no_secret(pair: Project) -> None:
    shown = json.loads(pair.pulumi("stack", "output", "--json"))
    (exported,) = [export for export in shown["link"]["dc1"]["exports"] if export["name"] == "hello"]
    assert exported["hosts"] == list(HOSTS)
    assert exported["identity"] == "spiffe://cluster.local/ns/demo/sa/hello"
    assert shown["link"]["dc1"]["gateway"]["port"] == 15443
    assert set(shown["kubeconfigs"].values()) == {"[secret]"}


def test_every_host_is_answered_by_its_own_pod_every_time(sites: dict[str, Kubectl]) -> None:
    script = f"for i in $(seq 50); do for h in {' '.join(HOSTS)}; do echo $h $(curl -s -m 5 http://$h:8080); done; done"
    answers = Counter(sites["dc2"]("exec", *CLIENT, "--", "sh", "-c", script).splitlines())
    assert answers == {f"{host} {pod}": 50 for host, pod in HOSTS.items()}


def test_only_the_source_has_a_gateway_and_nothing_else_has_an_external_address(sites: dict[str, Kubectl]) -> None:
    def external(site: Kubectl) -> list[str]:
        services = json.loads(site("get", "services", "--all-namespaces", "--output", "json"))["items"]
        return [s["metadata"]["name"] for s in services if s["spec"]["type"] in ("LoadBalancer", "NodePort")]

    assert external(sites["dc1"]) == ["istio-eastwestgateway"]
    assert external(sites["dc2"]) == []


def test_both_sites_have_the_same_root_and_intermediates_of_their_own(sites: dict[str, Kubectl]) -> None:
    bundles = [site.get("secret", "cacerts", "istio-system")["data"] for site in sites.values()]
    assert len({bundle["root-cert.pem"] for bundle in bundles}) == 1
    assert len({bundle["ca-cert.pem"] for bundle in bundles}) == len(bundles)


def test_a_restarted_pod_is_followed_to_its_new_address(sites: dict[str, Kubectl]) -> None:
    host, pod = "hello-1.hello.demo.svc.cluster.local", "hello-1"
    before = sites["dc1"].get("pod", pod, "demo")
    sites["dc1"]("delete", "pod", pod, "--namespace", "demo")
    sites["dc1"]("wait", "--for=create", f"pod/{pod}", "--namespace", "demo", "--timeout=60s")
    sites["dc1"]("wait", "--for=condition=Ready", f"pod/{pod}", "--namespace", "demo", "--timeout=60s")
    after = sites["dc1"].get("pod", pod, "demo")
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["status"]["podIP"] != before["status"]["podIP"]
    eventually("the new pod answers", lambda: curl(sites["dc2"], host) == (pod, "200"))


def test_another_service_account_of_the_consumers_namespace_is_refused(sites: dict[str, Kubectl]) -> None:
    account(sites["dc2"], "other", "demo-dr")
    other = start(sites["dc2"], "other", "demo-dr", "other")
    for host, own in HOSTS.items():
        assert curl(sites["dc2"], host, pod=other) == DENIED
        assert curl(sites["dc2"], host) == (own, "200")


@pytest.fixture
def elsewhere(sites: dict[str, Kubectl]) -> Any:
    """A pod in another namespace of dc2, with a sidecar and a service account of the consumer's name."""
    namespace = {"name": "elsewhere", "labels": {"istio-injection": "enabled"}}
    sites["dc2"].apply({"apiVersion": "v1", "kind": "Namespace", "metadata": namespace})
    account(sites["dc2"], "client", "elsewhere")
    yield start(sites["dc2"], "client", "elsewhere", "client")
    sites["dc2"]("delete", "namespace", "elsewhere")


def test_another_namespace_does_not_know_the_hosts(sites: dict[str, Kubectl], elsewhere: tuple[str, ...]) -> None:
    for host in HOSTS:
        assert curl(sites["dc2"], host, pod=elsewhere) == NO_ANSWER


def test_another_namespace_that_copies_the_import_is_refused(
    sites: dict[str, Kubectl], elsewhere: tuple[str, ...]
) -> None:
    for kind in ("serviceentry", "destinationrule"):
        found = json.loads(sites["dc2"]("get", kind, "--namespace", "demo-dr", "--output", "json"))["items"]
        for item in found:
            item["metadata"] = {"name": item["metadata"]["name"], "namespace": "elsewhere"}
            sites["dc2"].apply({k: item[k] for k in ("apiVersion", "kind", "metadata", "spec")})
    for host in HOSTS:
        eventually("the host is known", lambda h=host: curl(sites["dc2"], h, pod=elsewhere) != NO_ANSWER)
        assert curl(sites["dc2"], host, pod=elsewhere) == DENIED


def test_an_exporter_with_another_identity_is_refused(sites: dict[str, Kubectl]) -> None:
    """The importer checks who answers: if it expects another identity, it does not accept the right pods."""
    host, own = "hello-2.hello.demo.svc.cluster.local", "hello-2"
    name = "dc1.hello.hello-2"

    def expect(identity: str) -> None:
        patch = json.dumps({"spec": {"subjectAltNames": [identity]}})
        sites["dc2"]("patch", "serviceentry", name, "--namespace", "demo-dr", "--type=merge", "--patch", patch)

    right = sites["dc2"].get("serviceentry", name, "demo-dr")["spec"]["subjectAltNames"][0]
    expect("spiffe://cluster.local/ns/demo/sa/impostor")
    eventually("the wrong identity is refused", lambda: curl(sites["dc2"], host)[1] == "503")
    expect(right)
    eventually("the right identity is accepted", lambda: curl(sites["dc2"], host) == (own, "200"))


def test_local_clients_of_the_source_need_no_permission(sites: dict[str, Kubectl]) -> None:
    account(sites["dc1"], "local", "demo")
    local = start(sites["dc1"], "local", "demo", "local")
    assert curl(sites["dc1"], "hello-0.hello", pod=local) == ("hello-0", "200")


def test_plaintext_is_refused_by_the_exported_pods(sites: dict[str, Kubectl]) -> None:
    sites["dc1"].apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "no-mesh"}})
    account(sites["dc1"], "plain", "no-mesh")
    plain = start(sites["dc1"], "plain", "no-mesh", "plain")
    assert curl(sites["dc1"], "hello-0.hello.demo.svc.cluster.local", pod=plain) == NO_ANSWER


def test_from_the_other_node_only_the_gateways_port_is_open(pair: Project, lab: Lab, sites: dict[str, Kubectl]) -> None:
    (gateway,) = pair.output("link")["dc1"]["gateway"]["addresses"]
    node = json.loads(sites["dc1"]("get", "nodes", "--output", "json"))["items"][0]["status"]["addresses"][0]["address"]
    assert open_ports(lab, "dc2", node, gateway) == [f"{gateway} 15443"]


def test_nothing_readable_crosses_the_wan(lab: Lab, sites: dict[str, Kubectl], tmp_path: Path) -> None:
    fresh = start(sites["dc2"], "fresh", "demo-dr", "client")  # The sidecar of a new pod has no connections yet.
    marker = "marker-4711"
    with captured(lab, tmp_path / "wan.pcap") as capture:
        for host, own in HOSTS.items():
            assert curl(sites["dc2"], host, "--header", f"X-Marker: {marker}", pod=fresh) == (own, "200")
    seen = capture()
    for host in HOSTS:  # A handshake shows nothing but the server name. It proves that the capture sees the traffic.
        assert f"outbound_.8080_._.{host}".encode() in seen
    assert marker.encode() not in seen
    assert b"HTTP/1." not in seen


def test_a_second_up_changes_nothing(pair: Project) -> None:
    pair.up("--expect-no-changes")


def test_a_refresh_finds_no_drift(pair: Project) -> None:
    pair.pulumi("refresh", "--yes", "--expect-no-changes")


def test_the_wan_can_be_long_and_cut_meanwhile(pair: Project, lab: Lab) -> None:
    """This test comes last, since the databases' channel may have to be made anew afterwards."""
    (gateway,) = pair.output("link")["dc1"]["gateway"]["addresses"]
    script = """import socket, sys, time
for _ in range(20):
    begun = time.monotonic()
    socket.create_connection((sys.argv[1], 15443)).close()
    print(time.monotonic() - begun)"""

    def connecting() -> float:
        """Return how many milliseconds a connection to the gateway takes at best."""
        return min(map(float, lab("enter", "dc2", "--", sys.executable, "-c", script, gateway).split())) * 1000

    assert connecting() < 10
    lab("wan", "impair", "--delay", "50")
    try:
        assert 50 <= connecting() < 60
        lab("wan", "cut")
        assert open_ports(lab, "dc2", f"{gateway}:15443") == []
        lab("wan", "heal")
        assert 50 <= connecting() < 60
    finally:
        lab("wan", "heal")
        lab("wan", "impair")
    assert connecting() < 10
