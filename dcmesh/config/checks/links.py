"""Links: whether what is imported is exported, to this consumer, and under free names."""

from collections.abc import Iterator

from dcmesh.config.checks.configuration import Configuration
from dcmesh.config.checks.names import REMOVE_ONE, exported, is_in_every_cluster, name_of, twice
from dcmesh.config.errors import NOTHING, Finding
from dcmesh.config.suggestions import choices
from dcmesh.model.link import POD_NAME, Consumer, ProbeKind, port_server_name, server_name, service_of
from dcmesh.model.settings import Export, GatewayExport, IngressExport, PodExport, Pods, Site, StackTrust
from dcmesh.stacks import stack_of

LONGEST_NAME = 253
"""Kubernetes' limit for the names of most objects."""

Named = GatewayExport | IngressExport
"""Exports whose hosts have names at the gateway."""


def several_links(configuration: Configuration) -> Iterator[Finding]:
    """Find peers whose link is given in more than one way."""
    for index, peer in enumerate(configuration.settings.peers):
        ways = {"stack": peer.stack, "link": peer.link, "linkFile": peer.link_file}
        given = [way for way, value in ways.items() if value]
        if len(given) > 1:
            advice = f"has {' and '.join(given)}: keep one of them"
            yield Finding(f"peers[{index}]", peer.name, advice)


def own_stack(configuration: Configuration) -> Iterator[Finding]:
    """Find references of the stack to itself."""
    environment, trust = configuration.environment, configuration.settings.trust
    stacks = [
        (f"peers[{index}].stack", stack_of(peer, environment.project))
        for index, peer in enumerate(configuration.settings.peers)
        if not (peer.link or peer.link_file)
    ]
    stacks += [("trust.stack", trust.stack)] if isinstance(trust, StackTrust) else []
    for path, stack in stacks:
        if stack.split("/")[1:] == [environment.project, environment.stack]:
            yield Finding(path, stack, "is this stack itself: name another")


def unknown_sources(configuration: Configuration) -> Iterator[Finding]:
    """Find imports from the site itself, or from one that is neither in the stack nor a peer."""
    for site, path, imported in configuration.imports:
        if imported.from_ == site.name:
            yield Finding(f"{path}.from", imported.from_, "is this site itself: import from another")
        elif imported.from_ not in configuration.sources:
            others = [name for name in configuration.sources if name != site.name]
            advice = "is neither another site of this stack nor one of its peers: "
            advice += choices(others, imported.from_) if others else "add it to `peers`"
            yield Finding(f"{path}.from", imported.from_, advice, given=("sites", "peers"))


def unknown_exports(configuration: Configuration) -> Iterator[Finding]:
    """Find imports of something that the other site does not export."""
    for site, path, imported in configuration.imports:
        source = configuration.sources.get(imported.from_)
        if source is None or imported.from_ == site.name or configuration.offer(imported):
            continue
        place, offers = source
        names = [export.name for _, export in offers]
        yield Finding(
            f"{path}.export",
            imported.export,
            f"is not exported by {imported.from_}: "
            + (choices(names, imported.export) if names else "it exports nothing"),
            given=(place,),
        )


def not_consumers(configuration: Configuration) -> Iterator[Finding]:
    """Find imports whose consumer the export does not name."""
    for site, path, imported in configuration.imports:
        offer = configuration.offer(imported)
        if offer is None or imported.from_ == site.name:
            continue
        place, export = offer
        wanted = Consumer(site=site.name, namespace=imported.namespace, service_account=imported.service_account)
        if name_of(wanted) not in map(name_of, export.consumers):
            known = ", ".join(name_of(consumer) for consumer in export.consumers) or "nobody"
            yield Finding(
                f"{path}.serviceAccount",
                imported.service_account,
                f"may not consume {imported.from_}/{export.name}, which is for {known}: "
                f"add {name_of(wanted)} to its consumers",
                given=(f"{place}.consumers",),
            )


def local_consumers(configuration: Configuration) -> Iterator[Finding]:
    """Find consumers in the exporting site."""
    for site, path, export in configuration.exports:
        for index, consumer in enumerate(export.consumers):
            if consumer.site == site.name:
                advice = "is the exporting site, where everybody may connect: name another site, or remove the consumer"
                yield Finding(f"{path}.consumers[{index}].site", consumer.site, advice)


OTHER_NAMES = "give the import another `hostNamespace`, whose names its hosts then have here"
"""What is to be done about names that a site has itself, unless TLS ends at the pods."""


