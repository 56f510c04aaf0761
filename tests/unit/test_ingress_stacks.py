"""Stacks with termination at ingress ports, and DNS capture for consumers only. The whole program runs under mocks."""

import json
from typing import Any

import pytest

from dcmesh.model.ingress_port import guard
from dcmesh.sites_in_outputs import parse_outputs
from tests.unit.conftest import stack_dev
from tests.unit.engine import Engine, Resource
from tests.unit.program import imported, probed, probes, run_program

SERVED = [f"hello-{n}.hello.demo.dc1.dcmesh" for n in range(3)]
HELLO = [f"hello-{n}.hello.demo.svc.cluster.local" for n in range(3)]
TRAFFIC = "traffic.sidecar.istio.io"


def stack() -> dict[str, Any]:
    """Return the demo with termination at ingress ports, and a consumer with a given selector."""
    raw = stack_dev()
    exporter, importer = raw["sites"]
    (export,) = exporter["exports"]
    ports = [{"port": export.pop("port"), "probe": export.pop("probe")}]
    exporter["exports"] = [{**export, "termination": "ingress", "ports": ports}]
    importer["imports"][0]["selector"] = {"app": "client"}
    return raw


@pytest.fixture(scope="module")
def engine() -> Engine:
    return run_program(Engine(), stack())


@pytest.fixture(scope="module")
def before() -> Engine:
    """The same with the first termination, at the pod."""
    return run_program(Engine(), stack_dev())


def annotations(workload: Resource) -> dict[str, str]:
    found: dict[str, str] = workload.spec["template"]["metadata"].get("annotations", {})
    return found


def at_dc1(engine: Engine, kind: str) -> list[Resource]:
    parents = ("IngressExport", "Hello")
    return [of for of in engine.kind(kind) if any(part.kind in parents for part in engine.parents(of.name))]


def test_the_pods_take_in_the_ingress_port_and_take_out_nothing(engine: Engine, before: Engine) -> None:
    assert annotations(engine.one("StatefulSet")) == {
        f"{TRAFFIC}/includeInboundPorts": "18080",
        f"{TRAFFIC}/includeOutboundIPRanges": "",
    }
    assert annotations(before.one("StatefulSet")) == {}, "a stack that says nothing of it restarts no pod"


def test_what_is_made_for_the_pods_holds_for_those_alone_that_take_part(engine: Engine) -> None:
    labels = {"dcmesh/ingress": "hello"}
    assert engine.one("StatefulSet").spec["template"]["metadata"]["labels"] == {"app": "hello", **labels}
    for kind in ("PeerAuthentication", "EnvoyFilter", "AuthorizationPolicy", "Sidecar"):
        for of in at_dc1(engine, kind):
            (chosen,) = (of.spec.get(key, {}) for key in ("selector", "workloadSelector") if key in of.spec)
            assert labels in chosen.values(), kind


