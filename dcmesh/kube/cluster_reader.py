"""A cluster that is asked before anything is created in it."""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from kubernetes import client
from kubernetes.client.exceptions import ApiException

from dcmesh.kube.api import SECONDS, ApiClient, answer_or_none
from dcmesh.kube.mesh_config import mesh_config, of_revision
from dcmesh.kube.read_rights import Allowed
from dcmesh.model import support
from dcmesh.model.certificates import Certificates, read_pem
from dcmesh.model.istio import ISTIO_NAMESPACE
from dcmesh.model.istio_objects import Object, labels, name_of
from dcmesh.model.ownership_marks import MADE_BY, is_of_stack

_DEPLOYMENTS = f"/apis/apps/v1/namespaces/{ISTIO_NAMESPACE}/deployments"


def identity_of(api: ApiClient) -> str:
    """Return what identifies a cluster, whatever its address and credentials.

    Raises:
        kube.api.ERRORS: it cannot be asked, or does not let that be read.
    """
    return str(client.CoreV1Api(api).read_namespace("kube-system", _request_timeout=SECONDS).metadata.uid)


@dataclass(frozen=True)
class ClusterReader:
    """One existing cluster: questions to its API server. The answer is None if something does not exist.

    Attributes:
        stacks: the stack, by its whole name and by those that it had before.
        allowed: the cluster for questions where what may not be read counts as nothing.
    """

    stacks: frozenset[str]
    core: client.CoreV1Api
    version: client.VersionApi
    storage: client.StorageV1Api
    allowed: Allowed

    @classmethod
    def of(cls, api: ApiClient, stacks: frozenset[str]) -> Self:
        """Return the cluster that a client is of."""
        return cls(stacks, client.CoreV1Api(api), client.VersionApi(api), client.StorageV1Api(api), Allowed(api))

    def kubernetes_version(self) -> tuple[int, int]:
        """Return major and minor version."""
        code = self.version.get_code(_request_timeout=SECONDS)
        return int(code.major), int(code.minor.rstrip("+"))

    def _read(self, kind: str, *name: str) -> Any:  # noqa: ANN401 — the client has no types
        return answer_or_none(getattr(self.core, f"read_{kind}"), *name, _request_timeout=SECONDS)

    def namespace_labels(self, name: str) -> dict[str, str] | None:
        """Return a namespace's labels."""
        found = self._read("namespace", name)
        return None if found is None else dict(found.metadata.labels or {})

    def is_foreign(self, kind: str, *name: str) -> bool:
        """Tell whether an object exists that the stack has not made. If it took it over, `destroy` would delete it."""
        found = self._read(kind, *name)
        return found is not None and self._is_foreign(self.core.api_client.sanitize_for_serialization(found.metadata))

    def is_own(self, kind: str, *name: str) -> bool:
        """Tell whether an object is there that says that it is of this stack, and that is not being deleted."""
        found = self._read(kind, *name)
        if found is None or found.metadata.deletion_timestamp:
            return False
        return (found.metadata.annotations or {}).get(MADE_BY) in self.stacks

    def helm_releases(self, namespace: str) -> set[str]:
        """Return the names of the Helm releases of a namespace."""
        found = self.allowed.list(f"/api/v1/namespaces/{namespace}/secrets?labelSelector=owner%3Dhelm")
        return {labels(record).get("name", "") for record in found}

    def _is_foreign(self, metadata: Mapping[str, Any]) -> bool:
        """Tell whether an object is somebody else's. One that Pulumi made and that names no stack may be of 0.1.0."""
        if any(is_of_stack(metadata, stack) for stack in self.stacks):
            return False
        by_pulumi = _by_pulumi(entry.get("manager") for entry in metadata.get("managedFields", ()))
        return not by_pulumi or MADE_BY in metadata.get("annotations", {})

    def has_foreign_sidecar(self, namespace: str) -> bool:
        """Tell whether a namespace has a Sidecar `default` that the stack has not made."""
        return self._foreign_at(f"/apis/networking.istio.io/v1/namespaces/{namespace}/sidecars/default")

    def has_foreign_proxy_config(self, namespace: str, name: str) -> bool:
        """Tell whether a namespace has a ProxyConfig of a name that the stack has not made."""
        return self._foreign_at(f"/apis/networking.istio.io/v1beta1/namespaces/{namespace}/proxyconfigs/{name}")

    def _foreign_at(self, path: str) -> bool:
        found = self.allowed.read(path)
        return found is not None and self._is_foreign(found["metadata"])

    def foreign_entries(self) -> list[tuple[str, Object]]:
        """Return each ServiceEntry that the stack has not made: its namespace and name, and the entry."""
        found = self.allowed.list("/apis/networking.istio.io/v1/serviceentries")
        return [(name_of(entry), entry) for entry in found if self._is_foreign(entry["metadata"])]

    def foreign_policies(self) -> list[Object]:
        """Return each AuthorizationPolicy that the stack has not made."""
        found = self.allowed.list("/apis/security.istio.io/v1/authorizationpolicies")
        return [policy for policy in found if self._is_foreign(policy["metadata"])]

    def network_policies(self, namespace: str) -> list[Object]:
        """Return the NetworkPolicies of a namespace."""
        return self.allowed.list(f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies")

    def pod_labels(self, namespace: str) -> list[Mapping[str, str]]:
        """Return the labels of each pod of a namespace."""
        return [labels(pod) for pod in self.allowed.list(f"/api/v1/namespaces/{namespace}/pods")]

    def held_in(self, namespace: str, *, but: Mapping[str, str]) -> tuple[str, Sequence[str]]:
        """Return the name of a pod or volume in a namespace, and reasons why there may be others that are not shown.

        Args:
            namespace: the namespace.
            but: labels of pods that do not count.
        """
        paths = [f"/api/v1/namespaces/{namespace}/{kind}" for kind in ("pods", "persistentvolumeclaims")]
        pods, claims = map(self.allowed.list, paths)
        held = [f"the pod {pod['metadata']['name']}" for pod in pods if not but.items() <= labels(pod).items()]
        held += [f"the PersistentVolumeClaim {claim['metadata']['name']}" for claim in claims]
        return next(iter(held), ""), [self.allowed.refused[path] for path in paths if path in self.allowed.refused]

    def has_service_account(self, namespace: str, name: str) -> bool:
        """Tell whether a service account is there."""
        return self._read("namespaced_service_account", name, namespace) is not None

    def has_service(self, namespace: str, name: str) -> bool:
        """Tell whether a Service is there."""
        return self._read("namespaced_service", name, namespace) is not None

    def cacerts(self) -> tuple[dict[str, str], dict[str, str]] | None:
        """Return the data and the labels of the Secret `cacerts`."""
        found = self._read("namespaced_secret", "cacerts", ISTIO_NAMESPACE)
        return None if found is None else (dict(found.data or {}), dict(found.metadata.labels or {}))

    def has_istiod(self) -> bool:
        """Tell whether there is an istiod of any revision. It takes its certificate from that Secret."""
        return bool(self.allowed.list(f"{_DEPLOYMENTS}?labelSelector=app%3Distiod"))

    def mesh_roots(self) -> Certificates:
        """Return the roots that the mesh trusts; none if there is no mesh yet."""
        found = self._read("namespaced_config_map", "istio-ca-root-cert", ISTIO_NAMESPACE)
        return [] if found is None else read_pem(found.data.get("root-cert.pem", ""))

    def mesh_config(self, revision: str) -> dict[str, Any] | None:
        """Return the mesh configuration of the istiod of that revision."""
        return mesh_config(self.core.api_client, revision)

    def revision_tags(self) -> dict[str, str]:
        """Return the revision that each tag leads to; empty if tags may not be read."""
        webhooks = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
        found = map(labels, self.allowed.list(f"{webhooks}?labelSelector=istio.io/tag"))
        return {of["istio.io/tag"]: of.get("istio.io/rev", "") for of in found if "istio.io/tag" in of}

    def istiod_version(self, revision: str) -> str | None:
        """Return the version of the istiod of that revision; None if there is none or it cannot be told."""
        found = self._istiod(revision)
        if found is None:
            return None
        images = (of["image"].partition("@")[0] for of in _discovery(found))
        tags = (image.rpartition(":")[2] for image in images)
        # The label has the chart's version. The image's tag says what really runs, unless it is just a name.
        labelled = labels(found).get("app.kubernetes.io/version", "")
        return next((text for text in (*tags, labelled) if text.startswith("1.") and support.minor_of(text)), None)

    def istiod_hosts(self, revision: str) -> list[str]:
        """Return the names that the istiod of that revision was given for itself; empty if that cannot be told."""
        found = self._istiod(revision)
        given = (variable for of in _discovery(found or {}) for variable in of.get("env", ()))
        hosts = (str(of.get("value", "")) for of in given if of["name"] == "ISTIOD_CUSTOM_HOST")
        return [host.strip() for each in hosts for host in each.split(",") if host.strip()]

    def _istiod(self, revision: str) -> Object | None:
        return self.allowed.read(f"{_DEPLOYMENTS}/{of_revision('istiod', revision)}")

    def claim(self, namespace: str, name: str) -> tuple[str, str | None] | None:
        """Return the size that a claim asks for, and its StorageClass."""
        found = self._read("namespaced_persistent_volume_claim", name, namespace)
        return None if found is None else (found.spec.resources.requests["storage"], found.spec.storage_class_name)

    def can_grow(self, storage_class: str | None) -> bool:
        """Tell whether the volumes of a StorageClass can grow. If it may not be read, the answer is yes."""
        if not storage_class:
            return False
        try:
            found = self.storage.read_storage_class(storage_class, _request_timeout=SECONDS)
        except ApiException as error:
            if error.status in (403, 404):
                return bool(error.status == 403)
            raise
        return bool(found.allow_volume_expansion)

    def pods_have_ipv4(self) -> bool | None:
        """Tell whether pods have IPv4 addresses; None if that cannot be told of a cluster that begins with IPv6."""
        service = self._read("namespaced_service", "kubernetes", "default")
        if service is None or ":" not in service.spec.cluster_ip:
            return True
        nodes = self.core.list_node(_request_timeout=SECONDS).items
        ranges = [of for node in nodes for of in node.spec.pod_cid_rs or ()]
        return any(":" not in of for of in ranges) if ranges else None

    def networks(self) -> Iterator[tuple[str, ipaddress.IPv4Network]]:
        """Yield the IPv4 networks that can be seen: what each is, and its range. Nodes may be hidden."""
        for node in self.allowed.list("/api/v1/nodes"):
            name, pod_range = node["metadata"]["name"], node["spec"].get("podCIDR") or ""
            for address in node["status"].get("addresses", ()):
                if address["type"] in ("InternalIP", "ExternalIP") and ":" not in address["address"]:
                    yield f"the address of node {name}", ipaddress.IPv4Network(address["address"])
            if pod_range and ":" not in pod_range:
                yield f"the pod range of node {name}", ipaddress.IPv4Network(pod_range)
        service = self._read("namespaced_service", "kubernetes", "default")
        if service is not None and ":" not in service.spec.cluster_ip:
            yield "the address of Service default/kubernetes", ipaddress.IPv4Network(service.spec.cluster_ip)


def _discovery(istiod: Object) -> list[Object]:
    """Return the containers of istiod itself in a Deployment."""
    containers = istiod.get("spec", {}).get("template", {}).get("spec", {}).get("containers", ())
    return [of for of in containers if of["name"] == "discovery"]


def _by_pulumi(managers: Iterable[str | None]) -> bool:
    """Tell whether Pulumi is among those that have written an object's fields."""
    return any((manager or "").startswith("pulumi") for manager in managers)
