"""Link: what an importing site must know of an exporting one.

Plain data without secrets. Within a stack, components pass it to each other. Between stacks it is the output `link`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from dcmesh.model.base_model import Model
from dcmesh.model.gateway import GATEWAY_PORT
from dcmesh.model.istio import TRUST_DOMAIN
from dcmesh.model.printable import printable
from dcmesh.model.value_types import Address, ExportedHost, Flag, Identity, Name, Port, ServerName, TrustDomain

VERSION: Final = 5
"""The newest version of a link that is understood: docs/decisions/0023."""

INGRESS: Final = 5
"""The version of a link from which on TLS may end at ingress ports."""

DOMAINS: Final = 4
"""The version of a link from which on sites have trust domains of their own."""

LISTS: Final = 3
"""The version of a link from which on ports and identities are lists."""

FIRST: Final = 1
"""The version of a link that does not name its version. Its TLS ends at the pods."""

VERSION_ERROR = "link_version"
"""Type of the error for a link whose version is not understood."""

CLUSTER_DOMAIN = "cluster.local"
"""DNS domain of every cluster."""

POD_NAME = "statefulset.kubernetes.io/pod-name"
"""Label of a StatefulSet's pods that has the pod's name."""

MYSQL_PORT = 3306
"""Port of the databases that dcmesh runs."""

Protocol = Literal["HTTP", "TCP"]
ProbeKind = Literal["pod-name", "http", "greeting", "postgres", "redis", "mongodb", "tcp", "none"]
"""What a host must answer to a new connection: docs/production.md says what each asks."""

FIRST_PROBES: Final = ("pod-name", "http", "greeting")
"""The probes that links of the first two versions know."""

HTTP_PROBES: Final = ("pod-name", "http")
"""The probes that ask by HTTP."""

Termination = Literal["pod", "gateway", "ingress"]
"""Where the consumers' TLS ends."""


@dataclass(frozen=True)
class ServiceAccount:
    """A Kubernetes service account, which is what Istio's identities are made of."""

    namespace: str
    name: str
    trust_domains: tuple[str, ...] = field(default=(TRUST_DOMAIN,), compare=False)
    """The trust domains of its site: the mesh's own, then its alias. An account is the same in both."""

    def __str__(self) -> str:
        """Return it as it is shown."""
        return f"{self.namespace}/{self.name}"

    @property
    def principal(self) -> str:
        """The identity as AuthorizationPolicy writes it: without the scheme."""
        return self.principals[0]

    @property
    def principals(self) -> tuple[str, ...]:
        """The identity likewise, in each trust domain."""
        return tuple(f"{domain}/ns/{self.namespace}/sa/{self.name}" for domain in self.trust_domains)

    @property
    def spiffe_id(self) -> str:
        """The identity as certificates carry it."""
        return self.spiffe_ids[0]

    @property
    def spiffe_ids(self) -> tuple[str, ...]:
        """The identity likewise, in each trust domain."""
        return tuple(f"spiffe://{principal}" for principal in self.principals)


class Consumer(Model):
    """A service account of another site that may connect to an export."""

    site: Name
    """Its site."""
    namespace: Name
    """Its namespace."""
    service_account: Name
    """Its name."""
    trust_domains: Annotated[tuple[TrustDomain, ...], Field(max_length=2)] = ()
    """Trust domains of its site, if another stack has that. Default: `cluster.local`."""

    @property
    def account(self) -> ServiceAccount:
        """The service account, whatever its site."""
        return ServiceAccount(self.namespace, self.service_account, self.trust_domains or (TRUST_DOMAIN,))


class ExportedPort(Model):
    """A port of an export."""

    port: Port
    """TCP port of the pods, or of the Service."""
    probe: ProbeKind = "greeting"
    """What the importing site's probe expects there."""


