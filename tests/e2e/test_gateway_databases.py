"""Databases of both kinds without sidecars, in two sites that can change roles. Gateways are at both ends.

The istiods let a Gateway open ports of gateways in any namespace, as most istiods do that others run.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from .test_pxc import LITTLE
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


def of_site(site: str) -> dict[str, Any]:
    """Return a site's configuration: two databases, each of which can follow, and be followed by, the other site's."""
    other = OTHER[site]
    found: dict[str, Any] = {"name": site, "cluster": "k3d", "gateway": {"replicas": 1}}
    parts: dict[str, list[dict[str, Any]]] = {"workloads": [], "exports": [], "imports": []}
    mariadb = {"image": MARIADB, "replicas": 1, "writerService": True}
    for kind, namespaces, pod, replicas, more in (
        ("mariadb", SHOP, "db", 1, mariadb),
        ("pxc", STOCK, "db-pxc", 3, {"spec": LITTLE}),
    ):
        own, followed = namespaces[site], {"from": other, "export": namespaces[other]}
        database = {"kind": kind, "namespace": own, "sidecar": False, "storage": {"size": "1Gi"}}
        parts["workloads"].append({**database, "replicates": followed, **more})
        served = {"name": own, "namespace": own, "statefulSet": pod, "replicas": replicas, "port": 3306}
        parts["exports"].append({**served, "termination": "gateway", "consumers": [{"site": other, **EGRESS}]})
        way = {"egress": "gateway", "hostNamespace": namespaces[other], "clients": [{"namespace": own}]}
        parts["imports"].append({**followed, **EGRESS, **way})
    return found | parts


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    yield from lab_for_a_while("gateway-databases")


@pytest.fixture(scope="module")
def pair(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    config = lab_config()
    istio = config["dcmesh:istio"] | {"scopeGateways": False}
    sites = [of_site(site) for site in OTHER]
    config |= {"dcmesh:istio": istio, "dcmesh:sites": sites, "dcmesh:primary": "dc1"}
    with standing(lab, tmp_path_factory.mktemp(lab.name), config) as project:
        yield project


def led_to(site: Kubectl, name: str) -> str:
    """Return the server to which a site's writer Service leads a client in the database's namespace."""
    namespace = SHOP[name]
    password = database_passwords(site, namespace)["replication"]
    pod = ("--namespace", namespace, "client", "--container", "client")
    host = f"db-writer.{namespace}.svc.cluster.local"
    return log_in(site, pod, host, "replication", password, sql="SELECT @@report_host")


def all_led_to(sites: dict[str, Kubectl], host: str) -> bool:
    return {led_to(site, name) for name, site in sites.items()} == {host}


def all_is_well(pair: Project) -> None:
    eventually("all is well", lambda: problems(pair) == [], within=120)


@pytest.mark.soak(
    proves=(
        "components/databases/mariadb.py",
        "components/databases/pxc.py",
        "components/databases/writer_service.py",
        "components/mesh/egress_import.py",
        "components/mesh/gateway_termination.py",
    )
)
def test_pairs_without_sidecars_change_roles(pair: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    sites = kubectl_of(pair, tmp_path_factory.mktemp("kubeconfigs"))
    for name, site in sites.items():
        assert sidecars(site, SHOP[name]) == sidecars(site, STOCK[name]) == []
        start(site, "client", SHOP[name], "default", image=MARIADB)
    all_is_well(pair)
    pair.up("--expect-no-changes")
    for primary in ("dc2", "dc1"):
        with pair.edit() as edited:
            edited["dcmesh:primary"] = primary
        pair.up("--skip-preview")
        source = Database(sites[primary], SHOP[primary], "db-0")
        source(f"CREATE DATABASE by_{primary}")
        host = f"db-0.db.{SHOP[primary]}.svc.cluster.local"
        eventually(f"both are led to {host}", partial(all_led_to, sites, host), within=60)
        all_is_well(pair)
