"""The suite's own pair, under a writer's load during the whole suite. It also writes the document, if wanted."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.toolbox import Lab, Project, eventually, example, kubectl_of, lab_for_a_while, standing

from .faults import CERTIFICATE_LIFE, IDLE_TIMEOUT
from .report import MARIADB, Outcome, Table, write
from .stage import GATEWAY, REPLICA, SOURCE, Site, Stage

STACK = "faults"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--document", type=Path, metavar="FILE", help="write what a database's faults cost, if no test failed before"
    )


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    yield from lab_for_a_while(STACK)


@pytest.fixture(scope="module")
def pair(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The pair of examples/mariadb.yaml with two gateway pods, after `up`.

    It is destroyed afterwards, and nothing may be left.
    """
    config = example("mariadb")
    config["dcmesh:sites"][0]["gateway"]["replicas"] = 2
    with standing(lab, tmp_path_factory.mktemp(lab.name), config) as project:
        yield project


@pytest.fixture(scope="module")
def stage(pair: Project, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    directory = tmp_path_factory.mktemp("stage")
    kubectl = kubectl_of(pair, directory)
    log = directory / "log"
    log.mkdir()
    stage = Stage(pair, lab, kubectl, log)
    stage.start()
    yield stage
    stage.observer.stop()


@pytest.fixture(scope="module")
def short_lived(stage: Stage) -> None:
    """Short lives for certificates and silent connections, set in the stack file. All proxies start with them."""
    metadata = {
        "SECRET_TTL": f"{CERTIFICATE_LIFE}s",
        "SECRET_GRACE_PERIOD_RATIO": "0.5",
        "ISTIO_META_IDLE_TIMEOUT": f"{IDLE_TIMEOUT}s",
    }
    with stage.project.edit() as config:
        istiod = config["dcmesh:istio"]["values"]["istiod"]
        istiod["meshConfig"] = {"defaultConfig": {"proxyMetadata": metadata}}
    stage.project.up("--skip-preview")
    restarted = ((stage.source, (GATEWAY, (SOURCE, "app=db"))), (stage.replica, ((REPLICA, "app=db"),)))
    for site, selections in restarted:
        # istiod reads its configuration when it starts, or when kubelet has updated the file.
        site.kubectl("rollout", "restart", "deployment/istiod", "--namespace", "istio-system")
        site.kubectl("rollout", "status", "deployment/istiod", "--namespace", "istio-system", "--timeout=120s")
        for namespace, label in selections:
            site.kubectl("delete", "pods", "--namespace", namespace, "--selector", label)
    eventually("all is well with new proxies", stage.well, within=180)
    for site, selections in restarted:
        for namespace, label in selections:
            assert all(has(site, pod["metadata"]["name"], namespace, metadata) for pod in site.pods(namespace, label))


def has(site: Site, pod: str, namespace: str, metadata: dict[str, str]) -> bool:
    """Tell whether a pod's proxy has been started with these settings."""
    said = site.exec(pod, "istio-proxy", "sh", "-c", 'echo "$PROXY_CONFIG"', namespace=namespace)
    return all(f'"{key}":"{value}"' in said for key, value in metadata.items())


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Iterator[list[Outcome]]:
    yield from gathered(request, MARIADB)


def gathered(request: pytest.FixtureRequest, table: Table) -> Iterator[list[Outcome]]:
    """Yield a list for the costs of a table's faults.

    They are written at the end if that is wanted, all faults of the table were tried, and no test has failed so far.
    """
    found: list[Outcome] = []
    yield found
    document: Path | None = request.config.getoption("--document", default=None)
    if document and len(found) == len(table.faults) and not request.session.testsfailed:
        write(document, table, found, cores=os.cpu_count() or 1)
