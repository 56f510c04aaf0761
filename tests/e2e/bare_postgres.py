"""A PostgreSQL that ran before dcmesh, without Istio, and a server in the other site that follows it."""

from typing import Any

from .toolbox import Kubectl, eventually

IMAGE = "postgres:15"
NAMESPACE = "ledger"
HOST = f"pg-0.pg.{NAMESPACE}.svc.cluster.local"
ASK = 'psql --host=$host --username=postgres --tuples-only --command="SELECT 1"'

_PROGRAMS = "export PATH=$PATH:/usr/lib/postgresql/15/bin"
BEGIN = f"""
{_PROGRAMS}
initdb --pgdata=/tmp/data --username=postgres --auth=trust >/dev/null
echo "host all,replication all all trust" >>/tmp/data/pg_hba.conf
exec postgres -D /tmp/data -c listen_addresses='*' -c unix_socket_directories=/tmp
"""
FOLLOW = f"""
{_PROGRAMS}
until pg_basebackup --host={HOST} --username=postgres --pgdata=/tmp/data --write-recovery-conf; do sleep 1; done
exec postgres -D /tmp/data -c unix_socket_directories=/tmp
"""


def server(script: str) -> dict[str, Any]:
    """Return the container of a server that is started by a script."""
    ready = {"command": ["psql", "--host=/tmp", "--username=postgres", "--command=SELECT 1"]}
    return {
        "name": "postgres",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["bash", "-c", script],
        "readinessProbe": {"exec": ready, "periodSeconds": 5, "timeoutSeconds": 10},
        "resources": {"requests": {"cpu": "20m"}},
    }


def begin(site: Kubectl) -> None:
    """Start the database."""
    of, labels = {"namespace": NAMESPACE, "name": "pg"}, {"app": "pg"}
    pods = {"metadata": {"labels": labels}, "spec": {"containers": [server(BEGIN)]}}
    headless = {"clusterIP": "None", "selector": labels, "ports": [{"port": 5432, "name": "postgres"}]}
    own = {"serviceName": "pg", "replicas": 1, "selector": {"matchLabels": labels}, "template": pods}
    site.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "Service", "metadata": of, "spec": headless},
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": of, "spec": own},
    )
    site("rollout", "status", "statefulset/pg", "--namespace", NAMESPACE, "--timeout=180s")


def copy(site: Kubectl, namespace: str) -> None:
    """Start a server in another site that follows the database by its real name."""
    of = {"name": "pg-copy", "namespace": namespace}
    spec = {"containers": [server(FOLLOW)], "terminationGracePeriodSeconds": 1}
    site.apply({"apiVersion": "v1", "kind": "Pod", "metadata": of, "spec": spec})
    site("wait", "--for=condition=Ready", "pod/pg-copy", "--namespace", namespace, "--timeout=120s")


def sql(site: Kubectl, pod: str, namespace: str, statement: str) -> str:
    """Query a server through its socket."""
    asked = ("psql", "--host=/tmp", "--username=postgres", "--tuples-only", "--no-align", f"--command={statement}")
    return site("exec", "--namespace", namespace, pod, "--", *asked)


def follows(source: Kubectl, copy: Kubectl, namespace: str) -> None:
    """Write a row and wait until it arrives."""
    sql(source, "pg-0", NAMESPACE, "CREATE TABLE IF NOT EXISTS t (id serial); INSERT INTO t DEFAULT VALUES")
    rows = sql(source, "pg-0", NAMESPACE, "SELECT COUNT(*) FROM t")
    eventually("the row arrives", lambda: sql(copy, "pg-copy", namespace, "SELECT COUNT(*) FROM t") == rows)
