"""Names of an existing istiod. A bound intermediate must be able to sign them, or no proxy would trust istiod."""

from collections.abc import Iterator

from dcmesh.config.errors import Finding
from dcmesh.kube.cluster_reader import ClusterReader
from dcmesh.model import settings as model
from dcmesh.model.istio import TRUST_DOMAIN
from dcmesh.model.name_constraints import SERVICES


def not_signed(cluster: ClusterReader, settings: model.Settings, site: model.Site, path: str) -> Iterator[Finding]:
    """Find names of an existing istiod that an intermediate bound by dcmesh may not sign."""
    existing, issued = settings.istio.existing, isinstance(settings.trust, model.GeneratedTrust | model.StackTrust)
    if existing is None or site.trust_domain == TRUST_DOMAIN or not issued:
        return
    mesh = cluster.mesh_config(existing.revision) or {}
    address = str((mesh.get("defaultConfig") or {}).get("discoveryAddress") or "").partition(":")[0]
    for name in dict.fromkeys(filter(None, (address, *cluster.istiod_hosts(existing.revision)))):
        if not name.endswith(f".{SERVICES}"):
            advice = (
                f"has dcmesh bind the intermediate to it and to names below {SERVICES}, and istiod in {site.name} is "
                f"also {name}: lead its proxies to a name below {SERVICES}, or use `trust.source: provided` with an "
                "intermediate that may sign for it"
            )
            yield Finding(f"{path}.trustDomain", site.trust_domain, advice)
