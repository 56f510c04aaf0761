"""A stack and a lab of the tests' own, made by the real `pulumi up`."""

from collections.abc import Iterator

import pytest

from .toolbox import Kubectl, Lab, Project, dev_config, kubectl_of

STACK = "e2e"
"""Name of the pair's stack, and so of the lab that the program makes for it."""


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    lab = Lab(STACK)
    yield lab
    lab("delete", "--all")  # does nothing unless a test failed before its destroy


@pytest.fixture(scope="session")
def project(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Project:
    directory = tmp_path_factory.mktemp(lab.name)
    project = Project(directory / "project", stack=lab.name, config=dev_config(), state=directory / "state")
    project.init()
    return project


@pytest.fixture(scope="module")
def pair(project: Project, lab: Lab) -> Iterator[Project]:
    """The pair, up. When its tests are done it is destroyed, and nothing of it may be left."""
    project.up()
    yield project
    project.pulumi("destroy", "--yes")
    assert project.resources() == []
    assert lab.leftovers() == {}


@pytest.fixture(scope="module")
def sites(pair: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kubectl]:
    """kubectl for each site, by the stack's own output."""
    return kubectl_of(pair, tmp_path_factory.mktemp("kubeconfigs"))
