"""Names that dcmesh needs and somebody else uses."""

from collections.abc import Iterator

from dcmesh.config.errors import Finding
from dcmesh.kube.cluster_reader import ClusterReader
from dcmesh.model import settings as model
from dcmesh.model.gateway import GATEWAY_NAME
from dcmesh.model.istio import ISTIO_NAMESPACE
from dcmesh.model.object_names import capturing
from dcmesh.model.ownership_marks import OURS
from dcmesh.preflight.parallel import each


def taken(
    cluster: ClusterReader, settings: model.Settings, site: model.Site, path: str, gateway: str
) -> Iterator[Finding]:
    """Find objects that dcmesh is to create under a fixed or configured name, where somebody else's has that name."""
    to_make = [(f"{path}.workloads[{i}].namespace", workload.namespace) for i, workload in enumerate(site.workloads)]
    operator = settings.pxc
    if not operator.existing and any(isinstance(workload, model.Pxc) for workload in site.workloads):
        to_make.append(("pxc.namespace", operator.namespace))
    if site.exports and gateway != ISTIO_NAMESPACE:
        to_make.append((f"{path}.gateway.namespace", gateway))

    for index, imported in enumerate(site.imports):
        if imported.by_gateway and imported.host_namespace:
            at = f"{path}.imports[{index}]"
            to_make += [(f"{at}.namespace", imported.namespace), (f"{at}.hostNamespace", imported.host_namespace)]

    def look(namespace: tuple[str, str]) -> Iterator[Finding]:
        where, name = namespace
        if cluster.is_foreign("namespace", name):
            ((key, value),) = OURS.items()
            goes = (
                "`pulumi destroy`" if ".imports[" not in where else "an `up` without the import, or `pulumi destroy`,"
            )
            label = f"kubectl label namespace {name} {key}={value}"
            advice = (
                f"exists already in {site.name}, and this stack has not made it: name another. If this stack is to "
                f"take it over, and {goes} to delete it with all that is in it: `{label}`"
            )
            yield Finding(where, name, advice)

    yield from each(to_make, look)
    for index, imported in enumerate(site.imports):
        if not (imported.by_gateway or imported.selector) and cluster.has_foreign_sidecar(imported.namespace):
            advice = (
                f"has a Sidecar `default` in {site.name} that this stack has not made: import into a namespace of its "
                "own, or delete that"
            )
            yield Finding(f"{path}.imports[{index}].namespace", imported.namespace, advice)
        for name in (capturing(imported.service_account), capturing("")) if imported.selector else ():
            if cluster.has_foreign_proxy_config(imported.namespace, name):
                advice = (
                    f"has a ProxyConfig {name} in {site.name} that this stack has not made: import into a namespace of "
                    "its own, or delete that"
                )
                yield Finding(f"{path}.imports[{index}].namespace", imported.namespace, advice)
    if site.exports and cluster.is_foreign("namespaced_service", GATEWAY_NAME, gateway):
        advice = (
            f"needs the gateway {gateway}/{GATEWAY_NAME}, and {site.name} has a Service of that name that this "
            "stack has not made: rename that"
        )
        yield Finding(f"{path}.exports[0].name", site.exports[0].name, advice)
