"""The whole program, the real `__main__.py`, under mocks: with the stack dev, and with other kinds of stacks."""

import copy
import functools
import json
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pulumi
import pytest

from dcmesh import config
from tests.unit.configurations import stack as example_stack
from tests.unit.conftest import settings_of, stack_dev
from tests.unit.engine import Engine, Resource, address_of, readable_strings
from tests.unit.program import (
    Config,
    asked_hosts,
    existing_cluster,
    existing_clusters,
    exported,
    imported,
    probed,
    probes,
    run_apart,
    run_program,
    site_of,
    source_of,
    together,
)

HELLO = [f"hello-{n}.hello.demo.svc.cluster.local" for n in range(3)]
ISTIO_KINDS = ("ServiceEntry", "DestinationRule", "Sidecar", "Gateway", "PeerAuthentication", "AuthorizationPolicy")
INJECTED_KINDS = ("StatefulSet", "Deployment", "Job")


# --- stacks ------------------------------------------------------------------------------------------------------


def as_it_stands(_: Config) -> None:
    pass


def on_existing_clusters(stack: Config) -> None:
    for site in stack["sites"]:
        site["cluster"] = existing_cluster(site["name"])


def apart(stack: Config) -> list[tuple[str, Config]]:
    """As in production: a stack for trust and one for each site, run one after the other."""
    on_existing_clusters(stack)
    exporter, importer = stack["sites"]
    of_trust = {"source": "stack", "stack": "organization/dcmesh/trust"}
    return [
        ("trust", {"trust": {"issueFor": ["dc1", "dc2"]}}),
        ("dc1", {"trust": of_trust, "sites": [exporter]}),
        ("dc2", {"trust": of_trust, "sites": [importer], "peers": [{"name": "dc1"}]}),
    ]


def more_exports(stack: Config) -> None:
    """hello, and also a database and a queue, for three accounts, one of them in another namespace."""
    accounts = [("demo-dr", "client"), ("demo-dr", "auditor"), ("shop-dr", "replica")]
    exporter, importer = stack["sites"]
    consumers = [{"site": "dc2", "namespace": namespace, "serviceAccount": name} for namespace, name in accounts]
    orders = {
        "name": "orders",
        "namespace": "shop",
        "statefulSet": "db-pxc",
        "service": "db",
        "replicas": 2,
        "port": 3306,
        "serviceAccount": "mysql",
        "selector": {"app": "db"},
        "consumers": consumers,
    }
    queue = orders | {"name": "queue", "statefulSet": "queue", "service": "queue", "consumers": consumers[2:]}
    exporter["exports"] += [orders, queue]
    importer["imports"] += [
        {"from": "dc1", "export": export["name"], "namespace": c["namespace"], "serviceAccount": c["serviceAccount"]}
        for export in (orders, queue)
        for c in export["consumers"]
    ]


def three_sites(stack: Config) -> None:
    """dc1 exports to dc2 and dc3."""
    exporter, importer = stack["sites"]
    third = copy.deepcopy(importer) | {"name": "dc3"}
    third["cluster"]["kubeconfig"] = importer["cluster"]["kubeconfig"].replace("dc2", "dc3")
    exporter["exports"][0]["consumers"].append(exporter["exports"][0]["consumers"][0] | {"site": "dc3"})
    stack["sites"].append(third)


def both_directions(stack: Config) -> None:
    """dc2 exports the same in other namespaces, and dc1 imports it."""
    there = json.loads(json.dumps(stack["sites"]).replace('"demo', '"back'))
    swapped = json.loads(
        json.dumps(there).replace('"dc1"', '"dcX"').replace('"dc2"', '"dc1"').replace('"dcX"', '"dc2"')
    )
    for site, back in zip(stack["sites"], swapped[::-1], strict=True):
        site["cluster"] = "k3d"
        for part in ("workloads", "exports", "imports"):
            site[part] = site.get(part, []) + back.get(part, [])


def databases(stack: Config) -> None:
    """The demo, and also the example mariadb: a primary in dc1, its replica in dc2."""
    for site, example in zip(stack["sites"], example_stack("mariadb")["sites"], strict=True):
        for part in ("workloads", "exports", "imports"):
            site[part] = site.get(part, []) + example.get(part, [])


def databases_apart(stack: Config) -> list[tuple[str, Config]]:
    """The replica's stack has the password from the primary's."""
    databases(stack)
    return apart(stack)


def switchable(stack: Config) -> None:
    """The demo, and also the example mariadb-switchover: either site can be the primary, and dc1 is."""
    example = example_stack("mariadb-switchover")
    stack["primary"] = example["primary"]
    for site, other in zip(stack["sites"], example["sites"], strict=True):
        for part in ("workloads", "exports", "imports"):
            site[part] = site.get(part, []) + other.get(part, [])


def switched(stack: Config) -> None:
    """The same after a switchover."""
    switchable(stack)
    stack["primary"] = "dc2"


COMMON_PASSWORD = "secret-of-both-1"


def switchable_apart(stack: Config) -> list[tuple[str, Config]]:
    """Each site in a stack of its own. Both stacks have the password. dc1's runs again after dc2's."""
    switchable(stack)
    trust, dc1, dc2 = apart(stack)
    for _, one in (dc1, dc2):
        one["primary"] = stack["primary"]
        for workload in one["sites"][0]["workloads"]:
            if workload["kind"] == "mariadb":
                workload["replicationPassword"] = COMMON_PASSWORD
    dc1[1]["peers"] = [{"name": "dc2"}]
    return [trust, dc1, dc2, dc1]


APART = (apart, databases_apart, switchable_apart)
SWITCHABLE = (switchable, switched, switchable_apart)

STACKS: list[Callable[[Config], list[tuple[str, Config]] | None]] = [
    as_it_stands,
    on_existing_clusters,
    apart,
    more_exports,
    three_sites,
    both_directions,
    databases,
    databases_apart,
    *SWITCHABLE,
]


@pytest.fixture(scope="module")
def deploy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Engine]]:
    """Run the program with a changed configuration of dev, once for all tests."""

    @functools.cache
    def run(change: Callable[[Config], list[tuple[str, Config]] | None]) -> Engine:
        configuration = stack_dev()
        stacks = change(configuration)
        return together(run_apart(stacks).values()) if stacks else run_program(Engine(), configuration)

    with existing_clusters(tmp_path_factory.mktemp("clusters"), "dc1", "dc2"):
        yield run


