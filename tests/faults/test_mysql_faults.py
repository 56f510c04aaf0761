"""The same for MySQL behind Percona's operator, with gateways at both ends."""

from collections.abc import Iterator

import pytest

from tests.e2e.toolbox import Lab, kubectl_of, lab_for_a_while, standing

from .conftest import gathered
from .faults import Fault
from .mysql_faults import MYSQL_FAULTS
from .mysql_stage import MySQLStage, configuration
from .report import MYSQL, Outcome
from .trial import cases, survive


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    yield from lab_for_a_while("faults-mysql")


@pytest.fixture(scope="module")
def stage(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MySQLStage]:
    directory = tmp_path_factory.mktemp("stage")
    with standing(lab, tmp_path_factory.mktemp(lab.name), configuration()) as project:
        stage = MySQLStage(project, lab, kubectl_of(project, directory), directory)
        stage.start()
        yield stage
        stage.observer.stop()
        stage.writer.stop()


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Iterator[list[Outcome]]:
    yield from gathered(request, MYSQL)


@pytest.mark.parametrize("fault", cases(MYSQL_FAULTS))
def test_replication_survives(fault: Fault, stage: MySQLStage, outcomes: list[Outcome]) -> None:
    survive(fault, stage, outcomes)
