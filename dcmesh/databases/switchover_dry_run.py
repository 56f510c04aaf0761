"""What a switchover would do: a run that asks both servers as any run does, and only imagines what it changes."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pulumi

from dcmesh.databases.switchover import Channel, Clock, NoAnswer, Own, Peer, Rows, Server, Side, Token, switch_over
from dcmesh.model.switchover import Switchover

HASTE = 4
"""How many times as fast this run's clock goes: nobody waits for what is only imagined."""


class Imagined:
    """A server that is asked and never told: what would change stands over what it says.

    Args:
        server: the server.
        peer: the other site's, which it follows.
    """

    def __init__(self, server: Server, peer: Peer) -> None:
        self._server, self._peer = server, peer
        self._own: Own | None = None
        self._changes: dict[str, Any] = {"watched": True}
        self._catches_up = False

    def look(self) -> Own:
        """Return what the server says, with what would have changed."""
        own = self._server.look()
        theirs = self._theirs() if self._catches_up else None
        if theirs and not theirs.lacking(own.rows):
            own = replace(own, rows=theirs)
        self._own = replace(own, **self._changes)
        return self._own

    def _theirs(self) -> Rows | None:
        try:
            return self._peer.look().rows
        except NoAnswer:
            return None

    def watch(self) -> None:
        """Nothing that is not changed has to stay the same."""

    def write(self, seen: Token, token: Token) -> None:
        """Imagine the row."""
        self._changes["token"] = token

    def stop_events(self, seen: Token) -> None:
        """Imagine no events."""
        self._changes.update(scheduler=False, running=0)

    def fence(self, seen: Token) -> None:
        """Imagine that no rows come after these."""
        self._changes.update(read_only=True, rows=self._own and self._own.rows)

    def follow(self, seen: Token) -> None:
        """Imagine a channel by which it gets all rows, unless an error would stop it again."""
        if self._own and not (self._own.channel and self._own.channel.error):
            self._catches_up = True
            self._changes["channel"] = Channel(receives=self._theirs() is not None, applies=True)

    def note(self, seen: Token, extra: str) -> None:
        """Imagine the note."""
        self._changes["extra"] = extra

    def open(self, seen: Token) -> None:
        """Imagine an open server."""
        self._changes.update(read_only=False, channel=None)

    def run_events(self, seen: Token, *, alone: bool) -> None:
        """Imagine its events."""
        self._changes["idle_events"] = False


def foreseen(switchover: Switchover, sides: Sequence[Side], clock: Clock | None = None) -> tuple[list[str], bool]:
    """Say what `switch_over` would do, and change nothing.

    Args:
        switchover: what is wanted.
        sides: the sites.
        clock: the clock. Default: one that goes HASTE times as fast.

    Returns:
        Its lines, the reason why it would refuse at their end; and whether it would not.
    """
    imagined = {side.site: Imagined(side.server, side.peer) for side in sides}
    sides = [replace(side, server=imagined[side.site], peer=imagined.get(side.other, side.peer)) for side in sides]
    lines = list[str]()
    try:
        switch_over(switchover, sides, lines.append, clock or Clock(now=lambda: HASTE * time.monotonic()))
    except pulumi.RunError as error:
        return [*lines, str(error)], False
    return lines, True