class _Exported(Model):
    """What an export has in every link."""

    name: Name
    """Name of the export."""
    namespace: Name
    """Namespace of its pods."""
    hosts: Annotated[tuple[ExportedHost, ...], Field(min_length=1, max_length=1000)]
    """DNS name of each pod, or of a Service that is exported as a whole."""
    protocol: Protocol
    """How sidecars treat the ports."""
    consumers: Annotated[tuple[Consumer, ...], Field(max_length=1000)] = ()
    """Who may connect."""
    server_names: Annotated[tuple[ServerName, ...], Field(max_length=1000)] = ()
    """The hosts' names at the gateway, a name for each host. Default: none, TLS ends at the pods' own ports."""
    ingress: Flag = False
    """Whether TLS ends at ingress ports of the pods. Default: at the gateway, if there are `serverNames`."""


class ExportedService(_Exported):
    """One export of a link."""

    ports: Annotated[tuple[ExportedPort, ...], Field(min_length=1, max_length=100)]
    """Its ports; one where TLS ends at the pods' own ports."""
    identities: Annotated[tuple[Identity, ...], Field(min_length=1, max_length=100)]
    """SPIFFE ids, of which whoever ends the TLS proves one: the pods, or the gateway."""

    @property
    def port_numbers(self) -> tuple[int, ...]:
        """The numbers of its ports."""
        return tuple(of.port for of in self.ports)

    @property
    def port(self) -> int:
        """Number of its first port."""
        return self.ports[0].port

    @property
    def probe(self) -> ProbeKind:
        """What the probe expects at its first port."""
        return self.ports[0].probe

    @property
    def trust_domains(self) -> tuple[str, ...]:
        """The trust domains of its site, as its identities have them."""
        return tuple(dict.fromkeys(map(trust_domain_of, self.identities)))

    @property
    def consumer_ids(self) -> list[str]:
        """The SPIFFE ids of its consumers."""
        return sorted({identity for consumer in self.consumers for identity in consumer.account.spiffe_ids})

    @property
    def consumer_principals(self) -> list[str]:
        """Its consumers as an AuthorizationPolicy of its site must write them."""
        own = self.trust_domains[0]
        return sorted({as_written(identity.removeprefix("spiffe://"), own) for identity in self.consumer_ids})

    @property
    def by_port(self) -> tuple[Self, ...]:
        """The export once for each of its ports, as if it had only that one."""
        named = dict.fromkeys(self.port_numbers, self.server_names)
        if not self.ingress:  # there the SNI contains the port
            named |= {
                port: tuple(port_server_name(name, port) for name in self.server_names)
                for port in self.port_numbers[1:]
            }
        return tuple(self.model_copy(update={"ports": (of,), "server_names": named[of.port]}) for of in self.ports)

    @property
    def termination(self) -> Termination:
        """Where the consumers' TLS ends."""
        if self.ingress:
            return "ingress"
        return "gateway" if self.server_names else "pod"

    @property
    def served(self) -> Mapping[str, str]:
        """The name of each host at the exporting site's gateway."""
        return dict(zip(self.hosts, self.server_names or self.hosts, strict=True))

    def base_name(self, host: str) -> str:
        """Return a host's name at the gateway without a port. Objects that serve all ports have it."""
        return server_name(self.real(host), site_of(self.served[host])) if self.server_names else host

    def real(self, host: str) -> str:
        """Return the name of a host in its own site: an import may give it the name of another namespace."""
        return in_namespace(host, self.namespace)

    def behind_gateway(self, host: str) -> str:
        """Return the name by which the source's gateway knows a host's endpoints. A Service has its own name."""
        return self.real(host) if is_whole(host) else self.base_name(host)

    def only(self, host: str) -> Self:
        """Return the export as if it had only one of its hosts."""
        names = (self.served[host],) if self.server_names else ()
        return self.model_copy(update={"hosts": (host,), "server_names": names})

    def sni(self, host: str) -> str:
        """Return the server name with which a consumer asks the gateway for a host."""
        name = self.served[host]
        return name if self.termination == "gateway" else f"outbound_.{self.port}_._.{name}"

    @property
    def port_name(self) -> str:
        """Name of the port in Istio's objects; Istio reads the protocol from it where a field is missing."""
        return self.protocol.lower()


