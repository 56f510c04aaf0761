"""The ingress port: the host's pod has it, and it is locked."""

from collections.abc import Iterator, Sequence

from dcmesh.doctor.evidence import sidecar_state
from dcmesh.doctor.findings import FindingKind, HopFinding
from dcmesh.doctor.fixes import OWN_WORKLOAD, restore, restore_object
from dcmesh.doctor.hop import Hop
from dcmesh.doctor.walked_link import WalkedLink
from dcmesh.model.capture import PORTS_IN, Rules, split
from dcmesh.model.facts import State
from dcmesh.model.ingress_port import TAKES_PART, guard
from dcmesh.model.istio_objects import Object, labels, name_of
from dcmesh.model.object_names import ingress_name
from dcmesh.model.peer_authentication import effective

NO_LISTENER = FindingKind("ingress-missing", "no Sidecar gives the host's pod its ingress port")
NOT_IN = FindingKind(
    "ingress-not-labelled", "the host's pod has not got the label by which what the export has made holds for it"
)
HALF_LOCKED = FindingKind(
    "ingress-not-strict",
    "the ingress port may take plaintext, so the pod's Envoy refuses its listeners: it goes on with those that it had, "
    "and when the pod starts anew its sidecar does not get ready, and the pod's containers do not start",
)
CLOSED = FindingKind(
    "ingress-closed", "no EnvoyFilter leads the ingress port to the server: it is closed to everybody, consumers too"
)
UNGUARDED = FindingKind(
    "ingress-unguarded",
    "the ingress port's EnvoyFilter is not as dcmesh makes it: others than the consumers may get in, or nobody",
)
MORE_IN = FindingKind(
    "ingress-takes-more",
    "the sidecar of the host's pod takes in more than ingress ports, and what the export has made shuts all the rest",
    State.WARNING,
)


def judge(
    link: WalkedLink,
    pod: Object | None,
    *,
    sidecars: Sequence[Object],
    filters: Sequence[Object],
    policies: Sequence[Object],
) -> Iterator[HopFinding]:
    """Yield what is wrong with an ingress port.

    Args:
        link: the link.
        pod: the host's pod; None if it is not there.
        sidecars: the Sidecars of the cluster.
        filters: its EnvoyFilters.
        policies: its PeerAuthentications.
    """
    ours, again = f"{link.export.namespace}/{ingress_name(link.export)}", restore(link.export.source)
    if pod and labels(pod).get(TAKES_PART) != link.export.name:
        yield NOT_IN(
            f"pod {name_of(pod)}: label {TAKES_PART} is {labels(pod).get(TAKES_PART, 'not set')}",
            f'Give its template the label {TAKES_PART}: "{link.export.name}", and what else `pulumi up` says of it; '
            f"then it starts anew. {OWN_WORKLOAD} {again}",
        )
    if pod:
        mode, policy = effective(policies, pod, link.export.pod_port)
        origin = f"PeerAuthentication {name_of(policy)}" if policy else f"no PeerAuthentication {ours}"
        if mode != "STRICT":
            yield HALF_LOCKED(f"{origin}: mode {mode} for port {link.export.pod_port} of pod {name_of(pod)}", again)
        yield from _taken_in(link, pod)
    guards = [of for of in filters if name_of(of) == ours]
    if not guards:
        yield CLOSED(f"no EnvoyFilter {ours}", again)
    elif guards[0]["spec"] != guard(link.export, link.export.ingress_ports, {TAKES_PART: link.export.name}):
        yield UNGUARDED(
            f"EnvoyFilter {ours}: its spec is another than that for the consumers "
            f"{', '.join(link.export.consumer_ids)} at the ingress ports",
            restore_object(link.export.source, "envoyfilter", ours, there=True),
        )
    if not any(name_of(of) == ours for of in sidecars):
        yield NO_LISTENER(f"no Sidecar {ours}", again)


def _taken_in(link: WalkedLink, pod: Object) -> Iterator[HopFinding]:
    """Yield that a pod which has the label takes in more: a Sidecar and a policy leave it the ingress ports alone."""
    ports = {str(port) for port in link.export.ingress_ports.values()}
    more = sorted({*split(Rules(pod)[PORTS_IN])} - ports)
    if more and sidecar_state(pod) and labels(pod).get(TAKES_PART) == link.export.name:
        yield MORE_IN(
            f"pod {name_of(pod)}: {PORTS_IN.annotation} is {', '.join(more)}",
            f'Give its template the annotation {PORTS_IN.annotation}: "{",".join(sorted(ports))}", which starts it '
            "anew.",
        )


def _look(link: WalkedLink) -> Iterator[HopFinding]:
    source = link.source
    if link.export.ingress:
        yield from judge(
            link,
            link.server,
            sidecars=source.istio("Sidecar"),
            filters=source.istio("EnvoyFilter"),
            policies=source.istio("PeerAuthentication"),
        )


HOP = Hop(
    name="ingress port",
    about="where TLS ends at an ingress port: the host's pod has it, and it takes mutual TLS of the consumers alone",
    side="source",
    kinds=(NO_LISTENER, NOT_IN, HALF_LOCKED, CLOSED, UNGUARDED, MORE_IN),
    look=_look,
)
