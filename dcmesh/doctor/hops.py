"""The hops of every link, in the order in which a connection passes them."""

from dcmesh.doctor import (
    answer,
    capture,
    channel,
    client_pod,
    control_plane,
    egress,
    endpoints,
    gateway,
    identity,
    ingress,
    listener,
    names,
    neighbours,
    passthrough,
    peer,
    policy,
    route,
    server_pod,
    tls,
    virtual_address,
)

HOPS = (
    # in the consumer's site
    control_plane.CONSUMERS,
    client_pod.HOP,
    names.HOP,
    virtual_address.HOP,
    capture.CONSUMERS,
    listener.HOP,
    egress.NAMES,
    egress.PORTS,
    endpoints.HOP,
    tls.HOP,
    neighbours.CONSUMERS,
    # between the sites
    route.HOP,
    # in the exporting site
    control_plane.SOURCES,
    neighbours.SOURCES,
    gateway.HOP,
    passthrough.HOP,
    ingress.HOP,
    server_pod.HOP,
    capture.SOURCES,
    peer.HOP,
    identity.HOP,
    policy.HOP,
    # from end to end
    answer.HOP,
    channel.HOP,
)
