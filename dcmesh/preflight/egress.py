"""Egress gateways: what of a cluster would keep clients from them, or be deleted with their names."""

from collections.abc import Iterator, Mapping

from dcmesh.config.errors import Finding, Remark
from dcmesh.kube.cluster import ClusterReader
from dcmesh.model import settings as model
from dcmesh.model.egress import LABELS
from dcmesh.model.istio import ISTIO_NAMESPACE
from dcmesh.model.istio_objects import Object, name_of, selects
from dcmesh.preflight.parallel import each

Numbered = tuple[int, model.Import]


def _by_gateway(site: model.Site) -> list[Numbered]:
    return [(index, imported) for index, imported in enumerate(site.imports) if imported.by_gateway]


def occupied(cluster: ClusterReader, site: model.Site, path: str) -> Iterator[Finding]:
    """Find namespaces for the names of hosts in which something runs: it would go with the last host."""

    def look(numbered: Numbered) -> Iterator[Finding]:
        index, imported = numbered
        namespace = imported.host_namespace or ""
        if held := cluster.held_in(namespace):
            advice = (
                f"has {held} in {site.name}, and is deleted with the last host whose name is in it: move that, or "
                "import what is exported from another namespace"
            )
            yield Finding(f"{path}.imports[{index}].hostNamespace", namespace, advice)

    yield from each(_by_gateway(site), look)


def absent_clients(cluster: ClusterReader, site: model.Site, path: str) -> Iterator[Finding]:
    """Find clients in namespaces that are not there."""
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
            yield Remark(where, namespace, f"is not there in {site.name}: nobody connects from it yet")

    yield from each(clients, look)


def denied(cluster: ClusterReader, site: model.Site, path: str) -> Iterator[Finding]:
    """Find AuthorizationPolicies of others that may deny what an egress gateway's clients ask.

    Those that allow are not looked for: the egress gateway has one of its own that allows its clients all.
    """
    numbered = _by_gateway(site)
    policies = cluster.foreign_policies() if numbered else []
    seen = set[tuple[str, str]]()
    for index, imported in numbered:
        account = (imported.namespace, imported.service_account)
        if account in seen:
            continue
        seen.add(account)
        for policy in policies:
            spec, namespace = policy.get("spec") or {}, policy["metadata"]["namespace"]
            here = namespace in (ISTIO_NAMESPACE, imported.namespace)
            chosen = (spec.get("selector") or {}).get("matchLabels")
            if here and spec.get("action") in ("DENY", "CUSTOM") and selects(chosen, LABELS):
                advice = (
                    f"is under the AuthorizationPolicy {name_of(policy)} of {site.name}, which may deny its clients: "
                    "they have no identity. Give it a selector without the label istio: dcmesh-egress, or a rule of "
                    "`notNamespaces` or `notPorts` that leaves the egress gateway out"
                )
                yield Remark(f"{path}.imports[{index}].serviceAccount", imported.service_account, advice)


def kept_in(cluster: ClusterReader, site: model.Site, path: str) -> Iterator[Finding]:
    """Find NetworkPolicies that keep clients in their namespace."""

    def look(placed: tuple[str, model.Client, str]) -> Iterator[Finding]:
        where, client, egress = placed
        for policy in cluster.network_policies(client.namespace):
            spec = policy["spec"]
            if "Egress" not in (spec.get("policyTypes") or []) or not _may_select(spec, client.labels):
                continue
            if not any(_lets_out(rule, egress) for rule in spec.get("egress") or []):
                advice = (
                    f"has the NetworkPolicy {name_of(policy)} in {site.name}, which lets its pods out to other places "
                    "alone: add to its egress `to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: "
                    f"{egress}}}}}}}]`, and to the cluster's DNS if that is missing"
                )
                yield Remark(where, client.namespace, advice)

    yield from each(
        [
            (f"{path}.imports[{index}].clients[{number}].namespace", client, imported.namespace)
            for index, imported in _by_gateway(site)
            for number, client in enumerate(imported.clients)
        ],
        look,
    )


def _may_select(spec: Object, of: Mapping[str, str]) -> bool:
    """Tell whether a NetworkPolicy may hold for pods that have at least these labels."""
    wanted = (spec.get("podSelector") or {}).get("matchLabels") or {}
    return all(of.get(key, value) == value for key, value in wanted.items())


def _lets_out(rule: Object, namespace: str) -> bool:
    """Tell whether a rule may let pods out to a namespace; what hangs on more than its name is taken to."""
    if not rule.get("to"):
        return True
    for peer in rule["to"]:
        if "ipBlock" in peer:
            return True
        chosen = peer.get("namespaceSelector")
        if chosen is not None:
            named = (chosen.get("matchLabels") or {}).get("kubernetes.io/metadata.name", namespace)
            if named == namespace:
                return True
    return False
