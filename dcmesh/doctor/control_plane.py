"""Control plane: whether a site's sidecars still learn what changes."""

from collections.abc import Iterator, Sequence
from functools import partial

from dcmesh.doctor.evidence import Evidence, is_serving
from dcmesh.doctor.findings import FindingKind, HopFinding, Side
from dcmesh.doctor.fixes import restore_release
from dcmesh.doctor.hop import Hop
from dcmesh.doctor.walked_link import WalkedLink
from dcmesh.model.facts import State
from dcmesh.model.istio import ISTIO_NAMESPACE
from dcmesh.model.istio_objects import Object, labels

ISTIOD_DOWN = FindingKind(
    "istiod-down",
    "no istiod is ready: proxies keep what they have, learn nothing new, and no pod with a sidecar can start",
    State.WARNING,
)


def judge(slices: Sequence[Object]) -> Iterator[HopFinding]:
    """Yield what is wrong with the endpoints of istiod."""
    own = [found for found in slices if labels(found).get("app") == "istiod"]
    ready = [endpoint for found in own for endpoint in found.get("endpoints") or () if is_serving(endpoint)]
    if own and not ready:
        names = ", ".join(labels(found).get("kubernetes.io/service-name", "?") for found in own)
        yield ISTIOD_DOWN(
            f"Service {ISTIO_NAMESPACE}/{names} has no ready endpoint",
            f"Bring it back: `kubectl get pods -n {ISTIO_NAMESPACE} -l app=istiod` says why it does not run. "
            f"{restore_release('istiod', 'its Deployment')}",
        )


def _look(side: Side, link: WalkedLink) -> Iterator[HopFinding]:
    evidence: Evidence = link.consumer if side == "consumer" else link.source
    yield from judge(evidence.endpoint_slices(ISTIO_NAMESPACE))


def hop(side: Side) -> Hop:
    """Return the hop for one side."""
    return Hop(
        name=f"{side}'s istiod",
        about="istiod runs, so what the cluster's objects say is what the proxies do",
        side=side,
        kinds=(ISTIOD_DOWN,),
        look=partial(_look, side),
    )


CONSUMERS = hop("consumer")
SOURCES = hop("source")