def test_the_clients_sidecar_takes_out_the_virtual_addresses_alone(engine: Engine, before: Engine) -> None:
    (client,) = [of for of in engine.kind("Deployment") if of.object == ("demo-dr", "client")]
    found = annotations(client)
    assert found[f"{TRAFFIC}/includeInboundPorts"] == ""
    assert found[f"{TRAFFIC}/includeOutboundIPRanges"] == "241.0.0.0/8"
    config = json.loads(found["proxy.istio.io/config"])
    assert config == {"proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "true"}}
    (client,) = [of for of in before.kind("Deployment") if of.object == ("demo-dr", "client")]
    assert annotations(client) == {}


def test_the_locks_are_there_before_what_they_lock(engine: Engine) -> None:
    one = {kind: [of.name for of in at_dc1(engine, kind)] for kind in ("PeerAuthentication", "EnvoyFilter", "Sidecar")}
    (strict,), (lock,), (listener,) = one.values()
    assert strict in engine.before(lock), "without it Envoy refuses the listener; so it is deleted after that"
    denied = {of.name for of in at_dc1(engine, "AuthorizationPolicy") if of.spec["action"] == "DENY"}
    assert {strict, lock, *denied} <= engine.before(listener)
    (gateway,) = at_dc1(engine, "Gateway")
    assert {listener, *(of.name for of in at_dc1(engine, "ServiceEntry"))} <= engine.before(gateway.name)


def test_the_sites_own_clients_speak_plaintext_before_the_pods_take_no_tls(engine: Engine, before: Engine) -> None:
    rules = [of for of in at_dc1(engine, "DestinationRule") if "tls" in of.spec["trafficPolicy"]]
    assert [of.object for of in rules] == [("demo", "hello")]
    assert rules[0].name in engine.before(engine.one("StatefulSet").name)
    assert not any("tls" in of.spec["trafficPolicy"] for of in at_dc1(before, "DestinationRule"))


def test_each_host_is_asked_for_by_its_name_in_the_link(engine: Engine) -> None:
    rules = {of.spec["host"]: of.spec["trafficPolicy"]["tls"] for of in imported(engine, "DestinationRule")}
    assert {host: tls["sni"] for host, tls in rules.items()} == {
        host: f"outbound_.8080_._.{name}" for host, name in zip(HELLO, SERVED, strict=True)
    }
    pods = ["spiffe://cluster.local/ns/demo/sa/hello"]
    assert all(tls["subjectAltNames"] == pods for tls in rules.values())
    assert [of.object for of in imported(engine, "ServiceEntry")] == [("demo-dr", name) for name in SERVED]
    (job,) = probes(engine)
    assert probed(job) == [[host, "8080", "pod-name"] for host in HELLO]


def test_consumers_alone_capture_dns_and_the_namespace_has_no_sidecar(engine: Engine, before: Engine) -> None:
    found = {of.object: of.spec for of in imported(engine, "ProxyConfig")}
    assert found == {
        ("demo-dr", f"dcmesh{name}"): {
            "selector": {"matchLabels": labels},
            "environmentVariables": {"ISTIO_META_DNS_CAPTURE": "true"},
        }
        for name, labels in {"-client": {"app": "client"}, ".probe": {"app": "dcmesh-probe"}}.items()
    }
    (job,) = probes(engine)
    assert job.spec["template"]["metadata"]["labels"]["app"] == "dcmesh-probe"
    assert {of.name for of in imported(engine, "ProxyConfig")} <= engine.before(job.name)
    assert imported(engine, "Sidecar") == []
    assert imported(before, "ProxyConfig") == []
    assert len(imported(before, "Sidecar")) == 1


def test_the_doctor_knows_the_ingress_port(engine: Engine) -> None:
    outputs = {"sites": engine.outputs["sites"], "kubeconfigs": dict.fromkeys(("dc1", "dc2"), "")}
    dc1, dc2 = parse_outputs(outputs)
    assert [export.pod_port for export in dc1.exports] == [18080]
    assert [export.termination for export in dc1.exports] == ["ingress"]
    ((imported_one,),) = [exports for exports in dc2.accounts.values() if exports]
    assert imported_one.rule(HELLO[0], "demo-dr") == f"demo-dr/{SERVED[0]}"


def test_status_and_doctor_compare_with_what_the_program_makes(engine: Engine) -> None:
    """They know only the stack's outputs, as JSON."""
    outputs = {"sites": engine.outputs["sites"], "kubeconfigs": dict.fromkeys(("dc1", "dc2"), "")}
    (export,) = parse_outputs(json.loads(json.dumps(outputs)))[0].exports
    (made,) = (of.spec for of in at_dc1(engine, "EnvoyFilter") if of.object == ("demo", "hello-ingress"))
    assert made == guard(export, export.ingress_ports, {"dcmesh/ingress": "hello"})


def test_an_older_dcmesh_is_told_to_update(engine: Engine) -> None:
    assert engine.outputs["link"]["dc1"]["version"] == 5
    assert engine.outputs["link"]["dc1"]["exports"][0]["ingress"] is True
