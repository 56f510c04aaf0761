"""The lab's own errors, for failures that the lab expects."""

from pathlib import Path


class LabError(Exception):
    """A failure that the user is told in one line, with the log that says more.

    Attributes:
        log: a file or directory to read, if there is one.
    """

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(f"{message} (see {log})" if log else message)
        self.log = log
