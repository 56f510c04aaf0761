"""Stacks with termination at the gateway. The whole program runs under mocks."""

from typing import Any

import pytest

from dcmesh.model.link import POD_NAME
from dcmesh.model.object_names import gateway_name
from dcmesh.sites_in_outputs import parse_outputs
from tests.unit.conftest import stack_dev
from tests.unit.engine import Engine, Resource
from tests.unit.program import imported, probed, probes, run_program
from tests.unit.test_program import NEW, OLD, left_by

SERVED = [f"hello-{n}.hello.demo.dc1.dcmesh" for n in range(3)]
HELLO = [f"hello-{n}.hello.demo.svc.cluster.local" for n in range(3)]
WHOLE = "db-primary.shop"


def stack(name: str = "hello") -> dict[str, Any]:
    """Return the demo with termination at the gateway, and an export of a whole Service.

    Args:
        name: the name of the demo's export.
    """
    raw = stack_dev()
    exporter, importer = raw["sites"]
    consumers = exporter["exports"][0]["consumers"]
    common = {"termination": "gateway", "consumers": consumers}
    exporter["exports"] = [
        {**common, "name": name, "namespace": "demo", "statefulSet": "hello", "replicas": 3, "port": 8080},
        {**common, "name": "primary", "namespace": "shop", "service": "db-primary", "whole": True, "port": 3306},
    ]
    exporter["exports"][0]["probe"] = "pod-name"
    importer["imports"] = [{**importer["imports"][0], "export": export} for export in (name, "primary")]
    return raw


@pytest.fixture(scope="module")
def engine() -> Engine:
    return run_program(Engine(), stack())


def at_dc1(engine: Engine, *kinds: str) -> list[Resource]:
    """Return the objects of exports."""
    return [
        of for of in engine.kind(*kinds) if any(part.kind == "GatewayTermination" for part in engine.parents(of.name))
    ]


def test_nothing_is_near_the_pods_but_a_service_entry_each(engine: Engine) -> None:
    """For a Service that is exported as a whole, there is nothing near its pods."""
    own = {"StatefulSet", "Service", "ServiceAccount", "Namespace"}
    inside = sorted(engine.in_kubernetes(), key=lambda of: of.object)
    near = [of for of in inside if of.object[0] in ("demo", "shop") and of.kind not in own]
    assert [(of.kind, of.object) for of in near] == [("ServiceEntry", ("demo", name)) for name in SERVED]
    assert [of.spec["hosts"] for of in near] == [[name] for name in SERVED]


def test_each_host_has_objects_of_its_own_at_the_gateway(engine: Engine) -> None:
    names = {*SERVED, f"{WHOLE}.dc1.dcmesh"}
    for kind in ("VirtualService", "DestinationRule", "EnvoyFilter"):
        assert {of.object for of in at_dc1(engine, kind)} == {("dcmesh-gateway", name) for name in names}
    assert {of.object for of in at_dc1(engine, "Gateway")} == {("dcmesh-gateway", gateway_name(name)) for name in names}


def test_a_further_port_leaves_the_objects_of_the_first_as_they_are(engine: Engine) -> None:
    """Only the host's own entries change, which list both ports."""
    raw = stack()
    export = raw["sites"][0]["exports"][0]
    export["ports"] = [{"port": export.pop("port"), "probe": export.pop("probe")}, {"port": 9090, "probe": "tcp"}]
    several = run_program(Engine(), raw)
    for kind in ("Gateway", "VirtualService", "EnvoyFilter", "DestinationRule", "ServiceEntry"):
        before = {of.name: (of.object, of.spec) for of in at_dc1(engine, kind)}
        now = {of.name: (of.object, of.spec) for of in at_dc1(several, kind)}
        assert before.keys() <= now.keys()
        if kind in ("DestinationRule", "ServiceEntry"):
            assert before.keys() == now.keys()
        else:
            assert before.items() <= now.items()
            assert len(now) == len(before) + len(SERVED)
    rules = {rule.spec["host"]: rule.spec["trafficPolicy"] for rule in imported(several, "DestinationRule")}
    (further,) = rules[HELLO[0]]["portLevelSettings"]
    assert further["tls"]["sni"] == f"p9090.{SERVED[0]}"
    asked = {(host, port, kind) for job in probes(several) for host, port, kind in probed(job)}
    assert {(HELLO[0], "8080", "pod-name"), (HELLO[0], "9090", "tcp")} <= asked
    assert several.outputs["link"]["dc1"]["version"] == 3


