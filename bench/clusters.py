"""The lab's two clusters, without anything in them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.toolbox import Kubectl, Lab

REACHABLE = {"dc1": ("dc2",), "dc2": ()}
"""The sites, each with those that may reach it."""


@contextmanager
def clusters(name: str, directory: Path) -> Iterator[dict[str, Kubectl]]:
    """Have both clusters of a lab for a while, made anew: nothing of what went before is in them.

    Args:
        name: of the lab.
        directory: where their kubeconfigs go, as `SITE.kubeconfig`.

    Raises:
        RuntimeError: they were not made.
    """
    lab = Lab(name)
    try:
        lab.create(REACHABLE)
        yield {site: Kubectl(lab("kubeconfig", site), directory / f"{site}.kubeconfig") for site in REACHABLE}
    finally:
        lab("delete", "--all")
