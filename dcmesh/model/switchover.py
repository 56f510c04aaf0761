"""Which of two sites is the primary of a database."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Switchover:
    """Which of two sites is the primary, where that can change.

    Attributes:
        primary: the site that is to be the primary.
        without: the other site, if it is gone and the primary must not wait for it.
        at: the GTIDs with which the primary goes on then. What the other committed after them may be lost.
    """

    primary: str
    without: str = ""
    at: str = ""
