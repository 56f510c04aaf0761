"""Link: what an importing site must know of an exporting one.

Plain data without secrets. Within one stack it passes from component to component; between stacks it is the
stack output `link`.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from dcmesh.model.base_model import Model
from dcmesh.model.gateway import GATEWAY_PORT
from dcmesh.model.istio import TRUST_DOMAIN
from dcmesh.model.printable import printable
from dcmesh.model.value_types import Address, Identity, Name, PodHost, Port

VERSION: Final = 1
"""The newest version of a link that is understood, and the one that is written: docs/decisions/0023."""

VERSION_ERROR = "link_version"
"""Type of the error that a link is of a version which is not understood."""

CLUSTER_DOMAIN = "cluster.local"
"""DNS domain of every cluster."""

MYSQL_PORT = 3306
"""Port of the databases that dcmesh runs."""

Protocol = Literal["HTTP", "TCP"]
ProbeKind = Literal["pod-name", "http", "greeting"]


@dataclass(frozen=True)
class ServiceAccount:
    """A Kubernetes service account, which is what Istio's identities are made of."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """Return it as it is shown."""
        return f"{self.namespace}/{self.name}"

    @property
    def principal(self) -> str:
        """The identity as AuthorizationPolicy writes it: without the scheme."""
        return f"{TRUST_DOMAIN}/ns/{self.namespace}/sa/{self.name}"

    @property
    def spiffe_id(self) -> str:
        """The identity as certificates carry it."""
        return f"spiffe://{self.principal}"


class Consumer(Model):
    """A service account of another site that may connect to an export."""

    site: Name
    """Its site."""
    namespace: Name
    """Its namespace."""
    service_account: Name
    """Its name."""

    @property
    def account(self) -> ServiceAccount:
        """The service account, whatever its site."""
        return ServiceAccount(namespace=self.namespace, name=self.service_account)


class ExportedService(Model):
    """One export of a link."""

    name: Name
    """Name of the export."""
    namespace: Name
    """Namespace of its pods."""
    hosts: Annotated[tuple[PodHost, ...], Field(min_length=1, max_length=1000)]
    """DNS name of each pod."""
    port: Port
    """TCP port that the pods listen on."""
    protocol: Protocol
    """How sidecars treat the port."""
    identity: Identity
    """SPIFFE id that the pods prove."""
    consumers: Annotated[tuple[Consumer, ...], Field(max_length=1000)] = ()
    """Who may connect."""
    probe: ProbeKind
    """What the probe expects."""

    def sni(self, host: str) -> str:
        """Return the server name by which an importer asks for a host."""
        return f"outbound_.{self.port}_._.{host}"

    @property
    def port_name(self) -> str:
        """Name of the port in Istio's objects; Istio reads the protocol from it where a field is missing."""
        return self.protocol.lower()


class LinkGateway(Model):
    """An exporting site's gateway, as its importers see it."""

    addresses: Annotated[tuple[Address, ...], Field(min_length=1, max_length=100)]
    """IP addresses or DNS names."""
    port: Port = GATEWAY_PORT
    """Port at these addresses."""


class Link(Model):
    """A link as the exporting stack's output `link` shows it."""

    version: Literal[1] = VERSION
    """Version of the link. Default: 1."""
    site: Name
    """The exporting site."""
    gateway: LinkGateway
    """Its gateway."""
    exports: Annotated[tuple[ExportedService, ...], Field(max_length=1000)]
    """What it exports."""

    @model_validator(mode="before")
    @classmethod
    def _of_version(cls, found: object) -> object:
        """Look at the version before the rest: what a newer link has besides would be called wrong."""
        if not isinstance(found, dict) or "version" not in found:
            return found
        version = found["version"]
        if isinstance(version, float) and version.is_integer():  # as numbers come out of another stack
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

    def as_output(self) -> dict[str, Any]:
        """Return the link as a stack output: plain, in the camel case of Kubernetes and of the configuration."""
        # Not the version: dcmesh 0.1.0 refuses a link with a key that it does not know.
        return self.model_dump(mode="json", by_alias=True, exclude={"version"})


def pod_hosts(*, stateful_set: str, service: str, namespace: str, replicas: int) -> tuple[str, ...]:
    """Return the DNS name that Kubernetes gives each pod of a StatefulSet behind a headless Service."""
    return tuple(f"{stateful_set}-{ordinal}.{service}.{namespace}.svc.{CLUSTER_DOMAIN}" for ordinal in range(replicas))


def pod_of(host: str) -> str:
    """Return the name of the pod that a host stands for."""
    return host.partition(".")[0]


def service_of(host: str) -> tuple[str, str]:
    """Return namespace and name of the Service behind which a pod stands."""
    _, service, namespace, *_ = host.split(".")
    return namespace, service
