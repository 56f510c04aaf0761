"""The consumer's pod: it runs and has a sidecar."""

from collections.abc import Iterator, Sequence

from dcmesh.doctor.evidence import opt_out, pods_of, sidecar_state
from dcmesh.doctor.findings import FindingKind, HopFinding
from dcmesh.doctor.fixes import INJECTOR, OWN_WORKLOAD, restore, restore_release
from dcmesh.doctor.hop import Hop
from dcmesh.doctor.walked_link import WalkedLink
from dcmesh.kube.pods import PROXY, RUNNING
from dcmesh.model.facts import State
from dcmesh.model.istio_objects import Object, labels, name_of
from dcmesh.model.link import ServiceAccount

ABSENT = FindingKind("client-absent", "no pod of the consumer's service account runs")
NO_INJECTION = FindingKind("client-not-injected", "the consumer's pod has no sidecar, for its namespace asks for none")
NO_SIDECAR = FindingKind("client-without-sidecar", "the consumer's pod has no sidecar")
SIDECAR_DOWN = FindingKind("client-sidecar-down", "the sidecar of the consumer's pod does not run")
NEXT_WITHOUT = FindingKind(
    "namespace-not-injected",
    "the consumer's namespace asks for no sidecars: the next pod of it will have none",
    State.WARNING,
)

INJECTED = ("istio-injection", "istio.io/rev")
"""Labels of a namespace whose pods get a sidecar."""


def judge(
    account: ServiceAccount, namespace: Object | None, pods: Sequence[Object], *, site: str
) -> Iterator[HopFinding]:
    """Yield what is wrong with the pods of a consumer.

    Args:
        account: the consumer.
        namespace: its namespace.
        pods: the pods there.
        site: where that is.
    """
    known = labels(namespace) if namespace else {}
    injected = known.get("istio-injection") == "enabled" or "istio.io/rev" in known
    shown = ", ".join(f"{key}={known[key]}" for key in INJECTED if key in known) or "neither label"
    restart = f"kubectl rollout restart -n {account.namespace}` what they belong to"
    label = f"Label it with `kubectl label namespace {account.namespace} istio-injection=enabled`"
    own = pods_of(pods, account)
    sidecars = {name_of(pod): sidecar_state(pod) for pod in own}
    if not own:
        found = (
            f"of {len(pods)} pods in {account.namespace} none that is not done has serviceAccountName {account.name}"
        )
        yield ABSENT(
            found,
            f"Start the consumer in {account.namespace} as the service account {account.name}. "
            f"{OWN_WORKLOAD} {restore(site)}",
        )
    elif all(state is None for state in sidecars.values()):
        reason = next(filter(None, map(opt_out, own)), "")
        evidence = f"{', '.join(sidecars)}: no container {PROXY}{reason and '; '}{reason}"
        if not injected:
            yield NO_INJECTION(
                f"{evidence}; namespace {account.namespace} has {shown}",
                f"{label} and restart its pods with `{restart}.",
            )
        else:
            yield NO_SIDECAR(
                evidence,
                f"Take `sidecar.istio.io/inject` out of the pods' labels and annotations, then `{restart}. "
                f"{restore_release('istiod', INJECTOR)}",
            )
    elif RUNNING not in sidecars.values():
        name, state = next((name, state) for name, state in sidecars.items() if state)
        yield SIDECAR_DOWN(
            f"{name} ({PROXY}): {state}",
            f"Read `kubectl logs -n {account.namespace} {name.partition('/')[2]} -c {PROXY}`.",
        )
    elif not injected and "sidecar.istio.io/inject" not in {key for pod in own for key in labels(pod)}:
        yield NEXT_WITHOUT(f"namespace {account.namespace} has {shown}", f"{label}.")


def _look(link: WalkedLink) -> Iterator[HopFinding]:
    namespace = link.account.namespace
    found = (link.consumer.namespace(namespace), link.consumer.pods(namespace))
    yield from judge(link.account, *found, site=link.consumer_site)


HOP = Hop(
    name="consumer's pod",
    about="a pod of the consumer's service account runs, with a sidecar",
    side="consumer",
    kinds=(ABSENT, NO_INJECTION, NO_SIDECAR, SIDECAR_DOWN, NEXT_WITHOUT),
    look=_look,
)
