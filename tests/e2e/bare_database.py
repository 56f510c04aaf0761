"""A database that ran before dcmesh, without Istio: two servers, a Service for its primary, and local clients.

The servers hold a connection to each other at Galera's port, and are restarted if it ends. The end-to-end tests of the
gateways export the database, and check that nothing about it has changed.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from tests.e2e.toolbox import MARIADB, Database, Kubectl, eventually, log_in, start

NAMESPACE = "bare"
PASSWORD = "ordinary-1234"
PODS = ("db-0", "db-1")
GROUP_PORT = 4567
"""Galera's."""

BEGIN = f"""
mkdir -p /tmp/data /run/mysqld
mariadb-install-db --datadir=/tmp/data --auth-root-authentication-method=normal --skip-test-db >/dev/null
cat >/tmp/init.sql <<SQL
CREATE USER IF NOT EXISTS replication@'%' IDENTIFIED BY '{PASSWORD}';
GRANT REPLICATION SLAVE, REPLICA MONITOR, BINLOG MONITOR ON *.* TO replication@'%';
SQL
exec mariadbd --datadir=/tmp/data --user=root --skip-name-resolve --log-bin --log-basename=db \
  --server-id=$((10 + ${{HOSTNAME##*-}})) --gtid-domain-id=$((10 + ${{HOSTNAME##*-}})) --slave-net-timeout=5 \
  --socket=/run/mysqld/mysqld.sock --init-file=/tmp/init.sql --extra-port={GROUP_PORT} --extra-max-connections=10
"""

GROUP = f"""
ask() {{ mariadb --host=db-$((1 - ${{HOSTNAME##*-}})).db --port={GROUP_PORT} --user=replication "$@"; }}
export MYSQL_PWD={PASSWORD}
until ask --execute="SELECT 1"; do sleep 0.5; done
while echo "SELECT 1;"; do sleep 0.1; done | ask --unbuffered --skip-reconnect >/dev/null
"""
"""Holds one connection to the other server, and asks by it ten times a second. It ends with that connection."""

LOCAL = """
ok=0; bad=0; why=; echo begun
until read -r -t 0; do
  for host in HOSTS; do
    if said=$(ASK 2>&1); then ok=$((ok + 1)); else bad=$((bad + 1)); why="$host: $said"; fi
  done
  sleep 0.1
done
echo $ok $bad $why
"""
"""Connects as a local client does, until it reads another line.

Then it prints how often that worked or failed, and why.

It has a long time-out, as clients do. No connection may be refused or broken."""

ASK = 'mariadb --host=$host --user=replication --connect-timeout=30 --execute="SELECT 1"'

SESSION = """
unset MYSQL_PWD
coproc session { exec mariadb --socket=/run/mysqld/mysqld.sock -BN --unbuffered; }
ask() { echo "$1" >&"${session[1]}"; read -r said <&"${session[0]}"; }
goes_on() { read -r -t 0.05; [ $? -gt 128 ]; }
echo begun
"""
"""For a loop in a server's container: `ask` by one session, which costs less than one each; `goes_on` until there is a
line to read."""

WRITE = """
SESSION
while goes_on; do ask "INSERT INTO watched.t () VALUES (); SELECT 1;"; done
echo ended
""".replace("SESSION", SESSION)
"""Commits a row again and again, until it reads another line."""

FOUND_DEAD = 5000
"""Milliseconds after which the servers' own `slave-net-timeout` finds a connection dead. A replica that notices a
gateway's end is back before that."""

WATCH = """
SESSION
now() { now=$((${EPOCHREALTIME/./} / 1000)); }
worst=0; changes=0; seen=; now; last=$now
while goes_on; do
  ask "SELECT MAX(id) FROM watched.t;"
  now
  if [ "$said" != "$seen" ]; then
    [ -n "$seen" ] && [ $((now - last)) -gt $worst ] && worst=$((now - last))
    last=$now; seen=$said; changes=$((changes + 1))
  fi
done
echo $worst $changes
""".replace("SESSION", SESSION)
"""Looks for new rows, until it reads another line. Then it prints the longest time without new rows, in milliseconds,
and how often there were new ones."""


