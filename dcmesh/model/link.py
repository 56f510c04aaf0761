"""Link: what an importing site must know of an exporting one.

Plain data without secrets. Within one stack it passes from component to component; between stacks it is the
stack output `link`.
"""

from dataclasses import dataclass
from typing import Any, Literal

from dcmesh.model.istio import TRUST_DOMAIN

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


@dataclass(frozen=True, kw_only=True)
class LinkConsumer:
    """A service account of another site that may connect to an export."""

    site: str
    account: ServiceAccount


@dataclass(frozen=True, kw_only=True)
class ExportedService:
    """A StatefulSet that a site makes reachable pod by pod.

    Attributes:
        name: name of the export, unique in its site.
        namespace: namespace of the StatefulSet.
        hosts: full DNS name of each pod; its first label is the pod's name.
        port: TCP port that the pods listen on.
        protocol: how sidecars treat the port.
        identity: SPIFFE id that the pods prove.
        consumers: who may connect.
        probe: what the importing site's LinkProbe expects of each host.
    """

    name: str
    namespace: str
    hosts: tuple[str, ...]
    port: int
    protocol: Protocol
    identity: str
    consumers: tuple[LinkConsumer, ...]
    probe: ProbeKind

    @property
    def port_name(self) -> str:
        """Name of the port in Istio's objects; Istio reads the protocol from it where a field is missing."""
        return self.protocol.lower()


@dataclass(frozen=True, kw_only=True)
class Link:
    """One exporting site as its importers see it.

    Attributes:
        site: name of the exporting site.
        addresses: IP addresses or DNS names of its gateway; in the stack that makes it, what will be these.
        port: port of the gateway at these addresses.
        exports: what it exports.
    """

    site: str
    addresses: Any
    port: int
    exports: tuple[ExportedService, ...]

    def export(self, name: str) -> ExportedService:
        """Return the export of that name; the configuration has been checked for it."""
        return next(export for export in self.exports if export.name == name)

    def as_output(self) -> dict[str, Any]:
        """Return the link as a stack output: plain, in the camel case of Kubernetes and of the configuration."""
        return {
            "site": self.site,
            "gateway": {"addresses": self.addresses, "port": self.port},
            "exports": [
                {
                    "name": export.name,
                    "namespace": export.namespace,
                    "hosts": list(export.hosts),
                    "port": export.port,
                    "protocol": export.protocol,
                    "identity": export.identity,
                    "consumers": [
                        {"site": c.site, "namespace": c.account.namespace, "serviceAccount": c.account.name}
                        for c in export.consumers
                    ],
                    "probe": export.probe,
                }
                for export in self.exports
            ],
        }


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
