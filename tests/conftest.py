"""What `pytest -n 2` runs side by side: tests that share a lab stay on one worker, one after another."""

import gc
import re

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling


class Labs(LoadScopeScheduling):
    """A worker is given all tests of a lab at once.

    The marks of pytest-xdist 3.8, `--dist loadgroup`, do nothing under pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        return lab_of(nodeid)


def lab_of(nodeid: str) -> str:
    """Return a name for the lab that a test uses.

    Unit tests share nothing, nor do modules right below tests/e2e. All of another directory is one, for each Istio.
    """
    module, _, test = nodeid.partition("::")
    directory = module.rpartition("/")[0]
    apart = directory == "tests/e2e" or module.startswith("tests/unit/")
    istio = re.search(r"[\[-]istio-([\d.]+)", test)
    return (module if apart else directory) + (f" on {istio[1]}" if istio else "")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Labs:
    return Labs(config, log)


def pytest_collection_finish() -> None:
    """Have the garbage collector leave alone what was imported, which it would look at again and again."""
    gc.collect()
    gc.freeze()