@pytest.fixture(params=STACKS, ids=lambda change: change.__name__)
def stack(request: pytest.FixtureRequest, deploy: Callable[..., Engine]) -> Engine:
    return deploy(request.param)


def only(*changes: Callable[[Config], None]) -> pytest.MarkDecorator:
    """Run a test on some of the stacks only."""
    return pytest.mark.parametrize("stack", changes, indirect=True, ids=lambda change: change.__name__)


# --- what holds in every stack -----------------------------------------------------------------------------------


def test_everything_in_kubernetes_is_on_the_provider_of_its_site(stack: Engine) -> None:
    for resource in stack.in_kubernetes():
        assert resource.provider == f"{site_of(resource)}-cluster-kubernetes", resource.name


def test_each_provider_leads_to_the_cluster_of_its_site(stack: Engine) -> None:
    kubeconfigs = {site_of(p): p.inputs["kubeconfig"] for p in stack.kind("kubernetes")}
    assert len(kubeconfigs) > 1
    for site, kubeconfig in kubeconfigs.items():
        made = f"token: secret kubeconfig of {site}-cluster-cluster\n" in kubeconfig
        assert made or f"token: secret token of {site}\n" in kubeconfig


def test_nothing_secret_is_readable(stack: Engine) -> None:
    for resource in stack.asked.values():
        assert not [text for text in readable_strings(resource.raw) if "secret " in text], resource.name
    assert not [text for text in readable_strings(stack.raw_outputs) if "secret " in text]
    readable = {key: value for key, value in stack.outputs.items() if key not in stack.secret_outputs}
    assert "secret " not in json.dumps(readable)


def test_no_password_is_readable(stack: Engine) -> None:
    secrets = [secret.inputs["stringData"] for secret in stack.kind("Secret")]
    users = ("replication", "replication_local")
    passwords = {data[user] for data in secrets if "root" in data for user in users}
    assert all(passwords)
    told = {password for site in stack.outputs["replicationPasswords"].values() for password in site.values()}
    assert told <= passwords
    readable = [text for resource in stack.asked.values() for text in readable_strings(resource.raw)]
    readable += readable_strings(stack.raw_outputs)
    assert not [text for text in readable for password in passwords if password in text]


def test_outputs(stack: Engine) -> None:
    names = {"link", "sites", "replicationPasswords", "kubeconfigs", "intermediates", "certificates"}
    assert set(stack.outputs) == names
    secret = {key for key in ("kubeconfigs", "intermediates", "replicationPasswords") if stack.outputs[key]}
    assert stack.secret_outputs == secret
    made = {site_of(command) for command in stack.kind("Command") if command.name.endswith("-cluster")}
    kubeconfigs = {site_of(p): p.inputs["kubeconfig"] for p in stack.kind("kubernetes") if site_of(p) in made}
    assert stack.outputs["kubeconfigs"] == kubeconfigs
    for site, known in stack.outputs["sites"].items():
        if site in made:
            assert known["cluster"] is None
        else:
            assert known["cluster"].items() >= {"kubeconfig": f"$CLUSTERS/{site}", "context": "there"}.items()


def test_no_two_objects_are_one_in_a_cluster(stack: Engine) -> None:
    objects = [(resource.provider, resource.type, *resource.object) for resource in stack.in_kubernetes()]
    assert len(set(objects)) == len(objects)


def test_istiod_starts_with_its_own_authority(stack: Engine) -> None:
    istiods = [release for release in stack.kind("Release") if release.inputs["name"] == "istiod"]
    assert istiods
    for istiod in istiods:
        site = site_of(istiod)
        assert {f"{site}-istio-cacerts", f"{site}-istio-base"} <= stack.before(istiod.name)


def test_istio_objects_and_injected_pods_wait_for_istiod(stack: Engine) -> None:
    waiting = stack.kind(*ISTIO_KINDS, *INJECTED_KINDS)
    waiting += [release for release in stack.kind("Release") if release.inputs["name"] == "istio-eastwestgateway"]
    assert {resource.kind for resource in waiting} == {*ISTIO_KINDS, *INJECTED_KINDS, "Release"}
    for resource in waiting:
        assert f"{site_of(resource)}-istio-istiod" in stack.before(resource.name), resource.name


def test_objects_wait_for_their_namespace_if_the_program_makes_it(stack: Engine) -> None:
    made = {(n.provider, n.object[1]): n.name for n in stack.kind("Namespace")}
    for resource in stack.in_kubernetes():
        namespace = made.get((resource.provider, resource.object[0]))
        assert namespace is None or namespace in stack.before(resource.name), resource.name


def test_gateways_open_only_after_the_policies(stack: Engine) -> None:
    for gateway in stack.kind("Gateway"):
        policies = {
            p.name for p in stack.kind("PeerAuthentication", "AuthorizationPolicy") if p.parent == gateway.parent
        }
        assert len(policies) == 2
        assert policies <= stack.before(gateway.name)


def test_probes_wait_for_all_that_is_imported_into_their_namespace(stack: Engine) -> None:
    for job in probes(stack):
        objects = {
            resource.name
            for kind in ("ServiceEntry", "DestinationRule", "Sidecar")
            for resource in imported(stack, kind)
            if (resource.provider, resource.object[0]) == (job.provider, job.object[0])
        }
        assert len(objects) >= 3
        assert objects <= stack.before(job.name)


def test_every_imported_host_is_probed(stack: Engine) -> None:
    """Each import belongs to one consumer, so its hosts are asked in that consumer's namespace."""
    assert asked_hosts(stack).keys() == {site_of(e) for e in imported(stack, "ServiceEntry")}
    for site in asked_hosts(stack):
        entries = [e for e in imported(stack, "ServiceEntry") if site_of(e) == site]
        wanted = {(e.object[0], *e.spec["hosts"], str(int(e.spec["ports"][0]["number"]))) for e in entries}
        jobs = [job for job in probes(stack) if site_of(job) == site]
        assert {(job.object[0], host, port) for job in jobs for host, port, _ in probed(job)} == wanted


