"""Imports by an egress gateway: errors in what they need, and in names that others have."""

import copy
from collections.abc import Sequence
from typing import Any

import pytest

from dcmesh import config
from dcmesh.config.checks import egress
from dcmesh.model.egress import PORTS
from tests.unit.configurations import GONE, changed, errors, parse

AT = "sites[1].imports[0]"
DB0 = "db-0.db.wookie.svc.cluster.local"


@pytest.fixture(autouse=True)
def without_k3d(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)


def stack(changes: dict[str, Any] | None = None) -> dict[str, Any]:
    return changed("mariadb-egress", changes or {})


def test_what_is_right() -> None:
    imported = parse(stack()).sites[1].imports[0]
    assert (imported.by_gateway, imported.host_namespace) == (True, "wookie")


ANOTHER = {
    "from": "dc1",
    "export": "db",
    "egress": "gateway",
    "namespace": "dcmesh-egress",
    "serviceAccount": "other",
    "hostNamespace": "wookie",
    "clients": [{"namespace": "reports"}],
}
CONSUMERS = "sites[0].exports[0].consumers"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({f"{AT}.hostNamespace": GONE}, f"{AT}.hostNamespace: is missing: egress: gateway puts the hosts' names"),
        ({f"{AT}.clients": GONE}, f"{AT}.clients: is missing: name the namespaces"),
        ({f"{AT}.clients": []}, f"{AT}.clients: is missing: name the namespaces"),
        ({f"{AT}.egress": GONE}, f"{AT}.clients: is for an egress gateway: set egress: gateway"),
        ({f"{AT}.egress": "sidecar"}, f"{AT}.clients: is for an egress gateway: set egress: gateway"),
        (
            {f"{AT}.hostNamespace": "kept"},
            f'{AT}.hostNamespace: "kept" is not the namespace of what dc1 exports as db, and with `termination: pod`',
        ),
        (
            {f"{AT}.namespace": "kube-egress", f"{CONSUMERS}[0].namespace": "kube-egress"},
            f'{AT}.namespace: "kube-egress" exists in every cluster',
        ),
        (
            {"sites[1].workloads": [{"kind": "hello", "namespace": "wookie"}]},
            f'{AT}.hostNamespace: "wookie" is for a workload as well',
        ),
        (
            {"sites[1].workloads": [{"kind": "hello", "namespace": "dcmesh-egress"}]},
            f'{AT}.namespace: "dcmesh-egress" is for a workload as well',
        ),
        (
            {"sites[1].gateway.namespace": "dcmesh-egress"},
            f'{AT}.namespace: "dcmesh-egress" is for the gateway as well',
        ),
        (
            {f"{AT}.clients[0].namespace": "wookie"},
            f'{AT}.hostNamespace: "wookie" is for clients as well',
        ),
        (
            {
                "sites[1].imports[1]": ANOTHER,
                f"{CONSUMERS}[1]": {"site": "dc2", "namespace": "dcmesh-egress", "serviceAccount": "other"},
            },
            'sites[1].imports[1].serviceAccount: "other" is another one than egress, and a namespace has one',
        ),
        (
            {f"{AT}.ports": [{"host": "db-9.db.wookie.svc.cluster.local", "port": 20001}]},
            f'{AT}.ports[0].host: "db-9.db.wookie.svc.cluster.local" is no host of dc1/db: remove it',
        ),
        (
            {f"{AT}.ports": [{"host": DB0, "port": 3306}]},
            f"{AT}.ports[0].port: 3306 must be between 20000 and 32767",
        ),
        (
            {f"{AT}.ports": [{"host": DB0, "port": 20001}, {"host": DB0, "port": 20002}]},
            f'{AT}.ports[1].host: "{DB0}" occurs twice with its port 3306: remove one',
        ),
        (
            {f"{AT}.serviceAccount": "default", f"{CONSUMERS}[0].serviceAccount": "default"},
            f'{AT}.serviceAccount: "default" exists in every namespace',
        ),
        (
            {
                "sites[1].imports[1]": ANOTHER | {"namespace": "second", "serviceAccount": "egress"},
                f"{CONSUMERS}[1]": {"site": "dc2", "namespace": "second", "serviceAccount": "egress"},
            },
            'sites[1].imports[1].export: "db" is imported by another egress gateway too',
        ),
        (
            {
                "sites[1].imports[1]": {"from": "dc1", "export": "db", "namespace": "dr", "serviceAccount": "app"},
                f"{CONSUMERS}[1]": {"site": "dc2", "namespace": "dr", "serviceAccount": "app"},
            },
            f'{AT}.export: "db" is imported by sidecars too, which would be led to this egress gateway',
        ),
    ],
)
def test_what_is_wrong(changes: dict[str, Any], said: str) -> None:
    found = errors(stack(changes))
    assert [line for line in found if said in line], found