def server() -> dict[str, Any]:
    """Return the container of a server."""
    ping = {"command": ["mariadb-admin", "--socket=/run/mysqld/mysqld.sock", "ping"]}
    return {
        "name": "mariadb",
        "image": MARIADB,
        "imagePullPolicy": "IfNotPresent",
        "command": ["bash", "-c", BEGIN],
        "securityContext": {"runAsUser": 0},
        "readinessProbe": {"exec": ping, "periodSeconds": 5, "timeoutSeconds": 10},
        "resources": {"requests": {"cpu": "20m"}},
    }


def group() -> dict[str, Any]:
    """Return the container that stands in for Galera. Each pod has one, with a connection to the other pod's."""
    return {"name": "group", "image": MARIADB, "imagePullPolicy": "IfNotPresent", "command": ["bash", "-c", GROUP]}


def database(namespace: str = NAMESPACE, **labels: str) -> list[dict[str, Any]]:
    """Return the objects of the database.

    Args:
        namespace: its namespace.
        labels: the namespace's labels.
    """
    of = {"namespace": namespace}
    port = {"port": 3306, "name": "mysql"}
    primary = {"statefulset.kubernetes.io/pod-name": "db-0"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {**of, "name": "db"},
            "spec": {"clusterIP": "None", "selector": {"app": "db"}, "ports": [port]},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {**of, "name": "db-primary"},
            "spec": {"selector": primary, "ports": [port]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {**of, "name": "db"},
            "spec": {
                "serviceName": "db",
                "replicas": len(PODS),
                "podManagementPolicy": "Parallel",
                "selector": {"matchLabels": {"app": "db"}},
                "template": {
                    "metadata": {"labels": {"app": "db"}},
                    "spec": {"containers": [server(), group()], "terminationGracePeriodSeconds": 2},
                },
            },
        },
    ]


def begin(site: Kubectl, namespace: str = NAMESPACE, **labels: str) -> None:
    """Start the database, and wait until its servers are known by name.

    The servers ask DNS for each other before they are ready. The cluster's DNS then denies the names for some seconds.
    """
    site.apply(*database(namespace, **labels))
    site("rollout", "status", "statefulset/db", "--namespace", namespace, "--timeout=180s")
    servers = ("--namespace", namespace, PODS[0], "--container", "mariadb", "--", "getent", "ahostsv4")
    for pod in PODS:
        eventually(f"{pod}.db has an address", partial(site, "exec", *servers, f"{pod}.db", check=False))


def state(site: Kubectl, namespace: str = NAMESPACE) -> list[Any]:
    """Return what a change of the database's own objects would change: pods, their restarts, and generations."""
    listed = ("get", "pods,services,statefulsets,namespaces", "--namespace", namespace, "--output", "json")
    items = json.loads(site(*listed))["items"]
    return sorted(
        [
            item["kind"],
            item["metadata"]["name"],
            item["metadata"]["uid"],
            item["metadata"].get("generation"),
            sorted((item["metadata"].get("annotations") or {}).items()),
            sorted((item["metadata"].get("labels") or {}).items()),
            [status["restartCount"] for status in item.get("status", {}).get("containerStatuses", ())],
        ]
        for item in items
        if item["metadata"].get("namespace", item["metadata"]["name"]) == namespace
    )


def replica(site: Kubectl, namespace: str, account: str, source: str) -> Database:
    """Start another server, with a server number of its own, that follows a host as a consumer."""
    of = {"name": "replica-7", "namespace": namespace}
    spec = {"serviceAccountName": account, "containers": [server()], "terminationGracePeriodSeconds": 1}
    site.apply({"apiVersion": "v1", "kind": "Pod", "metadata": of, "spec": spec})
    site("wait", "--for=condition=Ready", "pod/replica-7", "--namespace", namespace, "--timeout=120s")
    found = Database(site, namespace, "replica-7")
    found(
        f"CHANGE MASTER TO MASTER_HOST='{source}', MASTER_USER='replication', MASTER_PASSWORD='{PASSWORD}', "
        "MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1, MASTER_HEARTBEAT_PERIOD=1; START SLAVE"
    )
    return found


