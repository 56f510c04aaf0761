"""What a user may write in a stack file: plain, immutable, typed data.

The docstring below each field is its description, in the generated JSON Schema and in docs/configuration.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, SecretStr, Tag, model_validator
from pydantic_core import PydanticCustomError

from dcmesh.model import support
from dcmesh.model.addresses import VIP_NETWORK
from dcmesh.model.base_model import Model
from dcmesh.model.egress import PORTS
from dcmesh.model.gateway import GATEWAY_NAME, Exposure
from dcmesh.model.images import AGNHOST
from dcmesh.model.ingress_port import TAKES_PART, ingress_port
from dcmesh.model.istio import TRUST_DOMAIN
from dcmesh.model.link import (
    MYSQL_PORT,
    POD_NAME,
    Consumer,
    ExportedPort,
    ExportedService,
    Link,
    ProbeKind,
    Protocol,
    ServiceAccount,
    pod_host,
    pod_hosts,
    server_name,
    service_host,
)
from dcmesh.model.pxc import stateful_set_name
from dcmesh.model.value_types import (
    ADVICE,
    WHOLE,
    Address,
    ChannelName,
    ChartSource,
    Connections,
    ExportedHost,
    FilePath,
    Flag,
    FreeText,
    Gtid,
    Host,
    ImageHub,
    ImageName,
    ImageTag,
    IpAddress,
    Ipv4Network,
    IstioVersion,
    LabelKey,
    LabelValue,
    Name,
    Network,
    Organization,
    Password,
    Pem,
    Port,
    PxcName,
    PxcVersion,
    Quantity,
    Replicas,
    ServiceName,
    Setting,
    SettingName,
    StackName,
    Text,
    TrustDomain,
)

# --- trust -----------------------------------------------------------------------------------------------------------


class Root(Model):
    """Which root signs, and how far its replacement is. One change, then `up` on every site, before the next one."""

    generation: Annotated[int, Field(ge=1, le=100), WHOLE] = 1
    """Number of the root. Raise it by one, and remove `next`, when the next root issues everywhere."""
    next: Literal["none", "trusted", "issuing"] = "none"
    """The next generation's root: with `trusted` it is trusted beside this one, with `issuing` it also signs the
    intermediates."""


class GeneratedTrust(Model):
    """This stack holds the root, and issues the intermediates of its sites."""

    source: Literal["generated"] = "generated"
    """The root is made here."""
    organization: Organization = "dcmesh"
    """`O` in the subject of every certificate that is issued from now on. Certificates from before keep theirs."""
    root_validity_years: Annotated[int, Field(ge=1, le=50), WHOLE] = 10
    """How long the root is valid. A changed value counts from the next root on."""
    intermediate_validity_years: Annotated[int, Field(ge=1, le=10), WHOLE] = 2
    """How long each site's intermediate is valid. A changed value counts from the next intermediate or root on."""
    root: Root = Root()
    """The root and its replacement."""
    intermediate: Annotated[int, Field(ge=1, le=100), WHOLE] = 1
    """Number of the sites' intermediates. Raise it to have new ones issued."""
    issue_for: list[Name] = []
    """Sites of other stacks to issue intermediates for. They read them from this stack's output `intermediates`."""
    trust_domains: dict[Name, TrustDomain] = {}
    """Trust domains of these sites: each one's intermediate may then sign names of its own domain alone."""
    requests: dict[Name, StackName] = {}
    """For each of these sites that has an `ownKey`, its stack: its request is signed, and no key is made here."""


class StackTrust(Model):
    """Another stack holds the root; its output `intermediates` has one for each site."""

    source: Literal["stack"]
    """The intermediate is read from another stack."""
    stack: StackName
    """Name of that stack, as a StackReference has it: `organization/PROJECT/STACK`."""
    own_key: Annotated[int, Field(ge=1, le=100), WHOLE] | None = None
    """Number of the key that the site makes itself, for a stack of one site. Raise it to have another one made.
    Default: that stack makes the key, and it comes with the intermediate."""


class ProvidedTrust(Model):
    """Your own authority has issued the site's intermediate."""

    source: Literal["provided"]
    """The four files are given here."""
    ca_cert: Pem
    """PEM of the site's intermediate certificate."""
    ca_key: SecretStr
    """PEM of its private key. Set it with `pulumi config set --secret --path`."""
    root_cert: Pem
    """PEM of the root, the same on every site; of several while a root is replaced by another."""
    cert_chain: Pem
    """PEM of the intermediate and whatever stands between it and the root, the intermediate first."""


class ExistingTrust(Model):
    """The Secret `cacerts` is there already, made by cert-manager or another tool; dcmesh checks it and leaves it."""

    source: Literal["existing"]
    """The Secret is made by something else."""


