"""Gateways: whether a site's door is open, and where the others look for it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from kubernetes import client

from components.kubernetes_api import ERRORS, why
from dcmesh.model import Fact, State
from dcmesh.pods import SECONDS
from dcmesh.stack import ExpectedGateway


@dataclass(frozen=True, kw_only=True)
class Gateway(Fact):
    """A site's gateway.

    Attributes:
        ready: how many of its pods are ready.
        wanted: how many there should be.
        addresses: the external addresses of its Service.
        ports: the ports of its Service.
        told_addresses: where importers look for it.
        told_port: at which port.
        advertised: whether the configuration says so, and not the Service.
    """

    ready: int = 0
    wanted: int = 0
    addresses: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    told_addresses: tuple[str, ...]
    told_port: int
    advertised: bool

    @property
    def where(self) -> str:
        """What problems begin with."""
        return f"{self.site} gateway"

    def judge(self) -> Iterator[tuple[State, str]]:
        """Yield what is wrong."""
        if not self.ready:
            yield State.CRITICAL, f"no pod is ready, {self.wanted} wanted"
        elif self.ready < self.wanted:
            yield State.WARNING, f"{self.ready} of {self.wanted} pods are ready"
        if self.advertised:
            return
        own, told = set(self.addresses), set(self.told_addresses)
        shown = " ".join(self.addresses) or "no address"
        if told - own:
            gone = " ".join(sorted(told - own))
            yield State.CRITICAL, f"importers are told {gone}, its Service has {shown}: run `pulumi up --refresh`"
        elif own - told:
            yield State.WARNING, f"importers are not told of {' '.join(sorted(own - told))}: run `pulumi up --refresh`"
        if self.ports and self.told_port not in self.ports:
            yield State.CRITICAL, f"importers are told port {self.told_port}, which its Service has not"


def ask_gateway(clients: Callable[[], client.ApiClient], site: str, expected: ExpectedGateway) -> list[Gateway]:
    """Ask a cluster for its gateway."""
    told: dict[str, Any] = {
        "site": site,
        "told_addresses": expected.addresses,
        "told_port": expected.port,
        "advertised": expected.advertised,
    }
    try:
        with clients() as api:
            deployment = _read(client.AppsV1Api(api).read_namespaced_deployment, expected)
            service = _read(client.CoreV1Api(api).read_namespaced_service, expected)
    except ERRORS as error:
        return [Gateway(**told, unknown=why(error))]
    balanced = service and service.status.load_balancer
    found = Gateway(
        **told,
        ready=(deployment.status.ready_replicas or 0) if deployment else 0,
        wanted=deployment.spec.replicas if deployment else 0,
        addresses=tuple(entry.ip or entry.hostname for entry in (balanced and balanced.ingress) or ()),
        ports=tuple(port.port for port in service.spec.ports) if service else (),
    )
    return [found]


def _read(read: Callable[..., Any], expected: ExpectedGateway) -> Any:  # noqa: ANN401 — the client has no types
    try:
        return read(expected.name, expected.namespace, _request_timeout=SECONDS)
    except client.ApiException as error:
        if error.status == 404:
            return None
        raise
