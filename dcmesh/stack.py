"""What a stack has deployed, by its outputs."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.replication import Replica


class StackError(Exception):
    """A stack cannot be read; the message is for the user, on one line."""


@dataclass(frozen=True)
class Account:
    """A service account: what pods of other sites know of a pod."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """Return it as it is shown."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class ExpectedGateway:
    """A gateway as it should be.

    Attributes:
        namespace: namespace of its Deployment and Service.
        name: their name.
        addresses: where importers look for it.
        port: at which port.
        advertised: whether the configuration said so; else these are what its Service had at the last `up`.
    """

    namespace: str
    name: str
    addresses: tuple[str, ...]
    port: int
    advertised: bool


@dataclass(frozen=True, kw_only=True)
class Export:
    """What a site lets others reach.

    Attributes:
        source: the exporting site.
        name: name of the export.
        namespace: namespace of its pods.
        gateways: the site's gateway's addresses, each with the port.
        hosts: the hosts.
        port: the port that they listen on.
        protocol: how sidecars treat it: `HTTP` or `TCP`.
        probe: what a new connection should be answered with: `greeting`, `http` or `pod-name`.
        identity: the SPIFFE id that they must prove.
        consumers: who may connect, each a site and a service account there.
    """

    source: str
    name: str
    namespace: str
    gateways: tuple[str, ...]
    hosts: tuple[str, ...]
    port: int
    protocol: str
    probe: str
    identity: str
    consumers: tuple[tuple[str, Account], ...]


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
class Site:
    """A site of the stack.

    Attributes:
        name: its name.
        kubeconfig: contents of its cluster's kubeconfig. Secret.
        gateway: its gateway, if it exports anything.
        exports: what it exports.
        accounts: the service accounts of exported pods and of consumers, each with what it imports.
        pending: the sites that it is to import from and that export nothing yet.
        servers: its database servers.
        lost: whether it is gone for now, by the configuration: then it is not asked.
        without: the site that is gone for now, by the configuration, if another stack has it; else empty.
    """

    name: str
    kubeconfig: str
    gateway: ExpectedGateway | None
    exports: tuple[Export, ...]
    accounts: Mapping[Account, tuple[Export, ...]]
    pending: tuple[str, ...]
    servers: tuple[ExpectedServer, ...]
    lost: bool = False
    without: str = ""


def read_stack(stack: str | None) -> tuple[Site, ...]:
    """Return the sites of a stack, by `pulumi stack output`.

    Args:
        stack: its name. Default: the one that is selected.

    Raises:
        StackError: there is no such stack, or its outputs do not say what is needed.
    """
    command = ["pulumi", "stack", "output", "--json", "--show-secrets", "--non-interactive"]
    try:
        done = subprocess.run(
            [*command, *(["--stack", stack] if stack else [])],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except OSError as error:
        raise StackError(f"pulumi cannot be run: {error.strerror}") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"it exited {done.returncode}"]
        raise StackError(f"pulumi stack output: {lines[0].removeprefix('error: ')}")
    return parse_outputs(json.loads(done.stdout))


def parse_outputs(outputs: Mapping[str, Any]) -> tuple[Site, ...]:
    """Return the sites that a stack's outputs tell of.

    Raises:
        StackError: they tell of none, or are those of an older dcmesh.
    """
    if "sites" not in outputs:
        raise StackError("the stack has no output `sites`: run `pulumi up` first")
    if not outputs["sites"]:
        raise StackError("the stack has no sites")
    sites = outputs["sites"]
    return tuple(_site(name, outputs["kubeconfigs"][name], known, tuple(sites)) for name, known in sites.items())


def _site(name: str, kubeconfig: str, known: Mapping[str, Any], sites: tuple[str, ...]) -> Site:
    links, lost = known["links"], known.get("lost")
    accounts = dict[Account, tuple[Export, ...]]()
    exports = _exports(links[name]) if known["gateway"] else ()
    for export in exports:
        accounts[_account(export.identity)] = ()
    pending = dict[str, None]()
    for imported in known["imports"]:
        source = imported["from"]
        if source == lost:
            continue
        if source not in links:
            pending[source] = None
            continue
        account = Account(imported["namespace"], imported["serviceAccount"])
        (export,) = (export for export in _exports(links[source]) if export.name == imported["export"])
        accounts[account] = (*accounts.get(account, ()), export)
    return Site(
        name=name,
        kubeconfig=kubeconfig,
        gateway=_gateway(known["gateway"], links[name]["gateway"]) if known["gateway"] else None,
        exports=exports,
        accounts=accounts,
        pending=tuple(pending),
        servers=tuple(_server(server) for server in known["servers"]),
        lost=name == lost,
        without="" if lost in sites else lost or "",
    )


def _account(identity: str) -> Account:
    """Return the account of a SPIFFE id: `spiffe://DOMAIN/ns/NAMESPACE/sa/NAME`."""
    *_, namespace, _, name = identity.split("/")
    return Account(namespace, name)


def _gateway(place: Mapping[str, Any], told: Mapping[str, Any]) -> ExpectedGateway:
    return ExpectedGateway(
        namespace=place["namespace"],
        name=place["name"],
        addresses=tuple(told["addresses"]),
        port=int(told["port"]),
        advertised=place["advertised"],
    )


def _exports(link: Mapping[str, Any]) -> tuple[Export, ...]:
    gateway = link["gateway"]
    return tuple(
        Export(
            source=link["site"],
            name=export["name"],
            namespace=export["namespace"],
            gateways=tuple(f"{address}:{gateway['port']}" for address in gateway["addresses"]),
            hosts=tuple(export["hosts"]),
            port=int(export["port"]),
            protocol=export["protocol"],
            probe=export["probe"],
            identity=export["identity"],
            consumers=tuple(
                (consumer["site"], Account(consumer["namespace"], consumer["serviceAccount"]))
                for consumer in export["consumers"]
            ),
        )
        for export in link["exports"]
    )


def _server(known: Mapping[str, Any]) -> ExpectedServer:
    replica = Replica(
        namespace=known["namespace"],
        pod=known["pod"],
        container=known["container"],
        command=tuple(known["command"]),
    )
    return ExpectedServer(replica=replica, follows=tuple(known["follows"]))
