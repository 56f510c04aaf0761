"""Mariadb: a primary with its replicas in one site, or replicas of a database in another site."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from dcmesh.databases.replication import Replica
from dcmesh.model import settings as model
from dcmesh.model.link import CLUSTER_DOMAIN, MYSQL_PORT
from dcmesh.model.mariadb import CLAIM, COPY_PORT, PLACE, REPLICATION, SERVER
from dcmesh.model.plan import DatabasePlan
from dcmesh.model.secret import made_of
from dcmesh.model.security_contexts import CONFINED, NOBODY, RESTRICTED
from dcmesh.model.switchover import Switchover

from ..databases.failure_reasons import tell_reasons
from ..databases.generated_password import generated_password
from ..databases.writer_service import WriterService, WriterServiceArgs
from ..monitoring.objects import DATABASE_PORT
from ..pulumi_secrets import sealed
from ..rollout_command import rolled_out
from ..workloads.namespace_and_account import NO_SIDECAR, create_identity, pod_labels


def _scripts(*names: str) -> dict[str, str]:
    return {f"{name}.sh": Path(__file__).with_name(f"mariadb_{name}.sh").read_text() for name in names}


SCRIPTS = _scripts("token", "server", "source", "backup", "prepare", "start")
"""What the pods run, by the name that each has in their settings."""

BACKUP_SCRIPTS = _scripts("fetch", "copies")
"""What they run besides, where a first copy is a backup."""

SETTINGS = "/etc/dcmesh/settings"
PASSWORDS = "/etc/dcmesh/passwords"
ROLE = "/etc/dcmesh/role"
"""Where the pods find the options and scripts, the Secret with the passwords, and the ConfigMap with the role."""

MYSQL_USER = 999
"""Id of the user and group `mysql` in the official image."""

POD_USER = {"runAsUser": MYSQL_USER, "runAsGroup": MYSQL_USER, "fsGroup": MYSQL_USER}
"""As whom the pods run."""

ALIVE = f"said=$(timeout 4 mariadb --socket={PLACE['socket']} --execute='DO 0' 2>&1) || [[ $said == *'ERROR 1040 '* ]]"
"""Asks whether the server runs. A server that has no connection left does: a switchover may hold its last one."""

SOURCE_VERSION = (
    f'if [ -e {PLACE["datadir"]}/master.info ]; then echo "Source_Version: $('
    "timeout 3 mariadb --defaults-file=/run/mysqld/source.cnf --connect-timeout=2 --skip-column-names"
    " --execute=\"SELECT SUBSTRING_INDEX(VERSION(), '.', 2)\" 2>/dev/null | grep -xEm1 '[0-9]{1,3}[.][0-9]{1,3}')\"; fi"
)
"""Asks what is followed, over the link, for the series of its MariaDB. A replica that is older than that may stop."""

EXPORTER_PORT = 9104
"""Port of the exporter. Beside a sidecar it is on the pod's loopback alone: the sidecar's agent fetches the metrics and
shows them."""

EXPORTER_CNF = "[client]\nuser=nobody\npassword=none\nsocket=/run/mysqld/mysqld.sock\n"
"""How the exporter logs in. It wants to be given a password, though the socket asks for none."""

EXPORTED = ("global_status", "slave_status")
"""What the exporter asks the server for."""

NOT_EXPORTED = (
    "global_variables",
    "info_schema.innodb_cmp",
    "info_schema.innodb_cmpmem",
    "info_schema.query_response_time",
)
"""What the exporter would also ask for by default, and is told not to."""


DEFAULTS = {
    # Ten days: longer than a site is away.
    "binlog_expire_logs_seconds": "864000",
    # A copy is read as slowly as the line and the other site's disk take it.
    "net_write_timeout": "3600",
}
"""Options that a user may set otherwise."""


EVENTS = "event_scheduler"
"""The option that runs events, on the primary alone: start.sql, mariadb_start.sh and the switchover see to that."""


@dataclass(frozen=True, kw_only=True)
class MariadbArgs:
    """Arguments of Mariadb.

    Attributes:
        database: the database's part of the configuration.
        plan: its part of the plan.
        labels: the namespace's labels, sidecar injection among them.
        after: what must be there before a pod: the site's istiod, which injects the sidecars.
        replication_password: password of `replication`, the same at both ends of a channel. Secret. None while pending.
        kubeconfig: contents of the cluster's kubeconfig, to ask pods that do not start. Secret.
        protect: whether what holds the data is kept from deletion. Default no.
        exporter: image of mysqld_exporter, which shows the server's metrics. Default: no metrics.
    """

    database: model.Mariadb
    plan: DatabasePlan
    labels: Mapping[str, str]
    after: Sequence[pulumi.Resource]
    replication_password: pulumi.Input[str] | None
    kubeconfig: pulumi.Input[str]
    protect: bool = False
    exporter: str | None = None


def server_cnf(settings: Mapping[str, str]) -> str:
    """Return the server's options, the user's among them, as a file."""
    options = {**DEFAULTS, **settings, **PLACE, **REPLICATION}
    if runs_events(settings):
        options[EVENTS] = "OFF"
    return made_of(options.values(), "".join(["[mariadbd]\n", *(f"{key}={value}\n" for key, value in options.items())]))


def role(switchover: Switchover) -> dict[str, str]:
    """Return what a pod that starts must know."""
    return {"primary": switchover.primary, "without": switchover.without}


def runs_events(settings: Mapping[str, str]) -> bool:
    """Tell whether the primary runs events."""
    return settings.get(EVENTS, "OFF").upper() in ("ON", "1", "TRUE")


def first_server_id(site: str, namespace: str, name: str) -> int:
    """Return the server id of pod 0; pod N has that plus N.

    A hash, so that sites which know nothing of each other differ: two servers with one id do not replicate. 24 bits
    of it make that about as certain as one in ten million.
    """
    return (int.from_bytes(sha256(f"{site}/{namespace}/{name}".encode()).digest()[:3]) << 8) + 1


def replica(namespace: str, pod: str) -> Replica:
    """Return where a pod's channel can be asked for."""
    query = (
        "SHOW SLAVE STATUS\\G"
        " SELECT @@GLOBAL.gtid_slave_pos AS Gtid_Slave_Pos, @@GLOBAL.gtid_current_pos AS Gtid_Position,"
        " @@GLOBAL.read_only AS Read_Only, SUBSTRING_INDEX(VERSION(), '.', 2) AS Server_Version,"
        " (SELECT extra FROM dcmesh.primary_site WHERE server_id = @@server_id) AS Extra_Transactions\\G"
    )
    client = f'mariadb --socket={PLACE["socket"]} --execute="$0"'
    volume = f'echo "Volume_Used: $(df --output=pcent {PLACE["datadir"]} | tr -dc 0-9)"'
    command = ("bash", "-c", f"{client} && {volume} && {SOURCE_VERSION}", query)
    return Replica(namespace=namespace, pod=pod, container=SERVER, command=command)


