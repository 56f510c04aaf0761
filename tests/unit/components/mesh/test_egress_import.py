"""EgressImport: from a host's own port, through a port of the egress gateway, to the other site's gateway."""

from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as k8s
import pytest

from components.mesh.egress_gateway import connections
from components.mesh.egress_import import (
    EgressImport,
    EgressImportArgs,
    clients_policy,
    host_service,
    outward,
    outward_rule,
    route,
    server,
)
from components.mesh.entry_ports import tls_to
from dcmesh.kube.host_protocols import CONNECT_SECONDS
from dcmesh.model.egress import TRIES, TRY_SECONDS, name_for
from dcmesh.model.link import ExportedPort, ExportedService, Link, LinkGateway
from dcmesh.model.plan import ClientPlan
from tests.unit.engine import Engine

LABELS = {"app": "dcmesh-egress", "istio": "dcmesh-egress"}
OUTER = "db-pxc-1.db.shop.dc1.dcmesh"


def test_clients_are_let_in_at_the_imports_ports_alone() -> None:
    clients = [ClientPlan(namespace="a", labels={"app": "x"}), ClientPlan(namespace="b", labels={})]
    spec = clients_policy(clients, [20002, 20001])
    assert spec["podSelector"] == {"matchLabels": LABELS}
    (rule,) = spec["ingress"]
    assert [part["port"] for part in rule["ports"]] == [20001, 20002]
    of_namespace = [peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for peer in rule["from"]]
    assert of_namespace == ["a", "b"]
    assert [peer.get("podSelector") for peer in rule["from"]] == [{"matchLabels": {"app": "x"}}, None]


def test_a_service_leads_from_the_hosts_port_to_the_gateways(database: ExportedService) -> None:
    (port,) = host_service(database, [20001])["ports"]
    assert port == {"name": "tcp", "protocol": "TCP", "port": 3306, "targetPort": 20001}


def test_each_port_of_a_host_has_one_of_the_gateways(database: ExportedService) -> None:
    export = database.model_copy(update={"ports": (*database.ports, ExportedPort(port=33060))})
    host = export.hosts[1]
    ports = host_service(export, [20001, 20002])["ports"]
    assert [(port["name"], port["port"], port["targetPort"]) for port in ports] == [
        ("tcp", 3306, 20001),
        ("tcp-33060", 33060, 20002),
    ]
    servers = server(host, [20001, 20002], source="dc1")["servers"]
    assert [of["port"]["number"] for of in servers] == [20001, 20002]
    routes = route(export, host, [20001, 20002], source="dc1")["tcp"]
    assert [(of["match"][0]["port"], of["route"][0]["destination"]["port"]["number"]) for of in routes] == [
        (20001, 3306),
        (20002, 33060),
    ]
    entry = outward(export, host, source="dc1", gateway=["192.0.2.1"], gateway_port=15443)
    assert [port["number"] for port in entry["ports"]] == [3306, 33060]
    (of_port,) = outward_rule(export, host, source="dc1", gateways=1)["trafficPolicy"]["portLevelSettings"]
    assert of_port["port"] == {"number": 33060}


def test_the_way_out_is_mutual_tls_with_the_exporter_and_by_the_links_server_name(database: ExportedService) -> None:
    host = database.hosts[1]
    entry = outward(database, host, source="dc1", gateway=["192.0.2.1"], gateway_port=15444)
    assert (entry["hosts"], entry["exportTo"], entry["location"]) == ([OUTER], ["."], "MESH_INTERNAL")
    assert entry["endpoints"] == [
        {"address": "192.0.2.1", "ports": {"tcp": 15444}, "labels": {"security.istio.io/tlsMode": "istio"}}
    ]
    assert entry["subjectAltNames"] == ["spiffe://cluster.local/ns/shop/sa/mysql"]
    assert "addresses" not in entry
    rule = outward_rule(database, host, source="dc1", gateways=1)
    assert (rule["host"], rule["exportTo"]) == (OUTER, ["."])
    assert rule["trafficPolicy"]["tls"] == tls_to(database, host)
    (proxy,) = [one for one in connections()["configPatches"] if one["applyTo"] == "NETWORK_FILTER"]
    tries = proxy["patch"]["value"]["typed_config"]["max_connect_attempts"]
    one_try = rule["trafficPolicy"]["connectionPool"]["tcp"]["connectTimeout"]
    assert (tries, one_try) == (TRIES, f"{TRY_SECONDS}s")
    assert tries * TRY_SECONDS <= CONNECT_SECONDS, "a probe waits no longer"


