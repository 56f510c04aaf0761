"""Databases that ran before dcmesh are exported, followed, and released again, as docs/production.md says.

They are a MariaDB of two servers that hold a connection to each other at 4567, and a PostgreSQL, both without Istio.
Both have local clients during all these tests. Gateways are at both ends. The tests form one course of events.
"""

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from . import bare_database as bare
from . import bare_postgres as postgres
from .toolbox import Database, Kubectl, Lab, Project, eventually, lab_config, lab_for_a_while

COPIES = "copies"
"""The namespace of dc2's servers, without sidecars."""

EGRESS = {"namespace": "dcmesh-egress", "serviceAccount": "egress"}
MARIADB_HOST = f"db-0.db.{bare.NAMESPACE}.svc.cluster.local"
PRIMARY = f"db-primary.{bare.NAMESPACE}.svc.cluster.local"
SECONDS_AWAY = 2.0
"""A channel is back within this time after a gateway's pod ends, on a machine that does nothing else."""

pytestmark = pytest.mark.soak(
    proves=(
        "components/mesh/gateway_termination.py",
        "components/mesh/egress_*.py",
        "components/mesh/gateway.py",
        "dcmesh/model/gateway.py",
    )
)


def export(name: str, namespace: str, port: int, **more: Any) -> dict[str, Any]:
    consumers = [{"site": "dc2", **EGRESS}]
    return {
        "name": name,
        "termination": "gateway",
        "namespace": namespace,
        "port": port,
        "consumers": consumers,
        **more,
    }


EXPORTS = [
    export("db", bare.NAMESPACE, 3306, replicas=2),
    export("primary", bare.NAMESPACE, 3306, service="db-primary", whole=True),
    export("pg", postgres.NAMESPACE, 5432, replicas=1, probe="postgres"),
]


def imported(name: str, namespace: str) -> dict[str, Any]:
    way = {"egress": "gateway", "hostNamespace": namespace, "clients": [{"namespace": COPIES}]}
    return {"from": "dc1", "export": name, **EGRESS, **way}


IMPORTS = [imported(one["name"], one["namespace"]) for one in EXPORTS]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    for lab in lab_for_a_while("untouched"):
        lab.create({"dc1": ["dc2"], "dc2": []})
        yield lab


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("untouched")


@pytest.fixture(scope="module")
def sites(lab: Lab, directory: Path) -> dict[str, Kubectl]:
    return {site: Kubectl(lab("kubeconfig", site), directory / site) for site in ("dc1", "dc2")}


@pytest.fixture(scope="module")
def untouched(sites: dict[str, Kubectl]) -> Iterator[list[Any]]:
    """Both databases with their local clients, and their state before dcmesh."""
    dc1 = sites["dc1"]
    bare.begin(dc1)
    postgres.begin(dc1)
    with (
        bare.local_client(dc1) as of_mariadb,
        bare.local_client(dc1, postgres.NAMESPACE, image=postgres.IMAGE, hosts="pg-0.pg", ask=postgres.ASK) as of_pg,
    ):
        yield state(dc1)
        rates = of_mariadb() + of_pg()
    print(f"{rates:.1f} local connections a second")
    assert rates >= 10


def state(site: Kubectl) -> list[Any]:
    return [bare.state(site, namespace) for namespace in (bare.NAMESPACE, postgres.NAMESPACE)]


@pytest.fixture(scope="module")
def stacks(sites: dict[str, Kubectl], untouched: list[Any], directory: Path) -> dict[str, Project]:
    """The stacks `trust`, `dc1` and `dc2`, initialised."""
    common = {
        "dcmesh:trust": {"source": "stack", "stack": "organization/dcmesh/trust"},
        "dcmesh:istio": lab_config()["dcmesh:istio"],
    }
    dc1, dc2 = ({"name": name, "cluster": {"kubeconfig": str(site.path)}} for name, site in sites.items())
    configs: dict[str, dict[str, Any]] = {
        "trust": {"dcmesh:trust": {"source": "generated", "issueFor": ["dc1", "dc2"]}},
        "dc1": {**common, "dcmesh:sites": [{**dc1, "exports": EXPORTS}]},
        "dc2": {**common, "dcmesh:sites": [{**dc2, "imports": IMPORTS}], "dcmesh:peers": [{"name": "dc1"}]},
    }
    state = directory / "state"
    made = {
        name: Project(directory / f"stack-{name}", stack=name, config=config, state=state)
        for name, config in configs.items()
    }
    for project in made.values():
        project.init()
    return made