def test_pods_by_a_label_are_selected_by_it() -> None:
    raw = stack()
    export = raw["sites"][0]["exports"][1]
    for key in ("whole", "service"):
        del export[key]
    export |= {"pods": ["pg-1"], "podLabel": "cnpg.io/instanceName", "service": "pg"}
    engine = run_program(Engine(), raw)
    (entry,) = [of for of in at_dc1(engine, "ServiceEntry") if of.object[0] == "shop"]
    assert entry.object[1] == "pg-1.pg.shop.dc1.dcmesh"
    assert entry.spec["workloadSelector"] == {"labels": {"cnpg.io/instanceName": "pg-1"}}
    assert engine.outputs["sites"]["dc1"]["podLabels"] == {"primary": "cnpg.io/instanceName"}
    (site, *_) = parse_outputs({"sites": engine.outputs["sites"], "kubeconfigs": dict.fromkeys(("dc1", "dc2"), "")})
    assert {of.name: of.pod_label for of in site.exports} == {"hello": POD_NAME, "primary": "cnpg.io/instanceName"}


def test_a_gateway_opens_after_all_that_keeps_strangers_out(engine: Engine) -> None:
    (policy,) = engine.kind("AuthorizationPolicy")
    for gateway in at_dc1(engine, "Gateway"):
        (server,) = gateway.spec["servers"]
        served = server["hosts"][0].removeprefix("./")
        own = {of.name for of in at_dc1(engine, "EnvoyFilter") if of.object[1] == served}
        assert len(own) == 1
        assert own | {policy.name} <= engine.before(gateway.name)


def test_the_link_says_by_what_names_to_ask_and_whom_to_trust(engine: Engine) -> None:
    link = engine.outputs["link"]["dc1"]
    assert link["version"] == 2
    hello, primary = link["exports"]
    assert (hello["hosts"], hello["serverNames"]) == (HELLO, SERVED)
    assert (primary["hosts"], primary["serverNames"]) == ([f"{WHOLE}.svc.cluster.local"], [f"{WHOLE}.dc1.dcmesh"])
    identities = {export["identity"] for export in link["exports"]}
    assert identities == {"spiffe://cluster.local/ns/dcmesh-gateway/sa/istio-eastwestgateway"}


def test_importers_ask_for_each_host_as_the_link_says(engine: Engine) -> None:
    names = dict(zip(HELLO, SERVED, strict=True)) | {f"{WHOLE}.svc.cluster.local": f"{WHOLE}.dc1.dcmesh"}
    rules = {rule.spec["host"]: rule for rule in imported(engine, "DestinationRule")}
    entries = {entry.spec["hosts"][0]: entry for entry in imported(engine, "ServiceEntry")}
    assert rules.keys() == entries.keys() == names.keys()
    exporter = [engine.outputs["link"]["dc1"]["exports"][0]["identity"]]
    for host, name in names.items():
        tls = {"mode": "ISTIO_MUTUAL", "sni": name, "subjectAltNames": exporter}
        assert rules[host].spec["trafficPolicy"]["tls"] == tls
        assert entries[host].spec["subjectAltNames"] == exporter
        assert rules[host].object == entries[host].object == ("demo-dr", name)
    (job,) = probes(engine)
    assert {host for host, *_ in probed(job)} == set(names)
    assert {of.name for of in (*rules.values(), *entries.values())} <= engine.before(job.name)


