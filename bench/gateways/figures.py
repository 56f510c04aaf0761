"""The names in the raw figures: what is measured, and by which ways."""

from bench.data_path.figures import PLAIN, TLS

BY_SIDECAR, BY_GATEWAY = "sidecar → gateway", "egress gateway → gateway"
"""First what takes the connection in the client's site, then what ends TLS in the other site."""

WAYS = (BY_GATEWAY, BY_SIDECAR, TLS, PLAIN)

LOCAL = "local query p50"
WITHOUT, WITH = "without dcmesh", "with dcmesh"
UP, DESTROY = "up", "destroy"
PAIR = "pair"
