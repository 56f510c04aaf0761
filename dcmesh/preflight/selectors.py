"""Selectors: whether an export's selector finds exactly the pods of the workload."""

from collections.abc import Iterator, Sequence

from dcmesh.config.errors import Finding
from dcmesh.kube.pods import has_ended
from dcmesh.kube.read_rights import Allowed
from dcmesh.model import settings as model
from dcmesh.model.istio_objects import Object, labels, selects
from dcmesh.model.link import POD_NAME, pod_of
from dcmesh.model.plan import SitePlan
from dcmesh.preflight.hosts import exported_name, new_or_there
from dcmesh.preflight.parallel import each
from dcmesh.sites_in_state import SiteInState


def misled(
    allowed: Allowed, site: model.Site, path: str, plan: SitePlan, known: SiteInState | None
) -> Iterator[Finding]:
    """Find exports whose selector also finds other pods, or misses some.

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
        if export.namespace in made:
            return
        told = new_or_there(known, exported_name(plan, plan.exports[index]))
        found = allowed.read(f"/api/v1/namespaces/{export.namespace}/pods")
        if found is None:
            return
        pods = [pod for pod in found["items"] if _lives(pod)]
        if not isinstance(export, model.GatewayExport):
            for advice in _by_labels(export, pods, site.name):
                yield told(f"{path}.exports[{index}].selector", _shown(export.selector), advice)
        elif export.pods:
            for number, name, advice in _by_label(export, pods, site.name):
                yield told(f"{path}.exports[{index}].pods[{number}]", name, advice)
        elif not export.whole:
            for advice in _by_name(export, pods, site.name):
                yield told(f"{path}.exports[{index}].statefulSet", export.stateful_set_name, advice)

    yield from each(enumerate(site.exports), look)


def _by_labels(export: model.PodExport | model.IngressExport, pods: Sequence[Object], site: str) -> Iterator[str]:
    """Yield what is wrong with labels that must be on all pods of a StatefulSet, and on no others."""
    own = {name for pod in pods if _owner(pod) == ("StatefulSet", export.stateful_set_name) for name in [_name(pod)]}
    chosen = {_name(pod) for pod in pods if selects(export.selector, labels(pod))}
    if others := sorted(chosen - own):
        yield (
            f"are labels of {' '.join(others)} too, in namespace {export.namespace} of {site}: the export's policies "
            f"would hold for them. Take labels that the pods of StatefulSet {export.stateful_set_name} alone have"
        )
    if left_out := sorted(own - chosen):
        yield (
            f"are not labels of {' '.join(left_out)}, in namespace {export.namespace} of {site}: no policy of the "
            f"export would guard them. Take labels that all pods of StatefulSet {export.stateful_set_name} have"
        )


def _by_label(export: model.GatewayExport, pods: Sequence[Object], site: str) -> Iterator[tuple[int, str, str]]:
    """Yield which of the named pods have no pod with their label, or several: number, name and advice."""
    for number, name in enumerate(export.pods):
        found = sorted(_name(pod) for pod in pods if labels(pod).get(export.pod_label) == name)
        if len(found) != 1:
            there = f"of {len(found)} pods, {' '.join(found)}," if found else "of no pod"
            advice = (
                f"is the value of the label {export.pod_label} {there} in namespace {export.namespace} of {site}, and "
                "must be one pod's alone: name others, or use another `podLabel`"
            )
            yield number, name, advice


def _by_name(export: model.GatewayExport, pods: Sequence[Object], site: str) -> Iterator[str]:
    """Yield pods that have the label of another pod: the gateway would lead to them as well."""
    for host in export.hosts:
        wanted = pod_of(host)
        found = sorted(_name(pod) for pod in pods if labels(pod).get(POD_NAME) == wanted)
        for other in found:
            if other != wanted:
                yield (
                    f"has the pod {wanted}, and pod {export.namespace}/{other} of {site} has its label too: the "
                    f"gateway would lead to both. Take it off: `kubectl label pod -n {export.namespace} {other} "
                    f"{POD_NAME}-`"
                )
        if wanted not in found and wanted in map(_name, pods):
            yield (
                f"has the pod {wanted} without the label {POD_NAME}={wanted}, by which the gateway knows it: put the "
                "label back, as Kubernetes had set it"
            )


def _lives(pod: Object) -> bool:
    """Tell whether a pod has the label that it should have. A pod that is being deleted counts as having it."""
    return not has_ended(pod)


def _name(pod: Object) -> str:
    return str(pod["metadata"]["name"])


def _owner(pod: Object) -> tuple[str, str]:
    """Return kind and name of what controls a pod; empty if nothing does."""
    owners = (of for of in pod["metadata"].get("ownerReferences", ()) if of.get("controller"))
    return next(((of["kind"], of["name"]) for of in owners), ("", ""))


def _shown(selector: dict[str, str]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in selector.items())
