"""Trust: the intermediate of each site, wherever it comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pulumi

from dcmesh.model import settings as model
from dcmesh.model.certificates import SigningBundle
from dcmesh.model.signing_requests import checked
from dcmesh.stacks import read_stack

from ..trust.own_key import OwnKey, OwnKeyArgs
from ..trust.shared_ca import Intermediate, SharedCA, SharedCAArgs, SiteCA, SiteCAArgs, numbered


@dataclass(frozen=True, kw_only=True)
class TrustArgs:
    """Arguments of Trust.

    Attributes:
        trust: the configuration's part.
        sites: names of the stack's sites.
        trust_domains: by site the one of which its intermediate may sign names. Default: of any.
        protect: whether roots are kept from deletion. Default no.
        new: whether no site has anything yet, and may wait for its first intermediate. Default no.
    """

    trust: model.Trust
    sites: Sequence[str]
    trust_domains: Mapping[str, str] = field(default_factory=dict)
    protect: bool = False
    new: bool = False


class Trust(pulumi.ComponentResource):
    """Where the sites' certificates come from.

    Creates, as the configuration says:
        - generated: SharedCA, one for each generation of the root, and a SiteCA for each site of the stack and each
          site that it issues for;
        - stack: an OwnKey, if the site makes its key itself;
        - provided, existing: nothing.
    """

    intermediates: Mapping[str, Intermediate]
    """By site. A site that is not there finds its certificates in its cluster."""
    requests: Mapping[str, pulumi.Output[str]]
    """By site what it asks to have signed, as PEM, if it makes its key itself."""
    waits: bool
    """Whether nothing can be made yet, because no certificate has been signed."""

    def __init__(self, name: str, args: TrustArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:Trust", name, {}, opts)
        self.requests = {}
        self.waits = False
        self.intermediates = self._intermediates(name, args)
        self.register_outputs({})

    def _intermediates(self, name: str, args: TrustArgs) -> Mapping[str, Intermediate]:
        child = pulumi.ResourceOptions(parent=self)
        match args.trust:
            case model.GeneratedTrust() as trust:
                newest = trust.root.generation + (trust.root.next != "none")
                # Those that are gone are kept: this stack sees no cluster, and a step too early must have a way back.
                every = [self._root(name, trust, generation, args.protect) for generation in range(1, newest + 1)]
                roots = every[trust.root.generation - 1 :]
                issuing = roots[-1] if trust.root.next == "issuing" else roots[0]
                numbers = issuing.args.generation, trust.intermediate
                domains = {**args.trust_domains, **trust.trust_domains}
                return {
                    site: SiteCA(
                        numbered(f"{name}.{site}", *numbers, separator="-"),
                        SiteCAArgs(
                            site=site,
                            root=issuing,
                            trusted=roots,
                            number=trust.intermediate,
                            trust_domain=domains.get(site),
                            request=read_request(trust.requests[site], site) if site in trust.requests else None,
                        ),
                        child,
                    ).intermediate
                    for site in (*args.sites, *trust.issue_for)
                }
            case model.StackTrust(stack=stack, own_key=number):
                if number is None:
                    return read_intermediates(stack, args.sites)
                (site,) = args.sites
                own = OwnKey(f"{name}.{site}", OwnKeyArgs(site=site, number=number), child)
                self.requests = {site: own.request}
                found = read_intermediates(stack, args.sites, own, may_wait=args.new)
                self.waits = not found
                return found
            case model.ProvidedTrust() as provided:
                given = SigningBundle.model_validate(provided.model_dump(by_alias=True))
                return dict.fromkeys(args.sites, Intermediate.of(given))
            case model.ExistingTrust():
                return {}

    def _root(self, name: str, trust: model.GeneratedTrust, generation: int, protect: bool) -> SharedCA:
        return SharedCA(
            numbered(f"{name}-root", generation, separator="-"),
            SharedCAArgs(
                organization=trust.organization,
                generation=generation,
                root_validity_years=trust.root_validity_years,
                intermediate_validity_years=trust.intermediate_validity_years,
                protect=protect,
            ),
            pulumi.ResourceOptions(parent=self),
        )


def read_request(stack: str, site: str) -> str:
    """Return what a site asks to have signed, from the output `requests` of its stack.

    Raises:
        pulumi.RunError: there is no such stack, or it has no request, or one that must not be signed.
    """
    try:
        told = read_stack(stack).get("requests")
    except LookupError as error:
        raise pulumi.RunError(f"trust.requests: {stack!r} cannot be read ({error})") from None
    request = told.get(site) if isinstance(told, Mapping) else None
    if not isinstance(request, str):
        raise pulumi.RunError(
            f"trust.requests: {stack!r} asks for nothing for {site}: set its trust.ownKey, and run `pulumi up` there; "
            f"or take {site} out of trust.requests, and out of trust.issueFor if it is gone"
        )
    try:
        return checked(request, site)
    except ValueError as error:
        raise pulumi.RunError(f"trust.requests: what {stack!r} asks to have signed for {site} {error}") from None


def read_intermediates(
    stack: str, sites: Sequence[str], own: OwnKey | None = None, *, may_wait: bool = False
) -> dict[str, Intermediate]:
    """Return the intermediates of these sites from the output `intermediates` of the stack that issues them.

    Not by a StackReference: that resource would bring the keys of all other sites into this stack's state.

    Args:
        stack: that stack.
        sites: the sites.
        own: the key that the site has made itself. Default: it comes with the intermediate.
        may_wait: whether none is returned, if one of them has none yet. Default no.

    Raises:
        pulumi.RunError: there is no such stack, or it issues nothing for one of the sites, or its secrets cannot be
            decrypted here.
    """
    try:
        told = read_stack(stack).get("intermediates")
        told = told if isinstance(told, Mapping) else {}
    except LookupError as error:
        raise pulumi.RunError(
            f"trust.stack: {stack!r} cannot be read ({error}): create and `pulumi up` that stack first"
        ) from None
    issued = {site: bundle for site in sites if (bundle := SigningBundle.told(told.get(site)))}
    missing = [site for site in sites if site not in issued]
    if missing and may_wait:
        return {}
    if missing:
        raise pulumi.RunError(
            f"trust.stack: {stack!r} issues nothing for {', '.join(missing)}: "
            "add what is missing to its trust.issueFor, and run `pulumi up` there first"
        )
    intermediates = {site: Intermediate.of(bundle) for site, bundle in issued.items()}
    without = [site for site, bundle in issued.items() if not bundle.key]
    if own:
        return intermediates | {site: replace(intermediates[site], key=own.of(issued[site].cert)) for site in without}
    # The engine leaves out what it cannot read.
    if without:
        raise pulumi.RunError(
            f"trust.stack: {stack!r} has keys that cannot be decrypted here: use the passphrase or secrets provider of "
            "that stack, or hand the intermediate over as `provided`"
        )
    return intermediates
