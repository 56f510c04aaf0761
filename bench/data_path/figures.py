"""The names in the raw figures: what is measured, by which ways, and under which circumstances."""

from dataclasses import dataclass

DCMESH, PLAIN, TLS = "dcmesh", "plain", "tls"
WAYS = (DCMESH, TLS, PLAIN)
ONE_SIDECAR = "one sidecar"
"""Like `plain`, but from the pod of dcmesh's replica, whose sidecar passes the connection on."""

RELAYS = "three relays"
"""Like `plain`, but through three processes in three pods, which only copy."""

STREAMED, APPLIED, ROWS = "streamed", "applied", "small transactions"
LAG, QUERY, CONNECTION = "lag", "query", "connection"
PERCENTILES = (50, 99)


def percentile_of(what: str, percent: int) -> str:
    """Return the metric's name of a percentile of times."""
    return f"{what} p{percent}"


GATEWAY, SOURCE_SIDECAR, REPLICA_SIDECAR = "gateway", "source's sidecar", "replica's sidecar"
SOURCE_SERVER, REPLICA_SERVER = "source's server", "replica's server"
PROXIES = (REPLICA_SIDECAR, GATEWAY, SOURCE_SIDECAR)
"""The proxies on the way from the replica to its source, in this order."""

SERVERS = (SOURCE_SERVER, REPLICA_SERVER)


def cpu_of(process: str) -> str:
    """Return the metric's name of a process's CPU time."""
    return f"CPU of {process}"


@dataclass(frozen=True, kw_only=True)
class Case:
    """The circumstances of a measurement.

    Attributes:
        delay: milliseconds that the WAN adds to a round trip.
        loss: share of the packets that the WAN loses, in each direction.
        rounds: the largest number of rounds.
        megabytes: how much is streamed, and applied.
        rows: how many small transactions there are.
        seconds: how long queries are sent.
        connections: how many connections are made.
    """

    delay: int
    loss: float = 0
    rounds: int
    megabytes: int
    rows: int
    seconds: int
    connections: int

    @property
    def name(self) -> str:
        """The case's name in the raw figures."""
        return f"{self.delay} ms" + (f", {self.loss:.1%} lost" if self.loss else "")


NEAR = Case(delay=0, rounds=100, megabytes=256, rows=2000, seconds=3, connections=400)
FAR = (
    Case(delay=10, rounds=3, megabytes=128, rows=1000, seconds=3, connections=60),
    Case(delay=50, rounds=3, megabytes=128, rows=1000, seconds=5, connections=30),
    Case(delay=10, loss=0.001, rounds=3, megabytes=64, rows=1000, seconds=3, connections=60),
)
CASES = (NEAR, *FAR)
