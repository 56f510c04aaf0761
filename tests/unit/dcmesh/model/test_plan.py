"""The plan: roles, sources, passwords and gateways, from a configuration and the links of peers."""

from typing import Any

import pytest

from dcmesh.model.link import Link
from dcmesh.model.plan import DatabasePlace, DatabasePlan, GatewayPlan, PasswordOrigin, Plan, ServerPlan, plan_of
from dcmesh.model.settings import Settings
from dcmesh.model.switchover import Switchover
from tests.unit.configurations import GONE, LINK, changed

PEERS = {"dc1": Link.model_validate(LINK["dc1"])}
DB = [f"db-{ordinal}.db.wookie.svc.cluster.local" for ordinal in range(3)]


def planned(name: str, changes: dict[str, Any] | None = None, peers: dict[str, Link] | None = None) -> Plan:
    """Return the plan of an example with changes."""
    return plan_of(Settings.model_validate(changed(name, changes or {})), peers or {})


def databases(plan: Plan) -> list[DatabasePlan]:
    return [database for site in plan.sites for database in site.databases]


def roles(plan: Plan) -> list[str]:
    return [database.role for database in databases(plan)]


# --- roles -----------------------------------------------------------------------------------------------------------


def test_a_primary_and_its_replica() -> None:
    primary, replica = databases(planned("mariadb"))
    assert (primary.role, primary.source, primary.source_site, primary.partner) == ("primary", None, None, None)
    assert (replica.role, replica.source and list(replica.source.hosts), replica.source_site) == ("replica", DB, "dc1")
    assert primary.switchover is replica.switchover is replica.partner is None


def test_of_a_replica_the_first_server_follows_the_source_and_the_others_follow_it() -> None:
    primary, replica = databases(planned("mariadb", {"sites[1].workloads[0].replicas": 2}))
    assert [server.follows for server in primary.servers] == [(), (DB[0],), (DB[0],)]
    first, *others = replica.servers
    assert first == ServerPlan(pod="db-0", follows=(DB[0],))
    assert {server.follows for server in others} == {("db-0.db.wookie-dr.svc.cluster.local",)}


@pytest.mark.parametrize(("example", "channel"), [("mariadb-switchover", ""), ("pxc-switchover", "dcmesh")])
@pytest.mark.parametrize("primary", [0, 1])
def test_of_two_that_can_change_roles_one_is_the_primary(example: str, channel: str, primary: int) -> None:
    ends = databases(planned(example, {"primary": ("dc1", "dc2")[primary]}))
    assert [end.role for end in ends] == (["replica", "primary"] if primary else ["primary", "replica"])
    places = [DatabasePlace(site=end.site, namespace=end.namespace) for end in ends]
    assert [end.partner for end in ends] == places[::-1]
    assert all(end.source and end.switchover and end.channel == channel for end in ends)
    assert not any(server.follows for server in ends[primary].servers[:1])
    assert ends[1 - primary].servers[0].follows


def test_a_failover_is_without_the_site_that_is_gone() -> None:
    plan = planned("mariadb-switchover", {"primary": "dc2", "failover": {"without": "dc1", "at": "0-1-7"}})
    assert {end.switchover for end in databases(plan)} == {Switchover(primary="dc2", without="dc1", at="0-1-7")}
    assert [site.lost for site in plan.sites] == [True, False]


def test_without_its_source_a_replica_is_pending() -> None:
    (replica,) = databases(planned("pxc-dc2"))
    assert (replica.role, replica.source, replica.source_site, replica.servers) == ("pending", None, "dc1", ())
    assert replica.password is None
    (replica,) = databases(planned("pxc-dc2", peers=PEERS))
    assert (replica.role, replica.servers[0].follows) == ("replica", PEERS["dc1"].exports[0].hosts)


def chain(*follows: tuple[str, str], **given: str) -> dict[str, Any]:
    """Return a stack in which each site's database follows that of another site or of a peer.

    Both are given by name.
    """
    sites = [
        {
            "name": site,
            "cluster": "k3d",
            "workloads": [
                {
                    "kind": "pxc",
                    "namespace": f"of-{site}",
                    **({"replicates": {"from": source, "export": "db"}} if source else {}),
                    **({"replicationPassword": given[site]} if site in given else {}),
                }
            ],
            "exports": [
                {
                    "name": "db",
                    "namespace": f"of-{site}",
                    "statefulSet": "db-pxc",
                    "replicas": 3,
                    "port": 3306,
                    "serviceAccount": "db-pxc",
                    "selector": {"app": "db"},
                    "consumers": [{"site": "dc9", "namespace": "n", "serviceAccount": "db"}],
                }
            ],
        }
        for site, source in follows
    ]
    return {"sites": sites, "peers": [{"name": "dc1"}]}


def of_chain(*follows: tuple[str, str], peers: dict[str, Link] | None = None, **given: str) -> Plan:
    return plan_of(Settings.model_validate(chain(*follows, **given)), peers or {})


def test_what_follows_a_database_that_is_pending_is_pending() -> None:
    follows = ("dc3", "dc2"), ("dc2", "dc1")
    assert roles(of_chain(*follows)) == ["pending", "pending"]
    assert roles(of_chain(*follows, peers=PEERS)) == ["replica", "replica"]


def test_a_configuration_that_was_not_checked_yet_has_a_plan_all_the_same() -> None:
    """The configuration has a replica whose source exports something else."""
    assert roles(of_chain(("dc2", "dc1"), peers={"dc1": PEERS["dc1"].model_copy(update={"exports": ()})})) == [
        "pending"
    ]


# --- passwords -------------------------------------------------------------------------------------------------------


