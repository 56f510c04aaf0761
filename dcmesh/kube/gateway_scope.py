"""ScopedGateways: which Gateways an istiod that begins to bind them to their namespaces would take gateways from."""

from urllib.parse import quote

from dcmesh.kube.allowed import Allowed
from dcmesh.model.istio import ISTIO_NAMESPACE, SCOPE
from dcmesh.model.istio_objects import Object, name_of


def shut_by_scope(allowed: Allowed) -> list[str]:
    """Return the Gateways, as `NAMESPACE/NAME`, that open gateways of other namespaces, which binding them would shut.

    None where istiod binds them already or is not there, and where one may not look.

    Raises:
        kube.api.ERRORS: the cluster cannot be asked.
    """
    istiod = allowed.read(f"/apis/apps/v1/namespaces/{ISTIO_NAMESPACE}/deployments/istiod")
    containers = istiod["spec"]["template"]["spec"]["containers"] if istiod else ()
    bound = any(v["name"] == SCOPE and v.get("value") == "true" for of in containers for v in of.get("env") or ())
    if not istiod or bound:
        return []
    found = allowed.list("/apis/networking.istio.io/v1/gateways")
    opened = ((gateway, _opened(allowed, gateway)) for gateway in found if gateway.get("spec"))  # else it opens nothing
    return sorted(name_of(gateway) for gateway, places in opened if places - {gateway["metadata"]["namespace"]})


def _opened(allowed: Allowed, gateway: Object) -> set[str]:
    """Return the namespaces of the pods that a Gateway selects; without a selector it opens the gateways of all."""
    selector = gateway["spec"].get("selector")
    if not selector:
        return {"every namespace"}
    labels = quote(",".join(f"{key}={value}" for key, value in selector.items()))
    return {pod["metadata"]["namespace"] for pod in allowed.list(f"/api/v1/pods?labelSelector={labels}")}
