"""Trust: the intermediate of each site, wherever it comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from dcmesh.model import settings as model
from dcmesh.model.certificates import SigningBundle
from dcmesh.stacks import ReadStack, read_stack

from ..trust.shared_ca import Intermediate, SharedCA, SharedCAArgs, SiteCA, SiteCAArgs, numbered


@dataclass(frozen=True, kw_only=True)
class TrustArgs:
    """Arguments of Trust.

    Attributes:
        trust: the configuration's part.
        sites: names of the stack's sites.
        protect: whether roots are kept from deletion. Default no.
    """

    trust: model.Trust
    sites: Sequence[str]
    protect: bool = False


class Trust(pulumi.ComponentResource):
    """Where the sites' certificates come from.

    Creates, as the configuration says:
        - generated: SharedCA, one for each generation of the root, and a SiteCA for each site of the stack and each
          site that it issues for;
        - stack, provided, existing: nothing.
    """

    intermediates: Mapping[str, Intermediate]
    """By site. A site that is not there finds its certificates in its cluster."""

    def __init__(self, name: str, args: TrustArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:Trust", name, {}, opts)
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
                return {
                    site: SiteCA(
                        numbered(f"{name}.{site}", *numbers, separator="-"),
                        SiteCAArgs(site=site, root=issuing, trusted=roots, number=trust.intermediate),
                        child,
                    ).intermediate
                    for site in (*args.sites, *trust.issue_for)
                }
            case model.StackTrust(stack=stack):
                return read_intermediates(stack, args.sites)
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


def read_intermediates(stack: str, sites: Sequence[str], read: ReadStack = read_stack) -> dict[str, Intermediate]:
    """Return the intermediates of these sites from the output `intermediates` of the stack that issues them.

    Not by a StackReference: that resource would bring the keys of all other sites into this stack's state.

    Raises:
        pulumi.RunError: there is no such stack, or it issues nothing for one of the sites, or its secrets cannot be
            decrypted here.
    """
    try:
        told = read(stack).get("intermediates")
        told = told if isinstance(told, Mapping) else {}
    except LookupError as error:
        raise pulumi.RunError(
            f"trust.stack: {stack!r} cannot be read ({error}): create and `pulumi up` that stack first"
        ) from None
    issued = {site: bundle for site in sites if (bundle := SigningBundle.told(told.get(site)))}
    if missing := [site for site in sites if site not in issued]:
        raise pulumi.RunError(
            f"trust.stack: {stack!r} issues nothing for {', '.join(missing)}: "
            "add what is missing to its trust.issueFor, and run `pulumi up` there first"
        )
    # The engine leaves out what it cannot read.
    if not all(bundle.key for bundle in issued.values()):
        raise pulumi.RunError(
            f"trust.stack: {stack!r} has keys that cannot be decrypted here: use the passphrase or secrets provider of "
            "that stack, or hand the intermediate over as `provided`"
        )
    return {site: Intermediate.of(bundle) for site, bundle in issued.items()}
