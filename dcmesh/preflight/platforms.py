"""Clusters in which a link cannot work as it is configured, whatever is done in them: docs/support.md."""

from collections.abc import Iterator

from dcmesh.config.errors import Finding, Remark
from dcmesh.kube.cluster_reader import ClusterReader
from dcmesh.model import settings as model
from dcmesh.model.istio import ISTIO_NAMESPACE
from dcmesh.sites_in_state import SiteInState

GROUP = "/apis/mesh.cloud.google.com"
"""By what Google's mesh is known, as far as everybody may ask. It may be one in the cluster, or be switched off."""

MANAGED = f"{GROUP}/v1beta1/namespaces/{ISTIO_NAMESPACE}/controlplanerevisions"
"""By what its managed one is."""


def managed_mesh(cluster: ClusterReader, path: str, named: str, known: SiteInState | None) -> Iterator[Finding]:
    """Find Google's managed mesh: it takes no EnvoyFilter and no intermediate, and no Istio beside it."""
    if cluster.allowed.read(GROUP) and cluster.allowed.list(MANAGED):
        advice = (
            "has Google's managed Cloud Service Mesh, which takes no EnvoyFilter and no Secret cacerts, and no other "
            "Istio in its cluster: use a cluster without it (docs/support.md)"
        )
        yield _if_new(known)(path, named, advice)


def ipv6_alone(cluster: ClusterReader, site: model.Site, path: str, known: SiteInState | None) -> Iterator[Finding]:
    """Find what needs IPv4 where pods have IPv6 alone."""
    if all(imported.by_gateway for imported in site.imports) or (ipv4 := cluster.pods_have_ipv4()):
        return
    maybe, told = ("may ", Remark) if ipv4 is None else ("", _if_new(known))
    advice = (
        f"is a range of IPv4, and the pods of {site.name} {maybe}have IPv6 alone: they would not reach a virtual "
        "address. Import by `egress: gateway` (docs/support.md)"
    )
    yield told(f"{path}.vipRange", site.vip_range, advice)


def _if_new(known: SiteInState | None) -> type[Finding]:
    """Return how to tell it: a site that is there goes on."""
    return Remark if known else Finding
