"""A cluster, asked before anything is created in it."""

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from kubernetes import client
from kubernetes.client.exceptions import ApiException

from dcmesh.kube.api import SECONDS, ApiClient, answer_or_none
from dcmesh.kube.mesh_config import mesh_config, of_revision
from dcmesh.model import support
from dcmesh.model.certificates import Certificates, read_pem
from dcmesh.model.istio import ISTIO_NAMESPACE
from dcmesh.model.ownership import MADE_BY, is_of_stack


def identity_of(api: ApiClient) -> str:
    """Return by what a cluster is known again, whatever its address and credentials.

    Raises:
        kube.api.ERRORS: it cannot be asked, or does not let that be read.
    """
    return str(client.CoreV1Api(api).read_namespace("kube-system", _request_timeout=SECONDS).metadata.uid)


@dataclass(frozen=True)
class ClusterReader:
    """One existing cluster: questions to its API server. What is not there is None.

    Attributes:
        stacks: the stack, by its whole name and by those that it had before.
    """

    stacks: frozenset[str]
    core: client.CoreV1Api
    apps: client.AppsV1Api
    version: client.VersionApi
    storage: client.StorageV1Api
    custom: client.CustomObjectsApi

    @classmethod
    def of(cls, api: ApiClient, stacks: frozenset[str]) -> Self:
        """Return the cluster that a client is of."""
        return cls(
            stacks,
            client.CoreV1Api(api),
            client.AppsV1Api(api),
            client.VersionApi(api),
            client.StorageV1Api(api),
            client.CustomObjectsApi(api),
        )

    def kubernetes_version(self) -> tuple[int, int]:
        """Return major and minor version."""
        code = self.version.get_code(_request_timeout=SECONDS)
        return int(code.major), int(code.minor.rstrip("+"))

    def _read(self, kind: str, *name: str) -> Any:  # noqa: ANN401 — the client has no types
        return answer_or_none(getattr(self.core, f"read_{kind}"), *name, _request_timeout=SECONDS)

    def _read_if_allowed(self, ask: Callable[..., Any], *place: str, **options: str) -> Any:  # noqa: ANN401
        """Return what is asked for; None also where it may not be read."""
        return answer_or_none(ask, *place, none=(403, 404), _request_timeout=SECONDS, **options)

    def namespace_labels(self, name: str) -> dict[str, str] | None:
        """Return a namespace's labels."""
        found = self._read("namespace", name)
        return None if found is None else dict(found.metadata.labels or {})

    def is_foreign(self, kind: str, *name: str) -> bool:
        """Tell whether an object is there that the stack has not made: taken over, it would go with `destroy`."""
        found = self._read(kind, *name)
        return found is not None and self._is_foreign(self.core.api_client.sanitize_for_serialization(found.metadata))

    def _is_foreign(self, metadata: Mapping[str, Any]) -> bool:
        """Tell whether an object is somebody else's. One of Pulumi's that names no stack may be of dcmesh 0.1.0."""
        if any(is_of_stack(metadata, stack) for stack in self.stacks):
            return False
        by_pulumi = _by_pulumi(entry.get("manager") for entry in metadata.get("managedFields", ()))
        return not by_pulumi or MADE_BY in metadata.get("annotations", {})

    def has_foreign_sidecar(self, namespace: str) -> bool:
        """Tell whether a namespace has a Sidecar `default` that the stack has not made."""
        place = ("networking.istio.io", "v1", namespace, "sidecars", "default")
        found = self._read_if_allowed(self.custom.get_namespaced_custom_object, *place)
        return found is not None and self._is_foreign(found["metadata"])

    def foreign_entries(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Return each ServiceEntry that the stack has not made: its namespace and name, and the entry."""
        place = ("networking.istio.io", "v1", "serviceentries")
        found = self._read_if_allowed(self.custom.list_cluster_custom_object, *place)
        entries = ((entry["metadata"], entry) for entry in (found["items"] if found else ()))
        return [(f"{of['namespace']}/{of['name']}", entry) for of, entry in entries if self._is_foreign(of)]

    def foreign_policies(self) -> list[Mapping[str, Any]]:
        """Return each AuthorizationPolicy that the stack has not made."""
        place = ("security.istio.io", "v1", "authorizationpolicies")
        found = self._read_if_allowed(self.custom.list_cluster_custom_object, *place)
        return [policy for policy in (found["items"] if found else ()) if self._is_foreign(policy["metadata"])]

    def network_policies(self, namespace: str) -> list[Mapping[str, Any]]:
        """Return the NetworkPolicies of a namespace."""
        ask = client.NetworkingV1Api(self.core.api_client).list_namespaced_network_policy
        found = self._read_if_allowed(ask, namespace)
        shown: list[Mapping[str, Any]] = self.core.api_client.sanitize_for_serialization(found.items if found else [])
        return shown

    def pod_labels(self, namespace: str) -> list[Mapping[str, str]]:
        """Return the labels of each pod of a namespace."""
        found = self._read_if_allowed(self.core.list_namespaced_pod, namespace)
        return [pod.metadata.labels or {} for pod in (found.items if found else ())]

    def held_in(self, namespace: str, *, but: Mapping[str, str]) -> str:
        """Return a pod or volume of a namespace, in words; empty if it has none, but for pods with these labels."""
        pods = self._read_if_allowed(self.core.list_namespaced_pod, namespace)
        for pod in pods.items if pods else ():
            if not but.items() <= (pod.metadata.labels or {}).items():
                return f"the pod {pod.metadata.name}"
        claims = self._read_if_allowed(self.core.list_namespaced_persistent_volume_claim, namespace)
        return f"the PersistentVolumeClaim {claims.items[0].metadata.name}" if claims and claims.items else ""

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
        """Tell whether an istiod of any revision is there, which takes its certificate from that Secret."""
        ask = self.apps.list_namespaced_deployment
        found = self._read_if_allowed(ask, ISTIO_NAMESPACE, label_selector="app=istiod")
        return found is not None and bool(found.items)

    def mesh_roots(self) -> Certificates:
        """Return the roots that the mesh trusts; none if there is no mesh yet."""
        found = self._read("namespaced_config_map", "istio-ca-root-cert", ISTIO_NAMESPACE)
        return [] if found is None else read_pem(found.data.get("root-cert.pem", ""))

    def mesh_config(self, revision: str) -> dict[str, Any] | None:
        """Return the mesh configuration of the istiod of that revision."""
        return mesh_config(self.core.api_client, revision)

    def revision_tags(self) -> dict[str, str]:
        """Return by tag the revision to which it leads; none if they may not be read."""
        ask = client.AdmissionregistrationV1Api(self.core.api_client).list_mutating_webhook_configuration
        found = self._read_if_allowed(ask, label_selector="istio.io/tag")
        labels = (of.metadata.labels or {} for of in (found.items if found else ()))
        return {of["istio.io/tag"]: of.get("istio.io/rev", "") for of in labels if "istio.io/tag" in of}

    def istiod_version(self, revision: str) -> str | None:
        """Return the version of the istiod of that revision; None if there is none or it cannot be told."""
        ask = self.apps.read_namespaced_deployment
        found = self._read_if_allowed(ask, of_revision("istiod", revision), ISTIO_NAMESPACE)
        if found is None:
            return None
        images = (c.image.partition("@")[0] for c in found.spec.template.spec.containers if c.name == "discovery")
        tags = (image.rpartition(":")[2] for image in images)
        # The label is the chart's version. What runs is told by the image's tag, unless that is a name.
        labelled = (found.metadata.labels or {}).get("app.kubernetes.io/version", "")
        return next((text for text in (*tags, labelled) if text.startswith("1.") and support.minor_of(text)), None)

    def claim(self, namespace: str, name: str) -> tuple[str, str | None] | None:
        """Return the size that a claim asks for, and its StorageClass."""
        found = self._read("namespaced_persistent_volume_claim", name, namespace)
        return None if found is None else (found.spec.resources.requests["storage"], found.spec.storage_class_name)

    def can_grow(self, storage_class: str | None) -> bool:
        """Tell whether the volumes of a StorageClass can grow. One that may not be read is taken to let them."""
        if not storage_class:
            return False
        try:
            found = self.storage.read_storage_class(storage_class, _request_timeout=SECONDS)
        except ApiException as error:
            if error.status in (403, 404):
                return bool(error.status == 403)
            raise
        return bool(found.allow_volume_expansion)

    def networks(self) -> Iterator[tuple[str, ipaddress.IPv4Network]]:
        """Yield the IPv4 networks that can be known: what each is, and its range."""
        for node in self.core.list_node(_request_timeout=SECONDS).items:
            for address in node.status.addresses or []:
                if address.type in ("InternalIP", "ExternalIP") and ":" not in address.address:
                    yield f"the address of node {node.metadata.name}", ipaddress.IPv4Network(address.address)
            if node.spec.pod_cidr and ":" not in node.spec.pod_cidr:
                yield f"the pod range of node {node.metadata.name}", ipaddress.IPv4Network(node.spec.pod_cidr)
        service = self._read("namespaced_service", "kubernetes", "default")
        if service is not None and ":" not in service.spec.cluster_ip:
            yield "the address of Service default/kubernetes", ipaddress.IPv4Network(service.spec.cluster_ip)


def _by_pulumi(managers: Iterable[str | None]) -> bool:
    """Tell whether Pulumi is among those that have written an object's fields."""
    return any((manager or "").startswith("pulumi") for manager in managers)