def near(site: Kubectl) -> set[str]:
    """Return the kinds of objects in the databases' namespaces that are neither theirs nor Kubernetes'."""
    kinds = [kind for kind in site("api-resources", "--namespaced", "--output=name").split() if "istio.io" in kind]
    kinds += ["networkpolicies", "jobs", "deployments.apps", "secrets", "roles", "rolebindings"]
    found = set[str]()
    for namespace in (bare.NAMESPACE, postgres.NAMESPACE):
        listed = site("get", ",".join(kinds), "--namespace", namespace, "--output", "name").split()
        found |= {name.partition("/")[0] for name in listed}
    return found


def test_dc1_exports_what_runs_and_leaves_it_as_it_is(
    stacks: dict[str, Project], sites: dict[str, Kubectl], untouched: list[Any]
) -> None:
    stacks["trust"].up()
    stacks["dc1"].up()
    assert state(sites["dc1"]) == untouched
    assert near(sites["dc1"]) == {"serviceentry.networking.istio.io"}


@pytest.fixture(scope="module")
def replica(stacks: dict[str, Project], sites: dict[str, Kubectl], source: Database) -> Database:
    """dc2's MariaDB replica. dc2's PostgreSQL runs beside it."""
    sites["dc2"]("create", "namespace", COPIES)
    stacks["dc2"].up()
    source("CREATE DATABASE watched; CREATE TABLE watched.t (id INT AUTO_INCREMENT PRIMARY KEY)")
    postgres.copy(sites["dc2"], COPIES)
    return bare.replica(sites["dc2"], COPIES, "default", MARIADB_HOST)


@pytest.fixture(scope="module")
def source(sites: dict[str, Kubectl]) -> Database:
    return Database(sites["dc1"], bare.NAMESPACE, "db-0")


def test_both_are_followed_by_their_real_names(
    sites: dict[str, Kubectl], source: Database, replica: Database, untouched: list[Any]
) -> None:
    eventually("it follows", replica.follows)
    source("INSERT INTO watched.t () VALUES ()")
    rows = source("SELECT COUNT(*) FROM watched.t")
    eventually("the row arrives", lambda: replica("SELECT COUNT(*) FROM watched.t", check=False) == rows)
    postgres.follows(sites["dc1"], sites["dc2"], COPIES)
    assert state(sites["dc1"]) == untouched


@pytest.mark.parametrize(
    ("site", "gateway"),
    [("dc1", "dcmesh-gateway/istio-eastwestgateway"), ("dc2", "dcmesh-egress/dcmesh-egress")],
    ids=["gateway", "egress gateway"],
)
def test_the_channel_is_back_at_once_when_a_gateways_pod_is_killed_or_drained(
    sites: dict[str, Kubectl], source: Database, replica: Database, site: str, gateway: str
) -> None:
    namespace, _, name = gateway.partition("/")
    pods = partial(sites[site].names, "pods", "--namespace", namespace, "--selector", f"app={name}")
    pauses = bare.longest_pauses(source, replica, sites[site], gateway, pods)
    assert len(pauses) == 4
    assert max(pauses.values()) <= 1000 * SECONDS_AWAY
    postgres.follows(sites["dc1"], sites["dc2"], COPIES)


FOLLOW = f"""
echo begun
until read -r -t 0; do
  mariadb --host={PRIMARY} --user=replication --connect-timeout=5 -BNe "SELECT @@hostname" 2>&1
done
"""
"""Asks the primary's Service again and again, until it reads another line."""


def test_a_service_as_a_whole_follows_its_primary_and_no_connection_fails(
    sites: dict[str, Kubectl], replica: Database
) -> None:
    """The patch does what an operator does. Meanwhile a client in dc2 connects as fast as it can."""
    with bare.looping(sites["dc2"], replica.inside, FOLLOW) as end:
        for pod in ("db-1", "db-0"):
            selector = {"statefulset.kubernetes.io/pod-name": pod}
            patch = ("--patch", json.dumps({"spec": {"selector": selector}}))
            sites["dc1"]("patch", "service", "db-primary", "--namespace", bare.NAMESPACE, *patch)
            time.sleep(5)  # This makes many connections. No condition shows that none fails.
        answered = end().splitlines()
    assert set(answered) == {"db-0", "db-1"}
    assert answered[-1] == "db-0"
    assert len(answered) > 50


def test_the_export_is_taken_away_and_nothing_is_left(
    stacks: dict[str, Project], sites: dict[str, Kubectl], untouched: list[Any]
) -> None:
    """First comes the replica's `up` without the import, then the source's."""
    for stack, key in (("dc2", "imports"), ("dc1", "exports")):
        with stacks[stack].edit() as config:
            config["dcmesh:sites"][0][key] = []
        stacks[stack].up()
    assert state(sites["dc1"]) == untouched
    assert near(sites["dc1"]) == set()
    assert not {bare.NAMESPACE, postgres.NAMESPACE} & set(sites["dc2"].names("namespaces"))
    for stack in ("dc2", "dc1"):
        stacks[stack].pulumi("destroy", "--yes")
    assert state(sites["dc1"]) == untouched