class SingleExport(_Exported):
    """One export of a link of version 1 or 2: it has one port and one identity."""

    port: Port
    """TCP port that the pods listen on."""
    identity: Identity
    """SPIFFE id that whoever ends the TLS proves: the pods, or the gateway."""
    probe: ProbeKind
    """What the probe expects."""

    @classmethod
    def of(cls, export: ExportedService) -> Self:
        """Return an export with a single port and identity."""
        own = {key: value for key, value in export if key not in ("ports", "identities")}
        (identity,) = export.identities
        return cls(port=export.port, probe=export.probe, identity=identity, **own)

    def as_several(self) -> ExportedService:
        """Return the export with lists of its single port and identity."""
        own = {key: value for key, value in self if key not in ("port", "probe", "identity")}
        ports = (ExportedPort(port=self.port, probe=self.probe),)
        return ExportedService(ports=ports, identities=(self.identity,), **own)


def _written_as(export: object) -> str:
    several = isinstance(export, ExportedService) or (
        isinstance(export, dict) and {"ports", "identities"} & set(export)
    )
    return "ExportedService" if several else "SingleExport"


def _as_several(export: ExportedService | SingleExport) -> ExportedService:
    return export if isinstance(export, ExportedService) else export.as_several()


if TYPE_CHECKING:  # mypy cannot tell the result
    AnyExport = ExportedService
else:
    AnyExport = Annotated[
        Annotated[ExportedService, Tag("ExportedService")] | Annotated[SingleExport, Tag("SingleExport")],
        Discriminator(_written_as),
        AfterValidator(_as_several),
    ]


class LinkGateway(Model):
    """An exporting site's gateway, as its importers see it."""

    addresses: Annotated[tuple[Address, ...], Field(min_length=1, max_length=100)]
    """IP addresses or DNS names."""
    port: Port = GATEWAY_PORT
    """Port at these addresses."""


class Link(Model):
    """A link as the exporting stack's output `link` shows it."""

    version: Literal[1, 2, 3, 4, 5] = FIRST
    """Version of the link. Default: 1."""
    site: Name
    """The exporting site."""
    gateway: LinkGateway
    """Its gateway."""
    exports: Annotated[tuple[AnyExport, ...], Field(max_length=1000)]
    """What it exports."""

    @model_validator(mode="before")
    @classmethod
    def _of_version(cls, found: object) -> object:
        """Look at the version before the rest, or a newer link's new keys would be called wrong."""
        if not isinstance(found, dict) or "version" not in found:
            return found
        version = found["version"]
        if isinstance(version, float) and version.is_integer():  # numbers from another stack may come as floats
            version = int(version)
        if version is True or not isinstance(version, int) or version < 1:
            raise PydanticCustomError(VERSION_ERROR, "is no version of a link: a whole number from 1 on")
        if version > VERSION:
            site = f"The stack of {printable(str(found.get('site')), 63)}"
            raise PydanticCustomError(
                VERSION_ERROR,
                "is newer than version {understood}, the newest that this dcmesh reads. {site} is run by a newer "
                "dcmesh: update dcmesh here, then run this again",
                {"understood": VERSION, "site": site},
            )
        return {**found, "version": version}

    @classmethod
    def of(cls, site: str, gateway: LinkGateway, exports: Sequence[ExportedService]) -> Self:
        """Return a site's link, in the lowest version that can express it."""
        version: Literal[1, 2, 3, 4, 5] = max((_version_for(export) for export in exports), default=FIRST)
        return cls(version=version, site=site, gateway=gateway, exports=tuple(exports))

    def as_output(self) -> dict[str, Any]:
        """Return the link as a stack output: plain, in the camel case of Kubernetes and of the configuration."""
        told = self.model_dump(mode="json", by_alias=True, exclude={"exports"})
        written = [export if self.version >= LISTS else SingleExport.of(export) for export in self.exports]
        told["exports"] = [export.model_dump(mode="json", by_alias=True) for export in written]
        for export in told["exports"]:
            if not export["serverNames"]:
                del export["serverNames"]
            if not export["ingress"]:
                del export["ingress"]
            for consumer in export["consumers"]:
                if not consumer["trustDomains"]:
                    del consumer["trustDomains"]
        if self.version == FIRST:  # dcmesh 0.1.0 refuses a link with a key that it does not know
            del told["version"]
        return told