def same_names(configuration: Configuration) -> Iterator[Finding]:
    """Find imports whose hosts have the names of the importing site's own pods."""
    own = {site.name: _services(site) for _, site in configuration.sites}
    for site, path, imported in configuration.imports:
        offer = configuration.offer(imported)
        if offer is None or imported.from_ == site.name:
            continue
        for namespace, service in dict.fromkeys(map(service_of, configuration.hosts(imported))):
            if (namespace, service) in own[site.name]:
                cure = OTHER_NAMES if offer[1].termination != "pod" else "use another namespace in one of the sites"
                advice = (
                    f"is of Service {service} in namespace {namespace}, and {site.name} has the same: the pods of both "
                    f"would have the same DNS names; {cure}"
                )
            elif _is_taken(namespace, site):
                cure = OTHER_NAMES if offer[1].termination != "pod" else "export from a namespace of its own"
                advice = (
                    f"is of namespace {namespace}, and {site.name} has one of that name, which is not dcmesh's: {cure}"
                )
            else:
                continue
            yield Finding(f"{path}.export", imported.export, advice, given=(offer[0],))


def _is_taken(namespace: str, site: Site) -> bool:
    """Tell whether a new cluster will have a namespace that is not dcmesh's. Preflight asks existing clusters."""
    made = is_in_every_cluster(namespace) and namespace not in site.namespaces
    return made and site.made_by is not None


def _services(site: Site) -> set[tuple[str, str]]:
    """Return namespace and name of the headless Services that a site has by the configuration."""
    own = {(workload.namespace, workload.pods.service) for workload in site.workloads if workload.pods}
    return own | {(export.namespace, export.service_name) for export in site.exports}


def same_hosts(configuration: Configuration) -> Iterator[Finding]:
    """Find imports of a namespace whose hosts another export has too. For egress gateways `egress` does this."""
    owners = dict[tuple[str, str, str], tuple[str, str]]()
    for site, path, imported in configuration.imports:
        offer = configuration.offer(imported)
        if offer is None or imported.by_gateway:
            continue
        own = (imported.from_, imported.export)
        others = {
            owners.setdefault((site.name, imported.namespace, host), own) for host in configuration.hosts(imported)
        }
        for source, export in sorted(others - {own}):
            other = f"its export {export}" if source == imported.from_ else source
            advice = f"has hosts that {other} has too: import one of them into another namespace"
            yield Finding(f"{path}.export", imported.export, advice, given=(offer[0],))


def impossible_probes(configuration: Configuration) -> Iterator[Finding]:
    """Find exports whose probe waits for something that an HTTP server, or a whole Service, never says."""
    for _, path, export in configuration.exports:
        if export.protocol == "HTTP":
            for place, probe in _probes(path, export):
                if probe in ("greeting", "postgres", "redis", "mongodb"):
                    advice = "is for servers that speak something else than HTTP: use http or pod-name"
                    yield Finding(place, probe, advice)
        if isinstance(export, GatewayExport) and export.whole:
            for number, of in enumerate(export.exported_ports):
                if of.probe == "pod-name":
                    place = f"{path}.ports[{number}].probe" if export.ports else f"{path}.probe"
                    advice = (
                        "is for pods that say their name, and the export is of a Service as a whole: use another, such "
                        "as greeting or http"
                    )
                    yield Finding(place, of.probe, advice)


def _probes(path: str, export: Export) -> list[tuple[str, ProbeKind | None]]:
    """Return the probes of an export's ports, each with its place."""
    if isinstance(export, IngressExport):
        return [(f"{path}.ports[{number}].probe", of.probe) for number, of in enumerate(export.ports)]
    return [(f"{path}.probe", export.probe)]


def unlike_workloads(configuration: Configuration) -> Iterator[Finding]:
    """Find exports of dcmesh's own workloads that do not match the workload."""
    for site, path, export in configuration.exports:
        workload = site.workload_of(export)
        if workload and workload.pods:
            for key, value, advice in _unlike(export, workload.pods):
                place = f"{path.partition('.')[0]}.workloads[{site.workloads.index(workload)}]"
                yield Finding(f"{path}.{key}", value, advice, given=(path, place))


def _unlike(export: Export, pods: Pods) -> Iterator[tuple[str, object, str]]:
    """Find where an export does not match its workload: the key, its value and the advice."""
    if (export.replicas or 0) > pods.replicas:
        advice = f"is more than the {pods.replicas} pods that the workload runs: lower it or raise the workload's"
        yield "replicas", export.replicas, advice
    single = "ports[0].port" if isinstance(export, IngressExport) else "port"
    facts: dict[str, tuple[object, object]] = {
        single: (export.port_numbers[0], pods.port),
        "service": (export.service_name, pods.service),
    }
    if isinstance(export, PodExport | IngressExport):
        facts["serviceAccount"] = (export.service_account, pods.service_account)
    for key, (said, true) in facts.items():
        if said != true:
            yield key, said, f"is not the workload's, which is {true}: use that"
    if isinstance(export, PodExport | IngressExport) and export.selector != pods.selector:
        labels, true = (", ".join(f"{k}: {v}" for k, v in of.items()) for of in (export.selector, pods.selector))
        yield "selector", labels, f"are not the labels of the workload's pods: use {true}"


