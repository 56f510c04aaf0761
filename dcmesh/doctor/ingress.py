"""The ingress port: the host's pod has it, and it is locked."""

from collections.abc import Iterator, Sequence

from dcmesh.doctor.findings import FindingKind, HopFinding
from dcmesh.doctor.fixes import OWN_WORKLOAD, restore
from dcmesh.doctor.hop import Hop
from dcmesh.doctor.link import WalkedLink
from dcmesh.model.facts import State
from dcmesh.model.ingress import TAKES_PART
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
UNLOCKED = FindingKind(
    "ingress-unguarded",
    "whoever has a certificate of the mesh gets as far as the server's first bytes at the ingress port",
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
    if not any(name_of(of) == ours for of in filters):
        yield UNLOCKED(f"no EnvoyFilter {ours}", again)
    if not any(name_of(of) == ours for of in sidecars):
        yield NO_LISTENER(f"no Sidecar {ours}", again)


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
    kinds=(NO_LISTENER, NOT_IN, HALF_LOCKED, UNLOCKED),
    look=_look,
)
