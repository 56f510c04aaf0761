"""The Istios that the lab has, and what a test's sites looked like when it failed."""

import re
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from lab.toolchain import ISTIOS, Istio
from tests.e2e.toolbox import Database, Kubectl

WARNINGS = 5
"""How many of a site's last warnings are shown of a test that has failed."""


@pytest.fixture(scope="session", params=ISTIOS, ids=lambda istio: f"istio-{istio.line}")
def istio(request: pytest.FixtureRequest) -> Istio:
    """Each of the lab's Istios in turn. What asks for it runs on all of them, everything else on the newest."""
    found: Istio = request.param
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a failed test the pods that were not well, or young, in its sites."""
    report = yield
    if report.failed and call.when == "call":
        funcargs: dict[str, Any] = getattr(item, "funcargs", {})
        for site in dict.fromkeys(of_sites([*funcargs.values()])):
            report.sections.append((f"site {site.path.name}", "\n".join(look(site))))
    return report


def of_sites(values: Any) -> Iterator[Kubectl]:
    """Yield the sites in what a test was given."""
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
