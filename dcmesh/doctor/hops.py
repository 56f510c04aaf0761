"""The hops of every link, in the order in which a connection comes by them."""

from dcmesh.doctor import (
    answer,
    channel,
    client_pod,
    control_plane,
    endpoints,
    gateway,
    identity,
    listener,
    names,
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
    listener.HOP,
    endpoints.HOP,
    tls.HOP,
    # between the sites
    route.HOP,
    # in the exporting site
    control_plane.SOURCES,
    gateway.HOP,
    passthrough.HOP,
    server_pod.HOP,
    peer.HOP,
    identity.HOP,
    policy.HOP,
    # from end to end
    answer.HOP,
    channel.HOP,
)