def test_a_renamed_export_keeps_every_object_under_its_name_in_the_stack(engine: Engine) -> None:
    """Otherwise an object with the same name in the cluster would be made, and then deleted with the old one."""

    def named(of: Engine) -> dict[str, tuple[str, str]]:
        kinds = ("ServiceEntry", "Gateway", "VirtualService", "DestinationRule", "EnvoyFilter", "AuthorizationPolicy")
        return {resource.name: resource.object for resource in of.kind(*kinds)}

    assert named(run_program(Engine(), stack("another"))) == named(engine)


def test_with_two_gateways_each_has_all_objects_and_the_entries_are_shared() -> None:
    """Until their next `up`, sites of other stacks still use the old one."""
    raw = stack()
    raw["sites"][0]["gateway"] = {"namespace": "new", "formerNamespace": "istio-system"}
    told = {"dc1": {"gateway": {"namespace": "istio-system"}, "servers": []}}
    before = {"organization/dcmesh/test": {"sites": told}}
    moved = run_program(Engine(state=left_by(OLD, told="istio-system"), stacks=before), raw)
    for kind, places in (("VirtualService", ["istio-system", "new"]), ("ServiceEntry", ["demo"])):
        found = [of.object for of in at_dc1(moved, kind) if of.object[1] == SERVED[0]]
        assert sorted(namespace for namespace, _ in found) == places
    policies = [policy.object[0] for policy in moved.kind("AuthorizationPolicy")]
    assert policies == ["new"], "in Istio's namespace it would apply to others' gateways"
    (entry,) = [of for of in at_dc1(moved, "ServiceEntry") if of.object[1] == SERVED[0]]
    assert entry.spec["exportTo"] == ["new", "istio-system"]
    told = moved.outputs["link"]["dc1"]["exports"][0]["identity"]
    assert told == "spiffe://cluster.local/ns/new/sa/istio-eastwestgateway"


@pytest.mark.parametrize("before", ["pod", "gateway"])
def test_an_import_that_changes_its_termination_is_asked_with_the_next_up(before: str) -> None:
    """The old objects are deleted at the end of this `up`, but not if a probe fails. Pulumi replaces a failed Job."""
    old, new = (stack_dev(), stack()) if before == "pod" else (stack(), stack_dev())
    first = run_program(Engine(), old)
    found: dict[str, dict[str, Any]] = {
        f"t::{of.name}": {"metadata": dict(zip(("namespace", "name"), of.object, strict=True))}
        for of in (*imported(first, "ServiceEntry"), *imported(first, "DestinationRule"))
    }
    found["pulumi:providers:kubernetes::dc2-cluster-kubernetes"] = {"clusterIdentifier": "made", "kubeconfig": "{}"}
    found["command:local:Command::dc2-cluster-cluster"] = {"triggers": ["commands"]}
    state = left_by(NEW, told="dcmesh-gateway")
    state |= {f"urn:pulumi:dev::dcmesh::{name}": {"outputs": outputs} for name, outputs in found.items()}
    assert not probes(run_program(Engine(state=state), new))
    assert probes(run_program(Engine(state=state), old))


def test_status_and_doctor_know_each_port_of_a_host() -> None:
    raw = stack()
    export = raw["sites"][0]["exports"][0]
    del export["port"], export["probe"]
    export["ports"] = [{"port": 8080, "probe": "http"}, {"port": 4567}]
    outputs = run_program(Engine(), raw).outputs
    dc1, _ = parse_outputs({"sites": outputs["sites"], "kubeconfigs": dict.fromkeys(("dc1", "dc2"), "")})
    names = {of.port: (of.pod_port, of.server_names[0]) for of in dc1.exports if of.name == "hello"}
    assert names == {8080: (8080, SERVED[0]), 4567: (4567, f"p4567.{SERVED[0]}")}