def _with_source(value: object) -> object:
    return {"source": "generated", **value} if isinstance(value, dict) else value


Trust = Annotated[
    GeneratedTrust | StackTrust | ProvidedTrust | ExistingTrust,
    Field(discriminator="source"),
    BeforeValidator(_with_source),
]


# --- Istio -----------------------------------------------------------------------------------------------------------


class IstioValues(Model):
    """Helm values laid over those that dcmesh sets."""

    base: dict[str, Any] = {}
    """For the chart `base`."""
    istiod: dict[str, Any] = {}
    """For the chart `istiod`."""
    gateway: dict[str, Any] = {}
    """For the chart `gateway`: of the site's gateway, and of its egress gateways."""


class ExistingIstio(Model):
    """An Istio that somebody else installed: dcmesh checks that it will do, and installs only the gateway."""

    revision: Name = "default"
    """Its revision, as in the label `istio.io/rev`."""


class Istio(Model):
    """Istio in the stack's sites."""

    version: IstioVersion = support.ISTIO_VERSION
    """Version of Istio and of its charts."""
    charts: ChartSource = support.ISTIO_CHARTS
    """Where the charts come from: a chart repository's URL, an OCI registry (`oci://…`), or a directory."""
    hub: ImageHub | None = None
    """Image registry and path, such as `registry.example.com/istio`. Default: the charts'."""
    tag: ImageTag | None = None
    """Image tag. Default: the charts'."""
    pull_secrets: list[Name] = []
    """Secrets with credentials for the registry, in `istio-system` and in the gateways' namespaces."""
    replicas: Annotated[int, Field(ge=1, le=10), WHOLE] = 2
    """istiod pods in each site. While none runs, no pod with a sidecar can start."""
    egress: Literal["ALLOW_ANY", "REGISTRY_ONLY"] = "ALLOW_ANY"
    """What sidecars do with traffic to places that Istio does not know."""
    scope_gateways: Flag = True
    """Whether a Gateway applies only to gateways of its own namespace. An Istio that is there already stays as it
    is."""
    existing: ExistingIstio | None = None
    """Set this if Istio is there already."""
    values: IstioValues = IstioValues()
    """Helm values laid over those that dcmesh sets."""


# --- Percona's operator ----------------------------------------------------------------------------------------------


class PxcOperator(Model):
    """Percona's operator for XtraDB clusters, in each site with a workload `pxc`."""

    version: PxcVersion = support.PXC_OPERATOR_TRIED
    """Version of the operator and of its chart `pxc-operator`."""
    charts: ChartSource = "https://percona.github.io/percona-helm-charts/"
    """Where the chart comes from: a chart repository's URL, an OCI registry (`oci://…`), or a directory."""
    namespace: Name = "pxc-operator"
    """Namespace to create for it, or where it runs if it is there already."""
    existing: Flag = False
    """Whether it is there already. Then it must watch the clusters' namespaces, and have a sidecar itself."""
    values: dict[str, Any] = {}
    """Helm values laid over those that dcmesh sets."""


# --- sites -----------------------------------------------------------------------------------------------------------


class ExistingCluster(Model):
    """A cluster that somebody else made."""

    kubeconfig: FilePath
    """Path of a kubeconfig, or several as in `KUBECONFIG`; `~` and environment variables are expanded."""
    context: Text | None = None
    """Context in it. Default: its current context."""


class CommandCluster(Model):
    """A cluster that shell commands of your own make, such as those of kind or minikube."""

    create: Text
    """Makes the cluster, or leaves it if it is well. It runs again when it has changed, and after a restart of the
    machine that Pulumi runs on. What it prints is logged."""
    kubeconfig: Text
    """Prints a kubeconfig, whose current context is the cluster's, and nothing else."""
    delete: Text
    """Removes the cluster; succeeds if there is none. It runs with `pulumi destroy`."""
    throw_away: Flag = False
    """Whether the cluster may be deleted with all that is in it: neither is protected, and a passphrase may be
    empty."""


class Gateway(Model):
    """The gateway of an exporting site."""

    namespace: Name | None = None
    """Namespace to create for it, or `istio-system`. Default: where it is now; for a new site `dcmesh-gateway`."""
    former_namespace: Name | None = None
    """Namespace that it moves away from. The old gateway stays there until this is removed; links name the new one."""
    replicas: Annotated[int, Field(ge=1, le=20), WHOLE] = 2
    """Gateway pods, spread over nodes and zones."""
    exposure: Exposure = "load-balancer"
    """How the gateway gets its external address."""
    annotations: dict[LabelKey, FreeText] = {}
    """Annotations of the gateway's Service, laid over those of `exposure`."""
    load_balancer_ip: IpAddress | None = None
    """Address to ask for, if the load balancer lets one choose."""
    load_balancer_class: LabelKey | None = None
    """Class of the load balancer, where a cluster has several."""
    source_ranges: list[Network] = []
    """Networks, as CIDR, that may connect. Default: all."""
    node_port: Annotated[int, Field(ge=1024, le=65535), WHOLE] | None = None
    """Port of every node that leads to the gateway, for `exposure: nodeport`."""
    advertise: list[Address] = []
    """IP addresses or DNS names by which other sites reach the gateway. Default: those of its Service."""
    advertise_port: Port | None = None
    """Port under which other sites reach the gateway. Default: 15443, or `nodePort`."""


