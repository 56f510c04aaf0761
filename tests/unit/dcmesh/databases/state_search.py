"""Search: every state that a simulated world can reach, until a forbidden one is found."""

from collections import deque
from collections.abc import Hashable, Iterable
from typing import Protocol, TypeVar

State = TypeVar("State", bound=Hashable)


class Violation(Exception):  # noqa: N818
    """A forbidden state."""


class World(Protocol[State]):
    """A simulated world: its first state, and the states that follow each."""

    def begin(self) -> State:
        """Return the first state."""

    def successors(self, state: State) -> Iterable[State]:
        """Return the states that may come next. Raises Violation if one is forbidden."""


def search(world: World[State], most: int = 10**9) -> tuple[str, set[State]]:
    """Return a forbidden state that can be reached, if there is one, and the states that were searched.

    The search is breadth first. So the number of states does not depend on the order of sets.
    """
    first = world.begin()
    known, waiting = {first}, deque([first])
    while waiting and len(known) < most:
        try:
            for state in world.successors(waiting.popleft()):
                if state not in known:
                    known.add(state)
                    waiting.append(state)
        except Violation as violation:
            return str(violation), known
    return "", known