def test_hosts_may_have_the_names_of_another_namespace_where_tls_ends_at_the_gateway() -> None:
    """Then the importing site may have a namespace with the exporting one's name."""
    taken = {"sites[1].workloads[1]": {"kind": "hello", "namespace": "wookie", "name": "db"}}
    assert errors(changed("mariadb-gateways", taken)) != []
    assert errors(changed("mariadb-gateways", taken | {f"{AT}.hostNamespace": "wookie-dc1"})) == []


def test_of_a_namespace_that_every_cluster_has_the_hosts_may_have_other_names() -> None:
    found = errors(changed("mariadb-gateways", {f"{AT}.hostNamespace": "kube-system"}))
    (line,) = (line for line in found if "is of namespace kube-system" in line)
    assert line.endswith("not dcmesh's: give the import another `hostNamespace`, whose names its hosts then have here")


def test_imports_into_one_namespace_give_a_host_one_name() -> None:
    """This is for sidecars, which share a ServiceEntry in a namespace."""
    raw = changed("mariadb-gateways", {"sites[1].workloads": [], "sites[1].imports": []})
    one, another = (
        {"from": "dc1", "export": "db", "namespace": "apps", "serviceAccount": name, "hostNamespace": "wookie-dc1"}
        for name in ("web", "batch")
    )
    raw["sites"][0]["exports"][0]["consumers"] = [
        {"site": "dc2", "namespace": "apps", "serviceAccount": name} for name in ("web", "batch")
    ]
    raw["sites"][1] |= {"workloads": [], "imports": [one, another]}
    assert errors(raw) == []
    del another["hostNamespace"]
    assert errors(raw) == [
        "sites[1].imports[1].hostNamespace: is not what another import into apps says: write the same in all"
    ]


def test_the_same_host_of_two_sites_is_refused() -> None:
    raw = stack()
    third = copy.deepcopy(raw["sites"][0]) | {"name": "dc3"}
    raw["sites"].append(third)
    raw["sites"][1]["imports"].append({**raw["sites"][1]["imports"][0], "from": "dc3"})
    assert [
        line for line in errors(raw) if "another site's export has too, and a cluster's DNS knows them once" in line
    ]


