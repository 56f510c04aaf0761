"""The mesh configuration, as istiod reads it."""

from typing import Any

import yaml
from kubernetes import client

from dcmesh.kube.api import SECONDS, ApiClient, answer_or_none
from dcmesh.model.istio import ISTIO_NAMESPACE


def of_revision(name: str, revision: str) -> str:
    """Return the name of an object of Istio's for a revision of its control plane."""
    return name if revision == "default" else f"{name}-{revision}"


def mesh_config(api: ApiClient, revision: str) -> dict[str, Any] | None:
    """Return the mesh configuration of the istiod of that revision; empty if istiod cannot read it either."""
    name = of_revision("istio", revision)
    read = client.CoreV1Api(api).read_namespaced_config_map
    found = answer_or_none(read, name, ISTIO_NAMESPACE, _request_timeout=SECONDS)
    if found is None:
        return None
    try:
        config = yaml.safe_load((found.data or {}).get("mesh", ""))
    except yaml.YAMLError:
        return {}
    return config if isinstance(config, dict) else {}


def mesh_root(api: ApiClient) -> str:
    """Return the roots that istiod has all proxies trust, as PEM.

    Raises:
        kube.api.ERRORS: the cluster cannot be asked, or has no istiod yet.
    """
    read = client.CoreV1Api(api).read_namespaced_config_map
    found = read("istio-ca-root-cert", ISTIO_NAMESPACE, _request_timeout=SECONDS)
    return str((found.data or {}).get("root-cert.pem", ""))
