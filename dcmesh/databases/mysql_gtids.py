"""MySQL's GTIDs: which transactions a cluster has, and which of another's it lacks."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Self

NUMBER = "[1-9][0-9]{0,18}"
INTERVAL = f"{NUMBER}(?:-{NUMBER})?"
UUID = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
TAG = "[a-zA-Z_][a-zA-Z0-9_]{0,31}"
HISTORY = f"{UUID}(?::(?:{INTERVAL}|{TAG}))+"
GTIDS = f"(?:{HISTORY}(?:,[ \n]*{HISTORY})*)?"
"""What a server may name, as a whole."""

Source = tuple[str, str]
"""Who has written: the id of a cluster or server, and a tag, which may be empty."""

Intervals = tuple[tuple[int, int], ...]
"""Numbers, as first and last ones: in order, and never next to each other."""


def merged(intervals: Sequence[tuple[int, int]]) -> Intervals:
    """Return intervals in order, those that touch as one."""
    found = list[tuple[int, int]]()
    for first, last in sorted(intervals):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return tuple(found)


def without(intervals: Intervals, others: Intervals) -> Intervals:
    """Return the numbers of intervals that are not among others."""
    left, at = list[tuple[int, int]](), 0
    for first, last in intervals:
        while at < len(others) and others[at][0] <= last:
            if first < others[at][0]:
                left.append((first, others[at][0] - 1))
            first = max(first, others[at][1] + 1)
            if others[at][1] > last:
                break  # it may reach into the next one
            at += 1
        if first <= last:
            left.append((first, last))
    return tuple(left)


@dataclass(frozen=True)
class MysqlRows:
    """Which transactions a server or a cluster has executed.

    Attributes:
        sets: for each that has written, in order, which numbers.
    """

    sets: tuple[tuple[Source, Intervals], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Make one of `@@gtid_executed`, or of another set of GTIDs.

        Raises:
            ValueError: that is none.
        """
        if not re.fullmatch(GTIDS, text, re.ASCII):
            raise ValueError("these are no GTIDs")
        found = dict[Source, list[tuple[int, int]]]()
        for history in filter(None, re.split(",[ \n]*", text)):
            uuid, *parts = history.lower().split(":")
            tag = ""
            for part in parts:
                if not part[0].isdigit():
                    tag = part
                    continue
                first, _, last = part.partition("-")
                if int(last or first) >= int(first):  # MySQL takes one that ends before it begins for empty
                    found.setdefault((uuid, tag), []).append((int(first), int(last or first)))
        return cls._of({source: merged(intervals) for source, intervals in found.items()})

    @classmethod
    def of_nodes(cls, nodes: Sequence[Self]) -> Self:
        """Return what a cluster has: all that any of its nodes has in the histories that each of them has.

        A node that has written outside the cluster has a history of its own, which never reaches another site.

        Raises:
            ValueError: the nodes have no history in common.
        """
        shared = set[str].intersection(*(node.histories for node in nodes))
        if any(node.sets for node in nodes) and not shared:
            raise ValueError("its nodes have no common history")
        return reduce(cls._and, (node._only(shared) for node in nodes))

    @property
    def histories(self) -> set[str]:
        """Whose transactions are here."""
        return {uuid for (uuid, _), _ in self.sets}

    def __str__(self) -> str:
        return ",".join(self._written())

    def _written(self) -> Iterator[str]:
        for uuid in sorted(self.histories):
            parts = [
                part
                for (whose, tag), intervals in self.sets
                if whose == uuid
                for part in (tag, *(str(first) if first == last else f"{first}-{last}" for first, last in intervals))
            ]
            yield ":".join([uuid, *filter(None, parts)])

    def lacking(self, of: "MysqlRows") -> str:
        """Return which of a source's transactions are not here; nothing if all are."""
        here = dict(self.sets)
        left = {source: without(intervals, here.get(source, ())) for source, intervals in of.sets}
        return str(self._of(left))

    def lacking_of_replica(self, of: "MysqlRows") -> str:
        """Return which of a replica's transactions are not here, in the histories that are here.

        Others a replica has for itself: what its operator wrote while it made its users.
        """
        return self.lacking(of._only(self.histories))

    def _only(self, histories: set[str]) -> Self:
        return self._of({source: intervals for source, intervals in self.sets if source[0] in histories})

    def _and(self, other: "MysqlRows") -> Self:
        here, there = dict(self.sets), dict(other.sets)
        return self._of({s: merged([*here.get(s, ()), *there.get(s, ())]) for s in {**here, **there}})

    @classmethod
    def _of(cls, sets: Mapping[Source, Intervals]) -> Self:
        return cls(tuple((source, sets[source]) for source in sorted(sets) if sets[source]))
