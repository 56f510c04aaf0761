"""Link: names, identities, and the data that cross between stacks."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcmesh.model.link import (
    Consumer,
    ExportedPort,
    ExportedService,
    Link,
    LinkGateway,
    ServiceAccount,
    is_whole,
    pod_host,
    pod_hosts,
    pod_of,
    server_name,
    service_host,
    service_of,
)
from dcmesh.model.object_names import exported_entry, imported_rule, opening


def test_each_pod_has_the_name_that_kubernetes_gives_it() -> None:
    assert pod_hosts(stateful_set="db-pxc", service="db", namespace="shop", replicas=2) == (
        "db-pxc-0.db.shop.svc.cluster.local",
        "db-pxc-1.db.shop.svc.cluster.local",
    )


def test_pod_of_a_host_is_its_first_label() -> None:
    assert pod_of("db-pxc-1.db.shop.svc.cluster.local") == "db-pxc-1"


def test_identity_with_and_without_scheme() -> None:
    account = ServiceAccount(namespace="shop", name="mysql")
    assert account.principal == "cluster.local/ns/shop/sa/mysql"
    assert account.spiffe_id == "spiffe://cluster.local/ns/shop/sa/mysql"


def test_an_account_is_the_same_in_any_trust_domain() -> None:
    account = ServiceAccount("shop", "mysql", ("dc1.dcmesh", "cluster.local"))
    assert account == ServiceAccount("shop", "mysql")
    assert account.spiffe_id == "spiffe://dc1.dcmesh/ns/shop/sa/mysql"
    assert account.principals == ("dc1.dcmesh/ns/shop/sa/mysql", "cluster.local/ns/shop/sa/mysql")


REPLICA = Consumer(site="dc2", namespace="dr", service_account="replica")


@pytest.mark.parametrize(
    ("own", "domains", "principals"),
    [
        ("cluster.local", (), ["cluster.local/ns/dr/sa/replica"]),
        ("cluster.local", ("dc2.dcmesh",), ["dc2.dcmesh/ns/dr/sa/replica"]),
        ("dc1.dcmesh", (), ["*/ns/dr/sa/replica"]),
        ("dc1.dcmesh", ("dc2.dcmesh", "cluster.local"), ["*/ns/dr/sa/replica", "dc2.dcmesh/ns/dr/sa/replica"]),
    ],
)
def test_a_policy_names_consumers_so_that_istio_means_them(
    database: ExportedService, own: str, domains: tuple[str, ...], principals: list[str]
) -> None:
    """It reads cluster.local as the trust domain of its own mesh."""
    export = database.model_copy(
        update={
            "identities": (f"spiffe://{own}/ns/shop/sa/mysql",),
            "consumers": (REPLICA.model_copy(update={"trust_domains": domains}),),
        }
    )
    assert export.consumer_principals == principals


@pytest.mark.parametrize(
    "more",
    [
        {"identities": ("spiffe://dc1.dcmesh/ns/shop/sa/mysql",)},
        {"identities": ("spiffe://cluster.local/ns/shop/sa/mysql", "spiffe://dc1.dcmesh/ns/shop/sa/mysql")},
        {"consumers": (REPLICA.model_copy(update={"trust_domains": ("dc2.dcmesh",)}),)},
    ],
)
def test_a_link_is_of_version_4_for_other_trust_domains(
    link: Link, database: ExportedService, more: dict[str, Any]
) -> None:
    newest = Link.of("dc1", link.gateway, [database.model_copy(update=more)])
    told = json.loads(json.dumps(newest.as_output()))
    assert told["version"] == 4
    assert Link.model_validate(told) == newest
    assert "trustDomains" not in json.dumps(link.as_output())


@pytest.fixture
def link(database: ExportedService) -> Link:
    return Link(site="dc1", gateway=LinkGateway(addresses=("192.0.2.1",)), exports=(database,))


def test_importing_stack_reads_all_that_the_exporting_one_wrote(link: Link) -> None:
    assert Link.model_validate(json.loads(json.dumps(link.as_output()))) == link


@pytest.mark.parametrize("version", [1, 1.0])
def test_a_link_may_say_that_it_is_of_version_1(link: Link, version: float) -> None:
    assert Link.model_validate({**link.as_output(), "version": version}) == link


def test_a_link_of_version_1_does_not_say_so(link: Link) -> None:
    """The importing stacks of dcmesh 0.1.0 would refuse it."""
    assert link.version == 1
    assert "version" not in link.as_output()


@pytest.fixture
def ended(database: ExportedService) -> ExportedService:
    """An export with termination at the gateway."""
    names = tuple(server_name(host, "dc1") for host in database.hosts)
    return database.model_copy(update={"server_names": names})


def test_a_link_is_of_version_2_for_what_version_1_cannot_say(
    link: Link, database: ExportedService, ended: ExportedService
) -> None:
    """A link without such exports is unchanged, for older importers."""
    assert Link.of("dc1", link.gateway, [database]) == link
    newer = Link.of("dc1", link.gateway, [database, ended.model_copy(update={"name": "other"})])
    told = json.loads(json.dumps(newer.as_output()))
    assert told["version"] == 2
    assert [export.get("serverNames") for export in told["exports"]] == [None, list(ended.server_names)]
    assert Link.model_validate(told) == newer


@pytest.mark.parametrize(
    "more",
    [
        {"ports": (ExportedPort(port=3306), ExportedPort(port=33060))},
        {"identities": tuple(f"spiffe://cluster.local/ns/{of}/sa/istio-eastwestgateway" for of in ("new", "old"))},
        {"ports": (ExportedPort(port=5432, probe="postgres"),)},
    ],
)
def test_a_link_is_of_version_3_for_what_version_2_cannot_say(
    link: Link, ended: ExportedService, more: dict[str, Any]
) -> None:
    export = ended.model_copy(update=more)
    newest = Link.of("dc1", link.gateway, [export])
    told = json.loads(json.dumps(newest.as_output()))
    assert told["version"] == 3
    assert Link.model_validate(told) == newest
    assert Link.of("dc1", link.gateway, [ended]).as_output()["version"] == 2, "and without that it is as it was"


def test_links_of_the_first_versions_have_one_of_each(ended: ExportedService, link: Link) -> None:
    (told,) = Link.of("dc1", link.gateway, [ended]).as_output()["exports"]
    assert (told["port"], told["probe"], told["identity"]) == (3306, "greeting", ended.identities[0])
    assert not {"ports", "identities"} & told.keys()


def test_an_export_of_several_ports_is_one_of_each(ended: ExportedService) -> None:
    """The first port has the name that a host had before exports could have several ports."""
    host = ended.hosts[1]
    export = ended.model_copy(update={"ports": (*ended.ports, ExportedPort(port=33060, probe="tcp"))})
    assert export.port_numbers == (3306, 33060)
    first, second = export.by_port
    assert first == ended
    assert (second.port, second.probe, second.port_numbers) == (33060, "tcp", (33060,))
    assert second.sni(host) == "p33060.db-pxc-1.db.shop.dc1.dcmesh"
    for of in (export, first, second):
        assert of.base_name(host) == of.behind_gateway(host) == "db-pxc-1.db.shop.dc1.dcmesh"
        assert exported_entry(of, host) == "shop/db-pxc-1.db.shop.dc1.dcmesh"
        assert imported_rule(of, "dc1", host, "dr") == "dr/db-pxc-1.db.shop.dc1.dcmesh"
    assert opening(first, host, "gw") != opening(second, host, "gw")


LABELS = st.from_regex(r"[a-z]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)


@given(
    LABELS, LABELS, LABELS, LABELS, st.booleans(), st.lists(st.integers(1, 65535), min_size=1, unique=True, max_size=4)
)
def test_names_at_a_gateway_lead_back_to_their_host(
    pod: str, service: str, namespace: str, site: str, whole: bool, ports: list[int]
) -> None:
    """This holds for any pod's name; even `p33060` is possible."""
    host = service_host(service, namespace) if whole else pod_host(pod, service, namespace)
    name = server_name(host, site)
    export = ExportedService(
        name="e",
        namespace=namespace,
        hosts=(host,),
        ports=tuple(ExportedPort(port=port) for port in ports),
        protocol="TCP",
        identities=("spiffe://cluster.local/ns/g/sa/istio-eastwestgateway",),
        server_names=(name,),
    )
    assert {of.base_name(host) for of in export.by_port} == {name}
    assert len({of.sni(host) for of in export.by_port}) == len(ports)
    assert {of.behind_gateway(host) for of in export.by_port} == {host if whole else name}