@dataclass(frozen=True, kw_only=True)
class Pods:
    """The pods of a workload, as an export of them has to describe them."""

    stateful_set: str
    service: str
    replicas: int
    port: int
    service_account: str
    selector: Mapping[str, str]


class Hello(Model):
    """The demo: a StatefulSet whose pods answer with their names."""

    kind: Literal["hello"]
    """The demo's source."""
    namespace: Name
    """Namespace to create."""
    name: ServiceName = "hello"
    """Name of StatefulSet, Service and service account."""
    replicas: Replicas = 3
    """Number of pods."""
    port: Port = 8080
    """TCP port that they listen on."""

    @property
    def pods(self) -> Pods:
        """What can be exported."""
        return _pods_named(self.name, replicas=self.replicas, port=self.port)


class HelloClient(Model):
    """The demo's consumer: a pod to run curl in."""

    kind: Literal["hello-client"]
    """The demo's consumer."""
    namespace: Name
    """Namespace to create."""
    name: Name = "client"
    """Name of Deployment and service account."""

    @property
    def pods(self) -> None:
        """What can be exported: nothing."""
        return


class Storage(Model):
    """A persistent volume for each pod of a database."""

    size: Quantity = "10Gi"
    """Its size."""
    storage_class: Name | None = None
    """Its StorageClass. Default: the cluster's default."""


class Replicates(Model):
    """What a replica follows: an export that its namespace imports."""

    from_: Annotated[Name, Field(alias="from")]
    """The exporting site, as the import has it."""
    export: Name
    """Name of its export."""


class Mariadb(Model):
    """MariaDB: a primary and its replicas within the site, or replicas of a database in another site."""

    kind: Literal["mariadb"]
    """MariaDB, made by dcmesh."""
    namespace: Name
    """Namespace to create."""
    name: ServiceName = "db"
    """Name of StatefulSet, headless Service and service account."""
    replicas: Annotated[int, Field(ge=1, le=9), WHOLE] = 3
    """Number of pods. Pod 0 is the site's primary, or follows the other site's; the others follow pod 0."""
    image: ImageName = "mariadb:10.11"
    """Image with the server and its tools: the official one, or one like it."""
    storage: Storage | None = None
    """Persistent volumes. Default: none: a pod's data are lost with the pod, which is for trials only."""
    replicates: Replicates | None = None
    """What pod 0 follows. Default: nothing, it is the primary."""
    root_password: Password | None = None
    """Password of `root` for other pods and sites. Default: none, `root` logs in from its server's own pod alone."""
    replication_password: Password | None = None
    """Password of `replication`, the same at both ends. Default: its source's; for a primary it is generated."""
    sidecar: Flag = True
    """Whether its pods have sidecars. If not, all exports and imports of its namespace must go by gateways."""
    first_copy: Literal["dump", "backup"] = "dump"
    """How a replica is made. `backup`: by mariadb-backup, which its pods then serve at port 4444 as well."""
    writer_service: Flag = False
    """Whether a Service `NAME-writer` leads to the primary, in whichever site that is. Needs `primary`."""
    settings: dict[SettingName, Setting] = {}
    """Options of the server, beside those that replication depends on, which dcmesh sets."""
    resources: dict[str, Any] = {}
    """Requests and limits of the server's container. Default: requests of 100m CPU and 256Mi of memory."""

    @property
    def by_backup(self) -> bool:
        """Whether a replica is made of a backup."""
        return self.first_copy == "backup"

    @property
    def pods(self) -> Pods:
        """What can be exported."""
        return _pods_named(self.name, replicas=self.replicas, port=MYSQL_PORT)


class PxcSource(Model):
    """A host of a source of a replication channel."""

    host: Host
    """Its name or address."""
    port: Port = MYSQL_PORT
    """Port of the server."""
    weight: Annotated[int, Field(ge=1, le=100), WHOLE] = 100
    """If several sources can be reached, MySQL follows the one with the highest weight."""


