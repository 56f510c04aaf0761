"""What fails in a run, and does not keep the rest from being measured: a run takes long, and each begins anew."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

Failed = pytest.fail.Exception
"""The exception of a failed command of the tests."""


class Failures:
    """The failures of a run."""

    def __init__(self) -> None:
        self._found = list[str]()

    @contextmanager
    def noted(self, what: str) -> Iterator[None]:
        """Print how the block fails, if it does, and go on.

        Args:
            what: what is not measured then.
        """
        try:
            yield
        except (Exception, Failed):
            print(f"bench: {what} has failed", file=sys.stderr)
            traceback.print_exc()
            self._found.append(what)

    def tell(self) -> None:
        """End the run.

        Raises:
            RuntimeError: something has failed.
        """
        if self._found:
            raise RuntimeError(f"not measured as a whole: {', '.join(self._found)}")