def test_hosts_of_a_site_have_addresses_of_their_own(stack: Engine) -> None:
    """One host may be imported into several namespaces, under one address."""
    for site in asked_hosts(stack):
        entries = [e.spec for e in imported(stack, "ServiceEntry") if site_of(e) == site]
        vips = {(entry["hosts"][0], *entry["addresses"]) for entry in entries}
        assert len(vips) == len({host for host, _ in vips}) == len({vip for _, vip in vips})


def test_only_exporting_sites_have_a_gateway_and_it_is_their_only_door(stack: Engine) -> None:
    exporting = set(stack.outputs["link"])
    doors = [s for s in stack.kind("Service") if s.spec.get("type", "ClusterIP") != "ClusterIP"]
    assert {(site_of(door), door.object[1], door.spec["type"]) for door in doors} == {
        (site, "istio-eastwestgateway", "LoadBalancer") for site in exporting
    }
    assert len(doors) == len(exporting)
    for door in doors:
        assert {port["port"] for port in door.spec["ports"]} == {15021, 15443}
        assert all(port["targetPort"] == port["port"] for port in door.spec["ports"])
    releases = [r for r in stack.kind("Release") if r.inputs["name"] == "istio-eastwestgateway"]
    assert {site_of(r) for r in releases} == {site_of(g) for g in stack.kind("Gateway")} == exporting


def test_gateways_pass_on_what_the_link_names_and_no_more(stack: Engine) -> None:
    for site, link in stack.outputs["link"].items():
        gateways = [g for g in stack.kind("Gateway") if site_of(g) == site]
        passed = [host for g in gateways for server in g.spec["servers"] for host in server["hosts"]]
        assert sorted(passed) == sorted(host for export in link["exports"] for host in export["hosts"])
        pods = [e for e in exported(stack, "ServiceEntry") if site_of(e) == site]
        assert sorted(host for pod in pods for host in pod.spec["hosts"]) == sorted(passed)


def test_importers_go_where_the_link_says_and_trust_whom_it_says(stack: Engine) -> None:
    exports = {
        host: (link["gateway"], export)
        for link in stack.outputs["link"].values()
        for export in link["exports"]
        for host in export["hosts"]
    }
    imports = [e.spec for e in imported(stack, "ServiceEntry")]
    assert {host for spec in imports for host in spec["hosts"]} == set(exports)
    for spec in imports:
        gateway, export = exports[spec["hosts"][0]]
        assert [endpoint["address"] for endpoint in spec["endpoints"]] == gateway["addresses"]
        assert {port for e in spec["endpoints"] for port in e["ports"].values()} == {gateway["port"]}
        assert spec["subjectAltNames"] == [export["identity"]]


def is_asked_by(name: str, rule: Config) -> bool:
    """Tell whether a rule applies to connections with this server name, as Istio matches it."""
    (condition,) = rule["when"]
    assert condition["key"] == "connection.sni"
    patterns = [[pattern.removeprefix("*") for pattern in condition.get(k, [])] for k in ("values", "notValues")]
    hit, miss = (any(name.endswith(ending) for ending in endings) for endings in patterns)
    return hit and not miss


def test_who_asks_for_the_service_itself_needs_no_permission(stack: Engine) -> None:
    """Local clients ask in this way, whatever pod they are led to."""
    rules = [rule for policy in stack.kind("AuthorizationPolicy") for rule in policy.spec["rules"]]
    for link in stack.outputs["link"].values():
        for export in link["exports"]:
            service = export["hosts"][0].partition(".")[2]
            assert not [rule for rule in rules if is_asked_by(f"outbound_.{export['port']}_._.{service}", rule)]


def test_whoever_imports_is_whom_the_policy_lets_in(stack: Engine) -> None:
    for job in probes(stack):
        account = job.spec["template"]["spec"]["serviceAccountName"]
        principal = f"cluster.local/ns/{job.object[0]}/sa/{account}"
        for host, port, _ in probed(job):
            name = f"outbound_.{port}_._.{host}"
            (policy,) = [
                rule for p in stack.kind("AuthorizationPolicy") for rule in p.spec["rules"] if is_asked_by(name, rule)
            ]
            assert principal in policy["from"][0]["source"]["notPrincipals"]


@only(*(change for change in STACKS if change not in (on_existing_clusters, *APART)))
def test_what_is_in_a_cluster_goes_with_it(stack: Engine) -> None:
    for resource in stack.in_kubernetes():
        assert stack.deleted_with(resource.name) == f"{site_of(resource)}-cluster-cluster", resource.name


@only(on_existing_clusters, *APART)
def test_what_is_in_a_cluster_of_somebody_else_is_deleted_by_itself(stack: Engine) -> None:
    inside = [*stack.in_kubernetes(), *stack.kind("Command")]
    assert not [resource.name for resource in inside if stack.deleted_with(resource.name)]


def test_changed_certificates_are_allowed_first_and_seen_through(stack: Engine) -> None:
    """The Secret's content then decides. Other stacks learn of them when all proxies follow."""
    given = {site_of(secret): secret for secret in stack.kind("Secret") if secret.object[1] == "cacerts"}
    settling = {site_of(one): one for one in stack.kind("Command") if one.name.endswith("-certificates")}
    assert settling.keys() == given.keys()
    for site, command in settling.items():
        secret, pems = given[site], given[site].inputs["stringData"]
        assert f"{site}-certificates-allowed" in {*secret.request.hooks.before_create}
        assert [*secret.request.hooks.before_update] == [f"{site}-certificates-allowed"]
        begun = stack[f"{site}-certificates-begun"]
        written = [pems["cert-chain.pem"], pems["root-cert.pem"]]
        assert (begun.inputs["create"], begun.inputs["triggers"]) == (":", written)
        assert begun.name in stack.before(secret.name), "a change that was begun and taken back is completed too"
        assert command.inputs["triggers"] == [*written, f"id of {begun.name}"]
        assert command.inputs["create"].endswith(f"-m dcmesh settle {site}")
        istiods = {r.name for r in stack.kind("Release") if r.inputs["name"] == "istiod" and site_of(r) == site}
        assert {secret.name, *istiods} <= stack.before(command.name)
        assert stack.deleted_with(command.name) == stack.deleted_with(secret.name)
        told = stack.outputs["certificates"][site]
        assert [told["certChain"], told["rootCert"]] == written


