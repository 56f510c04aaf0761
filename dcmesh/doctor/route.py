"""The route: the source's gateway can be reached over the WAN."""

import re
from collections.abc import Iterator, Mapping

from dcmesh.doctor import foreign_objects, gateway
from dcmesh.doctor.evidence import Evidence, one_line
from dcmesh.doctor.findings import FindingKind, HopFinding, UnseenError
from dcmesh.doctor.hop import Hop
from dcmesh.doctor.walked_link import WalkedLink
from dcmesh.kube.pods import PROXY, Pod
from dcmesh.model.facts import State

UNRESOLVED = FindingKind(
    "gateway-unresolved", "the DNS name of the source's gateway does not resolve at the consumer's site"
)
SILENT = FindingKind("route-silent", "nothing answers at the gateway's address: packets are dropped on the way")
REFUSED = FindingKind("route-refused", "connections to the gateway's address are refused")
PARTIAL = FindingKind("route-partial", "only some of the gateway's addresses can be reached", State.WARNING)

SECONDS = 2
"""How long a gateway may take to accept a connection."""


def judge(link: WalkedLink, tried: Mapping[str, str]) -> Iterator[HopFinding]:
    """Yield what is wrong with the route.

    Args:
        link: the link.
        tried: for each address and port of the gateway, why no connection was made; empty if one was.
    """
    failed = {place: reason for place, reason in tried.items() if reason}
    if not failed:
        return
    evidence = "; ".join(f"{place} from {link.account.namespace}: {reason}" for place, reason in failed.items())
    places = " and ".join(failed)
    fix = (
        f"Open TCP {places} from the nodes of {link.consumer_site}: routes, VPN, firewalls, source ranges; "
        f"`nc -vz {next(iter(failed)).replace(':', ' ')}` from a node shows it."
    )
    if len(failed) < len(tried):
        yield PARTIAL(evidence, fix)
    elif all("no such host" in reason for reason in failed.values()):
        yield UNRESOLVED(
            evidence,
            f"Have the DNS of {link.consumer_site} resolve it, or set {link.export.source}'s `gateway.advertise`.",
        )
    elif any("refused" in reason or "reset" in reason for reason in failed.values()):
        yield REFUSED(evidence, fix)
    else:
        yield SILENT(evidence, fix)


def parse_attempt(said: str) -> str:
    """Return why no connection was made, from the output of `pilot-agent wait`; empty if one was.

    The gateway does not serve what is asked for. So once connected, the connection is reset or closed.
    """
    error = re.search(r"Last error: (.*)", said)
    text = error[1].strip() if error else ""
    if "lookup " in text:
        return "no such host"
    if "dial tcp" in text and "timeout" not in text and "deadline" not in text:
        return text.rpartition(": ")[2]
    if text in ("", "<nil>") or "timeout" in text or "deadline" in text or "Timeout" in text:
        return f"no answer in {SECONDS} s"
    return ""


def _try(side: Evidence, pod: Pod, place: str) -> str:
    """Connect from the sidecar's container: its own traffic goes past the sidecar, and its agent needs no tools."""
    limits = (f"--timeoutSeconds={SECONDS}", f"--requestTimeoutMillis={SECONDS * 1000 - 200}", "--periodMillis=500")
    try:
        side.run(pod, PROXY, "pilot-agent", "wait", f"--url=http://{place}/", *limits)
    except ChildProcessError as error:
        said = str(error)
        if "Last error" not in said:
            raise UnseenError(
                f"the sidecar of {pod.namespace}/{pod.name} cannot try {place}: {one_line(said)}"
            ) from None
        return parse_attempt(said)
    return ""


def _broken(link: WalkedLink) -> bool:
    """Tell whether the gateway is shut at its own site."""
    hops = (foreign_objects.SOURCES, gateway.HOP)
    return any(finding.state == State.CRITICAL for hop in hops for finding in hop.look(link))


def _look(link: WalkedLink) -> Iterator[HopFinding]:
    answer = link.known_answer
    if answer and answer.ok and len(link.export.gateways) == 1:
        return  # it was reached that way
    tried = {place: _try(link.consumer, link.client, place) for place in link.export.gateways}
    if all(tried.values()) and link.sees_source and _broken(link):
        raise UnseenError("the gateway itself is at fault")
    yield from judge(link, tried)


HOP = Hop(
    name="route",
    about="the consumer's site reaches the gateway's addresses at its port",
    side="consumer",
    kinds=(UNRESOLVED, SILENT, REFUSED, PARTIAL),
    look=_look,
)
