"""Names: the sidecar answers for the host, with the host's own virtual address."""

from collections.abc import Iterator, Sequence

from components.kubernetes_api import ERRORS
from components.link import ISTIO_NAMESPACE
from dcmesh.doctor.evidence import Evidence, Object, covers, labels, name_of, selects, visible
from dcmesh.doctor.fixes import catch_up, restore, restore_release
from dcmesh.doctor.link import Link
from dcmesh.doctor.model import Finding, Hop, Kind
from dcmesh.pods import Pod

CAPTURE_OFF = Kind("dns-capture-off", "the consumer's sidecar does not answer DNS queries")
ENTRY_MISSING = Kind("entry-missing", "no ServiceEntry in the consumer's namespace has the host")
ENTRY_HIDDEN = Kind("entry-hidden", "the host's ServiceEntry is not shown to the consumer's namespace")
HOST_HIDDEN = Kind("host-hidden", "a Sidecar leaves the host out of what the consumer's proxy learns")
HOST_CLAIMED = Kind("host-claimed", "another ServiceEntry has the same host")
UNRESOLVED = Kind("name-unknown", "the host's name does not resolve in the consumer's pod")
ELSEWHERE = Kind("name-elsewhere", "the host's name resolves to another address than its ServiceEntry's")


def applying(sidecars: Sequence[Object], namespace: str, of: Object) -> Object | None:
    """Return the Sidecar that holds for a pod: one that selects it, its namespace's, or the mesh's."""
    here = [sidecar for sidecar in sidecars if sidecar["metadata"]["namespace"] == namespace]
    chosen = [s for s in here if selector_of(s) and selects(selector_of(s), labels(of))]
    whole = [s for s in here if not selector_of(s)]
    mesh = [s for s in sidecars if s["metadata"]["namespace"] == ISTIO_NAMESPACE and not selector_of(s)]
    return next(iter([*chosen, *whole, *mesh]), None)


def selector_of(found: Object) -> dict[str, str]:
    """Return the labels by which a Sidecar chooses pods."""
    chosen: dict[str, str] = found["spec"].get("workloadSelector", {}).get("labels", {})
    return chosen


def shows(sidecar: Object, entry: Object, host: str) -> bool:
    """Tell whether a Sidecar lets its pods learn of a host of a ServiceEntry."""
    own, of = sidecar["metadata"]["namespace"], entry["metadata"]["namespace"]
    scopes = [scope for egress in sidecar["spec"].get("egress", ()) for scope in egress.get("hosts", ())]
    for scope in scopes or ["*/*"]:
        namespace, _, pattern = scope.partition("/")
        if (namespace in ("*", of) or (namespace == "." and own == of)) and covers(pattern, host):
            return True
    return False


def judge(
    link: Link, entry: Object | None, *, metadata: Object, entries: Sequence[Object], sidecar: Object | None
) -> Iterator[Finding]:
    """Yield what is wrong with the objects that give the host its name.

    Args:
        link: the link.
        entry: the host's ServiceEntry; None if there is none.
        metadata: what the consumer's Envoy says of itself.
        entries: the ServiceEntries of the cluster.
        sidecar: the Sidecar that holds for the consumer's pod.
    """
    namespace, again = link.account.namespace, restore(link.consumer_site)
    if metadata.get("DNS_CAPTURE") != "true":
        yield CAPTURE_OFF(
            f"bootstrap of its Envoy: node.metadata.DNS_CAPTURE is {metadata.get('DNS_CAPTURE', 'not set')}",
            'Set `ISTIO_META_DNS_CAPTURE: "true"` in meshConfig.defaultConfig.proxyMetadata and in no annotation '
            "`proxy.istio.io/config` otherwise, and restart the consumer's pod. "
            f"{restore_release('istiod', 'the ConfigMap istio-system/istio')}",
        )
        return
    if not entry:
        names = [found["metadata"]["name"] for found in entries if found["metadata"]["namespace"] == namespace]
        yield ENTRY_MISSING(f"ServiceEntries in {namespace}: {', '.join(names) or 'none'}", again)
        return
    if not visible(entry, namespace):
        yield ENTRY_HIDDEN(f"ServiceEntry {name_of(entry)}: exportTo {entry['spec'].get('exportTo')}", again)
        return
    if sidecar and not shows(sidecar, entry, link.host):
        egress = [host for part in sidecar["spec"].get("egress", ()) for host in part.get("hosts", ())]
        yield HOST_HIDDEN(
            f"Sidecar {name_of(sidecar)}: egress hosts {', '.join(egress)}",
            again
            if name_of(sidecar) == f"{namespace}/default"
            else f"Add `./*` to the egress hosts of the Sidecar {name_of(sidecar)}, or delete it.",
        )
        return
    for other in entries:
        if other is not entry and link.host in other["spec"]["hosts"] and visible(other, namespace):
            addresses = " ".join(other["spec"].get("addresses", ())) or "no address"
            yield HOST_CLAIMED(
                f"ServiceEntry {name_of(other)} has {link.host} too, at {addresses}",
                f"Delete it: `kubectl delete serviceentry -n {name_of(other).replace('/', ' ')}`.",
            )
            return


def judge_address(link: Link, resolved: str | None, entry: Object) -> Iterator[Finding]:
    """Yield what is wrong with what the name resolves to; None if the pod has nothing to look it up with."""
    wanted = entry["spec"].get("addresses", ())
    seen = f"`getent hosts {link.host}` in the consumer's container: {resolved or 'nothing'}"
    if resolved == "":
        yield UNRESOLVED(f"{seen}; sidecar and objects look right", catch_up(link.consumer_site))
    elif resolved and wanted and resolved not in wanted:
        yield ELSEWHERE(
            f"{seen}; ServiceEntry {name_of(entry)}: {' '.join(wanted)}",
            f"Delete the Service or ServiceEntry that has the name: `kubectl get service,serviceentry -A` at "
            f"{link.consumer_site} shows them.",
        )


def _resolve(evidence: Evidence, pod: Pod, host: str) -> str | None:
    """Return the address that a host has for a pod, empty if none; None if it cannot be looked up there."""
    for container in pod.own_containers:
        try:
            return evidence.run(pod, container, "getent", "hosts", host).split()[0]
        except ChildProcessError as error:
            if "exit code 2" in str(error):  # getent's word for a name that it does not find
                return ""
        except ERRORS:
            continue
    return None


def _look(link: Link) -> Iterator[Finding]:
    side, pod, entry = link.consumer, link.client, link.entry
    (raw,) = (found for found in side.pods(pod.namespace) if found["metadata"]["name"] == pod.name)
    yield from judge(
        link,
        entry,
        metadata=side.metadata(pod),
        entries=side.istio("ServiceEntry"),
        sidecar=applying(side.istio("Sidecar"), pod.namespace, raw),
    )
    if entry:
        yield from judge_address(link, _resolve(side, pod, link.host), entry)


HOP = Hop(
    name="name",
    about="the sidecar answers DNS queries, and knows the host by the one ServiceEntry that has it",
    side="consumer",
    kinds=(CAPTURE_OFF, ENTRY_MISSING, ENTRY_HIDDEN, HOST_HIDDEN, HOST_CLAIMED, UNRESOLVED, ELSEWHERE),
    look=_look,
)