def test_trust_is_not_part_of_any_cluster(stack: Engine) -> None:
    """The root outlives every cluster."""
    kinds = ("PrivateKey", "SelfSignedCert", "CertRequest", "LocallySignedCert")
    certificates = [r for r in stack.kind(*kinds) if "trust" in {part.name for part in stack.parents(r.name)}]
    assert len(certificates) == 2 + 3 * len(stack.outputs["sites"])
    assert not [resource.name for resource in certificates if stack.deleted_with(resource.name)]
    assert {cert.inputs["caCertPem"] for cert in stack.kind("LocallySignedCert")} == {
        f"certificate of {stack.one('SelfSignedCert').name}\n"
    }


# --- what is particular ------------------------------------------------------------------------------------------


@only(as_it_stands)
def test_link_and_hosts_of_dev(stack: Engine) -> None:
    assert stack.outputs["link"] == {
        "dc1": {
            "site": "dc1",
            "gateway": {"addresses": [address_of("dc1-gateway.dcmesh-gateway-service")], "port": 15443},
            "exports": [
                {
                    "name": "hello",
                    "namespace": "demo",
                    "hosts": HELLO,
                    "port": 8080,
                    "protocol": "HTTP",
                    "identity": "spiffe://cluster.local/ns/demo/sa/hello",
                    "consumers": [{"site": "dc2", "namespace": "demo-dr", "serviceAccount": "client"}],
                    "probe": "pod-name",
                }
            ],
        }
    }
    assert asked_hosts(stack) == {"dc2": set(HELLO)}


@only(as_it_stands)
def test_what_dev_exports_is_what_runs_there(stack: Engine) -> None:
    """The configuration names the workload's pods twice: it must mean the same."""
    pods = stack.one("StatefulSet")
    (export,) = stack.outputs["link"]["dc1"]["exports"]
    namespace, name = pods.object
    labels = pods.spec["template"]["metadata"]["labels"]
    account = pods.spec["template"]["spec"]["serviceAccountName"]
    assert export["hosts"] == [
        f"{name}-{n}.{pods.spec['serviceName']}.{namespace}.svc.cluster.local"
        for n in range(int(pods.spec["replicas"]))
    ]
    assert export["identity"] == f"spiffe://cluster.local/ns/{namespace}/sa/{account}"
    for policy in stack.kind("PeerAuthentication", "AuthorizationPolicy"):
        assert policy.object[0] == namespace
        assert policy.spec["selector"]["matchLabels"].items() <= labels.items()


@only(as_it_stands)
def test_dev_runs_the_labs_istio(stack: Engine) -> None:
    values = {release.name: release.inputs["values"] for release in stack.kind("Release")}
    assert values["dc1-istio-istiod"]["hub"] == "docker.io/istio"
    assert (
        values["dc1-istio-istiod"]["meshConfig"]["defaultConfig"]["proxyMetadata"]["ISTIO_META_DNS_CAPTURE"] == "true"
    )
    assert values["dc1-istio-istiod"]["env"].keys() >= {"ISTIO_MULTIROOT_MESH", "PILOT_ENABLE_ALPN_FILTER"}
    assert {release.inputs["chart"] for release in stack.kind("Release")} == {
        f"./.lab/charts-1.31/{chart}" for chart in ("base", "istiod", "gateway")
    }


@only(as_it_stands)
def test_each_mesh_knows_its_own_cluster(stack: Engine) -> None:
    names = {
        site_of(release): release.inputs["values"]["global"]["multiCluster"]["clusterName"]
        for release in stack.kind("Release")
        if release.inputs["name"] == "istiod"
    }
    assert names == {"dc1": "dc1", "dc2": "dc2"}


@only(both_directions)
def test_k3d_sites_meet_at_ports_of_the_docker_host(stack: Engine) -> None:
    assert {site: link["gateway"] for site, link in stack.outputs["link"].items()} == {
        "dc1": {"addresses": ["host.k3d.internal"], "port": 15443},
        "dc2": {"addresses": ["host.k3d.internal"], "port": 15444},
    }
    assert {e.spec["resolution"] for e in imported(stack, "ServiceEntry")} == {"DNS"}


@only(more_exports)
def test_each_consumer_asks_for_what_it_imports(stack: Engine) -> None:
    asked = {job.object: {host.partition(".")[2] for host, *_ in probed(job)} for job in probes(stack)}
    demo, orders, queue = (f"{name}.svc.cluster.local" for name in ("hello.demo", "db.shop", "queue.shop"))
    assert asked == {
        ("demo-dr", "dcmesh-probe-client"): {demo, orders},
        ("demo-dr", "dcmesh-probe-auditor"): {orders},
        ("shop-dr", "dcmesh-probe-replica"): {orders, queue},
    }


@only(three_sites)
def test_one_site_exports_to_two(stack: Engine) -> None:
    assert set(stack.outputs["link"]) == {"dc1"}
    asked = asked_hosts(stack)
    assert asked.keys() == {"dc2", "dc3"}
    assert asked["dc2"] == asked["dc3"]


@only(three_sites)
def test_three_sites_share_one_root_and_no_intermediate(stack: Engine) -> None:
    secrets = [secret.inputs["stringData"] for secret in stack.kind("Secret")]
    assert len(secrets) == 3
    assert len({secret["root-cert.pem"] for secret in secrets}) == 1
    assert len({secret["ca-key.pem"] for secret in secrets}) == len({secret["ca-cert.pem"] for secret in secrets}) == 3


@only(both_directions)
def test_both_directions(stack: Engine) -> None:
    asked = asked_hosts(stack)
    assert set(stack.outputs["link"]) == asked.keys() == {"dc1", "dc2"}
    assert not asked["dc1"] & asked["dc2"]


# --- databases ---------------------------------------------------------------------------------------------------

both_databases = only(databases, databases_apart)
PRIMARY = "db-0.db.wookie.svc.cluster.local"


def by_site(stack: Engine, kind: str, name: str) -> dict[str, Resource]:
    """Return each site's resources of a kind whose names end with this."""
    return {site_of(resource): resource for resource in stack.kind(kind) if resource.name.endswith(name)}


