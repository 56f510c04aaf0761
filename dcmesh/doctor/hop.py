"""Hop: a place on the way from a consumer to the server, and how it is looked at."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from dcmesh.doctor.findings import FindingKind, HopFinding, Side
from dcmesh.doctor.link import WalkedLink


@dataclass(frozen=True, kw_only=True)
class Hop:
    """A hop of every link.

    Attributes:
        name: its name.
        about: what must be so there.
        side: where it must be looked at.
        kinds: what may be found.
        egress: how the consumer must reach the host for a connection to come by it. Default: however.
        look: yields what is wrong with a link there. The first that is CRITICAL is the last that counts.

    Raises:
        UnseenError, ElsewhereError, kube.api.ERRORS: (look) it cannot be looked at.
    """

    name: str
    about: str
    side: Side
    kinds: tuple[FindingKind, ...]
    look: Callable[[WalkedLink], Iterator[HopFinding]]
    egress: Literal["sidecar", "gateway"] | None = None
