"""What is measured, and by which ways: the names in the raw figures."""

from bench.data_path.figures import PLAIN, TLS

BY_SIDECAR, BY_GATEWAY = "sidecar → gateway", "egress gateway → gateway"
"""The client's site first: what takes the connection there, and what ends TLS at the other."""

WAYS = (BY_GATEWAY, BY_SIDECAR, TLS, PLAIN)

LOCAL = "local query p50"
WITHOUT, WITH = "without dcmesh", "with dcmesh"
UP, DESTROY = "up", "destroy"
PAIR = "pair"
