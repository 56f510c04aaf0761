"""The names in the raw figures: what is measured, by which ways, and under which circumstances."""

from dataclasses import dataclass

GATEWAYS, SIDECAR_GATEWAY = "egress gateway → gateway", "sidecar → gateway"
GATEWAY_POD, SIDECARS = "egress gateway → pod", "sidecar → pod"
"""The pairings of egress and termination, the client's site first. What ends at the pod passes its gateway unread."""

PAIRINGS = (GATEWAYS, SIDECAR_GATEWAY, GATEWAY_POD, SIDECARS)
PLAIN, TLS = "plain", "tls"
RELAYS = {2: "two relays", 3: "three relays"}
"""The way of `plain`, but through so many processes that copy, with TLS from the first to the last of them."""

AS_MANY = {GATEWAYS: 2, SIDECAR_GATEWAY: 2, GATEWAY_POD: 3, SIDECARS: 3}
"""How many proxies a pairing has."""

FIRST = "first edition"
"""dcmesh 0.1.0: sidecars at both ends, which take in and out all that the pods send."""

WAYS = (*PAIRINGS, TLS, PLAIN)
SHOWN = (*PAIRINGS, FIRST, *RELAYS.values(), TLS, PLAIN)
"""All of them, in the order of the tables."""

LOCAL = "local"
"""The case of a client and a replica in the database's own site. Its ways:"""

NO_MESH, BY_GATEWAYS, POD_SIDECAR = "no mesh", "gateways", "sidecar at the pod"
LOCAL_WAYS = (NO_MESH, BY_GATEWAYS, POD_SIDECAR, FIRST)

STREAMED, APPLIED, ROWS = "streamed", "applied", "small transactions"
LAG, QUERY, CONNECTION = "lag", "query", "connection"
SIDECARS_MEMORY = "sidecars' working set"
PERCENTILES = (50, 99)


def percentile_of(what: str, percent: int) -> str:
    """Return the metric's name of a percentile of times."""
    return f"{what} p{percent}"


EGRESS_GATEWAY, GATEWAY = "egress gateway", "gateway"
REPLICA_SIDECAR, SOURCE_SIDECAR = "replica's sidecar", "source's sidecar"
REPLICA_SERVER, SOURCE_SERVER = "replica's server", "source's server"
PROXIES = (REPLICA_SIDECAR, EGRESS_GATEWAY, GATEWAY, SOURCE_SIDECAR)
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