class PxcChannelConfiguration(Model):
    """How a channel connects. Give all of it: the operator takes a missing number for 0, which means for ever."""

    source_retry_count: Annotated[int, Field(ge=1, le=86400), WHOLE]
    """How many times to try a source before the next."""
    source_connect_retry: Annotated[int, Field(ge=1, le=86400), WHOLE]
    """Seconds between these times."""
    ssl: Flag = False
    """Whether to speak TLS inside that of the sidecars."""
    ssl_skip_verify: Flag = False
    """Whether to leave the source's certificate unchecked."""
    ca: Literal["/etc/mysql/ssl/ca.crt", "/etc/mysql/ssl-internal/ca.crt"] | None = None
    """The authority of the source's certificate, with `ssl`: one of the files that the operator mounts."""


class PxcChannel(Model):
    """A replication channel of your own, in place of that which follows from `replicates`."""

    name: ChannelName
    """Name of the channel."""
    is_source: Flag = False
    """Whether the cluster is the source."""
    configuration: PxcChannelConfiguration | None = None
    """How a replica connects."""
    sources_list: list[PxcSource] = []
    """Whom a replica follows. The operator first dials the last one."""


class PxcSpecOfNodes(Model):
    """The nodes in that spec, with any other key that the resource has."""

    model_config = ConfigDict(extra="allow")

    replication_channels: list[PxcChannel] | None = None
    """Channels of your own."""


class PxcSpec(Model):
    """What is laid over the spec of the `PerconaXtraDBCluster`, with any key that the resource has."""

    model_config = ConfigDict(extra="allow")

    cr_version: Literal["1.18.0", "1.19.0", "1.20.0"] | None = None
    """Version of the operator whose behaviour is asked for. Default: 1.20.0."""
    pxc: PxcSpecOfNodes | None = None
    """The nodes."""

    def as_values(self) -> dict[str, Any]:
        """Return it as it was written."""
        return self.model_dump(by_alias=True, exclude_unset=True)


class Pxc(Model):
    """A Percona XtraDB Cluster, made by Percona's operator; alone, or a replica of one in another site."""

    kind: Literal["pxc"]
    """Percona XtraDB Cluster."""
    namespace: Name
    """Namespace to create."""
    name: PxcName = "db"
    """Name of the cluster. Its StatefulSet, headless Service and service account are `NAME-pxc`."""
    size: Literal[3, 5] = 3
    """Number of nodes."""
    storage: Storage | None = None
    """Persistent volumes. Default: none: a pod's data are lost with the pod, which is for trials only."""
    replicates: Replicates | None = None
    """What the cluster follows, as a whole. Default: nothing."""
    channel: ChannelName = "dcmesh"
    """Name of the channel by which it follows."""
    replication_password: Password | None = None
    """Password of `replication`, the same at both ends. Default: its source's; for a primary it is generated."""
    sidecar: Flag = True
    """Whether its pods have sidecars. If not, all exports and imports of its namespace must go by gateways."""
    settings: dict[SettingName, Setting] = {}
    """Options of the server, beside dcmesh's own."""
    spec: PxcSpec = PxcSpec()
    """Laid over the spec of the `PerconaXtraDBCluster`: backups, resources, other images and so on."""

    @property
    def pods(self) -> Pods:
        """What can be exported."""
        made = stateful_set_name(self.name)
        return Pods(
            stateful_set=made,
            service=made,
            replicas=self.size,
            port=MYSQL_PORT,
            service_account=made,
            selector={"app.kubernetes.io/instance": self.name, "app.kubernetes.io/component": "pxc"},
        )


def _pods_named(name: str, *, replicas: int, port: int) -> Pods:
    """Return the pods of a workload whose parts all have one name."""
    return Pods(
        stateful_set=name, service=name, replicas=replicas, port=port, service_account=name, selector={"app": name}
    )


Workload = Annotated[Hello | HelloClient | Mariadb | Pxc, Field(discriminator="kind")]

Database = Mariadb | Pxc
"""The workloads that replicate."""


Egress = Literal["sidecar", "gateway"]


class _Export(Model):
    """What both kinds of export have."""

    name: Name
    """Name of the export, unique in its site."""
    namespace: Name
    """Namespace of the StatefulSet."""
    stateful_set: Name | None = None
    """Name of the StatefulSet. Default: `name`."""
    service: ServiceName | None = None
    """Its headless Service. Default: the StatefulSet's name."""
    consumers: Annotated[list[Consumer], Field(min_length=1)]
    """Who may connect from other sites."""
    connections: Connections = 50
    """How many connections of other sites each pod has at most, by each pod of the gateway."""

    @property
    def stateful_set_name(self) -> str:
        """Name of the StatefulSet."""
        return self.stateful_set or self.name

    @property
    def service_name(self) -> str:
        """Name of its headless Service."""
        return self.service or self.stateful_set_name

    def _pod_hosts(self, replicas: int) -> tuple[str, ...]:
        return pod_hosts(
            stateful_set=self.stateful_set_name,
            service=self.service_name,
            namespace=self.namespace,
            replicas=replicas,
        )


