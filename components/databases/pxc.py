"""Pxc: a Percona XtraDB Cluster, run by Percona's operator, alone or as a replica of one in another site."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from dcmesh.databases.pxc_cluster import PASSWORDS, writer
from dcmesh.databases.replication import Replica
from dcmesh.model import settings as model
from dcmesh.model.link import ExportedService
from dcmesh.model.plan import DatabasePlan
from dcmesh.model.pxc import CLOSED, REPLICATION, stateful_set_name
from dcmesh.model.secret import made_of
from dcmesh.model.security_contexts import CONFINED

from ..databases.pxc_switchover_hook import Switched, finish_command, hand_over_hook
from ..mesh.istio import Values, merge
from ..pulumi_secrets import sealed
from ..workloads.namespace_and_account import NO_SIDECAR, create_identity

CR_VERSION = "1.20.0"
"""The operator's version whose behaviour a resource asks for."""

PXC_IMAGE = "percona/percona-xtradb-cluster:8.4.8-8.1"
HAPROXY_IMAGE = "percona/haproxy:2.8.18-1"
"""What that version certifies: deploy/cr.yaml of its source."""

GALERA_PORTS = "4444,4567,4568"
"""Ports between the nodes of a cluster: whole copies, changes, missed changes."""

NATIVE_SIDECAR = {"sidecar.istio.io/nativeSidecar": "true"}
"""The sidecar starts before the server and ends after it: a node needs its peers from its first moment to its last."""

BESIDE_GALERA = {
    # Galera's ports are on no Service that Istio could know them by: a sidecar would refuse or sniff them.
    "traffic.sidecar.istio.io/excludeInboundPorts": GALERA_PORTS,
    "traffic.sidecar.istio.io/excludeOutboundPorts": GALERA_PORTS,
}
"""Annotations by which a node's sidecar leaves these ports alone."""

MOST_NODES = 5
"""How many nodes a cluster can have."""

HOLD = "dcmesh-hold"
"""Name of the container that says when a node may be opened."""

HOLD_SCRIPT = Path(__file__).with_name("pxc_hold.sh").read_text()

READY_MINUTES = 30
"""How long a cluster may take to be ready: its nodes start one after the other, and each pulls its images first."""


@dataclass(frozen=True, kw_only=True)
class PxcArgs:
    """Arguments of Pxc.

    Attributes:
        database: the cluster's part of the configuration.
        plan: its part of the plan.
        labels: the namespace's labels, sidecar injection among them.
        after: what must be there before the cluster: the site's istiod, and the operator if the site installs it.
        replication_password: password of `replication`, the same at both ends of a channel. Secret. None while pending.
        kubeconfig: contents of the cluster's kubeconfig, for the handover and for the Command that finishes it. Secret.
        counterpart: returns the cluster with which this one can change roles, if there is one. Of the two, the replica
            is made first.
        begun: what is made anew before the roles change, where they can. Default: nothing.
        protect: whether what holds the data is kept from deletion. Default no.
    """

    database: model.Pxc
    plan: DatabasePlan
    labels: Mapping[str, str]
    after: Sequence[pulumi.Resource]
    replication_password: pulumi.Input[str] | None
    kubeconfig: pulumi.Input[str]
    counterpart: "Callable[[], Pxc] | None" = None
    begun: pulumi.CustomResource | None = None
    protect: bool = False

    @property
    def other(self) -> "Pxc | None":
        """The replica, if this is the primary for now of two. It is a replica before this is made the primary."""
        return self.counterpart() if self.counterpart and self.plan.role == "primary" else None

    @property
    def switched(self) -> Switched:
        """The cluster, as it changes roles."""
        return Switched(plan=self.plan, kubeconfig=self.kubeconfig)


def server_cnf(settings: Mapping[str, str]) -> str:
    """Return the server's options, the user's among them, as a part of my.cnf."""
    options = {**settings, **REPLICATION}
    return made_of(options.values(), "".join(["[mysqld]\n", *(f"{key}={value}\n" for key, value in options.items())]))


def sources(source: ExportedService) -> list[dict[str, Any]]:
    """Return the hosts to follow, in the order that makes the operator follow pod 0 first.

    The operator first dials the one that stands last (manageReplicationChannel in its source). From then on MySQL
    itself chooses, by weight, whenever a source fails.
    """
    hosts = [
        {"host": host, "port": source.port, "weight": max(100 - ordinal, 1)}
        for ordinal, host in enumerate(source.hosts)
    ]
    return hosts[::-1]


