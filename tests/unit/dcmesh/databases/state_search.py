"""Search: every state that a simulated world can come to, until one is found that must not be."""

from collections import deque
from collections.abc import Hashable, Iterable
from typing import Protocol, TypeVar

State = TypeVar("State", bound=Hashable)


class Violation(Exception):  # noqa: N818
    """What must never be."""


class World(Protocol[State]):
    """What a state leads to."""

    def begin(self) -> State:
        """Return the first state."""

    def successors(self, state: State) -> Iterable[State]:
        """Return what may be next. Raises Violation."""


def search(world: World[State], most: int = 10**9) -> tuple[str, set[State]]:
    """Return what must not be and can be, if there is such a thing, and the states that were looked at.

    Breadth first: how many that are does not hang on the order of sets.
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
