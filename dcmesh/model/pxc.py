"""A Percona XtraDB Cluster: names of its objects, and options that are not the user's."""

REPLICATION = {
    "gtid_mode": "ON",
    "enforce_gtid_consistency": "ON",
    # A node's own binary log has all of the cluster's changes and those of its source: any node can be followed.
    "log_replica_updates": "ON",
    # A cluster that has lost its volumes gets back what it wrote itself. Without this a server leaves out what has its
    # own server_id, and the operator takes that from the uid of the resource, which is still there. With GTIDs, what
    # was applied is not applied again.
    # https://dev.mysql.com/doc/refman/8.4/en/replication-options-replica.html#option_mysqld_replicate-same-server-id
    "replicate_same_server_id": "ON",
    # The source sends a heartbeat every 7.5 seconds. A connection that was cut without a word is given up after 15,
    # where the default is a minute.
    "replica_net_timeout": "15",
}
"""Options of the server that replication between sites depends on. A user may not set them."""

CLOSED = {"read_only": "ON", "event_scheduler": "OFF"}
"""Options of a server that can change roles, as it starts: what opens it does so only when it is the primary's."""

CLAIM = "datadir"
"""Name of a node's claim, before that of the pod."""


def stateful_set_name(name: str) -> str:
    """Return how the operator names the StatefulSet and its headless Service, and we the service account."""
    return f"{name}-pxc"