@both_databases
def test_both_ends_of_a_channel_have_one_password_and_each_site_its_own(stack: Engine) -> None:
    given = {site: secret.inputs["stringData"] for site, secret in by_site(stack, "Secret", "-passwords").items()}
    assert set(given) == {"dc1", "dc2"}
    assert given["dc1"]["replication"] == given["dc2"]["replication"]
    assert len({given["dc1"]["replication_local"], given["dc2"]["replication_local"], given["dc1"]["replication"]}) == 3
    assert stack.outputs["replicationPasswords"] == {"dc1": {"db": given["dc1"]["replication"]}}


@both_databases
def test_a_replica_follows_the_first_pod_that_it_imports(stack: Engine) -> None:
    pods = {r.object[0]: r for r in stack.kind("StatefulSet") if r.object[1] == "db"}
    assert {namespace: source_of(r) for namespace, r in pods.items()} == {"wookie": "", "wookie-dr": PRIMARY}
    imports = {(e.object[0], *e.spec["hosts"]) for e in imported(stack, "ServiceEntry")}
    assert ("wookie-dr", PRIMARY) in imports
    follows = {site: known["servers"][0]["follows"] for site, known in stack.outputs["sites"].items()}
    assert follows == {"dc1": [], "dc2": [PRIMARY]}


@both_databases
def test_imports_and_probes_do_not_wait_for_the_replica_which_waits_for_them(stack: Engine) -> None:
    for resource in [
        r for kind in ("ServiceEntry", "DestinationRule", "Sidecar", "Job") for r in imported(stack, kind)
    ]:
        assert "dc2.wookie-dr-statefulset" in stack.asked
        assert "dc2.wookie-dr-statefulset" not in stack.before(resource.name), resource.name


@both_databases
def test_gateways_open_without_waiting_for_databases(stack: Engine) -> None:
    for gateway in stack.kind("Gateway"):
        assert not [name for name in stack.before(gateway.name) if name.endswith("-statefulset")]


@pytest.mark.usefixtures("deploy")
def test_a_replica_is_made_once_its_primary_is_there(dev: Config) -> None:
    """Its stack may come first. Then everything else is made, and it exports what it will have."""
    _, primary, (_, stack) = databases_apart(dev)
    del stack["trust"], primary[1]["trust"]
    replica = stack["sites"][0]
    back = {"site": "dc3", "namespace": "wookie-3", "serviceAccount": "db"}
    replica["exports"] = [primary[1]["sites"][0]["exports"][-1] | {"namespace": "wookie-dr", "replicas": 1}]
    replica["exports"][0]["consumers"] = [back]
    first = run_program(Engine(stacks={"organization/dcmesh/dc1": {}}), stack)
    there = {r.kind for r in first.in_kubernetes() if r.name.startswith("dc2.wookie-dr-")}
    assert there == {"Namespace", "ServiceAccount"}
    assert (first.outputs["sites"]["dc2"]["servers"], first.outputs["replicationPasswords"]) == ([], {})
    assert first.outputs["link"]["dc2"]["exports"][0]["hosts"] == ["db-0.db.wookie-dr.svc.cluster.local"]
    then = run_apart([primary, ("dc2", stack)])
    assert "dc2.wookie-dr-statefulset" in then["dc2"].asked
    assert then["dc2"].outputs["replicationPasswords"]["dc2"] == then["dc1"].outputs["replicationPasswords"]["dc1"]


# --- databases that can change roles -----------------------------------------------------------------------------

HERE, THERE = "db-0.db.wookie.svc.cluster.local", "db-0.db.wookie-dr.svc.cluster.local"


def container_env(pods: Resource) -> dict[str, str]:
    """Return the environment of the first container of a resource's pods: the init container if there is one."""
    pod = pods.spec["template"]["spec"]
    first = (pod.get("initContainers") or pod["containers"])[0]
    return {variable["name"]: variable["value"] for variable in first["env"] if "value" in variable}


@only(*SWITCHABLE)
def test_each_site_knows_the_other_in_either_role(stack: Engine) -> None:
    pods = {site_of(r): r for r in stack.kind("StatefulSet") if r.object[1] == "db"}
    assert {site: source_of(r) for site, r in pods.items()} == {"dc1": THERE, "dc2": HERE}
    for site, other in (("dc1", "dc2"), ("dc2", "dc1")):
        given = container_env(pods[site])
        assert (given["SITE"], given["SOURCE_SITE"], given["PRIMARY"]) == (site, other, "")


@only(*SWITCHABLE)
def test_both_sites_have_one_password_and_tell_it(stack: Engine) -> None:
    given = {site: secret.inputs["stringData"] for site, secret in by_site(stack, "Secret", "-passwords").items()}
    assert given["dc1"]["replication"] == given["dc2"]["replication"]
    assert len({given["dc1"]["replication_local"], given["dc2"]["replication_local"], given["dc1"]["replication"]}) == 3
    one = given["dc1"]["replication"]
    assert stack.outputs["replicationPasswords"] == {"dc1": {"db": one}, "dc2": {"db-dr": one}}


def switchovers(stack: Engine) -> list[Resource]:
    """Return the Commands that give databases their roles."""
    return [command for command in stack.kind("Command") if command.name.endswith("-switchover")]


@pytest.mark.usefixtures("stack")
@only(switchable, switched)
def test_a_switchover_restarts_no_pod(deploy: Callable[..., Engine]) -> None:
    """`primary` changes only the ConfigMaps with the role in the clusters. A Command does the switchover."""
    before, after = deploy(switchable), deploy(switched)
    differ = {name for name, r in before.asked.items() if r.inputs != after[name].inputs}
    commands = {"dc1.wookie-dc2.wookie-dr-switchover", "dc1.wookie-dc2.wookie-dr-switchover-begun"}
    assert differ == {"dc1.wookie-role", "dc2.wookie-dr-role", *commands}
    assert before.asked.keys() == after.asked.keys()


@only(switchable, switched)
def test_commands_and_roles_name_the_primary(stack: Engine, deploy: Callable[..., Engine]) -> None:
    primary = "dc2" if stack is deploy(switched) else "dc1"
    (command,) = switchovers(stack)
    assert command.inputs["create"].endswith(f" --primary {primary}")
    roles = by_site(stack, "ConfigMap", "-role")
    assert roles.keys() == {"dc1", "dc2"}
    for config_map in roles.values():
        assert config_map.inputs["data"] == {"primary": primary, "without": ""}
        assert not config_map.inputs.get("immutable")


