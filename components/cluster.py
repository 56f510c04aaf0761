"""Cluster: the Kubernetes cluster of one site, made by k3d or by a user's commands, or an existing one."""

import shlex
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pulumi
import pulumi_command as command
import pulumi_kubernetes as k8s

from dcmesh.kube.kubeconfig import KubeconfigError, parse_kubeconfig, read_kubeconfig
from dcmesh.model.gateway import GATEWAY_PORT

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Linux's name for the time since the machine was started; elsewhere there is none."""

K3S_IMAGE = "docker.io/rancher/k3s:v1.34.4-k3s1"


@dataclass(frozen=True, kw_only=True)
class K3d:
    """A k3d cluster on a Docker network of its own.

    Attributes:
        name: name of the k3d cluster, at most 32 characters (k3d's limit).
        gateway_port: port of the Docker host that leads to the site's gateway. Other k3d clusters reach it as
            `host.k3d.internal`, a name that k3d puts into each cluster's DNS.
    """

    name: str
    gateway_port: int = GATEWAY_PORT


@dataclass(frozen=True, kw_only=True)
class Commands:
    """A cluster that shell commands of the user's make.

    Attributes:
        create: makes it, or leaves it if it is well.
        kubeconfig: prints a kubeconfig of it.
        delete: removes it; succeeds if there is none.
    """

    create: str
    kubeconfig: str
    delete: str


@dataclass(frozen=True, kw_only=True)
class Existing:
    """A cluster that somebody else made.

    Attributes:
        kubeconfig: path of a kubeconfig; `~` is expanded.
        context: context in it. Default: its current context.
        identity: what identifies the cluster, whatever the kubeconfig says.
    """

    kubeconfig: str
    context: str | None = None
    identity: str | None = None


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    """Arguments of Cluster.

    Attributes:
        site: name of the site.
        source: where the cluster comes from.
        lost: whether it is gone for now. Then it is not asked, and what is in it stays as the state has it. Default no.
        protect: whether a cluster that the program makes is kept from deletion. Default no.
    """

    site: str
    source: K3d | Commands | Existing
    lost: bool = False
    protect: bool = False


@dataclass(frozen=True, kw_only=True)
class Lifecycle:
    """The shell commands of a cluster that the program makes.

    Attributes:
        create: makes the cluster or adopts it if it stands, then prints its kubeconfig alone on stdout. It must
            be safe to run again: a command that failed leaves no state behind and is run anew.
        delete: removes the cluster; succeeds if there is none.
        identity: a change of this replaces the cluster.
        running_since: a change of this runs `create` again, which finds the cluster as it was or starts it.
    """

    create: str
    delete: str
    identity: str
    running_since: str = ""


def k3d_lifecycle(cluster: K3d) -> Lifecycle:
    """Return the commands for a k3d cluster.

    k3d gives each cluster its own Docker network unless told otherwise. Traefik is left out: it would be a
    second thing with an external address.
    """
    name = shlex.quote(cluster.name)
    create = (
        f"k3d cluster create {name} --image {K3S_IMAGE}"
        f" --port {cluster.gateway_port}:{GATEWAY_PORT}@loadbalancer"
        " --k3s-arg --disable=traefik@server:0"
        " --kubeconfig-update-default=false --wait --timeout 180s >&2"
    )
    return Lifecycle(
        # k3d writes its log to stdout, which is for the kubeconfig here.
        create=f"set -eu; k3d cluster get {name} >/dev/null 2>&1 || {create}; k3d kubeconfig get {name}",
        delete=f"k3d cluster delete {name} >&2",
        identity=f"k3d {cluster.name} {cluster.gateway_port} {K3S_IMAGE}",
    )


