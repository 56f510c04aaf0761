"""What is wrong with a configuration: one message with a line for each error."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from dcmesh.config.setting_paths import is_within
from dcmesh.config.stack_config import secret_keys
from dcmesh.model.printable import SECRET, abridged, printable

NOTHING: Final = object()
"""The value of what is missing."""

LONGEST_PATH = 200
"""How many characters of a path are shown: the keys in it may be somebody else's."""


@dataclass(frozen=True)
class Finding:
    """One error: its place, the value there, and what to do about it.

    Attributes:
        path: the place, as users write it: `sites[1].imports[0].from`.
        value: the value there, or NOTHING.
        advice: what is wrong with it and what to do, to be read after the value.
        secret: whether the value must not be shown.
        given: other places that must have been read completely for this to be certain.
    """

    path: str
    value: object
    advice: str
    secret: bool = False
    given: tuple[str, ...] = ()

    def line(self, secret_parts: Collection[str] = ()) -> str:
        """Return the error as a line. Nothing from below a secret top-level key is shown."""
        path = printable(self.path, LONGEST_PATH)
        if self.value is NOTHING:
            return printable(f"{path}: {self.advice}")
        secret = self.secret or any(is_within(self.path, key) for key in secret_parts)
        return printable(f"{path}: {SECRET if secret else abridged(self.value)} {self.advice}")


class Remark(Finding):
    """A warning: the user is told, and the run goes on."""


class ConfigError(Exception):
    """The configuration is wrong; the message lists every error with its path, and no secret."""

    findings: Sequence[Finding]

    def __init__(self, findings: Iterable[Finding]) -> None:
        secret = secret_keys()
        self.findings = sorted(findings, key=_order)
        lines = dict.fromkeys(f"  {finding.line(secret)}" for finding in self.findings)
        super().__init__("\n".join(["the configuration is wrong, nothing was changed:", *lines]))


def _order(finding: Finding) -> list[str | int]:
    """Return the order of findings: those about one place are together."""
    parts = re.split(r"\[([0-9]{1,9})\]", finding.path)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]
