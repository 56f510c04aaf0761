"""The mesh: whether the settings of Istio and of trust fit together, and fit the stack's sites."""

from collections.abc import Iterator, Mapping

from dcmesh.config.checks.configuration import Configuration
from dcmesh.config.errors import NOTHING, Finding
from dcmesh.config.provided_certificates import certificate_findings
from dcmesh.model import support
from dcmesh.model.settings import ExistingTrust, GeneratedTrust, Istio, ProvidedTrust, StackTrust


def existing_istio(configuration: Configuration) -> Iterator[Finding]:
    """Find settings that have no effect on an Istio that somebody else installed."""
    istio = configuration.settings.istio
    for key, value in _of_our_own(istio).items() if istio.existing else ():
        advice = "has no effect beside `existing`, whose istiod dcmesh leaves as it is: remove one of the two"
        yield Finding(f"istio.{key}", value, advice, given=("istio.existing",))


def _of_our_own(istio: Istio) -> Mapping[str, object]:
    """Return the settings that only apply to an istiod that dcmesh installs."""
    given = {key: getattr(istio, key) for key in ("replicas", "egress", "hub", "tag") if key in istio.model_fields_set}
    charts = {"values.base": istio.values.base, "values.istiod": istio.values.istiod}
    return given | {key: values for key, values in charts.items() if values}


def tag_of_another_version(configuration: Configuration) -> Iterator[Finding]:
    """Find images of another minor version than the charts: the mesh would be a mixture."""
    istio = configuration.settings.istio
    tagged = support.minor_of(istio.tag or "")
    # A tag can be any name. It counts as a version of Istio if it begins like one.
    if tagged and tagged[0] == 1 and tagged != support.minor_of(istio.version):
        advice = f"is not of version {istio.version}: set both to the same minor version"
        yield Finding("istio.tag", istio.tag, advice, given=("istio.version",))


def existing_in_new_clusters(configuration: Configuration) -> Iterator[Finding]:
    """Find settings for existing things in clusters that the program creates."""
    for _, site in configuration.sites:
        if site.made_by is None:
            continue
        advice = f"is for clusters that are there already, and {site.name} is made by {site.made_by}: remove it"
        if isinstance(configuration.settings.trust, ExistingTrust):
            yield Finding("trust.source", "existing", advice)
        if existing := configuration.settings.istio.existing:
            yield Finding("istio.existing", existing.revision, advice)
        if configuration.settings.pxc.existing:
            yield Finding("pxc.existing", True, advice)


def provided_once(configuration: Configuration) -> Iterator[Finding]:
    """Find a provided intermediate for several sites: each needs its own."""
    if isinstance(configuration.settings.trust, ProvidedTrust) and len(configuration.sites) > 1:
        advice = "is the intermediate of one site, and the stack has more: use a stack for each site"
        yield Finding("trust.source", "provided", advice)


def own_keys(configuration: Configuration) -> Iterator[Finding]:
    """Find a site's own key in a stack of several, and requests of sites that get no intermediate here."""
    match configuration.settings.trust:
        case StackTrust(own_key=number) if number and len(configuration.sites) > 1:
            advice = "is the key of one site, and the stack has more: use a stack for each site"
            yield Finding("trust.ownKey", number, advice)
        case GeneratedTrust(requests=requests, issue_for=sites):
            for site in requests.keys() - {*sites}:
                advice = f"asks for {site}, which is none of `issueFor`: add it there"
                yield Finding(f"trust.requests.{site}", requests[site], advice)


def provided_certificates(configuration: Configuration) -> Iterator[Finding]:
    """Find what is wrong with provided certificates."""
    if isinstance(configuration.settings.trust, ProvidedTrust):
        yield from certificate_findings(configuration.settings.trust)


def short_root(configuration: Configuration) -> Iterator[Finding]:
    """Find intermediates that would outlive their root."""
    trust = configuration.settings.trust
    if isinstance(trust, GeneratedTrust) and trust.intermediate_validity_years > trust.root_validity_years:
        advice = f"is longer than the root is valid, which is {trust.root_validity_years}: lower it"
        yield Finding("trust.intermediateValidityYears", trust.intermediate_validity_years, advice, given=("trust",))


def nothing_to_do(configuration: Configuration) -> Iterator[Finding]:
    """Find a stack with neither sites nor anything to issue."""
    trust = configuration.settings.trust
    if not configuration.sites and not (isinstance(trust, GeneratedTrust) and trust.issue_for):
        advice = "is missing: name the sites of this stack, or, if it is to hold the root alone, `trust.issueFor`"
        yield Finding("sites", NOTHING, advice, given=("sites", "trust", "trust.issueFor"))