def headless_service(*, name: str, copies: bool = False) -> dict[str, Any]:
    """Return the spec of the headless Service, which gives the pods their names within the cluster.

    Args:
        name: the database's.
        copies: whether the pods serve backups.
    """
    ports = {"tcp-mysql": MYSQL_PORT, **({"tcp-copies": COPY_PORT} if copies else {})}
    return {
        "clusterIP": "None",
        "selector": pod_labels(name),
        # MySQL's server speaks first. Said twice, or a sidecar would wait for the client's first bytes.
        "ports": [
            {"name": name, "port": port, "targetPort": port, "appProtocol": "tcp"} for name, port in ports.items()
        ],
    }


def fetch(image: Mapping[str, Any], variables: Sequence[Any]) -> dict[str, Any]:
    """Return the init container that fetches a backup. It can write to one directory of the volume alone.

    Args:
        image: which image it has.
        variables: its environment.
    """
    return {
        **image,
        "name": "fetch",
        "command": ["bash", f"{SETTINGS}/fetch.sh"],
        "env": list(variables),
        "securityContext": {**CONFINED, "readOnlyRootFilesystem": True},
        "volumeMounts": [
            {"name": "data", "mountPath": "/var/lib/mysql", "readOnly": True},
            {"name": "data", "mountPath": "/incoming", "subPath": "incoming"},
            {"name": "settings", "mountPath": SETTINGS},
            {"name": "role", "mountPath": ROLE},
            {"name": "passwords", "mountPath": PASSWORDS},
        ],
    }


