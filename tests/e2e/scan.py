"""Prints every TCP port that accepts connections, a line each: `python scan.py TARGET…`, run inside a site.

A target is `ADDRESS`, for all its ports, or `ADDRESS:PORT`.

The kernel makes the connections, however busy the machine is, and is asked once at the end. So no port is missed
because this program was late.
"""

import resource
import select
import socket
import sys
import time
from collections.abc import Iterator
from itertools import islice

AT_ONCE = 16_000
SECONDS = 2.5
"""A port that is silent for this long counts as closed. In that time a lost packet is sent again."""

Target = tuple[str, int]


def accepting(targets: list[Target]) -> Iterator[Target]:
    """Yield the targets that accept a connection."""
    attempts: dict[int, tuple[socket.socket, Target]] = {}
    for target in targets:
        attempt = socket.socket()
        attempt.setblocking(False)
        attempt.connect_ex(target)
        attempts[attempt.fileno()] = attempt, target
    time.sleep(SECONDS)
    poll = select.poll()
    for descriptor in attempts:
        poll.register(descriptor, select.POLLOUT)
    for descriptor, _ in poll.poll(0):
        attempt, target = attempts[descriptor]
        if attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
            yield target
    for attempt, _ in attempts.values():
        attempt.close()


def targets_of(argument: str) -> Iterator[Target]:
    """Yield the targets that an argument names."""
    address, _, port = argument.partition(":")
    return ((address, number) for number in ([int(port)] if port else range(1, 65536)))


def main() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (AT_ONCE + 100, AT_ONCE + 100))
    targets = (target for argument in sys.argv[1:] for target in targets_of(argument))
    while batch := list(islice(targets, AT_ONCE)):
        for address, port in accepting(batch):
            print(address, port)


if __name__ == "__main__":
    main()
