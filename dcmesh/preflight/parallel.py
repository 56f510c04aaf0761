"""Looking at several parts of a cluster at the same time."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from dcmesh.config.errors import Finding
from dcmesh.kube.api import ApiException

AT_ONCE = 5
"""How many exports or imports are looked at at the same time. The client keeps at least that many connections."""


T = TypeVar("T")


def each(parts: Iterable[T], look: Callable[[T], Iterator[Finding]]) -> Iterator[Finding]:
    """Look at several parts at the same time, and yield what is found in their order.

    Raises:
        ApiException: a part may not be read. It is raised at the end; of several errors it is the first.
    """
    refused = list[ApiException]()

    def whole(part: T) -> list[Finding]:
        found = list[Finding]()
        try:
            found.extend(look(part))
        except ApiException as error:
            refused.append(error)
        return found

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for findings in pool.map(whole, parts):
            yield from findings
    if refused:
        raise refused[0]
