"""Exports: whether the gateway leads to their pods' own ports, and ingress ports are guarded as they should be."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from dcmesh.kube.api import ERRORS, ApiClient, why
from dcmesh.kube.pods import has_ended, read
from dcmesh.model.facts import Fact, State
from dcmesh.model.ingress_port import TAKES_PART, guard
from dcmesh.model.istio_objects import labels, misled_to
from dcmesh.model.link import Termination, is_whole, pod_of
from dcmesh.model.object_names import ingress_name
from dcmesh.sites_in_outputs import DeployedExport, DeployedSite


@dataclass(frozen=True, kw_only=True)
class Consumer:
    """Who may connect to an export.

    Attributes:
        site: the site.
        account: namespace and service account there.
    """

    site: str
    account: str


@dataclass(frozen=True, kw_only=True)
class Export(Fact):
    """A port of an export, at its own site.

    Attributes:
        name: the export's name.
        namespace: the namespace of its pods.
        hosts: its hosts.
        port: the port.
        termination: where the consumers' TLS ends.
        consumers: who may connect.
        wrong: what is wrong with it, each on one line.
    """

    name: str
    namespace: str
    hosts: tuple[str, ...]
    port: int
    termination: Termination
    consumers: tuple[Consumer, ...]
    wrong: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """What problems begin with."""
        return f"{self.site} export {self.name}:{self.port}"

    def judge(self) -> Iterator[tuple[State, str]]:
        """Yield what is wrong."""
        for line in self.wrong:
            yield State.CRITICAL, line


def ask_exports(clients: Callable[[], ApiClient], site: DeployedSite) -> list[Export]:
    """Ask a cluster for what of the site's exports no importer can see."""
    return [_asked(clients, site.name, export) for export in site.exports]


def _asked(clients: Callable[[], ApiClient], site: str, export: DeployedExport) -> Export:
    of = partial(
        Export,
        site=site,
        name=export.name,
        namespace=export.namespace,
        hosts=export.hosts,
        port=export.port,
        termination=export.termination,
        consumers=tuple(Consumer(site=of.site, account=str(of.account)) for of in export.consumers),
    )
    try:
        with clients() as api:
            look = _unguarded if export.ingress else _misled
            return of(wrong=tuple(look(export, partial(read, api))))
    except ERRORS as error:
        return of(unknown=why(error))


def _unguarded(export: DeployedExport, get: Callable[[str], Any]) -> Iterator[str]:
    namespace, name = export.namespace, ingress_name(export)
    # Who only looks may list them: examples/permissions/status.yaml.
    filters = get(f"/apis/networking.istio.io/v1alpha3/namespaces/{namespace}/envoyfilters") or {}
    found = next((of for of in filters.get("items", ()) if of["metadata"]["name"] == name), None)
    again = "run `pulumi up --refresh`"
    if found is None:
        yield f"its EnvoyFilter {namespace}/{name} is gone, so the ingress port is closed to everybody: {again}"
    elif found.get("spec") != guard(export, export.ingress_ports, {TAKES_PART: export.name}):
        yield (
            f"its EnvoyFilter {namespace}/{name} is not as dcmesh makes it, so others than the consumers may get in: "
            f"{again}; if that changes nothing, delete it first"
        )


def _misled(export: DeployedExport, get: Callable[[str], Any]) -> Iterator[str]:
    names = {pod_of(host) for host in export.hosts if not is_whole(host)}
    pods = get(f"/api/v1/namespaces/{export.namespace}/pods") if names else None
    for pod in (pods or {}).get("items", ()):
        exported = labels(pod).get(export.pod_label) in names and not has_ended(pod)
        if exported and (other := misled_to(pod, export.entry_port, export.port)):
            yield (
                f"is led to port {other} of pod {export.namespace}/{pod['metadata']['name']}, which a container calls "
                f"`{export.entry_port}`: give that port another name in the pods' template"
            )
