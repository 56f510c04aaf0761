"""A pair with databases: a MariaDB primary with two replicas in dc1, and one in dc2 that follows it."""

from collections.abc import Iterator

import pytest
import yaml

from tests.e2e.toolbox import ROOT, Kubectl, Lab, Project, dev_config

STACK = "databases"


@pytest.fixture(scope="package")
def lab() -> Iterator[Lab]:
    lab = Lab(STACK)
    yield lab
    lab("delete", "--all")  # does nothing unless a test failed before the destroy


@pytest.fixture(scope="package")
def pair(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The pair of examples/mariadb.yaml, up. When its tests are done it is destroyed, and nothing may be left."""
    directory = tmp_path_factory.mktemp(lab.name)
    config = yaml.safe_load((ROOT / "examples/mariadb.yaml").read_text())["config"]
    config["dcmesh:lab"] = dev_config()["dcmesh:lab"]
    project = Project(directory / "project", stack=lab.name, config=config, state=directory / "state")
    project.init()
    project.up("--skip-preview")
    yield project
    project.pulumi("destroy", "--yes")
    assert project.resources() == []
    assert lab.leftovers() == {}


@pytest.fixture(scope="package")
def sites(pair: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kubectl]:
    """kubectl for each site, by the stack's own output."""
    directory = tmp_path_factory.mktemp("kubeconfigs")
    return {name: Kubectl(text, directory / name) for name, text in pair.output("kubeconfigs").items()}