def _version_for(export: ExportedService) -> Literal[1, 2, 3, 4, 5]:
    """Return the lowest version of a link that can express an export."""
    if export.ingress:
        return INGRESS
    if export.trust_domains != (TRUST_DOMAIN,) or any(consumer.trust_domains for consumer in export.consumers):
        return DOMAINS
    several = len(export.ports) > 1 or len(export.identities) > 1
    if several or export.probe not in FIRST_PROBES:
        return LISTS
    return 2 if export.server_names else FIRST


def port_names(export: ExportedService) -> dict[int, str]:
    """Return the name of each port in Istio's objects; that of the first hangs on no number."""
    return {
        port: export.port_name if port == export.port else f"{export.port_name}-{port}" for port in export.port_numbers
    }


def as_written(principal: str, own: str) -> str:
    """Return a principal as an AuthorizationPolicy must write it in a mesh of a trust domain.

    Istio reads `cluster.local` there as the mesh's own trust domain. If the mesh has another one, such a principal is
    written with a wildcard for the domain; the handshake checks the whole identity anyway.
    """
    domain, _, account = principal.partition("/")
    return f"*/{account}" if domain == TRUST_DOMAIN != own else principal


def trust_domain_of(identity: str) -> str:
    """Return the trust domain of a SPIFFE id."""
    return identity.removeprefix("spiffe://").partition("/")[0]


def pod_hosts(*, stateful_set: str, service: str, namespace: str, replicas: int) -> tuple[str, ...]:
    """Return the DNS name that Kubernetes gives each pod of a StatefulSet behind a headless Service."""
    return tuple(pod_host(f"{stateful_set}-{ordinal}", service, namespace) for ordinal in range(replicas))


def pod_host(pod: str, service: str, namespace: str) -> str:
    """Return the DNS name of a pod behind a headless Service."""
    return f"{pod}.{service}.{namespace}.svc.{CLUSTER_DOMAIN}"


def service_host(service: str, namespace: str) -> str:
    """Return the DNS name of a Service as a whole."""
    return f"{service}.{namespace}.svc.{CLUSTER_DOMAIN}"


def in_namespace(host: str, namespace: str) -> str:
    """Return the DNS name that a host would have in a namespace."""
    domain = f".svc.{CLUSTER_DOMAIN}"
    return f"{host.removesuffix(domain).rpartition('.')[0]}.{namespace}{domain}"


def known_in(hosts: Sequence[str], namespace: str | None) -> tuple[str, ...]:
    """Return by what names an importing site knows hosts.

    Args:
        hosts: their names in their own site.
        namespace: the one that the import gives their names. None: that which they have.
    """
    return tuple(in_namespace(host, namespace) if namespace else host for host in hosts)


def server_name(host: str, site: str) -> str:
    """Return a host's name at its site's gateway. No Service can have it."""
    return f"{host.removesuffix(f'.svc.{CLUSTER_DOMAIN}')}.{site}.dcmesh"


def port_server_name(served: str, port: int) -> str:
    """Return the name for a further port of a host whose TLS the gateway ends, from the host's name there."""
    return f"p{port}.{served}"


def site_of(served: str) -> str:
    """Return the site of a name at a gateway."""
    return served.split(".")[-2]


def pod_of(host: str) -> str:
    """Return the name of the pod that a host stands for, or of the Service."""
    return host.partition(".")[0]


def is_whole(host: str) -> bool:
    """Tell whether a host is a Service as a whole."""
    return host.count(".") == service_host("", "").count(".")


def service_of(host: str) -> tuple[str, str]:
    """Return namespace and name of a host's Service: the one of its pod, or the host itself."""
    service, namespace = host.removesuffix(f".svc.{CLUSTER_DOMAIN}").split(".")[-2:]
    return namespace, service
