"""The lab's versions of Istio, kubectl for a pair's sites, and the state of a test's sites when it failed."""

import re
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from lab.toolchain import ISTIOS, Istio
from tests.e2e.toolbox import Database, Kubectl, Project, kubectl_of

WARNINGS = 5
"""How many of a site's last warnings are shown when a test has failed."""


@pytest.fixture(scope="session", params=ISTIOS, ids=lambda istio: f"istio-{istio.line}")
def istio(request: pytest.FixtureRequest) -> Istio:
    """Each of the lab's versions of Istio in turn.

    Tests that use this fixture run on all of them, all others on the newest.
    """
    found: Istio = request.param
    return found


@pytest.fixture(scope="module")
def sites(pair: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kubectl]:
    """kubectl for each site of the module's `pair`, from the stack's own output."""
    return kubectl_of(pair, tmp_path_factory.mktemp("kubeconfigs"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the pods of the sites that were unwell or young to the report of a failed test."""
    report = yield
    if report.failed and call.when == "call":
        funcargs: dict[str, Any] = getattr(item, "funcargs", {})
        for site in dict.fromkeys(of_sites([*funcargs.values()])):
            report.sections.append((f"site {site.path.name}", "\n".join(look(site))))
    return report


def of_sites(values: Any) -> Iterator[Kubectl]:
    """Yield the sites among a test's fixtures."""
    match values:
        case Kubectl():
            yield values
        case Database():
            yield values.site
        case dict():
            yield from of_sites([*values.values()])
        case list() | tuple():
            for value in values:
                yield from of_sites(value)


def look(site: Kubectl) -> Iterator[str]:
    """Yield a line for each of a site's pods that is not ready, was restarted or is younger than two minutes."""
    ask = ("get", "--all-namespaces", "--no-headers", "--request-timeout=5s")
    for line in site(*ask, "pods", check=False).splitlines():
        _, _, ready, status, restarts, *_, age = line.split()
        have, _, wanted = ready.partition("/")
        if status != "Completed" and (
            have != wanted or status != "Running" or restarts != "0" or re.fullmatch(r"1?\d?\ds", age)
        ):
            yield " ".join(line.split())
    warnings = (*ask, "events", "--field-selector=type=Warning", "--sort-by=.lastTimestamp")
    for line in site(*warnings, check=False).splitlines()[-WARNINGS:]:
        yield " ".join(line.split())
