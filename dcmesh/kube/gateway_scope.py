"""ScopedGateways: which Gateways would lose their gateways if istiod began to bind Gateways to their namespaces."""

from urllib.parse import quote

from dcmesh.kube.read_rights import Allowed
from dcmesh.model.istio import ISTIO_NAMESPACE, SCOPE
from dcmesh.model.istio_objects import Object, name_of


def shut_by_scope(allowed: Allowed) -> list[str]:
    """Return the Gateways, as `NAMESPACE/NAME`, that open gateways of other namespaces, which binding them would shut.

    Empty if istiod binds them already or does not exist, and if one may not look.

    Raises:
        kube.api.ERRORS: the cluster cannot be asked.
    """
    istiod = allowed.read(f"/apis/apps/v1/namespaces/{ISTIO_NAMESPACE}/deployments/istiod")
    containers = istiod["spec"]["template"]["spec"]["containers"] if istiod else ()
    bound = any(v["name"] == SCOPE and v.get("value") == "true" for of in containers for v in of.get("env") or ())
    if not istiod or bound:
        return []
    found = allowed.list("/apis/networking.istio.io/v1/gateways")
    opened = ((gateway, _opened(allowed, gateway)) for gateway in found if gateway.get("spec"))  # without one, nothing
    return sorted(name_of(gateway) for gateway, places in opened if places - {gateway["metadata"]["namespace"]})


def _opened(allowed: Allowed, gateway: Object) -> set[str]:
    """Return the namespaces of the pods that a Gateway selects; without a selector it opens the gateways of all."""
    selector = gateway["spec"].get("selector")
    if not selector:
        return {"every namespace"}
    labels = quote(",".join(f"{key}={value}" for key, value in selector.items()))
    return {pod["metadata"]["namespace"] for pod in allowed.list(f"/api/v1/pods?labelSelector={labels}")}
