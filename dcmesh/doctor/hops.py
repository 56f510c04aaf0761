"""The hops of every link, in the order in which a connection passes them."""

from dcmesh.doctor import (
    answer,
    capture,
    channel,
    client_pod,
    consumer_listener,
    control_plane,
    egress,
    endpoints,
    foreign_objects,
    gateway,
    gateway_listener,
    identity,
    ingress,
    peer_authentication,
    policy,
    route,
    server_pod,
    sidecar_dns,
    tls,
    virtual_address,
)

HOPS = (
    # in the consumer's site
    control_plane.CONSUMERS,
    client_pod.HOP,
    sidecar_dns.HOP,
    virtual_address.HOP,
    capture.CONSUMERS,
    consumer_listener.HOP,
    egress.NAMES,
    egress.PORTS,
    endpoints.HOP,
    tls.HOP,
    foreign_objects.CONSUMERS,
    # between the sites
    route.HOP,
    # in the exporting site
    control_plane.SOURCES,
    foreign_objects.SOURCES,
    gateway.HOP,
    gateway_listener.HOP,
    ingress.HOP,
    server_pod.HOP,
    capture.SOURCES,
    peer_authentication.HOP,
    identity.HOP,
    policy.HOP,
    # from end to end
    answer.HOP,
    channel.HOP,
)
