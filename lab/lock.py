"""A lock between processes: one process at a time holds a directory."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def held(directory: Path, when_waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold `directory` for this process alone. Make the directory if it does not exist.

    The holder may remove the directory. A process that waits for it then makes a new one. The lock ends with the
    process.

    Args:
        directory: what the lock protects.
        when_waiting: called once if another process holds the directory.
    """
    while True:
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue  # The holder has just removed the directory, or one above it.
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                when_waiting()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _still_there(descriptor, directory):
                yield
                return
        finally:
            os.close(descriptor)


def _still_there(descriptor: int, directory: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), directory.stat())
    except FileNotFoundError:
        return False