@only(*SWITCHABLE)
def test_roles_are_there_before_the_pods_and_changed_after_them(stack: Engine) -> None:
    roles = by_site(stack, "ConfigMap", "-role")
    databases = {site_of(r): r for r in stack.kind("StatefulSet") if r.object[1] == "db"}
    for site, database in databases.items():
        assert roles[site].name in stack.before(database.name)
    commands = switchovers(stack)
    assert {name for command in commands for name in stack.before(command.name)} >= {r.name for r in databases.values()}
    assert not [command for command in commands if command.name in stack.before(databases["dc1"].name)]


@only(*SWITCHABLE)
def test_the_output_is_of_the_present_roles(stack: Engine, deploy: Callable[..., Engine]) -> None:
    primary, replica = ("dc2", "dc1") if stack is deploy(switched) else ("dc1", "dc2")
    source = HERE if primary == "dc1" else THERE
    follows = {site: [s["follows"] for s in known["servers"]] for site, known in stack.outputs["sites"].items()}
    assert follows == {primary: [[]], replica: [[source]]}


@pytest.mark.usefixtures("deploy")
@pytest.mark.parametrize("primary", ["dc1", "dc2"])
def test_the_primarys_stack_comes_first(dev: Config, primary: str) -> None:
    """It starts as the primary although nothing of the other site exists yet. A replica waits."""
    trust, dc1, dc2, _ = switchable_apart(dev)
    for _, one in (dc1, dc2):
        one["primary"] = primary
    engines = run_apart([trust, dc1], {"dc2": Engine()})
    first = engines["dc1"]
    made = {r.kind for r in first.in_kubernetes() if r.name.startswith("dc1.wookie-")}
    assert not switchovers(first)
    assert "db" in [export["name"] for export in first.outputs["link"]["dc1"]["exports"]]
    if primary == "dc2":
        assert made == {"Namespace", "ServiceAccount"}
        return
    volumes = {"PersistentVolumeClaimPatch"}
    assert made == {"Namespace", "ServiceAccount", "Secret", "ConfigMap", "Service", "StatefulSet"} | volumes
    (pods,) = [r for r in first.kind("StatefulSet") if r.object[1] == "db"]
    given = container_env(pods)
    assert (given["PRIMARY"], given["SOURCE_SITE"], given["SOURCE_HOST"]) == ("", "dc2", "")
    assert [s["follows"] for s in first.outputs["sites"]["dc1"]["servers"]] == [[]]
    second = run_apart([dc2, dc1], engines)
    assert [s["follows"] for s in second["dc2"].outputs["sites"]["dc2"]["servers"]] == [[HERE]]
    for name in ("dc1", "dc2"):
        assert [site_of(command) for command in switchovers(second[name])] == [name]


def test_a_failover_reaches_the_switchover_and_pods(engine: Engine, dev: Config) -> None:
    switched(dev)
    dev["failover"] = {"without": "dc1", "at": "0-1-42"}
    run_program(engine, dev)
    (command,) = switchovers(engine)
    assert command.inputs["create"].endswith(" --primary dc2 --without dc1 --at 0-1-42")
    roles = by_site(engine, "ConfigMap", "-role")
    assert roles.keys() == {"dc1", "dc2"}
    for config_map in roles.values():
        assert config_map.inputs["data"] == {"primary": "dc2", "without": "dc1"}


# --- gateways as they come ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ingress", "resolution"),
    [
        ([{"hostname": "lb.example.com"}], "DNS"),
        ([{"ip": "192.0.2.1"}, {"ip": "192.0.2.2"}], "STATIC"),
        ([{"hostname": "a.example.com"}, {"hostname": "b.example.com"}], "DNS"),
    ],
)
def test_gateways_addresses_reach_importers_and_probe(
    dev: Config, ingress: list[dict[str, str]], resolution: str
) -> None:
    engine = run_program(Engine(ingress), dev)
    addresses = [address for entry in ingress for address in entry.values()]
    assert engine.outputs["link"]["dc1"]["gateway"]["addresses"] == addresses
    for entry in [e.spec for e in imported(engine, "ServiceEntry")]:
        assert entry["resolution"] == resolution
        assert [endpoint["address"] for endpoint in entry["endpoints"]] == addresses
    pod = engine.one("Job").spec["template"]
    assert all(address in pod["metadata"]["annotations"]["dcmesh/path"] for address in addresses)


@pytest.mark.parametrize(
    ("gateway", "address", "port"),
    [
        ({"advertise": ["vpn.example.com"]}, "vpn.example.com", 15443),
        ({"advertisePort": 443}, address_of("dc1-gateway.dcmesh-gateway-service"), 443),
        ({"exposure": "nodeport", "nodePort": 31443, "advertise": ["192.0.2.7"]}, "192.0.2.7", 31443),
        (
            {"exposure": "nodeport", "nodePort": 31443, "advertise": ["192.0.2.7"], "advertisePort": 443},
            "192.0.2.7",
            443,
        ),
    ],
)
def test_importers_go_where_they_are_told_to(
    engine: Engine, dev: Config, gateway: Config, address: str, port: int
) -> None:
    dev["sites"][0]["gateway"] = gateway
    run_program(engine, dev)
    assert engine.outputs["link"]["dc1"]["gateway"] == {"addresses": [address], "port": port}
    endpoints = [endpoint for entry in imported(engine, "ServiceEntry") for endpoint in entry.spec["endpoints"]]
    assert {(e["address"], *e["ports"].values()) for e in endpoints} == {(address, port)}
    service = engine["dc1-gateway.dcmesh-gateway-service"].spec
    assert [p["nodePort"] for p in service["ports"] if "nodePort" in p] == (
        [gateway["nodePort"]] if "nodePort" in gateway else []
    )


# --- where the gateway stands ------------------------------------------------------------------------------------

OLD, NEW = "dc1-gateway-service", "dc1-gateway.dcmesh-gateway-service"
"""The gateway's Service, with the name of dcmesh 0.1.0, and with the name since then."""


