"""What a stack has deployed, according to its outputs."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from dcmesh.config.errors import ConfigError
from dcmesh.config.peer_links import read_link
from dcmesh.databases.replication import Replica
from dcmesh.kube.api import ERRORS, ApiClient, answer_or_none, reach, why
from dcmesh.kube.cluster_reader import identity_of
from dcmesh.kube.kubeconfig import KubeconfigError, read_kubeconfig
from dcmesh.model.certificates import Bundle
from dcmesh.model.egress import name_for
from dcmesh.model.istio import TRUST_DOMAIN
from dcmesh.model.link import POD_NAME, ExportedService, Link, ServiceAccount, known_in, port_names, server_name
from dcmesh.model.object_names import imported_entry, imported_rule
from dcmesh.model.printable import printable
from dcmesh.model.settings import ExistingCluster
from dcmesh.model.value_types import Port
from dcmesh.pulumi_cli import PulumiError, pulumi, read_state


class StackError(Exception):
    """A stack cannot be read; the message is for the user, on one line."""


@dataclass(frozen=True, kw_only=True)
class ExpectedGateway:
    """A gateway as it should be.

    Attributes:
        namespace: namespace of its Deployment and Service.
        name: their name.
        addresses: the addresses where importers look for it.
        port: the port there.
        advertised: whether these are from the configuration; otherwise its Service had them at the last `up`.
    """

    namespace: str
    name: str
    addresses: tuple[str, ...]
    port: int
    advertised: bool

    @property
    def place(self) -> str:
        """Its namespace and name."""
        return f"{self.namespace}/{self.name}"


class DeployedExport(ExportedService):
    """What a site lets others reach."""

    source: str
    """The exporting site."""
    gateways: tuple[str, ...]
    """The addresses of its gateway, each with the port."""
    by_gateway: bool = False
    """Whether it is imported by an egress gateway."""
    pod_label: str = POD_NAME
    """Label that tells its pods apart."""
    entry_port: str
    """Name of its port in the exporter's ServiceEntries; an ingress port's is longer."""
    ingress_ports: dict[Port, Port] = Field(default_factory=dict)
    """For each port of the export the sidecars', where TLS ends at ingress ports."""

    @property
    def pod_port(self) -> int:
        """The port at which its pods' sidecars end TLS, or the gateway reaches them."""
        return self.ingress_ports.get(self.port, self.port)

    def known_as(self, host: str) -> str:
        """Return the name by which a consumer's proxy knows a host."""
        return server_name(host, self.source) if self.by_gateway else host

    def entry(self, host: str, namespace: str) -> str:
        """Return namespace and name of dcmesh's own ServiceEntry for a host in a consumer's namespace."""
        if self.by_gateway:
            return f"{namespace}/{name_for(host)}"
        return imported_entry(self, self.source, host, namespace)

    def rule(self, host: str, namespace: str) -> str:
        """Return namespace and name of dcmesh's own DestinationRule for a host there."""
        if self.by_gateway:
            return f"{namespace}/{name_for(host)}"
        return imported_rule(self, self.source, host, namespace)


