"""MariaDB's GTIDs: which transactions a server has, and which of another's it lacks."""

import re
from dataclasses import dataclass
from typing import NamedTuple, Self

NUMBER = r"(?:0|[1-9][0-9]{0,17})"
GTID = rf"[0-9]{{1,10}}-[0-9]{{1,10}}-{NUMBER}"
GTIDS = rf"(?:{GTID}(?:,{GTID})*)?"
"""What a server may name, as a whole."""


class Gtid(NamedTuple):
    """A transaction: its domain, the server that wrote it, and its number in the domain."""

    domain: int
    server: int
    number: int

    def __str__(self) -> str:
        return "-".join(map(str, self))


def parse(text: str) -> tuple[Gtid, ...]:
    """Return the GTIDs that a server names.

    Raises:
        ValueError: they are none.
    """
    if not re.fullmatch(GTIDS, text, re.ASCII):
        raise ValueError("these are no GTIDs")
    return tuple(Gtid(*map(int, gtid.split("-"))) for gtid in text.split(",") if gtid)


def reached(applied: str, received: str) -> bool:
    """Tell whether all that has arrived in a channel is applied.

    Args:
        applied: `@@gtid_slave_pos`.
        received: the channel's `Gtid_IO_Pos`.

    Raises:
        ValueError: one of them is none of GTIDs.
    """
    numbers = {gtid.domain: gtid.number for gtid in parse(applied)}
    return all(numbers.get(gtid.domain, 0) >= gtid.number for gtid in parse(received))


@dataclass(frozen=True)
class MariadbRows:
    """Which transactions a server's binary log has.

    Attributes:
        position: the last one of each domain.
        state: the last one of each domain and server.
    """

    position: tuple[Gtid, ...]
    state: tuple[Gtid, ...]

    @classmethod
    def parse(cls, position: str, state: str) -> Self:
        """Make one of `@@gtid_binlog_pos` and `@@gtid_binlog_state`.

        Raises:
            ValueError: these are no GTIDs.
        """
        return cls(parse(position), parse(state))

    def __str__(self) -> str:
        return ",".join(map(str, self.position))

    def lacking(self, of: "MariadbRows") -> str:
        """Return which of another server's transactions are not here, as ranges; nothing if all are.

        Numbers alone do not tell: a server with transactions of its own may have the higher ones. So the other's last
        one must be here under the id of the server that wrote it. In a log the numbers of a domain only grow, and who
        follows gets them in order, so what came before that one is here as well. What the other's state names besides
        is not asked for: a copy's begins with the last one alone.
        """
        here = {(gtid.domain, gtid.server): gtid.number for gtid in self.state}

        def absent(gtid: Gtid) -> bool:
            return here.get((gtid.domain, gtid.server), 0) < gtid.number

        domains = {gtid.domain for gtid in of.position if absent(gtid)}
        return ", ".join(
            f"{gtid._replace(number=here.get((gtid.domain, gtid.server), 0) + 1)} to {gtid}"
            for gtid in of.state
            if gtid.domain in domains and absent(gtid)
        )

    def lacking_of_replica(self, of: "MariadbRows") -> str:
        """Return which of a replica's transactions are not here: it cannot follow with any."""
        return self.lacking(of)