def test_a_collision_of_ports_names_the_key_that_settles_it(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = [f"db-{n}.db.wookie.svc.cluster.local" for n in range(2)]
    both = {"sites[0].workloads[0].replicas": 2, "sites[0].exports[0].replicas": 2}

    def ports(*numbers: int) -> dict[str, Any]:
        return {f"{AT}.ports": [{"host": host, "port": n} for host, n in zip(hosts, numbers, strict=True)]}

    (said,) = errors(stack(both | ports(20001, 20001)))
    assert (
        f"{AT}.ports: gives {hosts[1]}:3306 the port 20001, which {hosts[0]}:3306 has at an egress gateway too" in said
    )
    assert errors(stack(both | ports(20001, 20002))) == []
    monkeypatch.setattr(egress, "allot_ports", lambda of, _, __: dict.fromkeys(((host, 3306) for host in of), PORTS[0]))
    assert "choose a free one for the one of the two that is new" in errors(stack(both))[0]


def with_ports(raw: dict[str, Any], chosen: list[dict[str, Any]]) -> dict[str, Any]:
    raw["sites"][1]["imports"][0]["ports"] = chosen
    return raw


def test_a_further_port_of_a_host_has_one_of_its_own_there() -> None:
    raw = stack()
    export = raw["sites"][0]["exports"][0]
    raw["sites"][0]["workloads"] = []
    export |= {"termination": "gateway", "ports": [{"port": 3306}, {"port": 33060}]}
    for key in ("serviceAccount", "selector", "port"):
        del export[key]
    host = {"host": "db-0.db.wookie.svc.cluster.local"}
    chosen = [{**host, "port": 20001}, {**host, "hostPort": 33060, "port": 20002}]
    assert errors(with_ports(raw, chosen)) == []
    chosen[1]["hostPort"] = 33061
    assert errors(with_ports(raw, chosen)) == [f"{AT}.ports[1].hostPort: 33061 is no port of dc1/db: remove it"]
    chosen[1] |= {"hostPort": 3306}
    assert "occurs twice with its port 3306: remove one" in errors(with_ports(raw, chosen))[0]


def test_two_egress_gateways_have_no_port_in_common() -> None:
    """An istiod that does not scope Gateways opens the ports of each at both."""
    raw = stack()
    exporter, importer = raw["sites"]
    exporter["workloads"].append({"kind": "hello", "namespace": "demo"})
    account = {"namespace": "second", "serviceAccount": "egress"}
    hello = {
        "name": "hello",
        "namespace": "demo",
        "serviceAccount": "hello",
        "selector": {"app": "hello"},
        "port": 8080,
    }
    exporter["exports"].append({**exporter["exports"][0], **hello, "consumers": [{"site": "dc2", **account}]})
    chosen = {"ports": [{"host": "hello-0.hello.demo.svc.cluster.local", "port": 25061}]}
    importer["imports"].append({**ANOTHER, **account, "export": "hello", "hostNamespace": "demo", **chosen})
    (said,) = errors(raw)
    assert f"the port 25061, which {DB0}:3306 has at an egress gateway too" in said


@pytest.mark.parametrize("before", [True, False])
def test_an_import_that_stands_is_not_taken_for_one_that_has_not_begun(before: bool) -> None:
    raw = stack()
    raw["sites"], raw["peers"] = [raw["sites"][1]], [{"name": "dc1"}]
    told = {"imports": [{"from": "dc1", "export": "db", "egress": "gateway"}], "links": {"dc1": {}}, "workloads": []}
    outputs = {"organization/dcmesh/dc1": {}, "organization/dcmesh/dc2": {"sites": {"dc2": told}} if before else {}}

    def read() -> None:
        config.parse(raw, project="dcmesh", stack="dc2", read=outputs.__getitem__)

    if not before:
        read()
        return
    with pytest.raises(config.ConfigError, match="exports nothing any more, and without it its hosts' names here"):
        read()


# --- databases -------------------------------------------------------------------------------------------------------

CLIENTS = "sites[1].imports[0].clients"
REPLICA = 'sites[1].workloads[0].replicates.export: "db" does not reach the replica: '


def test_a_replica_is_a_client_of_the_egress_gateway() -> None:
    assert errors(changed("mariadb-gateways", {f"{CLIENTS}[0].labels": GONE})) == []
    for clients in ([{"namespace": "reports"}], [{"namespace": "wookie-dr", "labels": {"app": "web"}}]):
        (said,) = errors(changed("mariadb-gateways", {CLIENTS: clients}))
        assert said == f"{REPLICA}add to the import's clients namespace: wookie-dr, labels: {{app: db}}"


def test_an_export_of_each_termination_may_stand_side_by_side() -> None:
    by_sidecars = changed("mariadb", {})["sites"][0]["exports"][0] | {"name": "before", "statefulSet": "db"}
    meshed = {"sites[0].workloads[0].sidecar": True, "sites[0].exports[1]": by_sidecars}
    assert errors(changed("mariadb-gateways", meshed)) == []
    again = {
        "sites[0].exports[1]": changed("mariadb-gateways", {})["sites"][0]["exports"][0]
        | {"name": "again", "statefulSet": "db"}
    }
    (said,) = errors(changed("mariadb-gateways", again))
    assert said == 'sites[0].exports[1].statefulSet: "wookie/db" is exported twice: make it one export'


def test_without_sidecars_all_ends_are_gateways() -> None:
    assert errors(changed("mariadb", {"sites[1].workloads[0].sidecar": False})) == [
        "sites[1].workloads[0].sidecar: false leaves the import db without the sidecars that it needs: give that "
        "egress: gateway, or remove this until nobody needs it"
    ]
    assert errors(changed("mariadb", {"sites[0].workloads[0].sidecar": False})) == [
        "sites[0].workloads[0].sidecar: false leaves the export db without the sidecars that it needs: give that "
        "termination: gateway, or remove this until nobody needs it"
    ]


@pytest.mark.parametrize(("had", "wrong"), [({"sidecar": False}, True), ({"sidecar": True}, False), ({}, False)])
def test_pods_have_their_sidecars_before_an_export_that_ends_at_them(had: dict[str, Any], wrong: bool) -> None:
    """0.1.0 did not output which pods have sidecars."""
    storage = {"size": "1Gi", "storageClass": None}
    told = [{"kind": "mariadb", "namespace": "wookie", "name": "db", "storage": storage, "protected": False, **had}]
    outputs = {"organization/dcmesh/test": {"sites": {"dc1": {"workloads": told}}}}

    def read() -> None:
        config.parse(changed("mariadb", {}), project="dcmesh", stack="test", read=outputs.__getitem__)

    if not wrong:
        read()
        return
    with pytest.raises(
        config.ConfigError, match=r'exports\[0\].name: "db" is of pods that had no sidecars at the last'
    ):
        read()


@pytest.mark.parametrize(("had", "wrong"), [({"sidecar": True}, True), ({}, True), ({"sidecar": False}, False)])
def test_an_xtradb_cluster_that_runs_keeps_what_it_has(had: dict[str, Any], wrong: bool) -> None:
    """On a lab, HAProxy without a sidecar got no greeting from nodes with one, and the operator made no progress."""
    storage = {"size": "100Gi", "storageClass": None}
    told = [{"kind": "pxc", "namespace": "wookie", "name": "db", "storage": storage, "protected": False, **had}]
    outputs = {"organization/dcmesh/test": {"sites": {"dc1": {"workloads": told}}}}

    def read() -> None:
        here = {f"sites[{n}].cluster": "k3d" for n in range(2)}
        config.parse(changed("pxc-gateways", here), project="dcmesh", stack="test", read=outputs.__getitem__)

    if not wrong:
        read()
        return
    with pytest.raises(config.ConfigError, match=r"sites\[0\].workloads\[0\].sidecar: false was true at the last"):
        read()


def several_ports(port: int) -> dict[str, Any]:
    """Return a pair that can change roles by gateways, whose writers' Services are names of hosts with this port."""
    raw = changed("mariadb-switchover", {})
    for own, other in (raw["sites"], raw["sites"][::-1]):
        (export,), (imported,), (workload,) = own["exports"], own["imports"], own["workloads"]
        for key in ("serviceAccount", "selector", "port"):
            del export[key]
        egress = {"namespace": "dcmesh-egress", "serviceAccount": "egress"}
        ports = [{"port": port}, {"port": 33060}]
        export |= {"termination": "gateway", "ports": ports, "consumers": [{"site": other["name"], **egress}]}
        names = {"hostNamespace": other["workloads"][0]["namespace"], "clients": [{"namespace": workload["namespace"]}]}
        imported |= {**egress, **names, "egress": "gateway"}
        workload["writerService"] = True
    return raw


def test_of_several_ports_the_first_is_the_writers() -> None:
    assert not [line for line in errors(several_ports(3306)) if "writerService" in line]
    assert [line for line in errors(several_ports(3307)) if "cannot lead to port 3307 of" in line]


def test_a_first_copy_is_a_backup_where_the_source_exports_and_serves_it() -> None:
    def findings(*ports: int, backup: Sequence[int] = (0, 1)) -> list[str]:
        raw = several_ports(3306)
        for number, site in enumerate(raw["sites"]):
            site["exports"][0]["ports"] = [{"port": port} for port in ports]
            if number in backup:
                site["workloads"][0]["firstCopy"] = "backup"
        return [line for line in errors(raw) if "firstCopy" in line]

    assert findings(3306, 4444) == findings(3306, backup=()) == []
    needs = 'firstCopy: "backup" needs the port 4444 of {}: give that `ports` of 3306 and 4444, or remove this'
    assert findings(3306) == [f"sites[{n}].workloads[0].{needs.format(name)}" for n, name in enumerate(["db-dr", "db"])]
    (line,) = findings(3306, 4444, backup=[1])
    assert line.startswith('sites[1].workloads[0].firstCopy: "backup" is not set for dc1/wookie'), line


def both_terminations() -> dict[str, Any]:
    """Return a pair in the middle of a change: it has both exports, and only one import so far."""
    raw = changed("mariadb-gateways", {f"sites[{n}].workloads[0].sidecar": True for n in range(2)})
    again = changed("mariadb", {})["sites"][0]["exports"][0] | {"name": "before", "statefulSet": "db"}
    again["consumers"] = [*raw["sites"][0]["exports"][0]["consumers"], *again["consumers"]]
    raw["sites"][0]["exports"].append(again)
    return raw


def test_hosts_are_imported_by_one_of_two_exports() -> None:
    raw = both_terminations()
    imports = raw["sites"][1]["imports"]
    imports.append(imports[0] | {"export": "before"})
    (said,) = errors(raw)
    assert said == (
        'sites[1].imports[1].export: "before" has hosts that db has too, and a cluster\'s DNS knows them once: keep one'
    )


def test_by_sidecars_too() -> None:
    raw = both_terminations()
    dc1, dc2 = raw["sites"]
    dc1["exports"][0]["consumers"] = dc1["exports"][1]["consumers"]
    dc2["workloads"][0]["replicates"]["export"] = "before"
    by_sidecar = {"from": "dc1", "namespace": "wookie-dr", "serviceAccount": "db"}
    dc2["imports"] = [by_sidecar | {"export": "before"}]
    assert errors(raw) == []
    dc2["imports"].append(by_sidecar | {"export": "db"})
    (said,) = errors(raw)
    assert said.startswith('sites[1].imports[1].export: "db" has hosts that its export before has too: import one')


def test_a_writer_service_is_a_name_and_changes_no_port() -> None:
    """This is for another stack's export. In one stack, a workload's export has the workload's port."""
    link = changed("dc2-literal-link", {})["peers"][0]["link"]
    egress = {"namespace": "dcmesh-egress", "serviceAccount": "egress"}
    consumer = {"site": "dc2", **egress}
    exported = link["exports"][0] | {"port": 3307, "consumers": [consumer]}
    raw = {
        "primary": "dc1",
        "peers": [{"name": "dc1", "link": link | {"exports": [exported]}}],
        "sites": [
            {
                "name": "dc2",
                "cluster": "k3d",
                "workloads": [
                    {
                        "kind": "mariadb",
                        "namespace": "dr",
                        "replicates": {"from": "dc1", "export": exported["name"]},
                        "replicationPassword": "correct-horse-1",
                        "writerService": True,
                    }
                ],
                "imports": [
                    {
                        "from": "dc1",
                        "export": exported["name"],
                        "egress": "gateway",
                        **egress,
                        "hostNamespace": exported["namespace"],
                        "clients": [{"namespace": "dr"}],
                    }
                ],
            }
        ],
    }
    assert [line for line in errors(raw) if "writerService: true cannot lead to port 3307 of" in line], errors(raw)