def replication_channel(channel: str, source: ExportedService) -> dict[str, Any]:
    """Return the replica's end of a channel. A source that never becomes a replica needs none of its own."""
    return {
        "name": channel,
        "isSource": False,
        "sourcesList": sources(source),
        "configuration": {
            # Three times ten seconds, then the next source. In a configuration, what is left out is 0: for ever.
            "sourceRetryCount": 3,
            "sourceConnectRetry": 10,
            # Sidecars or gateways speak mutual TLS with each other, and know whom they speak to. A second TLS inside
            # would want one authority for the databases of both sites.
            "ssl": False,
            # Without TLS there is no certificate to verify; left out, the operator asks for it all the same.
            "sslSkipVerify": True,
        },
    }


def replication_channels(args: PxcArgs) -> dict[str, Any]:
    """Return what makes a cluster a replica or, of two that can change roles, the primary."""
    plan = args.plan
    if args.other:
        return {"replicationChannels": [{"name": plan.channel, "isSource": True}]}
    return {"replicationChannels": [replication_channel(plan.channel, plan.source)]} if plan.source else {}


def role_script(args: PxcArgs) -> str:
    """Return a script that a node runs as it starts, and that does nothing: the container that holds the node reads it.

    It says which role the cluster has and, of a primary, whom a node that starts asks before it may be opened. The
    operator writes it into a ConfigMap when it has seen the resource. So no node that the operator would open is
    released because it is taken for a replica's.
    """
    plan, other = args.plan, args.other
    words = ["primary" if other else "replica"]
    if other and plan.source and plan.switchover and plan.switchover.without != other.switched.plan.site:
        words += [other.switched.plan.site, *plan.source.hosts]
    return f"# dcmesh: {' '.join(words)}\n"