def copies(image: Mapping[str, Any], variables: Sequence[Any]) -> dict[str, Any]:
    """Return the container that serves backups of the pod's server. It only reads what is the server's.

    Args:
        image: which image it has.
        variables: its environment.
    """
    return {
        **image,
        "name": "copies",
        "command": ["bash", f"{SETTINGS}/copies.sh"],
        "env": list(variables),
        "ports": [{"name": "copies", "containerPort": COPY_PORT}],
        "securityContext": CONFINED,
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
        "volumeMounts": [
            {"name": "data", "mountPath": "/var/lib/mysql", "readOnly": True},
            {"name": "run", "mountPath": "/run/mysqld"},
            {"name": "settings", "mountPath": SETTINGS},
            {"name": "passwords", "mountPath": PASSWORDS},
        ],
    }


def exporter(image: str, *, sidecar: bool) -> dict[str, Any]:
    """Return the container that shows the server's metrics. It needs no password: the socket tells who asks."""
    address = "127.0.0.1" if sidecar else ""
    return {
        "name": "exporter",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": [
            "--config.my-cnf=/etc/dcmesh/settings/exporter.cnf",
            f"--web.listen-address={address}:{EXPORTER_PORT}",
            *(f"--collect.{what}" for what in EXPORTED),
            *(f"--no-collect.{what}" for what in NOT_EXPORTED),
        ],
        # It cannot read what is the server's.
        "securityContext": {"runAsUser": NOBODY, "runAsGroup": NOBODY, **RESTRICTED},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "volumeMounts": [
            {"name": "run", "mountPath": "/run/mysqld", "readOnly": True},
            {"name": "settings", "mountPath": SETTINGS},
        ],
        **({} if sidecar else {"ports": [{"name": DATABASE_PORT, "containerPort": EXPORTER_PORT}]}),
    }


def metrics_annotations() -> dict[str, str]:
    """Return the annotations that make the sidecar's agent show the exporter's metrics beside its own."""
    return {"prometheus.io/scrape": "true", "prometheus.io/port": str(EXPORTER_PORT), "prometheus.io/path": "/metrics"}


def pod_metadata(args: MariadbArgs) -> dict[str, Any]:
    """Return labels and annotations of the pods."""
    labels = pod_labels(args.plan.name)
    if not args.plan.sidecar:
        return {"labels": {**labels, **NO_SIDECAR}}
    # The sidecar starts before `prepare`, which needs it; Kubernetes can do that from 1.29 on.
    metrics = metrics_annotations() if args.exporter else {}
    return {"labels": labels, "annotations": {"sidecar.istio.io/nativeSidecar": "true", **metrics}}


def claim(storage: model.Storage) -> dict[str, Any]:
    """Return the spec of a pod's PersistentVolumeClaim."""
    of_class = {"storageClassName": storage.storage_class} if storage.storage_class else {}
    return {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage.size}}, **of_class}


