"""SiteEgress: the whole program with imports by an egress gateway."""

from typing import Any

from components.mesh.egress_import import outward
from dcmesh.model.egress import allot_ports, name_for
from dcmesh.model.link import server_name
from dcmesh.model.plan import plan_of
from dcmesh.sites_in_outputs import parse_outputs
from tests.unit.configurations import changed
from tests.unit.conftest import settings_of
from tests.unit.engine import Engine, address_of
from tests.unit.program import probed, program_of, run_program, site_of

DB = [f"db-{n}.db.wookie.svc.cluster.local" for n in range(2)]


def two() -> dict[str, Any]:
    """Return the example with two hosts, and another export of the same gateway."""
    raw = changed("mariadb-egress", {"sites[0].workloads[0].replicas": 2, "sites[0].exports[0].replicas": 2})
    exporter, importer = raw["sites"]
    exporter["workloads"].append({"kind": "hello", "namespace": "demo", "replicas": 1})
    export = exporter["exports"][0]
    hello = {"name": "hello", "namespace": "demo", "replicas": 1, "port": 8080, "serviceAccount": "hello"}
    exporter["exports"].append({**export, **hello, "selector": {"app": "hello"}, "probe": "pod-name"})
    importer["imports"].append({**importer["imports"][0], "export": "hello", "hostNamespace": "demo"})
    return raw


def test_each_host_is_led_from_its_name_to_the_other_site() -> None:
    engine, raw = program_of(two()), two()
    plan = plan_of(settings_of(raw), {})
    (database, hello) = plan.site("dc1").exports
    slices = {part.object: part for part in engine.kind("EndpointSlice")}
    assert set(slices) == {
        *(("wookie", name_for(host)) for host in DB),
        ("demo", name_for("hello-0.hello.demo.svc.cluster.local")),
    }
    services = {one.object: one for one in engine.kind("Service") if one.object[0] == "dcmesh-egress"}
    for export in (database, hello):
        ports = allot_ports(export.hosts, export.port_numbers, {})
        for host in export.hosts:
            service = services["dcmesh-egress", name_for(host)]
            (port,) = service.spec["ports"]
            assert (port["port"], port["targetPort"]) == (export.port, ports[host, export.port])
            part = slices[export.namespace, name_for(host)]
            assert part.inputs["endpoints"][0]["addresses"] == [address_of(service.name)]
            (entry,) = [e for e in engine.kind("ServiceEntry") if e.object == ("dcmesh-egress", name_for(host))]
            gateway = plan.site("dc1").gateway
            assert gateway
            assert entry.spec == outward(
                export, host, source="dc1", gateway=gateway.addresses, gateway_port=gateway.port
            )


def test_one_egress_gateway_a_consumer_and_no_sidecars_way_beside_it() -> None:
    engine = program_of(two())
    assert [one.name for one in engine.kind("EgressGateway")] == ["dc2-egress.dcmesh-egress"]
    assert len(engine.kind("EgressImport")) == 2
    assert engine.kind("ServiceImport", "NamespaceScope", "LinkProbe") == []
    (release,) = [one for one in engine.kind("Release") if one.object[0] == "dcmesh-egress"]
    assert (release.object[1], release.inputs["values"]["serviceAccount"]) == ("dcmesh-egress", {"name": "egress"})


def test_the_probe_comes_last_and_asks_every_host() -> None:
    engine = program_of(two())
    (job,) = [one for one in engine.kind("Job") if one.object == ("dcmesh-egress", "dcmesh-probe")]
    assert {host for host, *_ in probed(job)} == {*DB, "hello-0.hello.demo.svc.cluster.local"}
    kinds = ("ServiceEntry", "DestinationRule", "VirtualService", "NetworkPolicy", "EndpointSlice", "Service")
    own = {one.name for one in engine.kind(*kinds) if site_of(one) == "dc2"}
    assert own <= engine.before(job.name)


