"""The Secret `cacerts`: whether it is as it was said to be, and may be replaced."""

from collections.abc import Iterator, Mapping

from dcmesh.config.environment import Environment
from dcmesh.config.errors import Finding
from dcmesh.kube.cluster import ClusterReader
from dcmesh.model import settings as model
from dcmesh.model.certificates import Certificates, read_pem, trusts
from dcmesh.model.istio import ISTIO_NAMESPACE
from dcmesh.model.ownership import OURS

CACERTS_KEYS = {"ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"}


def cacerts(
    cluster: ClusterReader, settings: model.Settings, site: model.Site, environment: Environment | None
) -> Iterator[Finding]:
    """Find a Secret that is not as it was said to be, or which must not be replaced, or not appear in a mesh.

    Without an environment the stack was never in this cluster, whatever its outputs say.
    """
    trust, path, there = settings.trust, "trust.source", cluster.cacerts()
    if isinstance(trust, model.ExistingTrust):
        if there is None:
            advice = f"says that {site.name} has the Secret {ISTIO_NAMESPACE}/cacerts, which is not there: create it"
            yield Finding(path, trust.source, advice)
        elif lacking := CACERTS_KEYS - there[0]:
            yield Finding(path, trust.source, f"names a Secret of {site.name} that lacks {', '.join(sorted(lacking))}")
    elif (there and OURS.items() <= there[1].items()) or (environment and site.name in _certified(environment)):
        return
    elif there:
        ((key, value),) = OURS.items()
        label = f"`kubectl label secret cacerts --namespace {ISTIO_NAMESPACE} {key}={value}`"
        advice = f"would replace the Secret {ISTIO_NAMESPACE}/cacerts of {site.name}, which dcmesh has not made: set "
        yield Finding(path, trust.source, f"{advice}`existing`, or hand the Secret over to dcmesh by {label}")
    elif (settings.istio.existing or cluster.has_istiod()) and not _continues(trust, cluster.mesh_roots()):
        advice = (
            f"would give {site.name} the Secret {ISTIO_NAMESPACE}/cacerts, which its Istio has not: at istiod's next "
            "start its whole mesh would change roots. Set `existing`, with a Secret that you make, or `provided`, with "
            "an intermediate under the present root (docs/production.md)"
        )
        yield Finding(path, trust.source, advice)


def _certified(environment: Environment) -> Mapping[str, object]:
    """Return the sites that the stack has given certificates: a Secret that 0.1.0 made has no label."""
    found: Mapping[str, object] = environment.own_outputs().get("certificates", {})
    return found


def _continues(trust: model.Trust, roots: Certificates) -> bool:
    """Tell whether a mesh goes on to trust the roots that it has, of which one issues."""
    if not isinstance(trust, model.ProvidedTrust):
        return False
    return trusts(roots, read_pem(trust.cert_chain)) and set(roots) <= set(read_pem(trust.root_cert))
