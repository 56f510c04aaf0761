"""IngressExport: the Istio objects, as plain data. test_ingress_stacks.py tests their wiring."""

from components.mesh import ingress_termination
from components.mesh.gateway import GATEWAY_LABELS
from components.mesh.local_clients import plaintext_rule
from dcmesh.model.gateway import GATEWAY_NAMESPACE
from dcmesh.model.link import ExportedService

POD_0 = "db-pxc-0.db.shop.svc.cluster.local"
SERVED = "db-pxc-0.db.shop.dc1.dcmesh"
INGRESS = {3306: 13306, 33060: 43060}
SELECTOR = {"app": "db"}


def test_one_sidecar_has_all_ingress_ports_and_nothing_else(at_ingress: ExportedService) -> None:
    """They lead to no server by themselves."""
    assert ingress_termination.ingress_listeners(at_ingress, INGRESS, SELECTOR, imports=False) == {
        "workloadSelector": {"labels": SELECTOR},
        "ingress": [
            {"port": {"number": 13306, "protocol": "TCP", "name": "tcp"}},
            {"port": {"number": 43060, "protocol": "TCP", "name": "tcp-33060"}},
        ],
        "egress": [{"hosts": ["~/*"]}],
    }


def test_pods_that_import_as_well_know_their_namespaces_hosts(at_ingress: ExportedService) -> None:
    spec = ingress_termination.ingress_listeners(at_ingress, INGRESS, SELECTOR, imports=True)
    assert spec["egress"] == [{"hosts": ["./*", "istio-system/*"]}]


def test_mutual_tls_is_asked_for_at_the_ingress_ports_alone(at_ingress: ExportedService) -> None:
    assert ingress_termination.strict_at(INGRESS, SELECTOR) == {
        "selector": {"matchLabels": SELECTOR},
        "portLevelMtls": {"13306": {"mode": "STRICT"}, "43060": {"mode": "STRICT"}},
    }


def test_the_second_lock_is_for_the_ingress_ports_alone(at_ingress: ExportedService) -> None:
    """The site has `cluster.local`, which Istio reads as the mesh's own trust domain."""
    ports = [{"operation": {"ports": ["13306", "43060"]}}]
    principals = ["cluster.local/ns/dr/sa/backup", "dc2.dcmesh/ns/dr/sa/replica"]
    denied = {"from": [{"source": {"notPrincipals": principals}}], "to": ports}
    selector = {"matchLabels": SELECTOR}
    assert ingress_termination.others_denied(at_ingress, INGRESS, SELECTOR) == {
        "selector": selector,
        "action": "DENY",
        "rules": [denied],
    }
    allowed = {"selector": selector, "action": "ALLOW", "rules": [{"to": ports}]}
    assert ingress_termination.allowed_at(INGRESS, SELECTOR) == allowed


def test_the_gateway_is_led_to_the_ingress_ports(at_ingress: ExportedService) -> None:
    spec = ingress_termination.ingress_entry(at_ingress, POD_0, INGRESS, ["one"])
    assert (spec["hosts"], spec["exportTo"]) == ([SERVED], ["one"])
    assert [(of["number"], of["targetPort"], of["name"]) for of in spec["ports"]] == [
        (3306, 13306, "tcp-dcmesh-ingress"),
        (33060, 43060, "tcp-33060-dcmesh-ingress"),
    ]
    assert all(len(of["name"]) > 15 for of in spec["ports"]), "a container's port may have the name"
    assert spec["workloadSelector"] == {"labels": {"statefulset.kubernetes.io/pod-name": "db-pxc-0"}}


def test_the_gateway_passes_on_tls_by_the_names_in_the_link(at_ingress: ExportedService) -> None:
    spec = ingress_termination.passing_servers(at_ingress, GATEWAY_NAMESPACE)
    assert spec["selector"] == GATEWAY_LABELS
    assert [server["hosts"] for server in spec["servers"]] == [[name] for name in at_ingress.server_names]
    assert all(server["tls"] == {"mode": "AUTO_PASSTHROUGH"} for server in spec["servers"])
    assert len({server["port"]["name"] for server in spec["servers"]}) == 2


def test_the_sites_own_clients_speak_plaintext() -> None:
    assert plaintext_rule("db", "shop") == {
        "host": "db.shop.svc.cluster.local",
        "exportTo": ["*"],
        "trafficPolicy": {"tls": {"mode": "DISABLE"}},
    }
