"""Names: the sidecar answers for the host, with the host's own virtual address."""

from collections.abc import Iterator, Sequence

import yaml

from dcmesh.doctor.evidence import Evidence
from dcmesh.doctor.findings import FindingKind, HopFinding
from dcmesh.doctor.fixes import catch_up, restore, restore_release
from dcmesh.doctor.hop import Hop
from dcmesh.doctor.walked_link import WalkedLink
from dcmesh.kube.api import ERRORS
from dcmesh.kube.pods import Pod
from dcmesh.model.istio import ISTIO_NAMESPACE
from dcmesh.model.istio_objects import Object, annotations, applying, goes_by, labels, name_of, selects, shows, visible
from dcmesh.model.link import ServiceAccount
from dcmesh.model.object_names import capturing

CAPTURE_OFF = FindingKind("dns-capture-off", "the consumer's sidecar does not answer DNS queries")
ENTRY_MISSING = FindingKind("entry-missing", "no ServiceEntry in the consumer's namespace has the host")
ENTRY_HIDDEN = FindingKind("entry-hidden", "the host's ServiceEntry is not shown to the consumer's namespace")
HOST_HIDDEN = FindingKind("host-hidden", "a Sidecar leaves the host out of what the consumer's proxy learns")
HOST_CLAIMED = FindingKind("host-claimed", "another ServiceEntry has the same host")
UNRESOLVED = FindingKind("name-unknown", "the host's name does not resolve in the consumer's pod")
ELSEWHERE = FindingKind("name-elsewhere", "the host's name resolves to another address than its ServiceEntry's")


def judge(
    link: WalkedLink,
    entry: Object | None,
    *,
    metadata: Object,
    entries: Sequence[Object],
    sidecar: Object | None,
    switched_off: str = "",
    chosen: Object | None = None,
) -> Iterator[HopFinding]:
    """Yield what is wrong with the objects that give the host its name.

    Args:
        link: the link.
        entry: the host's ServiceEntry; None if there is none.
        metadata: what the consumer's Envoy says of itself.
        entries: the ServiceEntries of the cluster.
        sidecar: the Sidecar that applies to the consumer's pod.
        switched_off: the annotation or ProxyConfig that turns DNS capture off for it; empty if none does.
        chosen: dcmesh's own ProxyConfig that turns DNS capture on for some pods, where the import has a `selector`.
    """
    namespace, again = link.account.namespace, restore(link.consumer_site)
    seen = f"bootstrap of its Envoy: node.metadata.DNS_CAPTURE is {metadata.get('DNS_CAPTURE', 'not set')}"
    if not _captured(metadata) and chosen:
        wanted = chosen["spec"].get("selector", {}).get("matchLabels", {})
        shown = " ".join(f"{key}={value}" for key, value in wanted.items())
        yield CAPTURE_OFF(
            f"{seen}; ProxyConfig {name_of(chosen)} turns it on for pods with {shown} that start after it",
            "Give the consumer's pod these labels, if it has not got them, and start it anew.",
        )
        return
    if not _captured(metadata):
        yield CAPTURE_OFF(
            f"{seen}{switched_off and ': '}{switched_off}",
            'Set `ISTIO_META_DNS_CAPTURE: "true"` in meshConfig.defaultConfig.proxyMetadata and in no annotation '
            "`proxy.istio.io/config` or ProxyConfig otherwise, and restart the consumer's pod. "
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
        if name_of(other) == name_of(entry) or link.host not in other["spec"]["hosts"] or not visible(other, namespace):
            continue
        if goes_by(other, entry, namespace) and (not sidecar or shows(sidecar, other, link.host)):
            addresses = " ".join(other["spec"].get("addresses", ())) or "no address"
            yield HOST_CLAIMED(
                f"ServiceEntry {name_of(other)} has {link.host} too, at {addresses}",
                f"Delete it: `kubectl delete serviceentry -n {name_of(other).replace('/', ' ')}`.",
            )
            return


def judge_address(link: WalkedLink, resolved: str | None, entry: Object) -> Iterator[HopFinding]:
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


def _captured(metadata: Object) -> bool:
    return bool(metadata.get("DNS_CAPTURE") == "true")


def _switched_off(evidence: Evidence, pod: Object) -> str:
    """Return what switches DNS capture off for a pod: its annotation, or a ProxyConfig."""
    key, variable = "proxy.istio.io/config", "ISTIO_META_DNS_CAPTURE"
    template, of = evidence.template(pod)
    if _no(_environment(annotations(template).get(key, "")), variable):
        return f"annotation {key} in {of}"
    for found in evidence.istio("ProxyConfig"):
        here = found["metadata"]["namespace"] in (pod["metadata"]["namespace"], ISTIO_NAMESPACE)
        chosen = found["spec"].get("selector", {}).get("matchLabels")
        if here and selects(chosen, labels(pod)) and _no(found["spec"].get("environmentVariables", {}), variable):
            return f"ProxyConfig {name_of(found)}"
    return ""


def _environment(config: str) -> Object:
    """Return the environment in a proxy's configuration, as an annotation has it."""
    try:
        read = yaml.safe_load(config)
    except yaml.YAMLError:
        return {}
    said = read.get("proxyMetadata") if isinstance(read, dict) else None
    return said if isinstance(said, dict) else {}


def _no(environment: Object, variable: str) -> bool:
    return str(environment.get(variable, "true")).lower() != "true"


def _chosen(evidence: Evidence, account: ServiceAccount) -> Object | None:
    """Return dcmesh's own ProxyConfig for the pods of a consumer; None if there is none."""
    ours = f"{account.namespace}/{capturing(account.name)}"
    return next((found for found in evidence.istio("ProxyConfig") if name_of(found) == ours), None)


def _resolve(evidence: Evidence, pod: Pod, host: str) -> str | None:
    """Return the address that a host has for a pod, empty if none; None if it cannot be looked up there."""
    for container in pod.own_containers:
        try:
            return evidence.run(pod, container, "getent", "hosts", host).split()[0]
        except ChildProcessError as error:
            if "exit code 2" in str(error):  # getent's exit code for a name that it does not find
                return ""
        except ERRORS:
            continue
    return None


def _look(link: WalkedLink) -> Iterator[HopFinding]:
    side, pod, entry = link.consumer, link.client, link.entry
    metadata = side.metadata(pod)
    yield from judge(
        link,
        entry,
        metadata=metadata,
        entries=side.istio("ServiceEntry"),
        sidecar=applying(side.istio("Sidecar"), pod.namespace, link.client_object),
        switched_off="" if _captured(metadata) else _switched_off(side, link.client_object),
        chosen=None if _captured(metadata) else _chosen(side, link.account),
    )
    if entry:
        yield from judge_address(link, _resolve(side, pod, link.host), entry)


HOP = Hop(
    name="name",
    about="the sidecar answers DNS queries, and knows the host by the one ServiceEntry that has it",
    side="consumer",
    kinds=(CAPTURE_OFF, ENTRY_MISSING, ENTRY_HIDDEN, HOST_HIDDEN, HOST_CLAIMED, UNRESOLVED, ELSEWHERE),
    look=_look,
    egress="sidecar",
)
