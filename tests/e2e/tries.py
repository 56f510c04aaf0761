"""A client that connects to hosts all the time, and the outcome of each of its tries."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from . import bare_database as bare
from .toolbox import MARIADB, Kubectl, start

GREETING = """timeout 2 bash -c '{ read -r -N 5 -u 3; } 3<>"/dev/tcp/$0/3306"' $host"""
"""Waits for the first bytes from a host's database. This needs no account."""

WATCH = """
echo begun
for host in HOSTS; do
  while sleep 0.1; do
    said=$(ASK 2>&1)
    echo "$EPOCHREALTIME $host $?" $said >>/tmp/tries
  done &
done
read -r
kill $(jobs -p)
cat /tmp/tries
"""
"""Asks each host again and again until it reads a line. Then it prints when each was asked, and whether it answered."""


@dataclass
class Tries:
    """The outcome of a client's new connections.

    Attributes:
        answered: the times at which one was answered.
        failed: the times at which one failed, with the host and the reason.
    """

    answered: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def longest_pause(self) -> float:
        """The longest time in which none was answered."""
        return max(later - sooner for sooner, later in pairwise(self.answered))

    @property
    def a_second(self) -> float:
        """The number of connections per second."""
        return (len(self.answered) + len(self.failed)) / (self.answered[-1] - self.answered[0])

    def failed_but_at(self, *pods: str) -> list[str]:
        """Return the failures at hosts of other pods than these."""
        return [line for line in self.failed if line.split()[1].partition(".")[0] not in pods]


@contextmanager
def watched(
    site: Kubectl, namespace: str, account: str, hosts: Sequence[str], *, ask: str = GREETING
) -> Iterator[Tries]:
    """Run a client that connects all the time. After the block, the yielded object has the outcome.

    Args:
        site: the client's site.
        namespace: the client's namespace.
        account: the client's service account.
        hosts: the hosts that the client asks, all at the same time.
        ask: the command that asks `$host`.
    """
    pod = start(site, "watch", namespace, account, image=MARIADB)
    tries = Tries()
    with bare.looping(site, pod, WATCH.replace("HOSTS", " ".join(hosts)).replace("ASK", ask)) as end:
        yield tries
        for line in sorted(end().splitlines()):
            when, _, code, *_ = line.split()
            if code == "0":
                tries.answered.append(float(when))
            else:
                tries.failed.append(line)
    site("delete", "pod", "watch", "--namespace", namespace)
