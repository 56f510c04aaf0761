"""NamedImport: how a consumer asks for a host by its name at the gateway."""

from components.mesh.named_import import named_destination_rule, tls_to
from components.mesh.service_import import export_destination_rule
from dcmesh.model.link import ExportedService, server_name

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


def test_name_and_identity_change_in_one_object(database: ExportedService) -> None:
    """Where TLS is to end elsewhere: with the new name and the old identity no connection would come about."""
    at_gateway = database.model_copy(
        update={
            "server_names": tuple(server_name(host, "dc1") for host in database.hosts),
            "identity": "spiffe://other",
        }
    )
    assert tls_to(database, HOST) == {
        "mode": "ISTIO_MUTUAL",
        "sni": f"outbound_.3306_._.{HOST}",
        "subjectAltNames": [database.identity],
    }
    assert tls_to(at_gateway, HOST) == {
        "mode": "ISTIO_MUTUAL",
        "sni": "db-pxc-1.db.shop.dc1.dcmesh",
        "subjectAltNames": ["spiffe://other"],
    }
