"""ScopedGateways: which Gateways an istiod that begins to bind them to their namespaces would take gateways from."""

from kubernetes import client

from dcmesh.kube.api import SECONDS
from dcmesh.model.istio import ISTIO_NAMESPACE, SCOPE
from dcmesh.model.istio_objects import Object, name_of


def shut_by_scope(api: client.ApiClient) -> list[str]:
    """Return the Gateways, as `NAMESPACE/NAME`, that open gateways of other namespaces, which binding them would shut.

    None where istiod binds them already or is not there, and where one may not look.

    Raises:
        client.ApiException, HTTPError: the cluster cannot be asked.
    """
    try:
        istiod = client.AppsV1Api(api).read_namespaced_deployment("istiod", ISTIO_NAMESPACE, _request_timeout=SECONDS)
        containers = istiod.spec.template.spec.containers
        if any(v.name == SCOPE and v.value == "true" for container in containers for v in container.env or ()):
            return []
        kind = ("networking.istio.io", "v1", "gateways")
        found = client.CustomObjectsApi(api).list_cluster_custom_object(*kind, _request_timeout=SECONDS)["items"]
        opened = ((gateway, _opened(api, gateway)) for gateway in found if gateway.get("spec"))  # else it opens nothing
        return sorted(name_of(gateway) for gateway, places in opened if places - {gateway["metadata"]["namespace"]})
    except client.ApiException as error:
        if error.status in (401, 403, 404):
            return []
        raise


def _opened(api: client.ApiClient, gateway: Object) -> set[str]:
    """Return the namespaces of the pods that a Gateway selects; without a selector it opens the gateways of all."""
    selector = gateway["spec"].get("selector")
    if not selector:
        return {"every namespace"}
    labels = ",".join(f"{key}={value}" for key, value in selector.items())
    pods = client.CoreV1Api(api).list_pod_for_all_namespaces(label_selector=labels, _request_timeout=SECONDS)
    return {pod.metadata.namespace for pod in pods.items}
