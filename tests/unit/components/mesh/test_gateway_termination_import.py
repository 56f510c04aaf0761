"""NamedImport: how a consumer asks for a host by its name at the gateway."""

from components.mesh.entry_ports import tls_to
from components.mesh.gateway_termination_import import named_destination_rule, named_entry
from components.mesh.service_import import export_destination_rule
from dcmesh.model.link import ExportedPort, ExportedService, in_namespace, server_name

HOST = "db-pxc-1.db.shop.svc.cluster.local"


def test_a_host_is_asked_for_by_its_name_at_the_gateway_and_all_else_is_as_ever(database: ExportedService) -> None:
    names = tuple(server_name(host, "dc1") for host in database.hosts)
    export = database.model_copy(update={"server_names": names})
    rule = named_destination_rule(export, HOST, gateways=2)
    assert rule["host"] == HOST
    policy = rule["trafficPolicy"]
    assert policy.pop("tls") == tls_to(export, HOST)
    usual = export_destination_rule(database, gateways=2)["trafficPolicy"]
    assert usual.pop("tls") == {"mode": "ISTIO_MUTUAL"}
    assert policy == usual


def test_a_further_port_has_a_server_name_of_its_own_and_all_of_the_rule(database: ExportedService) -> None:
    """For a port with settings of its own, Istio ignores the rest of the policy."""
    names = tuple(server_name(host, "dc1") for host in database.hosts)
    export = database.model_copy(update={"server_names": names, "ports": (*database.ports, ExportedPort(port=33060))})
    policy = named_destination_rule(export, HOST, gateways=2)["trafficPolicy"]
    (port,) = policy.pop("portLevelSettings")
    assert port.pop("port") == {"number": 33060}
    assert policy.pop("tls")["sni"] == "db-pxc-1.db.shop.dc1.dcmesh"
    assert port.pop("tls")["sni"] == "p33060.db-pxc-1.db.shop.dc1.dcmesh"
    assert port == policy


def test_an_entry_has_all_ports_and_takes_any_of_the_identities(database: ExportedService) -> None:
    other = "spiffe://cluster.local/ns/gateways/sa/istio-eastwestgateway"
    export = database.model_copy(
        update={"ports": (*database.ports, ExportedPort(port=33060)), "identities": (*database.identities, other)}
    )
    entry = named_entry(export, HOST, vip="241.0.0.1", gateway=["192.0.2.1"], gateway_port=15443)
    assert [(port["number"], port["name"]) for port in entry["ports"]] == [(3306, "tcp"), (33060, "tcp-33060")]
    assert entry["endpoints"][0]["ports"] == {"tcp": 15443, "tcp-33060": 15443}
    assert entry["subjectAltNames"] == [*database.identities, other]


def test_name_and_identity_change_in_one_object(database: ExportedService) -> None:
    """Where TLS is to end elsewhere, every connection would fail with the new name and the old identity."""
    at_gateway = database.model_copy(
        update={
            "server_names": tuple(server_name(host, "dc1") for host in database.hosts),
            "identities": ("spiffe://other",),
        }
    )
    assert tls_to(database, HOST) == {
        "mode": "ISTIO_MUTUAL",
        "sni": f"outbound_.3306_._.{HOST}",
        "subjectAltNames": list(database.identities),
    }
    assert tls_to(at_gateway, HOST) == {
        "mode": "ISTIO_MUTUAL",
        "sni": "db-pxc-1.db.shop.dc1.dcmesh",
        "subjectAltNames": ["spiffe://other"],
    }


def test_a_host_with_the_name_of_another_namespace_is_asked_for_by_its_own(database: ExportedService) -> None:
    """The objects are named after the host's own name as well. So they stay when the other name is chosen."""
    alias = "db-pxc-1.db.shop-dc1.svc.cluster.local"
    hosts = tuple(in_namespace(host, "shop-dc1") for host in database.hosts)
    names = tuple(server_name(host, "dc1") for host in database.hosts)
    export = database.model_copy(update={"hosts": hosts, "server_names": names})
    rule = named_destination_rule(export, alias, gateways=1)
    assert (rule["host"], rule["trafficPolicy"]["tls"]["sni"]) == (alias, "db-pxc-1.db.shop.dc1.dcmesh")
    entry = named_entry(export, alias, vip="241.0.0.1", gateway=["192.0.2.1"], gateway_port=15443)
    assert entry["hosts"] == [alias]
    assert export.base_name(alias) == "db-pxc-1.db.shop.dc1.dcmesh"
    assert (export.real(alias), database.real(HOST)) == (HOST, HOST)
