"""Peer authentication: the host's pod accepts nothing but mutual TLS."""

from collections.abc import Iterator, Sequence

from dcmesh.doctor.findings import FindingKind, HopFinding
from dcmesh.doctor.fixes import restore, restore_object
from dcmesh.doctor.hop import Hop
from dcmesh.doctor.walked_link import WalkedLink
from dcmesh.model.facts import State
from dcmesh.model.istio_objects import Object, name_of
from dcmesh.model.object_names import turning_away
from dcmesh.model.peer_authentication import effective

DISABLED = FindingKind("peer-plaintext", "a PeerAuthentication turns off mutual TLS at the host's pod")
PERMISSIVE = FindingKind("peer-permissive", "the host's pod takes plaintext beside mutual TLS", State.WARNING)


UNGUARDED = FindingKind(
    "peer-unguarded",
    "whoever reaches the gateway can use up the server's connections without a certificate",
    State.WARNING,
)


def judge(link: WalkedLink, policies: Sequence[Object], pod: Object) -> Iterator[HopFinding]:
    """Yield what is wrong with the mutual TLS that the host's pod asks for."""
    mode, policy = effective(policies, pod, link.export.port)
    if mode == "STRICT":
        return
    origin = f"PeerAuthentication {name_of(policy)}: mode {mode}" if policy else "no PeerAuthentication holds for it"
    kind = DISABLED if mode == "DISABLE" else PERMISSIVE
    ours = f"{link.export.namespace}/{link.export.name}-strict"
    there = any(name_of(p) == ours for p in policies)
    fix = restore_object(link.export.source, "peerauthentication", ours, there=there)
    if policy and name_of(policy) != ours and there:
        fix = f"Delete it: `kubectl delete peerauthentication -n {name_of(policy).replace('/', ' ')}`."
    yield kind(f"{origin} for port {link.export.port} of pod {name_of(pod)}", fix)


def judge_filter(link: WalkedLink, filters: Sequence[Object]) -> Iterator[HopFinding]:
    """Yield whether the server is connected to before the consumer has proved its identity."""
    ours = turning_away(link.export, link.host, link.gateway.namespace)
    if link.export.protocol == "TCP" and not any(name_of(found) == ours for found in filters):
        yield UNGUARDED(f"no EnvoyFilter {ours}", restore(link.export.source))


def _look(link: WalkedLink) -> Iterator[HopFinding]:
    if link.export.ingress:  # reported by `ingress`
        return
    if link.ends_at_gateway:
        yield from judge_filter(link, link.source.istio("EnvoyFilter"))
    elif pod := link.server:
        yield from judge(link, link.source.istio("PeerAuthentication"), pod)
        yield from judge_filter(link, link.source.istio("EnvoyFilter"))


HOP = Hop(
    name="peer authentication",
    about="the host's pod takes mutual TLS, and nothing else, at its port; its server meets nobody before that",
    side="source",
    kinds=(DISABLED, PERMISSIVE, UNGUARDED),
    look=_look,
)
