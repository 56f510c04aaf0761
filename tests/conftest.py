"""Says which tests pytest runs side by side. Tests that share a lab stay on one worker, one after another."""

import gc
import re

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

LONGEST = (
    "tests/unit/test_",  # The modules in tests/unit itself run the whole program.
    "tests/e2e/test_stacks",
    "tests/e2e/test_switchover",
    "tests/e2e/test_pxc",
    "tests/e2e/test_gateways",
    "tests/e2e/test_doctor",
    "tests/e2e/test_egress",
    "tests/e2e/test_trust",
    "tests/e2e/databases/",
    "tests/e2e/istios/",
    "tests/e2e/test_ingress",
    "tests/e2e/test_release",
)
"""The labs that take longest, longest first. Then the last one ends as early as possible."""


class Labs(LoadScopeScheduling):
    """Gives a worker all tests of a lab at once. Labs come in the order in which they were collected.

    The marks of pytest-xdist 3.8, `--dist loadgroup`, do nothing under pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        return lab_of(nodeid)


def lab_of(nodeid: str) -> str:
    """Return a name for the lab that a test uses.

    Each module of unit tests counts as a lab, and so does each module in tests/e2e itself. The modules of any other
    directory share a lab, one for each Istio. So do bench's unit tests, so that only one worker imports matplotlib.
    """
    module, _, test = nodeid.partition("::")
    directory = module.rpartition("/")[0]
    apart = directory == "tests/e2e" or (module.startswith("tests/unit/") and directory != "tests/unit/bench")
    istio = re.search(r"[\[-]istio-([\d.]+)", test)
    return (module if apart else directory) + (f" on {istio[1]}" if istio else "")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Labs:
    config.option.loadscopereorder = False  # Otherwise pytest-xdist would sort labs by their number of tests.
    return Labs(config, log)


def turn(nodeid: str) -> int:
    """Return when a test's lab has its turn: the longest labs before the rest."""
    return next((i for i, lab in enumerate(LONGEST) if nodeid.startswith(lab)), len(LONGEST))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: turn(item.nodeid))


def pytest_collection_finish() -> None:
    """Exclude what was imported from garbage collection, which would look at it again and again."""
    gc.collect()
    gc.freeze()
