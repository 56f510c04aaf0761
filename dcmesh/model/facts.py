"""What was found of a part of a site: facts, and the problems that follow from them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from dcmesh.model.json_data import plain

MAX_LAG = 60
"""How many seconds behind a replica may be by default."""


class State(IntEnum):
    """How something is. The values are the exit codes of the Monitoring Plugins."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


def worst(states: Iterable[State]) -> State:
    """Return the state of a whole. Something that is broken counts more than something that is not known."""
    severity = (State.OK, State.WARNING, State.UNKNOWN, State.CRITICAL)
    return max(states, key=severity.index, default=State.OK)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that somebody should know.

    Attributes:
        state: how bad it is.
        text: what it is and where, on one line.
    """

    state: State
    text: str


@dataclass(frozen=True, kw_only=True)
class Fact:
    """What was found of one part of a site.

    Attributes:
        site: name of the site.
        unknown: why the part could not be asked, on one line. Then its other fields mean nothing.
    """

    site: str
    unknown: str = ""

    @property
    def where(self) -> str:
        """What problems of the part begin with."""
        raise NotImplementedError

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What follows from the facts."""
        if self.unknown:
            return (Problem(state=State.UNKNOWN, text=f"{self.where}: {self.unknown}"),)
        return tuple(Problem(state=state, text=f"{self.where}: {text}") for state, text in self.judge())

    def judge(self) -> Iterator[tuple[State, str]]:
        """Yield what is wrong with a part that could be asked."""
        raise NotImplementedError

    @property
    def state(self) -> State:
        """The worst of its problems."""
        return worst(problem.state for problem in self.problems)

    def as_json(self) -> dict[str, Any]:
        """Return the facts and their state as plain data."""
        return {**plain(self), "state": plain(self.state)}
