"""A pair with databases: a MariaDB primary with two replicas in dc1, and one in dc2 that follows it."""

from collections.abc import Iterator

import pytest

from tests.e2e.toolbox import Kubectl, Lab, Project, example, kubectl_of, lab_for_a_while, standing

STACK = "databases"


@pytest.fixture(scope="package")
def lab() -> Iterator[Lab]:
    yield from lab_for_a_while(STACK)


@pytest.fixture(scope="package")
def pair(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The pair of examples/mariadb.yaml, with monitoring. After its tests it is destroyed, and nothing may be left."""
    config = {**example("mariadb"), "dcmesh:monitoring": {"prometheus": "plain"}}
    with standing(lab, tmp_path_factory.mktemp(lab.name), config) as project:
        yield project


@pytest.fixture(scope="package")
def sites(pair: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kubectl]:
    """kubectl for each site, from the stack's own output."""
    return kubectl_of(pair, tmp_path_factory.mktemp("kubeconfigs"))
