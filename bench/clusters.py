"""The lab's two clusters, empty."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.toolbox import Kubectl, Lab

REACHABLE = {"dc1": ("dc2",), "dc2": ()}
"""The sites, each with the sites that may reach it."""


@contextmanager
def clusters(name: str, directory: Path) -> Iterator[dict[str, Kubectl]]:
    """Run both clusters of a lab while the block runs. They are made anew, so nothing from before is in them.

    Args:
        name: the lab's name.
        directory: where their kubeconfigs are written, as `SITE.kubeconfig`.

    Raises:
        RuntimeError: the clusters could not be made.
    """
    lab = Lab(name)
    try:
        lab.create(REACHABLE)
        yield {site: Kubectl(lab("kubeconfig", site), directory / f"{site}.kubeconfig") for site in REACHABLE}
    finally:
        lab("delete", "--all")