def hold(args: PxcArgs, image: str) -> dict[str, Any]:
    """Return the container without which a node is not ready, and so not opened.

    It is the same in both roles and for any number of nodes: whatever changes this container restarts the nodes.
    """
    nodes = stateful_set_name(args.plan.name)
    scheduler = args.database.settings.get("event_scheduler", "ON")  # MySQL's default
    events = "ON" if scheduler.upper() in ("ON", "1") else ""
    sisters = (f"{nodes}-{ordinal}.{nodes}.{args.plan.namespace}.svc.cluster.local" for ordinal in range(MOST_NODES))
    # Its own /tmp is not the pod's: what it writes there is gone when it starts anew, and nobody else writes it.
    mounts = {"mysql-users-secret-file": PASSWORDS, "hookscript": "/etc/dcmesh/role", "tmp": "/pod/tmp"}
    return {
        "name": HOLD,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["bash", "-c", HOLD_SCRIPT],
        "env": [{"name": "SISTERS", "value": " ".join(sisters)}, {"name": "EVENTS", "value": events}],
        "volumeMounts": [{"name": name, "mountPath": path, "readOnly": True} for name, path in mounts.items()],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        # Its user is the pod's or the image's.
        "securityContext": {key: CONFINED[key] for key in ("allowPrivilegeEscalation", "capabilities")},
        "readinessProbe": {
            "exec": {"command": ["test", "-e", "/tmp/dcmesh-free"]},  # noqa: S108
            "periodSeconds": 5,
            # A busy machine must not make an open node unready: kubelet's own time-out is a second.
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
    }


def replica(namespace: str, name: str, *, switched: bool) -> Replica:
    """Return where a cluster's channel can be asked for: by way of the proxy, which knows the node that has it.

    Args:
        namespace: the cluster's namespace.
        name: its name.
        switched: whether it can change roles. Then it is asked in the container that knows why a node is held.
    """
    asked = writer(namespace=namespace, name=name, pod=f"{stateful_set_name(name)}-0")
    return replace(asked, container=HOLD) if switched else asked


def volume(storage: model.Storage | None) -> dict[str, Any]:
    """Return where a node keeps its data."""
    if not storage:
        return {"emptyDir": {}}
    of_class = {"storageClassName": storage.storage_class} if storage.storage_class else {}
    return {"persistentVolumeClaim": {**of_class, "resources": {"requests": {"storage": storage.size}}}}


def pod_metadata(plan: DatabasePlan, annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return labels and annotations of nodes or proxies, with those that their sidecars need, where they have any."""
    return {"annotations": {**NATIVE_SIDECAR, **(annotations or {})}} if plan.sidecar else {"labels": NO_SIDECAR}


def cluster_spec(args: PxcArgs) -> dict[str, Any]:
    """Return the spec of the `PerconaXtraDBCluster`. Backups are left to the user, in the configuration's `spec`."""
    database, plan = args.database, args.plan
    of_images = {"imagePullPolicy": "IfNotPresent"}  # the operator's default asks the registry at every start
    spec = {
        "crVersion": CR_VERSION,
        "enableCRValidationWebhook": True,
        "updateStrategy": "SmartUpdate",  # the writer last
        # The operator would change versions by itself, and one site without the other.
        "upgradeOptions": {"apply": "disabled"},
        # The nodes' traffic among themselves is not in the mesh and is encrypted by this.
        "tls": {"enabled": True},
        "pxc": {
            **of_images,
            "image": PXC_IMAGE,
            "size": database.size,
            # The identity that importers insist on is the nodes' alone; the operator's default is `default`.
            "serviceAccountName": stateful_set_name(plan.name),
            **pod_metadata(plan, BESIDE_GALERA),
            "configuration": server_cnf({**database.settings, **(CLOSED if plan.switchover else {})}),
            "volumeSpec": volume(database.storage),
            **replication_channels(args),
        },
        # The operator grows the volumes, all at once, and the nodes do not notice.
        **({"storageScaling": {"enableVolumeScaling": True}} if database.storage else {}),
        # With a proxy the operator knows which node is the writer, and runs the channel there. Two are the least that
        # it accepts.
        "haproxy": {**of_images, "enabled": True, "image": HAPROXY_IMAGE, "size": 2, **pod_metadata(plan)},
    }
    merged = merge(spec, database.spec.as_values())
    if plan.switchover:
        nodes = merged["pxc"]
        nodes["hookScript"] = role_script(args) + nodes.get("hookScript", "")
        nodes["sidecars"] = [*nodes.get("sidecars", ()), hold(args, nodes["image"])]
    return merged


def awaited_state(spec: Values) -> str:
    """Return the state in which a cluster of this spec ends."""
    return "paused" if spec.get("pause") else "ready"


class Pxc(pulumi.ComponentResource):
    """A Percona XtraDB Cluster in one site.

    Its operator is there already, or PxcOperator. What follows from the resource is the operator's: the StatefulSets
    of nodes and proxies, their Services, the certificates, and the passwords of all users but `replication`.

    Creates:
        - `Namespace` with sidecar injection, which nodes and proxies do without if they are to have no sidecar, and
          `ServiceAccount`; no more while what is to be followed is not there yet.
        - `Secret` `NAME-secrets` with the password of `replication`; the operator adds those of the other users.
        - `PerconaXtraDBCluster`. Pulumi waits until it is ready. One of two that can change roles is not made the
          primary before the other hands over, nor the replica before the other can take over.
        - `command.local.Command` that runs `python -m dcmesh switchover`, if it is the primary of two.
    """

    identity: pulumi.Resource
    """The service account."""
    switched: Switched
    """The cluster, as it changes roles."""
    cluster: pulumi.CustomResource | None
    """The `PerconaXtraDBCluster`."""
    paused: bool
    """Whether its nodes are not to run."""

    def __init__(self, name: str, args: PxcArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:workloads:Pxc", name, {}, opts)
        plan, spec = args.plan, args.database.spec.as_values()
        self.identity, metadata = create_identity(
            name,
            namespace=plan.namespace,
            labels=args.labels,
            name=stateful_set_name(plan.name),
            parent=self,
            protect=args.protect and not plan.pending,
        )
        self.switched, self.cluster, self.paused = args.switched, None, awaited_state(spec) == "paused"
        if not plan.pending:
            self.cluster = self._cluster(name, args, metadata.namespace)
            if args.other and plan.switchover and args.begun and not (self.paused or args.other.paused):
                # Its own resource is there when the cluster is ready; it comes after the other's.
                after = pulumi.ResourceOptions(parent=self, depends_on=[self.cluster])
                there = args.other.switched
                clusters = [self.switched, *([] if plan.switchover.without == there.plan.site else [there])]
                finish_command(name, clusters, there.plan.site, plan.switchover, args.begun, after)
        self.register_outputs({})

    def _cluster(self, name: str, args: PxcArgs, namespace: pulumi.Input[str] | None) -> pulumi.CustomResource:
        passwords = k8s.core.v1.Secret(
            f"{name}-passwords",
            metadata=k8s.meta.v1.ObjectMetaArgs(name=f"{args.plan.name}-secrets", namespace=namespace),
            string_data={"replication": args.replication_password or ""},
            opts=pulumi.ResourceOptions(parent=self),
        )
        spec = cluster_spec(args)
        before: list[pulumi.Resource] = [args.begun] if args.begun else []
        before += [args.other.cluster] if args.other and args.other.cluster else []
        hooks = None
        if args.plan.switchover and (counterpart := args.counterpart):
            hooks = hand_over_hook(name, args.switched, lambda: counterpart().switched, args.plan.switchover)
        return k8s.apiextensions.CustomResource(
            f"{name}-cluster",
            api_version="pxc.percona.com/v1",
            kind="PerconaXtraDBCluster",
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=args.plan.name,
                namespace=namespace,
                annotations={"pulumi.com/waitFor": f"jsonpath={{.status.state}}={awaited_state(spec)}"},
            ),
            spec=sealed(spec),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[self.identity, passwords, *args.after, *before],
                protect=args.protect,
                hooks=hooks,
                custom_timeouts=pulumi.CustomTimeouts(create=f"{READY_MINUTES}m", update=f"{READY_MINUTES}m"),
            ),
        )
