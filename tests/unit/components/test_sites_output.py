"""The inventory: what can be asked in a site, from a configuration."""

from collections.abc import Iterable
from typing import Any

from components.sites_output import site_output
from dcmesh.model import settings as model
from dcmesh.model.link import ExportedPort, ExportedService, Link, LinkGateway
from dcmesh.model.plan import plan_of
from tests.unit.program import Config

HOSTS = tuple(f"db-{ordinal}.db.wookie.svc.cluster.local" for ordinal in range(3))
DB = ExportedService(
    name="db",
    namespace="wookie",
    hosts=HOSTS,
    ports=(ExportedPort(port=3306, probe="greeting"),),
    protocol="TCP",
    identities=("spiffe://cluster.local/ns/wookie/sa/db",),
    consumers=(),
)
DC1 = Link(site="dc1", gateway=LinkGateway(addresses=("192.0.2.1",)), exports=(DB,))


EXPORT = {
    "name": "db",
    "namespace": "wookie",
    "replicas": 3,
    "port": 3306,
    "serviceAccount": "db",
    "selector": {"app": "db"},
    "consumers": [{"site": "dc2", "namespace": "dr", "serviceAccount": "db"}],
}


def of(site: Config, links: Iterable[Link] = ()) -> dict[str, Any]:
    """Return the output of a site, whose peers have these links."""
    settings = model.Settings.model_validate({"sites": [{"cluster": "k3d", **site}]})
    peers = {link.site: link for link in links}
    (plan,) = plan_of(settings, peers).sites
    own = {plan.name: {"of": plan.name}} if plan.exports else {}
    told = {**own, **{name: link.as_output() for name, link in peers.items()}}
    return site_output(settings.sites[0], plan, links=told, gateway="door", lost=None, identity="uid")


def mariadb(**more: Any) -> Config:
    return {"kind": "mariadb", "namespace": "wookie", **more}


def followed(known: dict[str, Any]) -> list[tuple[str, str, list[str]]]:
    return [(server["namespace"], server["pod"], server["follows"]) for server in known["servers"]]


def test_the_first_server_of_a_primary_follows_nobody_and_the_others_follow_it() -> None:
    known = of({"name": "dc1", "workloads": [mariadb(replicas=3)]})
    assert followed(known) == [
        ("wookie", "db-0", []),
        ("wookie", "db-1", ["db-0.db.wookie.svc.cluster.local"]),
        ("wookie", "db-2", ["db-0.db.wookie.svc.cluster.local"]),
    ]


def test_the_first_server_of_a_replica_follows_the_first_of_the_source() -> None:
    replica = mariadb(namespace="dr", name="rows", replicas=2, replicates={"from": "dc1", "export": "db"})
    known = of({"name": "dc2", "workloads": [replica]}, links=[DC1])
    assert followed(known) == [
        ("dr", "rows-0", [HOSTS[0]]),
        ("dr", "rows-1", ["rows-0.rows.dr.svc.cluster.local"]),
    ]


def test_a_cluster_is_asked_as_one_and_follows_whichever_host_it_chose() -> None:
    replica = {"kind": "pxc", "namespace": "dr", "name": "rows", "replicates": {"from": "dc1", "export": "db"}}
    known = of({"name": "dc2", "workloads": [replica]}, links=[DC1])
    assert followed(known) == [("dr", "rows-pxc-0", list(HOSTS))]
    primary = {"kind": "pxc", "namespace": "wookie"}
    assert followed(of({"name": "dc1", "workloads": [primary]})) == [("wookie", "db-pxc-0", [])]


def test_servers_are_asked_where_they_run() -> None:
    server = of({"name": "dc1", "workloads": [mariadb(replicas=1)]})["servers"][0]
    assert server["container"] == "mariadb"
    assert server["command"][:2] == ["bash", "-c"]
    assert "SHOW SLAVE STATUS" in server["command"][-1]


def test_a_database_whose_source_is_pending_has_no_servers() -> None:
    replica = mariadb(replicates={"from": "dc1", "export": "db"})
    assert of({"name": "dc2", "workloads": [replica]})["servers"] == []


def test_what_is_no_database_has_no_servers() -> None:
    assert of({"name": "dc1", "workloads": [{"kind": "hello", "namespace": "demo"}]})["servers"] == []


def test_imports_come_with_their_links() -> None:
    """A site that is alone in its stack knows the other one only by its link."""
    imports = [
        {"from": "dc1", "export": "db", "namespace": "dr", "serviceAccount": "db"},
        {"from": "dc3", "export": "db", "namespace": "dr", "serviceAccount": "db"},
    ]
    others = Link(site="dc9", gateway=DC1.gateway, exports=())
    known = of({"name": "dc2", "imports": imports}, links=[DC1, others])
    assert known["imports"] == imports
    assert known["links"] == {"dc1": DC1.as_output()}  # dc3 exports nothing yet


def test_only_an_exporting_site_has_a_gateway() -> None:
    assert of({"name": "dc2"}, links=[DC1])["gateway"] is None
    known = of({"name": "dc1", "exports": [EXPORT]})
    assert known["gateway"] == {"namespace": "door", "name": "istio-eastwestgateway", "advertised": True}
    assert known["links"] == {"dc1": {"of": "dc1"}}