def stateful_set(args: MariadbArgs, *, settings: str, passwords: str) -> dict[str, Any]:
    """Return the spec of the StatefulSet.

    Args:
        args: the workload's.
        settings: name of the ConfigMap with the server's options and the script.
        passwords: name of the Secret with the passwords.
    """
    database, plan = args.database, args.plan
    labels = pod_labels(plan.name)
    image = {"image": database.image, "imagePullPolicy": "IfNotPresent"}
    mounts = [
        {"name": "data", "mountPath": "/var/lib/mysql"},
        {"name": "run", "mountPath": "/run/mysqld"},
        {"name": "settings", "mountPath": SETTINGS},
        {"name": "role", "mountPath": ROLE},
    ]
    environment = {
        "DOMAIN": f"{plan.name}.{plan.namespace}.svc.{CLUSTER_DOMAIN}",
        "SERVER_IDS": str(first_server_id(plan.site, plan.namespace, plan.name)),
        "SITE": plan.site,
        "PRIMARY": "" if plan.switchover else plan.source_site or plan.site,
        "SOURCE_SITE": plan.source_site or "",
        "SOURCE_HOST": plan.source.hosts[0] if plan.source else "",
        "SOURCE_PORT": str(plan.source.port) if plan.source else "",
        "EVENTS": "ON" if runs_events(database.settings) else "",
        **({"EXPORTER": "nobody"} if args.exporter else {}),
    }
    if database.by_backup:
        offered = plan.source is not None and COPY_PORT in plan.source.port_numbers
        environment |= {"COPY_PORT": str(COPY_PORT), "SOURCE_COPY_PORT": str(COPY_PORT) if offered else ""}
    variables = [
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        *({"name": name, "value": value} for name, value in environment.items()),
    ]
    prepare = {
        **image,
        "name": "prepare",
        "command": ["bash", f"{SETTINGS}/prepare.sh"],
        "env": variables,
        "securityContext": CONFINED,
        "volumeMounts": [*mounts, {"name": "passwords", "mountPath": PASSWORDS}],
    }
    ask: dict[str, Any] = {"exec": {"command": ["bash", "-c", ALIVE]}, "timeoutSeconds": 5}
    server: dict[str, Any] = {
        **image,
        "name": SERVER,
        "command": ["bash", f"{SETTINGS}/start.sh"],
        "env": variables,
        "ports": [{"name": "mysql", "containerPort": MYSQL_PORT}],
        "securityContext": CONFINED,
        "resources": dict(database.resources) or {"requests": {"cpu": "100m", "memory": "256Mi"}},
        # A crash's recovery takes its time: only a server that ran is restarted for its silence.
        "startupProbe": {**ask, "periodSeconds": 1, "failureThreshold": 3600},
        "readinessProbe": {**ask, "periodSeconds": 5},
        "livenessProbe": {**ask, "periodSeconds": 10, "failureThreshold": 6},
        "volumeMounts": mounts,
    }
    volumes: list[dict[str, Any]] = [
        # In memory: what start.sql says of passwords reaches no disk.
        {"name": "run", "emptyDir": {"medium": "Memory"}},
        {"name": "settings", "configMap": {"name": settings}},
        {"name": "passwords", "secret": {"secretName": passwords, "defaultMode": 0o440}},
        # Not immutable: another primary restarts no pod. A pod that starts finds what holds then.
        {
            "name": "role",
            "projected": {
                "sources": [{"configMap": {"name": f"{plan.name}-{of}", "optional": True}} for of in ("role", "begun")]
            },
        },
    ]
    claims = []
    if database.storage:
        claims = [{"metadata": {"name": CLAIM}, "spec": claim(database.storage)}]
    else:
        volumes.append({"name": "data", "emptyDir": {}})
    return {
        "serviceName": plan.name,
        "replicas": database.replicas,
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": labels},
        "volumeClaimTemplates": claims,
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        "template": {
            "metadata": pod_metadata(args),
            "spec": {
                "serviceAccountName": plan.name,
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 60,
                "securityContext": POD_USER,
                "initContainers": [*([fetch(image, variables)] if database.by_backup else []), prepare],
                "containers": [
                    server,
                    *([exporter(args.exporter, sidecar=plan.sidecar)] if args.exporter else []),
                    *([copies(image, variables)] if database.by_backup else []),
                ],
                "volumes": volumes,
            },
        },
    }


