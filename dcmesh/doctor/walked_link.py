"""Link: what is walked, that is one host of one export and one of its consumers."""

from dataclasses import dataclass

from dcmesh.doctor.evidence import Evidence, is_ready, lives, ready_pods
from dcmesh.doctor.findings import ElsewhereError, UnseenError
from dcmesh.kube.api import ERRORS
from dcmesh.kube.pods import Pod, parse_pod
from dcmesh.model.istio_objects import Object, labels, name_of
from dcmesh.model.link import POD_NAME, ServiceAccount
from dcmesh.sites_in_outputs import DeployedExport, ExpectedGateway
from dcmesh.status.hosts import Answer


@dataclass(frozen=True, kw_only=True)
class WalkedLink:
    """A link.

    Attributes:
        export: what is imported.
        host: which of its hosts.
        consumer_site: name of the consumer's site.
        account: the consumer.
        consumer_side: the consumer's site; None if the stack has not got it.
        source_side: the exporting site; None if the stack has not got it.
    """

    export: DeployedExport
    host: str
    consumer_site: str
    account: ServiceAccount
    consumer_side: Evidence | None
    source_side: Evidence | None

    @property
    def consumer(self) -> Evidence:
        """The consumer's site. Without it, hops that need it are not looked at."""
        return _there(self.consumer_side, self.consumer_site)

    @property
    def source(self) -> Evidence:
        """The exporting site. Without it, hops that need it are not looked at."""
        return _there(self.source_side, self.export.source)

    @property
    def egress(self) -> str:
        """How the consumer reaches the host."""
        return "gateway" if self.export.by_gateway else "sidecar"

    @property
    def known_as(self) -> str:
        """The name by which the consumer's proxy knows the host."""
        return self.export.known_as(self.host)

    @property
    def cluster(self) -> str:
        """Name of the host's cluster in the consumer's Envoy."""
        return f"outbound|{self.export.port}||{self.known_as}"

    @property
    def sni(self) -> str:
        """The server name that asks for the host."""
        return self.export.sni(self.host)

    @property
    def real_host(self) -> str:
        """The host's name in its own site."""
        return self.export.real(self.host)

    @property
    def ends_at_gateway(self) -> bool:
        """Whether the consumer's TLS ends at the gateway."""
        return self.export.termination == "gateway"

    @property
    def served(self) -> str:
        """Name of the host at the gateway."""
        return self.export.served[self.host]

    @property
    def gateway_cluster(self) -> str:
        """Name of the host's cluster in the gateway's Envoy."""
        if not self.ends_at_gateway:
            return self.sni
        return f"outbound|{self.export.port}||{self.export.behind_gateway(self.host)}"

    @property
    def client(self) -> Pod:
        """A pod of the consumer."""
        return self.consumer.client_pod(self.account)

    @property
    def client_object(self) -> Object:
        """The same, as the API shows it."""
        name = self.client.name
        pods = self.consumer.pods(self.account.namespace)
        return next(pod for pod in pods if pod["metadata"]["name"] == name)

    @property
    def entry(self) -> Object | None:
        """The host's ServiceEntry in the consumer's namespace: dcmesh's own, or else whichever has the host."""
        namespace = self.account.namespace
        entries = [e for e in self.consumer.istio("ServiceEntry") if e["metadata"]["namespace"] == namespace]
        having = [entry for entry in entries if self.known_as in entry["spec"]["hosts"]]
        own = [entry for entry in having if name_of(entry) == self.own_entry]
        return next(iter([*own, *having]), None)

    @property
    def own_entry(self) -> str:
        """Namespace and name of dcmesh's own ServiceEntry for the host in the consumer's site."""
        return self.export.entry(self.host, self.account.namespace)

    @property
    def gateway(self) -> ExpectedGateway:
        """The source's gateway, as it should be."""
        gateway = self.source.site.gateway
        if not gateway:
            raise UnseenError(f"the stack of {self.export.source} has no gateway")
        return gateway

    @property
    def gateway_pods(self) -> list[Object]:
        """The ready pods of the source's gateway."""
        ready = ready_pods(self.source.endpoint_slices(self.gateway.namespace), self.gateway.name)
        return [pod for pod in self.source.pods(self.gateway.namespace) if pod["metadata"]["name"] in ready]

    @property
    def pod_name(self) -> str:
        """Name of the host's pod, or the value of the label that tells it from others."""
        return self.host.partition(".")[0]

    @property
    def server(self) -> Object | None:
        """The host's pod; None if it is not there."""
        if self.export.pod_label == POD_NAME:
            pods = self.source.pods(self.export.namespace)
            return next((pod for pod in pods if pod["metadata"]["name"] == self.pod_name), None)
        return next(iter([*self.led_to, *self._labelled]), None)

    @property
    def led_to(self) -> list[Object]:
        """The ready pods with the label of the host's pod, to which the gateway leads. It should be this one alone."""
        return [pod for pod in self._labelled if lives(pod) and is_ready(pod)]

    @property
    def _labelled(self) -> list[Object]:
        pods = self.source.pods(self.export.namespace)
        return [pod for pod in pods if labels(pod).get(self.export.pod_label) == self.pod_name]

    @property
    def answer(self) -> Answer:
        """What the host says to a new connection of its consumer."""
        return self.consumer.answer(self.client, self.export, self.host)

    @property
    def known_answer(self) -> Answer | None:
        """The same; None if that cannot be tried from here."""
        try:
            return self.answer
        except (*ERRORS, UnseenError, ElsewhereError):
            return None

    @property
    def local_answer(self) -> Answer | None:
        """What the server says in its own container, at the pod's address: past the sidecar. None if it has no pod."""
        if not self.server:
            return None
        address = self.server["status"].get("podIP", "")
        there = self.export.model_copy(update={"hosts": (address,), "server_names": ()})
        return self.source.answer(parse_pod(self.server), there, address)

    @property
    def sees_consumer(self) -> bool:
        """Whether the consumer's site can be asked."""
        return self.consumer_side is not None and not self.consumer_side.unreachable

    @property
    def sees_source(self) -> bool:
        """Whether the exporting site can be asked."""
        return self.source_side is not None and not self.source_side.unreachable


def _there(side: Evidence | None, name: str) -> Evidence:
    if side is None:
        raise ElsewhereError(name)
    if side.unreachable:
        raise UnseenError(f"{name} cannot be asked: {side.unreachable}")
    return side
