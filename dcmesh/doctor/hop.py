"""Hop: a place on the way from a consumer to the server, and how it is looked at."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from dcmesh.doctor.findings import FindingKind, HopFinding, Side
from dcmesh.doctor.walked_link import WalkedLink


@dataclass(frozen=True, kw_only=True)
class Hop:
    """A hop of every link.

    Attributes:
        name: its name.
        about: what must be true there.
        side: where it must be looked at.
        kinds: what may be found.
        egress: the kind of egress that has this hop. Default: both.
        look: yields what is wrong with a link there. Nothing after the first CRITICAL finding is asked for.

    Raises:
        UnseenError, ElsewhereError, kube.api.ERRORS: (look) it cannot be looked at.
    """

    name: str
    about: str
    side: Side
    kinds: tuple[FindingKind, ...]
    look: Callable[[WalkedLink], Iterator[HopFinding]]
    egress: Literal["sidecar", "gateway"] | None = None
