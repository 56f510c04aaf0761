"""SharedCA, as the component package has it."""

from typing import NotRequired, TypedDict

import pulumi

from dcmesh.model.cacerts import ISTIOS

from ..trust import shared_ca as trust


class SharedCAArgs(TypedDict):
    """Arguments of SharedCA."""

    sites: dict[str, str]
    """By site its trust domain, such as `dc1.dcmesh`: its intermediate may sign names of that one and of no other."""
    organization: NotRequired[str]
    """`O` in the subject of every certificate. Default: `dcmesh`."""
    root_validity_years: NotRequired[int]
    """How long the root is valid. Default: 10."""
    intermediate_validity_years: NotRequired[int]
    """How long each intermediate is valid. Default: 2."""
    protect: NotRequired[bool]
    """Whether the root is kept from deletion, and from replacement by another one. Default: yes."""


class SharedCA(pulumi.ComponentResource):
    """The root certificate authority that all sites share, and an intermediate for each of them.

    The root's key stays in the state of the stack that has this component.
    """

    root_cert: pulumi.Output[str]
    """The root's certificate, as PEM."""
    cacerts: pulumi.Output[dict[str, dict[str, str]]]
    """By site what the Secret `cacerts` in its `istio-system` must have; secret. It must be there before istiod."""

    def __init__(self, name: str, args: SharedCAArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:index:SharedCA", name, {}, opts)
        defaults = trust.SharedCAArgs()
        inside = pulumi.ResourceOptions(parent=self)
        root = trust.SharedCA(
            f"{name}-ca",
            trust.SharedCAArgs(
                organization=args.get("organization", defaults.organization),
                root_validity_years=int(args.get("root_validity_years", defaults.root_validity_years)),
                intermediate_validity_years=int(
                    args.get("intermediate_validity_years", defaults.intermediate_validity_years)
                ),
                protect=args.get("protect", True),
            ),
            inside,
        )
        issued = {
            site: trust.SiteCA(
                f"{name}-{site}",
                trust.SiteCAArgs(site=site, root=root, trusted=[root], trust_domain=domain),
                inside,
            ).intermediate
            for site, domain in args["sites"].items()
        }
        self.root_cert = root.cert_pem
        self.cacerts = pulumi.Output.secret(pulumi.Output.all(**{site: _secret(of) for site, of in issued.items()}))
        self.register_outputs({"rootCert": self.root_cert, "cacerts": self.cacerts})


def _secret(of: trust.Intermediate) -> pulumi.Output[dict[str, str]]:
    """Return what a Secret with an intermediate has."""
    return pulumi.Output.all(**{ISTIOS.cert: of.cert, ISTIOS.key: of.key, ISTIOS.chain: of.chain, ISTIOS.root: of.root})