class Mariadb(pulumi.ComponentResource):
    """MariaDB in one site.

    Pod 0 is the primary, or follows the first host of `source`; the other pods follow pod 0. MariaDB does not fail
    over to another source by itself: when pod 0 is away, its followers wait for it.

    Creates:
        - `Namespace` with sidecar injection, which its own pods do without if they are to have no sidecar, and
          `ServiceAccount`; no more while what is to be followed is not there yet.
        - `tls.PrivateKey` for each password of its own.
        - `Secret` with the passwords and `ConfigMap` with the server's options and the pods' scripts. Both
          are immutable; a new one has a new name, and so the pods are restarted with it, one after the other, the
          primary last.
        - headless `Service`.
        - `PersistentVolumeClaimPatch` for each pod with a volume. It makes the claim or lets it grow, which no pod
          notices, and never deletes it.
        - `StatefulSet`. Each pod prepares itself before its server starts: mariadb_prepare.sh. Its server is started
          by mariadb_start.sh. With `firstCopy: backup` a pod without data fetches a backup before (mariadb_fetch.sh),
          and each pod serves them (mariadb_copies.sh). The Command that runs `python -m dcmesh wait-for-rollout` ends
          when all pods are new.
        - where two sites can change roles: `ConfigMap` with the role, for pods that start. What comes after the
          switchover is made by `in_role`.
    """

    identity: pulumi.Resource
    """The service account."""
    plan: DatabasePlan
    kubeconfig: pulumi.Input[str]
    """Contents of the cluster's kubeconfig. Secret."""
    rolled_out: pulumi.Resource
    """What ends when all pods are new; none while the database is pending."""
    uid: pulumi.Output[str]
    """What identifies the StatefulSet; none while the database is pending."""

    def __init__(self, name: str, args: MariadbArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:workloads:Mariadb", name, {}, opts)
        self._name, self._args, self.plan, self.kubeconfig = name, args, args.plan, args.kubeconfig
        self.identity, metadata = create_identity(
            name,
            namespace=args.plan.namespace,
            labels=args.labels,
            name=args.plan.name,
            parent=self,
            protect=args.protect and not args.plan.pending,
        )
        if not args.plan.pending:
            self._servers(name, args, metadata)
        self.register_outputs({})

    def _servers(self, name: str, args: MariadbArgs, metadata: k8s.meta.v1.ObjectMetaArgs) -> None:
        database, plan = args.database, args.plan
        child = pulumi.ResourceOptions(parent=self, depends_on=[self.identity])
        unnamed = k8s.meta.v1.ObjectMetaArgs(namespace=metadata.namespace, labels=pod_labels(plan.name))
        root = database.root_password
        # Nobody logs in by it any more. Stacks have it, and one that is protected cannot be deleted.
        generated_password(f"{name}-root", self, protect=args.protect)
        passwords = k8s.core.v1.Secret(
            f"{name}-passwords",
            metadata=unnamed,
            string_data={
                "root": pulumi.Output.secret(root.get_secret_value()) if root else "",
                "replication": args.replication_password or "",
                "replication_local": generated_password(f"{name}-local", self, protect=args.protect),
            },
            immutable=True,
            opts=child,
        )
        settings = k8s.core.v1.ConfigMap(
            f"{name}-settings",
            metadata=unnamed,
            data={
                "server.cnf": sealed(server_cnf(database.settings)),
                **SCRIPTS,
                **(BACKUP_SCRIPTS if database.by_backup else {}),
                **({"exporter.cnf": EXPORTER_CNF} if args.exporter else {}),
            },
            immutable=True,
            opts=child,
        )
        service = k8s.core.v1.Service(
            f"{name}-service",
            metadata=metadata,
            spec=headless_service(name=plan.name, copies=database.by_backup),
            opts=child,
        )
        roles = [self._config_map(name, args, "role", role(plan.switchover), [])] if plan.switchover else []
        servers = k8s.apps.v1.StatefulSet(
            f"{name}-statefulset",
            metadata=metadata,
            spec=pulumi.Output.all(settings.metadata.name, passwords.metadata.name).apply(
                lambda names: sealed(stateful_set(args, settings=names[0], passwords=names[1]))
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[self.identity, service, *self._claims(name, args), *roles, *args.after],
                protect=args.protect,
                # Kubernetes takes no other ones, and Pulumi would make the StatefulSet anew.
                ignore_changes=["spec.volumeClaimTemplates"],
                hooks=tell_reasons(name, args.kubeconfig),
            ),
        )
        self.uid = servers.metadata.uid
        self.rolled_out = rolled_out(
            name,
            servers,
            site=plan.site,
            kubeconfig=args.kubeconfig,
            place=(plan.namespace, plan.name),
            lost=plan.switchover is not None and plan.switchover.without == plan.site,
            parent=self,
        )

    def in_role(self, switched: pulumi.Resource) -> None:
        """Create what comes when the database has its role, where that can change.

        Creates:
            - `ConfigMap` that says that there were data before, so that a primary which lost its volume does not start
              empty.
            - WriterService, if the configuration asks for it.

        Args:
            switched: what has given it the role.
        """
        name, database, plan = self._name, self._args.database, self.plan
        self._config_map(name, self._args, "begun", {"begun": ""}, [switched])
        if plan.switchover and database.writer_service:
            leads = plan.switchover.primary == plan.site
            WriterService(
                f"{name}-writer",
                WriterServiceArgs(
                    namespace=plan.namespace,
                    name=plan.name,
                    source=None if leads else plan.source,
                    egress=plan.egress,
                ),
                pulumi.ResourceOptions(parent=self, depends_on=[switched]),
            )

    def _claims(self, name: str, args: MariadbArgs) -> list[pulumi.Resource]:
        """Create or change the pods' claims, one after the other: if one may not grow, the next is left alone.

        The StatefulSet cannot do this: its template cannot change, and has the first claims' size for ever.
        """
        claims: list[pulumi.Resource] = []
        storage = args.database.storage
        if not storage:
            return claims
        for ordinal in range(args.database.replicas):
            patch = k8s.core.v1.PersistentVolumeClaimPatch(
                f"{name}-{CLAIM}-{ordinal}",
                metadata=k8s.meta.v1.ObjectMetaPatchArgs(
                    name=f"{CLAIM}-{args.plan.name}-{ordinal}",
                    namespace=args.plan.namespace,
                    labels=pod_labels(args.plan.name),  # which the StatefulSet gives to those alone that it makes
                    annotations={
                        "pulumi.com/patchForce": "true",  # the size may be the StatefulSet's
                        "pulumi.com/skipAwait": "true",  # Pulumi waits for a claim that is bound to be pending again
                    },
                ),
                spec=claim(storage),
                opts=pulumi.ResourceOptions(
                    parent=self, depends_on=[self.identity, *claims[-1:]], retain_on_delete=True
                ),
            )
            claims.append(patch)
        return claims

    def _config_map(
        self, name: str, args: MariadbArgs, of: str, data: Mapping[str, str], after: Sequence[pulumi.Resource]
    ) -> k8s.core.v1.ConfigMap:
        """Create a ConfigMap that the pods find in `ROLE`."""
        return k8s.core.v1.ConfigMap(
            f"{name}-{of}",
            metadata=k8s.meta.v1.ObjectMetaArgs(name=f"{args.plan.name}-{of}", namespace=args.plan.namespace),
            data=data,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.identity, *after]),
        )