def origins(plan: Plan) -> list[tuple[str, str, str] | None]:
    found = [database.password for database in databases(plan)]
    return [origin and (origin.how, origin.site, origin.of) for origin in found]


def test_a_password_comes_from_the_end_of_the_line() -> None:
    follows = ("dc4", "dc3"), ("dc3", "dc2"), ("dc2", "")
    assert origins(of_chain(*follows)) == [("generated", "dc2", "of-dc2")] * 3
    given = origins(of_chain(*follows, dc3="given-to-both-1"))
    assert given == [("given", "dc3", "of-dc3")] * 2 + [("generated", "dc2", "of-dc2")]


def test_a_password_of_a_peer_is_told_by_its_stack_once_it_exports_something() -> None:
    follows = ("dc3", "dc2"), ("dc2", "dc1")
    assert origins(of_chain(*follows)) == [None, None]
    assert origins(of_chain(*follows, peers=PEERS)) == [("told", "dc1", "db")] * 2


@pytest.mark.parametrize("first", ["dc2", "dc3", "dc4"])
def test_what_follows_one_of_two_that_can_change_roles_has_their_password(first: str) -> None:
    """The position of its site in the configuration does not matter."""
    follows = {"dc2": "dc3", "dc3": "dc2", "dc4": "dc2"}
    found = origins(of_chain(*sorted(follows.items(), key=lambda pair: pair[0] != first)))
    assert found == [("generated", "dc3" if first == "dc3" else "dc2", f"of-{'dc3' if first == 'dc3' else 'dc2'}")] * 3


def test_nothing_secret_is_in_a_plan() -> None:
    changes = {"sites[0].workloads[0].replicationPassword": "given-to-both-1"}
    plan = planned("mariadb", changes)
    assert databases(plan)[1].password == PasswordOrigin(how="given", site="dc1", of="wookie")
    assert "given-to-both-1" not in repr(plan)


# --- hosts and gateways ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cluster", "gateway", "expected"),
    [
        ({"kubeconfig": "a"}, {}, ((), 15443, False)),
        ({"kubeconfig": "a"}, {"nodePort": 30443}, ((), 30443, False)),
        ({"kubeconfig": "a"}, {"advertise": ["gw.example"]}, (("gw.example",), 15443, True)),
        ({"kubeconfig": "a"}, {"nodePort": 30443, "advertisePort": 443}, ((), 443, True)),
        ({"create": "a", "kubeconfig": "b", "delete": "c"}, {}, ((), 15443, False)),
        ("k3d", {}, (("host.k3d.internal",), 15443, True)),
        ("k3d", {"advertise": ["192.0.2.1"], "advertisePort": 443}, (("192.0.2.1",), 443, True)),
    ],
)
def test_by_what_a_gateway_is_reached(cluster: Any, gateway: dict[str, Any], expected: tuple[Any, ...]) -> None:
    exporter, importer = planned("pair", {"sites[0].cluster": cluster, "sites[0].gateway": gateway}).sites
    addresses, port, advertised = expected
    assert exporter.gateway == GatewayPlan(addresses=addresses, port=port, advertised=advertised)
    assert {of.gateway for of in importer.imports} == {exporter.gateway}
    assert importer.gateway is None, "it exports nothing"


def test_gateways_of_two_k3d_clusters_have_a_port_each() -> None:
    plan = of_chain(("dc1", ""), ("dc2", ""))
    assert [site.gateway and site.gateway.port for site in plan.sites] == [15443, 15444]


def test_an_import_has_the_link_of_its_peer_and_an_address_a_host() -> None:
    (site,) = planned("pxc-dc2", peers=PEERS).sites
    (imported,) = site.imports
    assert imported.export == PEERS["dc1"].exports[0]
    assert imported.gateway
    assert imported.gateway.addresses == PEERS["dc1"].gateway.addresses
    assert tuple(imported.vips) == imported.export.hosts
    assert len({*imported.vips.values()}) == len(imported.export.hosts)
    assert site.pending == ()


def test_an_import_from_a_peer_that_exports_nothing_yet_is_pending() -> None:
    (site,) = planned("pxc-dc2").sites
    (imported,) = site.imports
    assert (imported.export, imported.gateway, imported.vips) == (None, None, {})
    assert site.pending == ("dc1",)


# --- sidecars --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("example", "changes", "sidecars"),
    [
        ("mariadb", {}, [True, True]),
        ("mariadb-gateways", {}, [False, False]),
        ("pxc-gateways", {}, [False, False]),
        # Gateways at both ends alone remove no sidecar, because that would restart the pods.
        ("mariadb-gateways", {"sites[0].workloads[0].sidecar": True}, [True, False]),
        ("pxc-gateways", {"sites[1].workloads[0].sidecar": GONE}, [False, True]),
    ],
)
def test_pods_have_sidecars_unless_the_configuration_says_that_they_have_none(
    example: str, changes: dict[str, Any], sidecars: list[bool]
) -> None:
    assert [database.sidecar for database in databases(planned(example, changes))] == sidecars


def test_sidecars_stay_while_something_stands_that_wants_them() -> None:
    settings = Settings.model_validate(changed("mariadb-gateways", {}))
    primary, replica = databases(plan_of(settings, {}, None, {"dc1": {"wookie"}, "dc2": {"wookie"}}))
    assert (primary.sidecar, replica.sidecar) == (True, False)


@pytest.mark.parametrize(("example", "egress"), [("mariadb", "sidecar"), ("mariadb-gateways", "gateway")])
def test_a_replica_follows_by_the_way_of_its_import(example: str, egress: str) -> None:
    _, replica = databases(planned(example))
    assert replica.egress == egress
