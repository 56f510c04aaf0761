"""The pair that must work with each Istio: the demo, and in the same two sites a MariaDB that replicates."""

from collections.abc import Iterator

import pytest

from lab.toolchain import Istio
from tests.e2e.toolbox import (
    Kubectl,
    Lab,
    Project,
    demo_with_databases,
    kubectl_of,
    lab_for_a_while,
    name_on,
    on_istio,
    standing,
)


@pytest.fixture(scope="package")
def lab(istio: Istio) -> Iterator[Lab]:
    yield from lab_for_a_while(name_on("istios", istio))


@pytest.fixture(scope="package")
def pair(istio: Istio, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The pair, with monitoring. After its tests it is destroyed, and nothing of it may be left."""
    config = {**on_istio(demo_with_databases(), istio), "dcmesh:monitoring": {"prometheus": "plain"}}
    with standing(lab, tmp_path_factory.mktemp(lab.name), config) as project:
        yield project


@pytest.fixture(scope="package")
def sites(pair: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kubectl]:
    """kubectl for each site, from the stack's own output."""
    return kubectl_of(pair, tmp_path_factory.mktemp("kubeconfigs"))