class PodExport(_Export):
    """A StatefulSet made reachable, pod by pod, for named consumers, whose TLS ends at the pods' own ports.

    The pods then accept only mutual TLS, at all ports, also from clients of the site.
    """

    termination: Literal["pod"] = "pod"
    """TLS ends at the pods' sidecars, at the port itself."""
    port: Port
    """TCP port that the pods listen on."""
    replicas: Replicas
    """How many of its pods to export, counted from 0."""
    protocol: Protocol = "TCP"
    """How sidecars treat the port; databases are TCP."""
    service_account: Name
    """Service account of the pods: the identity that importers insist on."""
    selector: Annotated[dict[LabelKey, LabelValue], Field(min_length=1)]
    """Labels that all pods of the StatefulSet have, and no others in the namespace. The policies select by them."""
    probe: ProbeKind | None = None
    """What the importing site's probe expects. Default: `greeting` for TCP, `http` for HTTP."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """DNS name of each exported pod."""
        return self._pod_hosts(self.replicas)

    @property
    def port_numbers(self) -> tuple[int, ...]:
        """The numbers of its ports."""
        return (self.port,)

    def for_link(self, trust_domains: tuple[str, ...]) -> ExportedService:
        """Return the export as a link has it.

        Args:
            trust_domains: those of its site.
        """
        return ExportedService(
            name=self.name,
            namespace=self.namespace,
            hosts=self.hosts,
            ports=(
                ExportedPort(port=self.port, probe=self.probe or ("greeting" if self.protocol == "TCP" else "http")),
            ),
            protocol=self.protocol,
            identities=ServiceAccount(self.namespace, self.service_account, trust_domains).spiffe_ids,
            consumers=tuple(self.consumers),
        )


class GatewayExport(_Export):
    """Pods one by one, or a Service as a whole, for named consumers, whose TLS ends at the gateway.

    Nothing near the pods changes, and they need no sidecars.
    """

    namespace: Name
    """Namespace of the pods, or of the Service."""
    service: ServiceName | None = None
    """Service that names the pods' hosts, or that is exported as a whole. Default: `statefulSet`, or `name`."""
    termination: Literal["gateway"]
    """TLS ends at the gateway, which goes on to the pods in plaintext, or by mutual TLS where they have sidecars."""
    replicas: Replicas | None = None
    """How many of the StatefulSet's pods to export, counted from 0. Not with `pods` or `whole`."""
    pods: list[Name] = []
    """Pods to export, each by its value of the label `podLabel`. Its host is `VALUE.SERVICE.NAMESPACE…`."""
    pod_label: LabelKey = POD_NAME
    """Label that tells the pods apart, and that a pod keeps as long as it lives. Only with `pods`."""
    whole: Flag = False
    """Whether the Service is exported as a whole, by its own name; for one that follows the primary, say."""
    port: Port | None = None
    """TCP port of the pods, or of the Service. For several use `ports`."""
    probe: ProbeKind | None = None
    """What the importing site's probe expects at `port`. Default: `greeting`."""
    ports: list[ExportedPort] = []
    """Several ports, for the same hosts and consumers, in place of `port` and `probe`. The first one must stay
    first."""

    @model_validator(mode="after")
    def _one_port_or_several(self) -> Self:
        single = [key for key, value in {"port": self.port, "probe": self.probe}.items() if value is not None]
        if self.ports and single:
            raise PydanticCustomError(
                ADVICE, "has `ports` and `{single}`: write each port in `ports`, with its probe", {"single": single[0]}
            )
        if not self.ports and self.port is None:
            raise PydanticCustomError(ADVICE, "has no port: write `port`, or `ports` for several")
        return self

    @property
    def exported_ports(self) -> tuple[ExportedPort, ...]:
        """Its ports, each with its probe."""
        single = [] if self.port is None else [ExportedPort(port=self.port, probe=self.probe or "greeting")]
        return tuple(self.ports or single)

    @property
    def protocol(self) -> Protocol:
        """How proxies treat the port: the gateway passes on bytes."""
        return "TCP"

    @property
    def hosts(self) -> tuple[str, ...]:
        """DNS name of each exported pod, or of the Service."""
        if self.whole:
            return (service_host(self.service_name, self.namespace),)
        if self.pods:
            return tuple(pod_host(pod, self.service_name, self.namespace) for pod in self.pods)
        return self._pod_hosts(self.replicas or 0)

    @property
    def port_numbers(self) -> tuple[int, ...]:
        """The numbers of its ports."""
        return tuple(of.port for of in self.exported_ports)

    def for_link(self, trust_domains: tuple[str, ...], site: str, gateway: str) -> ExportedService:
        """Return the export as a link has it.

        Args:
            trust_domains: those of its site.
            site: its site.
            gateway: namespace of the site's gateway.
        """
        return ExportedService(
            name=self.name,
            namespace=self.namespace,
            hosts=self.hosts,
            server_names=tuple(server_name(host, site) for host in self.hosts),
            ports=self.exported_ports,
            protocol=self.protocol,
            identities=ServiceAccount(gateway, GATEWAY_NAME, trust_domains).spiffe_ids,
            consumers=tuple(self.consumers),
        )


