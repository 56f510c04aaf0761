"""Trust domains: whether each site has one of its own, and whether it is written once."""

from collections.abc import Iterator

from dcmesh.config.checks.configuration import Configuration
from dcmesh.config.errors import Finding
from dcmesh.model.istio import TRUST_DOMAIN
from dcmesh.model.settings import GeneratedTrust, PodExport, Site


def alias_of_itself(configuration: Configuration) -> Iterator[Finding]:
    """Find an alias that is the trust domain itself."""
    for path, site in configuration.sites:
        if site.trust_domain_alias == site.trust_domain:
            yield Finding(f"{path}.trustDomainAlias", site.trust_domain_alias, "is the trust domain itself: remove it")


def told_twice(configuration: Configuration) -> Iterator[Finding]:
    """Find consumers in this stack whose trust domain is given a second time."""
    own = {site.name for _, site in configuration.sites}
    for _, path, export in configuration.exports:
        for index, consumer in enumerate(export.consumers):
            if consumer.trust_domains and consumer.site in own:
                advice = f"are for sites of other stacks, and {consumer.site} has its own `trustDomain`: remove them"
                place = f"{path}.consumers[{index}].trustDomains"
                yield Finding(place, " ".join(consumer.trust_domains), advice)


def shared(configuration: Configuration) -> Iterator[Finding]:
    """Find sites that share a trust domain. All may still have Istio's own, as in stacks of dcmesh 0.1.0."""
    users = list(_users(configuration))
    for path, site in configuration.sites:
        for key, domain in (("trustDomain", site.trust_domain), ("trustDomainAlias", site.trust_domain_alias)):
            others = sorted({other for other, used in users if used == domain and other != site.name})
            if domain != TRUST_DOMAIN and others and not site.shares_trust_domain:
                advice = (
                    f"is that of {', '.join(others)} too, and nobody could tell the pods of the two apart: give each "
                    "site one of its own, or accept it with `sharesTrustDomain: true`"
                )
                yield Finding(f"{path}.{key}", domain, advice)


def _users(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """Yield each site that is known here, with each of its trust domains."""
    for _, site in configuration.sites:
        yield from ((site.name, domain) for domain in site.trust_domains)
    for link in configuration.links.values():
        yield from ((link.site, domain) for export in link.exports for domain in export.trust_domains)
    for _, _, export in configuration.exports:
        yield from ((of.site, domain) for of in export.consumers for domain in of.trust_domains)


def issued(configuration: Configuration) -> Iterator[Finding]:
    """Find trust domains for intermediates that are not issued here, or that two sites would share."""
    trust = configuration.settings.trust
    domains = trust.trust_domains if isinstance(trust, GeneratedTrust) else {}
    for site, domain in domains.items():
        path = f"trust.trustDomains.{site}"
        if isinstance(trust, GeneratedTrust) and site not in trust.issue_for:
            advice = f"is of none of `issueFor`, and a site of this stack has its own: remove {site}"
            yield Finding(path, domain, advice)
        elif domain == TRUST_DOMAIN:
            yield Finding(path, domain, f"is what all sites begin with, and binds none: remove {site}")
        elif others := sorted(other for other, of in domains.items() if of == domain and other != site):
            advice = f"is that of {', '.join(others)} too: give each site one of its own, or remove them here"
            yield Finding(path, domain, advice)


def _shut_out(configuration: Configuration, path: str, site: Site) -> Iterator[Finding]:
    """Find exports whose own callers may have an alias: beside consumers of other trust domains they are refused."""
    for index, export in enumerate(site.exports):
        consumers = {of for one in export.consumers for of in configuration.settings.told(one).account.trust_domains}
        if isinstance(export, PodExport) and consumers != {site.trust_domain}:
            advice = (
                "is of pods whose own callers may be of meshConfig.trustDomainAliases in `istio.values.istiod`, and of "
                "those none would be let in beside consumers of other trust domains: use `termination: gateway`"
            )
            yield Finding(f"{path}.exports[{index}].name", export.name, advice)


def in_values(configuration: Configuration) -> Iterator[Finding]:
    """Find Helm values that give the mesh another trust domain than its site's, or other aliases."""
    given = configuration.settings.istio.values.istiod.get("meshConfig")
    given = given if isinstance(given, dict) else {}
    domain = given.get("trustDomain")
    for path, site in configuration.sites:
        if site.trust_domain_alias and "trustDomainAliases" in given:
            advice = "would be overruled by `istio.values.istiod`: remove meshConfig.trustDomainAliases there"
            yield Finding(f"{path}.trustDomainAlias", site.trust_domain_alias, advice)
        elif given.get("trustDomainAliases"):
            yield from _shut_out(configuration, path, site)
        if domain and site.trust_domain not in (TRUST_DOMAIN, domain):
            advice = f"is not that of `istio.values.istiod`, which is {domain}: remove meshConfig.trustDomain there"
            yield Finding(f"{path}.trustDomain", site.trust_domain, advice)