def test_all_is_on_the_importing_site() -> None:
    engine = program_of(two())
    for one in engine.in_kubernetes():
        if any(part.kind == "SiteEgress" for part in engine.parents(one.name)):
            assert one.provider == "dc2-cluster-kubernetes"
            assert engine.deleted_with(one.name) == "dc2-cluster-cluster"


def test_hosts_may_have_the_names_of_another_namespace() -> None:
    """The other site does not notice it. Replica, probe and status use these names."""
    alias, real = "db-0.db.wookie-dc1.svc.cluster.local", "db-0.db.wookie.svc.cluster.local"
    engine = program_of(changed("mariadb-gateways", {"sites[1].imports[0].hostNamespace": "wookie-dc1"}))
    before = program_of(changed("mariadb-gateways", {}))
    own, own_before = (
        {one.name: one.inputs for one in of.in_kubernetes() if one.provider == "dc1-cluster-kubernetes"}
        for of in (engine, before)
    )
    assert own == own_before
    assert ("wookie-dc1", name_for(alias)) in {part.object for part in engine.kind("EndpointSlice")}
    (rule,) = [one for one in engine.kind("DestinationRule") if one.object == ("dcmesh-egress", name_for(alias))]
    assert rule.spec["host"] == server_name(alias, "dc1")
    assert f"'sni': '{server_name(real, 'dc1')}'" in str(rule.spec)
    (job,) = [one for one in engine.kind("Job") if one.object == ("dcmesh-egress", "dcmesh-probe")]
    assert alias in {host for host, *_ in probed(job)}
    (replica,) = [one for one in engine.kind("StatefulSet") if one.object == ("wookie-dr", "db")]
    assert alias in str(replica.spec)
    assert real not in str(replica.spec)
    importer = parse_outputs(engine.outputs)[1]
    ((imported,),) = [of for of in importer.accounts.values() if of]
    assert (imported.hosts[0], imported.real(alias), imported.base_name(alias)) == (
        alias,
        real,
        server_name(real, "dc1"),
    )
    assert importer.servers[0].follows == (alias,)


def test_a_rename_at_both_ends_leaves_every_object_of_a_host_where_it_is() -> None:
    """Otherwise Pulumi would create the new one over the existing object, and then delete that."""
    renamed = two()
    exporter, importer = renamed["sites"]
    exporter["exports"][0] |= {"name": "orders", "statefulSet": "db"}
    importer["imports"][0]["export"] = "orders"

    def objects(raw: dict[str, Any]) -> set[tuple[str, tuple[str, str]]]:
        engine = program_of(raw)
        kinds = (
            "Service",
            "ServiceEntry",
            "DestinationRule",
            "Gateway",
            "VirtualService",
            "EndpointSlice",
            "Namespace",
        )
        return {
            (one.name, one.object)
            for one in engine.kind(*kinds)
            if any(part.kind == "SiteEgress" for part in engine.parents(one.name))
        }

    assert objects(two()) == objects(renamed)


def test_while_its_source_exports_nothing_there_is_no_egress_gateway() -> None:
    raw = two()
    importer = raw["sites"][1]
    raw["sites"], raw["peers"] = [importer], [{"name": "dc1"}]
    engine = run_program(Engine(stacks={"organization/dcmesh/dc1": {}}), raw)
    assert engine.kind("SiteEgress") == []


def test_what_asks_a_site_that_is_gone_is_left_as_it_is() -> None:
    raw = changed("mariadb-switchover", {"primary": "dc2", "failover": {"without": "dc1", "at": "0-1-7"}})
    for site, more in zip(raw["sites"], two()["sites"], strict=True):
        if site["name"] == "dc1":
            site["workloads"].append(more["workloads"][1])
            site["exports"].append(more["exports"][1])
        else:
            site["imports"].append(more["imports"][1])
    jobs = [job for job in run_program(Engine(), raw).kind("Job") if job.object[0] == "dcmesh-egress"]
    assert len(jobs) == 2
    assert all("*" in job.request.ignoreChanges for job in jobs)
