"""NetworkPolicies in the namespaces of a gateway and of consumers that keep them from the other end of a link."""

from collections.abc import Iterator, Sequence
from ipaddress import ip_network

from dcmesh.config.errors import Finding, Remark
from dcmesh.kube.read_rights import Allowed
from dcmesh.model.addresses import is_ip
from dcmesh.model.egress import LABELS
from dcmesh.model.gateway import GATEWAY_PORT
from dcmesh.model.istio_objects import Object, labels
from dcmesh.model.network_policy import OUTSIDE, Caller, keeping_in, shutting_out
from dcmesh.model.plan import ImportPlan, SitePlan
from dcmesh.preflight.gateway_exports import pod_labels
from dcmesh.preflight.parallel import each


def _policies(allowed: Allowed, namespace: str) -> list[Object]:
    return allowed.list(f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies")


def shut_gateway(allowed: Allowed, path: str, plan: SitePlan, gateway: str) -> Iterator[Finding]:
    """Find what keeps other sites from the gateway.

    Args:
        allowed: the cluster.
        path: the place of the site in the configuration.
        plan: the site's part of the plan.
        gateway: namespace of its gateway.
    """
    if not plan.exports:
        return
    pod = {"metadata": {"namespace": gateway, "labels": pod_labels(gateway)}, "spec": {"containers": []}}
    if shut := shutting_out(_policies(allowed, gateway), pod, OUTSIDE, GATEWAY_PORT):
        advice = (
            f"comes by the gateway in {gateway}, and NetworkPolicy {', '.join(shut)} in {plan.name} lets nobody of "
            f"another site in there: add to its `ingress` the rule `ports: [{{port: {GATEWAY_PORT}}}]`"
        )
        yield Remark(f"{path}.exports[0].name", plan.exports[0].name, advice)


def shut_in(allowed: Allowed, path: str, plan: SitePlan) -> Iterator[Finding]:
    """Find what keeps consumers, or an egress gateway, from the gateway of the other site.

    Args:
        allowed: the cluster.
        path: the place of the site in the configuration.
        plan: the site's part of the plan.
    """

    def look(numbered: tuple[int, ImportPlan]) -> Iterator[Finding]:
        index, imported = numbered
        if imported.gateway is None:
            return
        policies, port = _policies(allowed, imported.namespace), imported.gateway.port
        pods = [LABELS] if imported.egress else _consumers(allowed, imported)
        kept = dict[str, None]()
        for of in pods:
            caller = Caller(namespace=imported.namespace, namespace_labels={}, labels=of)
            kept |= dict.fromkeys(keeping_in(policies, caller, OUTSIDE, port))
        if kept:
            advice = (
                f"has the NetworkPolicy {', '.join(kept)} in {plan.name}, which does not let consumers out to the "
                f"gateway of {imported.source}: add to its egress `{_rule(imported.gateway.addresses, port)}`"
            )
            yield Remark(f"{path}.imports[{index}].namespace", imported.namespace, advice)

    yield from each(enumerate(plan.imports), look)


def _consumers(allowed: Allowed, imported: ImportPlan) -> list[dict[str, str]]:
    """Return the labels of each pod of a consumer. If there is no pod yet, it is as if one had no labels."""
    pods = allowed.list(f"/api/v1/namespaces/{imported.namespace}/pods")
    own = [pod for pod in pods if pod["spec"].get("serviceAccountName", "default") == imported.service_account]
    return [dict(labels(pod)) for pod in own] or [{}]


def _rule(addresses: Sequence[str], port: int) -> str:
    blocks = [f"{{ipBlock: {{cidr: {ip_network(address)}}}}}" for address in addresses if is_ip(address)]
    to = f"to: [{', '.join(blocks)}], " if blocks else ""
    return f"{to}ports: [{{port: {port}}}]"