class IngressPort(Model):
    """A port of an export whose TLS ends at ingress ports."""

    port: Port
    """TCP port that the pods listen on."""
    probe: ProbeKind | None = None
    """What the importing site's probe expects there. Default: `greeting` for TCP, `http` for HTTP."""
    ingress_port: Annotated[int, Field(ge=1024, le=65535), WHOLE] | None = None
    """Port of the sidecar where TLS ends, and that nothing in the pod listens on. Default: computed from `port`, such
    as 13306 from 3306."""

    @property
    def ingress(self) -> int:
        """The port of the sidecar."""
        return self.ingress_port or ingress_port(self.port)


class IngressExport(_Export):
    """A StatefulSet made reachable, pod by pod, for named consumers, whose TLS ends at ports of the sidecars' own.

    For pods whose sidecar is there for dcmesh, and takes in nothing but these ports: all else stays as it was.
    """

    termination: Literal["ingress"]
    """TLS ends at the pods' sidecars, at ports that nothing else uses."""
    ports: Annotated[list[IngressPort], Field(min_length=1)]
    """The ports, for the same hosts and consumers."""
    replicas: Replicas
    """How many of its pods to export, counted from 0."""
    protocol: Protocol = "TCP"
    """How sidecars treat the ports; databases are TCP."""
    service_account: Name
    """Service account of the pods: the identity that importers insist on."""
    selector: Annotated[dict[LabelKey, LabelValue], Field(min_length=1)]
    """Labels that all pods of the StatefulSet have, and no others in the namespace. Only those of these pods take part
    that also have the label `dcmesh/ingress: NAME`."""
    services: list[ServiceName] = []
    """Further Services that lead to the pods. The site's clients with sidecars then speak plaintext with them, too."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """DNS name of each exported pod."""
        return self._pod_hosts(self.replicas)

    @property
    def port_numbers(self) -> tuple[int, ...]:
        """The numbers of its ports."""
        return tuple(of.port for of in self.ports)

    @property
    def ingress_ports(self) -> Mapping[int, int]:
        """The sidecars' port for each of its ports."""
        return {of.port: of.ingress for of in self.ports}

    @property
    def part_takers(self) -> Mapping[str, str]:
        """The labels of pods whose sidecars are there for the export."""
        return {TAKES_PART: self.name}

    @property
    def all_services(self) -> tuple[str, ...]:
        """The Services that lead to the pods."""
        return tuple(dict.fromkeys([self.service_name, *self.services]))

    def for_link(self, trust_domains: tuple[str, ...], site: str) -> ExportedService:
        """Return the export as a link has it.

        Args:
            trust_domains: those of its site.
            site: its site.
        """
        default: ProbeKind = "greeting" if self.protocol == "TCP" else "http"
        return ExportedService(
            name=self.name,
            namespace=self.namespace,
            hosts=self.hosts,
            server_names=tuple(server_name(host, site) for host in self.hosts),
            ingress=True,
            ports=tuple(ExportedPort(port=of.port, probe=of.probe or default) for of in self.ports),
            protocol=self.protocol,
            identities=ServiceAccount(self.namespace, self.service_account, trust_domains).spiffe_ids,
            consumers=tuple(self.consumers),
        )


def _with_termination(value: object) -> object:
    return {"termination": "pod", **value} if isinstance(value, dict) else value


Export = Annotated[
    PodExport | GatewayExport | IngressExport,
    Field(discriminator="termination"),
    BeforeValidator(_with_termination),
]


class Client(Model):
    """Pods of the importing site that an egress gateway lets in."""

    namespace: Name
    """Their namespace."""
    labels: dict[LabelKey, LabelValue] = {}
    """Labels that they have. Default: none, which means all pods of the namespace."""


class HostPort(Model):
    """The port of an egress gateway that stands for a host."""

    host: ExportedHost
    """The host."""
    host_port: Port | None = None
    """Which of the host's own ports. Default: the export's first."""
    port: Annotated[int, Field(ge=PORTS[0], le=PORTS[-1]), WHOLE]
    """The port, which no other host has."""