@dataclass(frozen=True, kw_only=True)
class ExpectedServer:
    """A database server as it should be.

    Attributes:
        replica: where it can be asked.
        follows: the hosts of which it should follow one; none for a primary.
    """

    replica: Replica
    follows: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DeployedSite:
    """A site of the stack.

    Attributes:
        name: its name.
        cluster: where its kubeconfig is found, or the contents of it, which are secret.
        identity: the UID by which its cluster is recognised; empty if it is not known.
        certificates: those that its proxies followed at the last `up`; None if they were there already.
        gateway: its gateway, if it exports anything.
        exports: its exports. One with several ports is there once for each port.
        accounts: the service accounts of exported pods and of consumers, each with its imports, once for each port.
        pending: the sites that it is to import from and that export nothing yet.
        servers: its database servers.
        egress_gateways: the service accounts of its egress gateways.
        lost: whether the configuration says that it is gone for now: then it is not asked.
        without: the site of another stack that is gone for now according to the configuration; empty if none is.
    """

    name: str
    cluster: ExistingCluster | str
    gateway: ExpectedGateway | None
    exports: tuple[DeployedExport, ...]
    accounts: Mapping[ServiceAccount, tuple[DeployedExport, ...]]
    pending: tuple[str, ...]
    servers: tuple[ExpectedServer, ...]
    egress_gateways: tuple[ServiceAccount, ...] = ()
    identity: str = ""
    certificates: Bundle | None = None
    lost: bool = False
    without: str = ""

    @property
    def kubeconfig(self) -> str:
        """Contents of its cluster's kubeconfig. Secret.

        Raises:
            ConnectionError: it cannot be read.
        """
        if isinstance(self.cluster, str):
            return self.cluster
        try:
            found = read_kubeconfig(self.cluster.kubeconfig)
            if self.cluster.context and self.cluster.context not in found.contexts:
                raise KubeconfigError(f"has no context {self.cluster.context}")
            return found.only(self.cluster.context)
        except KubeconfigError as error:
            raise ConnectionError(f"its kubeconfig {printable(self.cluster.kubeconfig)} {error}") from None

    def reach(self) -> Callable[[], ApiClient]:
        """Return what makes clients of its cluster.

        Raises:
            ConnectionError: the cluster does not answer, or is another one than at the last `up`.
        """
        clients = reach(self.kubeconfig)
        try:
            with clients() as api:
                identity = self.identity and answer_or_none(identity_of, api, none=(403, 404))
        except ERRORS as error:
            raise ConnectionError(why(error)) from None
        if identity and identity != self.identity:
            known = f"and was {self.identity} at the last `pulumi up`: correct the kubeconfig, or its context"
            raise ConnectionError(
                f"its kubeconfig leads to another cluster: the UID of its namespace kube-system is {identity}, {known}"
            )
        return clients


def read_stack(stack: str | None, kubeconfig: str | None = None) -> tuple[DeployedSite, ...]:
    """Return the sites of a stack, by `pulumi stack output`.

    A kubeconfig of a cluster that the stack has made is a secret of the stack. All else is none: it is read without
    passphrase or key service.

    Args:
        stack: its name. Default: the one that is selected.
        kubeconfig: path of a kubeconfig whose contexts have the sites' names. Default: those of the stack.

    Raises:
        StackError: there is no such stack, or its outputs lack what is needed.
    """
    command = ("stack", "output", "--json")
    chosen = ("--stack", stack) if stack else ()
    try:
        outputs = json.loads(read_state(lambda: pulumi(*command, *chosen)))
    except PulumiError as error:
        raise StackError(str(error)) from None
    if outputs.get("kubeconfigs") and not kubeconfig:
        try:
            outputs = json.loads(read_state(lambda: pulumi(*command, "--show-secrets", *chosen)))
        except PulumiError as error:
            made = "The kubeconfigs of the clusters that it has made are secrets of the stack"
            raise StackError(f"{error}. {made}: without its passphrase give yours by --kubeconfig") from None
    return parse_outputs(outputs, kubeconfig)


def parse_outputs(outputs: Mapping[str, Any], kubeconfig: str | None = None) -> tuple[DeployedSite, ...]:
    """Return the sites that a stack's outputs tell of.

    Args:
        outputs: its outputs.
        kubeconfig: path of a kubeconfig whose contexts have the sites' names. Default: those of the stack.

    Raises:
        StackError: they tell of none, or are those of an older dcmesh.
    """
    if "sites" not in outputs:
        raise StackError("the stack has no output `sites`: run `pulumi up` first")
    if not outputs["sites"]:
        raise StackError("the stack has no sites")
    sites, certificates = outputs["sites"], outputs.get("certificates")
    found = []
    for name in sites:
        cluster = ExistingCluster(kubeconfig=kubeconfig, context=name) if kubeconfig else _cluster(name, outputs)
        told = certificates.get(name) if isinstance(certificates, Mapping) else None
        found.append(_site(name, cluster, Bundle.told(told), sites))
    return tuple(found)


