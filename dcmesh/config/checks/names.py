"""Names: those that occur twice, and those that are too long for Kubernetes."""

from collections.abc import Hashable, Iterable, Iterator

from dcmesh.config.checks.configuration import Configuration
from dcmesh.config.errors import Finding
from dcmesh.model.link import Consumer, pod_of
from dcmesh.model.settings import Export, GatewayExport, GeneratedTrust

LONGEST_LABEL = 63
"""Kubernetes' limit for the value of a label, and so for the names of pods and Jobs, which become labels."""

LONGEST_STATEFUL_SET = 52
"""How many characters Kubernetes appends to a StatefulSet's name for its pods' revision label, at most."""

PROBE = "dcmesh-probe-"
"""What stands before the consumer's name in the name of a probe's Job."""

OTHER_NAME = "occurs twice: give each a name of its own"
REMOVE_ONE = "occurs twice: remove one"


def twice(entries: Iterable[tuple[str, Hashable]], advice: str) -> Iterator[Finding]:
    """Find values that occur a second time."""
    seen = set[Hashable]()
    for path, value in entries:
        if value in seen:
            yield Finding(path, value, advice)
        seen.add(value)


def sites_twice(configuration: Configuration) -> Iterator[Finding]:
    """Find sites, and peers, of the same name."""
    sites = [(f"{path}.name", site.name) for path, site in configuration.sites]
    yield from twice(sites, OTHER_NAME)
    peers = [(f"peers[{index}].name", peer.name) for index, peer in enumerate(configuration.settings.peers)]
    yield from twice(peers, OTHER_NAME)
    own = {name for _, name in sites}
    for path, name in peers:
        if name in own:
            yield Finding(path, name, "is a site of this stack, and so no peer: remove it")


def issued_twice(configuration: Configuration) -> Iterator[Finding]:
    """Find sites for which an intermediate is issued twice."""
    trust, own = configuration.settings.trust, {site.name for _, site in configuration.sites}
    if isinstance(trust, GeneratedTrust):
        issued = [(f"trust.issueFor[{index}]", name) for index, name in enumerate(trust.issue_for)]
        yield from twice(issued, REMOVE_ONE)
        for path, name in issued:
            if name in own:
                yield Finding(path, name, "is a site of this stack, which has its intermediate anyway: remove it")


def workloads_twice(configuration: Configuration) -> Iterator[Finding]:
    """Find workloads of a site in one namespace: each creates its own."""
    for path, site in configuration.sites:
        namespaces = ((f"{path}.workloads[{index}].namespace", w.namespace) for index, w in enumerate(site.workloads))
        yield from twice(namespaces, "occurs twice: give each workload a namespace of its own")


def exports_twice(configuration: Configuration) -> Iterator[Finding]:
    """Find exports of a site with one name, or of one StatefulSet: its pods have one host each.

    One with `termination: pod` may exist beside one with `termination: gateway`, while the importers move from one to
    the other. One with `termination: ingress` must be the only one: its pods' sidecars take in nothing else.
    """
    for path, site in configuration.sites:
        exports = [(f"{path}.exports[{index}]", export) for index, export in enumerate(site.exports)]
        yield from twice(((f"{at}.name", export.name) for at, export in exports), OTHER_NAME)
        before = dict[str, set[str]]()
        for at, export in exports:
            place, what = exported(at, export)
            others = before.setdefault(what, set())
            if {export.termination, "ingress"} & others or (others and export.termination == "ingress"):
                yield Finding(place, what, "is exported twice: make it one export")
            others.add(export.termination)


def exported(at: str, export: Export) -> tuple[str, str]:
    """Return where an export says what is exported, and what that is."""
    if isinstance(export, GatewayExport) and export.whole:
        return f"{at}.service", f"Service {export.namespace}/{export.service_name}"
    if isinstance(export, GatewayExport) and export.pods:
        return f"{at}.pods", " ".join(export.hosts)
    return f"{at}.statefulSet", f"{export.namespace}/{export.stateful_set_name}"


def consumers_twice(configuration: Configuration) -> Iterator[Finding]:
    """Find consumers of an export that are equal."""
    for _, path, export in configuration.exports:
        yield from twice(
            ((f"{path}.consumers[{index}]", name_of(consumer)) for index, consumer in enumerate(export.consumers)),
            REMOVE_ONE,
        )


def imports_twice(configuration: Configuration) -> Iterator[Finding]:
    """Find imports of a site that are equal."""
    for path, site in configuration.sites:
        yield from twice(
            (
                (f"{path}.imports[{index}]", f"{i.from_}/{i.export} for {i.namespace}/{i.service_account}")
                for index, i in enumerate(site.imports)
            ),
            REMOVE_ONE,
        )


def name_of(consumer: Consumer) -> str:
    """Return a consumer as one word."""
    return f"{consumer.site}/{consumer.namespace}/{consumer.service_account}"


def is_in_every_cluster(namespace: str) -> bool:
    """Tell whether every cluster with Istio has this namespace."""
    return namespace in ("default", "istio-system") or namespace.startswith("kube-")


def reserved_namespaces(configuration: Configuration) -> Iterator[Finding]:
    """Find workloads in existing namespaces: a workload creates its own."""
    for path, site in configuration.sites:
        for index, workload in enumerate(site.workloads):
            if is_in_every_cluster(workload.namespace):
                advice = "exists in every cluster, and a workload creates its own: choose another"
                yield Finding(f"{path}.workloads[{index}].namespace", workload.namespace, advice)


def long_pod_names(configuration: Configuration) -> Iterator[Finding]:
    """Find StatefulSets whose pods cannot have their names."""
    for path, site in configuration.sites:
        for index, workload in enumerate(site.workloads):
            if workload.pods and len(workload.pods.stateful_set) > LONGEST_STATEFUL_SET:
                advice = f"is too long for a StatefulSet: at most {LONGEST_STATEFUL_SET} characters"
                yield Finding(f"{path}.workloads[{index}].name", workload.name, advice)
    for _, path, export in configuration.exports:
        last = pod_of(export.hosts[-1]) if export.hosts else ""
        if len(last) > LONGEST_LABEL:
            key = "statefulSet" if export.stateful_set else "name"
            advice = (
                f"is too long: its last pod would be {last}, and pods' names have at most {LONGEST_LABEL} characters"
            )
            yield Finding(f"{path}.{key}", export.stateful_set_name, advice, given=(path,))


def long_probe_names(configuration: Configuration) -> Iterator[Finding]:
    """Find consumers whose name is too long for the name of a probe's Job."""
    most = LONGEST_LABEL - len(PROBE)
    for _, path, imported in configuration.imports:
        if len(imported.service_account) > most:
            advice = f"is too long: the probe's Job is named {PROBE}…, which leaves {most} characters"
            yield Finding(f"{path}.serviceAccount", imported.service_account, advice)
