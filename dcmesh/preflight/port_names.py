"""Names of ports: a container's port of the same name as an export's would be where the gateway leads."""

from collections.abc import Iterator, Sequence

from dcmesh.config.errors import Finding
from dcmesh.kube.pods import has_ended
from dcmesh.kube.read_rights import Allowed
from dcmesh.model import settings as model
from dcmesh.model.istio_objects import Object, labels, misled_to
from dcmesh.model.link import POD_NAME, pod_of, port_names
from dcmesh.model.plan import SitePlan
from dcmesh.preflight.hosts import exported_name, new_or_there
from dcmesh.preflight.parallel import each
from dcmesh.sites_in_state import SiteInState


def taken(
    allowed: Allowed, site: model.Site, path: str, plan: SitePlan, known: SiteInState | None
) -> Iterator[Finding]:
    """Find exports of pods that are there, of which a container calls another port as Istio's objects the export's.

    A Service as a whole is not led by such names, and those of ingress ports are too long for a container's.

    Args:
        allowed: the cluster.
        site: the site's part of the configuration.
        path: its place there.
        plan: its part of the plan.
        known: what the stack's state has of it.
    """
    made = {workload.namespace for workload in site.workloads}

    def look(numbered: tuple[int, model.Export]) -> Iterator[Finding]:
        index, export = numbered
        whole = isinstance(export, model.GatewayExport) and export.whole
        if export.namespace in made or whole or isinstance(export, model.IngressExport):
            return
        exported = plan.exports[index]
        told, pods = new_or_there(known, exported_name(plan, exported)), _pods(allowed, export)
        several = isinstance(export, model.GatewayExport) and export.ports
        for number, (port, name) in enumerate(port_names(exported).items()):
            led = ((what, misled_to(pod, name, port)) for what, pod in pods)
            if found := next(((what, other) for what, other in led if other), None):
                what, other = found
                advice = (
                    f"would be led to port {other} of {what} in {site.name}: a container calls that `{name}`, as "
                    f"Istio's objects call port {port}, and Istio goes by the name. Give the container's port another "
                    "name, in the template of the pods, and have them start anew"
                )
                key = f"ports[{number}].port" if several else "port"
                yield told(f"{path}.exports[{index}].{key}", port, advice)

    yield from each(enumerate(site.exports), look)


def _pods(allowed: Allowed, export: model.PodExport | model.GatewayExport) -> Sequence[tuple[str, Object]]:
    """Return the export's pods, and the template by which the next of them are made, each with what it is."""
    there = f"namespaces/{export.namespace}"
    found = (allowed.read(f"/api/v1/{there}/pods") or {}).get("items", [])
    label = export.pod_label if isinstance(export, model.GatewayExport) else POD_NAME
    names = set(map(pod_of, export.hosts))
    chosen = [pod for pod in found if labels(pod).get(label) in names and not has_ended(pod)]
    pods = [(f"pod {export.namespace}/{pod['metadata']['name']}", pod) for pod in chosen]
    if isinstance(export, model.GatewayExport) and export.pods:
        return pods
    name = export.stateful_set_name
    stateful_set = allowed.read(f"/apis/apps/v1/{there}/statefulsets/{name}") or {"spec": {}}
    template = stateful_set["spec"].get("template")
    return [*pods, *([(f"the pods of StatefulSet {export.namespace}/{name}", template)] if template else [])]