def _site(
    name: str,
    cluster: ExistingCluster | str,
    certificates: Bundle | None,
    sites: Mapping[str, Mapping[str, Any]],
) -> DeployedSite:
    known = sites[name]
    links, lost = _links(name, known["links"]), known.get("lost")
    accounts = dict[ServiceAccount, tuple[DeployedExport, ...]]()
    exports = _exports(links[name], known) if known["gateway"] else ()
    for export in exports:
        accounts |= {_account(identity): () for identity in export.identities}
    pending, egress_gateways = dict[str, None](), dict[ServiceAccount, None]()
    for imported in known["imports"]:
        source = imported["from"]
        if source == lost:
            continue
        if source not in links:
            pending[source] = None
            continue
        domains = tuple(known.get("trustDomains", (TRUST_DOMAIN,)))
        account = ServiceAccount(imported["namespace"], imported["serviceAccount"], domains)
        by_gateway = imported.get("egress") == "gateway"
        if by_gateway:
            egress_gateways[account] = None
        accounts[account] = (
            *accounts.get(account, ()),
            *(
                export.model_copy(
                    update={
                        "by_gateway": by_gateway,
                        "hosts": known_in(export.hosts, imported.get("hostNamespace")),
                    }
                )
                for export in _exports(links[source], sites.get(source, {}))
                if export.name == imported["export"]
            ),
        )
    return DeployedSite(
        name=name,
        cluster=cluster,
        identity=(known.get("cluster") or {}).get("identity") or "",
        certificates=certificates,
        gateway=_gateway(known["gateway"], links[name]) if known["gateway"] else None,
        exports=exports,
        accounts=accounts,
        pending=tuple(pending),
        servers=tuple(_server(server) for server in known["servers"]),
        egress_gateways=tuple(egress_gateways),
        lost=name == lost,
        without="" if lost in sites else lost or "",
    )


def _cluster(site: str, outputs: Mapping[str, Any]) -> ExistingCluster | str:
    """Return where a site's kubeconfig is, or what is in it."""
    made = outputs["kubeconfigs"].get(site)
    if made is not None:
        return str(made)
    told = outputs["sites"][site]["cluster"]
    return ExistingCluster.model_validate({key: told[key] for key in ("kubeconfig", "context")})


def _links(site: str, told: Mapping[str, Any]) -> dict[str, Link]:
    """Return the links that a site knows. Those of other stacks are as they were at the last `up`.

    Raises:
        StackError: one of them is not valid.
    """
    try:
        return {source: read_link(link, source, f"sites.{site}.links.{source}") for source, link in told.items()}
    except ConfigError as error:
        line = error.findings[0].line()
        said = f"the stack has a link that must not be used: {line}"
        raise StackError(f"{said}. Run `pulumi up`: it mends it, or says what to do") from None


def _account(identity: str) -> ServiceAccount:
    """Return the account of a SPIFFE id: `spiffe://DOMAIN/ns/NAMESPACE/sa/NAME`."""
    *_, domain, _, namespace, _, name = identity.split("/")
    return ServiceAccount(namespace, name, (domain,))


def _gateway(place: Mapping[str, Any], link: Link) -> ExpectedGateway:
    return ExpectedGateway(
        namespace=place["namespace"],
        name=place["name"],
        addresses=link.gateway.addresses,
        port=link.gateway.port,
        advertised=place["advertised"],
    )


def _exports(link: Link, known: Mapping[str, Any]) -> tuple[DeployedExport, ...]:
    """Return the exports of a link, by port.

    Args:
        link: the link.
        known: the stack's output for the exporting site, if that is one of its own.
    """
    gateways = tuple(f"{address}:{link.gateway.port}" for address in link.gateway.addresses)
    labels, ingress = known.get("podLabels", {}), known.get("ingressPorts", {})
    whole = (
        DeployedExport(
            source=link.site,
            gateways=gateways,
            pod_label=labels.get(of.name, POD_NAME),
            entry_port=of.port_name,
            ingress_ports={int(port): at for port, at in ingress.get(of.name, {}).items()},
            **dict(of),
        )
        for of in link.exports
    )
    return tuple(
        of.model_copy(update={"entry_port": port_names(export)[of.port]}) for export in whole for of in export.by_port
    )


def _server(known: Mapping[str, Any]) -> ExpectedServer:
    replica = Replica(
        namespace=known["namespace"],
        pod=known["pod"],
        container=known["container"],
        command=tuple(known["command"]),
    )
    return ExpectedServer(replica=replica, follows=tuple(known["follows"]))
