"""The names in the raw figures: what is measured, and of which peers."""

DCMESH, MULTI_PRIMARY, HAPROXY = "dcmesh by gateways", "Istio multi-primary", "HAProxy a pod"
WAYS = (DCMESH, MULTI_PRIMARY, HAPROXY)
PAIR = "pair"
"""The case of all figures, except those of faults."""

SET_UP, STEPS, OBJECTS, MEMORY = "set-up", "steps", "objects", "memory"
BALANCERS, RESTARTS = "LoadBalancers", "restarts of the database"

POD_RESTART, GATEWAY_LOSS, ROOT_ROTATION = "pod restart", "gateway loss", "root rotation"
FAULTS = (POD_RESTART, GATEWAY_LOSS, ROOT_ROTATION)
UNANSWERED, CUT = "longest time without an answer", "the replica was cut off"