def commands_lifecycle(cluster: Commands) -> Lifecycle:
    """Return a user's commands. Only the kubeconfig goes to stdout; all else that they print goes to stderr."""
    return Lifecycle(
        create=(
            f"set -e\n(\n{cluster.create}\n) >&2\nkubeconfig=$(\n{cluster.kubeconfig}\n)\n"
            # An empty one would lead Pulumi's provider to whatever cluster the shell's is.
            '[ "$kubeconfig" ] || { echo "cluster.kubeconfig has printed nothing" >&2; exit 1; }\n'
            'printf "%s\\n" "$kubeconfig"'
        ),
        delete=f"set -e\n(\n{cluster.delete}\n) >&2",
        identity="commands",  # whose text may change while the cluster stays
        # A reboot ends what makes up a cluster and may keep its data. Docker starts k3d's containers again by itself.
        running_since=BOOT_ID.read_text().strip() if BOOT_ID.exists() else "",
    )


def only_current(site: str, kubeconfig: str) -> str:
    """Return a kubeconfig that a command has printed, reduced to what its current context needs.

    Raises:
        pulumi.RunError: it is none.
    """
    try:
        return parse_kubeconfig(kubeconfig).only(None)
    except KubeconfigError as error:
        raise pulumi.RunError(f"{site}: what cluster.kubeconfig prints {error}") from None


class Cluster(pulumi.ComponentResource):
    """A Kubernetes cluster and the provider through which everything in it is made.

    Creates:
        - `command.local.Command`, unless it is there before: makes the cluster and removes it on destroy.
        - `kubernetes.Provider`: explicit, so that nothing can land on the cluster of the shell's context.
    """

    kubeconfig: pulumi.Output[str]
    """Contents of a kubeconfig whose current context is the cluster's; secret."""
    provider: k8s.Provider
    made_by: command.local.Command | None
    """What made the cluster; None for an existing one. Resources inside the cluster name it as `deleted_with`:
    they are gone with the cluster, and `destroy` need not ask an API server that may be gone already."""

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:Cluster", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.made_by = None
        context: str | None = None
        match args.source:
            case Existing() as existing:
                context = existing.context
                self.kubeconfig = pulumi.Output.secret(read_kubeconfig(existing.kubeconfig).only(context))
                identifier: pulumi.Input[str] | None = existing.identity
            case K3d() as k3d:
                self.made_by = self._make(name, k3d_lifecycle(k3d), args)
                self.kubeconfig = pulumi.Output.secret(self.made_by.stdout)
            case Commands() as commands:
                self.made_by = self._make(name, commands_lifecycle(commands), args)
                printed: pulumi.Output[str] = pulumi.Output.secret(self.made_by.stdout)
                self.kubeconfig = printed.apply(partial(only_current, args.site))
        if self.made_by:
            # Else a kubeconfig that is unknown at preview would plan the replacement of everything.
            identifier = self.made_by.id
        self.provider = k8s.Provider(
            f"{name}-kubernetes",
            kubeconfig=self.kubeconfig,
            context=context,
            cluster_identifier=identifier,
            # The Secret `cacerts` must change in place: Istio reloads it, and its absence would be fatal.
            enable_secret_mutable=True,
            # So must a database's role: an `up` that fails between a deletion and a creation would leave none.
            enable_config_map_mutable=True,
            skip_update_unreachable=args.lost or None,
            opts=child,
        )
        self.register_outputs({"kubeconfig": self.kubeconfig})

    def _make(self, name: str, lifecycle: Lifecycle, args: ClusterArgs) -> command.local.Command:
        return command.local.Command(
            f"{name}-cluster",
            create=lifecycle.create,
            update=lifecycle.create,
            delete=lifecycle.delete,
            triggers=[lifecycle.identity],
            environment={"RUNNING_SINCE": lifecycle.running_since},
            logging=command.local.Logging.STDERR,
            add_previous_output_in_env=False,
            opts=pulumi.ResourceOptions(
                parent=self,
                delete_before_replace=True,
                additional_secret_outputs=["stdout", "stderr"],
                protect=args.protect,
                ignore_changes=["*"] if args.lost else None,  # it is not to be made again
            ),
        )
