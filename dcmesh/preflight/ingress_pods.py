"""The pods of an export whose TLS ends at ingress ports, and the cluster that is asked for them."""

from collections.abc import Sequence
from dataclasses import dataclass

from dcmesh.kube.pods import read
from dcmesh.model import settings as model
from dcmesh.model.istio_objects import Object, annotations, labels, name_of, selects, whole
from dcmesh.model.link import ExportedService
from dcmesh.model.object_names import ingress_name
from dcmesh.preflight.gateway_exports import Cluster
from dcmesh.preflight.mesh import injecting

USE_GATEWAY = "use `termination: gateway`, which leaves the pods as they are"
"""What to do with pods that are in the mesh for another reason than dcmesh."""


@dataclass(frozen=True, kw_only=True)
class Pods:
    """The pods of an export, and all that applies to them.

    Attributes:
        cluster: where they are.
        export: the export.
        exported: the same, as the link has it.
        out: what their sidecars may take out, as CIDR; empty for nothing.
        revision: the revision of an existing istiod; empty if dcmesh installs it.
        home: their namespace.
        template: the template of their StatefulSet.
        found: the pods.
    """

    cluster: Cluster
    export: model.IngressExport
    exported: ExportedService
    out: str
    revision: str
    home: Object
    template: Object
    found: Sequence[Object]

    @property
    def ports(self) -> set[str]:
        """Their ingress ports."""
        return {str(port) for port in self.export.ingress_ports.values()}

    @property
    def ours(self) -> set[str]:
        """Namespaces and names of dcmesh's own objects for them."""
        own = f"{self.export.namespace}/{ingress_name(self.exported)}"
        return {own, f"{own}-allowed", *(f"{own}.{service}" for service in self.export.all_services)}

    @property
    def injected(self) -> bool:
        """Whether a pod that starts now gets a sidecar."""
        wish = labels(self.template).get("sidecar.istio.io/inject") or annotations(self.template).get(
            "sidecar.istio.io/inject"
        )
        return wish == "true" if wish else injecting(labels(self.home)) is not None

    def listed(self, path: str) -> list[Object]:
        """Return the objects of a list; none if the cluster has no such list.

        Raises:
            ApiException: they may not be read.
        """
        return [*map(whole, (read(self.cluster.allowed.api, path) or {}).get("items", []))]

    def others(self, group: str, plural: str) -> list[Object]:
        """Return the objects of a kind of Istio's that are not the export's own."""
        return [of for of in self.listed(f"/apis/{group}.istio.io/v1/{plural}") if name_of(of) not in self.ours]


def pods_of(
    cluster: Cluster, istio: model.Istio, site: model.Site, export: model.IngressExport, exported: ExportedService
) -> Pods:
    """Return the pods of an export.

    Raises:
        ApiException: they may not be read. Pods that cannot be seen must not count as no pods.
    """
    namespace, api = f"/api/v1/namespaces/{export.namespace}", cluster.allowed.api
    found = (read(api, f"{namespace}/pods") or {}).get("items", [])
    place = f"/apis/apps/v1/namespaces/{export.namespace}/statefulsets/{export.stateful_set_name}"
    template = (read(api, place) or {}).get("spec", {}).get("template") or {}
    return Pods(
        cluster=cluster,
        export=export,
        exported=exported,
        out=site.vip_range if site.imports_by_sidecar(export.namespace) else "",
        revision=istio.existing.revision if istio.existing else "",
        home=read(api, namespace) or {"metadata": {}},
        template={"metadata": {}, **template},
        found=[pod for pod in found if selects(export.selector, labels(pod))],
    )