@contextmanager
def looping(
    site: Kubectl, inside: tuple[str, ...], script: str, *, password: str = PASSWORD
) -> Iterator[Callable[[], str]]:
    """Run a loop in a container. Yield a function that ends the loop and returns its output."""
    command = site.command(
        "exec", "--stdin", *inside, "--", "bash", "-c", f"read -r MYSQL_PWD; export MYSQL_PWD\n{script}"
    )
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as loop:
        assert loop.stdin is not None
        assert loop.stdout is not None
        loop.stdin.write(f"{password}\n")
        loop.stdin.flush()
        assert loop.stdout.readline() == "begun\n"
        try:
            yield lambda: loop.communicate("end\n", timeout=60)[0].strip()
        finally:
            loop.kill()


@contextmanager
def local_client(
    site: Kubectl,
    namespace: str = NAMESPACE,
    *,
    image: str = MARIADB,
    hosts: str = "db-0.db db-1.db db-primary",
    ask: str = ASK,
) -> Iterator[Callable[[], float]]:
    """Run a client in a database's own namespace that connects all the time, and check that none of its tries failed.

    Args:
        site: the database's site.
        namespace: the database's namespace.
        image: an image with the client program.
        hosts: the hosts that the client asks in turn.
        ask: the command that sends `$host` one query.

    Yields:
        A function that ends the client, and returns how many connections it made per second.
    """
    pod = start(site, "local", namespace, "default", image=image)
    rate, begun = list[float](), time.monotonic()
    with looping(site, pod, LOCAL.replace("HOSTS", hosts).replace("ASK", ask)) as end:

        def ended() -> float:
            if not rate:
                answered, failed, *why = end().split(maxsplit=2)
                assert failed == "0", f"of the local connections {failed} failed, {answered} did not; the last: {why}"
                assert int(answered) > 100
                rate.append(int(answered) / (time.monotonic() - begun))
            return rate[0]

        yield ended
        ended()


def answer(site: Kubectl, pod: tuple[str, ...], host: str, *, sql: str = "SELECT @@hostname", port: int = 3306) -> str:
    """Return the database's answer to a client, or the reason why there is none."""
    return log_in(site, pod, host, "replication", PASSWORD, sql=sql, port=port)


def longest_pauses(
    source: Database, copy: Database, site: Kubectl, deployment: str, pods: Callable[[], list[str]]
) -> dict[str, int]:
    """Kill each pod of a gateway, then evict each.

    Return the longest time without a new row each time, in milliseconds.

    Args:
        source: the server that writes.
        copy: the server that follows through that gateway.
        site: the gateway's site.
        deployment: the gateway's namespace and name, separated by a slash.
        pods: returns the pods that the gateway has now.
    """
    namespace, _, name = deployment.partition("/")
    place = ("--namespace", namespace)
    pauses = dict[str, int]()
    for how in ("kill", "evict"):
        for number, pod in enumerate(pods()):
            with (
                looping(source.site, source.inside, WRITE) as written,
                looping(copy.site, copy.inside, WATCH) as watched,
            ):
                time.sleep(1)
                if how == "kill":
                    site("delete", "pod", pod, *place, "--grace-period=0", "--force")
                else:
                    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
                    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
                    site("create", "--raw", path, "--filename", "-", stdin=json.dumps(eviction))
                site("rollout", "status", f"deployment/{name}", *place, "--timeout=60s")
                time.sleep(6)  # A draining pod gives up its connections after five seconds.
                pauses[f"{how} {number}"], changes = map(int, watched().split())
                assert changes > 20, "otherwise there was nothing to see"
                assert written() == "ended"
    print(pauses)
    return pauses