def left_by(*services: str, told: str | None = None) -> dict[str, Any]:
    """Return the state of dev's stack with these Services.

    `told` is the gateway's namespace in the last `up`'s outputs.

    The cluster's provider shows that the site existed.
    """
    urn = "urn:pulumi:dev::dcmesh"
    outputs = {"sites": {"dc1": {"gateway": {"namespace": told}}}} if told else {}
    state = {
        f"{urn}::pulumi:pulumi:Stack::dcmesh-dev": outputs,
        f"{urn}::pulumi:providers:kubernetes::dc1-cluster-kubernetes": {
            "clusterIdentifier": "made",
            "kubeconfig": "{}",
        },
        f"{urn}::command:local:Command::dc1-cluster-cluster": {"triggers": ["commands"]},
    }
    for service in services:
        namespace = "istio-system" if service == OLD else service.removeprefix("dc1-gateway.").removesuffix("-service")
        state[f"{urn}::kubernetes:core/v1:Service::{service}"] = {"metadata": {"namespace": namespace}}
    return {of: {"type": of.split("::")[2], "outputs": outputs} for of, outputs in state.items()}


@pytest.mark.parametrize(
    ("state", "wish", "services"),
    [
        ({}, {}, {NEW}),
        (left_by(OLD, told="istio-system"), {}, {OLD}),
        (left_by(OLD), {}, {OLD}),  # An `up` has failed half-way.
        (left_by(NEW, told="dcmesh-gateway"), {}, {NEW}),
        (left_by("dc1-gateway.infra-service", told="infra"), {}, {"dc1-gateway.infra-service"}),
        (left_by(OLD, NEW, told="istio-system"), {}, {OLD}),  # A move has failed half-way, and is taken back.
        (left_by(OLD, NEW, told="dcmesh-gateway"), {}, {NEW}),
        (left_by(OLD, told="istio-system"), {"namespace": "dcmesh-gateway"}, {NEW}),
    ],
)
def test_a_gateway_stays_where_it_is_until_it_is_to_move(
    dev: Config, state: dict[str, Any], wish: Config, services: set[str]
) -> None:
    dev["sites"] = dev["sites"][:1]
    dev["sites"][0]["gateway"] = wish
    engine = run_program(Engine(state=state), dev)
    assert {service.name for service in engine.kind("Service") if "gateway" in service.name} == services
    (namespace,) = {engine[service].object[0] for service in services}
    assert {gateway.object[0] for gateway in engine.kind("Gateway")} == {namespace}
    assert engine.outputs["sites"]["dc1"]["gateway"]["namespace"] == namespace


def test_a_gateway_that_moves_can_leave_another_behind_of_which_nobody_is_told(dev: Config) -> None:
    """Until their next `up`, sites of other stacks still use the old one."""
    dev["sites"][0]["gateway"] = {"namespace": "dcmesh-gateway", "formerNamespace": "istio-system"}
    before = left_by(OLD, told="istio-system")
    stacks = {"organization/dcmesh/test": {"sites": {"dc1": {"gateway": {"namespace": "istio-system"}, "servers": []}}}}
    engine = run_program(Engine(state=before, stacks=stacks), dev)
    assert engine.outputs["link"]["dc1"]["gateway"]["addresses"] == [address_of(NEW)]
    assert {gateway.object[0] for gateway in engine.kind("Gateway")} == {"istio-system", "dcmesh-gateway"}
    for entry in exported(engine, "ServiceEntry"):
        assert entry.spec["exportTo"] == ["dcmesh-gateway", "istio-system"]
    assert {part.name for part in engine.kind("Service")} >= {OLD, NEW}


# --- settings that reach far -------------------------------------------------------------------------------------


def with_wishes(stack: Config) -> None:
    """An Istio from a private mirror, and another range for virtual addresses."""
    more_exports(stack)
    exporter, importer = stack["sites"]
    importer["vipRange"] = "100.64.0.0/10"
    exporter["gateway"] = {"exposure": "metallb", "loadBalancerIp": "192.0.2.5", "sourceRanges": ["198.51.100.0/24"]}
    stack["istio"] = {
        "version": "1.32.2",
        "charts": "oci://example.com/charts",
        "hub": "example.com/istio",
        "tag": "1.32.2-mirror",
        "pullSecrets": ["mirror"],
        "replicas": 3,
        "egress": "REGISTRY_ONLY",
        "values": {"base": {"a": 1}, "istiod": {"b": 2}, "gateway": {"c": 3}},
    }


@only(with_wishes)
def test_istio_comes_from_where_it_is_wished(stack: Engine) -> None:
    releases = {release.inputs["chart"]: release.inputs for release in stack.kind("Release")}
    charts = {f"oci://example.com/charts/{chart}" for chart in ("base", "istiod", "gateway")}
    assert releases.keys() == charts
    assert {release["version"] for release in releases.values()} == {"1.32.2"}
    istiod, gateway = (releases[f"oci://example.com/charts/{chart}"]["values"] for chart in ("istiod", "gateway"))
    for images in (istiod, istiod["global"]):
        assert (images["hub"], images["tag"]) == ("example.com/istio", "1.32.2-mirror")
    assert istiod["global"]["imagePullSecrets"] == ["mirror"]
    assert gateway["imagePullSecrets"] == [{"name": "mirror"}]
    assert (istiod["replicaCount"], istiod["meshConfig"]["outboundTrafficPolicy"]) == (3, {"mode": "REGISTRY_ONLY"})


@only(with_wishes)
def test_an_istio_that_was_not_tried_is_warned_of(stack: Engine) -> None:
    tried = "was not tried with dcmesh: the newest that was is 1.31.0"
    assert stack.warnings == [f'istio.version: "1.32.2" {tried}']


@only(with_wishes)
def test_values_reach_their_charts(stack: Engine) -> None:
    own = {
        release.inputs["chart"].rpartition("/")[2]: {k: v for k, v in release.inputs["values"].items() if k in "abc"}
        for release in stack.kind("Release")
    }
    assert own == {"base": {"a": 1}, "istiod": {"b": 2}, "gateway": {"c": 3}}


@only(with_wishes)
def test_virtual_addresses_are_of_the_sites_range(stack: Engine) -> None:
    addresses = [IPv4Address(*e.spec["addresses"]) for e in imported(stack, "ServiceEntry")]
    assert len(set(addresses)) == 7
    assert all(address in IPv4Network("100.64.0.0/10") for address in addresses)


