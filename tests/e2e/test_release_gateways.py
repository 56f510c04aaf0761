"""A pair of the last release, with sidecars at both ends, changes to gateways at both ends. Either site goes first.

A consumer connects to all hosts all the time. For each order of the sites, the tests form one course of events.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from . import bare_database as bare
from .test_release import Pair, pods, released, watched_hosts
from .toolbox import ROOT, Database, Kubectl, Lab, Project, eventually, lab_for_a_while

EGRESS = {"namespace": "dcmesh-egress", "serviceAccount": "egress"}
CONSUMER = {"site": "dc2", **EGRESS}
BY_GATEWAY = {
    "name": "db-by-gateway",
    "namespace": "wookie",
    "statefulSet": "db",
    "termination": "gateway",
    "replicas": 3,
    "port": 3306,
    "consumers": [CONSUMER],
}
Site = dict[str, Any]
Step = tuple[str, Callable[[Site, Site], None], set[str]]
"""A step: its name, what it changes, and the pods that it restarts."""


def export_both(dc1: Site, _: Site) -> None:
    dc1["exports"].append(BY_GATEWAY)


def admit_the_egress_gateway(dc1: Site, _: Site) -> None:
    dc1["exports"][0]["consumers"].append(CONSUMER)


def import_by_gateway(_: Site, dc2: Site, export: str) -> None:
    way = {"egress": "gateway", "hostNamespace": "wookie", "clients": [{"namespace": "wookie-dr"}]}
    dc2["imports"] = [{"from": "dc1", "export": export, **EGRESS, **way}]
    dc2["workloads"][0]["replicates"]["export"] = export


def export_the_new_alone(dc1: Site, _: Site) -> None:
    dc1["exports"] = [BY_GATEWAY]


def leave_the_mesh(*sites: Site) -> None:
    for site in sites:
        site["workloads"][0]["sidecar"] = False


SOURCE, REPLICA = {f"dc1 wookie/db-{n}" for n in range(3)}, {"dc2 wookie-dr/db-0"}
ORDERS: dict[str, list[Step]] = {
    "dc1-first": [
        ("dc1 serves both", export_both, set()),
        ("dc2 goes over", lambda dc1, dc2: import_by_gateway(dc1, dc2, "db-by-gateway"), set()),
        ("dc1 serves the new alone", export_the_new_alone, set()),
        ("the sidecars go", leave_the_mesh, SOURCE | REPLICA),
    ],
    "dc2-first": [
        ("dc1 admits the egress gateway", admit_the_egress_gateway, set()),
        ("dc2 goes over", lambda dc1, dc2: import_by_gateway(dc1, dc2, "db"), set()),
        ("dc1 serves both", export_both, set()),
        ("dc2 asks for the new", lambda dc1, dc2: import_by_gateway(dc1, dc2, "db-by-gateway"), set()),
        ("dc1 serves the new alone", export_the_new_alone, set()),
        ("the sidecars go", leave_the_mesh, SOURCE | REPLICA),
    ],
}


@pytest.fixture(scope="module", params=list(ORDERS))
def order(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def lab(order: str) -> Iterator[Lab]:
    yield from lab_for_a_while(f"across-{order}")


@pytest.fixture(scope="module")
def released_pair(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with released(lab, tmp_path_factory.mktemp("released"), "mariadb", {"dc1": ["dc2"], "dc2": []}) as pair:
        yield pair


def step(pair: Project, sites: dict[str, Kubectl], of: Step) -> None:
    """Take the pair one step further under a writer and a consumer. Connections fail only to pods that restart."""
    name, change, restarted = of
    before = pods(sites)
    source, copy = Database(sites["dc1"], "wookie", "db-0"), Database(sites["dc2"], "wookie-dr", "db-0")
    with pair.edit() as config:
        change(*config["dcmesh:sites"])
    with ExitStack() as stack:
        tries = stack.enter_context(watched_hosts(sites["dc2"]))
        written = rows = None
        if not restarted & SOURCE:
            written = stack.enter_context(bare.looping(source.site, source.inside, bare.WRITE))
        if not restarted:
            rows = stack.enter_context(bare.looping(copy.site, copy.inside, bare.WATCH))
        pair.up("--skip-preview")
        cut = rows().split()[0] if rows else "?"
        assert not written or written() == "ended"
    print(
        f"{name}: {len(tries.answered)} answered, {tries.a_second:.0f} a second, the longest pause "
        f"{tries.longest_pause:.2f} s; failed: {tries.failed}; no row at the replica for {cut} ms at most"
    )
    assert tries.a_second > 10
    starting = {pod.rpartition("/")[2] for pod in restarted & SOURCE}
    assert tries.failed_but_at(*starting) == []
    assert tries.longest_pause < 10
    after = pods(sites)
    assert {pod for pod, uid in after.items() if uid != before.get(pod)} == restarted
    last = source("SELECT MAX(id) FROM watched.t")
    eventually("dc2 has the last row", lambda: copy("SELECT MAX(id) FROM watched.t", check=False) == last, within=60)


def sidecars(site: Kubectl, namespace: str) -> list[str]:
    """Return the pods of a namespace that have a sidecar, except the watcher."""
    found = json.loads(site("get", "pods", "--namespace", namespace, "--output", "json"))["items"]
    return [pod["metadata"]["name"] for pod in found if "istio-proxy" in json.dumps(pod["spec"])]


def problems(pair: Project) -> list[str]:
    """Return what `status` finds, except that nothing in the lab enforces NetworkPolicies."""
    found = pair.status()["problems"]
    return [problem["text"] for problem in found if "is none of its clients was answered" not in problem["text"]]


@pytest.mark.soak(
    proves=(
        "components/databases/mariadb.py",
        "components/mesh/egress_import.py",
        "components/mesh/gateway_termination.py",
        "components/mesh/gateway_termination_import.py",
    )
)
def test_a_released_pair_goes_to_gateways_at_both_ends(released_pair: Pair, order: str) -> None:
    pair, sites = released_pair
    source, copy = Database(sites["dc1"], "wookie", "db-0"), Database(sites["dc2"], "wookie-dr", "db-0")
    source("CREATE DATABASE watched; CREATE TABLE watched.t (id INT AUTO_INCREMENT PRIMARY KEY)")
    pair.use(ROOT)
    pair.up("--skip-preview")
    for of in ORDERS[order]:
        step(pair, sites, of)
    pair.up("--expect-no-changes")
    assert (sidecars(sites["dc1"], "wookie"), sidecars(sites["dc2"], "wookie-dr")) == ([], [])
    assert source("SELECT COUNT(*) FROM watched.t") == copy("SELECT COUNT(*) FROM watched.t")
    eventually("all is well", lambda: problems(pair) == [], within=120)