class Import(Model):
    """The counterpart of an export, for one consumer."""

    from_: Annotated[Name, Field(alias="from")]
    """The exporting site: another one of `sites`, or one of `peers`."""
    export: Name
    """Name of its export."""
    namespace: Name
    """Namespace that sees the hosts. With `egress: gateway` the egress gateway's own, which is created."""
    service_account: Name
    """Service account that connects. With `egress: gateway` the egress gateway's, which is created."""
    egress: Egress = "sidecar"
    """How the hosts are reached: by the sidecars of the consumer's pods, or by an egress gateway, without any."""
    host_namespace: Name | None = None
    """Namespace of the hosts' names here. With `egress: gateway` it is required, and created. Default: their own."""
    clients: list[Client] = []
    """With `egress: gateway`: who may connect to it."""
    ports: list[HostPort] = []
    """With `egress: gateway`: hosts whose port there is chosen here. The others' are computed from their names."""
    selector: dict[LabelKey, LabelValue] = {}
    """With `egress: sidecar`: labels of the consumer's pods. Only these pods then capture DNS, whatever the mesh does,
    and the namespace gets no Sidecar. Default: none: the mesh captures DNS, and the namespace gets a Sidecar."""

    @property
    def by_gateway(self) -> bool:
        """Whether the hosts are reached by an egress gateway."""
        return self.egress == "gateway"

    def chosen_ports(self, first: int) -> Mapping[tuple[str, int], int]:
        """Return the ports that are chosen, by host and its own port.

        Args:
            first: the export's first port.
        """
        return {(chosen.host, chosen.host_port or first): chosen.port for chosen in self.ports}


def _cluster_tag(value: object) -> str | None:
    if isinstance(value, CommandCluster) or (isinstance(value, dict) and {"create", "delete"} & set(value)):
        return "CommandCluster"
    if isinstance(value, dict | ExistingCluster):
        return "ExistingCluster"
    return "k3d" if value == "k3d" else None


Cluster = Annotated[
    Annotated[Literal["k3d"], Tag("k3d")]
    | Annotated[CommandCluster, Tag("CommandCluster")]
    | Annotated[ExistingCluster, Tag("ExistingCluster")],
    Discriminator(
        _cluster_tag,
        custom_error_type=ADVICE,
        custom_error_message="must be k3d, a map with the `kubeconfig` of an existing cluster, or a map with the "
        "commands `create`, `kubeconfig` and `delete`",
    ),
]


class Site(Model):
    """One datacenter: one cluster with one mesh."""

    name: Name
    """Name of the site, the same in every stack that speaks of it."""
    cluster: Cluster
    """An existing cluster, or what makes one: `k3d`, or commands of your own."""
    gateway: Gateway = Gateway()
    """The gateway, if the site exports anything."""
    workloads: list[Workload] = []
    """What dcmesh runs in the site."""
    exports: list[Export] = []
    """What other sites may reach."""
    imports: list[Import] = []
    """What the site reaches in others."""
    vip_range: Ipv4Network = str(VIP_NETWORK)
    """Network, as CIDR, of the virtual addresses of imported hosts. No network of the site's own may overlap it."""
    trust_domain: TrustDomain = TRUST_DOMAIN
    """Trust domain of the site's mesh, such as `dc1.dcmesh`; with an Istio that is there, the one that it has."""
    trust_domain_alias: TrustDomain | None = None
    """A trust domain that counts as the site's too, while it changes: docs/production.md, "Another trust domain"."""
    shares_trust_domain: Flag = False
    """Whether another site may have the same `trustDomain`. Then nobody can tell the pods of the two apart."""
    pod_security: Literal["restricted"] | None = None
    """Set this to `restricted` to have dcmesh's pods as Kubernetes' Pod Security Standard of that name wants them."""

    @property
    def told_trust_domains(self) -> tuple[str, ...]:
        """Its trust domains, where links must name them. Empty if it only has the original one, `cluster.local`."""
        return () if self.trust_domains == (TRUST_DOMAIN,) else self.trust_domains

    @property
    def signs_for_itself_alone(self) -> bool:
        """Whether its intermediate, if it is issued here, is restricted to its trust domain.

        Not while that changes: restricted to the old one it could not sign for the new one.
        """
        return self.trust_domain != TRUST_DOMAIN and self.trust_domain_alias is None

    @property
    def trust_domains(self) -> tuple[str, ...]:
        """Its trust domain, and its alias."""
        return (self.trust_domain, *([self.trust_domain_alias] if self.trust_domain_alias else []))

    @property
    def throw_away(self) -> bool:
        """Whether the cluster may go with all that is in it."""
        return self.cluster == "k3d" or (isinstance(self.cluster, CommandCluster) and self.cluster.throw_away)

    @property
    def made_by(self) -> str | None:
        """What makes the cluster, in words; None for an existing cluster."""
        match self.cluster:
            case ExistingCluster():
                return None
            case CommandCluster():
                return "commands"
            case kind:
                return kind

    @cached_property
    def namespaces(self) -> frozenset[str]:
        """The namespaces that the configuration names. Hosts of other sites are expected in these."""
        return frozenset(part.namespace for part in (*self.workloads, *self.exports, *self.imports))

    def imports_by_sidecar(self, namespace: str) -> list[Import]:
        """Return what is imported into a namespace by sidecars."""
        return [of for of in self.imports if of.namespace == namespace and not of.by_gateway]

    @cached_property
    def _workloads_by_pods(self) -> Mapping[tuple[str, str], Workload]:
        """Each workload that can be exported, by namespace and StatefulSet."""
        return {(w.namespace, w.pods.stateful_set): w for w in self.workloads if w.pods}

    @cached_property
    def exported_databases(self) -> Mapping[str, Database]:
        """The databases that the site exports, by export."""
        exported = {export.name: self.workload_of(export) for export in self.exports}
        return {name: workload for name, workload in exported.items() if isinstance(workload, Database)}

    def workload_of(self, export: Export) -> Workload | None:
        """Return the workload of this site whose pods are exported; None if dcmesh does not run them."""
        if isinstance(export, GatewayExport) and (export.whole or export.pods):
            return None
        return self._workloads_by_pods.get((export.namespace, export.stateful_set_name))