def pods_or_whole(configuration: Configuration) -> Iterator[Finding]:
    """Find exports by the gateway that are neither pod by pod nor of a whole Service, or have settings of both."""
    for _, path, export in configuration.exports:
        if not isinstance(export, GatewayExport):
            continue
        if not (export.whole or export.pods) and export.replicas is None:
            advice = (
                "is missing: how many pods of a StatefulSet to export, or `pods` for pods by a label, or `whole: true` "
                "for the Service as a whole"
            )
            yield Finding(f"{path}.replicas", NOTHING, advice)
        label = None if export.pod_label == POD_NAME else export.pod_label
        of_sets = {"replicas": export.replicas, "statefulSet": export.stateful_set}
        for key, value in {**of_sets, "pods": export.pods or None, "podLabel": label}.items():
            if export.whole and value is not None:
                advice = "is of pods, and the export is of a Service as a whole: remove it, or `whole`"
                yield Finding(f"{path}.{key}", value, advice)
            elif export.pods and key in of_sets and value is not None:
                advice = "is of a StatefulSet's pods, and `pods` names those that are exported: keep one of the two"
                yield Finding(f"{path}.{key}", value, advice)
        if label and not (export.pods or export.whole):
            advice = "tells apart the pods that `pods` names, and there are none: add them, or remove it"
            yield Finding(f"{path}.podLabel", label, advice)


UNSTABLE = frozenset({"pod-template-hash", "pod-template-generation", "controller-revision-hash", "controller-uid"})
"""Labels that Kubernetes changes with a workload's template, or with a pod's owner."""


INDEXES = frozenset({"pod-index", "job-completion-index"})
"""Labels with a pod's number. Pods of other StatefulSets and Jobs have the same numbers."""


def unstable_labels(configuration: Configuration) -> Iterator[Finding]:
    """Find labels that do not belong to one pod for its lifetime: the host would lead to another pod, or to none."""
    for _, path, export in configuration.exports:
        if isinstance(export, GatewayExport):
            name = export.pod_label.rpartition("/")[2].lower()
            if name in UNSTABLE or name.endswith("role"):
                advice = (
                    "is a label that changes while a pod lives, or with its template: use one that has the pod's name, "
                    "such as cnpg.io/instanceName; a role that moves is followed by its Service, with `whole: true`"
                )
                yield Finding(f"{path}.podLabel", export.pod_label, advice)
            elif name in INDEXES:
                advice = (
                    "is a label with a pod's number, which pods of other workloads have too: use one that has the "
                    "pod's name, such as cnpg.io/instanceName"
                )
                yield Finding(f"{path}.podLabel", export.pod_label, advice)


def ports_twice(configuration: Configuration) -> Iterator[Finding]:
    """Find ports that an export has twice."""
    for _, path, export in configuration.exports:
        if isinstance(export, GatewayExport | IngressExport):
            written = export.port_numbers if export.ports else ()
            yield from twice(((f"{path}.ports[{n}].port", port) for n, port in enumerate(written)), REMOVE_ONE)


def server_names_twice(configuration: Configuration) -> Iterator[Finding]:
    """Find hosts that would share a name at the gateway: of one pod, or of a pod whose name looks like a port's."""
    for path, site in configuration.sites:
        exports = dict[str, tuple[str, Named]]()
        for index, export in enumerate(site.exports):
            if isinstance(export, Named):
                exports.setdefault(exported("", export)[1], (f"{path}.exports[{index}]", export))
        names = [
            (f"{at}.pods[{number}]" if isinstance(export, GatewayExport) and export.pods else f"{at}.name", name)
            for at, export in exports.values()
            for number, host in enumerate(export.hosts)
            for name in _names_at_gateway(export, host, site.name)
        ]
        yield from twice(names, "is the name at the gateway of another host, or of another's port: export it once")


def _names_at_gateway(export: Named, host: str, site: str) -> list[str]:
    name = server_name(host, site)
    others = export.port_numbers[1:] if isinstance(export, GatewayExport) else ()
    return [name, *(port_server_name(name, port) for port in others)]


def long_server_names(configuration: Configuration) -> Iterator[Finding]:
    """Find exports whose hosts have names at the gateway that are too long for Kubernetes' objects."""
    for site, path, export in configuration.exports:
        if isinstance(export, Named) and export.hosts:
            name = max(_names_at_gateway(export, max(export.hosts, key=len), site.name), key=len)
            if len(name) > LONGEST_NAME:
                advice = f"makes the name {name} at the gateway, and such names have at most {LONGEST_NAME} characters"
                yield Finding(f"{path}.name", export.name, advice)