def test_http_is_passed_on_as_the_bytes_that_it_is(database: ExportedService) -> None:
    web = database.model_copy(update={"protocol": "HTTP"})
    entry = outward(web, web.hosts[0], source="dc1", gateway=["192.0.2.1"], gateway_port=15443)
    assert entry["ports"] == [{"number": 3306, "name": "tcp", "protocol": "TCP"}]
    assert list(entry["endpoints"][0]["ports"]) == ["tcp"]


def test_the_port_is_for_a_route_of_the_same_namespace_alone(database: ExportedService) -> None:
    """A tenant's VirtualService may name dcmesh's Gateway."""
    host = database.hosts[1]
    (part,) = server(host, [20001], source="dc1")["servers"]
    assert part == {"port": {"number": 20001, "name": "tcp-20001", "protocol": "TCP"}, "hosts": [f"./{OUTER}"]}
    spec = route(database, host, [20001], source="dc1")
    assert (spec["hosts"], spec["gateways"], spec["exportTo"]) == ([OUTER], [name_for(host)], ["."])
    (tcp,) = spec["tcp"]
    assert tcp["match"] == [{"port": 20001}]
    assert tcp["route"] == [{"destination": {"host": OUTER, "port": {"number": 3306}}}]


def run(engine: Engine, export: ExportedService, *, name: str = "dc2-egress.out.dc1.orders") -> Engine:
    def program() -> None:
        gateway = LinkGateway(addresses=("192.0.2.1", "192.0.2.2"))
        EgressImport(
            name,
            EgressImportArgs(
                source="dc1",
                link=Link(site="dc1", gateway=gateway, exports=(export,)),
                export=export,
                namespace="out",
                ports={(host, 3306): 20001 + n for n, host in enumerate(export.hosts)},
                clients=[ClientPlan(namespace="a", labels={})],
                after=[k8s.apps.v1.Deployment("gateway")],
                prefix="dc2-egress.out",
            ),
            pulumi.ResourceOptions(provider=k8s.Provider("dc2")),
        )

    return engine.run(program)


ISTIO = ("ServiceEntry", "DestinationRule", "Gateway", "VirtualService")


def test_a_port_opens_only_behind_the_policy(engine: Engine, database: ExportedService) -> None:
    run(engine, database)
    policy = engine.one("NetworkPolicy").name
    objects = engine.kind("Service", *ISTIO)
    assert len(objects) == 5 * len(database.hosts)
    for one in objects:
        assert {policy, "gateway"} <= engine.before(one.name)
        assert one.object == ("out", name_for(database.hosts["-1-" in one.object[1]]))
    labels = {"experimental.istio.io/disable-gateway-port-translation": "true"}
    assert all(one.inputs["metadata"]["labels"] == labels for one in engine.kind("Service"))


def test_a_service_is_there_with_its_address_and_not_ten_seconds_later(
    engine: Engine, database: ExportedService
) -> None:
    services = run(engine, database).kind("Service")
    annotations = {"pulumi.com/waitFor": "jsonpath={.spec.clusterIP}"}
    assert [one.inputs["metadata"]["annotations"] for one in services] == [annotations] * len(database.hosts)
    rule = engine.kind("DestinationRule")[0].spec
    assert rule["trafficPolicy"]["outlierDetection"], "one of two gateways that refuses is left out"


@pytest.mark.parametrize("names", [("orders", "bills")])
def test_a_rename_of_the_export_makes_no_host_anew(database: ExportedService, names: Sequence[str]) -> None:
    """Pulumi would create the new one over the existing object, and then delete the old one: the same object."""
    hosts = []
    for name in names:
        engine = run(Engine(), database.model_copy(update={"name": name}), name=f"dc2-egress.out.dc1.{name}")
        hosts.append({(one.name, one.object) for one in engine.kind("Service", *ISTIO)})
        assert engine.one("NetworkPolicy").object == ("out", f"dc1.{name}")
    assert hosts[0] == hosts[1]
