"""MariaDB as dcmesh runs it: names in its pods, and options that are not the user's."""

from dcmesh.model.link import MYSQL_PORT

SERVER = "mariadb"
"""Name of the server's container."""

CLAIM = "data"
"""Name of a pod's claim, before that of the pod."""

COPY_PORT = 4444
"""Port at which a pod serves backups, for the first copies of others."""

PLACE = {
    "datadir": "/var/lib/mysql/data",
    "socket": "/run/mysqld/mysqld.sock",
    "init_file": "/run/mysqld/start.sql",
    "port": str(MYSQL_PORT),
}
"""Options that mariadb_prepare.sh and the probes count on."""

REPLICATION = {
    "log_bin": "binlog",
    "binlog_format": "ROW",
    # A replica can be followed in its turn, and become the primary.
    "log_slave_updates": "1",
    "relay_log": "relay",
    "gtid_strict_mode": "1",
    # A committed row is in the binary log, and survives a crash of the node: no replica has what the primary lost.
    "sync_binlog": "1",
    "innodb_flush_log_at_trx_commit": "1",
    # The source sends a heartbeat every 2 seconds. A connection that was cut without a word is given up after 10.
    "slave_net_timeout": "10",
    # For ever; the default ends after a day.
    "master_retry_count": "4294967295",
    # The prepared start decides whom to follow.
    "skip_slave_start": "1",
    # All clients come from the sidecar's address.
    "skip_name_resolve": "1",
    # The sidecars encrypt, and the server sees none of it.
    "require_secure_transport": "OFF",
}
"""Options that replication between sites depends on."""

OWN_SETTINGS = frozenset({*PLACE, *REPLICATION, "server_id", "report_host", "read_only", "skip_networking"})
"""Options that a user may not set."""


def writer_name(name: str) -> str:
    """Return the name of the Service that leads to the primary, by the database's."""
    return f"{name}-writer"
