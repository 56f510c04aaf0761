"""The gateway of a site: its name, its place, and how it can get its address."""

from typing import Literal

GATEWAY_NAME = "istio-eastwestgateway"

GATEWAY_NAMESPACE = "dcmesh-gateway"
"""Namespace of the gateway, and of the Gateways that open it, unless an `up` before has put it elsewhere."""

GATEWAY_PORT = 15443
"""Port of every east-west gateway: the one that Istio's documentation uses for AUTO_PASSTHROUGH."""

Exposure = Literal[
    "load-balancer",
    "aws-nlb",
    "aws-nlb-internal",
    "gcp",
    "gcp-internal",
    "azure",
    "azure-internal",
    "metallb",
    "nodeport",
]
