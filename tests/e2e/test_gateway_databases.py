"""Databases of both kinds that can change roles go from sidecars to gateways at both ends, and then change roles."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from .test_pxc import LITTLE, SELECTOR
from .test_release import pods
from .test_release_gateways import EGRESS, problems, sidecars
from .toolbox import (
    MARIADB,
    Database,
    Kubectl,
    Lab,
    Project,
    database_passwords,
    eventually,
    kubectl_of,
    lab_config,
    lab_for_a_while,
    log_in,
    standing,
    start,
)

OTHER = {"dc1": "dc2", "dc2": "dc1"}
SHOP, STOCK = {"dc1": "shop", "dc2": "shop-dr"}, {"dc1": "stock", "dc2": "stock-dr"}
"""The namespaces of the MariaDBs, and of the XtraDB clusters."""

Part = dict[str, Any]


def of_site(site: str, terminations: tuple[str, ...], egress: str) -> dict[str, list[Part]]:
    """Return a site's workloads, exports and imports, by these ways."""
    other = OTHER[site]
    found: dict[str, list[Part]] = {"workloads": [], "exports": [], "imports": []}
    mariadb = {"image": MARIADB, "replicas": 1, "writerService": True}
    for kind, namespaces, pod, replicas, selector, more in (
        ("mariadb", SHOP, "db", 1, {"app": "db"}, mariadb),
        ("pxc", STOCK, "db-pxc", 3, SELECTOR, {"spec": LITTLE}),
    ):
        own, theirs = namespaces[site], namespaces[other]
        followed = f"{theirs}-{terminations[-1]}" if egress == "gateway" else f"{theirs}-pod"
        follows = {"from": other, "export": followed}
        workload = {"kind": kind, "namespace": own, "storage": {"size": "1Gi"}, "replicates": follows, **more}
        found["workloads"].append(workload)
        for termination in terminations:
            common = {"namespace": own, "statefulSet": pod, "replicas": replicas, "port": 3306}
            if termination == "gateway":
                ways = {"termination": "gateway", "consumers": [{"site": other, **EGRESS}]}
            else:
                consumer = {"site": other, "namespace": theirs, "serviceAccount": pod}
                ways = {"serviceAccount": pod, "selector": selector, "consumers": [consumer]}
            found["exports"].append({"name": f"{own}-{termination}", **common, **ways})
        if egress == "gateway":
            clients = [{"namespace": own}]
            found["imports"].append(
                {**follows, **EGRESS, "egress": "gateway", "hostNamespace": theirs, "clients": clients}
            )
        else:
            found["imports"].append({**follows, "namespace": own, "serviceAccount": pod})
    return found


def config() -> dict[str, Any]:
    """Return the stack, with sidecars at both ends."""
    sites = [
        {"name": site, "cluster": "k3d", "gateway": {"replicas": 1}, **of_site(site, ("pod",), "sidecar")}
        for site in OTHER
    ]
    return {**lab_config(), "dcmesh:sites": sites, "dcmesh:primary": "dc1"}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    yield from lab_for_a_while("gateway-databases")


@pytest.fixture(scope="module")
def pair(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with standing(lab, tmp_path_factory.mktemp(lab.name), config()) as project:
        yield project


def led_to(site: Kubectl, name: str) -> str:
    """Return whom the writer's Service of a site leads to, as a client in the database's namespace sees it."""
    namespace = SHOP[name]
    password = database_passwords(site, namespace)["replication"]
    pod = ("--namespace", namespace, "client", "--container", "client")
    host = f"db-writer.{namespace}.svc.cluster.local"
    return log_in(site, pod, host, "replication", password, sql="SELECT @@report_host")


def all_led_to(sites: dict[str, Kubectl], host: str) -> bool:
    return {led_to(site, name) for name, site in sites.items()} == {host}


@pytest.mark.soak(
    proves=(
        "components/databases/mariadb.py",
        "components/databases/pxc.py",
        "components/databases/writer_service.py",
        "components/mesh/egress_import.py",
        "components/mesh/gateway_termination.py",
    )
)
def test_pairs_go_to_gateways_and_then_change_roles(pair: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    sites = kubectl_of(pair, tmp_path_factory.mktemp("kubeconfigs"))
    before = pods(sites)
    for terminations, egress in (
        (("pod", "gateway"), "sidecar"),
        (("pod", "gateway"), "gateway"),
        (("gateway",), "gateway"),
    ):
        with pair.edit() as edited:
            for site in edited["dcmesh:sites"]:
                site |= of_site(site["name"], terminations, egress)
        pair.up("--skip-preview")
        assert pods(sites) == before, "nothing restarts"
        eventually("all is well", lambda: problems(pair) == [], within=120)
    with pair.edit() as edited:
        for site in edited["dcmesh:sites"]:
            for workload in site["workloads"]:
                workload["sidecar"] = False
    pair.up("--skip-preview")
    eventually("all have started anew", lambda: not before.items() & pods(sites).items(), within=300)
    for name, site in sites.items():
        assert sidecars(site, SHOP[name]) == sidecars(site, STOCK[name]) == []
        start(site, "client", SHOP[name], "default", image=MARIADB)
    eventually("all is well", lambda: problems(pair) == [], within=120)
    pair.up("--expect-no-changes")
    for primary in ("dc1", "dc2"):
        with pair.edit() as edited:
            edited["dcmesh:primary"] = primary
        pair.up("--skip-preview")
        source = Database(sites[primary], SHOP[primary], "db-0")
        source(f"CREATE DATABASE by_{primary}")
        host = f"db-0.db.{SHOP[primary]}.svc.cluster.local"
        eventually(f"both are led to {host}", partial(all_led_to, sites, host), within=60)
        eventually("all is well", lambda: problems(pair) == [], within=120)