# --- peers -----------------------------------------------------------------------------------------------------------


class Peer(Model):
    """A site of another stack, to import from. Its link comes from that stack, from a file, or stands here."""

    name: Name
    """Name of the site."""
    stack: StackName | None = None
    """The stack that holds it, as a StackReference names it. Default: `NAME` in this organization and project."""
    link: Link | None = None
    """Its link, if the stacks share no state: what `pulumi stack output link --json` shows there below its name."""
    link_file: FilePath | None = None
    """Path of a JSON or YAML file with the same, or with that whole output."""


class Failover(Model):
    """A switchover without the old primary, which is gone. What it committed last may be lost."""

    without: Name
    """The site that is gone. Nothing asks it or changes anything in it meanwhile."""
    at: Gtid | None = None
    """GTIDs with which the new primary goes on; what comes after them is lost. `up` says what to write here."""


# --- monitoring ------------------------------------------------------------------------------------------------------


class Monitoring(Model):
    """What lets your Prometheus and your Grafana in each site watch it: docs/monitoring.md."""

    prometheus: Literal["operator", "plain"]
    """What configures Prometheus: Prometheus Operator, by objects, or files, which it mounts from a ConfigMap."""
    namespace: Name = "istio-system"
    """Namespace of the objects. It must be there."""
    labels: dict[LabelKey, LabelValue] = {}
    """Labels of the objects, such as `release: NAME`, by which kube-prometheus-stack selects them."""
    exporter_image: ImageName = "prom/mysqld-exporter:v0.14.0"
    """Image of mysqld_exporter, which runs beside each server of the workload `mariadb`."""


# --- images ----------------------------------------------------------------------------------------------------------


class Images(Model):
    """Images of dcmesh's own pods. Those of Istio, of databases and of operators are set where these are."""

    probe: ImageName = AGNHOST
    """Image of the probes: any with a shell, `xargs` and bash or curl."""
    hello: ImageName = AGNHOST
    """Image of the workloads `hello` and `hello-client`: agnhost."""
    pull_secrets: list[Name] = []
    """Secrets with credentials for it, where probes and workloads are, but not `pxc`. A change restarts their pods."""


class Settings(Model):
    """A stack's whole configuration."""

    trust: Trust = GeneratedTrust()
    """Where the certificates come from."""
    istio: Istio = Istio()
    """Istio in the stack's sites."""
    pxc: PxcOperator = PxcOperator()
    """Percona's operator in the stack's sites."""
    sites: list[Site] = []
    """The datacenters of this stack."""
    peers: list[Peer] = []
    """Sites of other stacks that sites of this one import from."""
    primary: Name | None = None
    """Site whose databases are the primaries, where two sites replicate each other. To change it is a switchover."""
    failover: Failover | None = None
    """Set this only while the old primary is gone."""
    protect: Flag = True
    """Keep databases, generated passwords and the root from deletion, on clusters that are not throw-away ones."""
    monitoring: Monitoring | None = None
    """Set this to have the sites watched."""
    images: Images = Images()
    """Images of dcmesh's own pods, and how they are pulled."""

    def told(self, consumer: Consumer) -> Consumer:
        """Return a consumer as the link has it: with the trust domains of its site, if this stack has the site."""
        found = (site.trust_domains for site in self.sites if site.name == consumer.site)
        domains = next(found, consumer.trust_domains)
        return consumer.model_copy(update={"trust_domains": () if domains == (TRUST_DOMAIN,) else domains})

    @property
    def lost(self) -> str | None:
        """Name of the site that is gone, if one is."""
        return self.failover.without if self.failover else None