def test_who_ends_tls_is_asked_by_the_name_that_it_knows(database: ExportedService, ended: ExportedService) -> None:
    host = database.hosts[1]
    assert database.termination == "pod"
    assert database.sni(host) == f"outbound_.3306_._.{host}"
    assert ended.termination == "gateway"
    assert ended.sni(host) == "db-pxc-1.db.shop.dc1.dcmesh"
    assert ended.only(host).served == {host: "db-pxc-1.db.shop.dc1.dcmesh"}
    assert database.only(host).served == {host: host}


def test_a_service_as_a_whole_has_a_name_too() -> None:
    assert server_name("db.shop.svc.cluster.local", "dc1") == "db.shop.dc1.dcmesh"
    assert is_whole("db.shop.svc.cluster.local")
    assert not is_whole("db-0.db.shop.svc.cluster.local")
    for host in ("db.shop.svc.cluster.local", "db-0.db.shop.svc.cluster.local"):
        assert service_of(host) == ("shop", "db")


def test_as_output_is_plain_json_in_camel_case(link: Link) -> None:
    assert json.loads(json.dumps(link.as_output())) == {
        "site": "dc1",
        "gateway": {"addresses": ["192.0.2.1"], "port": 15443},
        "exports": [
            {
                "name": "orders",
                "namespace": "shop",
                "hosts": ["db-pxc-0.db.shop.svc.cluster.local", "db-pxc-1.db.shop.svc.cluster.local"],
                "port": 3306,
                "protocol": "TCP",
                "identity": "spiffe://cluster.local/ns/shop/sa/mysql",
                "consumers": [{"site": "dc2", "namespace": "dr", "serviceAccount": "replica"}],
                "probe": "greeting",
            }
        ],
    }
