"""A PostgreSQL that runs before dcmesh, without Istio."""

from typing import Any

IMAGE = "postgres:15"

BEGIN = """
export PATH=$PATH:/usr/lib/postgresql/15/bin
initdb --pgdata=/tmp/data --username=postgres --auth=trust >/dev/null
echo "host all,replication all all trust" >>/tmp/data/pg_hba.conf
exec postgres -D /tmp/data -c listen_addresses='*' -c unix_socket_directories=/tmp
"""


def server() -> dict[str, Any]:
    """Return the container of a server."""
    ready = {"command": ["psql", "--host=/tmp", "--username=postgres", "--command=SELECT 1"]}
    return {
        "name": "postgres",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["bash", "-c", BEGIN],
        "readinessProbe": {"exec": ready, "periodSeconds": 2, "timeoutSeconds": 10},
    }
