"""Pods that accept plaintext, though their sidecars are to let in consumers of other trust domains."""

from collections.abc import Iterator

from dcmesh.config.errors import Finding
from dcmesh.kube.read_rights import Allowed
from dcmesh.model import settings as model
from dcmesh.model.istio_objects import labels, name_of, selects, whole
from dcmesh.model.link import trust_domain_of
from dcmesh.model.peer_authentication import effective, of_pod
from dcmesh.model.plan import SitePlan


def taken(allowed: Allowed, site: model.Site, path: str, plan: SitePlan) -> Iterator[Finding]:
    """Find exports with such consumers whose pods accept plaintext, by an older policy of somebody else's.

    Envoy's listener for their port then has a second filter chain, without Istio's TLS. dcmesh's change would give that
    an incomplete TLS context, and Envoy would refuse the listener.
    """
    exports = [
        (index, export, exported)
        for index, (export, exported) in enumerate(zip(site.exports, plan.exports, strict=True))
        if isinstance(export, model.PodExport)
        and {*map(trust_domain_of, exported.consumer_ids)} != {exported.trust_domains[0]}
    ]
    if not exports:
        return
    policies = [whole(of) for of in allowed.list("/apis/security.istio.io/v1/peerauthentications")]
    for index, export, _ in exports:
        pods = allowed.list(f"/api/v1/namespaces/{export.namespace}/pods")
        chosen = [pod for pod in pods if selects(export.selector, labels(pod))]
        lax = [of_pod(policies, pod) for pod in chosen if effective(policies, pod, export.port)[0] != "STRICT"]
        for policy in [name_of(of) for of in lax if of][:1]:
            advice = (
                f"is of pods that {policy} in {site.name} lets take plaintext; of two such policies the elder holds: "
                "make it STRICT, or use `termination: gateway`"
            )
            yield Finding(f"{path}.exports[{index}].name", export.name, advice)
