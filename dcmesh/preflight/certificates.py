"""The Secret `cacerts`: whether it is what the configuration says, and whether it may be replaced."""

from collections.abc import Iterator, Mapping

from dcmesh.config.environment import Environment
from dcmesh.config.errors import Finding, Remark
from dcmesh.kube.cluster_reader import ClusterReader
from dcmesh.model import settings as model
from dcmesh.model.cacerts import layout_of, pem_of
from dcmesh.model.certificates import Bundle, Certificates, read_pem, trusts
from dcmesh.model.istio import ISTIO_NAMESPACE, TRUST_DOMAIN
from dcmesh.model.name_constraints import signs_alone
from dcmesh.model.ownership_marks import OURS


def cacerts(
    cluster: ClusterReader, settings: model.Settings, site: model.Site, environment: Environment | None
) -> Iterator[Finding]:
    """Find a Secret that is not what the configuration says, or that must not be replaced or created.

    Without an environment the stack has never been in this cluster, whatever its outputs say.
    """
    trust, path, there = settings.trust, "trust.source", cluster.cacerts()
    if isinstance(trust, model.ExistingTrust):
        if there is None:
            advice = f"says that {site.name} has the Secret {ISTIO_NAMESPACE}/cacerts, which does not exist: create it"
            yield Finding(path, trust.source, advice)
        elif lacking := (layout := layout_of(there[0])).keys - there[0].keys():
            yield Finding(path, trust.source, f"names a Secret of {site.name} that lacks {', '.join(sorted(lacking))}")
        else:
            yield from unbound(trust, site, pem_of(there[0], layout.chain))
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


def given_unbound(trust: model.Trust, site: model.Site, environment: Environment) -> Iterator[Remark]:
    """Find an intermediate that may also sign for other sites. The user gave it, or another stack did."""
    if site.trust_domain == TRUST_DOMAIN:
        return
    match trust:
        case model.ProvidedTrust(cert_chain=chain):
            yield from unbound(trust, site, chain)
        case model.StackTrust(stack=stack):
            try:
                told = environment.read_stack(stack).get("intermediates", {})
            except LookupError:
                return  # this is reported where the intermediate is needed
            issued = Bundle.told(told.get(site.name) if isinstance(told, Mapping) else None)
            yield from unbound(trust, site, issued.chain if issued else "")


def unbound(trust: model.Trust, site: model.Site, chain: str) -> Iterator[Remark]:
    """Find a chain that may also sign for other sites. Sites that share one trust domain cannot be told apart."""
    try:
        found = read_pem(chain)
    except ValueError:
        return  # this is reported elsewhere, or by istiod
    if site.trust_domain != TRUST_DOMAIN and found and not signs_alone(found, site.trust_domain):
        advice = (
            f"gives {site.name} an intermediate whose name constraints do not bind it to {site.trust_domain}: whoever "
            'steals its key can sign identities of other sites. See docs/production.md, "A trust domain for each site"'
        )
        yield Remark("trust.source", trust.source, advice)


def _certified(environment: Environment) -> Mapping[str, object]:
    """Return the sites that the stack has given certificates. A Secret that 0.1.0 made has no label to tell."""
    found: Mapping[str, object] = environment.own_outputs().get("certificates", {})
    return found


def _continues(trust: model.Trust, roots: Certificates) -> bool:
    """Tell whether a mesh would still trust all its present roots, and get its certificates under one of them."""
    if not isinstance(trust, model.ProvidedTrust):
        return False
    return trusts(roots, read_pem(trust.cert_chain)) and set(roots) <= set(read_pem(trust.root_cert))
