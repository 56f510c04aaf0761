"""Egress gateways: what in a cluster would keep clients from them, or would be deleted along with their namespaces."""

from collections.abc import Iterator, Mapping
from typing import Any

from dcmesh.config.errors import Finding, Remark
from dcmesh.kube.cluster_reader import ClusterReader
from dcmesh.model import settings as model
from dcmesh.model.authorization import holding
from dcmesh.model.component_names import egress_name, hosts_name
from dcmesh.model.egress import LABELS
from dcmesh.model.istio_objects import name_of, selects, whole
from dcmesh.model.network_policy import NAMESPACE_NAME, Caller, chooses, keeping_in
from dcmesh.model.plan import EgressPlan, SitePlan
from dcmesh.preflight.parallel import each
from dcmesh.sites_in_state import SiteInState

Numbered = tuple[int, model.Import]


def _by_gateway(site: model.Site) -> list[Numbered]:
    return [(index, imported) for index, imported in enumerate(site.imports) if imported.by_gateway]


def occupied(cluster: ClusterReader, site: model.Site, path: str, known: SiteInState | None) -> Iterator[Finding]:
    """Find namespaces that dcmesh is to own and in which somebody else's things run: they would be deleted with them.

    Such a namespace may have been handed over by its label. The egress gateway's own is dcmesh's once the state has it.
    """
    there = {urn.rpartition("::")[2] for urn in known.objects} if known else set()

    def stands(component: str) -> bool:
        return f"{component}-namespace" in there

    wanted = dict[str, str]()
    for index, imported in _by_gateway(site):
        at = f"{path}.imports[{index}]"
        wanted.setdefault(imported.host_namespace or "", f"{at}.hostNamespace")
        if not stands(egress_name(site.name, imported.namespace)):
            wanted.setdefault(imported.namespace, f"{at}.namespace")

    def look(placed: tuple[str, str]) -> Iterator[Finding]:
        namespace, where = placed
        held, hidden = cluster.held_in(namespace, but=LABELS)
        own = stands(hosts_name(site.name, namespace))
        goes = "is deleted, with all that is in it, by the `up` that removes the last import that names it"
        if held:
            advice = f"has {held} in {site.name}, and {goes}: move what it has, or name another namespace"
            yield Finding(where, namespace, advice)
        elif hidden and not own and cluster.namespace_labels(namespace) is not None:
            advice = (
                f"is there in {site.name}, and {goes}. What is in it may not be read ({'; '.join(hidden)}): allow the "
                "kubeconfig's user to read it, or name another namespace"
            )
            yield Finding(where, namespace, advice)

    yield from each(wanted.items(), look)


def unseen(cluster: ClusterReader, mesh: Mapping[str, Any], site: model.Site, path: str) -> Iterator[Finding]:
    """Find egress gateways in namespaces that an existing istiod ignores: they would listen on no port.

    Args:
        cluster: the cluster.
        mesh: its mesh configuration.
        site: the site.
        path: its place.
    """
    selectors = mesh.get("discoverySelectors") or ()
    for index, imported in _by_gateway(site) if selectors else ():
        labels = cluster.namespace_labels(imported.namespace) or {NAMESPACE_NAME: imported.namespace}
        if not any(chooses(selector, labels) for selector in selectors):
            advice = (
                f"is a namespace that istiod in {site.name} does not look at: add to meshConfig.discoverySelectors "
                f"`matchLabels: {{{NAMESPACE_NAME}: {imported.namespace}}}`"
            )
            yield Finding(f"{path}.imports[{index}].namespace", imported.namespace, advice)


def absent_clients(cluster: ClusterReader, site: model.Site, path: str) -> Iterator[Finding]:
    """Find clients in namespaces that do not exist."""
    made = {workload.namespace for workload in site.workloads}
    clients = [
        (f"{path}.imports[{index}].clients[{number}].namespace", client.namespace)
        for index, imported in _by_gateway(site)
        for number, client in enumerate(imported.clients)
        if client.namespace not in made
    ]

    def look(placed: tuple[str, str]) -> Iterator[Finding]:
        where, namespace = placed
        if cluster.namespace_labels(namespace) is None:
            yield Remark(where, namespace, f"does not exist in {site.name}: nobody connects from it yet")

    yield from each(clients, look)


def denied(cluster: ClusterReader, site: model.Site, path: str) -> Iterator[Finding]:
    """Find AuthorizationPolicies of others that may deny requests of an egress gateway's clients.

    Policies that allow do not matter: the egress gateway has one of its own that allows its clients everything.
    """
    numbered = _by_gateway(site)
    policies = [*map(whole, cluster.foreign_policies())] if numbered else []
    seen = set[tuple[str, str]]()
    for index, imported in numbered:
        account = (imported.namespace, imported.service_account)
        if account in seen:
            continue
        seen.add(account)
        for policy in holding(policies, imported.namespace, LABELS):
            if policy["spec"].get("action") in ("DENY", "CUSTOM"):
                advice = (
                    f"is under the AuthorizationPolicy {name_of(policy)} of {site.name}, which may deny its clients: "
                    "they have no identity. Give it a selector without the label istio: dcmesh-egress, or a rule of "
                    "`notNamespaces` or `notPorts` that leaves the egress gateway out"
                )
                yield Remark(f"{path}.imports[{index}].serviceAccount", imported.service_account, advice)


def kept_in(cluster: ClusterReader, site: model.Site, path: str, plan: SitePlan) -> Iterator[Finding]:
    """Find NetworkPolicies that keep clients from the ports of an egress gateway."""

    def look(placed: tuple[str, model.Client, str, EgressPlan]) -> Iterator[Finding]:
        where, client, namespace, egress = placed
        policies, pods = cluster.network_policies(client.namespace), cluster.pod_labels(client.namespace)
        clients = [of for of in pods if selects(client.labels, of)] or [client.labels]
        there = Caller(namespace=namespace, namespace_labels={NAMESPACE_NAME: namespace}, labels=LABELS)
        kept = dict[str, int]()
        for of in clients:
            caller = Caller(namespace=client.namespace, namespace_labels={}, labels=of)
            for port in egress.ports.values():
                kept |= dict.fromkeys(keeping_in(policies, caller, there, port), port)
        for policy, port in kept.items():
            rule = f"to: [{{namespaceSelector: {{matchLabels: {{{NAMESPACE_NAME}: {namespace}}}}}}}]"
            advice = (
                f"has the NetworkPolicy {policy} in {site.name}, which does not let clients out to the egress gateway: "
                f"add to its egress `{rule}`, without `ports` or with {port} among them, and a rule for the cluster's "
                "DNS if that is missing"
            )
            yield Remark(where, client.namespace, advice)

    yield from each(
        [
            (f"{path}.imports[{index}].clients[{number}].namespace", client, of.namespace, of.egress)
            for index, of in enumerate(plan.imports)
            if of.egress
            for number, client in enumerate(site.imports[index].clients)
        ],
        look,
    )