@only(as_it_stands)
def test_virtual_addresses_are_of_no_network_by_default(stack: Engine) -> None:
    addresses = [IPv4Address(*e.spec["addresses"]) for e in imported(stack, "ServiceEntry")]
    assert all(address.is_reserved for address in addresses)


@only(with_wishes)
def test_exposure_reaches_the_gateways_service(stack: Engine) -> None:
    spec = stack["dc1-gateway.dcmesh-gateway-service"].spec
    assert (spec["loadBalancerIP"], spec["loadBalancerSourceRanges"]) == ("192.0.2.5", ["198.51.100.0/24"])
    assert spec["externalTrafficPolicy"] == "Local"


def on_existing_istio(stack: Config) -> None:
    """Somebody else has installed Istio, with certificates, in both clusters."""
    on_existing_clusters(stack)
    del stack["istio"]
    stack |= {"trust": {"source": "existing"}, "istio": {"existing": {"revision": "stable"}, "pullSecrets": ["mirror"]}}


@only(on_existing_istio)
def test_existing_istio_is_left_as_it_is(stack: Engine) -> None:
    assert {release.inputs["name"] for release in stack.kind("Release")} == {"istio-eastwestgateway"}
    assert not stack.kind("Secret", "PrivateKey")
    assert {namespace.object[1] for namespace in stack.kind("Namespace")} == {"dcmesh-gateway", "demo", "demo-dr"}


@only(on_existing_istio)
def test_existing_istio_of_that_revision_serves_all(stack: Engine) -> None:
    labels = {n.object[1]: n.inputs["metadata"].get("labels") for n in stack.kind("Namespace")}
    injected = {"istio.io/rev": "stable"}
    assert labels == {"dcmesh-gateway": None, "demo": injected, "demo-dr": injected}
    gateway = stack.one("Release").inputs["values"]
    assert (gateway["revision"], gateway["imagePullSecrets"]) == ("stable", [{"name": "mirror"}])


@only(on_existing_istio)
def test_everything_else_is_as_with_an_istio_of_our_own(stack: Engine, deploy: Callable[..., Engine]) -> None:
    own = deploy(on_existing_clusters)
    for kind in ISTIO_KINDS + INJECTED_KINDS:
        assert {r.name: r.inputs for r in stack.kind(kind)} == {r.name: r.inputs for r in own.kind(kind)}
    assert stack.outputs["link"] == own.outputs["link"]


def test_gateway_without_address_stops_the_update(dev: Config) -> None:
    engine = Engine(ingress=[])
    with pytest.raises(pulumi.RunError, match=r"has no external address.*set gateway\.advertise"):
        run_program(engine, dev)
    assert not engine.kind("Job")


# --- what goes wrong ---------------------------------------------------------------------------------------------


def test_wrong_configuration_stops_before_the_first_resource(engine: Engine, dev: Config) -> None:
    dev["sites"][1]["imports"][0]["from"] = "dc3"
    dev["sites"][0]["exports"][0]["port"] = 0
    with pytest.raises(config.ConfigError, match=r"sites\[0\]\.exports\[0\]\.port.*\n.*sites\[1\]\.imports") as wrong:
        settings_of(dev)
    with pytest.raises(pulumi.RunError) as caught:
        run_program(engine, dev)
    assert str(caught.value) == str(wrong.value)
    assert not engine.asked


def test_missing_configuration_stops_before_the_first_resource(engine: Engine) -> None:
    with pytest.raises(pulumi.RunError, match=r"nothing was changed:\n  sites: is missing"):
        run_program(engine, {})
    assert not engine.asked


@pytest.mark.usefixtures("deploy")
def test_cluster_that_is_not_ready_stops_before_the_first_resource(engine: Engine, dev: Config) -> None:
    on_existing_clusters(dev)
    for site in dev["sites"]:
        del site["workloads"]
    with pytest.raises(pulumi.RunError) as caught:
        run_program(engine, dev)
    heading, *lines = str(caught.value).splitlines()
    assert heading == "the configuration is wrong, nothing was changed:"
    assert [line.partition(":")[0].strip() for line in lines] == [
        "sites[0].exports[0].namespace",
        "sites[1].imports[0].namespace",
    ]
    assert not engine.asked


def test_trust_is_configured(engine: Engine, dev: Config) -> None:
    dev["trust"] = {"organization": "Example", "rootValidityYears": 3, "intermediateValidityYears": 1}
    run_program(engine, dev)
    root, *intermediates = [
        (cert.inputs["validityPeriodHours"] / 8760, cert.kind)
        for cert in engine.kind("SelfSignedCert", "LocallySignedCert")
    ]
    assert root == (3, "SelfSignedCert")
    assert set(intermediates) == {(1, "LocallySignedCert")}
    assert engine.one("SelfSignedCert").inputs["subject"]["organization"] == "Example"


@pytest.mark.parametrize(
    "program",
    [
        lambda: pulumi.runtime.invoke("kubernetes:yaml:decode", {}),
        lambda: pulumi.CustomResource("aws:s3:Bucket", "bucket"),
        lambda: pulumi.CustomResource("kubernetes:core/v1:Service", "s", opts=pulumi.ResourceOptions(id="ns/name")),
        lambda: [pulumi.ComponentResource("dcmesh:a:A", "a"), pulumi.ComponentResource("dcmesh:a:B", "a")],
    ],
    ids=["call", "resource", "read", "name taken"],
)
def test_the_mocks_refuse_what_they_do_not_know(engine: Engine, program: Callable[[], object]) -> None:
    """Otherwise the tests above would prove less."""
    with pytest.raises(Exception, match=r"unknown|did not make|are named"):
        engine.run(program)


def test_every_helm_release_is_looked_at_before_and_let_go_after(stack: Engine) -> None:
    """Helm would refuse for ever a release that a killed run has left."""
    for release in stack.kind("Release"):
        hooks = release.request.hooks
        site = site_of(release)
        assert [*hooks.before_create, *hooks.before_update] == [f"{site}-helm-before"] * 2, release.name
        exchanged = [f"{site}-istiod-exchanged"] if "-istio-" in release.name else []
        assert [*hooks.after_create, *hooks.after_update] == [*[f"{site}-helm-after"] * 2, *exchanged], release.name
