"""ServiceImport: virtual addresses, and the Istio objects of the importing site."""

import pulumi
import pulumi_kubernetes as k8s
import pytest

from components.mesh.service_import import (
    ServiceImport,
    ServiceImportArgs,
    export_destination_rule,
    host_service_entry,
)
from dcmesh.model.link import ExportedService, Link, LinkGateway
from tests.unit.engine import Engine


def entry(export: ExportedService, *gateway: str) -> dict[str, object]:
    return host_service_entry(export, export.hosts[1], vip="241.0.0.9", gateway=gateway, gateway_port=15444)


def test_service_entry_leads_one_host_to_the_gateway(database: ExportedService) -> None:
    assert entry(database, "192.0.2.1") == {
        "hosts": ["db-pxc-1.db.shop.svc.cluster.local"],
        "addresses": ["241.0.0.9"],
        "exportTo": ["."],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": 3306, "name": "tcp", "protocol": "TCP"}],
        "endpoints": [
            {
                "address": "192.0.2.1",
                "ports": {"tcp": 15444},
                "labels": {"security.istio.io/tlsMode": "istio"},
            }
        ],
        "subjectAltNames": ["spiffe://cluster.local/ns/shop/sa/mysql"],
    }


@pytest.mark.parametrize(
    ("gateway", "resolution"),
    [
        (["192.0.2.1", "192.0.2.2"], "STATIC"),
        (["2001:db8::1"], "STATIC"),
        (["lb.example.com"], "DNS"),
        (["lb-a.example.com", "lb-b.example.com"], "DNS"),
        (["192.0.2.1", "lb.example.com"], "DNS"),
    ],
)
def test_names_are_resolved_and_addresses_are_not(
    database: ExportedService, gateway: list[str], resolution: str
) -> None:
    spec = entry(database, *gateway)
    assert spec["resolution"] == resolution
    assert [endpoint["address"] for endpoint in spec["endpoints"]] == gateway
    assert {endpoint["labels"]["security.istio.io/tlsMode"] for endpoint in spec["endpoints"]} == {"istio"}


def test_only_resolution_and_endpoints_depend_on_the_gateway(database: ExportedService) -> None:
    by_ip, by_name = entry(database, "192.0.2.1"), entry(database, "lb.example.com")
    assert {key for key in by_ip if by_ip[key] != by_name[key]} == {"resolution", "endpoints"}


def test_destination_rule_is_mutual_tls_for_all_hosts_of_the_export(database: ExportedService) -> None:
    spec = export_destination_rule(database, gateways=1)
    assert spec["host"] == "*.db.shop.svc.cluster.local"
    assert spec["exportTo"] == ["."]
    assert spec["trafficPolicy"]["tls"] == {"mode": "ISTIO_MUTUAL"}


def test_destination_rule_notices_a_silent_gateway_within_60_seconds(database: ExportedService) -> None:
    tcp = export_destination_rule(database, gateways=1)["trafficPolicy"]["connectionPool"]["tcp"]
    alive = tcp["tcpKeepalive"]
    seconds = {key: int(alive[key].removesuffix("s")) for key in ("time", "interval")}
    assert seconds["time"] + seconds["interval"] * alive["probes"] <= 60
    assert tcp["connectTimeout"] == "5s"


@pytest.mark.parametrize("gateways", [1, 2, 3])
def test_of_several_gateways_one_that_refuses_is_left_out_and_a_single_one_never(
    database: ExportedService, gateways: int
) -> None:
    policy = export_destination_rule(database, gateways=gateways)["trafficPolicy"]
    outliers = policy.pop("outlierDetection", None)
    assert policy == export_destination_rule(database, gateways=1)["trafficPolicy"]
    assert (outliers is not None) is (gateways > 1)
    assert outliers is None or 100 // gateways <= outliers["maxEjectionPercent"] < 100


def imports(engine: Engine, addresses: list[str], export: ExportedService) -> Engine:
    """Import from a site with a gateway at these addresses, which are known only once it runs."""

    def program() -> None:
        istiod = k8s.apps.v1.Deployment("istiod")
        gateway = LinkGateway(addresses=tuple(addresses), port=15444)
        ServiceImport(
            "dc2-imports-orders",
            ServiceImportArgs(
                source="dc1",
                link=istiod.id.apply(lambda _: Link(site="dc1", gateway=gateway, exports=(export,))),
                export=export,
                namespace="dr",
                vips={host: f"241.0.0.{n}" for n, host in enumerate(export.hosts)},
                after=[istiod],
            ),
            pulumi.ResourceOptions(provider=k8s.Provider("dc2")),
        )

    return engine.run(program)


@pytest.mark.parametrize("addresses", [["192.0.2.1"], ["lb.example.com"], ["192.0.2.1", "192.0.2.2"]])
def test_objects_follow_the_gateways_addresses(engine: Engine, database: ExportedService, addresses: list[str]) -> None:
    imports(engine, addresses, database)
    for number, host in enumerate(database.hosts):
        (found,) = [entry for entry in engine.kind("ServiceEntry") if entry.spec["hosts"] == [host]]
        assert found.spec == host_service_entry(
            database, host, vip=f"241.0.0.{number}", gateway=addresses, gateway_port=15444
        )
    assert engine.one("DestinationRule").spec == export_destination_rule(database, gateways=len(addresses))


def test_objects_are_the_importing_namespaces_and_wait_for_istiod(engine: Engine, database: ExportedService) -> None:
    imports(engine, ["192.0.2.1"], database)
    objects = engine.kind("ServiceEntry", "DestinationRule")
    assert len(objects) == 1 + len(database.hosts)
    for resource in objects:
        assert resource.object[0] == "dr"
        assert resource.provider == "dc2"
        assert "istiod" in engine.before(resource.name)
