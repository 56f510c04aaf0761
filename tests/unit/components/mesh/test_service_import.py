"""ServiceImport: virtual addresses, and the Istio objects of the importing site."""

import ipaddress

import pulumi
import pulumi_kubernetes as k8s
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.mesh.service_import import (
    ServiceImport,
    ServiceImportArgs,
    allot_vips,
    export_destination_rule,
    host_service_entry,
)
from dcmesh.model.addresses import VIP_NETWORK, is_ip
from dcmesh.model.link import ExportedService, Link, LinkGateway
from tests.unit.engine import Engine

# In the small one, 10 hosts on 14 addresses, names meet all the time.
NETWORKS = {"real": VIP_NETWORK, "small": ipaddress.IPv4Network("198.51.100.16/28")}
MANY = 10

hosts = st.integers(0, 10**6).map("db-{}.db.shop.svc.cluster.local".format)
lists_of_hosts = st.lists(hosts, unique=True, max_size=MANY)


def displaced(vips: dict[str, str], network: ipaddress.IPv4Network) -> set[str]:
    """Return the hosts that do not have the address that they have where they meet no other."""
    return {host for host, vip in vips.items() if vip != allot_vips([host], network)[host]}


def test_known_address() -> None:
    """A change here moves the addresses of links that run."""
    assert allot_vips(["hello-0.hello.demo.svc.cluster.local"]) == {
        "hello-0.hello.demo.svc.cluster.local": "241.145.125.33"
    }


def test_small_network_makes_names_meet() -> None:
    """Else the properties below would say nothing of names that meet."""
    small = NETWORKS["small"]
    assert displaced(allot_vips((f"db-{n}" for n in range(MANY)), small), small)


@pytest.mark.parametrize("network", NETWORKS)
@given(names=lists_of_hosts)
def test_each_host_has_an_address_of_its_own_in_range(network: str, names: list[str]) -> None:
    range_ = NETWORKS[network]
    vips = allot_vips(names, range_)
    assert list(vips) == names
    assert len(set(vips.values())) == len(names)
    for vip in map(ipaddress.ip_address, vips.values()):
        assert vip in range_
        assert vip not in (range_.network_address, range_.broadcast_address)


@pytest.mark.parametrize("network", NETWORKS)
@given(names=lists_of_hosts)
def test_a_host_named_twice_counts_once(network: str, names: list[str]) -> None:
    assert allot_vips(names + names, NETWORKS[network]) == allot_vips(names, NETWORKS[network])


@pytest.mark.parametrize("network", NETWORKS)
@given(names=lists_of_hosts, at=st.integers(0, MANY))
def test_an_appended_host_moves_no_other(network: str, names: list[str], at: int) -> None:
    fewer, all_ = (allot_vips(some, NETWORKS[network]) for some in (names[:at], names))
    assert fewer.items() <= all_.items()


@pytest.mark.parametrize("network", NETWORKS)
@given(names=lists_of_hosts.filter(bool), data=st.data())
def test_a_removed_host_moves_only_hosts_that_had_given_way(
    network: str, names: list[str], data: st.DataObject
) -> None:
    removed = data.draw(st.sampled_from(names))
    range_ = NETWORKS[network]
    before, after = allot_vips(names, range_), allot_vips((name for name in names if name != removed), range_)
    moved = {host for host in after if after[host] != before[host]}
    assert moved <= displaced(before, range_)
    # Each of them had passed over an address that is free now: the removed host's, or that of another that moved.
    for host in moved:
        assert after[host] in {before[other] for other in {removed} | moved - {host}}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", True),
        ("2001:db8::1", True),
        ("gateway.example.com", False),
        ("host.k3d.internal", False),
        ("192.0.2", False),
        ("192.0.2.1.example.com", False),
    ],
)
def test_is_ip(address: str, expected: bool) -> None:
    assert is_ip(address) is expected


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
