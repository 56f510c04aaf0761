"""Protection: what is protected from deletion. If a database is missing, that is noticed before anything is changed."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dcmesh import config
from tests.unit.configurations import GONE, put
from tests.unit.engine import Engine
from tests.unit.program import Config, existing_cluster, existing_clusters, run_program, running_once

STORAGE = {"size": "2Gi"}
ROOT = {"trust-root-key", "trust-root-root"}


THROW_AWAY = {"create": "a", "kubeconfig": "b", "delete": "c", "throwAway": True}


def stack_of(cluster: Any = GONE, **changes: Any) -> Config:
    """Return a stack with one site, which has a database of each kind and the demo."""
    workloads = [
        {"kind": "mariadb", "namespace": "shop", "name": "db", "replicas": 1, "storage": STORAGE},
        {"kind": "pxc", "namespace": "bank", "name": "db", "storage": {**STORAGE, "storageClass": "fast"}},
        {"kind": "mariadb", "namespace": "trial", "name": "db", "replicas": 1},
        {"kind": "hello", "namespace": "demo"},
    ]
    site = {"name": "dc1", "cluster": existing_cluster("dc1") if cluster is GONE else cluster, "workloads": workloads}
    return {"sites": [site], **changes}


@pytest.fixture(scope="module", autouse=True)
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with existing_clusters(tmp_path_factory.mktemp("clusters"), "dc1"):
        yield


def kept(output: Any) -> Any:
    """Return an output as the state has it: without keys whose value is None."""
    if isinstance(output, dict):
        return {key: kept(value) for key, value in output.items() if value is not None}
    return [kept(value) for value in output] if isinstance(output, list) else output


Run = Callable[[Config], Engine]


@pytest.fixture(scope="module")
def run(clusters: None) -> Run:
    return running_once()


def protected(engine: Engine) -> set[str]:
    return {name for name, resource in engine.asked.items() if resource.request.protect}


def test_what_holds_data_and_what_cannot_be_made_again_is_protected_and_nothing_else(run: Run) -> None:
    assert protected(run(stack_of())) == {
        "dc1.shop-namespace",
        "dc1.shop-statefulset",
        "dc1.shop-root",
        "dc1.shop-local",
        "dc1.bank-namespace",
        "dc1.bank-cluster",
        "dc1.trial-namespace",
        "dc1.trial-statefulset",
        "dc1.trial-root",
        "dc1.trial-local",
        *(f"pair-passwords.dc1.{namespace}" for namespace in ("shop", "bank", "trial")),
        *ROOT,
    }


@pytest.mark.parametrize("stack", [stack_of(THROW_AWAY), stack_of("k3d"), stack_of(protect=False)])
def test_what_is_for_throwing_away_is_not(run: Run, stack: Config) -> None:
    engine = run(stack)
    assert not protected(engine)
    assert not any(workload["protected"] for workload in engine.outputs["sites"]["dc1"]["workloads"])


@pytest.mark.parametrize(("changes", "is_protected"), [({}, True), ({"protect": False}, False)])
def test_a_root_that_signs_for_others_is_protected(engine: Engine, changes: Config, is_protected: bool) -> None:
    run_program(engine, {"trust": {"issueFor": ["dc1"]}, **changes})
    assert protected(engine) == (ROOT if is_protected else set())


def test_a_database_that_waits_for_its_source_has_nothing_to_protect(engine: Engine) -> None:
    replica = {"kind": "mariadb", "namespace": "shop", "replicates": {"from": "dc9", "export": "db"}}
    imported = {"from": "dc9", "export": "db", "namespace": "shop", "serviceAccount": "db"}
    site = {"name": "dc1", "cluster": existing_cluster("dc1"), "workloads": [replica], "imports": [imported]}
    engine.stacks["organization/dcmesh/dc9"] = {}
    run_program(engine, {"sites": [site], "peers": [{"name": "dc9"}]})
    assert protected(engine) == ROOT
    assert engine.outputs["sites"]["dc1"]["workloads"] == []


# --- what is missed --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def before(run: Run) -> Config:
    """The output `sites` of the last `up`."""
    sites: Config = run(stack_of()).outputs["sites"]
    return sites


def refused(before: Config, changes: Config, stack: Config | None = None) -> list[str]:
    """Return the errors of a changed stack. The outputs are those of its last `up`."""
    raw = copy.deepcopy(stack or stack_of())
    for path, value in changes.items():
        put(raw, path, value)
    try:
        config.parse(raw, stack="test", read={"organization/dcmesh/test": {"sites": kept(before)}}.__getitem__)
    except config.ConfigError as error:
        return [line.strip() for line in str(error).splitlines()[1:]]
    return []


OTHER_SITE = {"name": "dc2", "cluster": "k3d"}
LIFT = (
    "Put it back; or, to give it up with its data, `pulumi config set protect false` and `pulumi up`, and make this "
    "change then"
)
WORKLOAD = "sites[0].workloads[0]"
GONE_CASES = [
    ({f"{WORKLOAD}.name": "sql"}, f'{WORKLOAD}.name: "sql" was "db" at the last `pulumi up`, and'),
    ({f"{WORKLOAD}.namespace": "shops"}, f'{WORKLOAD}.namespace: "shops" was "shop" at the last `pulumi up`, and'),
    ({f"{WORKLOAD}.kind": "pxc", f"{WORKLOAD}.replicas": GONE}, f'{WORKLOAD}.kind: "pxc" was "mariadb" at the last'),
    ({WORKLOAD: {"kind": "hello", "namespace": "shop", "name": "db"}}, "sites[0].workloads: lacks"),
    ({WORKLOAD: GONE}, "sites[0].workloads: lacks the mariadb shop/db, which would be gone."),
    ({"sites[0].workloads": []}, "sites[0].workloads: lacks the mariadb shop/db, which would be gone."),
    ({"sites[0].name": "dc9"}, "sites: lacks dc1, with which the mariadb shop/db would be gone."),
    ({"sites[0]": OTHER_SITE}, "sites: lacks dc1, with which the mariadb shop/db would be gone."),
    ({"sites": [], "trust.issueFor": ["dc1"]}, "sites: lacks dc1, with which the mariadb shop/db would be gone."),
]


@pytest.mark.parametrize(("changes", "said"), GONE_CASES)
def test_a_database_that_is_gone_is_missed(before: Config, changes: Config, said: str) -> None:
    lines = refused(before, changes)
    assert [line for line in lines if line.startswith(said) and "the mariadb shop/db" in line and LIFT in line], lines
    assert refused(before, {**changes, "protect": False}) == lines, "an `up` lifts it, not the configuration alone"


@pytest.mark.parametrize(("changes", "said"), GONE_CASES)
def test_so_is_one_of_the_last_release(before: Config, changes: Config, said: str) -> None:
    """Its outputs list only servers, and none of them is protected yet."""
    old = {"dc1": {key: value for key, value in before["dc1"].items() if key != "workloads"}}
    assert refused(old, {}) == []
    assert [line for line in refused(old, changes) if line.startswith(said) and LIFT in line]
    assert refused(old, {**changes, "protect": False}) == []


def test_one_that_is_not_protected_is_not_missed(run: Run) -> None:
    for stack in (stack_of(THROW_AWAY), stack_of(protect=False)):
        before = run(stack).outputs["sites"]
        for changes, _ in GONE_CASES:
            assert refused(before, changes, stack) == []


def test_what_stays_or_is_new_is_not_missed(before: Config) -> None:
    new = {"kind": "mariadb", "namespace": "new", "name": "db"}
    assert refused(before, {f"{WORKLOAD}.replicas": 3, "sites[0].workloads[4]": new, "sites[1]": OTHER_SITE}) == []
    assert refused(before, {"sites[0].workloads[3]": GONE}) == [], "the demo has no data"
    workloads = stack_of()["sites"][0]["workloads"]
    assert refused(before, {"sites[0].workloads": workloads[::-1]}) == []


def test_a_database_that_could_not_be_read_is_not_missed(before: Config) -> None:
    (line,) = refused(before, {f"{WORKLOAD}.replicas": "many"})
    assert line.startswith(f"{WORKLOAD}.replicas")
    (line,) = refused(before, {f"{WORKLOAD}.kind": "mariadbb"})
    assert line.startswith(f"{WORKLOAD}.kind")


# --- volumes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({f"{WORKLOAD}.storage.size": "1Gi"}, f'{WORKLOAD}.storage.size: "1Gi" was "2Gi" at the last'),
        ({f"{WORKLOAD}.storage.size": "2047Mi"}, f'{WORKLOAD}.storage.size: "2047Mi" was "2Gi" at the last'),
        ({f"{WORKLOAD}.storage": GONE}, f"{WORKLOAD}.storage: is missing, and the database would start empty"),
        ({"sites[0].workloads[2].storage": STORAGE}, "sites[0].workloads[2].storage: {…} is new, and the database"),
        ({f"{WORKLOAD}.storage.storageClass": "fast"}, f'{WORKLOAD}.storage.storageClass: "fast" was the cluster\'s'),
        ({"sites[0].workloads[1].storage.storageClass": "slow"}, "sites[0].workloads[1].storage.storageClass: "),
        ({"sites[0].workloads[1].storage.storageClass": GONE}, "sites[0].workloads[1].storage.storageClass: was "),
        ({"sites[0].workloads[1].storage.size": "1Gi"}, 'sites[0].workloads[1].storage.size: "1Gi" was "2Gi"'),
    ],
)
def test_volumes_that_cannot_become_what_is_wanted_are_refused(before: Config, changes: Config, said: str) -> None:
    for more in ({}, {"protect": False}, {"sites[0].cluster": THROW_AWAY}):
        (line,) = refused(before, {**changes, **more})
        assert line.startswith(said)


def test_volumes_may_grow_but_k3ds(before: Config) -> None:
    grown = {f"{WORKLOAD}.storage.size": "1Ti", "sites[0].workloads[1].storage.size": "2049Mi"}
    assert refused(before, grown) == []
    assert refused(before, {**grown, "sites[0].cluster": THROW_AWAY}) == []
    said = refused(before, {**grown, "sites[0].cluster": "k3d"})
    assert [line.partition(" was ")[0] for line in said] == [
        f'{WORKLOAD}.storage.size: "1Ti"',
        'sites[0].workloads[1].storage.size: "2049Mi"',
    ]


def test_the_volumes_of_another_database_are_its_own(before: Config) -> None:
    new = {"kind": "mariadb", "namespace": "new", "name": "db", "storage": {"size": "1Gi"}}
    assert refused(before, {"sites[0].workloads[4]": new}) == []
