"""The answer: what the server itself says."""

from collections.abc import Iterator

from dcmesh.doctor.findings import FindingKind, HopFinding
from dcmesh.doctor.hop import Hop
from dcmesh.doctor.walked_link import WalkedLink
from dcmesh.kube.api import ERRORS
from dcmesh.status.hosts import ANOTHER, Answer

REFUSES = FindingKind("server-refuses", "the server answers with an error")
SILENT = FindingKind("server-silent", "the server does not answer in its own pod either")
OTHER_POD = FindingKind("pod-other", "another pod answers in the host's place")
UNEXPLAINED = FindingKind(
    "unexplained", "the host does not answer, though all that can be seen from here is as it should be"
)

# On open connections Envoy keeps a listener's old filters until its drain time is over: 45 s with Istio. And the
# consumer's sidecar sends new HTTP requests on connections that it opened before.
KEPT = "Ask again in a minute: the consumer's sidecar keeps HTTP connections to where a host was before."
DRAINING = "Ask again in a minute: after a policy has changed, connections of before keep the old one for up to 45 s."


def judge(link: WalkedLink, *, remote: Answer | None, local: Answer | None) -> Iterator[HopFinding]:
    """Yield what is wrong with the answer.

    Args:
        link: the link.
        remote: what the host says to the consumer; None if another stack has the consumer.
        local: what it says in its own pod; None if another stack has the pod, or if it was not asked or could not be.
    """
    asked = [("to its consumer", remote), ("in its own pod", local)]
    failed = [f"{where}: {answer.text}" for where, answer in asked if answer and not answer.ok]
    if not failed or (remote and remote.ok):
        return
    evidence = f"{link.host}:{link.export.port} {'; '.join(failed)}"
    # An HTTP status may come from the consumer's own sidecar, which says 503 for what it cannot reach.
    near, errors = (local, ("refused", "HTTP", ANOTHER)) if local else (remote, ("refused",))
    logs = f"kubectl logs -n {link.export.namespace} {link.pod_name}"
    if near and not near.ok and near.text.startswith(errors):
        yield REFUSES(evidence, f"Mend what the server says, at {link.export.source}; its own log has more: `{logs}`.")
    elif local and not local.ok:
        yield SILENT(evidence, f"Look at the server itself: `{logs}` at {link.export.source}.")
    elif remote and remote.text.startswith(ANOTHER):
        yield OTHER_POD(
            evidence,
            f"{KEPT} If it stays so, look at {link.export.source} for a ServiceEntry of this host with another "
            "pod's address or label, and for pods with this one's label.",
        )
    elif link.sees_source:
        read = f"`kubectl logs -c istio-proxy` of the consumer's pod and of {link.export.namespace}/{link.pod_name}"
        refused = bool(remote and remote.text == "HTTP 403")
        yield UNEXPLAINED(evidence, f"{DRAINING} If it stays so, read {read}." if refused else f"Read {read}.")
    else:
        yield UNEXPLAINED(
            evidence, f"Ask {link.export.source} to run `python -m dcmesh doctor {link.real_host}` with its stack."
        )


def _local(link: WalkedLink) -> Answer | None:
    try:
        return link.local_answer
    except ERRORS:
        if not link.sees_consumer:
            raise
        return None  # the consumer's answer is known, and known to be wrong


def _look(link: WalkedLink) -> Iterator[HopFinding]:
    remote = link.answer if link.sees_consumer else None
    yield from judge(
        link, remote=remote, local=_local(link) if link.sees_source and not (remote and remote.ok) else None
    )
    if link.consumer_side:
        _ = link.consumer  # if an answer that should be seen is not, the hop is unseen


HOP = Hop(
    name="answer",
    about="a new connection of the consumer gets the server's own answer: its greeting, or an HTTP status",
    side="consumer",
    kinds=(REFUSES, SILENT, OTHER_POD, UNEXPLAINED),
    look=_look,
)
